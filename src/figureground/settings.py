"""Settings of a machine: limits, cache folder, runtime and threads, from the environment variables FIGUREGROUND_*.

To add a setting: a field here with its default, unit and meaning; `from_environment` reads it under its name in capitals.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args, get_origin

from figureground._deprecated import RENAMED, old_names, warn
from figureground.errors import UsageError

Licenses = Literal["any", "permissive"]
Runtime = Literal["auto", "onnxruntime", "openvino"]
Precision = Literal["fp32", "bf16", "int8"]
Urls = Literal["none", "public", "any"]
Ports = tuple[int, ...]


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home) / "figureground" if home else Path.home() / ".cache" / "figureground"


@old_names
@dataclass(frozen=True, slots=True)
class Settings:
    """Limits, folders and the runtime; an environment variable sets each field, for example FIGUREGROUND_MAX_PIXELS."""

    max_pixels: int = 100_000_000
    """Pictures of more pixels are refused before they are decoded."""
    max_bytes: int = 200_000_000
    """Files and downloads of more bytes are refused."""
    max_redirects: int = 5
    """Number of redirects that a download may follow."""
    timeout: float = 30.0
    """Seconds that a download may take in all."""
    urls: Urls = "any"
    """Addresses that pictures are fetched from: `any`, `public` ones alone, or `none`. The server's own default is `none`."""
    url_ports: Ports = (80, 443)
    """Ports that `urls="public"` connects to."""
    lenient: bool = False
    """Read truncated pictures as far as possible instead of refusing them."""
    draft: bool = False
    """Decode JPEGs at a fraction of their size, for masks and class names."""
    threads: int = 0
    """Number of processor threads; 0 for as many as this process may use cores."""
    runtime: Runtime = "auto"
    """Library that runs networks; `auto` chooses the fastest one that is installed for the model."""
    precision: Precision = "fp32"
    """Precision of the network: `fp32` is exact, `bf16` and `int8` are faster and less exact."""
    device: str = "cpu"
    """Device of the network, such as `cpu`, `cuda` or `gpu`; a device that is absent is an error."""
    licenses: Licenses = "any"
    """`permissive` refuses weights whose license does not allow commercial use."""
    cache: Path = Path()
    """Folder for converted networks; empty: figureground in the user's cache folder."""

    def __post_init__(self) -> None:
        if self.cache == Path():
            object.__setattr__(self, "cache", _cache())

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read FIGUREGROUND_* variables, by default those of this process; raises UsageError for a value of the wrong form."""
        given = {}
        environment = _current_variables(os.environ if environment is None else environment)
        for field in fields(cls):
            key = f"FIGUREGROUND_{field.name.upper()}"
            if text := environment.get(key, "").strip():
                given[field.name] = _parse(key, text, field.type)
        return cls(**given)  # type: ignore[arg-type]


def _current_variables(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with the values of old names under the names now, where these are not set."""
    variables = dict(environment)
    for old, new in RENAMED["environment variable"].items():
        if old in environment:
            warn(f"environment variable {old}", new)
            variables.setdefault(new, environment[old])
    return variables


def _parse(key: str, text: str, kind: object) -> object:
    """`text` as `kind`, one of the field types above."""
    try:
        if kind is bool:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        if kind in (int, float):
            number = kind(text)
            if not 0 <= number < float("inf"):
                raise ValueError(text)
            return number
    except (ValueError, KeyError):
        wanted = {bool: "yes or no", int: "a whole number ≥ 0", float: "a number ≥ 0"}[kind]  # type: ignore[index]
        raise UsageError(f"{key} must be {wanted}, but is '{text}'") from None
    if kind == Ports:
        return _ports(key, text)
    if get_origin(kind) is Literal and text not in get_args(kind):
        raise UsageError(f"{key} must be one of {', '.join(get_args(kind))}, but is '{text}'")
    return Path(text) if kind is Path else text


def _ports(key: str, text: str) -> Ports:
    """Return the ports that a text lists; raises UsageError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part[:6]) < 1 << 16 for part in parts):
        raise UsageError(f"{key} must be ports such as 80,443, but is '{text}'")
    return tuple(map(int, parts))
