"""The bar `kills` of batch.py: a batch whose driver and workers are killed at random, and what it leaves in the end.

It is run by `python benchmarks/batch.py kills [--kills 20] [--every SECONDS] [--seed N]`.
"""

import argparse
import hashlib
import os
import random
import signal
import threading
import time
from pathlib import Path

from PIL import Image

from batched import COMMAND, begun, count, drawn, resident, workers_of
from common import Row, process
from figureground.batch.ledger import NAME


class Watch(threading.Thread):
    """Opens every picture that appears under a final name, as soon as it is seen."""

    def __init__(self, out: Path) -> None:
        super().__init__(daemon=True)
        self.out, self.seen, self.bad, self.stop = out, {}, [], threading.Event()  # type: ignore[var-annotated]

    def run(self) -> None:
        while not self.stop.wait(0.02):
            for name, mark in marks(self.out).items():
                if self.seen.get(name) != mark:
                    self.seen[name] = mark
                    try:
                        with Image.open(self.out / name) as image:
                            image.load()
                    except (OSError, SyntaxError) as error:
                        self.bad.append(f"{name}: {error}")


def marks(out: Path) -> dict[str, tuple[int, int]]:
    """What tells a file from another one of the same name, of each that is there."""
    found = {}
    for path in out.rglob("*.png"):
        facts = path.stat()
        found[str(path.relative_to(out))] = facts.st_ino, facts.st_mtime_ns
    return found


def tree(out: Path) -> dict[str, str]:
    """The checksum of every file below a folder but the ledger's own."""
    paths = [path for path in out.rglob("*") if path.is_file() and not path.name.startswith(NAME)]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def kills(given: argparse.Namespace, folder: Path) -> tuple[list[Row], bool]:
    """Random SIGKILLs of the driver or of a worker; the batch goes on from each."""
    drawn(given.pictures, 0, given.side, folder / "in")
    process([*COMMAND, folder / "in", folder / "calm", "--workers", given.workers])
    out, chance, watch = folder / "out", random.Random(given.seed), Watch(folder / "out")
    watch.start()
    done: dict[str, int] = {"driver": 0, "worker": 0}
    redone, before, code = [], {}, None  # type: ignore[var-annotated]
    while code is None:
        with begun(folder / "in", out, "--workers", given.workers) as child:
            while sum(done.values()) < given.kills and child.poll() is None:
                time.sleep(chance.uniform(0.2, given.every))
                crew = workers_of(child.pid)
                what = "driver" if not crew or chance.random() < 0.5 else "worker"
                if child.poll() is None and shot(child.pid if what == "driver" else chance.choice(crew), crew, what):
                    done[what] += 1
                    now = marks(out)
                    redone.append(sum(now.get(name) != mark for name, mark in before.items()))
                    before = now
            code = None if child.wait() == -signal.SIGKILL else child.returncode
    redone.append(sum(marks(out).get(name) != mark for name, mark in before.items()))
    watch.stop.set()
    watch.join()
    same, rows = tree(out) == tree(folder / "calm"), count(out, "done")
    return [
        {"what": "pictures; rows that are done; exit code", "measured": f"{given.pictures}; {rows}; {code}"},
        {"what": "kills of the driver; of a worker", "measured": f"{done['driver']}; {done['worker']}"},
        {"what": "files as in an undisturbed run, byte for byte", "measured": "yes" if same else "no"},
        {"what": "files opened as they came; unreadable", "measured": f"{len(watch.seen)}; {len(watch.bad)}"},
        {"what": "files written again, in all; most after one kill", "measured": f"{sum(redone)}; {max(redone)}"},
    ], same and code == 0 and rows == given.pictures and not watch.bad and max(redone) <= given.workers


def shot(pid: int, crew: list[int], what: str) -> bool:
    """Kill a process; with a driver wait until its workers are gone too. Whether it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    while what == "driver" and any(resident(each) for each in crew):
        time.sleep(0.005)
    return True
