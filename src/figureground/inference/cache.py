"""Keep files between runs: check their hashes, write them whole, and make them once.

To add another chore around such files: a function here with its test in tests/inference/test_cache.py.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from figureground._files import locked, write_whole
from figureground.errors import WeightsError


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; raises WeightsError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"'{path}' cannot be read ({error.strerror}); make it readable") from error


def verify(path: Path, digest: str) -> Path:
    """Return the path, once the file's SHA-256 is what it should be; raises WeightsError."""
    actual = sha256(path)
    if actual != digest:
        raise WeightsError(
            f"'{path}' should have the SHA-256 {digest[:12]}…, but has {actual[:12]}…: it is damaged;"
            " remove it and fetch it again",
            code="model_corrupt",
        )
    return path


def verify_or_delete(path: Path, digest: str) -> Path:
    """Verify as `verify`; remove a damaged file that was just fetched, so that the next fetch starts again."""
    try:
        return verify(path, digest)
    except WeightsError:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise


def atomic_write(path: Path, data: bytes) -> bool:
    """Write a file whole or not at all; return False if it cannot be written, for cached files can be made again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(data, path)
    except OSError:
        return False
    return True


def get_or_create(path: Path, create: Callable[[], bytes]) -> Path | bytes:
    """Return the kept file, else make and keep it; return its bytes if nothing can be kept there.

    Whether it is whole is told by its SHA-256 in a file beside it. Several processes that want it at once make it once.
    """
    if _whole(path):
        return path
    with _alone(path.parent):
        if _whole(path):  # another process made it while this one waited
            return path
        data = create()
        if atomic_write(path, data) and atomic_write(path.with_suffix(".sha256"), hashlib.sha256(data).hexdigest().encode()):
            return path
    return data


def _whole(path: Path) -> bool:
    digest_file = path.with_suffix(".sha256")
    return path.is_file() and digest_file.is_file() and digest_file.read_text("ascii", "replace") == sha256(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time in, for one folder; if the folder cannot be written, nothing is kept and nothing collides."""
    with ExitStack() as stack:
        with suppress(OSError, NotImplementedError):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / ".lock"))
        yield
