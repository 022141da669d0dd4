"""Find what phrases name, or without any the main subject: CLIPSeg, through torch.

Paper: Lüddecke and Ecker, "Image Segmentation Using Text and Image Prompts", CVPR 2022. Weights: the authors' refined ones,
Apache-2.0, model.safetensors as the hub's bot converted it, or any others of the family named with `weights`.
To change what is meant where nothing is said: a row in `OPPOSED`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.inference.checkpoint import Checkpoint
from figureground.inference.outputs import require_finite
from figureground.inference.phrases import tidy, tokenizer, tokens
from figureground.inference.preprocess import Normalization, side, size_of, unusable
from figureground.inference.torch_loader import Family, fetch, require
from figureground.inference.torch_loader import load as load_network
from figureground.masks.propagation import sigmoid
from figureground.models import Card, LoadedCheckpoint, Model, Weights
from figureground.prompts import Prompt
from figureground.settings import Settings
from figureground.types import Rgb, SaliencyMap

Floats = NDArray[np.float32]

DEFAULT = "CIDAS/clipseg-rd64-refined"
SHORT = {"clipseg": DEFAULT}
"""Names for those who do not know the hub's."""
FAMILY = Family("text", "CLIPSegForImageSegmentation", ("clipseg",), tokenizer=True, short=SHORT)
CHECKPOINTS = ((DEFAULT, FAMILY.form),)

CARD = Card(
    output_type=SaliencyMap,
    about="what --prompt names, or the main subject; needs torch, fetched once",
    weights=DEFAULT,
    license="Apache-2.0",
    data="PhraseCut (photographs of Visual Genome, CC BY 4.0) after CLIP's pictures of the web, whose terms vary",
    permissive=True,
    source="Lüddecke and Ecker, CLIPSeg, CVPR 2022, https://arxiv.org/abs/2112.10003",
    prompt_kinds=frozenset({"text"}),
    requires_extra="torch",
)


@dataclass(frozen=True, slots=True)
class Opposed:
    """A phrase of the built-in prompt."""

    phrase: str
    foreground: bool
    why: str


OPPOSED = (
    Opposed("the main subject", True, "what the founding prompt asks for"),
    Opposed("the object in the foreground", True, "a subject that is a thing, and of which several may be there"),
    Opposed("a person", True, "the most common subject, and the surest word: people are found where 'subject' says too little"),
    Opposed("an animal", True, "the second most common; the networks know it better than by 'object'"),
    Opposed("the background", False, "the counterpart of the main subject"),
    Opposed("the sky", False, "stuff above, mostly bright and plain"),
    Opposed("a wall", False, "stuff behind, in rooms and streets"),
    Opposed("the floor or the ground", False, "stuff below; else it goes with the feet that stand on it"),
    Opposed("grass, trees and plants", False, "stuff behind in nature, with much texture"),
    Opposed("water", False, "stuff below in nature, which mirrors the subject"),
    Opposed("blurred things in the distance", False, "what is out of focus is not what the photographer meant"),
)
"""What is asked where the user says nothing: each pixel goes to the side whose best phrase fits it better."""


