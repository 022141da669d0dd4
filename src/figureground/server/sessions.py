"""Pictures that pages work on: held for some minutes, each under a random id that only its page knows."""

import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from figureground.server.errors import Refused

MOST, BYTES, SECONDS = 32, 256_000_000, 600.0
"""Pictures, their bytes, and the seconds after its last use for which one is held. Workers hold as many bytes decoded."""


@dataclass(slots=True)
class PageSession:
    """One picture. owner : the API key's name, "" without keys. digest : of its bytes, by which workers know it."""

    data: bytes = field(repr=False)
    owner: str
    digest: str
    used: float


class Sessions:
    """The pictures of all open pages, the least recently used ones given up first."""

    def __init__(self) -> None:
        self.held: OrderedDict[str, PageSession] = OrderedDict()

    def add(self, data: bytes, owner: str) -> str:
        """Hold a picture; returns its id."""
        name = secrets.token_urlsafe(24)
        self.held[name] = PageSession(data, owner, hashlib.sha256(data).hexdigest(), time.monotonic())
        while len(self.held) > MOST or (len(self.held) > 1 and sum(len(each.data) for each in self.held.values()) > BYTES):
            self.held.popitem(last=False)
        return name

    def find(self, name: str, owner: str) -> PageSession:
        """Return a picture; raises Refused (404) for one that is not there, was given up, or belongs to another key."""
        self._expire()
        session = self.held.get(name)
        if session is None or session.owner != owner:
            raise Refused("not_found", "the picture is no longer held here; send it again", status=404)
        session.used = time.monotonic()
        self.held.move_to_end(name)
        return session

    def remove(self, name: str, owner: str) -> None:
        """Give a picture up; raises Refused (404)."""
        self.find(name, owner)
        del self.held[name]

    def _expire(self) -> None:
        oldest = time.monotonic() - SECONDS
        while self.held and next(iter(self.held.values())).used < oldest:
            self.held.popitem(last=False)
