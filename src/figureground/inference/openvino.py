"""Run graphs with openvino, of the extra `fast`: faster for large networks, with bf16 where the processor has it.

Its Python package sends usage data to its maker when its converter is imported, which happens along with it; here that
part is left out. To add a device's own settings: a line in `opened`.
"""

import os
import sys
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import UsageError
from figureground.inference.session import Choice, Session

_HINTS = {"fp32": "f32", "bf16": "bf16"}
_CONVERTER = "openvino.tools.ovc"


def _core() -> Any:
    """Return an openvino.Core, imported without the converter, whose import alone makes a network connection."""
    if "openvino" not in sys.modules:
        sys.modules[_CONVERTER] = None  # type: ignore[assignment]  # "not installed", which openvino allows for
        try:
            import openvino
        finally:
            del sys.modules[_CONVERTER]
    import openvino

    return openvino.Core()


def devices() -> dict[str, str]:
    """Return its devices by short names: CPU as cpu, GPU.0 as gpu.0."""
    return {name.lower(): name for name in _core().available_devices}


def refuse(device: str, precision: str) -> None:
    """Raise UsageError where that device does not compute in that precision."""
    able = _core().get_property(device, "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in able:
        raise UsageError(f"this machine's {device} has no bf16 (it has {', '.join(able)}); leave out --precision bf16")


def open_session(graph: Path | bytes, choice: Choice, cache: Path) -> Session:
    """Return the graph made ready; a file's is kept in the cache as openvino compiled it. Raises whatever openvino raises."""
    core = _core()
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": _HINTS[choice.precision],  # left to itself it takes bf16 wherever there is some
        "NUM_STREAMS": 1,
    }
    if choice.device == "CPU":  # pinned threads of two processes would wait for the same cores
        settings |= {"INFERENCE_NUM_THREADS": choice.threads, "ENABLE_CPU_PINNING": False}
    # a folder for each precision: openvino would take what it compiled in one for the other, and answer with garbage
    compiled = _compiled(core, graph, choice.device, settings, cache / "openvino" / choice.precision)
    request, taken = compiled.create_infer_request(), Lock()

    def run(x: NDArray[Any]) -> NDArray[np.float32]:
        with taken:  # one request is one picture's memory; callers take turns, as they would within openvino
            answer: NDArray[np.float32] = request.infer({0: x}, share_inputs=True)[0]
        return answer

    shape = compiled.input(0).partial_shape
    return Session(run, tuple(side.get_length() if side.is_static else -1 for side in shape))


def _compiled(core: Any, graph: Path | bytes, device: str, settings: dict[str, Any], folder: Path) -> Any:
    """Load a file through its cached form, which saves most of the start; load bytes, or without a cache, directly."""
    if isinstance(graph, Path) and _writable(folder):
        try:
            return core.compile_model(str(graph), device, settings | {"CACHE_DIR": str(folder)})
        except RuntimeError:  # a full disk, say: what is kept can be made again
            pass
    return core.compile_model(core.read_model(graph), device, settings)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
