"""A batch on four Ray actors of which one is killed every so often, and the driver too: is anything lost, or done twice?

python benchmarks/ray_kills.py [--pictures 1300] [--every 20] [--drivers 2] [--actors 4]

The same pictures are first done by the local engine, undisturbed. Then bytes of all files and rows of the ledgers are
compared. A driver that is killed is started again with the same command, which goes on from the ledger. Linux only.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from common import PHOTOGRAPHS, ROOT, arguments, report

FACTS = "source, stem, state, code, message, width, height, coverage, certainty, box, files"
ACTOR = "ray::MapWorker"


def inputs(folder: Path, count: int) -> Path:
    """The photographs again and again, and one in fifty that is none."""
    folder.mkdir()
    for number in range(count):
        name = folder / f"{number:06}.jpg"
        if number % 50 == 49:
            name.write_bytes(b"no picture")
        else:
            shutil.copy(PHOTOGRAPHS[number % len(PHOTOGRAPHS)], name)
    return folder


def batch(source: Path, out: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "figureground", "batch", str(source), str(out), "--json", *words]


def below(parent: int, title: str) -> list[int]:
    """Processes with this title whose ancestor the parent is."""
    above, titled = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            above[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if title in (folder / "cmdline").read_text():
                titled.append(int(folder.name))
        except OSError:
            continue

    def ancestors(pid: int) -> Iterator[int]:
        while pid in above:
            yield pid
            pid = above[pid]

    return [pid for pid in titled if parent in ancestors(pid)]


def disturbed(command: list[str], every: float, drivers: int, heard: Path) -> tuple[int, int, int]:
    """Run it, kill every so often an actor, each third time the driver; the exit code, and how many of each were killed."""
    killed, ended = [0, 0], -1
    while ended == -1:
        with heard.open("ab") as file:
            driver = subprocess.Popen(command, stdout=file, stderr=sys.stderr, cwd=ROOT)
        before = killed[0]
        while ended == -1:
            try:
                ended = driver.wait(every)
            except subprocess.TimeoutExpired:
                if killed[1] < drivers and killed[0] - before == 2:
                    driver.kill()
                    driver.wait()
                    killed[1] += 1
                    break
                found = below(driver.pid, ACTOR)
                if found:
                    os.kill(found[killed[0] % len(found)], signal.SIGKILL)
                    killed[0] += 1
    return ended, killed[0], killed[1]


def files(folder: Path) -> dict[str, str]:
    """Checksums of what the batch made."""
    made = (path for path in folder.iterdir() if not path.name.startswith(("figureground-ledger", ".")))
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in made}


def rows(folder: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "figureground-ledger.sqlite")) as base:
        return base.execute(f"SELECT {FACTS} FROM pictures ORDER BY source").fetchall()  # noqa: S608  # our own words


def main() -> None:
    parser = arguments(__doc__, 1)
    parser.add_argument("--pictures", type=int, default=1300)
    parser.add_argument("--every", type=float, default=20, help="seconds between kills of an actor")
    parser.add_argument("--drivers", type=int, default=2, help="how often the driver is killed")
    parser.add_argument("--actors", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, plain, ray, heard = (
            inputs(Path(folder, "in"), given.pictures),
            *(Path(folder, n) for n in ("plain", "ray", "heard")),
        )
        began = time.monotonic()
        subprocess.run(batch(source, plain), cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        between = time.monotonic()
        command = batch(source, ray, "--engine", "ray", "--address", "local", "--workers", str(given.actors))
        ended, actors, drivers = disturbed(command, given.every, given.drivers, heard)
        told = [json.loads(line) for line in heard.read_text().splitlines() if '"picture"' in line]
        facts = {
            "pictures": given.pictures,
            "actors killed": actors,
            "driver killed": drivers,
            "exit code": ended,
            "same files": files(plain) == files(ray),
            "temporary files left": len(list(ray.glob(".*.part"))),
            "same rows": rows(plain) == rows(ray),
            "rows": len(rows(ray)),
            "told of twice": len(told) - len({each["picture"] for each in told}),
            "never told of": given.pictures - len({each["picture"] for each in told}),
            "local, s": round(between - began),
            "disturbed, s": round(time.monotonic() - between),
        }
    report("A batch on Ray whose actors and driver are killed", [facts], given.json)


if __name__ == "__main__":
    main()
