"""Runs all benchmarks and writes what they measured into the docs: python benchmarks/run.py [--only NAME …] [--rounds N].

A table stands there between `<!-- NAME -->` and `<!-- end NAME -->`. A benchmark that fails, or is skipped here, leaves the
table that was there, and standard error says so. Those of `BY_HAND` take minutes and change seldom: they run only where
`--only` names them. A run of all names the machine once, at the top; a run of some names it below each of their tables.
To add a benchmark, write a script that takes `--json FILE` (see benchmarks/common.py), add a row to `BENCHMARKS` or
`BY_HAND` and the two marks to docs/speed.md, or to another page and that to `PAGES`.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from common import ROOT, table
from figureground._machine import cores, processor

PAGE = ROOT / "docs" / "speed.md"
BENCHMARKS: dict[str, list[str]] = {
    "NETWORK": ["network.py"],
    "WHOLE": ["whole.py", "--rounds", "5"],
    "THROUGHPUT": ["throughput.py", "--pictures", "12"],
    "SCALING": ["scaling.py", "--plot", "docs/pictures/scaling.png"],
    "ENCODERS": ["encoders.py"],
    "RUNTIMES": ["runtimes.py"],
    "SEGFORMER": ["segformer.py", "--shapes", "b0", "b5"],
    "COST": ["cost.py"],
}
BY_HAND: dict[str, list[str]] = {
    "MEMORY": ["memory.py"],
}
PAGES = {"COST": ROOT / "docs" / "cost.md"}
"""Where a table stands that does not stand on `PAGE`."""
LIMIT = 900  # seconds that one benchmark may take
PACKAGES = ("numpy", "Pillow", "opencv-python-headless", "onnxruntime", "openvino", "torch", "transformers")


def measured(words: list[str], rounds: int | None) -> str:
    """The table that a benchmark gives, its command above it; raises RuntimeError where it gives none."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "table.json")
        more = [] if rounds is None else ["--rounds", str(rounds)]
        command = [sys.executable, str(ROOT / "benchmarks" / words[0]), *words[1:], *more, "--json", str(target)]
        try:
            subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=LIMIT)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise RuntimeError(f"failed ({type(error).__name__})") from error
        if not target.exists():
            raise RuntimeError("was skipped")
        facts = json.loads(target.read_text("utf-8"))
    parts = [f"{facts['title']}: `{facts['command']}`", table(facts["rows"]), facts.get("note", "")]
    return "\n\n".join(part for part in parts if part)


def filled(page: str, name: str, text: str) -> str:
    """The page with `text` between the marks of `name`; raises ValueError where they are not there, once each."""
    head, end = f"<!-- {name} -->", f"<!-- end {name} -->"
    if (page.count(head), page.count(end)) != (1, 1) or page.index(head) > page.index(end):
        raise ValueError(f"the page wants one {head} and after it one {end}")
    return re.sub(f"{re.escape(head)}.*?{re.escape(end)}", lambda _: f"{head}\n{text}\n{end}", page, flags=re.DOTALL)


def machine(load: float) -> str:
    """What the figures were measured on, in a sentence."""
    name, features = processor()
    has = "".join(f", {feature}" for feature in features)
    return (
        f"Measured on {cores()} cores of {name} ({platform.machine()}{has}), {platform.system()},"
        f" Python {platform.python_version()}, {', '.join(filter(None, map(_release, PACKAGES)))}; other work kept"
        f" {load:.1f} cores busy in the minute before."
    )


def _release(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[*BENCHMARKS, *BY_HAND], default=list(BENCHMARKS), metavar="NAME")
    parser.add_argument("--rounds", type=int, help="for each benchmark; fewer is for a trial")
    parser.add_argument("--page", type=Path, help="what is written instead; a copy is for a trial")
    given = parser.parse_args()
    load, began, left = os.getloadavg()[0], time.perf_counter(), []
    whole = {*given.only} >= {*BENCHMARKS}
    for name in given.only:
        start, words = time.perf_counter(), {**BENCHMARKS, **BY_HAND}[name]
        try:
            text = measured(words, given.rounds)
        except RuntimeError as error:
            left.append(name)
            print(f"{name}: {words[0]} {error}; its old table stays", file=sys.stderr)
        else:  # written at once: a later failure loses nothing
            page = given.page or PAGES.get(name, PAGE)
            if not whole and name not in BY_HAND:  # its line is about seconds
                text += f"\n\n{machine(load)}"
            page.write_text(filled(page.read_text("utf-8"), name, text), "utf-8")
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    if whole and {*given.only} - {*left}:
        page = given.page or PAGE
        page.write_text(filled(page.read_text("utf-8"), "MACHINE", machine(load)), "utf-8")
    print(f"in all {time.perf_counter() - began:.0f} s; {len(given.only) - len(left)} of {len(given.only)} tables written")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
