"""Errors as HTTP answers: every code has its status here."""

from collections.abc import Mapping
from typing import Any

from figureground.errors import FigureGroundError

STATUS: Mapping[str, int] = {
    "empty_file": 400,
    "bad_request": 400,
    "roi_region_empty": 400,
    "auth_failed": 401,
    "forbidden": 403,
    "licence_refused": 403,
    "license_refused": 403,
    "url_not_allowed": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "request_timeout": 408,
    "too_large": 413,
    "unsupported_format": 415,
    "decode_error": 422,
    "truncated": 422,
    "no_foreground": 422,
    "usage": 422,
    "unknown_name": 422,
    "unknown_option": 422,
    "mismatch": 422,
    "quota_exceeded": 429,
    "rate_limit_exceeded": 429,
    "too_many_requests": 429,
    "internal": 500,
    "upstream_error": 502,
    "busy": 503,
    "missing_extra": 503,
    "model_corrupt": 503,
    "model_missing": 503,
    "resource_limit": 503,
    "timeout": 503,
    "upstream_timeout": 504,
}
"""The status of each code; a code that is not listed is `internal`."""

NAMES_NOTHING: Mapping[str, str] = {
    "url_not_allowed": "the address is not fetched: they are switched off here, it is not public, or nothing answers",
    "upstream_error": "the address gave no picture",
    "upstream_timeout": "the address took too long",
    "internal": "the server met a fault of its own; its log has more under the request id",
    "model_missing": "the method's network is not available on this server",
    "model_corrupt": "the method's network is not available on this server",
    "missing_extra": "the method is not available on this server",
}
"""Messages in place of the errors' own, which would tell of the network and the disk behind the server."""


class Refused(Exception):
    """An answer other than success. retry_after : seconds. field : the field of the request that is at fault."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message = code, NAMES_NOTHING.get(code) or message
        self.status = status or STATUS.get(code, 500)
        self.retry_after, self.field = retry_after, field

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to the answer."""
        headers = {} if self.retry_after is None else {"Retry-After": str(max(1, round(self.retry_after)))}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})

    def as_dict(self, request_id: str) -> dict[str, Any]:
        """Return the answer's JSON."""
        body = {"code": self.code, "message": self.message, "picture": None, "request_id": request_id}
        return body | ({"field": self.field} if self.field else {})


def refused(error: BaseException) -> Refused:
    """Return the answer to an error."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, FigureGroundError) and error.code in STATUS:
        retry = 5.0 if error.code in ("busy", "resource_limit", "timeout") else None
        return Refused(error.code, str(error), retry_after=retry)
    return Refused("internal")
