"""API keys: 32 random bytes, of which only the SHA-256 is stored; a rate and a daily quota for each."""

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from figureground._files import locked, write_whole
from figureground.errors import UsageError, WriteFailed
from figureground.server.errors import Refused

_ROW = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class Key:
    """A key as it is stored, and what it has used. rate : requests a minute. quota : requests a day (UTC). 0: no limit."""

    sha256: str
    name: str = ""
    rate: int = 0
    quota: int = 0
    tokens: float = field(default=0.0, compare=False)
    refilled: float = field(default=0.0, compare=False)
    day: int = field(default=0, compare=False)
    used: int = field(default=0, compare=False)


class Keys:
    """The keys of a file, which is read again when it changes."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self.path, self.now = path, now
        self.keys: dict[str, Key] = {}
        self.read: tuple[float, int] | None = None
        self.load()

    def load(self) -> None:
        """Read the file where it has changed; raises UsageError where it cannot be read."""
        try:
            status = self.path.stat()
            if self.read == (status.st_mtime, status.st_size):
                return
            keys = [_key(line) for line in self.path.read_text("utf-8").splitlines() if line.strip()]
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise UsageError(
                f"the keys in '{self.path}' cannot be read ({error}); `figureground serve --new-key` adds one"
            ) from None
        self.read = (status.st_mtime, status.st_size)
        self.keys = {key.sha256: self.keys.get(key.sha256, key) if self.keys.get(key.sha256) == key else key for key in keys}

    def find(self, given: str) -> Key | None:
        """Return the key that was given; compares it with all in constant time."""
        with suppress(UsageError):  # it is being written: those known before hold on
            self.load()
        digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).hexdigest()
        match = None
        for key in self.keys.values():
            if hmac.compare_digest(key.sha256, digest):
                match = key
        return match

    def spend(self, key: Key) -> None:
        """Count a request; raises Refused (rate_limit_exceeded, quota_exceeded)."""
        now = self.now()
        if key.rate:
            key.tokens = min(key.rate, key.tokens + (now - key.refilled) * key.rate / 60) if key.refilled else key.rate
            key.refilled = now
            if key.tokens < 1:
                wait = (1 - key.tokens) * 60 / key.rate
                raise Refused("rate_limit_exceeded", f"the key allows {key.rate} requests a minute", retry_after=wait)
        day, into = divmod(now, 86400)
        if int(day) != key.day:
            key.day, key.used = int(day), 0
        if key.quota and key.used >= key.quota:
            raise Refused("quota_exceeded", f"the key allows {key.quota} requests a day", retry_after=86400 - into)
        key.tokens -= 1 if key.rate else 0
        key.used += 1

    @staticmethod
    def limits(key: Key) -> dict[str, str]:
        """Return the rate limit as headers, where there is one."""
        if not key.rate:
            return {}
        wait = max(0.0, 1 - key.tokens) * 60 / key.rate
        return {
            "X-RateLimit-Limit": str(key.rate),
            "X-RateLimit-Remaining": str(max(0, int(key.tokens))),
            "X-RateLimit-Reset": str(round(wait)),
        }


def _key(line: str) -> Key:
    row = json.loads(line)
    key = Key(row["sha256"], str(row.get("name", "")), int(row.get("rate", 0)), int(row.get("quota", 0)))
    if not _ROW.fullmatch(key.sha256) or key.rate < 0 or key.quota < 0:
        raise ValueError("a row is no key")
    return key


def new_key(path: Path, name: str = "", rate: int = 0, quota: int = 0) -> str:
    """Add a new key to a file, which only its owner can read, and return it. Raises WriteFailed."""
    key = secrets.token_urlsafe(32)
    row = {"sha256": hashlib.sha256(key.encode()).hexdigest(), "name": name, "rate": rate, "quota": quota}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f"{path.name}.lock")):
            before = path.read_text("utf-8") if path.exists() else ""
            write_whole(f"{before}{json.dumps(row)}\n".encode(), path)
            path.chmod(0o600)
    except OSError as error:
        raise WriteFailed(f"'{path}' cannot be written: {error.strerror}") from None
    return key
