"""A network made by `figureground adapt`: one ONNX file, with its origin in its metadata.

Paper: none; a frozen encoder with a head trained on the user's own pictures, see docs/guides/own-data.md. The license of the
weights is that of the network it was made from, as the file's own notes say.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from figureground.errors import WeightsError
from figureground.inference.licenses import check_license
from figureground.inference.session import Session
from figureground.models import Card, LoadedCheckpoint, Model, Weights
from figureground.models.saliency import Quality
from figureground.settings import Settings
from figureground.types import Mask, Rgb, SaliencyMap

KEY = "figureground.adapted"
"""The key of the file's notes in its metadata: a JSON object."""
METADATA = 14
"""The field of ONNX's `ModelProto` that holds a file's metadata, an entry each."""
LARGEST_NOTES = 1 << 20
FORM = 1
"""Of the notes and of the graph: (1, 3, S, S) float32 in [0, 1] → (1, 1, S, S) float32 in [0, 1].

S is fixed where something was trained; the network as it was takes any, as in the package.
"""

CARD = Card(
    output_type=SaliencyMap,
    about="a network of your own, made by `figureground adapt` and named as a method: --method my.onnx",
    weights="a file of yours",
    license="that of the network it was made from, kept in the file",
    data="your pictures, after what the network it was made from was trained on",
    permissive=True,  # each file's own license is looked at when it is loaded
    source="docs/guides/own-data.md",
)


@dataclass(frozen=True, slots=True)
class Adapted(LoadedCheckpoint):
    """A loaded file."""

    session: Session
    sides: tuple[int, ...]
    """What the network may be given, as `tta.Sides`."""
    predict: Callable[[Session, tuple[int, ...], Rgb], Mask]

    def __call__(self, rgb: Rgb, /) -> SaliencyMap:
        """Return how much each pixel of (H, W, 3) uint8 sRGB belongs to the subject."""
        return SaliencyMap(self.predict(self.session, self.sides, rgb))


def load(settings: Settings, *, weights: Weights = "", quality: Quality = "balanced") -> Model:
    """Load the file; raises UnknownName, and WeightsError if it is missing, not of `figureground adapt`, or not allowed."""
    from figureground.inference.session import session
    from figureground.models.saliency.tta import sides, tta_for

    predict = tta_for(quality)
    data = _bytes(weights)
    stated = notes(data, weights)
    license = str(stated.get("license") or stated["licence"])
    permissive = bool(stated["permissive"])
    made_from = f"'{weights}' was made from weights"
    check_license(made_from, license, settings, permissive=permissive, instead="adapt another network")
    if not permissive:
        logging.getLogger("figureground").warning("'%s' was made from weights under this license: %s", weights, license)
    opened_session = session(data, settings)
    if (
        len(opened_session.shape) != 4
        or opened_session.shape[2] != opened_session.shape[3]
        or opened_session.shape[:2] != (1, 3)
        or opened_session.shape[3] == 0
    ):
        raise _refusal(weights, f"its input has the shape {opened_session.shape}", code="model_corrupt")
    return Adapted(weights, license, opened_session, sides(opened_session.shape), predict)


def _bytes(weights: str) -> bytes:
    if not weights:
        raise WeightsError("model 'adapted' needs a file that `figureground adapt` wrote: --method my.onnx")
    try:
        return Path(weights).read_bytes()
    except OSError as error:
        message = f"'{weights}' cannot be read ({error.strerror}); name an ONNX file, or one that `figureground adapt` wrote"
        raise WeightsError(message) from error


def has_notes(path: Path) -> bool:
    """Whether a file has notes of ours: its outermost fields are looked at, the graph is skipped."""
    try:
        with path.open("rb") as file:
            while key := _varint(file):
                field, wire = key >> 3, key & 7
                length = {1: 8, 5: 4}.get(wire, 0) if wire != 2 else _varint(file)
                if wire == 0:
                    _varint(file)
                elif field == METADATA and length < LARGEST_NOTES:
                    if KEY.encode() in file.read(length):
                        return True
                elif wire in (1, 2, 5):
                    file.seek(length, 1)
                else:
                    return False
    except OSError:
        return False
    return False


def _varint(file: BinaryIO) -> int:
    """Return a number as protobuf writes it; 0 at the end of the file."""
    value, shift = 0, 0
    while (byte := file.read(1)) and shift < 64:
        value |= (byte[0] & 127) << shift
        shift += 7
        if byte[0] < 128:
            return value
    return 0


def notes(data: bytes, name: str) -> dict[str, Any]:
    """Return the metadata of an adapted network's bytes; raises WeightsError, naming `name`, if it is not one of ours."""
    import onnx

    try:
        graph = onnx.load_model_from_string(data)
        metadata = {each.key: each.value for each in graph.metadata_props}
        stated = json.loads(metadata[KEY]) if KEY in metadata else None
    except Exception as error:  # whatever a file that is none makes the reader stumble over
        raise _refusal(name, f"it is not a valid ONNX file ({error})", code="model_corrupt") from error
    if (
        not isinstance(stated, dict)
        or not isinstance(stated.get("license", stated.get("licence")), str)
        or not isinstance(stated.get("permissive"), bool)
    ):
        raise _refusal(name, "it is an ONNX file of another origin")
    if stated.get("form") != FORM:
        raise _refusal(name, f"it has form {stated.get('form')}, and this program reads form {FORM}: update it, or adapt anew")
    return stated


def _refusal(name: str, why: str, code: str = "model_missing") -> WeightsError:
    return WeightsError(f"expected a network that `figureground adapt` wrote, but got '{name}': {why}", code=code)
