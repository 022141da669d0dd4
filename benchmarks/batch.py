"""The bars of `figureground batch`: many pictures with bad ones among them, start-up, the ledger's cost, scaling, kills.

python benchmarks/batch.py memory|startup|ledger|scaling|kills [--pictures N] [--side PIXELS] [--rounds N] …

A bar is a function that takes the options and a folder for its files, and gives rows and whether it is met; to add one,
write it and give it a row in `BARS`. A bar that is not met ends the script with 1. It reads Linux's /proc.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from batched import COMMAND, FINISHED, asked, begun, count, drawn, resident, workers_of
from common import Row, arguments, process, report, spread
from figureground.batch.inputs import InputOptions, items
from figureground.batch.ledger import NAME, Ledger, Outcome, ResumePolicy
from figureground.io.storage import place
from kills import kills

Options = argparse.Namespace
Result = tuple[list[Row], bool]


def slope(samples: list[tuple[int, float]]) -> float:
    """Megabytes that memory grows by in 10 000 pictures: the line through what came after the first quarter."""
    x, y = np.array(samples, float).T
    late = x >= x.max() / 4
    return float(np.polyfit(x[late], y[late], 1)[0] * 10_000)


def quarters(samples: list[tuple[int, float]]) -> str:
    """Megabytes after each quarter of a run."""
    return ", ".join(f"{samples[(len(samples) * each - 1) // 4][1]:.1f}" for each in range(1, 5))


def memory(given: Options, folder: Path) -> Result:
    """Rows, files, exit code and memory of a long run with bad pictures."""
    bad = drawn(given.pictures, given.bad, given.side, folder / "in")
    held: dict[int, list[tuple[int, float]]] = {}
    out, start = folder / "out", time.perf_counter()
    with begun(folder / "in", out, "--workers", given.workers, "--quality", "fast") as child:
        while child.poll() is None:
            time.sleep(given.every)
            done = len(asked(out, FINISHED))
            for pid in [child.pid, *workers_of(child.pid)] if done else []:
                if now := resident(pid):
                    held.setdefault(pid, []).append((done, now))
    took, driver = time.perf_counter() - start, held.pop(child.pid)
    rows, files = len(asked(out, "SELECT number FROM pictures")), len(list(out.rglob("*.png")))
    states = [count(out, state) for state in ("done", "failed")]
    last = (folder / "said").read_text("utf-8").splitlines()[-1]
    grown = [slope(each) for each in held.values() if len(each) > 3]
    met = (rows, files, states, child.returncode) == (given.pictures, states[0], [given.pictures - bad, bad], 1 if bad else 0)
    return [
        {"what": "inputs, of which bad", "measured": f"{given.pictures}, {bad}"},
        {"what": "rows; done; failed; files", "measured": f"{rows}; {states[0]}; {states[1]}; {files}"},
        {"what": "exit code, last line", "measured": f"{child.returncode}, {last.partition('; ledger')[0]}"},
        {"what": "pictures a second", "measured": f"{given.pictures / took:.1f}"},
        {"what": "driver: MB; MB more in 10 000 pictures", "measured": f"{quarters(driver)}; {slope(driver):+.2f}"},
        *(
            {"what": "a worker: MB; MB more in 10 000 pictures", "measured": f"{quarters(each)}; {slope(each):+.2f}"}
            for each in held.values()
        ),
    ], met and f"{states[0]} done" in last and max([slope(driver), *grown]) < 1


def startup(given: Options, folder: Path) -> Result:
    """Seconds until a batch of which everything is done says so, and how quickly a ledger takes rows."""
    inputs, out = folder / "in", folder / "out"
    drawn(1, 0, given.side, inputs)
    process([*COMMAND, inputs, out])  # so that the rows below are of the same order
    order = ResumePolicy(str(asked(out, "SELECT fingerprint FROM pictures")[0]), (".cutout.png",), overwrite=True)
    for number in range(1, given.pictures):
        for path in (inputs / f"{number // 1000:03}/{number:06}.jpg", out / f"{number // 1000:03}/{number:06}.cutout.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"1")
    with closing(Ledger(out / f"{NAME}.sqlite")) as base:
        base.begin([str(inputs)], "", "local", 1)
        began = time.perf_counter()
        base.register(items(str(inputs), InputOptions()), order, place(str(out)))
        registered = time.perf_counter()
        for task in base.waiting():
            base.record(
                Outcome(task.number, "done", "", "", 0.1, 64, 64, 0.3, 0.9, [0, 0, 9, 9], {f"{task.stem}.cutout.png": 1})
            )
        recorded = time.perf_counter()
    ended = [process([*COMMAND, inputs, out]) for _ in range(given.rounds)]
    seconds = [each.wall for each in ended]
    rates = given.pictures / (registered - began), given.pictures / (recorded - registered)
    counts = [count(out, state) for state in ("done", "waiting")]
    return [
        {"what": "rows; done", "measured": f"{given.pictures}; {counts[0]}"},
        {"what": "seconds from start to summary", "measured": spread(seconds)},
        {"what": "of processor", "measured": spread([each.cpu for each in ended])},
        {"what": "rows registered a second; outcomes recorded a second", "measured": f"{rates[0]:.0f}; {rates[1]:.0f}"},
    ], counts == [given.pictures, 0] and statistics.median(seconds) < 5


def timed(words: list[str]) -> None:
    """Run a batch in this process, and print how long the ledger took of it, as JSON."""
    from figureground.cli.main import main

    spent = {"wall": 0.0, "cpu": 0.0, "first": 0.0}

    def clocked(do: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: object) -> None:
            wall, cpu = time.perf_counter(), time.thread_time()
            do(*arguments)
            if do is record and not spent["first"]:
                spent["first"] = time.process_time()
            spent["wall"] += time.perf_counter() - wall
            spent["cpu"] += time.thread_time() - cpu

        return call

    record = Ledger.record
    for name in ("begin", "register", "record", "end"):
        setattr(Ledger, name, clocked(getattr(Ledger, name)))
    began = time.perf_counter()
    try:
        main(["batch", *words])
    except SystemExit:
        print(json.dumps(spent | {"run": time.perf_counter() - began, "last": time.process_time()}))


def ledger(given: Options, folder: Path) -> Result:
    """The share of a run's time that goes into its ledger, which the workers do not wait for: an upper bound."""
    drawn(given.pictures, 0, given.side, folder / "in")
    wall, cpu, driver = [], [], []
    for number in range(given.rounds):
        out = folder / f"out{number}"
        ended = process([sys.executable, __file__, "ledger", "--timed", folder / "in", out, "--workers", given.workers])
        spent = json.loads(ended.output)
        wall.append(100 * spent["wall"] / spent["run"])
        cpu.append(100 * spent["cpu"] / ended.cpu)
        driver.append(1000 * (spent["last"] - spent["first"]) / max(1, given.pictures - 1))
    return [
        {"what": "per cent of the run's time", "measured": spread(wall)},
        {"what": "per cent of its processor time", "measured": spread(cpu)},
        {"what": "the driver's processor, ms a picture", "measured": spread(driver)},
    ], statistics.median(wall) < 3


