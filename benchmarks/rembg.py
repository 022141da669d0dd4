"""rembg 2.0.86 and figureground.compat.rembg on the same file of random weights: the same results, and how long each takes.

`python benchmarks/rembg.py [--environment FOLDER] [--pictures 40] [--rounds 3]` makes an environment with rembg in the folder
unless there is one (pip fetches some 800 MB), compares every keyword on every kind of input and 40 command lines, then times
the whole command from a cold start and a folder, in turns. The network is small, so the figures are of what stands around it.
"""

import argparse
import io
import json
import os
import pickle
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))
VERSION = "2.0.86"
NETWORKS = {
    "u2netp": (320, "probability"),
    "isnet-general-use": (1024, "probability"),
    "birefnet-general-lite": (1024, "logit"),
}

SCRIPT = """
import io, pickle, sys
import numpy as np
from PIL import Image
if sys.argv[1] == "rembg":
    from rembg import new_session, remove
else:
    from figureground.compat.rembg import new_session, remove
image = Image.open(sys.argv[2]).convert("RGB")
file = io.BytesIO()
image.save(file, "PNG")
sessions = {name: new_session(name) for name in sys.argv[4:]}
session = sessions["u2netp"]
KEYWORDS = {
    "none": {}, "only_mask": {"only_mask": True}, "post_process_mask": {"post_process_mask": True},
    "only_mask, post_process_mask": {"only_mask": True, "post_process_mask": True}, "decontaminate": {"decontaminate": True},
    "alpha_matting": {"alpha_matting": True}, "alpha_matting, its options": {
        "alpha_matting": True, "alpha_matting_foreground_threshold": 180, "alpha_matting_background_threshold": 60,
        "alpha_matting_erode_size": 3},
    "bgcolor": {"bgcolor": (10, 200, 30, 255)}, "bgcolor, clear": {"bgcolor": (10, 200, 30, 90)},
    "putalpha": {"putalpha": True}, "force_return_bytes": {"force_return_bytes": True},
}

def plain(result):
    kind = type(result).__name__
    if isinstance(result, bytes):
        result = Image.open(io.BytesIO(result))
    mode = getattr(result, "mode", "")
    return ("image" if kind not in ("bytes", "ndarray") else kind, mode, np.asarray(result))

found = {}
for name, keywords in KEYWORDS.items():
    inputs = {"bytes": file.getvalue()} if name == "force_return_bytes" else {
        "bytes": file.getvalue(), "image": image.copy(), "array": np.asarray(image)}
    for kind, data in inputs.items():
        if "alpha_matting" in name and kind != "bytes":
            continue
        found[f"{name} of {kind}"] = plain(remove(data, session=session, **keywords))
for name, each in sessions.items():
    found[f"predict of {name}"] = plain(each.predict(image)[0])
for mode in ("L", "LA", "RGBA", "P", "CMYK", "1"):
    found[f"an image of mode {mode}"] = plain(remove(image.convert(mode), session=session))
pickle.dump(found, open(sys.argv[3], "wb"))
"""


MODELS = ("u2netp", "isnet-general-use", "birefnet-general-lite")
COMMANDS = [
    *(f"i -m {name} in.png out.png" for name in MODELS),
    *(
        f"i -m u2netp {options} in.png out.png"
        for options in (
            "-a", "-a -af 180 -ab 60", "-a -ae 3", "-a -ppm", "-a -dc", "-a -bgc 10 200 30 255", "-om", "-om -ppm", "-ppm",
            "-ppm -dc", "-dc", "-dc -bgc 10 200 30 255", "-bgc 10 200 30 255", "-bgc 10 200 30 90", "-om -bgc 1 2 3 4",
            "-x '{}'", "--only-mask --post-process-mask", "--bgcolor 255 255 255 255",
        )
    ),
    *(f"i -m u2netp {file} out.png" for file in ("in.jpg", "in.webp", "gray.png", "clear.png", "turned.jpg")),
    "i -m u2netp in.png out.webp",
    r"""i -m u2net_custom -x "{\"model_path\": \"$U2NET_HOME/u2netp.onnx\"}" in.png out.png""",
    "i -m u2netp < in.png > out.png",
    "i -m u2netp -om - - < in.jpg > out.png",
    *(f"p -m u2netp {options} folder out" for options in ("", "-om", "-ppm", "-bgc 10 200 30 255", "-d", "-x '{}'")),
    "b -m u2netp -o out-%d.png 40 30 < <(cat raw)",
    "b -m u2netp -om -o out-%d.png 40 30 < <(cat raw)",
    "d u2netp",
    "d u2netp isnet-general-use",
]  # fmt: skip
"""Command lines of rembg, in a folder with the files of `command_folder`."""


