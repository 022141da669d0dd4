"""What pictures cost at scale: python benchmarks/cost.py [--rounds 5] [--price 0.05] [--megapixels 2 12]

Measured is the processor time of one picture, JPEG to PNG cut-out, in a worker whose network has one thread, as those of a
batch that fills every core; the rest of the table is arithmetic. All methods in one process, in turn. SegFormer has random
weights of B5's shape, since time does not depend on what they are, and is measured at the first size only: its network sees
as many pixels of any picture. To add a method: a row in `methods`.
"""

import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from checkpoints import CONVERTED, kept
from common import PAUSE, Row, arguments, photograph, report, spread
from figureground import Separator
from figureground._machine import processor
from figureground.io.encode import encode
from figureground.methods import Method, find
from figureground.settings import Settings

SIZES = {2.0: (1920, 1080), 12.0: (4000, 3000)}
MANY = (1000, 10**6, 10**9)


def methods() -> Mapping[str, tuple[Method, Settings]]:
    """What is measured, by the words that ask for it."""
    plain, small = Settings(threads=1, cache=CONVERTED), find("subject")
    stuff = find("stuff")
    stuff = replace(stuff, options={**stuff.options, "weights": str(kept("b5"))})
    chosen = {
        "subject --quality fast": (replace(small, options={**small.options, "quality": "fast"}), plain),
        "subject": (small, plain),
        "stuff (B5)": (stuff, plain),
    }
    if "avx512_bf16" in processor()[1]:
        chosen["stuff (B5) --precision bf16"] = (stuff, replace(plain, precision="bf16"))
    return chosen


def busy(separate: Separator, path: Path) -> float:
    """Seconds of processor, on whichever core, for one picture, JPEG to PNG cut-out."""
    time.sleep(PAUSE)  # what the method before it left waiting busily counts as this process's time too
    began = time.process_time()
    encode(separate(path).cutout(), ".png")
    return time.process_time() - began


def row(name: str, megapixels: float, seconds: list[float], price: float) -> Row:
    """The measured seconds, and what follows from them at a price in euros for an hour of one core."""
    hours = statistics.median(seconds) / 3600
    return {
        "method": f"`{name}`",
        "megapixels": f"{megapixels:g}",
        "core-seconds a picture": spread(seconds),
        "pictures a core-hour": f"{1 / hours:,.0f}",
        "pictures a euro": f"{1 / hours / price:,.0f}",
        **{f"{count:,} pictures": f"{short(count * hours)} h, € {short(count * hours * price)}" for count in MANY},
    }


def short(number: float) -> str:
    """At least two digits that count, in full."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def main() -> None:
    """Measure each method at each size, in turn, and report."""
    parser = arguments(__doc__, 5)
    parser.add_argument("--price", type=float, default=0.05, help="euros for an hour of one core")
    parser.add_argument("--megapixels", type=float, nargs="+", choices=list(SIZES), default=list(SIZES))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, seconds = Path(place), dict[tuple[str, float], list[float]]()
        ready = {name: Separator(method, settings) for name, (method, settings) in methods().items()}
        first = photograph(folder / "first.jpg", (640, 480))
        for separate in ready.values():  # a network's first picture is not counted
            separate(first)
        paths = {size: photograph(folder / f"{size:g}.jpg", SIZES[size]) for size in given.megapixels}
        for size, path in paths.items():  # one after the other: memory of a new size costs whoever asks for it first
            if size != given.megapixels[0]:
                ready = {name: separate for name, separate in ready.items() if separate.method.model != "segformer"}
            for _ in range(given.rounds):
                for name, separate in ready.items():
                    seconds.setdefault((name, size), []).append(busy(separate, path))
    note = f"At € {given.price:g} for an hour of one core, which is assumed."
    report("Cost at scale", [row(*key, each, given.price) for key, each in seconds.items()], given.json, note)


if __name__ == "__main__":
    main()
