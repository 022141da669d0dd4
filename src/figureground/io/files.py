"""Files that are written whole or not at all, and the plan of which file each picture's views go to."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from figureground._files import write_whole
from figureground.errors import NameCollision, OutputExists, UsageError, WriteFailed

STDOUT = Path("-")


def write(data: bytes, target: Path) -> None:
    """Put `data` under `target`, whole or not at all; `-` is standard output. Raises WriteFailed."""
    try:
        if target == STDOUT:
            with os.fdopen(os.dup(1), "wb") as stream:
                stream.write(data)
        elif target.exists() and not target.is_file():
            target.write_bytes(data)  # a device or a pipe: nothing to replace; a folder refuses by itself
        else:
            write_whole(data, target)
    except OSError as error:
        raise WriteFailed(f"'{target}' cannot be written: {error.strerror or error}") from error


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there; raises WriteFailed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteFailed(f"the folder '{folder}' cannot be made: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Plan:
    """Where one picture's views go."""

    source: str
    targets: Mapping[str, Path]


def plan(
    sources: Sequence[str],
    stems: Sequence[str],
    views: Sequence[str],
    output: str | None = None,
    folder: Path | None = None,
    suffix: str = ".png",
) -> list[Plan]:
    """Decide every target before anything is written.

    With `output` that file (or `-`) for one picture and one view; else `<stem>.<view><suffix>` in `folder`, or beside the
    input. Raises NameCollision where two pictures meet in one file or a target is an input, and UsageError.
    """
    if output is not None:
        if len(sources) != 1 or len(views) != 1:
            raise UsageError(
                f"-o names one file, for one picture and one view, but {len(sources)} picture(s) and {len(views)} view(s)"
                " came; use --out-dir"
            )
        plans = [Plan(sources[0], {views[0]: Path(output)})]
    else:
        plans = [
            Plan(source, {view: (folder or _folder_of(source)) / f"{stem}.{view}{suffix}" for view in views})
            for source, stem in zip(sources, stems, strict=True)
        ]
    _refuse_collisions(plans)
    return plans


def refuse_existing(targets: Iterable[Path]) -> None:
    """Raise OutputExists where a target is there already."""
    for path in targets:
        if path.exists():
            raise OutputExists(f"'{path}' exists; replace it with --overwrite, or name another place with -o or --out-dir")


def _folder_of(source: str) -> Path:
    return Path() if source == "-" or "://" in source else Path(source).parent


def _refuse_collisions(plans: Sequence[Plan]) -> None:
    inputs = {os.path.realpath(each.source): each.source for each in plans if each.source != "-"}
    taken: dict[str, str] = {}
    for each in plans:
        for path in each.targets.values():
            if path == STDOUT:
                continue
            place = os.path.realpath(path)
            if place in inputs:
                raise NameCollision(
                    f"'{path}' is the input '{inputs[place]}', which is never written over; name another target"
                )
            if place in taken:
                raise NameCollision(
                    f"'{taken[place]}' and '{each.source}' would both be written to '{path}'; do them apart, or give one"
                    " another --out-dir"
                )
            taken[place] = each.source
