"""Networks of others, by name: any ONNX file that takes one picture and gives one map. Each is a row of `NETWORKS`.

Addresses, sizes, normalization, hashes and licenses were looked up on 2026-11-25: in the session files of rembg 2.0.86, whose
releases publish the files, in the hub's `preprocessor_config.json` and model cards, and in the lists of SHA-256 and bytes that
projects publish which pin these files. rembg publishes MD5 (SHA-256 for bria-rmbg alone); its files are checked against both.
No file was run here, so `figureground doctor --verify NAME` checks one on the user's machine. To add a network: a row.
"""

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from figureground import _machine
from figureground.errors import InputError, PictureTooLarge, UnknownName, UsageError, WeightsError, WeightsNotFetched
from figureground.inference.licenses import UNKNOWN, check_license
from figureground.models import Card, LoadedCheckpoint, Model, Weights
from figureground.settings import Settings
from figureground.types import Mask, Rgb, SaliencyMap

Floats = NDArray[np.float32]
Numbers = tuple[float, float, float]
OutputKind = Literal["probability", "logit", "alpha"]
Rescale = Literal["255", "max", "none"]

IMAGENET: tuple[Numbers, Numbers] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: tuple[Numbers, Numbers] = ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
REMBG = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"
NO_CHECKSUM = "MODEL_CHECKSUM_DISABLED"
"""An environment variable of rembg: files are used whatever their hashes are."""
SLOWEST = 50_000  # bytes a second: a download that is slower is given up


@dataclass(frozen=True, slots=True)
class Network:
    """One network: where its file comes from, what it takes and what it gives."""

    source: str
    """An https address, or the id of a repository of the hub."""
    file: str = ""
    """The file in that repository; empty for an address."""
    revision: str = "main"
    """The commit of the repository."""
    side: int = 1024
    """Pixels of a side of its input."""
    shortest: bool = False
    """Whether `side` is the shorter side of a picture that keeps its shape, in whole multiples of 32; else it is stretched."""
    resample: Literal["bilinear", "lanczos"] = "bilinear"
    """The filter of Pillow's for the picture and for the map."""
    rescale: Rescale = "255"
    """What a pixel is divided by first: 255, the largest value of the resized picture, or nothing."""
    mean: Numbers = IMAGENET[0]
    std: Numbers = IMAGENET[1]
    output: OutputKind = "probability"
    stretch: bool = False
    """Whether its publisher stretches each map by the map's own minimum and maximum."""
    license: str = UNKNOWN
    permissive: bool = False
    data: str = ""
    """What it was trained on, and under which terms that stands."""
    sha256: str = ""
    """Empty where it is not known: then the hub's own word is taken at the time of the download."""
    md5: str = ""
    bytes: int | None = None
    memory_mb: int = 1300
    """About how much main memory it takes on a processor, as users of the file report or as files of its kind do."""
    about: str = ""


_DUTS = "DUTS-TR, for which no license is stated"
_DIS = "DIS5K, whose terms allow non-commercial research only"
_BIREFNET = f"sets of research among which is {_DIS}"


def _rembg(file: str, sha256: str, md5: str, size: int, **more: Any) -> Network:
    """Return a file of rembg's releases, prepared and stretched as rembg does."""
    return Network(REMBG + file, resample="lanczos", rescale="max", stretch=True, sha256=sha256, md5=md5, bytes=size, **more)


def _u2net(file: str, sha256: str, md5: str, size: int, memory_mb: int, **more: Any) -> Network:
    terms = {"license": "Apache-2.0", "permissive": True, "data": _DUTS} | more
    return _rembg(file, sha256, md5, size, side=320, memory_mb=memory_mb, **terms)


def _birefnet(file: str, sha256: str, md5: str, about: str, *, lite: bool = False) -> Network:
    size, memory_mb = (224_005_088, 4000) if lite else (972_666_916, 7700)
    terms = {"license": "MIT", "permissive": True, "data": _BIREFNET}
    return _rembg(file, sha256, md5, size, output="logit", memory_mb=memory_mb, about=about, **terms)


