"""Run ONNX graphs: choose runtime, device, precision and threads.

To add a runtime: a module here with `devices`, `refuse` and `opened`, a row in `RUNTIMES`, its name in settings.Runtime.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground._machine import cores
from figureground.errors import MissingExtra, UsageError, WeightsError
from figureground.settings import Settings

__all__ = ["LARGE", "QUICK", "RUNTIMES", "Choice", "Session", "choose", "devices", "session"]

RUNTIMES = {"onnxruntime": "figureground.inference.onnxruntime", "openvino": "figureground.inference.openvino"}
QUICK = ("onnxruntime", "openvino")
"""The order in which `auto` tries them for a small network: what starts sooner."""
LARGE = ("openvino", "onnxruntime")
"""The order for a large one: what computes sooner."""
_ABLE = {"fp32": tuple(RUNTIMES), "bf16": ("openvino",), "int8": ("onnxruntime",)}


@dataclass(frozen=True, slots=True)
class Session:
    """A graph with one input and one output, ready to run from several threads."""

    run: Callable[[NDArray[Any]], NDArray[np.float32]]
    shape: tuple[int, ...]
    """Of the input; -1 where the graph leaves it open."""

    def __call__(self, x: NDArray[Any], /) -> NDArray[np.float32]:
        """Return the graph's output for its input."""
        return self.run(x)


@dataclass(frozen=True, slots=True)
class Choice:
    """The runtime, device, precision and threads for a graph."""

    runtime: str
    device: str
    """As the runtime itself calls it."""
    precision: str
    threads: int


def choose(settings: Settings, order: Sequence[str] = QUICK) -> Choice:
    """Return the plan for these settings on this machine; nothing that was asked for is replaced silently.

    order : which runtime `auto` prefers. Raises MissingExtra where the runtime is not installed, UsageError where it does
    not compute in that precision, nothing has that device, or int8 is wanted of a small network, `order` being QUICK.
    """
    able = _ABLE[settings.precision]
    if settings.runtime != "auto" and settings.runtime not in able:
        raise UsageError(f"runtime '{settings.runtime}' does not compute in {settings.precision}; it takes --runtime {able[0]}")
    if settings.precision == "int8" and order == QUICK:
        raise UsageError("int8 gains nothing in so small a network; leave out --precision int8 (FIGUREGROUND_PRECISION)")
    wanted = [name for name in order if name in able and settings.runtime in ("auto", name)]
    here = [name for name in wanted if find_spec(name) is not None]
    if not here:
        what = f"runtime '{wanted[0]}'" if settings.precision == "fp32" else f"precision {settings.precision}"
        raise MissingExtra(what, "fast")
    found_devices = {}
    for name in here:
        found_devices[name] = devices(name)
        if (device := _named(settings.device, found_devices[name])) is not None:
            import_module(RUNTIMES[name]).refuse(device, settings.precision)
            return Choice(name, device, settings.precision, settings.threads or cores())
    listed = "; ".join(f"{name} has {', '.join(known)}" for name, known in found_devices.items())
    raise UsageError(f"device '{settings.device}' is not available: {listed}; name one of these with --device")


def devices(runtime: str) -> dict[str, str]:
    """Return the devices of an installed runtime: its own names by short ones, e.g. cpu, cuda, gpu. Raises UsageError."""
    try:
        known: dict[str, str] = import_module(RUNTIMES[runtime]).devices()
    except (ImportError, OSError, RuntimeError) as error:
        raise UsageError(f"{runtime} cannot be loaded ({error}); reinstall it, or name another with --runtime") from error
    return known


def _named(wanted: str, known: dict[str, str]) -> str | None:
    names = {own.lower(): own for own in known.values()} | known
    return names.get(wanted.strip().lower())


def session(graph: Path | bytes, settings: Settings | None = None, order: Sequence[str] = QUICK) -> Session:
    """Make an ONNX file, or its bytes, ready to run.

    order : which runtime the setting `auto` prefers. Raises WeightsError where the graph is not valid, and as `choose` does.
    """
    settings = settings or Settings()
    choice = choose(settings, order)
    where = f"'{graph}'" if isinstance(graph, Path) else "the network"
    try:
        opened_session: Session = import_module(RUNTIMES[choice.runtime]).open_session(graph, choice, settings.cache)
    except (UsageError, MissingExtra):
        raise
    except Exception as error:
        raise WeightsError(f"{where} is no ONNX graph that can be run ({error})", code="model_corrupt") from error
    return opened_session
