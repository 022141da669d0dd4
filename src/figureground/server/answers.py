"""Answers by the Accept header: an image, a ZIP file of several, or JSON; ETag and Server-Timing."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

import figureground
from figureground._files import zipped
from figureground.jobs import JobSpec
from figureground.separation import VIEWS
from figureground.server.errors import Refused
from figureground.server.worker import ServerResult

TYPES: Mapping[str, str] = {
    ".png": "image/png",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".apng": "image/apng",
    ".svg": "image/svg+xml",
    ".npy": "application/octet-stream",
}
"""The media type of each format."""
ZIP, JSON = "application/zip", "application/json"


def accepted(header: str, offers: list[str]) -> str | None:
    """Return the offer that an Accept header likes best, the first of equals; None where it takes none."""
    ranges = [_range(part) for part in header.split(",") if part.strip()] or [("*/*", 1.0)]
    best, most = None, 0.0
    for offer in offers:
        main = offer.partition("/")[0]
        rank = {offer: 3, f"{main}/*": 2, "*/*": 1}
        matching = [(rank[name], quality) for name, quality in ranges if name in rank]
        quality = max(matching)[1] if matching else 0.0
        if quality > most:
            best, most = offer, quality
    return best


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (each.strip().lower() for each in part.split(";"))
    quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return name, min(1.0, max(0.0, float(quality)))
    except ValueError:
        return name, 0.0


def negotiate(header: str, suffix: str | None, spec: JobSpec) -> tuple[str, str]:
    """Return the media type of the answer and the suffix of its images. Raises Refused (not_acceptable).

    suffix : the format that the request names; None: the view's own, or the Accept header's.
    """
    views = len(spec.views)
    suffix = suffix or (VIEWS[spec.views[0]].suffix if views == 1 else None) or None
    images = [TYPES[suffix]] if suffix else ["image/png", "image/webp", "image/avif", "image/jpeg"]
    chosen = accepted(header, [*(images if views == 1 else ()), ZIP, JSON])
    if chosen is None:
        wanted = ", ".join(dict.fromkeys([*images, ZIP, JSON] if views == 1 else [ZIP, JSON]))
        raise Refused("not_acceptable", f"the answer can be {wanted}, but the Accept header takes none of them")
    named = next((ending for ending, kind in TYPES.items() if kind == chosen), ".png")
    return chosen, suffix or named


def etag(data: bytes, spec: JobSpec, kind: str, suffix: str) -> str:
    """Return the ETag of an answer: of the picture, the settings that change the answer, and this version."""
    wanted: tuple[object, ...] = (
        figureground.__version__,
        spec.method,
        spec.views,
        spec.encode_options,
        spec.prompt,
        spec.require_subject,
    )
    wanted += (spec.edit_options, spec.frames)
    machine = (spec.settings.lenient, spec.settings.draft, spec.settings.precision, kind, suffix)
    digest = hashlib.sha256(repr((wanted, machine)).encode())
    digest.update(data)
    return f'"{digest.hexdigest()[:32]}"'


def timing(seconds: Mapping[str, float]) -> str:
    """Return the value of a Server-Timing header."""
    return ", ".join(f"{stage};dur={1000 * value:.1f}" for stage, value in seconds.items())


def answer(result: ServerResult, kind: str, suffix: str, headers: Mapping[str, str]) -> Response:
    """Return a result as an answer of a media type."""
    headers = {**headers, "Server-Timing": timing(result.seconds), "Vary": "Accept"}
    if warnings := result.facts.get("warnings"):
        headers["X-Warning"] = header_text("; ".join(warnings))
    if kind == JSON:
        return JSONResponse(document(result, suffix), headers=headers)
    if kind == ZIP:
        names = {f"{view}{_suffix_of(view, suffix)}": data for view, data in result.files.items()}
        return _file(zipped(names), ZIP, "figureground.zip", headers)
    view, data = next(iter(result.files.items()))
    return _file(data, kind, f"{view}{_suffix_of(view, suffix)}", headers)


def _suffix_of(view: str, suffix: str) -> str:
    return VIEWS[view].suffix or suffix


def _file(data: bytes, kind: str, name: str, headers: Mapping[str, str]) -> Response:
    disposition = {"Content-Disposition": f'inline; filename="{name}"'}
    return Response(data, media_type=kind, headers={**headers, **disposition})


def document(result: ServerResult, suffix: str) -> dict[str, Any]:
    """Return what was found, and the files as base64, as plain data."""
    facts = {name: value for name, value in result.facts.items() if name not in ("picture", "licence", "seconds")}
    files = {
        view: {"type": TYPES[_suffix_of(view, suffix)], "data": base64.b64encode(data).decode("ascii")}
        for view, data in result.files.items()
    }
    return {**facts, "seconds": result.seconds, "files": files}


def header_text(text: str) -> str:
    """Return a text as a header's value may hold it."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:500]
