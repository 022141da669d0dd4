"""HTTP/1.1 by uvicorn and h11, with deadlines that uvicorn does not have: for headers, body, idle and slow readers."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from figureground.server.config import ServerConfig

GRACE_SECONDS = 2.0
"""Seconds by which the application may answer a slow body itself, before the connection is closed."""
MAX_HEADERS = 32_768
"""Bytes of a request's line and headers."""


class DeadlineProtocol(H11Protocol):
    """Closes connections of clients that send or read too slowly. `limits` is set in a subclass of each server."""

    limits: ServerConfig
    most: int = 4096
    """Connections at a time."""
    deadline: asyncio.TimerHandle | None = None
    awaited = ""
    writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for headers; one connection too many is closed at once."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
        else:
            self._expect("headers")

    def data_received(self, data: bytes) -> None:
        """Take what a client has sent, and wait for the next part of the request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request, as uvicorn does, or for the rest of this one."""
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """Decide what the client owes us. A deadline runs from its beginning, whatever arrives in the meantime."""
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self._expect("body")
        elif state is h11.IDLE and self.conn.trailing_data[0]:
            self._expect("headers")
        else:
            self._expect("")

    def _expect(self, part: str) -> None:
        if part == self.awaited:
            return
        self.awaited = part
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None
        if part:
            seconds = self.limits.header_seconds if part == "headers" else self.limits.body_seconds + GRACE_SECONDS
            self.deadline = self.loop.call_later(seconds, self.transport.abort)

    def pause_writing(self) -> None:
        """Give the client some time to read."""
        super().pause_writing()
        self.writing = self.writing or self.loop.call_later(self.limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: it has read."""
        super().resume_writing()
        self._end_writing()

    def _end_writing(self) -> None:
        if self.writing is not None:
            self.writing.cancel()
            self.writing = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._expect("")
        self._end_writing()
        super().connection_lost(exc)


def protocol(limits: ServerConfig, most: int) -> type[DeadlineProtocol]:
    """Return the protocol with the limits of a server."""
    return type("Protocol", (DeadlineProtocol,), {"limits": limits, "most": most})
