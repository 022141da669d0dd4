"""Files that appear whole or not at all, locks between processes, and ZIP files."""

import io
import os
import re
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PART = re.compile(r"\.[0-9a-f]{16}\.part")
"""The name of a file that is being written."""


def part_name() -> str:
    """Return a new name for a temporary file; `PART` matches it."""
    return f".{secrets.token_hex(8)}.part"


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a temporary file in the folder of `target`, which replaces it at the end; an exception removes it.

    Nobody ever sees half a file, also not after a power cut: the data are on disk before the file is renamed.
    """
    part = target.with_name(part_name())
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(data: bytes, target: Path) -> None:
    """Write a file whole or not at all; raises OSError."""
    with replacing(target) as part, part.open("xb") as file:
        file.write(data)


@contextmanager
def locked(lock: Path, wait: bool = True) -> Iterator[None]:
    """Let only one process at a time in, by a lock file; raises TimeoutError where another is in and `wait` is False.

    Raises OSError where the file cannot be made, NotImplementedError where the disk has no locks.
    """
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    try:
        held.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        raise TimeoutError(f"'{lock}' is held by another process") from error
    try:
        yield
    finally:
        held.release()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a ZIP file of images, which are compressed already."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()
