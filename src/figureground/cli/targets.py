"""What `figureground remove` reads and where it writes, decided before anything is read."""

import glob
import os
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from figureground.errors import UnknownName, UsageError
from figureground.io.encode import ENCODERS, PAGED, encoder
from figureground.io.files import STDOUT, Plan, refuse_collisions
from figureground.io.formats import SUFFIXES
from figureground.io.picture import stem
from figureground.jobs import PAGES
from figureground.separation import VIEWS

FIELDS = ("stem", "name", "view", "parent")
"""What a pattern of `-o` may hold in braces."""


@dataclass(frozen=True, slots=True)
class Source:
    """A picture to read. path : a path, an address or '-'. below : its folder below the folder that was named, or ''."""

    path: str
    below: str = ""

    @property
    def folder(self) -> Path:
        """The folder of the picture; the current one for what is no path."""
        return Path() if self.path == "-" or "://" in self.path else Path(self.path).parent


def find_sources(words: Sequence[str], recursive: bool) -> list[Source]:
    """Return the pictures that the words name: paths, addresses, '-', globs, and folders.

    Raises UsageError for a folder without pictures, a glob that matches nothing, or '-' twice.
    """
    if list(words).count("-") > 1:
        raise UsageError("standard input (-) can be read once, but was named several times")
    return [source for word in words for source in _of_word(word, recursive)]


def _of_word(word: str, recursive: bool) -> Iterator[Source]:
    path = Path(word)
    if word == "-" or "://" in word:
        yield Source(word)
    elif path.is_dir():
        sources = list(_of_folder(path, "", recursive))
        yield from sources
        if not sources:
            below = (
                "; --recursive reads the folders in it too" if not recursive and any(e.is_dir() for e in path.iterdir()) else ""
            )
            raise UsageError(f"the folder '{word}' holds no pictures ({', '.join(sorted(SUFFIXES))}){below}")
    elif not path.exists() and glob.has_magic(word):
        matches = sorted(match for match in glob.iglob(word, recursive=True) if not Path(match).is_dir())  # noqa: PTH207
        if not matches:
            raise UsageError(f"no file matches '{word}'; ** stands for any folders")
        yield from map(Source, matches)
    else:
        yield Source(word)


def _of_folder(root: Path, below: str, recursive: bool) -> Iterator[Source]:
    folders = []
    for entry in sorted((root / below).iterdir()):
        if entry.is_dir():
            folders.append(entry.name)
        elif entry.suffix.lower() in SUFFIXES and not entry.name.startswith("."):
            yield Source(os.fspath(entry), below)
    for name in folders if recursive else ():
        yield from _of_folder(root, f"{below}/{name}" if below else name, True)


def without_outputs(sources: Sequence[Source]) -> tuple[list[Source], int]:
    """Return the sources without the outputs of an earlier run, and how many these were.

    An output is named after a source beside it and a view: photo.cutout.png, or photo.jpg.cutout.png.
    """
    named = {str(source.folder / name) for source in sources for name in (PurePath(source.path).name, stem(source.path))}
    pictures = [source for source in sources if not _is_output(source, named)]
    return pictures, len(sources) - len(pictures)


def _is_output(source: Source, named: set[str]) -> bool:
    first, dot, view = stem(source.path).rpartition(".")
    return bool(dot) and view in VIEWS and source.path != "-" and str(source.folder / first) in named


