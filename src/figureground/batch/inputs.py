"""The inputs of a batch: one `Item` for each entry of folders, globs, lists, tables, archives and object storage.

To add a kind of input: a function that yields its items, and a line in `items`.
"""

import csv
import glob
import os
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from figureground.errors import UnreadablePicture, UsageError
from figureground.io.formats import SUFFIXES
from figureground.io.picture import stem as stem_of
from figureground.io.storage import ARCHIVES, MEMBER, filesystem, is_remote, scheme


@dataclass(frozen=True, slots=True)
class Item:
    """One input.

    source : a path, an address, or ARCHIVE::MEMBER.
    name : where it lies below its root, with `/` between folders: outputs are called after it.
    stamp : changes when the content does: size and time of change, or a checksum that is known without reading.
    state, code, message : `skipped` or `failed` with the reason, where that is known without reading; else empty.
    """

    source: str
    name: str
    stamp: str = ""
    state: str = ""
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class InputOptions:
    """How to find the inputs.

    column : the column of a CSV table; if empty, `path`, `picture`, `file`, `image` or `url`, or the only one.
    follow_links : whether links may lead out of the folder that is read.
    exclude : folders that are not read, such as the outputs where they lie among the inputs.
    """

    column: str = ""
    follow_links: bool = False
    exclude: tuple[str, ...] = ()


def items(source: str, options: InputOptions) -> Iterator[Item]:
    """Yield the items that one argument of the command line names, in the order of their names.

    A folder (with its sub-folders), a glob, `@list.txt`, a CSV table, a zip or tar archive, an http(s) address, an fsspec
    address (`s3://bucket/folder` or with a glob), or a single file. Raises UsageError, InputError.
    """
    path, low = Path(source), source.lower()
    if scheme(source):
        return _stored(source) if is_remote(source) else iter([_named(source, stem_of(source))])
    if path.is_dir():
        return _folder(path, options)
    if not path.exists() and glob.has_magic(source):
        return _globbed(source, options)
    if source.startswith("@") or low.endswith(".csv"):
        return _listed(_lines(source[1:]) if source.startswith("@") else _column(source, options.column), options)
    if low.endswith(ARCHIVES):
        return _members(source, _in_zip(source) if low.endswith(".zip") else _in_tar(source))
    return _listed([source], options)


def check_input(source: str, options: InputOptions, watched: bool) -> None:
    """Raise UsageError for a word that names nothing: no file, folder or list of that name, or a glob that matches no file.

    It is raised for a table without the column too. watched : whether files may come later, so that a glob may match nothing
    yet.
    """
    if scheme(source):
        return
    if Path(source).exists():
        if source.lower().endswith(".csv") and Path(source).is_file():
            _table(source, options.column)
        return
    if glob.has_magic(source) and not source.startswith("@"):
        if not watched and not any(True for _ in glob.iglob(source, recursive=True)):  # noqa: PTH207
            raise UsageError(f"no file matches '{source}'; ** stands for any folders")
        return
    if source.startswith("@"):
        if not Path(source[1:]).exists():
            raise UsageError(
                f"the list '{source[1:]}' does not exist; @ is followed by a file with a path or address on each line"
            )
        return
    raise UsageError(
        f"'{source}' does not exist; IN is a folder, a picture, a glob, @list.txt, a CSV table, an archive or an address"
    )


def _named(source: str, name: str) -> Item:
    return Item(source, _safe(name) or "picture")


def _safe(name: str) -> str:
    """Return a relative name that cannot leave the folder it is put into."""
    parts = name.replace("\\", "/").replace("\0", "").split("/")
    return "/".join(part for part in parts if part not in ("", ".", "..") and not part.endswith(":"))


def _folder(root: Path, options: InputOptions) -> Iterator[Item]:
    """Yield every file below a folder, the files of a folder before its sub-folders."""
    home, above = os.path.realpath(root), os.fspath(root / "_")[:-1]
    excluded = {os.path.realpath(folder) for folder in options.exclude}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as listing:
                entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing)
        except OSError as error:
            code = "permission_denied" if isinstance(error, PermissionError) else "not_found"
            message = f"the folder cannot be read ({error.strerror})"
            yield Item(os.fspath(root / folder), folder, "", "failed", code, message)
            continue
        below = []
        for entry, is_folder in entries:
            name = f"{folder}/{entry}" if folder else entry
            if not is_folder:
                yield _file(above + name, name, home, options)
            elif not excluded or os.path.realpath(root / name) not in excluded:
                below.append(name)
        waiting += reversed(below)


def _file(source: str, name: str, home: str, options: InputOptions) -> Item:
    """Return the item of a file; `home` is the folder it was found in, or empty. A `Path` for each would double the time."""
    try:
        if home and not options.follow_links and os.path.islink(source) and not _within(source, home):  # noqa: PTH114
            return Item(source, name, "", "skipped", "link_outside", "it links out of the folder; --follow-links reads it")
        facts = os.stat(source)  # noqa: PTH116
    except OSError as error:
        code = "permission_denied" if isinstance(error, PermissionError) else "not_found"
        return Item(source, name, "", "failed", code, f"it cannot be read: {error.strerror}")
    stamp = f"{facts.st_size}:{facts.st_mtime_ns}"
    if not home and any(_within(source, folder) for folder in options.exclude):
        return Item(source, name, stamp, "skipped", "inside_output", "it lies in the folder of the outputs, or of moved inputs")
    if not stat.S_ISREG(facts.st_mode):
        what = "a link to a folder" if stat.S_ISDIR(facts.st_mode) else "no regular file (a pipe, a socket or a device)"
        return Item(source, name, stamp, "skipped", "not_a_regular_file", f"it is {what}")
    if home and posixpath.splitext(name)[1].lower() not in SUFFIXES:
        return Item(source, name, stamp, *_OTHER)
    return Item(source, name, stamp)


