"""A network that a user adapted with `figureground adapt`: one ONNX file, which says in itself what it was made from.

Paper: none; a frozen encoder with a head trained on the user's own pictures, see docs/adapting.md. The licence of the
weights is that of the network it was made from, as the file's own notes say.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figureground.errors import WeightsError
from figureground.inference.session import Session
from figureground.models import Card, Model, Weights
from figureground.models.small import Quality
from figureground.settings import Settings
from figureground.types import Mask, Rgb, SaliencyMap

KEY = "figureground.adapted"
"""The key of the file's notes in its metadata: a JSON object."""
FORM = 1
"""Of the notes and of the graph: (1, 3, S, S) float32 in [0, 1] → (1, 1, S, S) float32 in [0, 1]."""

CARD = Card(
    gives=SaliencyMap,
    about="a network of your own, made by `figureground adapt` and named as a method: --method my.onnx",
    weights="a file of yours",
    licence="that of the network it was made from, kept in the file",
    data="your pictures, after what the network it was made from was trained on",
    permissive=True,  # each file's own licence is looked at when it is loaded
    source="docs/adapting.md",
)


@dataclass(frozen=True, slots=True)
class Adapted:
    """A loaded file; `weights` and `licence` say which, and whose."""

    weights: str
    licence: str
    session: Session
    looks: Callable[[Session, tuple[int, ...], Rgb], Mask]

    def __call__(self, rgb: Rgb, /) -> SaliencyMap:
        """How much each pixel of (H, W, 3) uint8 sRGB belongs to the subject."""
        return SaliencyMap(self.looks(self.session, self.session.shape[-1:], rgb))


def load(
    settings: Settings,
    *,
    weights: Weights = "",
    quality: Quality = "balanced",
) -> Model:
    """The file as a model; raises WeightsError where it is not there, not ours, or its licence is not allowed, UnknownName."""
    from figureground.inference.session import session
    from figureground.models._looks import looking

    looks = looking(quality)
    data = _bytes(weights)
    said = notes(data, weights)
    licence = str(said["licence"])
    if not said["permissive"]:
        if settings.licences == "permissive":
            raise WeightsError(
                f"'{weights}' was made from weights under '{licence}', but only permissive licences are allowed here"
                " (FIGUREGROUND_LICENCES=permissive); adapt another network, or allow them with FIGUREGROUND_LICENCES=any",
                code="licence_refused",
            )
        logging.getLogger("figureground").warning("'%s' was made from weights under this licence: %s", weights, licence)
    made = session(data, settings)
    if len(made.shape) != 4 or made.shape[2] != made.shape[3] or made.shape[:2] != (1, 3) or made.shape[3] < 1:
        raise _refusal(weights, f"its input has the shape {made.shape}", code="model_corrupt")
    return Adapted(weights, licence, made, looks)


def _bytes(weights: str) -> bytes:
    if not weights:
        raise WeightsError("model 'adapted' wants a file that `figureground adapt` wrote: --method my.onnx")
    try:
        return Path(weights).read_bytes()
    except OSError as error:
        raise WeightsError(f"'{weights}' cannot be read ({error.strerror}); name a file of `figureground adapt`") from error


def notes(data: bytes, name: str) -> dict[str, Any]:
    """What the bytes of an adapted network say of themselves; raises WeightsError, naming `name`, where it is none of ours."""
    import onnx

    try:
        graph = onnx.load_model_from_string(data)
        found = {each.key: each.value for each in graph.metadata_props}
        said = json.loads(found[KEY]) if KEY in found else None
    except Exception as error:  # whatever a file that is none makes the reader stumble over
        raise _refusal(name, f"it is no sound ONNX file ({error})", code="model_corrupt") from error
    if not isinstance(said, dict) or not isinstance(said.get("licence"), str) or not isinstance(said.get("permissive"), bool):
        raise _refusal(name, "it is an ONNX file of another origin")
    if said.get("form") != FORM:
        raise _refusal(name, f"it has form {said.get('form')}, and this program reads form {FORM}: update it, or adapt anew")
    return said


def _refusal(name: str, why: str, code: str = "model_missing") -> WeightsError:
    return WeightsError(f"wanted a network that `figureground adapt` wrote, but '{name}' is none: {why}", code=code)
