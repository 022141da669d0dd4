"""Retry what failed temporarily: a busy server, or a connection that was reset. Number and time are limited."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSES = (0.3, 1.0)
"""Seconds before the second and the third try; each is made longer by up to a half, so that many callers spread out."""
LONGEST = 5.0
"""Seconds that a server may ask us to wait."""
BUSY = frozenset({429, 502, 503, 504})
"""HTTP statuses of a server that may answer in a moment."""
_BUSY_WORDS = ("503", "slowdown", "slow down", "service unavailable", "too many requests", "connection reset")


def retry(call: Callable[[], T], wait: Callable[[Exception], float | None], left: Callable[[], float] | None = None) -> T:
    """Return what `call` returns, tried at most once more than `PAUSES` has entries.

    Parameters
    ----------
    call
        Is called without arguments.
    wait
        Of an exception: None where another try is of no use, else the least seconds to wait, at most `LONGEST`.
    left
        How many seconds are left; there is no other try where the pause would be longer. None: no limit.

    Raises
    ------
    Exception
        What the last call raised.
    """
    for pause in PAUSES:
        try:
            return call()
        except Exception as error:
            least = wait(error)
            seconds = max(pause * random.uniform(1, 1.5), min(least or 0.0, LONGEST))
            if least is None or (left is not None and seconds >= left()):
                raise
            time.sleep(seconds)
    return call()


def is_reset(error: BaseException) -> bool:
    """Return whether a connection was closed by the other side, so that another try may succeed."""
    return isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError)


def wait_for_storage(error: Exception) -> float | None:
    """Return 0 for an error of object storage that may pass, by its type or its words; else None."""
    text = str(error).lower()
    return 0.0 if is_reset(error) or any(words in text for words in _BUSY_WORDS) else None
