"""rembg's API: GET and POST /api/remove."""

import json
import re
from typing import Any

from fastapi import APIRouter, Request, Response

from figureground.io.encode import EncodeOptions
from figureground.jobs import JobSpec
from figureground.methods import find
from figureground.server.answers import etag, header_text, timing
from figureground.server.bodies import Body
from figureground.server.errors import Refused
from figureground.server.routes.remove import ERROR_RESPONSES
from figureground.server.service import Service, one_picture
from figureground.server.worker import ServerTask

MODELS = frozenset(
    """u2net u2netp u2net_human_seg u2net_cloth_seg silueta isnet-general-use isnet-anime sam ben2-base bria-rmbg
    birefnet-general birefnet-general-lite birefnet-portrait birefnet-dis birefnet-hrsod birefnet-cod
    birefnet-massive""".split()  # noqa: SIM905  # to be read
)
"""Names of rembg's models; each gets the server's default method."""
_NUMBERS = {"af": 240, "ab": 10, "ae": 10}
"""Parameters of alpha matting: their defaults."""
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_FIELDS: dict[str, Any] = {
    "model": {"type": "string", "description": "A method of this server; names of rembg's models get the default."},
    "a": {"type": "boolean", "description": "Refine the edge."},
    **{name: {"type": "integer", "minimum": 0, "maximum": 255, "description": "No effect here."} for name in _NUMBERS},
    "om": {"type": "boolean", "description": "Return the mask."},
    "ppm": {"type": "boolean", "description": "Clean the mask, which is done in any case."},
    "bgc": {"type": "string", "description": "Color behind the cut-out: red,green,blue,alpha."},
    "extras": {"type": "string", "description": "A JSON object; no effect here."},
}
_QUERY = [
    {"name": name, "in": "query", "required": name == "url", "schema": row}
    for name, row in {"url": {"type": "string"}, **_FIELDS}.items()
]
_FORM = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {"file": {"type": "string", "format": "binary"}, **_FIELDS},
        }
    }
}


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["rembg"], prefix="/api")
    answers: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}, **ERROR_RESPONSES}

    @routes.get("/remove", response_class=Response, responses=answers, openapi_extra={"parameters": _QUERY})
    async def remove_address(request: Request) -> Response:
        """Remove the background of the picture at an address."""
        given = dict(request.query_params.multi_items())
        if not given.get("url"):
            raise Refused("usage", "url: the picture's address is wanted", status=422, field="url")
        spec, warnings = read_parameters(service, given)
        service.refuse_where_full()
        with service.budget.share() as share:
            data = await service.fetch(given["url"])
            share.add(len(data))
            tag = etag(data, spec, "image/png", ".png")
            if tag in request.headers.get("if-none-match", ""):
                return Response(status_code=304, headers={"ETag": tag})
            return await _answer(service, spec, data, warnings, tag)

    @routes.post(
        "/remove",
        response_class=Response,
        responses=answers,
        openapi_extra={"requestBody": {"required": True, "content": _FORM}, "parameters": _QUERY[1:]},
    )
    async def remove_file(request: Request) -> Response:
        """Remove the background of a picture."""
        async with service.body(request) as body:
            given = {**dict(request.query_params.multi_items()), **dict(body.fields)}
            spec, warnings = read_parameters(service, given)
            data = one_picture(_files(body))
            return await _answer(service, spec, data, warnings, etag(data, spec, "image/png", ".png"))

    return routes


def _files(body: Body) -> list[bytes]:
    return [data for name, data in body.files if name == "file"]


async def _answer(service: Service, spec: JobSpec, data: bytes, warnings: list[str], tag: str) -> Response:
    result = await service.process(ServerTask(data, spec, dict.fromkeys(spec.views, ".png")))
    headers = {"ETag": tag, "Server-Timing": timing(result.seconds)}
    if warnings := [*warnings, *result.facts["warnings"]]:
        headers["X-Warning"] = header_text("; ".join(warnings))
    return Response(next(iter(result.files.values())), media_type="image/png", headers=headers)


def read_parameters(service: Service, given: dict[str, str]) -> tuple[JobSpec, list[str]]:
    """Return what is wanted, and a warning for each parameter without effect. Raises Refused."""
    given = {name: text for name, text in given.items() if text != ""}
    unknown = [name for name in given if name not in (*_FIELDS, "url", "file")]
    method, warnings = find(_method(service, given)), [f"{name[:40]}: no effect here" for name in unknown]
    if given.get("model") in MODELS:
        warnings.append(f"model: {given['model']} is not served; {service.config.methods[0]} is used")
    refine, only_mask = _flag(given, "a"), _flag(given, "om")
    _flag(given, "ppm")
    for name, default in _NUMBERS.items():
        if _number(given, name, default) != default:
            warnings.append(f"{name}: no effect here")
    if given.get("extras", "{}") != "{}":
        _check_extras(given["extras"])
        warnings.append("extras: no effect here")
    options = EncodeOptions(None if only_mask else _color(given, warnings))
    if refine:
        from dataclasses import replace

        method = replace(method, refiner="clean+guided")
    spec = JobSpec(method, service.config.settings, ("mask" if only_mask else "cutout",), options)
    spec.validate()
    return spec, warnings


def _method(service: Service, given: dict[str, str]) -> str:
    model = given.get("model", "")
    if model in service.config.methods:
        return model
    if model and model not in MODELS:
        raise Refused("unknown_name", f"model: it is one of {', '.join(service.config.methods)}", field="model")
    return service.config.methods[0]


def _flag(given: dict[str, str], name: str) -> bool:
    text = given.get(name, "false").lower()
    if text not in (*_TRUE, *_FALSE):
        raise Refused("usage", f"{name}: it is true or false", status=422, field=name)
    return text in _TRUE


def _number(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not (re.fullmatch(r"[0-9]{1,4}", text) and int(text) <= 255):
        raise Refused("usage", f"{name}: it is a whole number from 0 to 255", status=422, field=name)
    return int(text)


def _check_extras(text: str) -> None:
    try:
        if isinstance(json.loads(text), dict):
            return
    except (ValueError, RecursionError):
        pass
    raise Refused("usage", "extras: it is a JSON object", status=422, field="extras")


def _color(given: dict[str, str], warnings: list[str]) -> str | None:
    """Return the color as #rrggbb; raises Refused."""
    if "bgc" not in given:
        return None
    parts = given["bgc"].split(",")
    if len(parts) not in (3, 4) or not all(re.fullmatch(r"\s*[0-9]{1,3}\s*", part) and int(part) <= 255 for part in parts):
        raise Refused("usage", "bgc: it is red,green,blue,alpha, each from 0 to 255", status=422, field="bgc")
    red, green, blue, *alpha = map(int, parts)
    if alpha and alpha[0] == 0:
        return None
    if alpha and alpha[0] != 255:
        warnings.append("bgc: its alpha has no effect here")
    return f"#{red:02x}{green:02x}{blue:02x}"
