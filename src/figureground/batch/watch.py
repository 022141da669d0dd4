"""Inputs before and after they are processed: files that are still being written, and moving or deleting finished inputs."""

import io
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figureground.batch.inputs import Item
from figureground.batch.ledger import Ledger
from figureground.errors import BatchAborted, UsageError
from figureground.io.storage import MEMBER, Place, scheme


class StableFileFilter:
    """Accept a file when its size and time of change are the same in two checks that are at least so many seconds apart.

    An input that the ledger has, and that has not changed, is accepted only by the first check.
    """

    def __init__(self, ledger: Ledger, seconds: float) -> None:
        self.ledger, self.seconds = ledger, seconds
        self.sizes: dict[str, tuple[str, float]] = {}

    def __call__(self, item: Item) -> bool:
        """Return whether to process it now."""
        if not self.ledger.has_changed(item):
            return False
        now = time.monotonic()
        stamp, since = self.sizes.get(item.source, ("", now))
        if stamp != item.stamp:
            self.sizes[item.source] = (item.stamp, now)
            return False
        if now - since < self.seconds:
            return False
        del self.sizes[item.source]
        return True


@dataclass(frozen=True, slots=True)
class InputDisposal:
    """Keep, delete or move an input after its files were written and read back."""

    delete: bool = False
    move: Path | None = None

    @property
    def requested(self) -> bool:
        """Whether inputs are deleted or moved."""
        return self.delete or self.move is not None

    def check(self) -> None:
        """Raise UsageError where both deleting and moving are requested."""
        if self.delete and self.move:
            raise UsageError("--delete-inputs and --move-inputs exclude each other; give one of them")

    def __call__(self, source: str, name: str) -> None:
        """Delete or move the input; only files of this machine are touched. Raises BatchAborted where that fails."""
        if not self.requested or scheme(source) or MEMBER in source:
            return
        try:
            if self.delete:
                Path(source).unlink(missing_ok=True)
            elif self.move and Path(source).exists():
                target = _free(self.move / name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(source, target)
        except OSError as error:
            done = "deleted" if self.delete else "moved"
            raise BatchAborted(
                f"'{source}' is done, but cannot be {done} ({error.strerror})", code="permission_denied"
            ) from error

    def catch_up(self, ledger: Ledger, place: Place) -> None:
        """Delete or move inputs that an earlier run finished without doing so."""
        if self.requested:
            for source, name, files in ledger.finished():
                if all(_opens(place, each) for each in files):
                    self(source, name)


def _free(path: Path) -> Path:
    """Return the path, with a number where it exists, so that nothing is ever replaced."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}~{number}{path.suffix}")
    return free


def _opens(place: Place, name: str) -> bool:
    """Return whether a file that was written earlier can be read."""
    import numpy as np
    from PIL import Image

    try:
        data: Any = io.BytesIO(place.read(name))
        if name.endswith(".npy"):
            np.load(data, allow_pickle=False)
        else:
            with Image.open(data) as image:
                image.load()
    except (OSError, ValueError, SyntaxError):
        return False
    return True
