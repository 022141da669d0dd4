"""Cut out the pictures of a folder with Ray Data: python ray_data.py PHOTOS.

Each actor loads the network once. `threads=1` leaves the other cores to the other actors; `num_cpus` tells Ray the same.
`figureground batch --engine ray` does this with a ledger, retries and limits.
"""

import sys
from pathlib import Path
from typing import Any

import ray

from figureground import Separator


class CutOut:
    """Add cut-outs, as PNG, to a batch of encoded pictures; a picture that cannot be read has an error instead."""

    def __init__(self) -> None:
        self.separate = Separator("subject", threads=1)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch with the columns `cutout` and `error`."""
        results = list(self.separate.map(batch["bytes"], workers=1, finish=lambda done: done.to_bytes("png")))
        return {
            "path": batch["path"],
            "cutout": [result.value or b"" for result in results],
            "error": [result.error.code if result.error else "" for result in results],
        }


def main(photos: str) -> None:
    """Print the path, the size of the cut-out and the error of each picture."""
    if not ray.is_initialized():
        ray.init()
    folder = Path(photos).absolute()  # Ray's workers may have another current folder
    pictures = ray.data.read_binary_files(str(folder), include_paths=True)
    cut = pictures.map_batches(CutOut, batch_size=8, compute=ray.data.ActorPoolStrategy(size=2), num_cpus=1)
    for row in cut.iter_rows():
        print(row["path"], len(row["cutout"]), row["error"])


if __name__ == "__main__":
    main(*sys.argv[1:])
