"""What every request passes: request id, who may ask, security headers, errors as JSON, one line of log, metrics."""

import json
import logging
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from figureground.errors import FigureGroundError
from figureground.server.errors import Refused, refused
from figureground.server.service import Service

LOG = logging.getLogger("figureground.server")
OPEN = frozenset({"/", "/docs", "/openapi.json", "/healthz", "/readyz", "/style.css"})
"""Paths that need no key."""
PAGE = "/page/"
"""Where the paths of the page's parts begin; they need no key either."""
ALWAYS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are answered while the server stops."""
SECURITY: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_TITLES = {404: "not_found", 405: "method_not_allowed"}


class RequestGuard:
    """The outermost application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await _Passage(self.app, self.service, scope, receive, send).run()


class _Passage:
    """One request on its way through."""

    def __init__(self, app: ASGIApp, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        self.app, self.service, self.scope, self.receive, self._send = app, service, scope, receive, send
        self.headers = Headers(scope=scope)
        given = self.headers.get("x-request-id", "")
        self.id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        self.began = time.monotonic()
        self.status = 0
        self.complete = False
        self.code: str | None = None
        self.extra: dict[str, str] = {}
        scope.setdefault("state", {})["request_id"] = self.id
        scope["state"]["passage"] = self

    async def run(self) -> None:
        """Answer, whatever happens, and note it."""
        counts = self.scope["path"] not in ALWAYS
        self.service.active += counts
        try:
            try:
                early = self._checked()
                await (early or self.app)(self.scope, self.receive, self.send)
            except Exception as error:
                await self._fail(error)
        finally:
            self.service.active -= counts
            self._note()

    def _checked(self) -> Response | None:
        """Raise Refused for who may not ask; return the answer to a browser's preliminary question."""
        config, path = self.service.config, self.scope["path"]
        if self.service.stopping and path not in ALWAYS:
            self.extra["Connection"] = "close"
            raise Refused("busy", "the server stops", retry_after=5)
        self._check_host()
        origin = self.headers.get("origin")
        if origin is not None and not self._is_own(origin):
            if origin not in config.origins:
                raise Refused("forbidden", "pages of other origins may not use this server; --origin names those that may")
            self.extra |= {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
            self.extra["Access-Control-Expose-Headers"] = "*"
            self.extra["Cross-Origin-Resource-Policy"] = "cross-origin"
        elif self.headers.get("sec-fetch-site") == "cross-site" and not self._is_visit(path):
            raise Refused("forbidden", "pages of other sites may not use this server")
        if self.scope["method"] == "OPTIONS" and "access-control-request-method" in self.headers:
            return self._preflight()
        self._check_key(path)
        return None

    def _is_own(self, origin: str) -> bool:
        return urlsplit(origin).netloc == self.headers.get("host") and urlsplit(origin).scheme in ("http", "https")

    def _is_visit(self, path: str) -> bool:
        """Whether somebody follows a link to one of the pages."""
        return path in OPEN and self.scope["method"] == "GET" and self.headers.get("sec-fetch-mode") == "navigate"

    def _check_host(self) -> None:
        """Refuse names that are not ours: such a request comes from a page whose name was pointed at this machine."""
        config = self.service.config
        if not (config.is_loopback or config.hosts):
            return
        try:
            host = urlsplit(f"//{self.headers.get('host', '')}").hostname or ""
        except ValueError:
            host = ""
        if host not in config.hosts and host not in _LOOPBACK:
            raise Refused("forbidden", "the server does not go by this name; --allow-host adds one")

    def _preflight(self) -> Response:
        headers = {"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Max-Age": "600"}
        headers["Access-Control-Allow-Headers"] = "Accept, Authorization, Content-Type, X-Api-Key, X-Request-Id"
        return Response(status_code=204 if "Access-Control-Allow-Origin" in self.extra else 403, headers=headers)

    def _check_key(self, path: str) -> None:
        keys = self.service.keys
        if keys is None or path in OPEN or path.startswith(PAGE):
            return
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        given = self.headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")
        key = keys.find(given) if given else None
        if key is None:
            raise Refused("auth_failed", "an API key is needed: X-Api-Key, or Authorization: Bearer")
        self.scope["state"]["key"] = key
        if path != "/metrics":
            try:
                keys.spend(key)
            finally:
                self.extra |= keys.limits(key)

    async def send(self, message: Message) -> None:
        """Pass a message of the answer on, with our headers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in {**SECURITY, "X-Request-Id": self.id, **self.extra}.items():
                if name == "Vary" and name in headers:
                    value = f"{headers[name]}, {value}"  # noqa: PLW2901
                elif name == "Cache-Control" and name in headers:
                    continue
                headers[name] = value
        elif not message.get("more_body", False):
            self.complete = True
        await self._send(message)

    async def _fail(self, error: Exception) -> None:
        if self.complete:  # Starlette raises what it has answered
            return
        if self.status:  # half an answer is out already: the connection is closed
            raise error
        await error_response(self, error)(self.scope, self.receive, self.send)

    def _note(self) -> None:
        """Count the request, and log it: no path, query, name or pixel of it."""
        route = getattr(self.scope.get("route"), "path", "other")
        seconds = time.monotonic() - self.began
        method = self.scope["method"] if self.scope["method"] in ("GET", "POST", "HEAD", "OPTIONS") else "other"
        status = self.status or 499
        self.service.metrics.requests.labels(route, method, str(status)).inc()
        self.service.metrics.seconds.labels(route).observe(seconds)
        if self.code:
            self.service.metrics.refusals.labels(self.code).inc()
        key = self.scope["state"].get("key")
        row = {
            "event": "request",
            "request_id": self.id,
            "method": method,
            "route": route,
            "status": status,
            "seconds": round(seconds, 4),
            "code": self.code,
            "key": key.name if key else None,
        }
        LOG.info(json.dumps({name: value for name, value in row.items() if value is not None}))


def error_response(passage: _Passage, error: Exception) -> Response:
    """Return the answer to an error, in the shape of the API that was asked."""
    if isinstance(error, HTTPException):
        code = _TITLES.get(error.status_code, "bad_request")
        refusal = Refused(code, str(error.detail), status=error.status_code)
    else:
        refusal = refused(error)
    passage.code = refusal.code
    if refusal.code == "internal":
        frames = _frames(error)
        LOG.error(json.dumps({"event": "internal", "request_id": passage.id, "error": type(error).__name__, "at": frames}))
    if passage.scope["path"].startswith("/v1.0/"):
        from figureground.server.removebg import error_body

        status, body = error_body(refusal)
    else:
        status, body = refusal.status, refusal.as_dict(passage.id)
    return JSONResponse(body, status, {**(getattr(error, "headers", None) or {}), **refusal.headers})


def _frames(error: Exception) -> list[str]:
    """Where an error came from: modules and lines, no values."""
    rows, trace = [], error.__traceback__
    while trace is not None:
        rows.append(f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}")
        trace = trace.tb_next
    return rows[-8:]


async def on_error(request: Any, error: Exception) -> Response:
    """Answer an error that a route raised: the handler of FastAPI."""
    return error_response(request.scope["state"]["passage"], error)


HANDLED = (Refused, FigureGroundError, HTTPException, Exception)