@dataclass(frozen=True, slots=True)
class Text(LoadedCheckpoint):
    """The loaded CLIPSeg."""

    size: tuple[int, int]
    normalization: Normalization
    network: Any
    reader: Any
    longest: int
    """Tokens of a phrase, at most."""
    known: dict[bool, list[Any]] = field(default_factory=dict)
    """The built-in phrases as the network has them, once they were needed."""

    def __call__(self, rgb: Rgb, prompt: Prompt | None = None, /) -> SaliencyMap:
        """Return how likely each pixel of (H, W, 3) uint8 sRGB is what the prompt's phrases name.

        A phrase's probability is the sigmoid of its logit, as the network was trained: a dog that is not there is found
        nowhere, which a softmax against other phrases could not say. Phrases are joined by the largest probability p of
        any; of those in `without`, q, it becomes min(p, 1 − q): at one half, that is the first set less the second.
        Without phrases p is the softmax between the two sides of `OPPOSED`, each with the largest logit of its own, so
        that a side with more phrases has no advantage: a subject is asked for, which can only be told by comparison.

        Raises UsageError for an empty phrase or one that is too long, WeightsError where the network gives no numbers.
        """
        import cv2
        import torch

        wanted, unwanted = (tidy(phrases) for phrases in ((prompt.text, prompt.without) if prompt else ((), ())))
        with torch.inference_mode():
            words = {phrase: self._read(phrase) for phrase in (*wanted, *unwanted)}
            features = self._features(rgb)
            if wanted:
                probability = sigmoid(self._best(features, (words[phrase] for phrase in wanted)))
            else:
                fore, back = (self._best(features, self._built_in(foreground)) for foreground in (True, False))
                probability = sigmoid(fore - back)
            if unwanted:
                probability = np.minimum(probability, 1 - sigmoid(self._best(features, (words[phrase] for phrase in unwanted))))
        full = np.asarray(cv2.resize(probability, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)
        return SaliencyMap(np.clip(full, 0, 1, out=full))

    def _read(self, phrase: str) -> Any:
        """Return a phrase as the network has it, (1, projection)."""
        read = tokens(self.reader, phrase, self.longest)
        return self.network.get_conditional_embeddings(1, read["input_ids"], read["attention_mask"])

    def _built_in(self, foreground: bool) -> list[Any]:
        """Return the phrases of one side of `OPPOSED`, read once for all pictures."""
        if foreground not in self.known:
            self.known[foreground] = [self._read(one.phrase) for one in OPPOSED if one.foreground is foreground]
        return self.known[foreground]

    def _features(self, rgb: Rgb) -> list[Any]:
        """Return the picture as the network has it, whatever the phrases are: one encoding for all of them."""
        import torch

        x = torch.from_numpy(self.normalization.tensor(rgb, self.size))
        layers = self.network.clip.get_image_features(x, interpolate_pos_encoding=True, output_hidden_states=True).hidden_states
        return [layers[index + 1] for index in self.network.extract_layers]

    def _best(self, features: list[Any], phrases: Iterable[Any]) -> Floats:
        """Return the largest logit of any phrase, (h, w); raises WeightsError where the network gives no numbers."""
        logits = (self.network.decoder(features, phrase).logits.float().numpy().reshape(self.size) for phrase in phrases)
        best: Floats = reduce(np.maximum, logits)
        require_finite(self.weights, best)
        return best


def load(settings: Settings, *, weights: Weights = DEFAULT) -> Model:
    """Load the model; raises MissingExtra, WeightsError. `weights` may also be one of `SHORT`."""
    require(FAMILY)
    checkpoint = fetch(weights, settings, FAMILY)
    size, normalization = _size(checkpoint), Normalization.of(checkpoint.preprocessor)
    network, reader = load_network(checkpoint, settings, FAMILY), tokenizer(checkpoint)
    longest = int(network.config.text_config.max_position_embeddings)
    return Text(checkpoint.name, checkpoint.license, size, normalization, network, reader, longest)


def pull(settings: Settings, weights: str = DEFAULT) -> Path:
    """Fetch beforehand; return the folder of the checkpoint, which `load` will find. Raises WeightsError. Needs no torch."""
    return fetch(weights, settings, FAMILY).folder


def _size(checkpoint: Checkpoint) -> tuple[int, int]:
    """Return height and width of the network's input, in whole patches; raises WeightsError if they make no sense."""
    size = size_of(checkpoint.preprocessor, "height", "width", default=352)
    height, width = side(size, "height"), side(size, "width")
    part = checkpoint.config.get("vision_config")
    patch = part.get("patch_size", 16) if isinstance(part, dict) else 16
    if not height or height != width or height % patch:
        raise unusable(f"expected a square size in whole patches of {patch} pixels, but got {width} × {height}")
    return height, width