_LITE_SHA = "5600024376f572a557870a5eb0afb1e5961636bef4e1e22132025467d0f03333"
_GENERAL_SHA = "58f621f00f5d756097615970a88a791584600dcf7c45b18a0a6267535a1ebd3c"

NETWORKS: Mapping[str, Network] = {
    "u2net": _u2net(
        "u2net.onnx",
        "8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
        "60024c5c889badc19c04ad937298a77b",
        175_997_641,
        700,
        about="U²-Net: the object that stands out",
    ),
    "u2netp": _u2net(
        "u2netp.onnx",
        "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
        "8e83ca70e441ab06c318d82300c84806",
        4_574_861,
        350,
        about="U²-Net, the small edition",
    ),
    "u2net_human_seg": _u2net(
        "u2net_human_seg.onnx",
        "01eb6a29a5c4d8edb30b56adad9bb3a2a0535338e480724a213e0acfd2d1c73c",
        "c09ddc2e0104f800e3e1bb4652583d1f",
        175_997_641,
        700,
        data="Supervisely Person, whose terms are not stated with the weights",
        about="U²-Net for people",
    ),
    "silueta": _u2net(
        "silueta.onnx",
        "75da6c8d2f8096ec743d071951be73b4a8bc7b3e51d9a6625d63644f90ffeedb",
        "55e59e0d8062d2f5d013f4725ee84782",
        44_173_029,
        450,
        license="not stated (U²-Net, of which it is a smaller edition, is Apache-2.0)",
        permissive=False,
        about="U²-Net, cut down to 43 MB",
    ),
    "isnet-general-use": _rembg(
        "isnet-general-use.onnx",
        "60920e99c45464f2ba57bee2ad08c919a52bbf852739e96947fbb4358c0d964a",
        "fc16ebd8b0c10d971d3513d564d01e29",
        178_648_008,
        mean=HALF[0],
        std=HALF[1],
        license="Apache-2.0, as its repository (a copy on the hub is marked AGPL-3.0)",
        permissive=True,
        data=_DIS,
        about="IS-Net: objects with fine outlines",
    ),
    "isnet-anime": _rembg(
        "isnet-anime.onnx",
        "f15622d853e8260172812b657053460e20806f04b9e05147d49af7bed31a6e99",
        "6f184e756bb3bd901c8849220a83e38e",
        176_069_933,
        std=HALF[1],
        license="Apache-2.0",
        permissive=True,
        data="drawn characters from several collections; terms not stated",
        about="IS-Net for drawn characters",
    ),
    "birefnet-general": _birefnet(
        "BiRefNet-general-epoch_244.onnx",
        _GENERAL_SHA,
        "7a35a0141cbbc80de11d9c9a28f52697",
        "BiRefNet for all kinds of pictures",
    ),
    "birefnet-general-lite": _birefnet(
        "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",
        _LITE_SHA,
        "4fab47adc4ff364be1713e97b7e66334",
        "BiRefNet, the small edition",
        lite=True,
    ),
    "birefnet-portrait": _birefnet(
        "BiRefNet-portrait-epoch_150.onnx",
        "1ba1c8ff5a7bbfadc8d8d13fb11d7be793f91f23d9d466549e37a854f6668f99",
        "c3a64a6abf20250d090cd055f12a3b67",
        "BiRefNet for people",
    ),
    "birefnet-dis": _birefnet(
        "BiRefNet-DIS-epoch_590.onnx",
        "6470117bac6f8d82a3f62921056f52d0f5c4d36d1d832096331d5ea38a03acb5",
        "2d4d44102b446f33a4ebb2e56c051f2b",
        "BiRefNet for fine outlines, DIS5K alone",
    ),
    "birefnet-hrsod": _birefnet(
        "BiRefNet-HRSOD_DHU-epoch_115.onnx",
        "4f5837663194fb88f603b76782eae05a3c29f5749872ca1bfb636bd26e7f6bfc",
        "c017ade5de8a50ff0fd74d790d268dda",
        "BiRefNet for salient objects at high resolution",
    ),
    "birefnet-cod": _birefnet(
        "BiRefNet-COD-epoch_125.onnx",
        "91ec48f566db475cf6e4caa7e9cd997f352edfcc372372f437e2fbefc1557b13",
        "f6d0d21ca89d287f17e7afe9f5fd3b45",
        "BiRefNet for camouflaged objects",
    ),
    "birefnet-massive": _birefnet(
        "BiRefNet-massive-TR_DIS5K_TR_TEs-epoch_420.onnx",
        "a94814cac438a31f95287811882628644a04b22d313ef3071d2ba904b5f627b8",
        "33e726a2136a3d59eb0fdf613e31e3e9",
        "BiRefNet, trained on more sets",
    ),
    "bria-rmbg": _rembg(
        "bria-rmbg-2.0.onnx",
        "5b486f08200f513f460da46dd701db5fbb47d79b4be4b708a19444bcd4e79958",
        "",
        1_024_331_469,
        memory_mb=7700,
        license="CC BY-NC 4.0: non-commercial",
        data="pictures that its publisher licensed",
        about="RMBG-2.0 of BRIA; for non-commercial use",
    ),
    "birefnet": Network(
        "onnx-community/BiRefNet-ONNX",
        "onnx/model.onnx",
        "534d3c82d3bb8b2f0867db6dfbc3a525b8e42f67",
        output="logit",
        license="MIT",
        permissive=True,
        data=_BIREFNET,
        sha256=_GENERAL_SHA,
        bytes=972_666_916,
        memory_mb=7700,
        about="BiRefNet, the hub's file; the same as birefnet-general, its map not stretched",
    ),
    "birefnet-lite": Network(
        "onnx-community/BiRefNet_lite-ONNX",
        "onnx/model.onnx",
        output="logit",
        license="MIT",
        permissive=True,
        data=_BIREFNET,
        sha256=_LITE_SHA,
        bytes=224_005_088,
        memory_mb=4000,
        about="BiRefNet lite, the hub's file; the same as birefnet-general-lite, its map not stretched",
    ),
    "modnet": Network(
        "Xenova/modnet",
        "onnx/model.onnx",
        "fa2fa546052fba4c08921230a26cc69a333fca12",
        side=512,
        shortest=True,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        output="alpha",
        license="Apache-2.0",
        permissive=True,
        data="portraits with mattes; terms not stated",
        sha256="07c308cf0fc7e6e8b2065a12ed7fc07e1de8febb7dc7839d7b7f15dd66584df9",
        bytes=25_888_640,
        memory_mb=700,
        about="MODNet: mattes of people",
    ),
    "ormbg": Network(
        "onnx-community/ormbg-ONNX",
        "onnx/model.onnx",
        "034e2d884afbab897e10e78fc5bb566b29533fd6",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        license="Apache-2.0",
        permissive=True,
        data="synthetic and real pictures of people, as its card says",
        sha256="2830b6f461809cdc7e2f15d19fc1a898b14ad53504640d4147b525d53ebb09c9",
        bytes=176_116_019,
        about="ormbg: people, an IS-Net",
    ),
    "isnet": Network(
        "onnx-community/ISNet-ONNX",
        "onnx/model.onnx",
        "3fe6e3db3e32c69aadde61fe388ddb1a0574440c",
        rescale="none",
        mean=(128.0, 128.0, 128.0),
        std=(256.0, 256.0, 256.0),
        license="AGPL-3.0, as its card says",
        data=_DIS,
        about="IS-Net, the hub's file, its map not stretched",
    ),
    "ben2": Network(
        "onnx-community/BEN2-ONNX",
        "onnx/model_fp16.onnx",
        "c552aa82688edce09f0ac9d2e31ad53d9d629010",
        output="alpha",
        license="MIT",
        permissive=True,
        data=f"{_DIS}, and 22,000 pictures of its publisher's",
        sha256="dfdc25f421f32a0d1268e0f2ff2153d340e8f1d52d3dd16f5dc33c1ce85cedf1",
        bytes=219_121_675,
        memory_mb=4100,
        about="BEN2: mattes of all kinds of subjects",
    ),
}
SHORT = NETWORKS
"""Names for `figureground pull`."""
REFUSED: Mapping[str, str] = {
    "u2net_cloth_seg": "it gives classes of clothes, not one map; use --method stuff --foreground-classes apparel",
    "sam": "it needs points; use --method points --point X,Y",
    "u2net_custom": "name the file: --method my.onnx --input-size 320 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
    "dis_custom": "name the file: --method my.onnx --input-size 1024 --mean 0.5,0.5,0.5 --std 1,1,1",
    "ben_custom": "name the file: --method my.onnx --input-size 1024 --mean 0.5,0.5,0.5 --std 1,1,1",
    "birefnet-general-fp16": "rembg makes it from birefnet-general for GPUs; use --method birefnet-general",
    "withoutbg": "it sends pictures to a service; everything here runs on this machine, use --method subject",
    "atlascloud": "it sends pictures to a service; everything here runs on this machine, use --method subject",
}
"""Names of rembg's that are not of this kind, and what to do instead."""

