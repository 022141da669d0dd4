"""A batch as one self-contained HTML page: its state, and contact sheets with doubtful pictures first.

To add a sheet: a row in `SHEETS`.
"""

from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np

from figureground._html import framed, small_image
from figureground._words import count
from figureground.batch.status import LedgerRow, counts_text, edits, rows, summary
from figureground.errors import FigureGroundError
from figureground.io.picture import Picture
from figureground.io.storage import open_source, place
from figureground.settings import Settings
from figureground.types import Image8

Caption = Callable[[LedgerRow], str]

SHEETS: Sequence[tuple[str, str, str, int, Caption]] = (
    ("No foreground was found", "state = 'done' AND certainty IS NULL", "number", 24, lambda row: "nothing found"),
    (
        "The mask is unsure",
        "state = 'done' AND certainty < 0.85",
        "certainty",
        24,
        lambda row: f"certainty {row.certainty:.2f}",
    ),
    (
        "Nearly nothing, or nearly everything, is foreground",
        "state = 'done' AND certainty IS NOT NULL AND (coverage < 0.01 OR coverage > 0.95)",
        "min(coverage, 1 - coverage)",
        24,
        lambda row: f"{row.coverage:.1%} is foreground",
    ),
    (
        "Some of the others",
        "state = 'done' AND certainty >= 0.85 AND coverage BETWEEN 0.01 AND 0.95",
        "(number * 2654435761) % 4294967296",  # spread over all, and the same each time
        24,
        lambda row: f"certainty {row.certainty:.2f}, {row.coverage:.1%} is foreground",
    ),
)
"""Title, condition and order in SQL, how many at most, and what is written below each picture."""
FAILED = 200  # failures that are listed


def page(ledger: Path, out: Path | str) -> str:
    """Return the page, HTML of a few MB at most, from the ledgers in a folder and the files of the batch."""
    facts = summary(ledger)
    spent = f" {facts['seconds'] / facts['done']:.2f} s of work a picture." if facts["done"] else ""
    going = "" if facts["ended"] else " The run has not ended: it is at work, or to be resumed."
    sections = [f"<h1>{escape(str(out))}</h1><p>{counts_text(facts)}.{spent}{going}{_edits(ledger)}</p>"]
    sections += [_sheet(ledger, out, *sheet) for sheet in SHEETS]
    sections += [_failures(ledger, facts["codes"], facts["failed"])]
    return framed(f"Batch: {out}", sections)


def _edits(ledger: Path) -> str:
    """Return a sentence on how the cut-outs are edited; empty if they are not."""
    listed = [name.replace("_", "-") + ("" if value is True else f" {value}") for name, value in edits(ledger).items()]
    return f" Edits: {escape(', '.join(listed))}." if listed else ""


def _sheet(ledger: Path, out: Path | str, title: str, where: str, order: str, most: int, caption: Caption) -> str:
    """Return pictures that fulfil a condition, each beside its result."""
    chosen = rows(ledger, where, order, most)
    if not chosen:
        return ""
    figures = []
    for row in chosen:
        images = [small_image(image) for image in (_input(row), _output(row, out)) if image is not None]
        what = f"{escape(row.source)}<br>{escape(caption(row))}"
        figures.append(f'<figure class="card"><div class="row">{"".join(images)}</div><figcaption>{what}</figcaption></figure>')
    return f'<h2>{escape(title)}</h2><div class="sheet">{"".join(figures)}</div>'


def _input(row: LedgerRow) -> Image8 | None:
    """Return the picture, or None where it no longer exists."""
    try:
        settings = Settings.from_environment()
        return Picture.read(open_source(row.source, settings), settings).rgb
    except FigureGroundError:
        return None


def _output(row: LedgerRow, out: Path | str) -> Image8 | None:
    """Return its first file that is a picture, on gray squares where it is transparent; None where there is none."""
    from PIL import Image

    for name in row.files:
        try:
            with Image.open(BytesIO(place(str(out)).read(name))) as image:
                rgba = np.asarray(image.convert("RGBA"))
        except OSError:
            continue
        alpha = rgba[..., 3:].astype(np.float32) / 255
        side = max(4, max(rgba.shape) // 24)
        y, x = np.indices(rgba.shape[:2]) // side
        squares = np.where((x + y) % 2, 205, 240)[..., None]
        return np.asarray(rgba[..., :3] * alpha + squares * (1 - alpha), np.uint8)
    return None


def _failures(ledger: Path, codes: dict[str, int], total: int) -> str:
    """Return how often each error occurred, and a line for each failed picture."""
    if not codes:
        return ""
    counts = "".join(f"<tr><td>{escape(code)}</td><td>{number}</td></tr>" for code, number in codes.items())
    failed = rows(ledger, "state = 'failed'", "code, number", FAILED)
    parts = ([row.source, row.code or "", row.message or ""] for row in failed)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(part)}</td>' for part in each)}</tr>" for each in parts)
    table = f'<div class="wide"><table class="words">{lines}</table></div>'
    title = f"The first {FAILED} failures" if total > len(failed) else count(len(failed), "failure")
    listed = f"<details><summary>{title}</summary>{table}</details>" if failed else ""
    return f"<h2>Failed and skipped</h2><table><tr><th>code</th><th>inputs</th></tr>{counts}</table>{listed}"
