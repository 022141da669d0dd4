"""The settings of the server, with all of its limits. Plain data."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

from figureground.errors import UsageError
from figureground.methods import DEFAULT, METHODS, find
from figureground.models import card
from figureground.settings import Settings

MAX_PIXELS = 50_000_000
"""Pixels of a picture, where FIGUREGROUND_MAX_PIXELS does not say otherwise."""
MAX_BYTES = 25_000_000
"""Bytes of a body beyond loopback, where FIGUREGROUND_MAX_BYTES does not say otherwise; also of a picture behind an address."""
URL_SECONDS = 15.0
"""Seconds to fetch an address, where FIGUREGROUND_TIMEOUT does not say otherwise."""
MAX_REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How the server works, and within which limits."""

    settings: Settings
    """Of the workers: limits of pictures, runtime, threads of one worker, addresses."""
    host: str = "127.0.0.1"
    port: int = 8000
    """0: any free port."""
    methods: tuple[str, ...] = (DEFAULT,)
    """The methods that requests may name; the first is the default."""
    workers: int = 1
    """Worker processes; each processes one picture at a time and holds one network."""
    queue: int = 16
    """Pictures that may wait for a worker; more are refused with 429."""
    seconds: float = 30.0
    """Seconds that a picture may take in a worker, and that it may wait for one."""
    memory: int = 1500
    """Megabytes that a picture may need beyond what its worker holds; 0: no limit. Linux counts it."""
    recycle: int = 1500
    """Megabytes of memory that an idle worker may hold before another takes its place; 0: no limit."""
    preload: bool = True
    """Whether workers load the default method when they start."""
    max_body: int = MAX_BYTES
    """Bytes of a request's body."""
    buffered: int = 500_000_000
    """Bytes of bodies that are held at a time; more are refused with 503."""
    header_seconds: float = 10.0
    """Seconds in which a request's line and headers must be there."""
    body_seconds: float = 30.0
    """Seconds in which its body must be there."""
    idle_seconds: float = 10.0
    """Seconds after which an idle connection is closed."""
    write_seconds: float = 30.0
    """Seconds that a client may take to make room for more of an answer."""
    stop_seconds: float = 20.0
    """Seconds that accepted work may take when the server is stopped."""
    hosts: tuple[str, ...] = ()
    """Names by which the server may be asked, beside those of loopback; empty beyond loopback: any."""
    origins: tuple[str, ...] = ()
    """Origins of pages that may use the API from a browser, such as https://example.com; else the server's own alone."""
    keys: Path | None = None
    """File with hashes of API keys; None: no key is needed."""
    state: Path | None = None
    """Folder with jobs and their results; None: a temporary one."""
    keep_seconds: float = 3600.0
    """Seconds that the results of a job are kept."""
    max_jobs: int = 1000
    """Jobs that may wait."""
    page_seconds: float = 0.0
    """Seconds after the last page has left when the server ends; 0: never."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    def validate(self) -> None:
        """Raise UsageError where the server cannot start so."""
        for name in self.methods:
            if name not in METHODS:
                find(name)
                raise UsageError(f"--methods needs names of methods ({', '.join(METHODS)}), but got '{name}'")
        if not self.methods or card(find(self.methods[0]).model).needs_prompt:
            raise UsageError("--methods begins with the default, which must do without a prompt; put another method first")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def server_settings(settings: Settings, loopback: bool, environment: Mapping[str, str] | None = None) -> Settings:
    """Return settings with the server's own limits, where the environment does not set these."""
    environment = os.environ if environment is None else environment
    own: dict[str, object] = {
        "urls": "none",
        "max_pixels": MAX_PIXELS,
        "timeout": URL_SECONDS,
        "max_redirects": MAX_REDIRECTS,
    }
    if not loopback:
        own["max_bytes"] = MAX_BYTES
    unset = {name: value for name, value in own.items() if not environment.get(f"FIGUREGROUND_{name.upper()}", "").strip()}
    return replace(settings, **unset)  # type: ignore[arg-type]  # values of their fields' types
