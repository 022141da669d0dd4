"""Estimate how much each pixel belongs to the subject: the network in the package, which works offline.

Paper: none; built and trained here, see docs/training.md and assets/saliency.md. Weights: in the package, Apache-2.0.
Trained on DUTS-TR, animals and persons of PASCAL VOC and Clothing Co-Parsing, over an encoder with ImageNet weights; the terms
of the data stand in the card below.
"""

from importlib.resources import files
from typing import Annotated, Literal

from figureground.masks.interactive import steer
from figureground.masks.recent import Recent
from figureground.models import Card, Model
from figureground.prompts import Prompt
from figureground.settings import Settings
from figureground.types import Mask, Rgb, SaliencyMap

CARD = Card(
    output_type=SaliencyMap,
    about="the main subject; our own network with 5.6 M parameters, in the package",
    weights="in the package",
    license="Apache-2.0",
    data="DUTS-TR (no license stated), ImageNet (the encoder) and PASCAL VOC (Flickr's terms): research material;"
    " Clothing Co-Parsing (Apache-2.0)",
    permissive=True,
    source="assets/saliency.md",
    prompt_kinds=frozenset({"places"}),
)


Quality = Annotated[
    Literal["fast", "balanced", "best"],
    "Passes of the network: one; three, small, larger and mirrored, and large for details; or many, also enlarged.",
]


def load(settings: Settings, *, quality: Quality = "balanced") -> Model:
    """Load the network of the package; raises UnknownName, and WeightsError if the package is damaged."""
    from figureground.inference.session import session
    from figureground.models.saliency.tta import sides, tta_for

    predict = tta_for(quality)
    run = session(files("figureground").joinpath("assets/saliency.onnx").read_bytes(), settings)
    sizes = sides(run.shape)

    def first(rgb: Rgb) -> Mask:
        values = predict(run, sizes, rgb)
        values.flags.writeable = False
        return values

    look = Recent(first)

    def saliency(rgb: Rgb, prompt: Prompt | None = None, /) -> SaliencyMap:
        values = look(rgb)
        if prompt is None or "places" not in prompt.kinds:
            return SaliencyMap(values)
        places = prompt.places(rgb.shape[1], rgb.shape[0])
        return SaliencyMap(steer(rgb, values, places, lambda part: predict(run, sizes, part)))

    return saliency
