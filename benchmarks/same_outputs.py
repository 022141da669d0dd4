"""Whether two checkouts write the same bytes: python benchmarks/same_outputs.py BEFORE AFTER PICTURES... [--every N]

BEFORE and AFTER are checkouts of this project; PICTURES are files, folders and zip archives. Each checkout writes all views of
the default method with `remove`, and two of them with `batch`. The files are compared by their SHA-256. The exit code is 0
where all are the same, else 1.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VIEWS = "cutout,foreground,background,mask,overlay"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def gather(sources: list[Path], target: Path, every: int) -> int:
    """Copy the pictures into one folder; return how many there are."""
    target.mkdir()
    contents: list[tuple[str, bytes]] = []
    for source in sources:
        if source.suffix == ".zip":
            with zipfile.ZipFile(source) as archive:
                names = sorted(name for name in archive.namelist() if name.startswith("images/"))[::every]
                contents += [(Path(name).name, archive.read(name)) for name in names]
        else:
            files = sorted(source.iterdir()) if source.is_dir() else [source]
            contents += [(path.name, path.read_bytes()) for path in files if path.suffix.lower() in SUFFIXES]
    for number, (name, data) in enumerate(contents):
        (target / f"{number:04}-{name}").write_bytes(data)
    return len(contents)


def outputs(checkout: Path, pictures: Path, out: Path) -> dict[str, str]:
    """Run both commands of a checkout; return the SHA-256 of each file that they wrote."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    figureground = [sys.executable, "-m", "figureground"]
    files = sorted(map(str, pictures.iterdir()))
    jobs = {
        "remove": ["remove", *files, "--view", VIEWS, "--out-dir", out / "remove"],
        "batch": ["batch", pictures, out / "batch", "--view", "cutout,mask", "--format", "webp"],
    }
    for name, words in jobs.items():
        (out / name).mkdir(parents=True)
        subprocess.run([*figureground, *map(str, words)], env=environment, check=True, stdout=subprocess.DEVNULL)
    written = [path for path in out.rglob("*") if path.is_file() and "ledger" not in path.name]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(written)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--every", type=int, default=1, help="of an archive, each N-th picture")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        count = gather(args.pictures, Path(folder, "in"), args.every)
        before, after = (outputs(each.resolve(), Path(folder, "in"), Path(folder, name))
                         for each, name in ((args.before, "before"), (args.after, "after")))  # fmt: skip
    different = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    print(f"{count} pictures, {len(before)} files before and {len(after)} after, {len(different)} different")
    for name in different[:20]:
        print(f"  {name}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