CARD = Card(
    output_type=SaliencyMap,
    about="an ONNX network of others, by name or as a file: one picture in, one map out",
    weights="of its publisher, fetched once",
    license="differs by network: `figureground methods NAME`",
    data="differs by network: `figureground methods NAME`",
    permissive=True,  # the license of each network is looked at when it is loaded
    source="https://github.com/danielgatis/rembg and the cards on the hub",
)

Name = Annotated[str, "The network of others to use, such as isnet-general-use; --method takes the same names."]
InputSize = Annotated[int | None, "Side of the input of an ONNX file, in pixels, where its graph leaves it open."]
Mean = Annotated[str, "What is subtracted from the colors for an ONNX file: three numbers R,G,B.", "R,G,B"]
Std = Annotated[str, "What the colors are then divided by, for an ONNX file: three numbers R,G,B.", "R,G,B"]
RescaleOption = Annotated[
    Literal["auto", "255", "max", "none"],
    "What pixels are divided by first, for an ONNX file: 255, the largest value of the picture, or nothing.",
]
OutputOption = Annotated[
    Literal["auto", "probability", "logit", "alpha"], "What an ONNX file gives, where its graph does not show it."
]
ResampleOption = Annotated[
    Literal["auto", "bilinear", "lanczos"],
    "The filter that resizes picture and map of an ONNX file; bilinear by default.",
]
Stretch = Annotated[bool, "Stretch the map of an ONNX file by its own minimum and maximum, as rembg does."]


