"""One door to the runtime that executes ONNX graphs: onnxruntime, on the CPU."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import WeightsError


@dataclass(frozen=True, slots=True)
class Session:
    """A graph with one input and one output, ready to run from several threads."""

    run: Callable[[NDArray[Any]], NDArray[np.float32]]
    shape: tuple[int, ...]
    """Of the input; -1 where the graph leaves it open."""

    def __call__(self, x: NDArray[Any], /) -> NDArray[np.float32]:
        """The graph's output for its input."""
        return self.run(x)


def cores() -> int:
    """How many cores this process may use: its affinity, not the machine's size."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def session(graph: Path | bytes, threads: int = 0) -> Session:
    """Make an ONNX file, or its bytes, ready to run; raises WeightsError where it is no sound graph.

    threads : how many the graph may use; 0: one for each core that this process may use.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors come as exceptions; its log lines on stderr would be a second voice
    try:
        made = onnxruntime.InferenceSession(
            str(graph) if isinstance(graph, Path) else graph, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        where = f"'{graph}'" if isinstance(graph, Path) else "the network"
        raise WeightsError(f"{where} is no ONNX graph that can be run ({error})", code="model_corrupt") from error
    first = made.get_inputs()[0]
    shape = tuple(side if isinstance(side, int) else -1 for side in first.shape)
    return Session(lambda x: made.run(None, {first.name: x})[0], shape)
