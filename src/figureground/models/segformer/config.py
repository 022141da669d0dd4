"""Read and check the two JSON files of a SegFormer checkpoint: shape, class names and preprocessing.

To admit another variant: a field here with its check, what it changes in onnx_writer.py, and a row in
tests/models/test_segformer_onnx_writer.py that holds it against transformers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from figureground.errors import WeightsError
from figureground.inference.preprocess import Normalization, numbers, size_of, unusable
from figureground.types import Json

Sizes = tuple[int, ...]

_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}  # transformers' defaults
_ADVICE = "use an unaltered SegFormer"
_refusal = partial(unusable, file="config.json", advice=_ADVICE)
_processor_refusal = partial(unusable, advice=_ADVICE)


@dataclass(frozen=True, slots=True)
class Architecture:
    """The network's shape: a tuple has a number for each of its stages."""

    depths: Sizes
    heads: Sizes
    channels: Sizes
    reductions: Sizes
    kernels: Sizes
    strides: Sizes
    inner: Sizes
    """Channels inside the feed-forward layers."""
    decoder: int
    activation: str
    """The ONNX operator of the feed-forward layers."""
    names: tuple[str, ...]
    """The class names, stripped, in the order of the logits."""

    @classmethod
    def of(cls, config: Json) -> "Architecture":
        """Return the shape in config.json; raises WeightsError if it is no SegFormer, or none that can be written."""
        require_segformer(config)
        channels = _sizes(config, "hidden_sizes", (32, 64, 160, 256))
        ratios = numbers(config.get("mlp_ratios", 4), "mlp_ratios", len(channels), _refusal)
        activation = {"gelu": "Gelu", "relu": "Relu"}.get(str(config.get("hidden_act", "gelu")))
        architecture = cls(
            depths=_sizes(config, "depths", (2, 2, 2, 2)),
            heads=_sizes(config, "num_attention_heads", (1, 2, 5, 8)),
            channels=channels,
            reductions=_sizes(config, "sr_ratios", (8, 4, 2, 1)),
            kernels=_sizes(config, "patch_sizes", (7, 3, 3, 3)),
            strides=_sizes(config, "strides", (4, 2, 2, 2)),
            inner=tuple(int(c * r) for c, r in zip(channels, ratios, strict=True)),
            decoder=_sizes(config, "decoder_hidden_size", (256,))[0],
            activation=activation or "",
            names=_names(config),
        )
        stages = config.get("num_encoder_blocks", 4)
        if any(
            len(part) != stages
            for part in (
                architecture.depths,
                architecture.heads,
                channels,
                architecture.reductions,
                architecture.kernels,
                architecture.strides,
            )
        ):
            raise _refusal(f"its lists should have a number for each of its {stages} stages")
        if activation is None:
            raise _refusal(f"hidden_act should be gelu or relu, but is {config.get('hidden_act')!r}")
        if any(c % h for c, h in zip(channels, architecture.heads, strict=True)):
            raise _refusal(f"hidden_sizes {channels} cannot be shared by num_attention_heads {architecture.heads}")
        return architecture


@dataclass(frozen=True, slots=True)
class Processor:
    """The preprocessing: resized to height × width, then normalized."""

    height: int
    width: int
    normalization: Normalization

    @classmethod
    def of(cls, processor: Json) -> "Processor":
        """Read preprocessor_config.json; raises WeightsError if it asks for something else than one fixed size."""
        if not processor.get("do_resize", True) or processor.get("do_center_crop"):
            raise _processor_refusal("pictures of any size, or cropped ones, are not supported (do_resize, do_center_crop)")
        return cls(*_size(processor), Normalization.of({**_IMAGENET, **processor}, _processor_refusal))


def require_segformer(config: Json) -> None:
    """Raise WeightsError unless config.json is that of a SegFormer for segmentation."""
    kind, classes = config.get("model_type"), config.get("architectures") or ["SegformerForSemanticSegmentation"]
    if kind != "segformer" or "SegformerForSemanticSegmentation" not in classes:
        raise WeightsError(
            f"expected a SegFormer for segmentation, but the checkpoint's config.json says model_type {kind!r} and"
            f" architectures {classes}; name another one, e.g. nvidia/segformer-b0-finetuned-ade-512-512",
            code="model_missing",
        )


def _sizes(config: Json, key: str, default: Sizes) -> Sizes:
    """Return a list of whole numbers above 0, or one such number as a list."""
    value = config.get(key, default)
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not values or not all(type(v) is int and 0 < v <= 1 << 16 for v in values):
        raise _refusal(f"{key} should be whole numbers above 0, but is {value}")
    return values


def _size(processor: Json) -> tuple[int, int]:
    """Return height and width, of {"height": …, "width": …} or of one number for both."""
    size = size_of(processor, "height", "width", default=512)
    height, width = size.get("height"), size.get("width")
    if not (type(height) is int and type(width) is int and 32 <= min(height, width) and max(height, width) <= 4096):
        raise _processor_refusal(f"size should be height and width from 32 to 4096, but is {processor.get('size', 512)}")
    return height, width


def _names(config: Json) -> tuple[str, ...]:
    """Return the class names by index; as transformers does, LABEL_0 and so on where config.json names none."""
    names = config.get("id2label")
    if names is None:
        return tuple(f"LABEL_{index}" for index in range(_sizes(config, "num_labels", (2,))[0]))
    if not isinstance(names, Mapping) or not names or {str(key) for key in names} != set(map(str, range(len(names)))):
        raise _refusal("id2label should name the classes 0, 1, 2 and so on")
    return tuple(str(names[key]).strip() for key in sorted(names, key=int))