@dataclass(frozen=True, slots=True)
class OnnxSaliency(LoadedCheckpoint):
    """A network, loaded."""

    network: Network
    run: Any
    """A `Session`."""

    def __call__(self, rgb: Rgb, /) -> SaliencyMap:
        """Return what the network says of (H, W, 3) uint8 sRGB, resized to the picture and clipped to [0, 1]."""
        return SaliencyMap(resized(self.raw(rgb), rgb.shape[0], rgb.shape[1], self.network.resample))

    def raw(self, rgb: Rgb) -> Mask:
        """Return the map at the network's own size, (h, w) float32, before it is clipped."""
        return predict(self.run, self.network, rgb, self.weights)


def input_shape(network: Network, height: int, width: int) -> tuple[int, int]:
    """Height and width of what the network gets of a picture."""
    if not network.shortest:
        return network.side, network.side
    scale = network.side / min(height, width)
    longest = 4 * network.side  # no picture, however narrow, becomes longer than that
    tall, wide = (min(longest, max(32, int(length * scale) // 32 * 32)) for length in (height, width))
    return tall, wide


def tensor(network: Network, rgb: Rgb) -> Floats:
    """(1, 3, h, w) float32 of a picture (H, W, 3) uint8: resized, rescaled and normalized as the row says."""
    from PIL import Image

    height, width = input_shape(network, rgb.shape[0], rgb.shape[1])
    resample = Image.Resampling[network.resample.upper()]
    pixels = np.asarray(Image.fromarray(rgb).resize((width, height), resample))
    most = {"255": 255.0, "max": max(float(pixels.max()), 1e-6), "none": 1.0}[network.rescale]
    x = np.empty((1, 3, height, width), np.float32)
    values = np.arange(256) / most  # a table in float64 for each channel: 256 divisions instead of one for each pixel
    for channel, (mean, std) in enumerate(zip(network.mean, network.std, strict=True)):
        x[0, channel] = ((values - mean) / std).astype(np.float32)[pixels[..., channel]]
    return x


def predict(run: Any, network: Network, rgb: Rgb, weights: str) -> Mask:
    """Return the network's map at its own size; raises WeightsError where it gives something else than one map of numbers."""
    from figureground.inference.outputs import require_finite

    x = tensor(network, rgb)
    try:
        answer = np.asarray(run(x))
    except Exception as error:
        if isinstance(error, MemoryError) or "alloc" in str(error):
            raise
        reason = str(error).splitlines()[0][:160]
        raise WeightsError(f"'{weights}' does not take a picture of {x.shape}: {reason}", code="model_corrupt") from error
    values = answer.reshape(answer.shape[-2:]) if answer.ndim >= 2 and answer.size == math.prod(answer.shape[-2:]) else None
    if values is None:
        shape = " × ".join(map(str, answer.shape))
        raise WeightsError(f"'{weights}' should give one map, but gives {shape}", code="model_corrupt")
    values = values.astype(np.float32)
    require_finite(weights, values)
    if network.output == "logit":
        with np.errstate(over="ignore"):
            values = 1 / (1 + np.exp(-values))
    if network.stretch:
        low, high = values.min(), values.max()
        values = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return values


def resized(values: Mask, height: int, width: int, resample: str) -> Mask:
    """Return a map at another size, clipped to [0, 1]."""
    from PIL import Image

    full = np.array(Image.fromarray(values).resize((width, height), Image.Resampling[resample.upper()]), np.float32)
    return np.clip(full, 0, 1, out=full)


def load(
    settings: Settings,
    *,
    network: Name = "",
    weights: Weights = "",
    input_size: InputSize = None,
    mean: Mean = "",
    std: Std = "",
    rescale: RescaleOption = "auto",
    output_kind: OutputOption = "auto",
    resample: ResampleOption = "auto",
    stretch: Stretch = False,
) -> Model:
    """Return the network as a model; raises UnknownName, UsageError for what a file does not say of itself, WeightsError.

    A network of `NETWORKS`, with the weights of another file if `weights` names one; or any file.
    """
    given: dict[str, Any] = {}
    if input_size is not None:
        given["side"] = _side(input_size)
    given |= {name: _numbers(name, text) for name, text in (("mean", mean), ("std", std)) if text}
    if 0 in given.get("std", ()):
        raise UsageError(f"--std is three numbers above 0, but got {std}")
    chosen = {"rescale": rescale, "output": output_kind, "resample": resample}
    given |= {field: value for field, value in chosen.items() if value != "auto"}
    if stretch:
        given["stretch"] = True
    if not network:
        return _load_file(weights, given, settings)
    row = replace(find(network), **given)
    if weights:
        check_license(f"the weights of '{weights}' are", UNKNOWN, settings, permissive=False)
        check_memory(network, row.memory_mb, settings)
        return _opened(weights, _file(weights), replace(row, license=UNKNOWN), settings)
    check_license(f"the weights of '{network}' are", row.license, settings, permissive=row.permissive)
    check_memory(network, row.memory_mb, settings)
    return _opened(network, locate(network, settings), row, settings)


def find(name: str) -> Network:
    """Return the row of a name; raises UnknownName, and UsageError for a name of rembg's that is not of this kind."""
    if name in REFUSED:
        raise UsageError(f"'{name}' is not one of these networks: {REFUSED[name]}")
    if name not in NETWORKS:
        raise UnknownName("network", name, NETWORKS)
    return NETWORKS[name]


def check_memory(name: str, megabytes: int, settings: Settings) -> None:
    """Raise WeightsError (resource_limit) where the network takes more memory than is free."""
    free = _machine.memory()
    if settings.device == "cpu" and free is not None and megabytes * 10**6 > free:
        raise WeightsError(
            f"'{name}' needs about {megabytes / 1000:.1f} GB of memory, but {free / 1e9:.1f} GB are free;"
            " close other programs, or use --method subject",
            code="resource_limit",
        )


def _side(value: int) -> int:
    if not 16 <= value <= 4096:
        raise UsageError(f"--input-size is a number of pixels from 16 to 4096, but got {value}")
    return value


def _numbers(name: str, text: str) -> Numbers:
    """Three finite numbers; raises UsageError."""
    with suppress(ValueError):
        first, second, third = (float(part) for part in text.split(","))
        if all(map(math.isfinite, (first, second, third))):
            return first, second, third
    raise UsageError(f"--{name} is three numbers, such as 0.5,0.5,0.5, but got '{text}'")


def _file(weights: str) -> Path:
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(f"there is no file '{weights}'; name an ONNX file")
    return path


def _load_file(weights: str, given: dict[str, Any], settings: Settings) -> OnnxSaliency:
    """Any file: what its graph shows is read from it, the rest must be given."""
    if not weights:
        raise UsageError(f"name a network ({', '.join(list(NETWORKS)[:5])} …) or an ONNX file: --method my.onnx")
    path = _file(weights)
    check_license(f"the weights of '{weights}' are", UNKNOWN, settings, permissive=False)
    side, kind = read_layout(path)
    if side is not None and given.setdefault("side", side) != side:
        raise UsageError(f"'{weights}' takes pictures of {side} × {side}, but got --input-size {given['side']}")
    if kind is not None:
        given.setdefault("output", kind)
    wanted = {
        "side": "--input-size (such as 1024)",
        "mean": "--mean (such as 0.485,0.456,0.406)",
        "std": "--std (such as 0.229,0.224,0.225)",
        "output": "--output-kind (probability or logit)",
    }
    missing = [flag for field, flag in wanted.items() if field not in given]
    if missing:
        raise UsageError(f"'{weights}' does not say all that is needed to use it; add {', '.join(missing)}")
    row = Network(weights, license=UNKNOWN, **given)
    activations = 800 * row.side**2 // 10**6  # what IS-Net takes for each pixel of its input
    check_memory(weights, 2 * path.stat().st_size // 10**6 + activations, settings)
    return _opened(weights, path, row, settings)


def read_layout(path: Path) -> tuple[int | None, OutputKind | None]:
    """Return what a graph shows of itself: the side of its input, and `probability` where a sigmoid gives its first output."""
    import onnx

    try:
        graph = onnx.load(path, load_external_data=False).graph
        inputs = [each for each in graph.input if each.name not in {known.name for known in graph.initializer}]
        sides = [dimension.dim_value for dimension in inputs[0].type.tensor_type.shape.dim[2:]]
    except Exception as error:  # whatever a file that is none makes the reader stumble over
        raise WeightsError(f"'{path}' is not a valid ONNX file ({str(error)[:120]})", code="model_corrupt") from error
    if len(inputs) != 1:
        raise WeightsError(f"'{path}' should take one picture, but takes {len(inputs)} inputs", code="model_corrupt")
    side = sides[0] if len(sides) == 2 and sides[0] == sides[1] and sides[0] > 0 else None
    makers = {name: node for node in graph.node for name in node.output}
    node = makers.get(graph.output[0].name) if graph.output else None
    while node is not None and node.op_type in ("Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Resize"):
        node = makers.get(node.input[0])
    bounded = node is not None and node.op_type in ("Sigmoid", "HardSigmoid")
    return side, "probability" if bounded else None


def _opened(name: str, path: Path, row: Network, settings: Settings) -> OnnxSaliency:
    """Return the file made ready, its input compared with the row."""
    from figureground.inference.session import session

    run = session(path, settings)
    if not _fits(run.shape, row):
        shape = " × ".join("?" if side < 0 else str(side) for side in run.shape)
        sides = "?" if row.shortest else row.side
        raise WeightsError(f"'{path}' should take 1 × 3 × {sides} × {sides}, but takes {shape}", code="model_corrupt")
    return OnnxSaliency(name, row.license, row, run)


def _fits(shape: tuple[int, ...], row: Network) -> bool:
    if len(shape) != 4 or shape[0] not in (1, -1) or shape[1] not in (3, -1):
        return False
    return all(side in ((-1,) if row.shortest else (-1, row.side)) for side in shape[2:])


def homes(environment: Mapping[str, str] | None = None) -> list[Path]:
    """Folders in which rembg keeps its files, in the order in which they are looked at."""
    variables = os.environ if environment is None else environment
    named = [variables.get("U2NET_HOME"), variables.get("REMBG_HOME")]
    if data := variables.get("XDG_DATA_HOME"):
        named.append(f"{data}/rembg")
    return [Path(each).expanduser() for each in (*filter(None, named), "~/.rembg", "~/.u2net")]


def existing(name: str) -> Path | None:
    """Return a file that rembg or the user has put on this machine."""
    places = ((home / "models" / name / f"{name}.onnx", home / f"{name}.onnx") for home in homes())
    return next((path for pair in places for path in pair if path.is_file()), None)


def cached_file(name: str, settings: Settings) -> Path | None:
    """Return the file of a network where it is on this machine; the network is not asked."""
    row = find(name)
    if path := existing(name):
        return path
    if row.file:
        from figureground.inference.hub import cached

        return cached(row.source, row.revision)(row.file)
    path = _own(name, settings)
    return path if path.is_file() else None


def locate(name: str, settings: Settings) -> Path:
    """Return the file of a network, fetched where it is not on this machine, and checked; raises WeightsError."""
    path = cached_file(name, settings)
    if path is not None:
        return _checked(name, path, settings)
    row = find(name)
    path = _from_hub(name, row) if row.file else _download(name, row, _own(name, settings), settings)
    logging.getLogger("figureground").warning("the weights of %s are under this license: %s", name, row.license)
    return path


def pull(settings: Settings, weights: str) -> Path:
    """Fetch a network beforehand: its file; raises UnknownName, WeightsError."""
    row = find(weights)
    check_license(f"the weights of '{weights}' are", row.license, settings, permissive=row.permissive)
    return locate(weights, settings)


def _own(name: str, settings: Settings) -> Path:
    """Where what was fetched by address is kept."""
    return settings.cache / "networks" / f"{name}.onnx"


def digests(path: Path) -> dict[str, str]:
    """SHA-256 and MD5 of a file, read once; raises WeightsError where it cannot be read."""
    hashes = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                for each in hashes.values():
                    each.update(part)
    except OSError as error:
        raise WeightsError(f"'{path}' cannot be read ({error.strerror}); make it readable") from error
    return {kind: each.hexdigest() for kind, each in hashes.items()}


def _fault(row: Network, size: int, actual: Mapping[str, str]) -> str | None:
    """Return what is wrong with a file by its size and hashes; None where it is the one that its publisher lists."""
    if row.bytes is not None and size != row.bytes:
        return f"it should have {row.bytes:,} bytes, but has {size:,}"
    for kind, wanted in (("sha256", row.sha256), ("md5", row.md5)):
        if wanted and actual[kind] != wanted:
            return f"it should have the {kind.upper()} {wanted[:12]}…, but has {actual[kind][:12]}…"
    return None


def _checked(name: str, path: Path, settings: Settings) -> Path:
    """Return the path, once its hashes are its publisher's. A file that has passed is not read again until it changes."""
    if os.environ.get(NO_CHECKSUM):
        return path
    row, state = find(name), path.stat()
    record = settings.cache / "networks" / f"{name}.json"
    mark = {"path": str(path.resolve()), "bytes": state.st_size, "changed": state.st_mtime_ns, "sha256": row.sha256}
    with suppress(OSError, ValueError):
        if json.loads(record.read_text("utf-8")) == mark:
            return path
    if fault := _fault(row, state.st_size, digests(path)):
        raise WeightsError(
            f"'{path}' is not the file that its publisher lists for '{name}': {fault}; remove it and fetch it again,"
            f" or set {NO_CHECKSUM}=1 to use it as it is",
            code="model_corrupt",
        )
    from figureground.inference.cache import atomic_write

    atomic_write(record, json.dumps(mark).encode())
    return path


def _from_hub(name: str, row: Network) -> Path:
    """Fetch a file of the hub; its SHA-256 must be the row's and the hub's own."""
    from figureground.inference import hub
    from figureground.inference.cache import verify_or_delete

    with hub.hub_errors(row.source, name):
        hub.probe(row.source, row.file, hub.PATIENCE)
        revision = hub.Revision(row.source, row.revision)
        tag, path = revision.tag(row.file), revision.locate(row.file)
    if path is None or tag is None:
        raise WeightsError(f"'{row.source}' has no file {row.file} at {row.revision[:12]}; use --method subject")
    wanted = row.sha256 or (tag if hub.HASH.fullmatch(tag) else "")
    if not wanted:
        raise WeightsError(
            f"the hub gives no SHA-256 for {row.file} of '{row.source}'; copy it here and use --method FILE.onnx"
        )
    return verify_or_delete(path, wanted)


def _download(name: str, row: Network, target: Path, settings: Settings) -> Path:
    """Fetch a file by its address, whole or not at all, and check it before it gets its name."""
    from figureground._files import locked, replacing
    from figureground.inference.hub import is_offline
    from figureground.io.download import fetch_file

    advice = f"copy {row.source.rpartition('/')[2]} to '{target}' or to ~/.u2net/{name}.onnx, or use --method subject"
    if is_offline():
        raise WeightsNotFetched(f"the weights of '{name}' are not on this machine, and HF_HUB_OFFLINE is set; {advice}")
    size = row.bytes or 4 << 30
    limits = replace(
        settings, max_bytes=size, timeout=max(600.0, size / SLOWEST), max_redirects=max(5, settings.max_redirects), urls="any"
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_suffix(".lock")):
            if target.is_file():  # another process fetched it while this one waited
                return _checked(name, target, settings)
            with replacing(target) as part:
                fetch_file(row.source, part, limits)
                if fault := _fault(row, part.stat().st_size, digests(part)):
                    raise WeightsError(f"{row.source} did not deliver '{name}': {fault}; {advice}", code="model_corrupt")
    except PictureTooLarge as error:
        raise WeightsError(f"{row.source} did not deliver '{name}': it is larger; {advice}", code="model_corrupt") from error
    except InputError as error:
        raise WeightsNotFetched(f"the weights of '{name}' could not be fetched ({error}); {advice}") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsNotFetched(f"'{target}' cannot be written ({reason}); set FIGUREGROUND_CACHE, or {advice}") from error
    return target


def verify(name: str, settings: Settings) -> Iterator[tuple[str, str]]:
    """Compare the file of a network on this machine with its row, and run it once: what was looked at, and what was found.

    Raises WeightsError at the first thing that does not agree, WeightsNotFetched where there is no file.
    """
    row, path = find(name), cached_file(name, settings)
    if path is None:
        raise WeightsNotFetched(f"no file of '{name}' is on this machine; run `figureground pull {name}` first")
    yield "file", str(path)
    actual = digests(path)
    if fault := _fault(row, path.stat().st_size, actual):
        raise WeightsError(f"'{path}' is not the file that its publisher lists for '{name}': {fault}", code="model_corrupt")
    known = [kind.upper() for kind, wanted in (("sha256", row.sha256), ("md5", row.md5)) if wanted]
    yield "bytes", f"{path.stat().st_size:,}" + ("" if row.bytes is None else ", as its publisher lists")
    yield "hash", f"{' and '.join(known)} agree" if known else f"SHA-256 {actual['sha256']}, none is listed to compare it with"
    check_memory(name, row.memory_mb, settings)
    model = _opened(name, path, row, settings)
    yield "input", " × ".join("?" if side < 0 else str(side) for side in model.run.shape)
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    picture[120:360, 200:440] = (220, 40, 40)
    plain = replace(row, output="alpha", stretch=False)
    began = time.perf_counter()
    values = predict(model.run, plain, picture, name)
    seconds = time.perf_counter() - began
    low, high = float(values.min()), float(values.max())
    yield "output", f"{' × '.join(map(str, values.shape))}, from {low:.4g} to {high:.4g}, in {seconds:.2f} s"
    if row.output != "logit" and not (-0.01 <= low and high <= 1.01):
        raise WeightsError(f"'{name}' should give values from 0 to 1, but gives {low:.4g} to {high:.4g}", code="model_corrupt")
    if row.output == "logit" and 0 <= low and high <= 1:
        raise WeightsError(f"'{name}' should give logits, but gives values from {low:.4g} to {high:.4g}", code="model_corrupt")
