"""Holds the model of plan.py to real runs: a batch with 1, 2 and 4 workers, each predicted from the ledger of the first.

python benchmarks/planned.py [--pictures 60] [--megapixels 1] [--workers 1 2 4] [--rounds 3]

Every worker has one thread; what it takes of the cores all the same, packing its files, is told by the first run's processor
time. The columns of processor time hold where other work disturbs the machine too: what a picture costs must not depend on
how many are made at once, and each further worker costs its loading.
"""

import math
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from batched import COMMAND
from common import TWO_MEGAPIXELS, Ended, arguments, photograph, process, report, spread
from figureground._machine import cores
from figureground.batch.ledger import NAME
from fleet import HOUR, Fleet, from_ledger, simulate


def ran(workers: int, inputs: Path, out: Path) -> Ended:
    """A batch from nothing."""
    return process([*COMMAND, inputs, out, "--workers", workers, "--threads", workers])


def loading(picture: Path, out: Path) -> float:
    """Seconds of processor that a worker takes to load and to do one picture: a run less one that has nothing to do."""
    return ran(1, picture, out).cpu - ran(1, picture, out).cpu


def predicted(ledger: Path, busy: float, workers: int, count: int, seed: int) -> float:
    """Seconds that the model says, the median of its runs; `busy` is what the pictures in the ledger took of processor."""
    known = from_ledger(ledger)
    share = busy / (known.seconds.mean() * count)  # above 1: also a worker of one thread packs its file in several
    hours, _ = simulate(replace(known, processor=share), Fleet(workers=workers, cores=cores()), count, 1, seed=seed)
    return statistics.median(hours) * HOUR


def main() -> None:
    parser = arguments(__doc__, 3)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--megapixels", type=float, default=1.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    given = parser.parse_args()
    width = round(math.sqrt(given.megapixels * 1e6 * TWO_MEGAPIXELS[0] / TWO_MEGAPIXELS[1]))
    said: dict[int, list[float]] = {workers: [] for workers in given.workers}
    runs: dict[int, list[Ended]] = {workers: [] for workers in given.workers}
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "in")
        inputs.mkdir()
        for number in range(given.pictures):
            photograph(inputs / f"{number:03}.jpg", (width, round(given.megapixels * 1e6 / width)), number)
        first = Path(folder, "first", "one.jpg")
        first.parent.mkdir()
        first.write_bytes((inputs / "000.jpg").read_bytes())
        load = statistics.median(loading(first, Path(folder, f"warm{turn}")) for turn in range(3))
        for turn in range(given.rounds):
            one = Path(folder, f"{turn}-{given.workers[0]}", f"{NAME}.sqlite")
            for workers in given.workers:
                runs[workers].append(ran(workers, inputs, Path(folder, f"{turn}-{workers}")))
                busy = runs[given.workers[0]][turn].cpu - load
                said[workers].append(predicted(one, busy, workers, given.pictures, turn))
    rows = []
    for workers, ended in runs.items():
        off = [100 * (each.wall / guess - 1) for each, guess in zip(ended, said[workers], strict=True)]
        cost = [one.cpu + (workers - given.workers[0]) * load for one in runs[given.workers[0]]]
        more = [100 * (each.cpu / guess - 1) for each, guess in zip(ended, cost, strict=True)]
        rows.append(
            {
                "workers": workers,
                "predicted, s": spread(said[workers], 1),
                "measured, s": spread([each.wall for each in ended], 1),
                "off by, %": spread(off, 0),
                "processor, predicted, s": spread(cost, 1),
                "measured": spread([each.cpu for each in ended], 1),
                "is off by, %": spread(more, 0),
                "cores it got": spread([each.cpu / each.wall for each in ended]),
            }
        )
    report("The plan against real runs", rows, given.json, f"{cores()} cores, one thread a worker.")


if __name__ == "__main__":
    sys.exit(main())
