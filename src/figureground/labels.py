"""The command `labels`: which classes there are, and which a picture shows."""

from typing import Any

from figureground.errors import Mismatch
from figureground.methods import Method
from figureground.models import card
from figureground.models._labels import ade20k
from figureground.pipeline import Separator
from figureground.settings import Settings
from figureground.types import InstanceMap, LabelMap, Map


def known() -> list[dict[str, Any]]:
    """The 150 classes of ADE20K in the order of the SegFormer checkpoints: name, and whether it is stuff."""
    return [{"index": index, "name": name.strip(), "stuff": stuff} for index, (name, stuff) in enumerate(ade20k())]


def found(picture: str, method: Method, settings: Settings) -> list[dict[str, Any]]:
    """The classes that a picture shows, the largest first, or its objects by number; raises Mismatch where there are none."""
    kinds: dict[type[Map], str] = {LabelMap: "labels", InstanceMap: "instances"}
    gives = card(method.model).gives
    if gives not in kinds:
        raise Mismatch(f"model '{method.model}' names no classes; take a method such as stuff or instance")
    rows: list[dict[str, Any]] = Separator(method, settings)(picture).info()[kinds[gives]]
    return rows
