"""The ledger of a batch: one SQLite file beside the outputs, one row for each input and settings, and every file written.

One process writes it; any number may read it while it does. To store one more fact of each picture: a column in `_TABLES`, a
field in `Outcome`, its place in `record`, a higher `LAYOUT`, and a row in `_MIGRATIONS`.
"""

import hashlib
import json
import os
import posixpath
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from figureground.batch.inputs import Item
from figureground.errors import BatchAborted
from figureground.io.picture import Encoded
from figureground.io.storage import Place, key

NAME = "figureground-ledger"
LAYOUT = 2
CHUNK = 500  # rows that are held in memory at a time

_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    run INTEGER PRIMARY KEY, began REAL, ended REAL, inputs TEXT, settings TEXT, engine TEXT, workers INTEGER
);
CREATE TABLE IF NOT EXISTS pictures (
    number INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    stem TEXT,
    key TEXT,
    claim TEXT,
    stamp TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    run INTEGER NOT NULL,
    state TEXT NOT NULL,
    code TEXT,
    message TEXT,
    seconds REAL,
    width INTEGER,
    height INTEGER,
    coverage REAL,
    certainty REAL,
    box TEXT,
    files TEXT,
    finished REAL,
    UNIQUE (source, fingerprint)
);
CREATE TABLE IF NOT EXISTS outputs (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys ON pictures (key);
CREATE INDEX IF NOT EXISTS states ON pictures (run, state);
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One picture to process: its row, its source, the stem of its files, and its bytes where these travel with it."""

    number: int
    source: str
    stem: str
    picture: Encoded | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one task.

    state : `done`, `failed` (of which `code` and `message` say why), or `stopped`: the run cannot go on, and the picture waits.
    seconds : wall time. coverage, certainty : as `Separation.info` gives them. files : the size of each file in bytes, by name.
    contents : the files themselves, by name, where they travel with it and are still to be written.
    """

    number: int
    state: Literal["done", "failed", "stopped"]
    code: str = ""
    message: str = ""
    seconds: float = 0.0
    width: int | None = None
    height: int | None = None
    coverage: float | None = None
    certainty: float | None = None
    box: list[int] | None = None
    files: Mapping[str, int] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResumePolicy:
    """Which rows a run processes again.

    fingerprint : of all that decides the files' bytes. endings : what each picture's files end in, `.cutout.png` say.
    resume : whether finished rows are kept. retry_failed : whether failed rows are processed again. overwrite : whether files
    that the ledger does not know may be replaced. shard : which part of how many, (i, n) from 1, or None.
    """

    fingerprint: str
    endings: tuple[str, ...]
    resume: bool = True
    retry_failed: bool = False
    overwrite: bool = False
    shard: tuple[int, int] | None = None


class Ledger:
    """An open ledger. Opening raises CannotGoOn if the file is not a ledger or cannot be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with sqlite_errors(path):
            self._base = sqlite3.connect(path, isolation_level=None, timeout=30)
            self._base.text_factory = os.fsdecode  # names of files need not be UTF-8
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            with self._transaction():
                self._migrate()
                for statement in _TABLES.split(";"):
                    self._base.execute(statement)
                self._base.execute(f"PRAGMA user_version = {LAYOUT}")
        self.run = 0
        self.policy: ResumePolicy | None = None

    def _migrate(self) -> None:
        """Bring a ledger of an older version to this layout; raises BatchAborted for one of a newer version."""
        layout = self._base.execute("PRAGMA user_version").fetchone()[0]
        if layout > LAYOUT:
            raise BatchAborted(
                f"'{self.path}' was written by a newer version of figureground (layout {layout}; this version reads up to"
                f" {LAYOUT}); update figureground, or use another folder"
            )
        if layout:
            for step in range(layout, LAYOUT):
                _MIGRATIONS[step](self._base)

    def close(self) -> None:
        """Close the file and merge its journal."""
        self._base.close()

    def begin(self, inputs: Iterable[str], settings: str, engine: str, workers: int) -> None:
        """Record that a run begins."""
        row = (time.time(), json.dumps(list(inputs)), settings, engine, workers)
        with sqlite_errors(self.path):
            inserted = self._base.execute(
                "INSERT INTO runs (began, inputs, settings, engine, workers) VALUES (?, ?, ?, ?, ?)", row
            )
            self.run = int(inserted.lastrowid or 0)

    def end(self) -> None:
        """Record that the run ended by itself."""
        with sqlite_errors(self.path):
            self._base.execute("UPDATE runs SET ended = ? WHERE run = ?", (time.time(), self.run))

    def register(self, items: Iterable[Item], policy: ResumePolicy, place: Place) -> None:
        """Write a row for every input, all or none: its state and the names of its files."""
        self.policy = policy
        with sqlite_errors(self.path), self._transaction():
            for item in items:
                self._take(item, policy)
            self._name()
            if policy.shard:
                self._base.execute(
                    "DELETE FROM pictures WHERE run = ? AND shard(source, ?) != ?",
                    (self.run, policy.shard[1], policy.shard[0] - 1),
                )
            self._claim(policy, place)
            self._verify(place)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.create_function("shard", 2, lambda source, count: _hash(source) % count, deterministic=True)
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    def _take(self, item: Item, policy: ResumePolicy) -> None:
        """Write the row of an input under these settings: a new one, or its old one, which waits again if the input changed."""
        again = ["stamp IS NOT excluded.stamp", "state = 'skipped'"]
        if not policy.resume:
            again.append("1")
        if policy.retry_failed:
            again.append("state = 'failed'")
        if policy.overwrite:
            again.append("code = 'output_exists'")
        redo = " OR ".join(again)
        state = item.state or "waiting", item.code or None, item.message or None
        self._base.execute(
            f"""INSERT INTO pictures (source, name, stamp, fingerprint, run, state, code, message)
            VALUES (CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?, ?, ?, ?)
            ON CONFLICT (source, fingerprint) DO UPDATE SET run = excluded.run,
            state = CASE WHEN excluded.state != 'waiting' THEN excluded.state WHEN {redo} THEN 'waiting' ELSE state END,
            code = CASE WHEN excluded.state != 'waiting' OR {redo} THEN excluded.code ELSE code END,
            message = CASE WHEN excluded.state != 'waiting' OR {redo} THEN excluded.message ELSE message END,
            stamp = excluded.stamp""",  # noqa: S608  # parts of our own
            (os.fsencode(item.source), os.fsencode(item.name), item.stamp, policy.fingerprint, self.run, *state),
        )

    def _name(self) -> None:
        """Name the files of new rows after their inputs; where two names are equal, both keep their suffix or get a number."""
        # the files of an input keep their name under other settings
        self._base.execute(
            """UPDATE pictures SET (stem, key) = (SELECT stem, key FROM pictures AS other WHERE other.source = pictures.source
            AND other.stem IS NOT NULL LIMIT 1) WHERE stem IS NULL AND state = 'waiting'"""
        )
        for rows in self._pages("name, source", "stem IS NULL AND state = 'waiting'"):
            self._rename(rows, lambda name, _: posixpath.splitext(name)[0])
        # a row that has a claim keeps its name for ever, whoever comes later
        meeting = """SELECT number, name, source FROM pictures WHERE state = 'waiting' AND key IN
            (SELECT key FROM pictures WHERE key IS NOT NULL GROUP BY key HAVING count(DISTINCT source) > 1)
            AND NOT EXISTS (SELECT 1 FROM pictures AS other WHERE other.source = pictures.source AND other.claim IS NOT NULL)"""
        self._rename(self._base.execute(meeting).fetchall(), lambda name, _: name)
        self._rename(self._base.execute(meeting).fetchall(), lambda name, source: f"{name}~{_hash(source):08x}")

    def _rename(self, rows: list[Any], stem: Callable[[str, str], str]) -> None:
        named = [(stem(name, source), number) for number, name, source in rows]
        self._base.executemany(
            "UPDATE pictures SET stem = CAST(? AS TEXT), key = CAST(? AS TEXT) WHERE number = ?",
            [(os.fsencode(each), os.fsencode(key(each)), number) for each, number in named],
        )

    def _pages(self, columns: str, where: str, *values: object) -> Iterator[list[Any]]:
        """Yield rows in pages, number first; a page may be changed before the next one is read."""
        query = f"SELECT number, {columns} FROM pictures WHERE number > ? AND {where} ORDER BY number LIMIT {CHUNK}"  # noqa: S608
        last = 0
        while rows := self._base.execute(query, (last, *values)).fetchall():
            yield rows
            last = rows[-1][0]

    def _claim(self, policy: ResumePolicy, place: Place) -> None:
        """Claim the files of waiting rows; a row fails where one of its files exists and no row of this ledger claimed it."""
        claim, size = ",".join(policy.endings), place.sizes()
        for rows in self._pages("stem", "run = ? AND state = 'waiting' AND claim IS NOT ?", self.run, claim):
            taken, there = [], []
            for number, stem in rows:
                names = [stem + end for end in policy.endings]
                foreign = [name for name in names if size(name) is not None and self._owner(name) is None]
                if foreign and not policy.overwrite:
                    there.append((f"'{foreign[0]}' is there already; replace it with --overwrite", number))
                else:
                    taken.append((claim, number))
                    _own(self._base, names, number)
            self._base.executemany("UPDATE pictures SET claim = ? WHERE number = ?", taken)
            self._base.executemany(
                "UPDATE pictures SET state = 'failed', code = 'output_exists', message = CAST(? AS TEXT) WHERE number = ?",
                [(os.fsencode(message), number) for message, number in there],
            )

    def _verify(self, place: Place) -> None:
        """Set done rows to waiting where a file is gone, has another size, or was written by another row since."""
        size = place.sizes()

        def stands(number: int, name: str, bytes_written: int) -> bool:
            return size(name) == bytes_written and self._owner(name) == number

        for rows in self._pages("files", "run = ? AND state = 'done'", self.run):
            lost = [(number,) for number, files in rows if not all(stands(number, *each) for each in json.loads(files).items())]
            self._base.executemany("UPDATE pictures SET state = 'waiting' WHERE number = ?", lost)

    def _owner(self, name: str) -> int | None:
        """Return the row that claimed or wrote a file last; None for a file that is not of this ledger."""
        row = self._base.execute("SELECT number FROM outputs WHERE name = CAST(? AS TEXT)", (os.fsencode(name),)).fetchone()
        return row[0] if row else None

    def waiting(self) -> Iterator[Task]:
        """Yield the tasks to process, in the order of the inputs, as they are needed."""
        for rows in self._pages("source, stem", "run = ? AND state = 'waiting'", self.run):
            yield from (Task(*row) for row in rows)

    def record(self, outcome: Outcome) -> None:
        """Record the outcome of a task at once; `stopped` leaves it waiting."""
        if outcome.state == "stopped":
            return
        what = outcome.state, outcome.code or None, os.fsencode(outcome.message) if outcome.message else None
        facts = outcome.width, outcome.height, outcome.coverage, outcome.certainty
        box, files = json.dumps(outcome.box) if outcome.box else None, os.fsencode(json.dumps(dict(outcome.files)))
        row = *what, round(outcome.seconds, 4), *facts, box, files, time.time()
        with sqlite_errors(self.path):
            self._base.execute(
                """UPDATE pictures SET state = ?, code = ?, message = CAST(? AS TEXT), seconds = ?, width = ?, height = ?,
                coverage = ?, certainty = ?, box = ?, files = CAST(? AS TEXT), finished = ? WHERE number = ?""",
                (*row, outcome.number),
            )
            _own(self._base, outcome.files, outcome.number)

    def name(self, number: int) -> str:
        """Return the name of a row's input, relative to its root."""
        name: str = self._base.execute("SELECT name FROM pictures WHERE number = ?", (number,)).fetchone()[0]
        return name

    def finished(self) -> Iterator[tuple[str, str, list[str]]]:
        """Yield source, name and files of each finished input of the run."""
        for rows in self._pages("source, name, files", "run = ? AND state = 'done'", self.run):
            yield from ((source, name, list(json.loads(files))) for _, source, name, files in rows)

    def counts(self) -> dict[str, int]:
        """Return how many of the run's inputs are in each state."""
        counted = self._base.execute("SELECT state, count(*) FROM pictures WHERE run = ? GROUP BY state", (self.run,))
        return {"waiting": 0, "done": 0, "failed": 0, "skipped": 0} | dict(counted.fetchall())

    def has_changed(self, item: Item) -> bool:
        """Return whether an input is new under these settings, or changed since its row was written."""
        values = os.fsencode(item.source), self.policy.fingerprint if self.policy else ""
        row = self._base.execute("SELECT stamp FROM pictures WHERE source = CAST(? AS TEXT) AND fingerprint = ?", values)
        return row.fetchone() not in ((item.stamp,),)


def _own(base: sqlite3.Connection, names: Iterable[str], number: int) -> None:
    """Record that these files belong to a row."""
    rows = [(os.fsencode(name), number) for name in names]
    base.executemany("INSERT OR REPLACE INTO outputs (name, number) VALUES (CAST(? AS TEXT), ?)", rows)


def _one_row_for_each_settings(base: sqlite3.Connection) -> None:
    """Migrate layout 1, which had one row for each input and knew only the files of the last settings."""
    columns = [row[1] for row in base.execute("PRAGMA table_info(pictures)")]
    base.execute("ALTER TABLE pictures RENAME TO old_pictures")
    for index in ("keys", "states"):  # their names are wanted for the new table
        base.execute(f"DROP INDEX IF EXISTS {index}")
    for statement in _TABLES.split(";"):
        base.execute(statement)
    chosen = ", ".join("coalesce(fingerprint, '')" if column == "fingerprint" else column for column in columns)
    base.execute(f"INSERT INTO pictures ({', '.join(columns)}) SELECT {chosen} FROM old_pictures")  # noqa: S608  # our own columns
    rows = base.execute("SELECT number, stem, claim, files FROM old_pictures WHERE stem IS NOT NULL").fetchall()
    for number, stem, claim, files in rows:
        names = {stem + end for end in (claim or "").split(",") if end} | set(json.loads(files or "{}"))
        _own(base, names, number)
    base.execute("DROP TABLE old_pictures")


_MIGRATIONS: Mapping[int, Callable[[sqlite3.Connection], None]] = {1: _one_row_for_each_settings}
"""What brings a layout to the next one."""


def _hash(text: str) -> int:
    """Return 32 bits of the SHA-256, which are the same on every machine."""
    return int.from_bytes(hashlib.sha256(os.fsencode(text)).digest()[:4], "big")


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into a BatchAborted with one clear line."""
    try:
        yield
    except sqlite3.Error as error:
        wanted = "make room, or the folder writable, and give the same command again"
        if isinstance(error, sqlite3.DatabaseError) and ("not a database" in str(error) or "malformed" in str(error)):
            wanted = "move it away to begin anew; pictures that are there already are then refused without --overwrite"
        raise BatchAborted(f"the ledger '{path}' cannot be used ({error}); {wanted}") from error
