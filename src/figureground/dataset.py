"""Labelled pictures: folders or zip archives with `images/` and `masks/`, matched by stem.

To add a kind of source: a function that gives its `Files`, and a line in `pairs`.
"""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from figureground.errors import BadData

Load = Callable[[], bytes]

# all that Pillow and zipfile are known to raise at broken, encrypted or oversized files
FAULTS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)


@dataclass(frozen=True, slots=True)
class Pair:
    """One labelled picture; nothing is loaded or decoded before `read`, which may be called from several threads."""

    name: str
    """SOURCE/STEM, as messages name it."""
    image: Load
    mask: Load

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The picture, (H, W, 3) uint8 sRGB, upright, and its mask, (H, W) uint8, 255 = foreground.

        Masks of 1 and 16 bits are scaled, coloured ones are turned to grey; alpha is left out.
        Raises BadData where one of the two is no picture, their sizes differ, or the mask holds 0 and 1, not 0 and 255.
        """
        rgb = np.array(self._decode("picture", self.image).convert("RGB"))
        mask = np.array(self._decode("mask", self.mask).convert("L"))
        if rgb.shape[:2] != mask.shape:
            sizes = [f"{shape[1]} × {shape[0]}" for shape in (rgb.shape, mask.shape)]
            raise BadData(f"'{self.name}': the mask must have the picture's size, {sizes[0]}, but has {sizes[1]}")
        if mask.max() == 1:
            raise BadData(f"the mask of '{self.name}' holds 0 and 1; foreground must be 255: multiply it by 255")
        return rgb, mask

    def _decode(self, what: str, load: Load) -> Image.Image:
        try:
            with Image.open(BytesIO(load())) as image:
                return _eight_bits(ImageOps.exif_transpose(image))
        except FAULTS as error:
            raise BadData(f"the {what} of '{self.name}' cannot be read ({error}); mend or remove it") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """The same picture; 16 bits of grey are scaled to 8, where Pillow's own conversion would clip them."""
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers; save it with 8 bits")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image, np.float64) / 257
    return Image.fromarray(np.rint(np.clip(values, 0, 255)).astype(np.uint8))


def pairs(sources: Iterable[str | Path]) -> list[Pair]:
    """All pairs of the named folders and zip archives, each source's in the order of their names.

    `images/` and `masks/` may lie deeper in an archive, and in several folders of it: each holds pairs of its own.
    Hidden files and `__MACOSX` are passed over. Raises BadData where a source is missing, is no data set, has a mask
    without picture, a picture without mask, or two files of one stem.
    """
    found: list[Pair] = []
    for source in map(Path, sources):
        files = _folder(source) if source.is_dir() else _archive(source)
        found += _match(source, files)
    return found


Files = dict[PurePosixPath, Load]
"""What a source holds: paths inside it, and how to load them."""


def _folder(source: Path) -> Files:
    files: Files = {}
    try:
        for part in (source / "images", source / "masks"):
            if not part.is_dir():
                raise BadData(f"'{source}' has no folder '{part.name}'; a data set has images/ and masks/")
            files |= {PurePosixPath(part.name, path.name): path.read_bytes for path in part.iterdir() if path.is_file()}
    except OSError as error:
        raise BadData(f"'{source}' cannot be read ({error})") from error
    return files


def _archive(source: Path) -> Files:
    if not source.exists():
        raise BadData(f"'{source}' does not exist; a data set is a folder or zip archive with images/ and masks/")
    try:
        archive = zipfile.ZipFile(source)
    except FAULTS as error:
        raise BadData(f"'{source}' is no folder and no sound zip archive ({error})") from error
    lock = Lock()  # one open file, read by many threads

    def load(name: str) -> bytes:
        with lock:
            return archive.read(name)

    return {PurePosixPath(i.filename): partial(load, i.filename) for i in archive.infolist() if not i.is_dir()}


def _match(source: Path, files: Files) -> list[Pair]:
    tables: dict[str, dict[str, PurePosixPath]] = {"images": {}, "masks": {}}
    for path in sorted(files):
        if path.parent.name not in tables or any(part.startswith((".", "__MACOSX")) for part in path.parts):
            continue
        table, key = tables[path.parent.name], str(path.parent.parent / path.stem)
        if key in table:
            raise BadData(f"'{source}': '{table[key]}' and '{path}' have one stem; each picture needs one of its own")
        table[key] = path
    images, masks = tables["images"], tables["masks"]
    alone = sorted(images.keys() ^ masks.keys())
    if alone:
        path, lacks = (images[alone[0]], "mask") if alone[0] in images else (masks[alone[0]], "picture")
        more = f", nor have {len(alone) - 1} others their counterpart" if len(alone) > 1 else ""
        raise BadData(f"'{source}': '{path}' has no {lacks} of the same stem{more}")
    if not images:
        raise BadData(f"'{source}' holds no pictures; a data set has images/NAME.jpg and masks/NAME.png")
    return [Pair(f"{source.name}/{key}", files[images[key]], files[masks[key]]) for key in sorted(images)]
