"""What the benchmarks share: test photographs, processes that are timed from outside, tables. Not a benchmark itself.

A benchmark prints a table and, with `--json FILE`, writes {"title", "command", "rows", "note"}: each row maps a column's
heading to its cell. A benchmark that cannot run here says why on standard error, writes no file and ends with 0.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parent.parent
PHOTOGRAPHS = [ROOT / "tests" / "pictures" / f"{name}.jpg" for name in ("astronaut", "chelsea", "coffee", "rocket")]
HALF_A_MEGAPIXEL, TWO_MEGAPIXELS = (800, 600), (1920, 1080)
PAUSE = 0.1  # seconds
Row = Mapping[str, object]


def arguments(about: str | None, rounds: int) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each run is timed, in turn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    return parser


def report(title: str, rows: Sequence[Row], to: Path | None, note: str = "") -> None:
    """Print the rows as a table, and write them to `to`."""
    print(table(rows), f"\n{note}" if note else "", sep="\n", flush=True)
    if to is not None:
        words = ["python", f"benchmarks/{Path(sys.argv[0]).name}", *_without_json(sys.argv[1:])]
        facts = {"title": title, "command": " ".join(words), "rows": list(rows), "note": note}
        to.write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")


def _without_json(words: Sequence[str]) -> list[str]:
    """The arguments that matter to whoever repeats the run."""
    kept, skip = [], False
    for word in words:
        if not skip and word not in ("--json", "--plot"):
            kept.append(word)
        skip = word in ("--json", "--plot")
    return kept


def table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table; a heading that a row lacks is an empty cell."""
    heads = list(dict.fromkeys(head for row in rows for head in row))
    lines = [heads, ["---"] * len(heads), *([str(row.get(head, "")) for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median and, in brackets, the least and the greatest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} – {max(values):.{digits}f})"


def interleaved(rounds: int, runs: Mapping[str, Callable[[], object]], warm: int = 1) -> dict[str, list[float]]:
    """Seconds of each run in each round, the runs in turn; `warm` rounds come first and are not counted.

    Before each is a pause, in which threads that still wait busily for the run before it go to sleep.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(-warm, rounds):
        for name, run in runs.items():
            time.sleep(PAUSE)
            began = time.perf_counter()
            run()
            if number >= 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def photograph(path: Path, size: tuple[int, int] = TWO_MEGAPIXELS, seed: int = 0) -> Path:
    """Write a JPEG of that width and height: one of the project's photographs, enlarged, with a camera's grain."""
    image = cv2.imread(str(PHOTOGRAPHS[seed % len(PHOTOGRAPHS)]))
    image = cv2.resize(image if seed // len(PHOTOGRAPHS) % 2 == 0 else image[:, ::-1], size, interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(seed).normal(0, 4, (256, 256, 3)).astype(np.int8)
    for top in range(0, image.shape[0], 256):
        for left in range(0, image.shape[1], 256):
            part = image[top : top + 256, left : left + 256]
            part[:] = np.clip(part + grain[: part.shape[0], : part.shape[1]].astype(np.int16), 0, 255)
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return path


def folder_of(count: int, folder: Path, size: tuple[int, int] = TWO_MEGAPIXELS) -> list[Path]:
    """That many JPEGs of that width and height, each another one."""
    folder.mkdir(parents=True, exist_ok=True)
    return [photograph(folder / f"{number:03}.jpg", size, number) for number in range(count)]


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended: seconds on the clock, seconds of processors, megabytes at its peak, what it printed."""

    wall: float
    cpu: float
    peak: float
    output: str


def process(words: Sequence[object], environment: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end; raises RuntimeError with what it said where it fails."""
    words = [str(word) for word in words]
    began, setting = time.perf_counter(), {**os.environ, **(environment or {})}
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=said, text=True, env=setting) as child,
    ):
        output = child.stdout.read() if child.stdout else ""
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        if child.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(words)} ended with {child.returncode}: {said.read()[-2000:]}")
    return Ended(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def forget_peak() -> None:
    """Have Linux count this process's peak memory (VmHWM) anew from here."""
    Path("/proc/self/clear_refs").write_text("5")


def resident(key: str = "VmRSS") -> float:
    """Megabytes of this process's memory, now (VmRSS) or at its peak (VmHWM), as Linux counts them."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[key].split()[0]) / 1024
