"""Hours and cost of a batch on many machines, from what one machine measured: a table, and a plot, for any number of nodes.

python benchmarks/plan.py --ledger OUT/figureground-ledger.sqlite --workers 16 --cores 16 --price 0.80 [--nodes 1 10 100] …
python benchmarks/plan.py --seconds 0.3 --bytes-in 1.2 --bytes-out 2.5 --storage 5000 --node-deaths 0.001 --plot plan.png

The model is benchmarks/fleet.py. To add a figure that can be given: an argument here and a field there.
"""

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image, ImageDraw

from common import Row, report
from fleet import LEDGERS, Fleet, Floats, Pictures, closed, from_ledger, simulate, slots, takeover

MB = 1e6
PANEL, HEIGHT, MARGIN = 430, 400, 64
COLORS = [(20, 110, 180), (200, 80, 30), (40, 140, 70), (120, 60, 160)]
Cell = tuple[int, int, Floats, Floats, str]


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"plan: {message}\n")


def positive(text: str) -> float:
    """A number above zero; `inf` is one."""
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"'{text}' came, but a number above 0 is wanted")
    return number


def whole(text: str) -> int:
    """A whole number above zero, also as 1e6."""
    number = float(text)
    if not (1 <= number < 1e15 and number == int(number)):
        raise argparse.ArgumentTypeError(f"'{text}' came, but a whole number from 1 on is wanted, such as 1000 or 1e6")
    return int(number)


