"""What worker processes of tests do: each word of an item is obeyed."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from figureground.errors import UnreadablePicture, WeightsError

HELD = []


@dataclass(frozen=True)
class Odd:
    """A `Loader`. broken : a file; while it is there, no worker can begin."""

    broken: str = ""

    def load(self):
        if self.broken == "weights":
            raise WeightsError("no weights here")
        if self.broken and Path(self.broken).exists():
            os._exit(9)
        return obey


def obey(item):
    word, value = item
    if word == "sleep":
        time.sleep(value)
    elif word == "die":
        os._exit(7)
    elif word == "refuse":
        raise UnreadablePicture("that is no picture")
    elif word == "fail":
        raise RuntimeError("a fault of ours")
    elif word == "hold":
        HELD.append(b"x" * value)
    elif word == "kind":
        return os.getpid(), value
    return os.getpid() if word != "echo" else value
