"""The whole command against the package rembg with a network of U²-Netp's shape, each in an environment of its own.

python benchmarks/whole.py [--rounds 5] [--pictures 40] [--environments build]

Both are installed with pip as a user would, into folders that are kept for the next time. rembg gets the random weights of
benchmarks/network.py as its `u2netp`: time does not depend on what the weights are, and nothing is downloaded. JPEGs of two
megapixels to PNG cut-outs, of half a megapixel in the folder; "cold" is a fresh process, "warm" a loaded network in Python,
bytes to bytes. Ratios are rembg's to ours.
Skipped where rembg cannot be installed.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from common import HALF_A_MEGAPIXEL, ROOT, Ended, arguments, folder_of, process, report, spread
from network import U2NetpShaped, graph

BASE = ("pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack")  # what each environment has anyway
WARM_OURS = """
import sys, time
from pathlib import Path
from figureground import Separator
from figureground.io.encode import encode
separate = Separator()
for path in sys.argv[1:]:
    data, began = Path(path).read_bytes(), time.perf_counter()
    encode(separate(data).cutout(), ".png")
    print(time.perf_counter() - began)
"""
WARM_REMBG = """
import sys, time
from pathlib import Path
from rembg import new_session, remove
session = new_session("u2netp")
for path in sys.argv[1:]:
    data, began = Path(path).read_bytes(), time.perf_counter()
    remove(data, session=session)
    print(time.perf_counter() - began)
"""
LabeledImage = dict[str, list[float]]


def environment(folder: Path, *wanted: str) -> Path:
    """The programs of a virtual environment that has `wanted`; made where it is not there. Raises CalledProcessError."""
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    if not (programs / "pip").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    subprocess.run([programs / "python", "-m", "pip", "install", *quiet, *wanted], check=True)
    return programs


def installed(programs: Path) -> float:
    """Megabytes that the packages of an environment take, without pip itself."""
    place = Path(subprocess.run([programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True).stdout.strip())  # fmt: skip
    kept = [path for path in place.iterdir() if not path.name.startswith(BASE)]
    return sum(file.stat().st_size for path in kept for file in [path, *path.rglob("*")] if file.is_file()) / 1e6


def weights(folder: Path) -> dict[str, str]:
    """Put random weights of U²-Netp's shape where rembg looks for its own; the variables that lead it there."""
    torch.manual_seed(0)
    folder.mkdir()
    (folder / "u2netp.onnx").write_bytes(graph(U2NetpShaped(), 320))
    return {"U2NET_HOME": str(folder), "MODEL_CHECKSUM_DISABLED": "1"}


def in_turn(rounds: int, ours: Callable[[], Ended], theirs: Callable[[], Ended], warm: int = 0) -> dict[str, list[Ended]]:
    """What each command took in each round; `warm` rounds come before and are not counted."""
    ended: dict[str, list[Ended]] = {"ours": [], "theirs": []}
    for number in range(1 - warm, rounds + 1):
        for name, run in (("ours", ours), ("theirs", theirs)):
            one = run()
            if number > 0:
                ended[name].append(one)
    return ended


def row(what: str, ours: list[float], theirs: list[float], digits: int = 2) -> dict[str, str]:
    """A line of the table; the ratio says how many times ours goes into rembg's."""
    ratio = statistics.median(theirs) / statistics.median(ours)
    return {"what": what, "figureground": spread(ours, digits), "rembg": spread(theirs, digits), "ratio": f"{ratio:.1f}"}


def cold(rounds: int, ours: Path, rembg: Path, picture: Path, out: Path, where: dict[str, str]) -> list[dict[str, str]]:
    """One picture with the whole command."""
    ended = in_turn(
        rounds,
        lambda: process([ours / "figureground", "remove", picture, "-o", out / "ours.png"]),
        lambda: process([rembg / "rembg", "i", "-m", "u2netp", picture, out / "theirs.png"], where),
        warm=1,
    )
    wall, cpu, peak = ([[getattr(one, key) for one in each] for each in ended.values()] for key in ("wall", "cpu", "peak"))
    return [
        row("cold, one picture, s", *wall),
        row("the same, s of processor", *cpu),
        row("the same, MB at the peak", *peak, digits=0),
    ]


def warm(rounds: int, ours: Path, rembg: Path, pictures: list[Path], where: dict[str, str]) -> dict[str, str]:
    """A loaded network, picture after picture: the median of each process without its first."""

    def middle(one: Ended) -> float:
        return statistics.median([float(line) for line in one.output.splitlines()][1:])

    ended = in_turn(
        rounds,
        lambda: process([ours / "python", "-c", WARM_OURS, *pictures]),
        lambda: process([rembg / "python", "-c", WARM_REMBG, *pictures], where),
    )
    return row("warm, a picture, s", *([middle(one) for one in each] for each in ended.values()))


def batch(rounds: int, ours: Path, rembg: Path, pictures: list[Path], out: Path, where: dict[str, str]) -> dict[str, str]:
    """A folder of pictures with the whole command; rembg skips pictures whose results are there, so each has a new folder."""
    fresh = iter(range(10**6))

    def theirs() -> Ended:
        folder = out / str(next(fresh))
        folder.mkdir()
        return process([rembg / "rembg", "p", "-m", "u2netp", pictures[0].parent, folder], where)

    ended = in_turn(
        rounds,
        lambda: process([ours / "figureground", "remove", *pictures, "--out-dir", out / str(next(fresh))]),
        theirs,
    )
    seconds = ([one.wall / len(pictures) for one in each] for each in ended.values())
    return row(f"a folder of {len(pictures)}, 0.5 MP each, s a picture", *seconds)


def main() -> None:
    parser = arguments(__doc__, 5)
    parser.add_argument("--pictures", type=int, default=40, help="in the folder")
    parser.add_argument("--environments", type=Path, default=ROOT / "build", help="where the two are installed")
    given = parser.parse_args()
    try:
        ours = environment(given.environments / "figureground", "--constraint", str(ROOT / "constraints.txt"), str(ROOT))
        rembg = environment(given.environments / "rembg", "rembg[cpu,cli]")
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"skipped: the environments cannot be made ({error})", file=sys.stderr)
        return
    version = subprocess.run([rembg / "python", "-c", "from importlib.metadata import version; print(version('rembg'))"],
        check=True, capture_output=True, text=True).stdout.strip()  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        out, where = Path(place), weights(Path(place, "weights"))
        pictures = folder_of(3, Path(place, "large"))
        folder = folder_of(given.pictures, Path(place, "folder"), HALF_A_MEGAPIXEL)
        rows = [
            row("installed, MB", [installed(ours)], [installed(rembg)], 0),
            *cold(given.rounds, ours, rembg, pictures[0], out, where),
            warm(given.rounds, ours, rembg, pictures, where),
            batch(given.rounds, ours, rembg, folder, out, where),
        ]
    report("The whole command against rembg", rows, given.json, f"rembg {version}, its ratio to ours.")


if __name__ == "__main__":
    main()
