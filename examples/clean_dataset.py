"""Find pictures whose mask is doubtful: python clean_dataset.py PHOTOS TABLE.csv [LEAST].

The table lists all pictures, the most doubtful first. `check` is yes where nothing was found, or where certainty is
below LEAST (0.9).
"""

import csv
import sys
from pathlib import Path

from figureground import Separation, Separator


def certainty(done: Separation) -> float:
    """Return how sure the network is of the mask, from 0 to 1; 0 where nothing was found."""
    return done.certainty() or 0.0


def main(photos: str, table: str, least: str = "0.9") -> None:
    """Write the table."""
    rows = []
    for result in Separator().map(sorted(Path(photos).glob("*.jpg")), finish=certainty):
        sure = 0.0 if result.error is not None else result.get()
        note = "" if result.error is None else result.error.code
        rows.append((sure, Path(result.source).name, "yes" if sure < float(least) else "no", note))
    with Path(table).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["certainty", "picture", "check", "error"])
        writer.writerows((f"{sure:.3f}", *rest) for sure, *rest in sorted(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