def rate(out: Path) -> float:
    """Pictures a second between the tenth part of a run and its end: without its start."""
    times = asked(out, FINISHED)
    first = len(times) // 10
    return (len(times) - 1 - first) / (times[-1] - times[first])


def scaling(given: Options, folder: Path) -> Result:
    """Two workers of one thread each against one such worker, in turn."""
    drawn(given.pictures, 0, given.side, folder / "in")
    rates: dict[int, list[float]] = {1: [], 2: []}
    cpu: dict[int, list[float]] = {1: [], 2: []}
    for number in range(given.rounds):
        for workers in (1, 2):
            out = folder / f"out{number}-{workers}"
            ended = process([*COMMAND, folder / "in", out, "--workers", workers, "--threads", workers])
            rates[workers].append(rate(out))
            cpu[workers].append(1000 * ended.cpu / given.pictures)
    ratio = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    rows: list[Row] = [
        {
            "workers": workers,
            "pictures a second": spread(rates[workers]),
            "processor, ms a picture": f"{statistics.median(cpu[workers]):.0f}",
            "ratio": spread(ratio) if workers == 2 else "",
        }
        for workers in rates
    ]
    return rows, statistics.median(ratio) >= 1.6


BARS: dict[str, tuple[Callable[[Options, Path], Result], str, dict[str, float]]] = {
    "memory": (memory, "every input a row, every row done a file, below 1 MB more in 10 000 pictures", {"pictures": 20_000}),
    "startup": (startup, "the first summary in less than 5 s", {"pictures": 100_000}),
    "ledger": (ledger, "less than 3 per cent of a run", {"pictures": 300}),
    "scaling": (scaling, "two workers on two cores do at least 1.6 times what one does", {"pictures": 200}),
    "kills": (
        kills,
        "the same files as undisturbed, none ever unreadable, at most a picture a worker done again",
        {"pictures": 600},
    ),
}
"""The bar, what it wants, and its own defaults."""


def options() -> argparse.ArgumentParser:
    """What the command line takes."""
    parser = arguments(__doc__, 3)
    parser.add_argument("bar", choices=BARS, metavar="BAR", help="; ".join(f"{name}: {bar[1]}" for name, bar in BARS.items()))
    parser.add_argument(
        "--pictures", type=int, help="how many (" + ", ".join(f"{n} {b[2]['pictures']}" for n, b in BARS.items()) + ")"
    )
    parser.add_argument("--side", type=int, default=96, help="pixels of a picture's side")
    parser.add_argument("--bad", type=float, default=0.03, help="memory: share of pictures that cannot be read")
    parser.add_argument("--workers", type=int, default=2, help="memory, ledger, kills")
    parser.add_argument(
        "--every", type=float, default=2.0, help="memory: seconds between two looks; kills: at most between two kills"
    )
    parser.add_argument("--kills", type=int, default=20, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--folder", type=Path, help="where the files go; else a temporary folder")
    return parser


def main() -> int:
    if sys.argv[2:3] == ["--timed"]:
        timed(sys.argv[3:])
        return 0
    given = options().parse_args()
    bar, wanted, defaults = BARS[given.bar]
    given.pictures = given.pictures or defaults["pictures"]
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        rows, met = bar(given, Path(folder))
    load = os.getloadavg()[0]
    report(
        f"{given.bar}: {wanted}",
        rows,
        given.json,
        f"{'Met' if met else 'NOT MET'}; {load:.1f} processes wanted a core in the last minute.",
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
