"""The folder is the registry: each file `NAME.py` beside this one is a model, unless its name starts with an underscore.

A model file holds `CARD` (a `Card`) and `load(settings, *, …) -> Model`; the keyword-only parameters of `load` are the
model's options and become the command's flags. A model whose weights come from elsewhere also holds `SHORT`, names for
them, `CHECKPOINTS`, the ids and formats of its default weights, and `pull(settings, weights) -> Path`. Importing a model file
must be cheap: heavy imports belong in `load`.
"""

import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Protocol

from figureground._deprecated import current, old_names
from figureground.errors import UnknownName, WeightsNotFetched
from figureground.inference.checkpoint import is_kept
from figureground.inference.licenses import check_license
from figureground.prompts import Kind
from figureground.settings import Settings
from figureground.types import Map, Rgb

Weights = Annotated[
    str, "Other weights than the model's own: a hub id, a local folder, or a file that `figureground adapt` wrote."
]
"""Of every `load` that takes weights."""


class Model(Protocol):
    """A loaded network: safe to call from several threads."""

    def __call__(self, rgb: Rgb, /) -> Map:
        """Return the network's output for a picture, (H, W, 3) uint8 sRGB, as a map of the same H and W.

        A model whose card says that it takes prompts is called as `model(rgb, prompt)` where there is one.
        """
        ...


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """What every network from a checkpoint knows: its weights and their license."""

    weights: str
    """Their hub id, folder or file."""
    license: str


@old_names
@dataclass(frozen=True, slots=True)
class Card:
    """Facts about a model: its output, its weights and their license, and what it needs."""

    output_type: type[Map]
    about: str
    weights: str
    """Where the weights come from: `in the package`, or a hub id."""
    license: str
    """Of the weights."""
    data: str
    """What they were trained on, and under which terms that stands."""
    permissive: bool
    """Whether the license of the weights allows commercial use."""
    source: str
    """The paper."""
    prompt_kinds: frozenset[Kind] = frozenset()
    """The kinds of prompt that it takes."""
    needs_prompt: bool = False
    """Whether it says nothing without one."""
    requires_extra: str = ""
    """The extra of the package that it needs, if any."""
    download_mb: int | None = None
    """About how many MB the weights are, of those that are fetched; None where that is not known."""


@cache
def names() -> tuple[str, ...]:
    """Return the names of all models, sorted. The folder is read once."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def module(name: str) -> ModuleType:
    """Import the file of a model; raises UnknownName."""
    name = current("model", name)
    if name not in names():
        raise UnknownName("model", name, names())
    return import_module(f"{__name__}.{name}")


def card(name: str) -> Card:
    """Return the card of a model, without loading it; raises UnknownName."""
    label: Card = module(name).CARD
    return label


def load(name: str, settings: Settings, **options: Any) -> Model:
    """Load a model; raises UnknownName, MissingExtra, WeightsError.

    Weights named by the user have a license of their own, which the model file looks up and checks.
    """
    label = card(name)
    if "weights" not in options:
        check_license(f"the weights of model '{name}' are", label.license, settings, permissive=label.permissive)
    try:
        model: Model = module(name).load(settings, **options)
    except WeightsNotFetched as error:
        raise WeightsNotFetched(f"{error}, or use --method subject, which needs no network") from error
    return model


def has_weights(name: str) -> bool:
    """Return whether the default weights of a model are on this machine, without using the network. Raises UnknownName."""
    file = module(name)
    return not hasattr(file, "CHECKPOINTS") or all(is_kept(weights, form) for weights, form in file.CHECKPOINTS)


def pull(name: str, settings: Settings, weights: str | None = None) -> Path | None:
    """Fetch and convert weights beforehand; return where they are kept, or None if there is nothing to fetch.

    name : a model, or one of the models' short names for weights. weights : others than the model's own.
    Raises UnknownName, WeightsError.
    """
    name = current("model", name)
    short = {name: model for model in names() for name in getattr(module(model), "SHORT", ())}
    if name not in short and name not in names():
        raise UnknownName("model or weights", name, [*names(), *short])
    file = module(short.get(name, name))
    if not hasattr(file, "pull"):
        return None
    chosen = weights or (name if name in short else file.CARD.weights)
    path: Path = file.pull(settings, chosen)
    return path
