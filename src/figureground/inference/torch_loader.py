"""Fetch and check checkpoints of transformers, and load them into torch.

A model file describes what it reads in a `Family`, calls `fetch` for the files, which needs no torch, and `load` for the
network. Only safetensors are read: torch's .bin files can run code. Weights are checked by their hash each time.
"""

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from figureground._machine import cores
from figureground.errors import MissingExtra, UsageError, WeightsError
from figureground.inference import checkpoint as checkpoints
from figureground.inference.checkpoint import INDEX, PROCESSOR, SAFE, Checkpoint, CheckpointFormat
from figureground.settings import Settings
from figureground.types import Json


@dataclass(frozen=True, slots=True)
class Family:
    """The checkpoints that a model file reads."""

    model: str
    """The model file's name, as in `figureground pull depth`."""
    auto: str
    """The class of transformers that loads them, such as `AutoModelForDepthEstimation`."""
    kinds: tuple[str, ...]
    """What config.json may say as its model_type."""
    tokenizer: bool = False
    """Whether a tokenizer belongs to them."""
    short: Mapping[str, str] = field(default_factory=dict)
    """Names for those who do not know the hub's."""

    @property
    def form(self) -> CheckpointFormat:
        """The files of a checkpoint; transformers reads one folder."""
        return CheckpointFormat(
            model=self.model,
            title=self.model,
            wanted=f"a checkpoint of model '{self.model}' or a hub id such as someone/NAME",
            validate=self.validate,
            cache_folder="torch",
            processors=(PROCESSOR, "processor_config.json"),
            tokenizer=self.tokenizer,
            weights=(SAFE, INDEX),
            no_weights=f"no {SAFE}: only safetensors are read, since other weights can hold code",
        )

    def validate(self, name: str, config: Json) -> None:
        """Raise WeightsError where config.json is of another kind."""
        if (kind := config.get("model_type")) not in self.kinds:
            raise WeightsError(
                f"expected a checkpoint of model '{self.model}' (model_type {' or '.join(self.kinds)}), but the config.json of"
                f" '{name}' says model_type {kind!r}; name another one with --weights"
            )


def fetch(weights: str, settings: Settings, family: Family) -> Checkpoint:
    """Fetch the checkpoint of a short name, a hub id or a local folder, as `checkpoint.fetch`, and check the hashes."""
    name = family.short.get(weights, weights)
    folder = Path(name).expanduser()
    checkpoint = checkpoints.fetch(str(folder) if folder.is_dir() else name, settings, family.form)
    if not checkpoint.fetched:
        checkpoints.verified(checkpoint)
    return checkpoint


def require(family: Family) -> None:
    """Raise MissingExtra if torch or transformers is not installed."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra(f"model '{family.model}'", "torch") from error


def load(checkpoint: Checkpoint, settings: Settings, family: Family) -> Any:
    """Return the network, a torch module in eval mode, float32, ready to be called under `torch.inference_mode()`.

    Raises MissingExtra, UsageError for a device, runtime or precision that it cannot give, and WeightsError where the weights
    do not make a whole network of that kind.
    """
    require(family)
    import torch
    import transformers

    check_settings(settings, family.model)
    torch.set_num_threads(settings.threads or cores())
    with quiet():
        try:
            network, report = getattr(transformers, family.auto).from_pretrained(
                checkpoint.folder,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
        except MemoryError:
            raise
        except Exception as error:
            raise _broken(checkpoint, str(error).strip().splitlines()[0] if str(error).strip() else repr(error)) from error
    if lacks := sorted(report["missing_keys"]) + sorted(key for key, *_ in report["mismatched_keys"]):
        raise _broken(checkpoint, f"{len(lacks)} tensors are missing or of another shape, such as {lacks[0]}")
    return network.eval()


def check_settings(settings: Settings, model: str) -> None:
    """Raise UsageError for a device, runtime or precision that a network in torch cannot give. model : its name."""
    if settings.device.lower() != "cpu":
        raise UsageError(f"model '{model}' runs on the device cpu, but FIGUREGROUND_DEVICE asks for '{settings.device}'")
    if settings.runtime != "auto" or settings.precision != "fp32":
        asked = f"--runtime {settings.runtime} --precision {settings.precision}"
        raise UsageError(f"model '{model}' runs in torch with fp32, but got {asked}; leave them out")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back the log lines, progress bars and warnings of transformers and torch: they speak to developers."""
    from transformers.utils import logging as their_logging

    speaks: Any = their_logging  # parts of it have no types
    before, bars = speaks.get_verbosity(), speaks.is_progress_bar_enabled()
    speaks.set_verbosity_error()
    speaks.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        speaks.set_verbosity(before)
        if bars:
            speaks.enable_progress_bar()


def _broken(checkpoint: Checkpoint, why: str) -> WeightsError:
    return WeightsError(
        f"the checkpoint '{checkpoint.name}' cannot be loaded: {why}; fetch it again, or name another one with --weights",
        code="model_corrupt",
    )