def ratio(text: str) -> float:
    """A number from 0 on."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' came, but a number from 0 on is wanted")
    return number


ARGUMENTS: dict[str, dict[str, dict[str, Any]]] = {
    "a picture, measured": {
        "--ledger": {"type": Path, "metavar": "FILE", "help": "of a batch with one thread a worker: seconds, bytes, start"},
        "--seconds": {"type": positive, "help": "without a ledger: a worker's seconds a picture"},
        "--bytes-in": {"type": ratio, "default": 1.0, "metavar": "MB", "help": "without a ledger (%(default)s)"},
        "--bytes-out": {"type": ratio, "default": 2.0, "metavar": "MB", "help": "without a ledger (%(default)s)"},
        "--start": {"type": ratio, "help": "seconds until a worker begins; else the ledger's, or 2"},
        "--processor": {
            "type": positive,
            "default": 1.0,
            "metavar": "SHARE",
            "help": "of its seconds a picture keeps a core busy (1)",
        },
        "--worker-memory": {"type": ratio, "default": 0.0, "metavar": "MB", "help": "at a worker's peak"},
    },
    "a node": {
        "--workers": {"type": whole, "default": 8, "help": "(%(default)s)"},
        "--cores": {"type": whole, "help": "else as many as workers"},
        "--memory": {"type": positive, "default": math.inf, "metavar": "MB", "help": "fewer workers where they do not fit"},
        "--bandwidth": {"type": positive, "default": math.inf, "metavar": "MB", "help": "a second, each way"},
        "--latency": {"type": ratio, "default": 0.0, "help": "seconds a picture that a worker waits for the storage (0)"},
        "--price": {"type": ratio, "default": 0.0, "help": "of an hour (0)"},
    },
    "what the nodes share": {
        "--storage": {"type": positive, "default": math.inf, "metavar": "MB", "help": "a second in all, each way"},
        "--requests": {"type": positive, "default": math.inf, "help": "a second in all; a picture makes two"},
        "--request-price": {"type": ratio, "default": 0.0, "help": "of a thousand"},
        "--ledgers": {
            "choices": LEDGERS,
            "default": "lists",
            "help": "lists: each node its own inputs; shards: --shard I/N; one: one driver (lists)",
        },
        "--register": {"type": positive, "default": math.inf, "help": "rows a second that a ledger registers"},
        "--record": {"type": positive, "default": math.inf, "help": "outcomes a second that a ledger records"},
    },
    "what goes wrong": {
        "--node-deaths": {"type": ratio, "default": 0.0, "help": "of a node, an hour (0)"},
        "--worker-deaths": {"type": ratio, "default": 0.0, "help": "of a worker, an hour (0)"},
        "--back": {"type": ratio, "default": 300.0, "help": "seconds until a dead node is replaced (%(default)s)"},
        "--slow": {"type": ratio, "default": 0.0, "metavar": "SHARE", "help": "of nodes that are slow (0)"},
        "--slowness": {"type": positive, "default": 2.0, "help": "how many times as long these take (%(default)s)"},
    },
    "what is asked": {
        "--pictures": {"type": whole, "nargs": "+", "default": [10**6, 10**9], "help": "(1e6 1e9)"},
        "--nodes": {"type": whole, "nargs": "+", "default": [1, 10, 100, 1000], "help": "(1 10 100 1000)"},
        "--runs": {"type": whole, "default": 100, "help": "simulated, each (%(default)s)"},
        "--seed": {"type": int, "default": 0},
        "--json": {"type": Path, "metavar": "FILE", "help": "write the table there too"},
        "--plot": {"type": Path, "metavar": "FILE", "help": "draw hours and cost there (PNG)"},
    },
}


def options() -> argparse.ArgumentParser:
    """What the command line takes."""
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    for title, arguments in ARGUMENTS.items():
        group = parser.add_argument_group(title)
        for name, facts in arguments.items():
            group.add_argument(name, **facts)
    return parser


def pictures_from(given: argparse.Namespace) -> Pictures:
    """What was measured; raises ValueError where neither a ledger nor seconds were given, or both."""
    if (given.ledger is None) == (given.seconds is None):
        raise ValueError("what a picture takes is wanted: give --ledger FILE, or --seconds, and not both")
    if given.ledger:
        found = from_ledger(given.ledger)
    else:
        found = Pictures(*(np.array([each]) for each in (given.seconds, given.bytes_in * MB, given.bytes_out * MB)))
    start = found.start if given.start is None else given.start
    return Pictures(found.seconds, found.bytes_in, found.bytes_out, given.processor, start, start)


def fleet_from(given: argparse.Namespace) -> Fleet:
    """The nodes; raises ValueError where no worker fits into one, or more than all are slow."""
    same = "workers ledgers register record latency requests node_deaths worker_deaths back slow slowness price"
    fleet = Fleet(
        **{name: getattr(given, name) for name in same.split()},
        cores=given.cores or given.workers,
        memory=given.memory * MB,
        worker_memory=given.worker_memory * MB,
        node_bytes=given.bandwidth * MB,
        all_bytes=given.storage * MB,
        request_price=given.request_price / 1000,
    )
    if fleet.crew < 1:
        raise ValueError(
            f"a worker of {given.worker_memory:g} MB does not fit into a node of {given.memory:g} MB; raise --memory"
        )
    if fleet.slow > 1:
        raise ValueError(f"--slow is a share of the nodes, 0 to 1, but {fleet.slow:g} came")
    return fleet


def row(cell: Cell, pictures: Pictures, fleet: Fleet) -> Row:
    """A line of the table: medians of the simulated runs, and in brackets what nine of ten lie between."""
    count, nodes, hours, cost, bound = cell
    return {
        "pictures": f"{count:,}",
        "nodes": f"{nodes:,}",
        "hours": between(hours),
        "hours if nothing goes wrong": short(closed(pictures, fleet, count, nodes)[0]),
        "cost": between(cost),
        "what binds": bound,
    }


def between(values: Floats) -> str:
    """The median, and in brackets the 5th and the 95th percentile."""
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"{short(middle)} ({short(low)} – {short(high)})"


def short(value: float) -> str:
    """Three digits that count, without an exponent."""
    digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(value)))
    return f"{round(value, digits if value < 100 else 2 - math.floor(math.log10(value))):,.{digits}f}"


def plot(cells: Sequence[Cell], target: Path) -> None:
    """Hours and cost over the number of nodes, both axes in powers of ten, a line a number of pictures, its band shaded."""
    image = Image.new("RGB", (2 * PANEL + 3 * MARGIN, HEIGHT + 2 * MARGIN), "white")
    draw = ImageDraw.Draw(image, "RGBA")
    panel(draw, MARGIN, "hours", [(*cell[:2], cell[2], cell[4]) for cell in cells])
    panel(draw, PANEL + 2 * MARGIN, "cost", [(*cell[:2], cell[3], "") for cell in cells])
    image.save(target)


def panel(draw: ImageDraw.ImageDraw, left: int, title: str, points: Sequence[tuple[int, int, Floats, str]]) -> None:
    """One of the two; what binds is written where it changes."""
    x0, x1 = (math.log10(each) for each in (min(p[1] for p in points), max(p[1] for p in points)))
    values = [max(value, 1e-9) for p in points for value in p[2]]
    y0, y1 = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)

    def place(nodes: float, value: float) -> tuple[float, float]:
        x, y = (math.log10(nodes) - x0) / ((x1 - x0) or 1), (math.log10(max(value, 1e-9)) - y0) / ((y1 - y0) or 1)
        return left + 12 + x * (PANEL - 24), MARGIN + HEIGHT - y * HEIGHT

    for power in range(y0, y1 + 1):
        y = place(10**x0, 10.0**power)[1]
        draw.line((left, y, left + PANEL, y), fill=(225, 225, 225))
        draw.text((left - 8, y), f"{10.0**power:,g}" if power < 6 else f"1e{power}", fill="black", anchor="rm", font_size=13)
    for nodes in sorted({p[1] for p in points}):
        x, y = place(nodes, 10.0**y0)
        draw.line((x, MARGIN, x, y), fill=(225, 225, 225))
        draw.text((x, y + 8), f"{nodes:,}", fill="black", anchor="ma", font_size=13)
    draw.text((left, MARGIN - 34), f"{title} over nodes; shaded: nine of ten simulated runs", fill="black", font_size=15)
    for color, count in zip(COLORS, sorted({p[0] for p in points}), strict=False):
        curve(draw, place, color, sorted(p for p in points if p[0] == count))


def curve(draw, place, color, points) -> None:  # type: ignore[no-untyped-def]  # of `panel` alone
    """The line of one number of pictures."""
    low, middle, high = ([place(n, np.quantile(v, q)) for _, n, v, _ in points] for q in (0.05, 0.5, 0.95))
    if len(points) > 1:
        draw.polygon([*low, *reversed(high)], fill=(*color, 60))
        draw.line(middle, fill=color, width=2)
    said = ""
    for (x, y), (_, _, _, bound) in zip(middle, points, strict=True):
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=color)
        if bound != said:
            draw.text((x + 8, y - 6), bound, fill=color, anchor="lb", font_size=13)
        said = bound
    x, y = middle[-1]
    beside, anchor = (10, "rt") if y > middle[0][1] else (-10, "rb")  # where the line has not been
    draw.text((x + 4, y + beside), f"{points[0][0]:,} pictures", fill=color, anchor=anchor, font_size=13)


def main() -> int:
    parser = options()
    given, began = parser.parse_args(), time.perf_counter()
    try:
        pictures, fleet = pictures_from(given), fleet_from(given)
        asked = [(count, nodes) for count in given.pictures for nodes in given.nodes]
        cells = [
            (*each, *simulate(pictures, fleet, *each, given.runs, given.seed), closed(pictures, fleet, *each)[1])
            for each in asked
        ]
    except ValueError as error:
        parser.error(str(error))
    name, nodes = takeover(pictures, fleet)
    moved = f"from {nodes:,.0f} nodes on {name} binds" if nodes < math.inf else "nothing that the nodes share ever binds"
    note = (
        f"A node does {slots(pictures, fleet):.3g} pictures at once, {pictures.seconds.mean():.3g} s each; {moved}."
        f" {given.runs} runs of each line, simulated in {time.perf_counter() - began:.1f} s in all."
    )
    report("A batch on many machines", [row(cell, pictures, fleet) for cell in cells], given.json, note)
    if given.plot:
        plot(cells, given.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
