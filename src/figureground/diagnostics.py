"""What this machine, this installation and these settings can do: the command `doctor`. Nothing is loaded or downloaded.

To report another fact: a key in `examine` and its line in `text`.
"""

import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import figureground
from figureground import _machine, models
from figureground._words import count
from figureground.errors import FigureGroundError, WeightsError
from figureground.inference.hub import is_offline
from figureground.inference.licenses import check_license
from figureground.inference.session import QUICK, RUNTIMES, choose, devices
from figureground.inference.torch_loader import check_settings
from figureground.io.decode import FORMATS
from figureground.methods import DEFAULT, METHODS
from figureground.settings import Settings

Report = dict[str, Any]
NAME = "figureground"


def examine(settings: Settings, environment: Mapping[str, str] | None = None) -> Report:
    """Return the facts that explain why something is slow, missing or refused, as plain data; sizes in bytes."""
    environment = os.environ if environment is None else environment
    name, features = _machine.processor()
    return {
        "version": figureground.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": {
            "name": name,
            "features": list(features),
            "cores": _machine.cores(),
            "quota": _machine.quota(),
            "memory": _machine.memory(),
        },
        "packages": {package: _version(package) for package, requires_extra in _requirements() if not requires_extra},
        "runtimes": {runtime: _runtime(runtime) for runtime in RUNTIMES},
        "extras": _extras(),
        "cache": _cache(settings.cache),
        "formats": [name for name, module in FORMATS.items() if find_spec(module.split(".")[0]) is not None],
        "settings": {key: value for key, value in sorted(environment.items()) if key in _variables()},
        "unknown": sorted(key for key in environment if key.startswith("FIGUREGROUND_") and key not in _variables()),
        "methods": {name: _plan(name, settings) for name in METHODS},
    }


def _variables() -> set[str]:
    return {f"FIGUREGROUND_{field.name.upper()}" for field in fields(Settings)}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _requirements() -> Iterator[tuple[str, str]]:
    """Yield each required package, and the extra that it belongs to, if any."""
    try:
        lines = requires(NAME) or []
    except PackageNotFoundError:  # run from a checkout that was never installed
        lines = []
    for line in lines:
        requires_extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        yield re.split(r"[^\w.-]", line, maxsplit=1)[0], requires_extra[1] if requires_extra else ""


def _extras() -> dict[str, Report]:
    """Return the missing packages of each extra, and how to install them."""
    extras: dict[str, Report] = {}
    for package, requires_extra in _requirements():
        if requires_extra not in ("", "all"):
            row = extras.setdefault(requires_extra, {"missing": [], "install": f"pip install '{NAME}[{requires_extra}]'"})
            row["missing"] += [package] if _version(package) is None else []
    return dict(sorted(extras.items()))


def _runtime(name: str) -> Report:
    """Return version and devices of a runtime, or why it cannot be loaded."""
    if find_spec(name) is None:
        return {"version": None, "devices": [], "error": "not installed"}
    try:
        return {"version": _version(name), "devices": list(devices(name)), "error": None}
    except FigureGroundError as error:
        return {"version": _version(name), "devices": [], "error": str(error)}


