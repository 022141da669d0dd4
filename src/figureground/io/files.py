"""Write files whole or not at all, and plan the files for the views of each picture."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from figureground._files import write_whole
from figureground.errors import NameCollision, OutputExists, WriteFailed

STDOUT = Path("-")


def write(data: bytes, target: Path) -> None:
    """Write `data` to `target`, whole or not at all; `-` is standard output. Raises WriteFailed."""
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
    """The files for the views of one picture."""

    source: str
    targets: Mapping[str, Path]


def refuse_existing(targets: Iterable[Path], options: str = "-o or --out-dir") -> None:
    """Raise OutputExists where a target is there already. options : those of the command that name another place."""
    for path in targets:
        if path.is_file() or path.is_dir():  # nothing is replaced in a device or a pipe
            raise OutputExists(f"'{path}' exists; replace it with --overwrite, or name another place with {options}")


def refuse_collisions(plans: Sequence[Plan]) -> None:
    """Raise NameCollision where two views would be one file, or a file is an input."""
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
                    f"'{taken[place]}' and '{each.source}' would both be written to '{path}'; process them apart, or give one"
                    " another folder"
                )
            taken[place] = each.source
