"""Read labeled pictures from folders, zip archives and lists; pictures and masks are matched by stem.

To add a kind of source: a function that gives its `Files`, and a line in `pairs`; a layout: its names in `_ROLES`.
"""

import logging
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from figureground._deprecated import module_attribute
from figureground._words import count
from figureground.errors import BadData, InputError
from figureground.io.picture import Encoded, Picture

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
class LabeledImage:
    """One labeled picture; nothing is loaded or decoded before `read`, which may be called from several threads."""

    name: str
    """SOURCE/STEM, as messages name it."""
    image: Load
    mask: Load
    source: Path = Path()
    """The folder or archive that it is from."""
    key: str = ""
    """Which of that source's pictures it is, as lists name it: NAME is SOURCE's own name / this."""

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the picture, (H, W, 3) uint8 sRGB, upright, and its mask, (H, W) uint8, 255 = foreground.

        The picture is read as `figureground remove` reads it: upright, its ICC profile applied, what is transparent over white,
        under the limits of `Settings`. Masks may have 1, 8 or 16 bits, and three equal channels.
        Raises BadData where one of the two is no picture, their sizes differ, or the mask says it otherwise than in gray from
        0 to 255: in colors, in its transparency, or as 0 and 1.
        """
        rgb = self._read("picture", lambda: Picture.read(Encoded(self.image(), self.name)).rgb)
        mask = self._read("mask", lambda: _gray(self.mask()))
        if rgb.shape[:2] != mask.shape:
            sizes = [f"{shape[1]} × {shape[0]}" for shape in (rgb.shape, mask.shape)]
            raise BadData(f"'{self.name}': the mask must have the picture's size, {sizes[0]}, but has {sizes[1]}")
        if mask.max() == 1:
            raise BadData(f"the mask of '{self.name}' holds 0 and 1; foreground must be 255: multiply it by 255")
        return rgb, mask

    def _read(self, what: str, read: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        try:
            return read()
        except (*FAULTS, InputError) as error:
            raise BadData(f"the {what} of '{self.name}' cannot be read ({error}); repair or remove it") from error


TINT = 64  # of 255: channels of a mask that differ by more are a color, not what a camera or JPEG made of gray


def _gray(data: bytes) -> NDArray[np.uint8]:
    """Return a mask's file as (H, W) uint8; raises ValueError where another reading than gray is as likely."""
    with Image.open(BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I") and 0 < np.asarray(image).max() <= 255:
        raise ValueError("it has 16 bits and no value above 255, of 65535; save it with 8 bits")
    image = _eight_bits(image)
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise ValueError("it is transparent in places; save it without transparency, white where the foreground is")
    if (
        image.mode not in {"1", "L", "LA"}
        and np.abs(np.diff(np.asarray(image.convert("RGBA"))[..., :3].astype(np.int16), axis=2)).max() > TINT
    ):
        raise ValueError("it is colored; save it in gray, white where the foreground is and black elsewhere")
    return np.array(image.convert("L"))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return the same picture; 16 bits of gray are scaled to 8, where Pillow's own conversion would clip them."""
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers; save it with 8 bits")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image, np.float64) / 257
    return Image.fromarray(np.rint(np.clip(values, 0, 255)).astype(np.uint8))


Shows = tuple[bool, bool]
"""Whether a mask shows foreground, and whether it shows background."""


def shows(mask: NDArray[np.uint8]) -> Shows:
    """Return what a mask, (H, W) uint8, shows: ≥ 128 is foreground."""
    foreground = mask > 127
    return bool(foreground.any()), not foreground.all()


def warn_single_class(names: Sequence[str], shown: Sequence[Shows], to_learn: bool) -> None:
    """Warn of masks that are empty or full, counted, with the name of the first; they are taken as they are.

    Raises BadData where that is all of them and they are to be learnt from.
    """
    alone = {"empty": [name for name, (some, _) in zip(names, shown, strict=True) if not some]}
    alone["full"] = [name for name, (_, rest) in zip(names, shown, strict=True) if not rest]
    if to_learn and sum(map(len, alone.values())) == len(names):
        kinds = " or ".join(kind for kind, of_them in alone.items() if of_them)
        all_masks = "the only mask is" if len(names) == 1 else f"all {len(names)} masks are"
        raise BadData(
            f"{all_masks} {kinds}, the first is that of '{names[0]}': masks must show both, foreground as 255"
            " and background as 0"
        )
    for kind, of_them in alone.items():
        if of_them:
            message = "%d of %d masks are %s, the first is that of '%s'; they are taken as they are"
            logging.getLogger("figureground").warning(message, len(of_them), len(names), kind, of_them[0])


def labeled_images(sources: Iterable[str | Path]) -> list[LabeledImage]:
    """Return all pairs of the named folders, zip archives and lists, each source's in the order of their names.

    Pictures lie in `images/` and masks in `masks/`, or under names that data sets are published with (`_ROLES`: DUTS-TE-Image
    and DUTS-TE-Mask, Imgs and GT …), or .jpg and .png of one stem lie in one folder. All of that may lie deeper, and in
    several folders: each holds pairs of its own. Hidden files and `__MACOSX` are passed over. A list is a .txt file as
    `figureground split` writes it: SOURCE, a tab, and the picture's key on each line, SOURCE as seen from the list.
    Raises BadData where a source is missing, is no data set, has a mask without picture, a picture without mask, or two
    files of one stem.
    """
    images: list[LabeledImage] = []
    for source in map(Path, sources):
        if source.suffix == ".txt" and source.is_file():
            images += _listed(source)
        else:
            images += _match(source, _folder(source) if source.is_dir() else _archive(source))
    return images


def labeled_images_or_folders(sources: Sequence[str | Path]) -> list[LabeledImage]:
    """Return the pairs of `pairs`, or those of two plain folders, pictures and masks of the same stems; raises BadData."""
    places = [Path(source) for source in sources]
    if len(places) == 2 and all(place.is_dir() and not _folder(place) for place in places):
        files = {
            PurePosixPath(role, path.name): path.read_bytes
            for role, place in zip(_ROLES, places, strict=True)
            for path in place.iterdir()
            if path.is_file()
        }
        return _match(places[0], files)
    return labeled_images(places)


def _listed(source: Path) -> list[LabeledImage]:
    try:
        lines = source.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BadData(f"the list '{source}' cannot be read ({error})") from error
    known: dict[str, dict[str, LabeledImage]] = {}
    images: list[LabeledImage] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place, tab, key = line.partition("\t")
        if not tab:
            raise BadData(f"'{source}', line {number}: expected SOURCE, a tab and a key, but got '{line[:60]}'")
        if place not in known:
            known[place] = {pair.key: pair for pair in labeled_images([source.parent / place])}
        if key not in known[place]:
            raise BadData(f"'{source}', line {number}: '{place}' has no picture '{key}'")
        images.append(known[place][key])
    return images


Files = dict[PurePosixPath, Load]
"""What a source holds: paths inside it, and how to load them."""

_ROLES = {
    "images": re.compile(r"images?|imgs?|jpegimages|.+[-_]images?", re.IGNORECASE),
    "masks": re.compile(r"masks?|gts?|ground[-_ ]?truths?([-_]masks?)?|pixelwisegt.*|.+[-_](masks?|gts?)", re.IGNORECASE),
}
"""Folders of pictures and of masks, by the names that DUTS, ECSSD, HKU-IS, PASCAL-S, DUT-OMRON and others give them."""


def _folder(source: Path) -> Files:
    files: Files = {}
    try:
        for folder, _, names in os.walk(source, onerror=_give_up, followlinks=True):
            inside = PurePosixPath(Path(folder).relative_to(source).as_posix())
            if any(role.fullmatch(inside.name) for role in _ROLES.values()):
                files |= {inside / name: Path(folder, name).read_bytes for name in names}
    except OSError as error:
        raise BadData(f"'{source}' cannot be read ({error})") from error
    return files


def _give_up(error: OSError) -> None:
    raise error


def _archive(source: Path) -> Files:
    if not source.exists():
        raise BadData(f"'{source}' does not exist; a data set is a folder or zip archive with images/ and masks/")
    try:
        archive = zipfile.ZipFile(source)
    except FAULTS as error:
        raise BadData(f"'{source}' is neither a folder nor a valid zip archive ({error})") from error
    lock = Lock()  # one open file, read by many threads

    def load(name: str) -> bytes:
        with lock:
            return archive.read(name)

    return {PurePosixPath(i.filename): partial(load, i.filename) for i in archive.infolist() if not i.is_dir()}


def _match(source: Path, files: Files) -> list[LabeledImage]:
    tables: dict[str, dict[str, PurePosixPath]] = {"images": {}, "masks": {}}
    for table, path in _sorted_out(source, files):
        key = str(path.parent.parent / path.stem)
        if key in tables[table]:
            raise BadData(f"'{source}': '{tables[table][key]}' and '{path}' have one stem; each picture needs one of its own")
        tables[table][key] = path
    images, masks = tables["images"], tables["masks"]
    alone = sorted(images.keys() ^ masks.keys())
    if alone:
        path, lacks = (images[alone[0]], "mask") if alone[0] in images else (masks[alone[0]], "picture")
        more = f" ({count(len(alone), 'file')} without a counterpart)" if len(alone) > 1 else ""
        raise BadData(f"'{source}': '{path}' has no {lacks} of the same stem{more}")
    if not images:
        raise BadData(f"'{source}' holds no pictures; a data set has images/NAME.jpg and masks/NAME.png")
    return [LabeledImage(f"{source.name}/{key}", files[images[key]], files[masks[key]], source, key) for key in sorted(images)]


def _sorted_out(source: Path, files: Files) -> Iterator[tuple[str, PurePosixPath]]:
    """Return the files that are pictures and those that are masks, in the order of their names."""
    files_by_role: list[tuple[str, PurePosixPath]] = []
    for path in sorted(files):
        if any(part.startswith((".", "__MACOSX")) for part in path.parts):
            continue
        files_by_role += [(role, path) for role, names in _ROLES.items() if names.fullmatch(path.parent.name)]
    roles = {role for role, _ in files_by_role}
    kinds = {path.suffix.lower() for _, path in files_by_role}
    if roles == {"images"} and kinds in ({".jpg", ".png"}, {".jpeg", ".png"}):  # both in one folder, as MSRA10K has them
        return iter([("masks" if path.suffix.lower() == ".png" else "images", path) for _, path in files_by_role])
    if source.is_dir() and len(roles) == 1:
        (lacks,) = _ROLES.keys() - roles
        raise BadData(f"'{source}' has no folder '{lacks}'; a data set has images/ and masks/")
    return iter(files_by_role)


def __getattr__(name: str) -> Any:
    """Return what has an old name."""
    return module_attribute(__name__, name)
