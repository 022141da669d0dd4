"""What the bars of `figureground batch` share: small pictures, a batch at work, its processes and its ledger. No bar itself."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import cv2
import numpy as np

from figureground.batch.ledger import NAME

COMMAND = [sys.executable, "-m", "figureground", "batch"]
FINISHED = "SELECT finished FROM pictures WHERE state IN ('done', 'failed') ORDER BY finished"


def drawn(count: int, bad: float, side: int, folder: Path) -> int:
    """Write small JPEGs, a thousand a folder, each another one; of a share of them half, nothing or junk. How many are bad."""
    every, broken = round(1 / bad) if bad else count + 1, 0
    for number in range(count):
        noise = np.random.default_rng(number)
        image = noise.integers(0, 60, (side, side, 3), np.uint8)
        center, axes = noise.integers(side // 3, 2 * side // 3, 2), noise.integers(side // 8, side // 3, 2)
        cv2.ellipse(image, center.tolist(), axes.tolist(), 30, 0, 360, noise.integers(120, 256, 3).tolist(), -1)
        data = cv2.imencode(".jpg", image)[1].tobytes()
        if (number + 1) % every == 0:
            data = (data[: len(data) // 2], b"", noise.bytes(900))[broken % 3]
            broken += 1
        path = folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return broken


@contextmanager
def begun(*words: object) -> Iterator[subprocess.Popen[bytes]]:
    """A batch at work; what it says goes to a file, `said`, in the folder of the outputs' parent."""
    out = Path(str(words[1]))
    with (
        (out.parent / "said").open("wb") as said,
        subprocess.Popen([*COMMAND, *map(str, words)], stdout=said, stderr=said) as child,
    ):
        try:
            yield child
        finally:
            child.kill()


def asked(out: Path, query: str, *values: str) -> list[float]:
    """The first column of what a ledger answers; nothing where there is none yet."""
    try:
        with closing(sqlite3.connect(f"file:{out / NAME}.sqlite?mode=ro", uri=True)) as base:
            return [row[0] for row in base.execute(query, values)]
    except sqlite3.OperationalError:
        return []


def count(out: Path, state: str) -> int:
    """How many rows are in a state."""
    return len(asked(out, "SELECT number FROM pictures WHERE state = ?", state))


def workers_of(driver: int) -> list[int]:
    """The processes that do a batch's pictures."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == driver and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended
            continue
    return found


def resident(pid: int) -> float:
    """Megabytes that a process holds; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)
