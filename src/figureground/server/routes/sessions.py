"""What the page asks: a picture is sent once, then worked on under its session's id."""

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from figureground.jobs import JobSpec
from figureground.server.answers import JSON, answer, document, negotiate
from figureground.server.bodies import Body
from figureground.server.errors import Refused
from figureground.server.options import build_spec, suffixes
from figureground.server.routes.jobs import owner_of
from figureground.server.routes.remove import read_request
from figureground.server.service import Service, one_picture
from figureground.server.sessions import Sessions
from figureground.server.worker import ServerTask


def router(service: Service) -> APIRouter:
    """Return the routes, which the OpenAPI document leaves out: they may change with the page."""
    routes = APIRouter(include_in_schema=False, prefix="/v1/sessions")
    sessions = Sessions()

    @routes.post("")
    async def add(request: Request) -> Response:
        """Hold a picture and separate it, with the fields of /v1/remove; the answer is JSON with its id."""
        async with service.body(request) as body:
            options, pictures, url = read_request(service, request, body)
            data = one_picture(pictures if url is None else [await service.fetch(url)])
            spec = build_spec(options, service.config.methods, service.config.settings)
            name, session = sessions.add(data, owner_of(request))
            try:
                result = await service.process(ServerTask(data, spec, suffixes(spec, ".png"), remember=session.digest))
            except BaseException:
                sessions.held.drop(name)
                raise
        return JSONResponse({"id": name, "bytes": len(data), **document(result, ".png")})

    @routes.post("/{name}")
    async def change(request: Request, name: str) -> Response:
        """Separate it with other options, or finish it with the part `mask`: a PNG of its size, white is foreground."""
        session = sessions.find(name, owner_of(request))
        async with service.body(request) as body:
            mask, spec, kind, suffix = _wanted(service, request, body)
            task = ServerTask(session.data, spec, suffixes(spec, suffix), remember=session.digest, mask=mask)
            result = await service.process(task)
        return answer(result, kind, suffix, {})

    @routes.delete("/{name}", status_code=204)
    async def remove(request: Request, name: str) -> Response:
        """Give the picture up."""
        sessions.remove(name, owner_of(request))
        return Response(status_code=204)

    return routes


def _wanted(service: Service, request: Request, body: Body) -> tuple[bytes | None, JobSpec, str, str]:
    """Return the mask that was sent, what is wanted, and the media type and suffix of the answer. Raises Refused."""
    mask = _mask(body)
    options, pictures, url = read_request(service, request, body)
    if pictures or url is not None:
        raise Refused("usage", "image: the session has its picture", status=422, field="image")
    spec = build_spec(options, service.config.methods, service.config.settings)
    given: Any = getattr(options, "format", None)
    return mask, spec, *negotiate(request.headers.get("accept", JSON), given and f".{given}", spec)


def _mask(body: Body) -> bytes | None:
    """Take the part `mask` out of a body; raises Refused where there are several."""
    masks = [data for name, data in body.files if name == "mask"]
    body.files = [(name, data) for name, data in body.files if name != "mask"]
    if len(masks) > 1:
        raise Refused("usage", "mask: one is wanted", status=422, field="mask")
    return masks[0] if masks else None
