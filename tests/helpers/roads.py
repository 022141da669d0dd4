"""Every road from a picture to a mask, with small checkpoints for it: the table that test_roads.py and test_faults.py go over.

To add a method or a model: a row in `ROADS`, and in `MADE` where its checkpoints are of a new architecture.
"""

import functools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import hub_server
import small_prompts
import small_torch
from figureground import models
from figureground.inference.label_sets import ade20k
from figureground.methods import METHODS
from hub_server import Files, Hub
from photographs import FOLDER

PICTURE = FOLDER / "coffee.jpg"
PHRASE, CLICK = ("--prompt", "the cup"), ("--point", "50%,50%")


@dataclass(frozen=True)
class Road:
    """A method as the command line spells it."""

    method: str
    words: tuple[str, ...] = ()
    """What it must be told besides."""
    weights: dict[str, str] = field(default_factory=dict)
    """The architecture that each of its flags for weights wants."""
    hub: dict[str, str] = field(default_factory=dict)
    """The same by the hub's ids that it fetches if no flag is given."""
    torch: bool = False
    views: str = "cutout,mask"

    @property
    def asked(self) -> tuple[object, ...]:
        """The command, complete."""
        return ("remove", PICTURE, "--method", self.method, *self.words)


def _road(method: str, kind: str, *words: str, views: str = "cutout,mask") -> Road:
    """A method of one network."""
    label = models.card(METHODS[method].model)
    return Road(method, words, {"--weights": kind}, {label.weights: kind}, bool(label.requires_extra), views)


SEGFORMER, SAM, DEPTH, CLIPSEG, DINO = (
    models.card(name).weights for name in ("segformer", "points", "depth", "text", "grounded")
)
ROADS = {
    "subject": Road("subject"),
    "stuff": _road("stuff", "segformer", views="cutout,labels"),
    "most-common": _road("most-common", "segformer"),
    "most-common-hull": _road("most-common-hull", "segformer"),
    "instance": _road("instance", "eomt", views="cutout,labels"),
    "depth": _road("depth", "depth", views="cutout,depth"),
    "text": _road("text", "clipseg", *PHRASE, "--not", "the table"),
    "points": _road("points", "sam", *CLICK, "--not-point", "2,2"),
    "grounded": Road(
        "text",
        ("--model", "grounded", "--box-threshold", "0.05", *PHRASE),
        {"--weights": "dino", "--mask-weights": "sam"},
        {DINO: "dino", SAM: "sam"},
        torch=True,
    ),
    "subject+stuff": Road("subject+stuff", (), {"--weights": "segformer"}, {SEGFORMER: "segformer"}),
    "depth+points": Road("depth+points", CLICK, {}, {DEPTH: "depth", SAM: "sam"}, torch=True),
}
FETCHED = [name for name, road in ROADS.items() if road.hub]


def _segformer(folder: Path, kind: str) -> Files:
    return hub_server.save(folder, tuple(name for name, _ in ade20k()), steps=0)


MADE = {
    "segformer": _segformer,
    "eomt": small_torch.save,
    "depth": small_torch.save,
    **dict.fromkeys(("clipseg", "sam", "dino"), small_prompts.save),
}


@functools.cache
def files(kind: str) -> Files:
    """A small checkpoint of that architecture, its files by name."""
    with tempfile.TemporaryDirectory() as folder:
        return MADE[kind](Path(folder), kind)


def checkpoint(folder: Path, kind: str, **changes: bytes | None) -> Path:
    """The same in a folder; `changes` replace files, dots spelled __, and None takes one away."""
    folder.mkdir(parents=True)
    for name, body in (files(kind) | {name.replace("__", "."): body for name, body in changes.items()}).items():
        if body is not None:
            (folder / name).write_bytes(body)
    return folder


def hub_of(road: Road) -> Hub:
    """A hub that has all that a road fetches."""
    return Hub({name: {"main": files(kind)} for name, kind in road.hub.items()})
