"""POST /v1/remove: one picture, separated."""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from figureground.server.answers import TYPES, ZIP, answer, etag, negotiate
from figureground.server.bodies import Body, decode_base64
from figureground.server.errors import Refused
from figureground.server.options import Options, build_spec, form_values, read_options, suffixes
from figureground.server.service import Service, one_picture
from figureground.server.worker import ServerTask

NAMES = ("image", "file")
"""What the part of a form with the picture may be called."""


def router(service: Service) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["pictures"])

    @routes.post("/v1/remove", openapi_extra=request_schema(service.options), responses=RESPONSES, response_class=Response)
    async def remove(request: Request) -> Response:
        """Remove the background of a picture.

        The picture is a part `image` of a form, the body itself, or `image` (base64) or `url` of a JSON object. Options are
        fields of the form or the object, or of the query. The Accept header decides the answer: an image, a ZIP file or JSON.
        """
        async with service.body(request) as body:
            options, pictures, url = read_request(service, request, body)
            spec = build_spec(options, service.config.methods, service.config.settings)
            given = getattr(options, "format", None)
            kind, suffix = negotiate(request.headers.get("accept", ""), given and f".{given}", spec)
            task_suffixes = suffixes(spec, suffix)
            if url is not None:
                pictures = [await service.fetch(url)]
            data = one_picture(pictures)
            tag = etag(data, spec, kind, suffix)
            result = await service.process(ServerTask(data, spec, task_suffixes))
        return answer(result, kind, suffix, {"ETag": tag})

    return routes


def read_request(service: Service, request: Request, body: Body) -> tuple[Options, list[bytes], str | None]:
    """Return the options, the pictures that came with the request, and the address of one that did not. Raises Refused."""
    values: dict[str, Any] = form_values(service.options, request.query_params.multi_items())
    pictures, url = [], values.pop("url", None)
    if body.document is not None:
        document = dict(body.document)
        if (encoded := document.pop("image", None)) is not None:
            pictures.append(decode_base64(encoded, "image"))
        url = document.pop("url", url)
        values |= document
    else:
        fields = form_values(service.options, body.fields)
        url = fields.pop("url", url)
        values |= fields
        wrong = next((name for name, _ in body.files if name not in ("", *NAMES)), None)
        if wrong is not None:
            raise Refused("usage", "the part with the picture is called image", status=422, field="image")
        pictures += [data for _, data in body.files]
    options = read_options(service.options, values)
    if url is not None and not isinstance(url, str):
        raise Refused("usage", "url: it is an address", status=422, field="url")
    if url is not None and pictures:
        raise Refused("usage", "url: the request holds a picture and an address; leave one out", status=422, field="url")
    return options, pictures, url


def request_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return what OpenAPI says of the request: its options as a form, as JSON, and as a query beside the picture."""
    properties: dict[str, Any] = model.model_json_schema()["properties"]
    plain = {name: _without_null(row) for name, row in properties.items()}
    url = {"type": "string", "format": "uri", "description": "The picture's address, where the server fetches any."}
    form = {**plain, "image": {"type": "string", "format": "binary", "description": "The picture."}, "url": url}
    encoded = {"type": "string", "format": "byte", "description": "The picture as base64."}
    document = {**properties, "image": encoded, "url": url}
    content: dict[str, Any] = {
        "multipart/form-data": {"schema": {"type": "object", "properties": form, "additionalProperties": False}},
        "application/json": {"schema": {"type": "object", "properties": document, "additionalProperties": False}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    }
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": row, "description": row.get("description", "")}
        for name, row in plain.items()
    ]
    return {"requestBody": {"required": True, "content": content}, "parameters": parameters}


def _without_null(row: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field that may be left out, without null, which forms do not have."""
    kinds = [kind for kind in row.get("anyOf", []) if kind.get("type") != "null"]
    rest = {name: value for name, value in row.items() if name not in ("anyOf", "default", "title")}
    return {**rest, **kinds[0]} if len(kinds) == 1 else row


_ERROR = {
    "type": "object",
    "required": ["code", "message", "request_id"],
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "picture": {"type": "null"},
        "request_id": {"type": "string"},
        "field": {"type": "string"},
    },
}
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": about, "content": {"application/json": {"schema": _ERROR}}}
    for status, about in {
        400: "The body is at fault.",
        401: "An API key is needed.",
        403: "The address is not fetched, or the page may not ask.",
        406: "The Accept header takes none of the answers.",
        408: "The body arrived too slowly.",
        413: "The body or the picture is too large.",
        415: "The picture's format is not read.",
        422: "A field or the picture is at fault.",
        429: "The queue is full, or the key is used up; Retry-After says when to come back.",
        502: "The address gave no picture.",
        503: "No worker was free in time; Retry-After says when to come back.",
        504: "The address took too long.",
    }.items()
}
_IMAGES = (*dict.fromkeys(TYPES.values()), ZIP)
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The result.",
        "content": {
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in _IMAGES},
            "application/json": {"schema": {"type": "object"}},
        },
        "headers": {name: {"schema": {"type": "string"}} for name in ("ETag", "Server-Timing", "X-Request-Id", "X-Warning")},
    },
    **ERROR_RESPONSES,
}
