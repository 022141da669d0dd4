"""Our own network, inside the package: how much each pixel belongs to the subject. Works offline and at once.

Paper: none; built and trained here, see docs/training.md and assets/small.md. Weights: in the package, Apache-2.0.
Trained on DUTS-TR and Clothing Co-Parsing, whose terms stand in the card below.
"""

from importlib.resources import files

import numpy as np

from figureground.maps import Rgb, SaliencyMap
from figureground.models import Card, Model
from figureground.settings import Settings

CARD = Card(
    gives=SaliencyMap,
    about="our own network, 3.7 M parameters, in the package: the subject that catches the eye",
    weights="in the package",
    licence="Apache-2.0",
    data="DUTS-TR (no licence stated; its photographs are research material), Clothing Co-Parsing (Apache-2.0)",
    permissive=True,
    source="assets/small.md",
)


def load(settings: Settings) -> Model:
    """The network of the package as a model; raises WeightsError where the package is damaged."""
    import cv2

    from figureground.models._runtime import session

    run = session(files("figureground").joinpath("assets/small.onnx").read_bytes(), settings.threads)
    side = run.shape[-1]

    def look(rgb: Rgb, /) -> SaliencyMap:
        height, width = rgb.shape[:2]
        shrinks = height > side or width > side
        fitted = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        x = np.ascontiguousarray(fitted.transpose(2, 0, 1)[None], np.float32) / 255  # (1, 3, S, S)
        answer = run(x)[0, 0]  # (S, S)
        full = cv2.resize(answer, (width, height), interpolation=cv2.INTER_LINEAR)
        return SaliencyMap(np.clip(full, 0, 1, out=full))

    return look
