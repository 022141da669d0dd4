"""SAM 2.1 for other models: the picture is encoded once, then each prompt gives a mask.

Paper: Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024, https://arxiv.org/abs/2408.00714.
Its processor in transformers wants torchvision; what it does to pictures and places is done here instead. To take another
kind of prompt: a field of `Places`, and what `Sam.logits` hands to the network for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.inference.checkpoint import Checkpoint
from figureground.inference.outputs import require_finite
from figureground.inference.preprocess import Normalization, side, size_of, unusable
from figureground.inference.torch_loader import Family, fetch
from figureground.inference.torch_loader import load as load_network
from figureground.models import LoadedCheckpoint
from figureground.prompts import Places
from figureground.settings import Settings
from figureground.types import Mask, Rgb

Floats = NDArray[np.float32]

WEIGHTS = "facebook/sam2.1-hiera-tiny"
SHORT = {
    "sam-tiny": WEIGHTS,
    "sam-small": "facebook/sam2.1-hiera-small",
    "sam-base": "facebook/sam2.1-hiera-base-plus",
    "sam-large": "facebook/sam2.1-hiera-large",
}
"""Names for those who do not know the hub's."""
SIDE = 1024  # of the network's input where the processor's file does not say it
LARGEST = 30.0  # a logit beyond this is certain, and exp of it still a number


def family(model: str) -> Family:
    """Return the family for the model file of that name; the published checkpoints are those for video."""
    return Family(model, "Sam2Model", ("sam2", "sam2_video"), short=SHORT)


@dataclass(frozen=True, slots=True)
class Sam(LoadedCheckpoint):
    """The loaded SAM 2.1."""

    side: int
    normalization: Normalization
    network: Any

    @classmethod
    def load(cls, weights: str, settings: Settings, model: str) -> "Sam":
        """Fetch and load the network for a model file; raises MissingExtra, WeightsError."""
        checkpoint = fetch(weights, settings, family(model))
        length, normalization = _side(checkpoint), Normalization.of(checkpoint.preprocessor)
        return cls(
            checkpoint.name, checkpoint.license, length, normalization, load_network(checkpoint, settings, family(model))
        )

    def logits(self, rgb: Rgb, prompts: Sequence[Places]) -> Floats:
        """Return for each prompt, of at least one point or a box, the mask that the network gives it, (prompts, h, w) float32.

        Above 0 is the object; h and w are the network's own. A single click may mean the shirt or the person: of the
        network's three answers to it the one that it thinks the best is taken; to all else there is one answer.
        Raises WeightsError where the network gives no numbers.
        """
        import torch

        with torch.inference_mode():
            x = torch.from_numpy(self.normalization.tensor(rgb, (self.side, self.side)))
            embeddings = self.network.get_image_embeddings(x)
            masks = np.stack([self._answer(embeddings, prompt, *rgb.shape[:2]) for prompt in prompts])
        require_finite(self.weights, masks)
        return masks

    def _answer(self, embeddings: Any, prompt: Places, height: int, width: int) -> Floats:
        import torch

        scale = np.array((self.side / width, self.side / height), np.float32)
        inputs: dict[str, Any] = {}
        if spots := (*prompt.points, *prompt.not_points):
            labels = [1] * len(prompt.points) + [0] * len(prompt.not_points)
            inputs["input_points"] = torch.from_numpy(np.array(spots, np.float32) * scale)[None, None]  # (1, 1, spots, 2)
            inputs["input_labels"] = torch.tensor(labels)[None, None]
        if prompt.box is not None:
            inputs["input_boxes"] = torch.from_numpy(np.array(prompt.box, np.float32) * np.tile(scale, 2))[None, None]
        ambiguous = prompt.box is None and len(spots) == 1
        answer = self.network(image_embeddings=embeddings, multimask_output=ambiguous, **inputs)
        best = int(answer.iou_scores[0, 0].argmax())
        mask: Floats = answer.pred_masks[0, 0, best].float().numpy()
        return mask


def _side(checkpoint: Checkpoint) -> int:
    """Return the side of the network's square input; raises WeightsError where the files do not agree on one."""
    size = size_of(checkpoint.preprocessor, "height", "width", default={})
    height, width = side(size, "height") or SIDE, side(size, "width") or SIDE
    part = checkpoint.config.get("prompt_encoder_config")
    own = part.get("image_size", SIDE) if isinstance(part, dict) else SIDE
    if not height == width == own:
        raise unusable(f"the network reads {own} × {own} pixels, but size says {width} × {height}")
    return height


def probability(logits: Floats, height: int, width: int) -> Mask:
    """Return logits, (h, w) float32, enlarged bilinearly to (height, width), then as probabilities in [0, 1]."""
    import cv2

    full = np.asarray(cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    np.clip(full, -LARGEST, LARGEST, out=full)  # in place: pictures may be huge
    np.negative(full, out=full)
    np.exp(full, out=full)
    full += 1
    return np.reciprocal(full, out=full)
