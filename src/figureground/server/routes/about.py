"""What the server offers and how it is: methods, labels, health, readiness, metrics."""

from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from figureground import models
from figureground.errors import IncompatibleParts
from figureground.methods import METHODS, find
from figureground.server.errors import Refused
from figureground.server.routes.remove import ERROR_RESPONSES
from figureground.server.service import Service
from figureground.types import InstanceMap, LabelMap


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["server"])

    @routes.get("/v1/methods")
    async def methods() -> list[dict[str, Any]]:
        """List the methods that requests may name; the first is the default."""
        return [_row(name) for name in service.config.methods]

    @routes.get("/v1/labels", responses={404: ERROR_RESPONSES[422], 422: ERROR_RESPONSES[422]})
    async def labels(method: str = "") -> list[dict[str, Any]]:
        """List the classes that a method's network names; by default those of the first method that names any."""
        offered = [name for name in service.config.methods if _classes(name)]
        if method and method not in service.config.methods:
            known = ", ".join(service.config.methods)
            raise Refused("unknown_name", f"method: it is one of {known}", status=422, field="method")
        if method and method not in offered:
            raise IncompatibleParts("the method's network names no classes")
        if not offered:
            raise Refused("not_found", "no method of this server names classes")
        classes = _classes(method or offered[0])
        return [{"index": index, "name": name.strip(), "stuff": stuff} for index, (name, stuff) in enumerate(classes)]

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Tell that the server runs."""
        return {"status": "ok"}

    @routes.get("/readyz", responses={503: {"description": "No worker is ready, or the server stops."}})
    async def readyz() -> Response:
        """Tell whether the server takes work."""
        status = "ready" if service.ready else "stopping" if service.stopping else "starting"
        return JSONResponse({"status": status, "workers": service.pool.ready}, 200 if service.ready else 503)

    @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Return figures for Prometheus."""
        return Response(service.measure(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return routes


def _row(name: str) -> dict[str, Any]:
    method = METHODS[name]
    label = models.card(method.model)
    parts = {"method": name, "model": method.model, "rule": method.rule, "refiner": method.refiner, "about": method.about}
    terms = {"license": label.license, "permissive": label.permissive, "data": label.data}
    return {**parts, **terms, "prompt": sorted(label.prompt_kinds), "needs_prompt": label.needs_prompt}


def _classes(name: str) -> tuple[tuple[str, bool], ...]:
    model = find(name).model
    if models.card(model).output_type not in (LabelMap, InstanceMap):
        return ()
    classes: tuple[tuple[str, bool], ...] = models.module(model).CLASSES()
    return classes
