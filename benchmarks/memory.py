"""The memory that a 12-megapixel picture takes above each network's own: python benchmarks/memory.py [--only small …].

Each row is a process of its own, which does what the command does, from a JPEG to a PNG cut-out, with random weights in the
published configurations (checkpoints.py, published.py). The network's own memory is what is resident after two pictures
of 0.1 megapixels: Python, the runtime, the weights, and what the runtime keeps for the next picture. The peak of a picture is
counted from there, its network's activations with it. Linux only, whose peak can be set back (/proc/self/clear_refs). To add
a row: in `RUNS`.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import checkpoints
import published
from common import Row, photograph, process, report, resident
from figureground.io.encode import encode
from figureground.methods import Method, find
from figureground.pipeline import Separator
from figureground.prompts import Prompt, point
from figureground.settings import Settings

SMALL, LARGE = (360, 270), (4000, 3000)
PHRASES = Prompt(text=("the dog", "a person"))
NOTE = "A MB is 2²⁰ bytes. The mean of the mask says whether there was anything to cut out."
CLICK = Prompt(points=(point("50%,50%"),))


@dataclass(frozen=True, slots=True)
class Run:
    """A method, the network that it looks with, and what it is told."""

    method: str
    network: str
    prompt: Prompt | None = None
    model: str = ""
    """In place of the method's own."""
    options: dict[str, float] = field(default_factory=dict)


RUNS: dict[str, Run] = {
    "subject": Run("subject", ""),
    "segformer b0": Run("stuff", "b0"),
    "segformer b5": Run("most-common-hull", "b5"),
    "EoMT base": Run("instance", "eomt"),
    "Mask2Former Swin-T": Run("instance", "mask2former"),
    "CLIPSeg rd64": Run("text", "clipseg", PHRASES),
    "Grounding DINO tiny, SAM 2.1 tiny": Run("text", "dino", PHRASES, "grounded", {"box_threshold": 0.01}),
    "SAM 2.1 tiny": Run("points", "sam", CLICK),
    "Depth Anything V2 small": Run("depth", "depth"),
    "small + segformer b0": Run("subject+stuff", "b0"),
}


def prepared(run: Run, folder: Path) -> Method:
    """The method with its checkpoint in `folder`; written, and SegFormer converted, where it is not there yet."""
    method = find(run.method)
    if run.model:
        method = replace(method, model=run.model)
    if not run.network:
        return method
    weights = folder / run.network
    if not weights.exists():
        (checkpoints if run.network in checkpoints.SHAPES else published).save(run.network, weights)
    options = {"weights": str(weights), **run.options}
    if run.model == "grounded":
        masks = folder / "sam"
        options["mask_weights"] = str(masks if masks.exists() else published.save("sam", masks))
    if method.second is not None:
        return replace(method, second=method.second.with_options(**options))
    return method.with_options(**options)


def child(name: str, folder: Path) -> None:
    """One row in this process; prints megabytes as JSON."""
    run, settings = RUNS[name], Settings(cache=folder / "cache")
    separate = Separator(prepared(run, folder), settings)
    small, large = (photograph_of(folder, size) for size in (SMALL, LARGE))

    def peak(picture: Path) -> tuple[float, float]:
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak starts anew
        done = separate(picture, run.prompt)
        encode(done.cutout(), ".png")
        return resident("VmHWM"), float(done.mask.mean())

    for _ in range(2):
        peak(small)
    own = resident()
    (before, _), (after, share) = peak(small), peak(large)
    print(json.dumps({"own": own, "small": before, "large": after, "share": share}))


def photograph_of(folder: Path, size: tuple[int, int]) -> Path:
    """A JPEG of that size, made once."""
    path = folder / f"{size[0]}.jpg"
    return path if path.exists() else photograph(path, size)


def row(name: str, folder: Path) -> Row:
    """Measure one row."""
    for size in (SMALL, LARGE):
        photograph_of(folder, size)
    if RUNS[name].network:
        process([sys.executable, __file__, "--prepare", name, folder])
    said = json.loads(process([sys.executable, __file__, "--child", name, folder]).output)
    above = {f"peak above it, {what}, MB": f"{said[key] - said['own']:.0f}" for key, what in
        (("small", "0.1 MP"), ("large", "12 MP"))}  # fmt: skip
    return {
        "network": name,
        "method": RUNS[name].method,
        "its own, MB": f"{said['own']:.0f}",
        **above,
        "mean of the mask": f"{said['share']:.2f}",
    }


def main() -> None:
    """Measure each row and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS), metavar="NETWORK")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    for hidden in ("--child", "--prepare"):
        parser.add_argument(hidden, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child[0], Path(given.child[1]))
        return
    if given.prepare:  # in a process of its own: what it needs is not the network's
        name, folder = given.prepare[0], Path(given.prepare[1])
        Separator(prepared(RUNS[name], folder), Settings(cache=folder / "cache"))
        return
    if not Path("/proc/self/clear_refs").exists():
        print("memory.py is skipped: it reads /proc, which only Linux has", file=sys.stderr)
        return
    rows = []
    for name in given.only:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(name, Path(folder)))
        print(rows[-1], file=sys.stderr, flush=True)
    report("Memory of a picture of 12 megapixels", rows, given.json, NOTE)


if __name__ == "__main__":
    main()
