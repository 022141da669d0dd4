"""The application: the routes of `routes/` behind the guard."""

import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

import figureground
from figureground.server import routes
from figureground.server.config import ServerConfig
from figureground.server.errors import Refused
from figureground.server.guard import HANDLED, RequestGuard, on_error
from figureground.server.service import Service


def route_names() -> tuple[str, ...]:
    """Return the names of all files of routes, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(routes.__path__)))


def create_app(config: ServerConfig) -> tuple[RequestGuard, Service]:
    """Return the ASGI application of a server, and its state. Raises UsageError."""
    service = Service(config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, object]]:
        await service.start()
        try:
            yield {}
        finally:
            await service.stop()

    app = FastAPI(
        title="figureground",
        version=figureground.__version__,
        description="Tells foreground from background in pictures.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    for kind in HANDLED:
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    for name in route_names():
        app.include_router(import_module(f"{routes.__name__}.{name}").router(service))
    return RequestGuard(app, service), service


async def _on_invalid(request: Request, error: Exception) -> Response:
    """Answer a parameter of a wrong type, as all other fields."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": ("query",), "msg": ""}
    name = str(first["loc"][-1])[:100]
    return await on_error(request, Refused("usage", f"{name}: {first['msg']}", status=422, field=name))
