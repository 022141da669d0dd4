"""What is held for pages: their pictures in front, each under a random id, and decoded pictures in workers."""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from figureground.server.errors import Refused

MOST, BYTES, SECONDS = 32, 256_000_000, 600.0
"""Things that one process holds, their bytes, and the seconds after its last use for which one is held."""
V = TypeVar("V")


class Held(Generic[V]):
    """Things by their key, the least recently used ones given up first; each ends some time after its last use, asked or not.

    The newest is held even if it alone has more than `BYTES`. Several threads may use it.
    """

    def __init__(self) -> None:
        self.rows: OrderedDict[Hashable, tuple[V, int, float]] = OrderedDict()
        self.lock = threading.RLock()
        self.timer: threading.Timer | None = None

    def put(self, key: Hashable, value: V, size: int) -> None:
        """Hold a thing of that many bytes."""
        with self.lock:
            self.rows[key] = value, size, time.monotonic()
            self.rows.move_to_end(key)
            while len(self.rows) > 1 and (len(self.rows) > MOST or sum(row[1] for row in self.rows.values()) > BYTES):
                self.rows.popitem(last=False)
            self.expire()

    def get(self, key: Hashable) -> V | None:
        """Return a thing, which is thereby used; None where it is not held."""
        with self.lock:
            self.expire()
            row = self.rows.get(key)
            if row is None:
                return None
            self.put(key, *row[:2])
            return row[0]

    def drop(self, key: Hashable) -> None:
        """Give a thing up, if it is held."""
        with self.lock:
            self.rows.pop(key, None)

    def expire(self) -> None:
        """Give up what was not used for long, and come back when the next is due."""
        with self.lock:
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None
            while self.rows:
                left = next(iter(self.rows.values()))[2] + SECONDS - time.monotonic()
                if left > 0:
                    self.timer = threading.Timer(left, self.expire)
                    self.timer.daemon = True
                    self.timer.start()
                    return
                self.rows.popitem(last=False)


@dataclass(frozen=True, slots=True)
class PageSession:
    """One picture. owner : as of `owner_of`. digest : of its bytes, by which workers know it."""

    data: bytes = field(repr=False)
    owner: str
    digest: str


class Sessions:
    """The pictures of all open pages."""

    def __init__(self) -> None:
        self.held: Held[PageSession] = Held()

    def add(self, data: bytes, owner: str) -> tuple[str, PageSession]:
        """Hold a picture; returns its id, and the session."""
        name, session = secrets.token_urlsafe(24), PageSession(data, owner, hashlib.sha256(data).hexdigest())
        self.held.put(name, session, len(data))
        return name, session

    def find(self, name: str, owner: str) -> PageSession:
        """Return a picture; raises Refused (404) for one that does not exist, was given up, or belongs to another key."""
        session = self.held.get(name)
        if session is None or session.owner != owner:
            raise Refused("not_found", "the picture is no longer held here; send it again", status=404)
        return session

    def remove(self, name: str, owner: str) -> None:
        """Give a picture up; raises Refused (404)."""
        self.find(name, owner)
        self.held.drop(name)
