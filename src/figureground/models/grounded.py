"""Find what phrases name: Grounding DINO finds boxes, and SAM 2.1 cuts out their content, through torch.

Papers: Liu et al., "Grounding DINO", ECCV 2024; Ravi et al., "SAM 2", 2024; joined as in Ren et al., "Grounded SAM", 2024.
Weights: IDEA-Research's smallest detector and Meta's smallest SAM 2.1, both Apache-2.0 and model.safetensors on main, or
others of the families named with `weights` and `mask_weights`. To add a short name for a detector: a row in `SHORT`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import UnknownOption, UsageError
from figureground.inference.checkpoint import Checkpoint
from figureground.inference.outputs import require_finite
from figureground.inference.phrases import tidy, tokenizer, tokens
from figureground.inference.preprocess import Normalization, side, unusable
from figureground.inference.torch_loader import Family, fetch, require
from figureground.inference.torch_loader import load as load_network
from figureground.models import Card, LoadedCheckpoint, Model, Weights
from figureground.models.points.sam import WEIGHTS as MASKS
from figureground.models.points.sam import Sam, family, probability
from figureground.prompts import Places, Prompt
from figureground.settings import Settings
from figureground.types import Mask, Rgb, SaliencyMap

Boxes = NDArray[np.float32]
"""(boxes, 4): left, top, right, bottom in the picture's pixels."""

DEFAULT = "IDEA-Research/grounding-dino-tiny"
SHORT = {"grounding-dino-tiny": DEFAULT, "grounding-dino-base": "IDEA-Research/grounding-dino-base"}
"""Names for those who do not know the hub's."""
FAMILY = Family("grounded", "GroundingDinoForObjectDetection", ("grounding-dino",), tokenizer=True, short=SHORT)
CHECKPOINTS = ((DEFAULT, FAMILY.form), (MASKS, family("grounded").form))

CARD = Card(
    output_type=SaliencyMap,
    about="what --prompt names, found as boxes and cut out; needs torch, fetched once",
    weights=DEFAULT,
    license="Apache-2.0",
    data="Objects365, GoldG, Cap4M (terms vary); for the masks SA-V (CC BY 4.0), SA-1B (a research license)",
    permissive=True,
    source="Liu et al., Grounding DINO, ECCV 2024, https://arxiv.org/abs/2303.05499",
    prompt_kinds=frozenset({"text"}),
    needs_prompt=True,
    requires_extra="torch",
)


BOX_THRESHOLD = 0.4
"""As in the example of the checkpoint's card; the code of the authors' demonstration takes 0.35, transformers 0.25."""
MOST = 64  # boxes that are filled, the surest ones
PART = 4096  # places of the detector's attention at once: all 22,000 of a picture would take a gigabyte between them


@dataclass(frozen=True, slots=True)
class Fit:
    """The input size: the shorter side becomes `shortest`, and the longer one at most `longest`."""

    shortest: int
    longest: int

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Fit":
        """Read preprocessor_config.json; raises WeightsError for what is not supported."""
        size = checkpoint.preprocessor.get("size", {"shortest_edge": 800, "longest_edge": 1333})
        if not isinstance(size, dict):
            raise unusable(f"size should have shortest_edge and longest_edge, but is {size!r}")
        shortest, longest = side(size, "shortest_edge"), side(size, "longest_edge")
        if not shortest or not longest:
            raise unusable("size should have shortest_edge and longest_edge")
        return cls(shortest, longest)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the network's height and width for a picture, as transformers rounds them, at least a pixel."""
        short, long = min(height, width), max(height, width)
        exact: float = self.shortest
        if long / short * exact > self.longest:
            exact = self.longest * short / long
        less = max(1, round(exact))
        more = long if less == short else max(1, int(exact * long / short))
        return (less, more) if height <= width else (more, less)


