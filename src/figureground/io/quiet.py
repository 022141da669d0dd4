"""Pillow's own remarks on odd files, kept off stderr: what the user should know of a file, we say."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

_lock = threading.Lock()
_inside: list[AbstractContextManager[Any]] = []  # one entry for each thread that wants quiet, all the same


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Pillow's own remarks on odd files off stderr while any thread is inside."""
    with _lock:
        _inside.append(_inside[0] if _inside else warnings.catch_warnings())
        if len(_inside) == 1:
            _inside[0].__enter__()
            warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)\b")
    try:
        yield
    finally:
        with _lock:
            filters = _inside.pop()
            if not _inside:
                filters.__exit__(None, None, None)
