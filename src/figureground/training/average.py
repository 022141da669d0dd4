"""One network from several: the mean of their weights, often better than each of them and no slower.

Stochastic weight averaging (Izmailov et al., UAI 2018) and model soups (Wortsman et al., ICML 2022): runs that began from
common weights end in one basin of the loss, and their mean lies nearer to its middle than they do. Networks that have no
beginning in common do not mix; the figures show it.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from figureground.dataset import Pair
from figureground.errors import BadData, OutputExists, UsageError, WeightsError
from figureground.output import make_folder
from figureground.training.calibrate import calibrate
from figureground.training.export import recipe_of
from figureground.training.feed import decode
from figureground.training.loop import bf16_is_quick, network_of, save_weights, validation

Figures = dict[str, float]


def average(
    weights: Sequence[Path], val: Sequence[Pair], out: Path, overwrite: bool = False, quiet: bool = False
) -> list[Figures]:
    """Write the mean of `weights` (safetensors of `figureground train`) to `out`, its level calibrated on `val`.

    Returns max F, MAE and IoU of each on `val`, in their order, and last of the mean; all of one look at the size at which the
    first was validated in training. Raises UsageError for fewer than two, WeightsError where they are not of one network,
    BadData for no pictures, OutputExists, WriteFailed. Nothing is written before all could be read.
    """
    if len(weights) < 2:
        raise UsageError(f"a mean wants the weights of two runs or more, not of {len(weights)}")
    if not val:
        raise BadData("a mean wants at least one picture to be measured and calibrated on")
    if out.exists() and not overwrite:
        raise OutputExists(f"'{out}' exists; replace it with --overwrite, or name another file with --out")
    recipes = [recipe_of(path) for path in weights]
    for path, recipe in zip(weights, recipes, strict=True):
        if recipe.network != recipes[0].network:
            raise WeightsError(f"'{path}' is of network '{recipe.network}', but '{weights[0]}' of '{recipes[0].network}'")
    states = [network_of(recipes[0], path).state_dict() for path in weights]
    held = decode(val, quiet)
    mean = {name: _mean([state[name] for state in states]) for name in states[0]}
    make_folder(out.parent)
    save_weights(mean, out, recipes[0])
    model, size = network_of(recipes[0], None), recipes[0].last_size or recipes[0].size
    calibrate(out, model, held, size)
    device = torch.device("cpu")
    cast = torch.autocast(device.type, torch.bfloat16, enabled=bf16_is_quick(device))
    return [validation(network_of(recipes[0], path), held, size, device, cast) for path in [*weights, out]]


def _mean(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Counters, which no weight is, as the first has them."""
    if not tensors[0].dtype.is_floating_point:
        return tensors[0]
    return torch.stack([tensor.float() for tensor in tensors]).mean(0)
