"""Cut out the object under points or in a box: SAM 2.1, through torch.

Paper: Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024. Weights: Meta's smallest ones, Apache-2.0,
model.safetensors on main, or any others of the family named with `weights`. To add a short name: a row in `SHORT` of sam.py.
"""

from dataclasses import dataclass
from pathlib import Path

from figureground.errors import UsageError
from figureground.inference.torch_loader import fetch, require
from figureground.masks.interactive import refuse_contradictions
from figureground.models import Card, LoadedCheckpoint, Model, Weights
from figureground.models.points.sam import WEIGHTS, Sam, family, probability
from figureground.prompts import Prompt
from figureground.settings import Settings
from figureground.types import Rgb, SaliencyMap

FAMILY = family("points")
CHECKPOINTS = ((WEIGHTS, FAMILY.form),)
SHORT = FAMILY.short
"""Names for those who do not know the hub's."""

CARD = Card(
    output_type=SaliencyMap,
    about="the object under --point or in --box; needs torch, fetched once",
    weights=WEIGHTS,
    license="Apache-2.0",
    data="SA-V (CC BY 4.0), SA-1B (a research license) and videos of the authors",
    permissive=True,
    source="Ravi et al., SAM 2, 2024, https://arxiv.org/abs/2408.00714",
    prompt_kinds=frozenset({"places"}),
    needs_prompt=True,
    requires_extra="torch",
)


@dataclass(frozen=True, slots=True)
class Points(LoadedCheckpoint):
    """SAM 2.1 as a model."""

    sam: Sam

    def __call__(self, rgb: Rgb, prompt: Prompt | None = None, /) -> SaliencyMap:
        """Return how likely each pixel of (H, W, 3) uint8 sRGB belongs to the object that the prompt's points and box mean.

        Raises UsageError where nothing says what is foreground, or the prompt contradicts itself or leaves the picture;
        WeightsError where the network gives no numbers.
        """
        height, width = rgb.shape[:2]
        if prompt is None or not (prompt.points or prompt.box):
            raise UsageError("model 'points' needs the foreground: give a --point X,Y or a --box LEFT,TOP,RIGHT,BOTTOM")
        places = prompt.places(width, height)
        refuse_contradictions(places)
        return SaliencyMap(probability(self.sam.logits(rgb, [places])[0], height, width))


def load(settings: Settings, *, weights: Weights = WEIGHTS) -> Model:
    """Load the model; raises MissingExtra, WeightsError. `weights` may also be one of `SHORT`."""
    require(FAMILY)
    sam = Sam.load(weights, settings, "points")
    return Points(sam.weights, sam.license, sam)


def pull(settings: Settings, weights: str = WEIGHTS) -> Path:
    """Fetch beforehand; return the folder of the checkpoint, which `load` will find. Raises WeightsError. Needs no torch."""
    return fetch(weights, settings, FAMILY).folder
