"""Find each object of a picture and its class: checkpoints for panoptic segmentation, through torch.

Papers: Kerssies et al., "Your ViT is Secretly an Image Segmentation Model" (EoMT), CVPR 2025; Cheng et al., "Masked-attention
Mask Transformer" (Mask2Former), CVPR 2022; Jain et al., "OneFormer", CVPR 2023. Weights: EoMT's, MIT, from the hub, or any
others named with `weights`. To add a short name: a row in `SHORT`; an architecture: a row in `READINGS` and its test.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from figureground.inference.checkpoint import Checkpoint
from figureground.inference.label_sets import class_names, coco, stuff_flags
from figureground.inference.preprocess import Normalization, side, size_of, unusable
from figureground.inference.torch_loader import Family, fetch, quiet, require
from figureground.inference.torch_loader import load as load_network
from figureground.models import Card, LoadedCheckpoint, Model, Weights
from figureground.models.panoptic.postprocess import PanopticConfig, instances
from figureground.settings import Settings
from figureground.types import InstanceMap, Json, Rgb

DEFAULT = "tue-mps/coco_panoptic_eomt_base_640_2x"
SHORT = {
    "eomt-small": "tue-mps/coco_panoptic_eomt_small_640_2x",
    "eomt-base": DEFAULT,
    "eomt-large": "tue-mps/coco_panoptic_eomt_large_640",
    "mask2former-tiny": "facebook/mask2former-swin-tiny-coco-panoptic",
}
"""Names for those who do not know the hub's."""

_FORMER = PanopticConfig(threshold=0.5, weighed=True)
CONFIGS = {
    "eomt": PanopticConfig(threshold=0.8, padded=True),
    "eomt_dinov3": PanopticConfig(threshold=0.8, padded=True),
    "mask2former": PanopticConfig(threshold=0.5, weighed=True, grid=(384, 384)),
    "maskformer": _FORMER,
    "oneformer": _FORMER,
}
"""How the answers of each architecture are read; the numbers are the defaults of transformers' post-processing."""
FAMILY = Family("panoptic", "AutoModelForUniversalSegmentation", tuple(CONFIGS), short=SHORT)
CHECKPOINTS = ((DEFAULT, FAMILY.form),)

CLASSES = coco
"""The class names of `DEFAULT`, and which of them are stuff."""

CARD = Card(
    output_type=InstanceMap,
    about="each object for itself, this person and that one; needs torch, fetched once",
    weights=DEFAULT,
    license="MIT",
    data="COCO (its photographs under licenses of their own) after DINOv2's web pictures",
    permissive=True,
    source="Kerssies et al., EoMT, CVPR 2025, https://arxiv.org/abs/2503.19108",
    requires_extra="torch",
)


@dataclass(frozen=True, slots=True)
class Frame:
    """The input size: an exact one, or one by the edges; the rest is padded with black."""

    height: int | None
    width: int | None
    shortest: int | None
    longest: int | None
    divisor: int
    pad: bool

    @classmethod
    def of(cls, config: Json, kind: str) -> "Frame":
        """Read preprocessor_config.json; raises WeightsError for what is not supported."""
        if config.get("do_split_image"):
            raise unusable("it splits pictures, as networks do that name pixels and not objects (do_split_image)")
        size = size_of(config, "shortest_edge")
        height, width = side(size, "height"), side(size, "width")
        shortest, longest = side(size, "shortest_edge"), side(size, "longest_edge") or side(config, "max_size")
        if config.get("do_resize", True) is False or (shortest is None and (height is None or width is None)):
            raise unusable("expected do_resize to a height and a width, or a shortest_edge")
        divisor = (side(config, "size_divisor") or 32) if kind in ("mask2former", "maskformer") else 1
        return cls(height, width, shortest, longest, divisor, bool(config.get("do_pad")) and kind.startswith("eomt"))

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of a picture for the network, before padding."""
        if self.shortest is None or (self.height and self.width):
            tall, wide = self.height or height, self.width or width
        else:
            tall, wide = _by_edges(height, width, self.shortest, self.longest or 4 * self.shortest)
        return _up(tall, self.divisor), _up(wide, self.divisor)

    def padded(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the network's own size for a picture of that size."""
        if not self.pad or self.shortest is None:
            return size
        return max(size[0], self.shortest), max(size[1], self.longest or self.shortest)


def _by_edges(height: int, width: int, shortest: int, longest: int) -> tuple[int, int]:
    """Scale the shorter side to `shortest`, or the longer one to `longest` if it would be longer."""
    low, high = min(height, width), max(height, width)
    exact = longest * low / high if high / low * shortest > longest else float(shortest)
    short = max(1, round(exact))
    long = min(longest, high if short == low else max(1, int(exact * high / low)))
    return (short, long) if height <= width else (long, short)


def _up(length: int, divisor: int) -> int:
    return -(-length // divisor) * divisor


@dataclass(frozen=True, slots=True)
class Panoptic(LoadedCheckpoint):
    """A loaded network for panoptic segmentation."""

    names: tuple[str, ...]
    stuff: tuple[bool, ...]
    frame: Frame
    normalization: Normalization
    config: PanopticConfig
    network: Any
    more: dict[str, Any]
    """What the network wants to be told besides the picture: OneFormer its task."""

    def __call__(self, rgb: Rgb, /) -> InstanceMap:
        """Return the objects of (H, W, 3) uint8 sRGB: things before stuff, each by area, the largest first.

        Raises WeightsError where the network gives no numbers.
        """
        import torch

        size = self.frame.fit(*rgb.shape[:2])
        padded = self.frame.padded(size)
        x = torch.from_numpy(self.normalization.tensor(rgb, size, padded))
        with torch.inference_mode():
            outputs = self.network(pixel_values=x, **self.more)
        classes, masks = outputs.class_queries_logits[0].numpy(), outputs.masks_queries_logits[0].numpy()
        return instances(rgb, masks, classes, self.config.on(size, padded), self.names, self.stuff, self.weights)


def load(settings: Settings, *, weights: Weights = DEFAULT) -> Model:
    """Load the model; raises MissingExtra, WeightsError. `weights` may also be one of `SHORT`."""
    require(FAMILY)
    checkpoint = _fetch(weights, settings)
    kind = str(checkpoint.config["model_type"])
    frame, normalization = Frame.of(checkpoint.preprocessor, kind), Normalization.of(checkpoint.preprocessor)
    network = load_network(checkpoint, settings, FAMILY)
    names = class_names(checkpoint.config, network.config.num_labels)
    more = _task(checkpoint) if kind == "oneformer" else {}
    return Panoptic(
        checkpoint.name, checkpoint.license, names, stuff_flags(names), frame, normalization, CONFIGS[kind], network, more
    )


def pull(settings: Settings, weights: str = DEFAULT) -> Path:
    """Fetch beforehand; return the folder of the checkpoint, which `load` will find. Raises WeightsError. Needs no torch."""
    return _fetch(weights, settings).folder


def _fetch(weights: str, settings: Settings) -> Checkpoint:
    checkpoint = fetch(weights, settings, FAMILY)
    if checkpoint.config["model_type"] != "oneformer":
        return checkpoint
    return fetch(weights, settings, replace(FAMILY, tokenizer=True))


def _task(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the tokens of OneFormer's task."""
    import torch
    from transformers import AutoTokenizer

    length = int(checkpoint.config.get("task_seq_len", 77))
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True)
        tokens = tokenizer("the task is panoptic", padding="max_length", max_length=length, truncation=True)
    return {"task_inputs": (torch.tensor(tokens["attention_mask"]) * torch.tensor(tokens["input_ids"]))[None]}