@dataclass(frozen=True, slots=True)
class Grounded(LoadedCheckpoint):
    """Two loaded checkpoints."""

    fit: Fit
    normalization: Normalization
    network: Any
    reader: Any
    sam: Sam
    box_threshold: float

    def __call__(self, rgb: Rgb, prompt: Prompt | None = None, /) -> SaliencyMap:
        """Return how likely each pixel of (H, W, 3) uint8 sRGB belongs to something that the prompt's phrases name.

        The union of the masks of all boxes whose score exceeds the threshold; where there is none, 0 everywhere. What
        `without` names is found in the same way and taken away: min(p, 1 − q). Raises UsageError without a phrase, for an
        empty phrase or too many words; WeightsError where a network gives no numbers.
        """
        wanted, unwanted = (tidy(phrases) for phrases in ((prompt.text, prompt.without) if prompt else ((), ())))
        if not wanted:
            raise UsageError("model 'grounded' needs the foreground: name it with --prompt, such as --prompt 'the dog'")
        union = self._union(rgb, wanted)
        if unwanted:
            less = self._union(rgb, unwanted)
            np.subtract(1, less, out=less)  # in place: pictures may be huge
            np.minimum(union, less, out=union)
        return SaliencyMap(union)

    def _union(self, rgb: Rgb, phrases: tuple[str, ...]) -> Mask:
        """Return the probability that a pixel is of anything that the phrases name, (H, W); joined at the network's size."""
        height, width = rgb.shape[:2]
        boxes = self.boxes(rgb, phrases)
        if not len(boxes):
            return np.zeros((height, width), np.float32)
        left, top, right, bottom = boxes.T.tolist()
        prompts = [Places(box=box) for box in zip(left, top, right, bottom, strict=True)]
        return probability(self.sam.logits(rgb, prompts).max(0), height, width)

    def boxes(self, rgb: Rgb, phrases: tuple[str, ...]) -> Boxes:
        """Return the boxes in which the detector sees what the phrases name, the surest first."""
        import torch

        height, width = rgb.shape[:2]
        read = tokens(self.reader, ". ".join(phrase.lower() for phrase in phrases) + ".", self.network.config.max_text_len)
        with torch.inference_mode():
            x = torch.from_numpy(self.normalization.tensor(rgb, self.fit.size(height, width)))
            answer = self.network(pixel_values=x, **read)
        scores = answer.logits[0].sigmoid().max(-1).values.numpy()
        middle = answer.pred_boxes[0].numpy()
        require_finite(self.weights, scores, middle)
        order = np.argsort(-scores, kind="stable")[:MOST]
        center, half = np.split(middle[order[scores[order] > self.box_threshold]], 2, axis=1)
        corners = np.concatenate([center - half / 2, center + half / 2], axis=1)
        scaled: Boxes = corners * np.array([width, height, width, height], np.float32)
        return scaled


def load(
    settings: Settings,
    *,
    weights: Weights = DEFAULT,
    mask_weights: Annotated[str, "Hub id or local folder of the SAM 2 checkpoint that fills the boxes."] = MASKS,
    box_threshold: Annotated[float, "How sure a box must be to count, above 0 and below 1."] = BOX_THRESHOLD,
) -> Model:
    """Load the model; raises MissingExtra, WeightsError, and UnknownOption for an invalid threshold."""
    if not 0 < box_threshold < 1:
        raise UnknownOption(f"box_threshold must be above 0 and below 1, but got {box_threshold:g}")
    require(FAMILY)
    checkpoint = fetch(weights, settings, FAMILY)
    sam = Sam.load(mask_weights, settings, "grounded")
    fit, normalization = Fit.of(checkpoint), Normalization.of(checkpoint.preprocessor)
    network, reader = _in_parts(load_network(checkpoint, settings, FAMILY)), tokenizer(checkpoint)
    license = checkpoint.license if checkpoint.license == sam.license else f"{checkpoint.license}; masks: {sam.license}"
    return Grounded(checkpoint.name, license, fit, normalization, network, reader, sam, box_threshold)


def _in_parts(network: Any) -> Any:
    """Return the network with deformable attention that takes `PART` queries at a time; queries are independent."""
    for module in network.modules():
        if type(module).__name__ == "MultiScaleDeformableAttention":
            module.forward = partial(_attended, module.forward)
    return network


def _attended(whole: Callable[..., Any], value: Any, *rest: Any) -> Any:
    """Return the output of `whole`, (1, queries, channels), computed part by part; see transformers for its arguments."""
    import torch

    *sizes, places, weights, step = rest
    parts = zip(places.split(PART, 1), weights.split(PART, 1), strict=True)
    return torch.cat([whole(value, *sizes, place, weight, step) for place, weight in parts], 1)


def pull(settings: Settings, weights: str = DEFAULT) -> Path:
    """Fetch the detector and the default SAM 2.1 beforehand; return the detector's folder. Raises WeightsError."""
    folder = fetch(weights, settings, FAMILY).folder
    fetch(MASKS, settings, family("grounded"))
    return folder