def command_folder(folder: Path, image: Image.Image) -> None:
    """Write the files that `COMMANDS` names."""
    (folder / "folder" / "below").mkdir(parents=True)
    image.save(folder / "in.png")
    image.save(folder / "in.jpg", quality=95)
    image.save(folder / "in.webp", lossless=True)
    image.convert("L").save(folder / "gray.png")
    clear = image.convert("RGBA")
    clear.putalpha(120)
    clear.save(folder / "clear.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "turned.jpg", quality=95, exif=exif)
    for name in ("folder/a.png", "folder/b.jpg"):
        image.save(folder / name)
    (folder / "raw").write_bytes(image.resize((40, 30)).tobytes() * 2)


def commands(folder: Path, programs: "Programs") -> dict:
    """Run every command line with both; return how many end alike, and what differs."""
    start = {"rembg": "-c 'from rembg.cli import main; main()'", "ours": "-m figureground.compat.rembg"}
    image = Image.open(folder / "small.png").convert("RGB")
    alike, other = 0, []
    for line in COMMANDS:
        ends = {}
        for program, (words, variables) in programs.items():
            place = folder / "command"
            shutil.rmtree(place, ignore_errors=True)
            command_folder(place, image)
            before = {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}
            command = f"{shlex.join(words)} {start[program]} {line}"
            done = subprocess.run(["bash", "-c", command], cwd=place, env=variables, capture_output=True, check=False)
            after = {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}
            files = {str(name): data for name, data in after.items() if before.get(name) != data}
            ends[program] = done.returncode, files, {str(name) for name in before.keys() - after.keys()}
        problem = difference(ends["rembg"], ends["ours"])
        alike += not problem
        other += [f"{line}: {problem}"] if problem else []
    return {"command lines": len(COMMANDS), "alike": alike, "differing": other}


def difference(theirs: tuple, ours: tuple) -> str:
    """Return what differs between exit codes, files made and files removed; alpha may by 2 of 255."""
    (code, files, removed), (our_code, our_files, our_removed) = theirs, ours
    if (code, files.keys(), removed) != (our_code, our_files.keys(), our_removed):
        return f"{code} {sorted(files)} {sorted(removed)}, ours {our_code} {sorted(our_files)} {sorted(our_removed)}"
    for name, data in files.items():
        one, two = (Image.open(io.BytesIO(each)) for each in (data, our_files[name]))
        if (one.format, one.mode, one.size) != (two.format, two.mode, two.size):
            return f"{name}: {one.format} {one.mode} {one.size}, ours {two.format} {two.mode} {two.size}"
        alphas = [np.asarray(each.getchannel("A") if "A" in each.getbands() else each, np.int16) for each in (one, two)]
        if (apart := int(np.abs(alphas[0] - alphas[1]).max())) > 2:
            return f"{name}: alpha differs by {apart}"
    return ""


def environment_with_rembg(folder: Path) -> Path:
    """The Python of an environment that has rembg."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", f"rembg[cpu,cli]=={VERSION}"], check=True)
    return python


def compare(theirs: dict, ours: dict) -> tuple[int, int, list[str]]:
    """The largest difference of alpha, of 255, that of alpha matting, and what differs in type, mode or size."""
    largest, matted, other = 0, 0, []
    for name, (kind, mode, values) in theirs.items():
        our_kind, our_mode, our_values = ours[name]
        if (kind, mode, values.shape) != (our_kind, our_mode, our_values.shape):
            other.append(f"{name}: {kind} {mode} {values.shape}, ours {our_kind} {our_mode} {our_values.shape}")
            continue
        alpha, our_alpha = (each[..., -1] if each.ndim == 3 else each for each in (values, our_values))
        difference = int(np.abs(alpha.astype(int) - our_alpha.astype(int)).max())
        if "alpha_matting" in name:
            matted = max(matted, difference)
        else:
            largest = max(largest, difference)
    return largest, matted, other


def timed(words: list[str], environment: dict[str, str]) -> float:
    """Seconds that a command takes."""
    began = time.perf_counter()
    subprocess.run(words, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


Programs = dict[str, tuple[list[str], dict[str, str]]]
"""Python and the environment variables of each program."""


def agreement(folder: Path, programs: Programs) -> dict:
    """How far the results of both are apart."""
    results = []
    for program, (words, variables) in programs.items():
        target = folder / f"{program}.pickle"
        arguments = [*words, "-c", SCRIPT, program, str(folder / "small.png"), str(target), *NETWORKS]
        subprocess.run(arguments, env=variables, check=True, capture_output=True)
        results.append(pickle.loads(target.read_bytes()))  # noqa: S301  # written above
    largest, matted, other = compare(*results)
    return {"cases": len(results[0]), "alpha": largest, "alpha of alpha matting": matted, "other": other}


def times(folder: Path, programs: Programs, rounds: int) -> dict:
    """Seconds for one picture from a cold start and for a folder, the median of rounds in turns."""
    start = {"rembg": ["-c", "from rembg.cli import main; main()"], "ours": ["-m", "figureground.compat.rembg"]}
    seconds: dict[str, dict[str, list[float]]] = {what: {name: [] for name in programs} for what in ("one", "folder")}
    for _ in range(rounds):
        for program, (words, variables) in programs.items():
            command = [*words, *start[program]]
            one = [*command, "i", "-m", "u2netp", str(folder / "photos" / "00.jpg"), str(folder / "one.png")]
            seconds["one"][program].append(timed(one, variables))
            shutil.rmtree(folder / "out", ignore_errors=True)
            many = [*command, "p", "-m", "u2netp", str(folder / "photos"), str(folder / "out")]
            seconds["folder"][program].append(timed(many, variables))
    report = {}
    for what, runs in seconds.items():
        medians = {program: round(statistics.median(values), 2) for program, values in runs.items()}
        report[what] = {**medians, "times quicker": round(medians["rembg"] / medians["ours"], 2)}
    return report


def main() -> None:
    from small_onnx import save

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--environment", type=Path, default=Path(tempfile.gettempdir()) / f"rembg-{VERSION}")
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    python = environment_with_rembg(options.environment)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for network, (side, output) in NETWORKS.items():
            save(folder / "networks", network, side, output)
        variables = {**os.environ, "U2NET_HOME": str(folder / "networks"), "MODEL_CHECKSUM_DISABLED": "1"}
        variables.pop("PYTHONPATH", None)
        ours = {**variables, "PYTHONPATH": str(ROOT / "src")}
        programs: Programs = {"rembg": ([str(python)], variables), "ours": ([sys.executable], ours)}
        with Image.open(ROOT / "tests" / "pictures" / "astronaut.jpg") as photograph:
            photograph.convert("RGB").resize((150, 150)).save(folder / "small.png")
            large = photograph.convert("RGB").resize((1024, 1024), Image.Resampling.LANCZOS)
        (folder / "photos").mkdir()
        for number in range(options.pictures):
            large.rotate(number).save(folder / "photos" / f"{number:02}.jpg", quality=92)
        report = agreement(folder, programs) | commands(folder, programs)
        print(json.dumps(report | times(folder, programs, options.rounds), indent=1))


if __name__ == "__main__":
    main()