_OTHER = ("skipped", "not_a_picture", "its name does not end as pictures' do; name it in a list to have it read")


def _within(path: str, folder: str) -> bool:
    home = os.path.realpath(folder)
    return os.path.commonpath([os.path.realpath(path), home]) == home


def _globbed(pattern: str, options: InputOptions) -> Iterator[Item]:
    """Yield the files that match; their names start below the part of the pattern without wildcards."""
    parts = Path(pattern).parts
    plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:plain]) if plain else Path()
    paths = sorted(path for path in glob.iglob(pattern, recursive=True) if not Path(path).is_dir())  # noqa: PTH207
    if not paths:
        raise UnreadablePicture(f"no file matches '{pattern}'; ** stands for any folders", code="not_found")
    for path in paths:
        yield _file(path, _safe(Path(os.path.relpath(path, root)).as_posix()), "", options)


def _lines(path: str) -> list[str]:
    text = _text(path)
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise UnreadablePicture(f"the list '{path}' cannot be read ({error.strerror})", code="not_found") from error


def _table(path: str, column: str) -> tuple["csv.DictReader[str]", str]:
    """Return a reader of a CSV table's rows, and the name of the column that holds paths; raises UsageError, InputError."""
    reader = csv.DictReader(_text(path).splitlines())
    names = list(reader.fieldnames or [])
    wanted = [column] if column else ["path", "picture", "file", "image", "url"]
    chosen = next((name for name in names if name.lower() in wanted or name in wanted), None)
    if chosen is None and not column and len(names) == 1:
        chosen = names[0]
    if chosen is None:
        what = f"no column '{column}'" if column else "several columns, none of them called path, picture, file, image or url"
        raise UsageError(f"the table '{path}' has {what}; name one with --column: {', '.join(names) or 'it is empty'}")
    return reader, chosen


def _column(path: str, column: str) -> list[str]:
    reader, chosen = _table(path, column)
    return [row[chosen].strip() for row in reader if (row[chosen] or "").strip()]


def _listed(sources: list[str], options: InputOptions) -> Iterator[Item]:
    """Yield listed sources; their names are relative to the deepest folder that contains all of them."""
    paths = [source for source in sources if not scheme(source)]
    root = os.path.commonpath([Path(path).absolute().parent for path in paths]) if paths else ""
    for source in sources:
        if scheme(source):
            yield _named(source, stem_of(source))
        else:
            yield _file(source, _safe(Path(os.path.relpath(source, root)).as_posix()), "", options)


def _in_zip(path: str) -> list[tuple[str, str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(
                (each.filename, f"{each.file_size}:{each.CRC:08x}") for each in archive.infolist() if not each.is_dir()
            )
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UnreadablePicture(f"the archive '{path}' cannot be read ({error})") from error


def _in_tar(path: str) -> list[tuple[str, str]]:
    """Return the members in the order of the file, since workers read it from front to back."""
    try:
        with tarfile.open(path) as archive:
            return [(each.name, f"{each.size}:{each.mtime:g}:{each.chksum}") for each in archive if each.isfile()]
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise UnreadablePicture(f"the archive '{path}' cannot be read ({error})") from error


def _members(path: str, members: Iterable[tuple[str, str]]) -> Iterator[Item]:
    for member, stamp in members:
        name = _safe(member)
        if not name:
            continue
        fault = () if PurePosixPath(name).suffix.lower() in SUFFIXES else _OTHER
        yield Item(f"{path}{MEMBER}{member}", name, stamp, *fault)


def _stored(address: str) -> Iterator[Item]:
    """Yield the objects under a prefix, or that match a glob; the stamp is the checksum, or size and time."""
    fs, root = filesystem(address)
    try:
        objects = fs.glob(root, detail=True) if glob.has_magic(root) else fs.find(root, detail=True)
    except Exception as error:  # each storage has errors of its own
        raise UnreadablePicture(f"'{address}' cannot be listed ({error})", code="upstream_error") from error
    if not objects:
        raise UnreadablePicture(f"there is nothing at '{address}'", code="not_found")
    parts = PurePosixPath(root).parts
    plain = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - (root in objects))
    base = str(PurePosixPath(*parts[:plain]))
    for path, facts in sorted(objects.items()):
        if facts["type"] == "file":
            stamp = (
                facts.get("ETag") or facts.get("md5Hash") or f"{facts['size']}:{facts.get('mtime', facts.get('LastModified'))}"
            )
            name = _safe(path.removeprefix(base))
            fault = () if PurePosixPath(name).suffix.lower() in SUFFIXES or path == root else _OTHER
            yield Item(fs.unstrip_protocol(path), name, str(stamp).strip('"'), *fault)
