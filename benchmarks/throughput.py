"""Pictures per second of `Separator.map` against the plain loop, on two-megapixel JPEGs, each cut-out written as a PNG.

python benchmarks/throughput.py [--rounds 5] [--pictures 40] [--workers 1 2 4]

All in one process, in turn. The plain loop has all threads for its network; `map` shares the same number out. The column
"processor" is the time of all cores for one picture: what a machine that does nothing else is busy for.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from common import arguments, folder_of, report, spread
from figureground import Separation, Separator
from figureground._machine import cores
from figureground.io.encode import encode
from figureground.io.files import write


def save(folder: Path, done: Separation) -> None:
    """Write the cut-out as a PNG."""
    write(encode(done.cutout(), ".png"), folder / f"{done.picture.name}.png")


def loop(separate: Separator, sources: list[Path], finish: Callable[[Separation], None]) -> None:
    """One picture after the other."""
    for source in sources:
        finish(separate(source))


def mapped(separate: Separator, sources: list[Path], finish: Callable[[Separation], None], workers: int) -> None:
    """The same through `map`."""
    for result in separate.map(sources, workers, finish=finish):
        result.get()


def main() -> None:
    parser = arguments(__doc__, 5)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    given = parser.parse_args()
    separate = Separator()
    with tempfile.TemporaryDirectory() as folder:
        sources, finish = folder_of(given.pictures, Path(folder, "in")), partial(save, Path(folder))
        runs = {"plain loop": partial(loop, separate, sources, finish)}
        for workers in given.workers:
            runs[f"`map`, workers={workers}"] = partial(mapped, separate, sources, finish, workers)
        rates: dict[str, list[float]] = {name: [] for name in runs}
        processor: dict[str, list[float]] = {name: [] for name in runs}
        for run in runs.values():  # loads each network once, and warms the disk
            run.func(separate, sources[:2], *run.args[2:])
        for _ in range(given.rounds):
            for name, run in runs.items():
                wall, busy = time.perf_counter(), time.process_time()
                run()
                rates[name].append(given.pictures / (time.perf_counter() - wall))
                processor[name].append(1000 * (time.process_time() - busy) / given.pictures)
    base = statistics.median(rates["plain loop"])
    rows = [
        {
            "how": name,
            "pictures per second": spread(each),
            "ratio": f"{statistics.median(each) / base:.2f}",
            "processor, ms per picture": f"{statistics.median(processor[name]):.0f}",
        }
        for name, each in rates.items()
    ]
    report(f"{given.pictures} pictures of 2 megapixels to PNG cut-outs, {cores()} cores", rows, given.json)


if __name__ == "__main__":
    main()