@dataclass(frozen=True, slots=True)
class Output:
    """Where the files go: what `-o`, `--out-dir`, `--format` and `--suffix` say."""

    output: str | None = None
    folder: Path | None = None
    format: str | None = None
    suffix: str | None = None

    def plan(self, sources: Sequence[Source], views: Sequence[str]) -> tuple[list[Plan], list[str]]:
        """Return each picture with the file of each of its views, and remarks.

        Raises UsageError, UnknownName for a format, and NameCollision where two files, or a file and an input, are the same.
        """
        output, folder = self.output, self.folder
        if output is not None and folder is not None:
            raise UsageError("-o and --out-dir both name where the files go; leave one out")
        if output is not None and not self.names_files:  # it is a folder
            output, folder = None, Path(str(output))
        if self.suffix is not None and output is not None:
            raise UsageError("--suffix changes the names that are made of the pictures' names, but -o names the file")
        if self.suffix is not None and len(views) > 1:
            raise UsageError(
                f"--suffix {self.suffix} names one file for each picture, but there are {len(views)} views; leave it out"
            )
        remarks: list[str] = []
        if output is None:
            plans = self._in_folders(sources, views, folder, remarks)
        elif "{" in output:
            plans = [Plan(each.path, {view: self._filled(output, each, view) for view in views}) for each in sources]
        else:
            plans = [self._one_file(output, sources, views)]
        refuse_collisions(plans)
        return plans, remarks

    def _in_folders(
        self, sources: Sequence[Source], views: Sequence[str], folder: Path | None, remarks: list[str]
    ) -> list[Plan]:
        places = [(folder / each.below if folder else each.folder, stem(each.path)) for each in sources]
        shared = {place for place, count in Counter(places).items() if count > 1}
        if shared:
            first = sorted(PurePath(each.path).name for each, place in zip(sources, places, strict=True) if place in shared)
            remarks.append(f"{' and '.join(first[:2])} have one name; their files keep the suffix: {first[0]}.{views[0]}.png")
        ending = f".{self.format or 'png'}"
        plans = []
        for each, (place, name) in zip(sources, places, strict=True):
            own = PurePath(each.path).name if (place, name) in shared else name
            files = {view: place / f"{own}{self._end(view, ending)}" for view in views}
            plans.append(Plan(each.path, files))
        return plans

    def _end(self, view: str, ending: str) -> str:
        """Return the end of the name of a view's file: view and format, or `--suffix` and format."""
        if (only := VIEWS[view].suffix) is not None:
            return f"{self.suffix or ''}{only}"
        return f"{f'.{view}' if self.suffix is None else self.suffix}{ending}"

    def _one_file(self, output: str, sources: Sequence[Source], views: Sequence[str]) -> Plan:
        if len(sources) == 1 and len(views) > 1 and Path(output).suffix.lower() in PAGED:
            return Plan(sources[0].path, {PAGES: Path(output)})
        if len(sources) != 1 or len(views) != 1:
            what = f"{len(sources)} pictures" if len(sources) != 1 else f"{len(views)} views ({','.join(views)})"
            pattern = "{stem}.{view}.png" if len(views) != 1 else "{stem}-cut.png"
            raise UsageError(
                f"-o {output} names one file, but there are {what}; use -o FOLDER/ or a pattern such as -o '{pattern}'"
            )
        if output != "-":
            self._check_suffix(output)
        return Plan(sources[0].path, {views[0]: Path(output)})

    def _filled(self, pattern: str, source: Source, view: str) -> Path:
        try:
            wanted = {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}
        except ValueError as error:
            raise UsageError(f"the pattern -o '{pattern}' cannot be read ({error})") from error
        if unknown := sorted(wanted - set(FIELDS)):
            raise UnknownName("field of a pattern", unknown[0], FIELDS)
        self._check_suffix(pattern)
        values = {"stem": stem(source.path), "name": PurePath(source.path).name or "stdin", "view": view}
        return Path(pattern.format(**values, parent=source.folder))

    def _check_suffix(self, output: str) -> None:
        ending = Path(output).suffix
        if not ending:
            hint = f"{output}.png, or {output}/ for a folder"
            raise UsageError(f"-o {output} has no suffix, which decides the format ({', '.join(ENCODERS)}); write {hint}")
        encoder(ending)
        if self.format and encoder(f".{self.format}") is not encoder(ending):
            raise UsageError(f"-o {output} ends in {ending}, but --format says {self.format}; leave one out")

    @property
    def names_files(self) -> bool:
        """Whether -o names files, or a pattern of them: then their folders must be there."""
        return self.output is not None and (self.output == "-" or not _is_folder(self.output))

    @property
    def names_one_file(self) -> bool:
        """Whether -o names the one file to write, which is replaced where it exists."""
        return self.names_files and "{" not in str(self.output)

    def file_suffix(self, path: Path, view: str) -> str:
        """Return the suffix of a view's planned file, which decides its format."""
        if path == STDOUT:
            return (VIEWS[view].suffix if view in VIEWS else None) or f".{self.format or 'png'}"
        return path.suffix.lower()


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or Path(output).is_dir()


def looks_like_output(words: Sequence[str]) -> bool:
    """Whether the last of several words is a file to write, not a picture: it does not exist and has an image's suffix."""
    if len(words) != 2:
        return False
    last = words[-1]
    return Path(last).suffix.lower() in ENCODERS and not Path(last).exists() and Path(words[0]).exists()
