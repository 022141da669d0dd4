"""Jobs for much work: POST /v1/jobs, then its state, its events and its files."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse, StreamingResponse

from figureground.server.answers import TYPES
from figureground.server.errors import Refused
from figureground.server.job_store import FINISHED
from figureground.server.routes.remove import ERROR_RESPONSES, read_request, request_schema
from figureground.server.service import Service

HEARTBEAT = 10.0
"""Seconds between signs of life of an event stream."""
_NAME = re.compile(r"\d{1,4}\.[a-z]{1,20}(\.[a-z]{3,4})", re.ASCII)
_MISSING: dict[int | str, dict[str, Any]] = {404: {**ERROR_RESPONSES[422], "description": "There is no such job."}}


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["jobs"], prefix="/v1/jobs")

    @routes.post("", status_code=202, openapi_extra=request_schema(service.options), responses=ERROR_RESPONSES)
    async def add(request: Request) -> Response:
        """Store pictures to be processed later, with the fields of /v1/remove; several parts `image` are one job."""
        async with service.body(request, even_if_full=True) as body:
            options, pictures, url = read_request(service, request, body)
            if url is not None:
                pictures = [await service.fetch(url)]
            if not pictures:
                raise Refused("usage", "image: a picture is wanted, but got none", status=422, field="image")
            job = await service.jobs.add(options, pictures, owner_of(request))
        return JSONResponse(_shown(service, _find(service, job, request)), 202, {"Location": f"/v1/jobs/{job}"})

    @routes.get("/{job}", responses=_MISSING)
    async def state(request: Request, job: str) -> dict[str, Any]:
        """Tell how far a job is, and what its files are called."""
        return _shown(service, _find(service, job, request))

    @routes.delete("/{job}", status_code=204, responses=_MISSING)
    async def remove(request: Request, job: str) -> Response:
        """Remove a job, its pictures and its results."""
        _find(service, job, request)
        service.jobs.store.remove(job)
        await service.jobs.notify()
        return Response(status_code=204)

    @routes.get("/{job}/events", response_class=StreamingResponse, responses=_MISSING)
    async def events(request: Request, job: str) -> Response:
        """Send an event for every change of a job until it is finished."""
        _find(service, job, request)
        return StreamingResponse(_events(service, job, request), media_type="text/event-stream")

    @routes.get("/{job}/files/{name}", response_class=Response, responses=_MISSING)
    async def file(request: Request, job: str, name: str) -> Response:
        """Return a file of a job."""
        return await _file(service, _find(service, job, request), name)

    return routes


async def _file(service: Service, job: dict[str, Any], name: str) -> Response:
    """Return a file of a job; raises Refused."""
    match = _NAME.fullmatch(name)
    if match is None or not any(name in each["files"] for each in job["pictures"]):
        raise Refused("not_found", "the job has no such file")
    try:
        data = await asyncio.to_thread(service.jobs.store.path(job["id"], name).read_bytes)
    except OSError:
        raise Refused("not_found", "the file is no longer kept") from None
    return Response(data, media_type=TYPES[match[1]], headers={"Content-Disposition": f'inline; filename="{name}"'})


def owner_of(request: Request) -> str:
    """Return whose job or session it is: the hash of the API key; "" where the server has no keys."""
    key = getattr(request.state, "key", None)
    return key.sha256 if key is not None else ""


def _find(service: Service, job: str, request: Request) -> dict[str, Any]:
    """Return the job, if it is the asker's; raises Refused."""
    job_row = service.jobs.store.read(job, owner_of(request))
    if job_row is None:
        raise Refused("not_found", "there is no such job")
    return job_row


def _shown(service: Service, job: dict[str, Any]) -> dict[str, Any]:
    """Return a job as its owner sees it: files as addresses."""
    states = [each["state"] for each in job["pictures"]]
    counts = {"total": len(states), "done": states.count("done"), "failed": states.count("failed")}
    address = f"/v1/jobs/{job['id']}"
    pictures = [
        {**each, "files": {name.split(".")[1]: f"{address}/files/{name}" for name in each["files"]}} for each in job["pictures"]
    ]
    expires = job["finished"] and job["finished"] + service.config.keep_seconds
    return {**job, **counts, "expires": expires, "events": f"{address}/events", "pictures": pictures}


async def _events(service: Service, job: str, request: Request) -> AsyncIterator[str]:
    """Yield the events of a job: `state` for each change, `end` when it is finished, removed, or the server stops."""
    last = None
    while True:
        job_row = service.jobs.store.read(job, owner_of(request))
        if job_row is None or service.stopping:
            yield "event: end\ndata: {}\n\n"
            return
        shown = _shown(service, job_row)
        row = {name: shown[name] for name in ("id", "state", "total", "done", "failed")}
        if row != last:
            last = row
            yield f"event: state\ndata: {json.dumps(row)}\n\n"
        if row["state"] in FINISHED:
            yield f"event: end\ndata: {json.dumps(row)}\n\n"
            return
        changed = asyncio.create_task(service.jobs.wait(HEARTBEAT))
        try:
            await changed
        finally:
            changed.cancel()
        if not service.stopping:
            yield ": alive\n\n"
