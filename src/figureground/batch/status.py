"""The content of the ledgers in a folder: counts for `--status`, rows for the page. Nothing is written."""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from figureground._words import count
from figureground.batch.ledger import NAME, sqlite_errors
from figureground.compositing.options import EditOptions
from figureground.errors import BatchAborted

STATES = ("done", "failed", "skipped", "waiting")
COLUMNS = "source, stem, state, code, message, seconds, width, height, coverage, certainty, box, files"


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One input with the values of its row; None where a value is not known."""

    source: str
    stem: str | None
    state: str
    code: str | None
    message: str | None
    seconds: float | None
    width: int | None
    height: int | None
    coverage: float | None
    certainty: float | None
    box: list[int] | None
    files: dict[str, int]


def ledgers(folder: Path) -> list[Path]:
    """Return the ledgers in a folder: one, or one for each shard. Raises BatchAborted where there is none."""
    paths = sorted(folder.glob(f"{NAME}*.sqlite"))
    if not paths:
        raise BatchAborted(f"'{folder}' holds no ledger of a batch; name the folder of its outputs", code="not_found")
    return paths


@contextmanager
def _opened(path: Path) -> Iterator[tuple[sqlite3.Connection, int]]:
    """Open a ledger for reading, also while it is written; gives the number of its last run too."""
    # a connection that may write removes the files that SQLite keeps beside the ledger when it is closed
    mode = "rw" if os.access(path, os.W_OK) else "ro"
    address = f"file:{quote(os.fspath(path))}?mode={mode}"
    with sqlite_errors(path), closing(sqlite3.connect(address, uri=True, timeout=30)) as base:
        base.execute("PRAGMA query_only = ON")
        base.text_factory = os.fsdecode
        yield base, base.execute("SELECT coalesce(max(run), 0) FROM runs").fetchone()[0]


def summary(folder: Path) -> dict[str, Any]:
    """Summarize the last run of each ledger: inputs in each state, number of each error code, seconds of work, dates."""
    states = {"waiting": 0, "done": 0, "failed": 0, "skipped": 0}
    codes: dict[str, int] = {}
    seconds, last, open_runs = 0.0, 0.0, 0
    query = "SELECT state, code, count(*), sum(seconds), max(finished) FROM pictures WHERE run = ? GROUP BY state, code"
    for path in ledgers(folder):
        with _opened(path) as (base, run):
            open_runs += base.execute("SELECT count(*) FROM runs WHERE run = ? AND ended IS NULL", (run,)).fetchone()[0]
            for state, code, number, spent, at in base.execute(query, (run,)):
                states[state] += number
                seconds, last = seconds + (spent or 0.0), max(last, at or 0.0)
                if code:
                    codes[code] = codes.get(code, 0) + number
    by_count = dict(sorted(codes.items(), key=lambda each: -each[1]))
    facts = {"inputs": sum(states.values()), **states, "codes": by_count, "seconds": round(seconds, 2)}
    return {**facts, "last_finished": last or None, "ended": not open_runs}


def edits(folder: Path) -> dict[str, Any]:
    """Return how the last run edits cut-outs: the fields of `EditOptions` that are set, by name, and `frames`."""
    chosen: dict[str, Any] = {}
    for path in ledgers(folder):
        with _opened(path) as (base, run):
            for (settings,) in base.execute("SELECT settings FROM runs WHERE run = ?", (run,)):
                plain = json.loads(settings or "{}")
                chosen |= {"frames": plain.get("frames", "first"), **(plain.get("edits") or {})}
    defaults = {"frames": "first", **asdict(EditOptions())}
    return {name: value for name, value in chosen.items() if name in defaults and value != defaults[name]}


def rows(folder: Path, where: str, order: str, most: int = -1) -> list[LedgerRow]:
    """Return rows of the last runs that fulfil a condition, in an order, both in SQL; at most so many, or all."""
    records: list[Any] = []
    query = f"SELECT {COLUMNS} FROM pictures WHERE run = ? AND {where} ORDER BY {order} LIMIT ?"  # noqa: S608  # our own words
    for path in ledgers(folder):
        with _opened(path) as (base, run):
            records += base.execute(query, (run, most)).fetchall()
    return [_row(*each) for each in (records[:most] if most >= 0 else records)]


def _row(*columns: Any) -> LedgerRow:
    facts = dict(zip(COLUMNS.split(", "), columns, strict=True))
    return LedgerRow(**facts | {"box": json.loads(facts["box"] or "null"), "files": json.loads(facts["files"] or "{}")})


def counts_text(facts: dict[str, Any]) -> str:
    """Return the states of a summary as text."""
    return f"{count(facts['inputs'], 'input')}: {states_text(facts)}"


def states_text(counts: Mapping[str, int]) -> str:
    """Return how many inputs are in each state, as text."""
    return ", ".join(f"{counts.get(state, 0)} {state}" for state in STATES if counts.get(state) or state == "done")


def text(facts: dict[str, Any]) -> str:
    """Return the summary as text."""
    lines = [counts_text(facts) + ("" if facts["ended"] else " (not ended: it is running, or can be resumed)")]
    lines += [f"  {number:8} {code}" for code, number in facts["codes"].items()]
    if facts["done"]:
        lines.append(f"{facts['seconds'] / (facts['done'] + facts['failed']):.2f} s of work a picture")
    return "\n".join(lines)
