"""remove.bg's API, version 1.0: its clients work when their address is changed."""

import base64
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from figureground.errors import RefusedAddress
from figureground.io.download import parse
from figureground.io.encode import EncodeOptions
from figureground.jobs import JobSpec
from figureground.methods import find
from figureground.server.answers import JSON, TYPES, ZIP, accepted, header_text, timing
from figureground.server.bodies import Body, decode_base64
from figureground.server.errors import Refused
from figureground.server.removebg import SOURCES, bad, read_parameters
from figureground.server.service import Service
from figureground.server.worker import ServerTask

_TEXT = {"type": "string"}
_FIELDS: dict[str, Any] = {
    "image_file": {"type": "string", "format": "binary"},
    "image_file_b64": _TEXT,
    "image_url": _TEXT,
    **dict.fromkeys("size format roi crop crop_margin channels bg_color".split(), _TEXT),  # noqa: SIM905  # to be read
}
_CONTENT = {
    kind: {"schema": {"type": "object", "properties": _FIELDS}}
    for kind in ("multipart/form-data", "application/x-www-form-urlencoded", JSON)
}
_ERROR = {"description": "An error object with title and code.", "content": {JSON: {"schema": {"type": "object"}}}}
_ERRORS: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 402, 403, 408, 413, 429, 503), _ERROR)


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["remove.bg"], prefix="/v1.0")

    @routes.post(
        "/removebg",
        response_class=Response,
        openapi_extra={"requestBody": {"required": True, "content": _CONTENT}},
        responses={200: {"content": {kind: {} for kind in ("image/png", "image/jpeg", "image/webp", ZIP)}}, **_ERRORS},
    )
    async def removebg(request: Request) -> Response:
        """Remove the background, with the parameters of remove.bg. Parameters without effect are named in X-Warning."""
        async with service.body(request) as body:
            given = _given(body)
            wanted = read_parameters(given)
            data = await _picture(service, given)
            config = service.config
            options = EncodeOptions(wanted.background)
            spec = JobSpec(find(config.methods[0]), config.settings, encode_options=options)
            result = await service.process(ServerTask(data, spec, finish=wanted.layout))
        image, place = result.files["cutout"], result.facts["foreground"]
        headers = {
            "X-Width": str(result.facts["width"]),
            "X-Height": str(result.facts["height"]),
            "X-Type": "other",
            "X-Credits-Charged": "0",
            **{f"X-Foreground-{name.title()}": str(value) for name, value in place.items()},
            "Server-Timing": timing(result.seconds),
        }
        if warnings := [*(f"{name}: no effect here" for name in wanted.warnings), *result.facts["warnings"]]:
            headers["X-Warning"] = header_text("; ".join(warnings))
        kind = ZIP if wanted.as_zip else TYPES[wanted.layout.suffix]
        if accepted(request.headers.get("accept", ""), [kind, JSON]) == JSON:
            places = {f"foreground_{name}": value for name, value in place.items()}
            return JSONResponse({"data": {"result_b64": base64.b64encode(image).decode("ascii"), **places}}, headers=headers)
        return Response(image, media_type=kind, headers=headers)

    @routes.get("/account", responses={403: _ERROR, 429: _ERROR})
    async def account(request: Request) -> dict[str, Any]:
        """Tell what the API key has left: `free_calls` of today's quota. Credits there are none, and none are needed."""
        key = getattr(request.state, "key", None)
        left = max(0, key.quota - key.used) if key is not None and key.quota else 0
        credits_left = {"total": 0, "subscription": 0, "payg": 0, "enterprise": 0}
        return {"data": {"attributes": {"credits": credits_left, "api": {"free_calls": left, "sizes": "all"}}}}

    return routes


def _given(body: Body) -> dict[str, Any]:
    """Return the parameters, files among them as bytes. Raises Refused."""
    given: dict[str, Any] = dict(body.document or {})
    given |= {name: text for name, text in body.fields if text != ""}
    for name, data in body.files:
        if not name:
            raise bad("missing_source", "the picture is image_file of a form")
        given[name] = data
    return {name: value for name, value in given.items() if value is not None}


async def _picture(service: Service, given: dict[str, Any]) -> bytes:
    """Return the one picture; raises Refused."""
    sources = [name for name in SOURCES if given.get(name) not in (None, "")]
    if len(sources) != 1:
        raise bad("multiple_sources" if sources else "missing_source")
    name, value = sources[0], given[sources[0]]
    if name == "image_file":
        if not isinstance(value, bytes):
            raise bad("missing_source", "image_file is a part of a form with a file")
        return value
    if name == "image_file_b64":
        try:
            return decode_base64(value.decode("latin-1") if isinstance(value, bytes) else value, name)
        except Refused:
            raise bad("failed_to_read_image", "image_file_b64 is no base64") from None
    try:
        parse(str(value))
    except RefusedAddress:
        raise bad("invalid_image_url") from None
    return await service.fetch(str(value))
