"""The page for people, and the API's description. Both load nothing from elsewhere."""

import asyncio
import time
from collections.abc import AsyncIterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from figureground.methods import find, option_names
from figureground.models import card
from figureground.server.service import Service

PARTS = StaticFiles(packages=[("figureground", "server/page")])
SAMPLES = ("astronaut.jpg", "cat.jpg", "cup.jpg")
STYLE = """:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
label { display: block; margin: 1rem 0; }
table { border-collapse: collapse; }
td, th { text-align: left; vertical-align: top; padding: 0.2rem 1rem 0.2rem 0; border-top: 1px solid #8884; }
code { font-size: 0.9em; }
"""


def router(service: Service) -> APIRouter:
    """Return the pages, which the OpenAPI document leaves out."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def page(request: Request) -> Response:
        """Return the page; its parts are below /page/."""
        return await PARTS.get_response("index.html", request.scope)

    @routes.get("/page/settings.json")
    async def settings() -> dict[str, Any]:
        """Return what the page can offer, and the limits."""
        config = service.config
        options = {name: option_names(find(name)) for name in config.methods if not card(find(name).model).needs_prompt}
        return {
            "methods": [{"name": name, "qualities": "quality" in names} for name, names in options.items()],
            "max_bytes": min(config.max_body, config.settings.max_bytes),
            "urls": config.settings.urls != "none",
            "key": service.keys is not None,
            "local": config.is_loopback,
            "watch": config.page_seconds > 0,
            "samples": SAMPLES,
        }

    @routes.get("/page/{name}")
    async def part(request: Request, name: str) -> Response:
        """Return a part of the page."""
        return await PARTS.get_response(name, request.scope)

    @routes.get("/open")
    async def opened() -> Response:
        """Count a page as long as its connection is open."""
        return StreamingResponse(_open(service), media_type="text/event-stream")

    @routes.get("/style.css")
    async def style() -> Response:
        """Return the style of the pages."""
        return Response(STYLE, media_type="text/css")

    @routes.get("/docs")
    async def docs(request: Request) -> Response:
        """Return the API's description as a page."""
        document = request.app.openapi()
        parts = [_operation(path, verb, row) for path, rows in document["paths"].items() for verb, row in rows.items()]
        version = escape(document["info"]["version"])
        link = '<p>For tools: <a href="/openapi.json">openapi.json</a>.</p>'
        return _page("The API of figureground", f"<h1>The API of figureground {version}</h1>{link}{''.join(parts)}")

    return routes


async def _open(service: Service) -> AsyncIterator[str]:
    service.pages, service.left = service.pages + 1, None
    try:
        while not service.stopping:
            yield ": open\n\n"
            await asyncio.sleep(1)
    finally:
        service.pages -= 1
        service.left = None if service.pages else time.monotonic()


def _page(title: str, body: str) -> Response:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><link rel="stylesheet" href="/style.css">'
    view = '<meta name="viewport" content="width=device-width">'
    return HTMLResponse(f'<!doctype html><html lang="en"><head>{head}{view}</head><body>{body}</body></html>')


def _operation(path: str, verb: str, row: dict[str, Any]) -> str:
    about = escape(row.get("description") or row.get("summary", ""))
    content = row.get("requestBody", {}).get("content", {})
    schema: dict[str, Any] = next((each["schema"] for each in content.values() if "properties" in each.get("schema", {})), {})
    fields = schema.get("properties") or {each["name"]: each.get("schema", {}) for each in row.get("parameters", [])}
    table = "".join(_row(name, each) for name, each in fields.items())
    table = f"<table><tr><th>Field<th>Type<th>Meaning</tr>{table}</table>" if table else ""
    types = f"<p>Body: {', '.join(f'<code>{escape(kind)}</code>' for kind in content)}</p>" if content else ""
    answers = "".join(
        f"<tr><td>{escape(status)}<td>{escape(each.get('description', ''))}</tr>" for status, each in row["responses"].items()
    )
    return f"<h2><code>{verb.upper()} {escape(path)}</code></h2><p>{about}</p>{types}{table}<table>{answers}</table>"


def _row(name: str, row: dict[str, Any]) -> str:
    kinds = [row, *row.get("anyOf", [])]
    kind = next((each["type"] for each in kinds if each.get("type") not in (None, "null")), "")
    values: list[Any] = next((each["enum"] for each in kinds if "enum" in each), [])
    shown = f"one of {', '.join(map(str, values))}" if values else kind
    return f"<tr><td><code>{escape(name)}</code><td>{escape(shown)}<td>{escape(row.get('description', ''))}</tr>"
