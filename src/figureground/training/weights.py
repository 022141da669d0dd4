"""Read and write weights files: safetensors with the recipe in the metadata. Files of version 0.2.0 can be read too."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from figureground._files import replacing
from figureground.errors import UnknownName, WeightsError
from figureground.training.config import DETAIL, Recipe, recipe_from
from figureground.training.detail.network import DetailNetwork
from figureground.training.networks import NETWORKS, SaliencyNetwork

RENAMED = (
    (r"^(stem|stages)\.", r"encoder.\1."),
    (r"^rise\.", "upsample."),
    (r"^mend\.", "fuse."),
    (r"^(context\.\d+)\.place\.", r"\1.position."),
    (r"^(context\.\d+)\.before\.", r"\1.norm1."),
    (r"^(context\.\d+)\.between\.", r"\1.norm2."),
    (r"^(context\.\d+)\.query_key_value\.", r"\1.qkv."),
    (r"^(context\.\d+)\.out\.", r"\1.proj."),
    (r"^(context\.\d+)\.parts\.", r"\1.convs."),
    (r"^(context\.\d+)\.join\.", r"\1.fuse."),
    (r"\.first\.", ".conv1."),
    (r"\.second\.", ".conv2."),
)
"""Names of tensors in version 0.2.0, as patterns, and their names now."""


def metadata(path: Path) -> dict[str, str]:
    """Return what a weights file says besides its tensors."""
    with safe_open(path, "np") as file:
        return dict(file.metadata() or {})


def read_recipe(path: Path) -> Recipe:
    """Return the recipe of a weights file; raises WeightsError where it is not one of ours."""
    try:
        return recipe_from(json.loads(metadata(path).get("recipe", "{}")))
    except Exception as error:
        raise WeightsError(
            f"'{path}' is not a weights file of `figureground train` ({error}); expected safetensors with a recipe",
            code="model_corrupt",
        ) from error


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of version 0.2.0 under the names of today."""
    names = {}
    for name in tensors:
        names[name] = name
        for pattern, replacement in RENAMED:
            names[name] = re.sub(pattern, replacement, names[name])
    return {names[name]: tensor for name, tensor in tensors.items()}


def build(network: str) -> SaliencyNetwork:
    """Return a network of that name with random weights; raises UnknownName."""
    if network not in NETWORKS:
        raise UnknownName("network", network, [*NETWORKS, DETAIL])
    return NETWORKS[network]()


def load(path: Path, network: str) -> SaliencyNetwork:
    """Return the network with the weights of a file.

    Raises WeightsError where the file does not hold weights of this network, UnknownName for an unknown network.
    """
    model = build(network)
    with _misfits(path, network):
        tensors = load_file(path)
        old = "upsample.0.weight" not in tensors
        model.load_state_dict(renamed(tensors) if old else tensors)
    return model


def load_detail(path: Path) -> DetailNetwork:
    """Return the detail network with the weights of a file; raises WeightsError where it does not hold them."""
    model = DetailNetwork()
    with _misfits(path, DETAIL):
        model.load_state_dict(load_file(path))
    return model


@contextmanager
def _misfits(path: Path, network: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"'{path}' does not hold weights of the network '{network}' ({reason}); name the network that they belong to",
            code="model_corrupt",
        ) from error


def save(path: Path, tensors: Mapping[str, Tensor], recipe: Recipe) -> None:
    """Write a weights file atomically; kernels and matrices as float16, as the exported graph holds them."""
    halved = {name: (tensor.half() if tensor.ndim > 1 else tensor).contiguous() for name, tensor in tensors.items()}
    with replacing(path) as part:
        save_file(halved, part, {"recipe": json.dumps(asdict(recipe))})
