"""The parameters and errors of remove.bg's API, version 1.0, read into ours."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from figureground.errors import UsageError
from figureground.io.encode import parse_color
from figureground.prompts import Coordinate
from figureground.server.errors import Refused
from figureground.server.layout import Corners, CutoutLayout

SOURCES = ("image_file", "image_file_b64", "image_url")
BACKGROUNDS = ("bg_color", "bg_image_url", "bg_image_file")
SIZES: Mapping[str, int] = {
    "auto": 0,
    "full": 0,
    "preview": 250_000,
    "small": 250_000,
    "regular": 250_000,
    "medium": 1_500_000,
    "hd": 4_000_000,
    "4k": 10_000_000,
    "50mp": 50_000_000,
}
"""Pixels of the result at most; 0: as many as the picture has."""
SUPPORTED = frozenset({*SOURCES, "size", "format", "roi", "crop", "crop_margin", "channels", "bg_color"})
_LENGTH = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(px|%)?")
_HEX = re.compile(r"#?([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})", re.IGNORECASE)

TITLES: Mapping[str, str] = {
    "missing_source": "No image given",
    "multiple_sources": "Multiple image sources given: give either image_file, image_file_b64 or image_url",
    "invalid_image_url": "Invalid image URL given",
    "failed_image_download": "Failed to download the image",
    "failed_to_read_image": "Failed to read the image",
    "invalid_file_type": "The file type is not supported",
    "file_too_large": "The file is too large",
    "resolution_too_high": "The image has too many pixels",
    "invalid_roi": "The region of interest is invalid",
    "roi_region_empty": "The region of interest holds no part of the image",
    "invalid_crop_margin": "The crop margin is invalid",
    "invalid_bg_color": "The background color is invalid",
    "multiple_bg_sources": "Multiple background sources given: give either bg_color, bg_image_url or bg_image_file",
    "unknown_foreground": "Could not identify foreground in image",
    "auth_failed": "API Key invalid",
    "rate_limit_exceeded": "Rate limit exceeded",
    "insufficient_credits": "The quota of this API key is used up",
    "invalid_parameter": "A parameter is invalid",
}
_CODES: Mapping[str, tuple[int, str]] = {
    "auth_failed": (403, "auth_failed"),
    "rate_limit_exceeded": (429, "rate_limit_exceeded"),
    "too_many_requests": (429, "rate_limit_exceeded"),
    "quota_exceeded": (402, "insufficient_credits"),
    "no_foreground": (400, "unknown_foreground"),
    "empty_file": (400, "failed_to_read_image"),
    "decode_error": (400, "failed_to_read_image"),
    "truncated": (400, "failed_to_read_image"),
    "unsupported_format": (400, "invalid_file_type"),
    "url_not_allowed": (400, "failed_image_download"),
    "upstream_error": (400, "failed_image_download"),
    "upstream_timeout": (400, "failed_image_download"),
    "usage": (400, "invalid_parameter"),
}


def error_body(refusal: Refused) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON that remove.bg's clients expect for an answer other than success."""
    status, code = _CODES.get(refusal.code, (refusal.status, refusal.code))
    if refusal.code == "too_large":
        status, code = 400, "resolution_too_high" if "pixels" in refusal.message else "file_too_large"
    error = {"title": TITLES.get(code, refusal.message or code), "code": code}
    return status, {"errors": [{**error, "detail": refusal.message} if refusal.message else error]}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parameters of a request. background : a color, or None. warnings : the parameters without effect."""

    layout: CutoutLayout
    background: str | None = None
    as_zip: bool = False
    warnings: list[str] = field(default_factory=list)


def read_parameters(given: Mapping[str, Any]) -> Wanted:
    """Return the checked parameters; raises Refused with a code of remove.bg."""
    text = {name: str(value).strip() for name, value in given.items() if value is not None and name not in SOURCES}
    text = {name: value for name, value in text.items() if value}
    if sum(name in given for name in BACKGROUNDS) > 1:
        raise bad("multiple_bg_sources")
    warnings = sorted(name for name in text if name not in SUPPORTED)
    size, form = text.get("size", "auto").lower(), text.get("format", "auto").lower()
    background = _color(text["bg_color"]) if "bg_color" in text else None
    warnings += [name for name, known in (("size", size in SIZES), ("format", form in _FORMATS)) if not known]
    if text.get("channels", "rgba") not in ("rgba", "alpha"):
        warnings.append("channels")
    alpha = text.get("channels") == "alpha"
    suffix = _FORMATS.get(form) or (".jpg" if background and not alpha else ".png")
    layout = CutoutLayout(
        _roi(text["roi"]) if "roi" in text else None,
        text.get("crop", "false").lower() in ("true", "1", "yes"),
        _margin(text["crop_margin"]) if "crop_margin" in text else None,
        SIZES.get(size, 0),
        alpha,
        suffix,
    )
    return Wanted(layout, None if alpha or suffix == ".zip" else background, suffix == ".zip", warnings)


_FORMATS: Mapping[str, str] = {"auto": "", "png": ".png", "jpg": ".jpg", "webp": ".webp", "zip": ".zip"}


def bad(code: str, detail: str = "") -> Refused:
    """Return the refusal with a code of remove.bg."""
    return Refused(code, detail, status=400)


def _color(text: str) -> str:
    """Return the color as Pillow reads it; raises Refused."""
    color = f"#{text.lstrip('#')}" if _HEX.fullmatch(text) else text
    try:
        parse_color(color)
    except UsageError:
        raise bad("invalid_bg_color", "a color is a name or a hex code, such as 81d4fa") from None
    return color


def _lengths(text: str, code: str, counts: tuple[int, ...]) -> list[Coordinate]:
    """Several lengths such as 10px or 5%; raises Refused."""
    parts = re.split(r"[\s,]+", text.strip())
    matches = [_LENGTH.fullmatch(part) for part in parts]
    if len(parts) not in counts or not all(matches):
        raise bad(code, f"{' or '.join(map(str, counts))} lengths are wanted, such as 10px or 5%")
    lengths = [Coordinate(float(match[1]), match[2] == "%") for match in matches if match]
    if any(each.percent and each.value > 100 for each in lengths):
        raise bad(code, "a length is at most 100%")
    return lengths


def _roi(text: str) -> Corners:
    one, two, three, four = _lengths(text, "invalid_roi", (4,))
    for first, second in ((one, three), (two, four)):
        if first.percent == second.percent and first.value >= second.value:
            raise bad("roi_region_empty")
    return one, two, three, four


def _margin(text: str) -> Corners:
    """Top, right, bottom, left of one, two or four lengths."""
    lengths = _lengths(text, "invalid_crop_margin", (1, 2, 4))
    if len(lengths) == 1:
        return lengths[0], lengths[0], lengths[0], lengths[0]
    if len(lengths) == 2:
        return lengths[0], lengths[1], lengths[0], lengths[1]
    return lengths[0], lengths[1], lengths[2], lengths[3]