def _cache(folder: Path) -> Report:
    """Return whether the cache folder can be written, and the bytes in each of its folders."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    sizes: dict[str, int] = {}
    for path in folder.rglob("*") if folder.is_dir() else ():
        if path.is_file():
            part = path.relative_to(folder).parts[0]
            sizes[part] = sizes.get(part, 0) + path.stat().st_size
    return {"folder": str(folder), "writable": nearest.is_dir() and os.access(nearest, os.W_OK), "kept": sizes}


def _plan(method: str, settings: Settings) -> Report:
    """Return what a method would run with, or why it cannot run; whether it is installed and has weights."""
    model = METHODS[method].model
    card = models.card(model)
    extra = _extras().get(card.requires_extra, {"missing": [], "install": None})
    plan: Report = {"error": f"needs: {extra['install']}"} if extra["missing"] else {"error": None}
    try:
        plan |= _runtime_of(model, card, settings)
        check_license(f"the weights of model '{model}' are", card.license, settings, permissive=card.permissive)
    except FigureGroundError as error:
        plan["error"] = plan["error"] or str(error)
    has_weights = _has_weights(model)
    missing = None if has_weights else _missing_weights(method, card.download_mb)
    return {
        **plan,
        "requires_extra": card.requires_extra or None,
        "installed": not extra["missing"],
        "install": extra["install"] if extra["missing"] else None,
        "weights": card.weights,
        "has_weights": has_weights,
        "download_mb": None if has_weights else card.download_mb,
        "missing": missing,
        "ready": plan["error"] is None and has_weights,
    }


def _has_weights(model: str) -> bool:
    try:
        return models.has_weights(model)
    except WeightsError:  # the kept files are damaged
        return False


def _runtime_of(model: str, card: models.Card, settings: Settings) -> Report:
    """Return the runtime of a model and its settings; raises the errors that loading it with them would raise."""
    if card.requires_extra:
        check_settings(settings, model)
        return {"runtime": card.requires_extra}
    choice = choose(settings, getattr(models.module(model), "RUNTIMES", QUICK))
    return {field.name: getattr(choice, field.name) for field in fields(choice)}


def _missing_weights(method: str, size: int | None) -> str:
    """Return what to do where the weights are not on this machine."""
    if is_offline():
        return f"weights are missing; run `figureground pull {method}` with a network connection"
    return f"would download {'weights of unknown size' if size is None else f'{size} MB'}"


def text(report: Report) -> str:
    """Return the report as text, one fact on each line."""
    processor, cache = report["processor"], report["cache"]
    limit = "" if processor["quota"] is None else f", the cgroup allows {processor['quota']:g}"
    memory = "" if processor["memory"] is None else f", {processor['memory'] / 2**30:.1f} GiB of memory free"
    sizes = ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in sorted(cache["kept"].items())) or "nothing kept yet"
    lines = [
        ("figureground", f"{report['version']}, Python {report['python']}, {report['system']}"),
        ("processor", f"{processor['name']}: {', '.join(processor['features']) or 'no known features'}"),
        ("may use", f"{count(processor['cores'], 'core')}{limit}{memory}"),
        ("packages", ", ".join(f"{name} {at or 'MISSING'}" for name, at in report["packages"].items())),
        *((f"{name}", _runtime_line(row)) for name, row in report["runtimes"].items()),
        *((f"extra {name}", _missing(row)) for name, row in report["extras"].items()),
        ("cache", f"{cache['folder']} ({'writable' if cache['writable'] else 'NOT writable'}): {sizes}"),
        ("reads", ", ".join(report["formats"])),
        *((key, value) for key, value in report["settings"].items()),
        *((key, "there is NO such setting") for key in report["unknown"]),
        *((f"method {name}", _used(row, name)) for name, row in report["methods"].items()),
    ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {description}" for name, description in lines)


def _runtime_line(runtime: Report) -> str:
    if runtime["version"] is None:
        return str(runtime["error"])
    return f"{runtime['version']}: " + (runtime["error"] or f"devices {', '.join(runtime['devices'])}")


def _missing(requires_extra: Report) -> str:
    return (
        f"{', '.join(requires_extra['missing'])} not installed: {requires_extra['install']}"
        if requires_extra["missing"]
        else "installed"
    )


def _used(plan: Report, name: str) -> str:
    """Whether a method is ready, else what is missing; and what it would run with."""
    if plan["error"]:
        more = f"; {plan['missing']}" if plan["missing"] and not plan["installed"] else ""
        return f"CANNOT RUN: {plan['error']}{more}"
    parts = [plan["runtime"]]
    if "device" in plan:
        parts += [plan["device"], plan["precision"], count(plan["threads"], "thread")]
    default = " (default)" if name == DEFAULT else ""
    state = "ready:" if plan["ready"] else f"NOT READY: installed, but {plan['missing']}; runs with"
    return f"{state} {', '.join(parts)}{default}"
