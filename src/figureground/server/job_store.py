"""Jobs on disk: states in SQLite, pictures and results in a folder for each job. All survive a restart."""

import json
import re
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from figureground._files import write_whole
from figureground.errors import UsageError

State = Literal["queued", "running", "done", "failed"]
"""Of a job: it waits, is in work, is complete, or no picture of it succeeded. Of a picture: likewise."""
FINISHED = ("done", "failed")
_NAME = re.compile(r"[0-9a-f]{32}")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, finished REAL, options TEXT NOT NULL,
  bytes INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS pictures (
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, number INTEGER NOT NULL, state TEXT NOT NULL, error TEXT,
  facts TEXT, files TEXT, PRIMARY KEY (job, number)
);
"""


class JobStore:
    """The jobs below one folder. One process uses it at a time, from one thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.database = sqlite3.connect(folder / "jobs.sqlite", isolation_level=None, check_same_thread=False)
            for line in ("journal_mode = WAL", "foreign_keys = ON", "busy_timeout = 5000"):
                self.database.execute(f"PRAGMA {line}")
            self.database.executescript(_SCHEMA)
            with self._transaction():  # what was in work when the server ended begins anew
                self.database.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'")
                self.database.execute("UPDATE pictures SET state = 'queued' WHERE state = 'running'")
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"the folder of jobs '{folder}' cannot be used: {error}; name another with --state") from None
        self._remove_strays()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def path(self, job: str, name: str) -> Path:
        """Return the path of a file of a job."""
        return self.folder / job / name

    def add(self, options: Mapping[str, Any], pictures: Sequence[bytes], owner: str) -> str:
        """Store a job and return its id; its files are on disk before it is known. Raises OSError."""
        job = secrets.token_hex(16)
        folder = self.folder / job
        folder.mkdir()
        try:
            for number, data in enumerate(pictures):
                write_whole(data, folder / f"{number}.picture")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with self._transaction():
            row = (job, owner, "queued", time.time(), json.dumps(options), sum(map(len, pictures)))
            self.database.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, NULL, ?, ?)", row)
            rows = [(job, number, "queued") for number in range(len(pictures))]
            self.database.executemany("INSERT INTO pictures VALUES (?, ?, ?, NULL, NULL, NULL)", rows)
        return job

    def begin_next(self) -> tuple[str, int, dict[str, Any]] | None:
        """Return the next picture as its job's id, its number and options, and mark it as running; None where there is none."""
        query = (
            "SELECT job, number, options FROM pictures JOIN jobs ON jobs.id = job WHERE pictures.state = 'queued'"
            " ORDER BY created, number LIMIT 1"
        )
        with self._transaction():
            row = self.database.execute(query).fetchone()
            if row is None:
                return None
            self.database.execute("UPDATE pictures SET state = 'running' WHERE job = ? AND number = ?", row[:2])
            self.database.execute("UPDATE jobs SET state = 'running' WHERE id = ?", row[:1])
        return row[0], row[1], json.loads(row[2])

    def give_back(self, job: str, number: int) -> None:
        """Mark a picture as waiting again."""
        self.database.execute("UPDATE pictures SET state = 'queued' WHERE job = ? AND number = ?", (job, number))

    def finish(self, job: str, number: int, facts: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Store the result of a picture. Raises OSError."""
        for name, data in files.items():
            write_whole(data, self.path(job, name))
        self._end(job, number, "done", None, json.dumps(facts), json.dumps(list(files)), sum(map(len, files.values())))

    def fail(self, job: str, number: int, error: Mapping[str, Any]) -> None:
        """Store why a picture failed."""
        self._end(job, number, "failed", json.dumps(error), None, None, 0)

    def _end(
        self, job: str, number: int, state: State, error: str | None, facts: str | None, files: str | None, count: int
    ) -> None:
        """Store the end of a picture, and of its job with the last one."""
        with self._transaction():
            row = (state, error, facts, files, job, number)
            self.database.execute(
                "UPDATE pictures SET state = ?, error = ?, facts = ?, files = ? WHERE job = ? AND number = ?", row
            )
            self.database.execute("UPDATE jobs SET bytes = bytes + ? WHERE id = ?", (count, job))
            states = [each for (each,) in self.database.execute("SELECT state FROM pictures WHERE job = ?", (job,))]
            if all(each in FINISHED for each in states):
                final = "done" if "done" in states else "failed"
                self.database.execute("UPDATE jobs SET state = ?, finished = ? WHERE id = ?", (final, time.time(), job))
        self.path(job, f"{number}.picture").unlink(missing_ok=True)

    def read(self, job: str, owner: str) -> dict[str, Any] | None:
        """Return a job as plain data; None where there is none of that id and owner."""
        row = self.database.execute(
            "SELECT state, created, finished FROM jobs WHERE id = ? AND owner = ?", (job, owner)
        ).fetchone()
        if row is None:
            return None
        pictures = [
            {
                "number": number,
                "state": state,
                "error": json.loads(error) if error else None,
                "facts": json.loads(facts) if facts else None,
                "files": json.loads(files) if files else [],
            }
            for number, state, error, facts, files in self.database.execute(
                "SELECT number, state, error, facts, files FROM pictures WHERE job = ? ORDER BY number", (job,)
            )
        ]
        return {"id": job, "state": row[0], "created": row[1], "finished": row[2], "pictures": pictures}

    def remove(self, job: str) -> None:
        """Remove a job and its files."""
        self.database.execute("DELETE FROM jobs WHERE id = ?", (job,))
        shutil.rmtree(self.folder / job, ignore_errors=True)

    def remove_expired(self, seconds: float) -> int:
        """Remove jobs that were finished so many seconds ago; returns how many."""
        before = time.time() - seconds
        jobs = [job for (job,) in self.database.execute("SELECT id FROM jobs WHERE finished < ?", (before,))]
        for job in jobs:
            self.remove(job)
        return len(jobs)

    def waiting(self) -> int:
        """Return the number of jobs that are not finished."""
        (count,) = self.database.execute("SELECT count(*) FROM jobs WHERE finished IS NULL").fetchone()
        return int(count)

    def stored(self) -> int:
        """Return the bytes of all pictures and results."""
        (count,) = self.database.execute("SELECT coalesce(sum(bytes), 0) FROM jobs").fetchone()
        return int(count)

    def _remove_strays(self) -> None:
        """Remove folders of jobs that are not known: the server ended while they were stored, or removed."""
        known = {job for (job,) in self.database.execute("SELECT id FROM jobs")}
        for folder in self.folder.iterdir():
            if _NAME.fullmatch(folder.name) and folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
