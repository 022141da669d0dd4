"""Read inputs from and write outputs to folders, archives, and object storage through fsspec.

A source is a path, an http(s) address, `ARCHIVE::MEMBER`, or an fsspec address such as `s3://bucket/key`. To add a kind
of source: a case in `open_source`; a kind of target: a class with the methods of `Place`, and a line in `place`.
"""

import os
import re
import tarfile
import threading
import unicodedata
import weakref
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Protocol

from figureground._files import PART
from figureground.errors import MissingExtra, UnreadablePicture, UsageError, WriteFailed
from figureground.io.files import make_folder, write
from figureground.io.picture import Encoded, from_stream
from figureground.io.retry import retry, wait_for_storage
from figureground.settings import Settings

MEMBER = "::"
"""Stands between an archive and the name of a member."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


def scheme(source: str) -> str:
    """Return `s3` of `s3://bucket/key`, in lower case; empty for a path."""
    match = _ADDRESS.match(source)
    return match[1].lower() if match else ""


def is_remote(source: str) -> bool:
    """Return whether fsspec reads it: any address that is not http(s)."""
    return scheme(source) not in ("", "http", "https")


def filesystem(address: str) -> tuple[Any, str]:
    """Return fsspec's file system for an address, and the path in it; raises MissingExtra, UsageError."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtra(f"the address '{address}'", "cloud") from error
    try:
        return url_to_fs(address)  # type: ignore[no-any-return]
    except ImportError as error:
        raise MissingExtra(f"the address '{address}' ({error})", "cloud") from error
    except ValueError as error:
        raise UsageError(
            f"'{address}' is no address that can be read ({error}); give a path, http(s)://, s3:// or gs://"
        ) from error


def open_source(source: str, settings: Settings) -> str | Encoded:
    """Return a source for `Picture.read`: itself for a path or an http(s) address, else its bytes and its name.

    Raises UnreadablePicture, PictureTooLarge.
    """
    if is_remote(source):
        fs, path = filesystem(source)
        return retry(lambda: _bounded(source, settings, lambda: fs.open(path, "rb")), _wait_for_source)
    archive, mark, member = source.partition(MEMBER)
    if mark and archive.lower().endswith(ARCHIVES):
        return _bounded(source, settings, lambda: _member(archive, member))
    return source


def _wait_for_source(error: Exception) -> float | None:
    """Return the wait of `wait_for_storage`, for an error that wraps another one."""
    return wait_for_storage(error.__cause__) if isinstance(error.__cause__, Exception) else None


def _bounded(source: str, settings: Settings, opened: Callable[[], IO[bytes]]) -> Encoded:
    try:
        with opened() as file:
            return Encoded(from_stream(file, settings, f"'{source}'"), source)
    except FileNotFoundError as error:
        raise UnreadablePicture(f"'{source}' does not exist", code="not_found", picture=source) from error
    except PermissionError as error:
        raise UnreadablePicture(
            f"'{source}' cannot be read: permission denied", code="permission_denied", picture=source
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise UnreadablePicture(f"'{source}' cannot be read ({error})", picture=source) from error


class _OpenArchives(threading.local):
    """The archives that a thread has open."""

    def __init__(self) -> None:
        self.open = lru_cache(maxsize=4)(_opened)


def _opened(archive: str, _stamp: int) -> zipfile.ZipFile | tarfile.TarFile:
    if archive.lower().endswith(".zip"):
        return zipfile.ZipFile(archive)  # kept open, and closes itself when it is dropped
    opened = tarfile.open(archive)  # noqa: SIM115  # kept open
    if opened.fileobj:
        weakref.finalize(opened, opened.fileobj.close)  # a TarFile does not close itself
    return opened


_archives = _OpenArchives()


def _member(archive: str, member: str) -> IO[bytes]:
    file = _archives.open(archive, Path(archive).stat().st_mtime_ns)
    if isinstance(file, zipfile.ZipFile):
        return file.open(member)
    stream = file.extractfile(member)
    if stream is None:
        raise FileNotFoundError(member)
    return stream


class Place(Protocol):
    """A place for files. Names are relative, with `/` between folders."""

    def write(self, data: bytes, name: str) -> None:
        """Put a file there, whole or not at all; raises WriteFailed."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises OSError."""
        ...

    def sizes(self) -> Callable[[str], int | None]:
        """Return a function that gives a file's size in bytes; None where it does not exist."""
        ...


class Folder:
    """A folder on this machine."""

    def __init__(self, root: str) -> None:
        self.root = Path(root)
        self._inside: set[Path] = set()

    def write(self, data: bytes, name: str) -> None:
        """Write a temporary file in the same folder, fsync it, rename it, and fsync the folder."""
        target = self.root / name
        if target.parent not in self._inside:
            home = os.path.realpath(self.root)
            if os.path.commonpath([os.path.realpath(target.parent), home]) != home:
                raise WriteFailed(f"'{target}' would lie outside '{self.root}', through a link; remove the link")
            make_folder(target.parent)
            self._inside.add(target.parent)
        write(data, target)
        _flush(target.parent)

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises OSError."""
        return (self.root / name).read_bytes()

    def sizes(self) -> Callable[[str], int | None]:
        """Return a function that gives a file's size in bytes; None where it does not exist."""

        def size(name: str) -> int | None:
            try:
                return os.stat(os.path.join(self.root, name)).st_size  # noqa: PTH116, PTH118  # a million Paths take their time
            except OSError:
                return None

        return size

    def clear(self, older_than: float = 0) -> int:
        """Remove the temporary files of a killed run, last changed before that time; return how many."""
        removed = 0
        for folder, _, files in os.walk(self.root):
            for name in files:
                if PART.fullmatch(name):
                    path = Path(folder, name)
                    if not older_than or path.stat().st_mtime < older_than:
                        path.unlink(missing_ok=True)
                        removed += 1
        return removed


def _flush(folder: Path) -> None:
    """Make a rename survive a power cut, if the system can."""
    try:
        opened = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(opened)
    except OSError:
        pass
    finally:
        os.close(opened)


class Bucket:
    """A prefix in object storage, through fsspec; an object appears whole or not at all."""

    def __init__(self, address: str) -> None:
        self.fs, self.root = filesystem(address.rstrip("/"))

    def write(self, data: bytes, name: str) -> None:
        """Put one object; raises WriteFailed."""
        try:
            retry(lambda: self.fs.pipe_file(f"{self.root}/{name}", data), wait_for_storage)
        except Exception as error:  # each storage has errors of its own
            raise WriteFailed(f"'{self.root}/{name}' cannot be written: {error}") from error

    def read(self, name: str) -> bytes:
        """Return an object's bytes; raises OSError."""
        data: bytes = retry(lambda: self.fs.cat_file(f"{self.root}/{name}"), wait_for_storage)
        return data

    def sizes(self) -> Callable[[str], int | None]:
        """Return a function that gives an object's size in bytes; None where it was not there when this was called."""
        self.fs.invalidate_cache()
        listed = {path: facts["size"] for path, facts in self.fs.find(self.root, detail=True).items()}
        return lambda name: listed.get(f"{self.root}/{name}")


def place(address: str) -> Folder | Bucket:
    """Return a folder, or a prefix in object storage."""
    return Bucket(address) if is_remote(address) else Folder(address)


def key(name: str) -> str:
    """Return a key that is equal for names that some disk treats as one: other case, other Unicode form."""
    return unicodedata.normalize("NFC", name).casefold()
