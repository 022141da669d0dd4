"""Bodies of requests, read under limits of bytes, parts and time before anything is decoded."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from figureground.server.errors import Refused

MAX_FILES = 100
MAX_FIELDS = 200
MAX_DEPTH = 20


class Budget:
    """Bytes of bodies that the server holds at a time."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """Give the part of one request, which is free again at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held -= share.count


@dataclass(slots=True)
class Share:
    """Bytes that one request holds."""

    budget: Budget
    count: int = 0

    def add(self, count: int) -> None:
        """Count further bytes; raises Refused where the server holds too many."""
        if self.budget.held + count > self.budget.most:
            raise Refused("busy", "the server holds as many bytes of other requests as it can", retry_after=2)
        self.budget.held += count
        self.count += count


@dataclass(slots=True)
class Body:
    """The parts of a body: fields and files, each with its name."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    files: list[tuple[str, bytes]] = field(default_factory=list)
    document: dict[str, Any] | None = None
    """What a JSON body holds."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes and seconds of one body."""

    most: int
    seconds: float


async def read_body(request: Request, limits: BodyLimits, share: Share) -> Body:
    """Return the parts of a body by its type; a body that is no form and no JSON is one file without a name.

    Raises Refused: too_large, request_timeout, bad_request.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(limits.seconds):
            if kind == "multipart/form-data":
                return await _form(request, limits, share)
            data = await _all(request, limits, share)
    except TimeoutError:
        raise Refused("request_timeout", f"the body did not arrive within {limits.seconds:g} seconds") from None
    except ClientDisconnect:
        raise Refused("bad_request", "the client left before the body was complete") from None
    if kind == "application/json" or kind.endswith("+json"):
        return Body(document=parse_json(data))
    if kind == "application/x-www-form-urlencoded" and data.isascii():  # curl --data-binary calls everything a form
        return Body(_urlencoded(data))
    return Body(files=[("", data)] if data else [])


async def _stream(request: Request, limits: BodyLimits, share: Share) -> AsyncIterator[bytes]:
    """Yield the body's bytes, counted."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > limits.most:
        raise _too_large(limits)
    count = 0
    async for part in request.stream():
        count += len(part)
        if count > limits.most:
            raise _too_large(limits)
        share.add(len(part))
        yield part


def _too_large(limits: BodyLimits) -> Refused:
    return Refused("too_large", f"the body has too many bytes; at most {limits.most:,} are read")


async def _all(request: Request, limits: BodyLimits, share: Share) -> bytes:
    return b"".join([part async for part in _stream(request, limits, share)])


class _Parser(MultiPartParser):
    """Keeps files in memory, since they are counted already, and knows whether the form is complete."""

    spool_max_size = 1 << 62
    complete = False

    def on_end(self) -> None:
        """Note that the last boundary was there."""
        self.complete = True

    def close(self) -> None:
        """Close all files, those of parts that broke off too."""
        for file in self._files_to_close_on_error:
            file.close()


async def _form(request: Request, limits: BodyLimits, share: Share) -> Body:
    parser = _Parser(
        request.headers,
        _stream(request, limits, share),  # type: ignore[arg-type]  # it is an async generator
        max_files=MAX_FILES,
        max_fields=MAX_FIELDS,
        max_part_size=limits.most,
    )
    body = Body()
    try:
        form = await parser.parse()
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                body.files.append((name, value.file.read()))
            else:
                body.fields.append((name, value))
    except (MultiPartException, MultipartParseError) as error:
        raise Refused("bad_request", f"the body is not a valid multipart form: {str(error)[:100]}") from None
    except (KeyError, UnicodeDecodeError, ValueError, LookupError, AssertionError):
        raise Refused("bad_request", "the body is not a valid multipart form") from None
    finally:
        parser.close()
    if not parser.complete:
        raise Refused("bad_request", "the multipart form breaks off before its last boundary")
    return body


def _urlencoded(data: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:  # UnicodeDecodeError too
        raise Refused("bad_request", f"the body is no form of at most {MAX_FIELDS} fields") from None


def parse_json(data: bytes) -> dict[str, Any]:
    """Return the object that a JSON text holds; raises Refused."""
    try:
        document = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused("bad_request", "the body is no JSON") from None
    if not isinstance(document, dict):
        raise Refused("bad_request", "the body is JSON, but no object")
    return document


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def decode_base64(text: Any, name: str) -> bytes:
    """Return the bytes of a base64 text, which may begin as a data URL; raises Refused."""
    if not isinstance(text, str):
        raise Refused("usage", f"{name}: it is a picture as base64", status=422, field=name)
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("usage", f"{name}: it is no base64", status=422, field=name) from None
