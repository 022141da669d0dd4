"""One task of a batch: every fault is an outcome, and whose fault it is decides whether the run goes on."""

import errno
from pathlib import Path

import pytest

from figureground.batch.ledger import Task
from figureground.batch.worker import Worker, WorkerConfig
from figureground.errors import WeightsError, WriteFailed
from figureground.io.storage import Folder
from figureground.jobs import JobSpec
from figureground.methods import find
from figureground.settings import Settings
from photographs import PICTURES

TASK = Task(7, str(PICTURES[0]), "sub/a")


@pytest.fixture
def worker(tmp_path):
    return Worker(
        WorkerConfig(JobSpec(find("subject"), Settings(threads=1), ("cutout", "mask")), str(tmp_path), read_back=True)
    )


def broken(code: int):
    def write(data, name):
        try:
            raise OSError(code, "as the system says it")
        except OSError as error:
            raise WriteFailed(f"'{name}' cannot be written: {error.strerror}") from error

    return write


def test_what_is_done_is_told_with_the_sizes_of_its_files(worker, tmp_path):
    outcome = worker(TASK)
    assert (outcome.number, outcome.state, outcome.code) == (7, "done", "")
    assert outcome.files == {name: (tmp_path / name).stat().st_size for name in ("sub/a.cutout.png", "sub/a.mask.png")}
    assert outcome.seconds > 0 and outcome.width and 0 < outcome.coverage < 1 and 0 < outcome.certainty <= 1
    assert len(outcome.box) == 4


def test_a_picture_at_fault_fails_alone(worker, tmp_path):
    outcome = worker(Task(8, str(tmp_path / "none.jpg"), "b"))
    assert (outcome.state, outcome.code) == ("failed", "not_found")
    assert "none.jpg" in outcome.message


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_a_disk_at_fault_stops_the_run(worker, code):
    worker.place.write = broken(code)
    outcome = worker(TASK)
    assert (outcome.state, outcome.code) == ("stopped", "write_error")


def test_a_name_that_is_too_long_is_the_fault_of_its_picture(worker):
    outcome = worker(Task(9, TASK.source, "x" * 300))
    assert (outcome.state, outcome.code) == ("failed", "write_error")


def test_a_file_that_reads_back_otherwise_is_told(worker, monkeypatch):
    monkeypatch.setattr(Folder, "read", lambda place, name: Path(place.root / name).read_bytes()[:-1])
    outcome = worker(TASK)
    assert (outcome.state, outcome.code) == ("failed", "write_error")
    assert "reads back otherwise" in outcome.message


def test_weights_that_break_stop_the_run_and_our_own_faults_do_not(worker):
    def weights(*_):
        raise WeightsError("the network gives no finite numbers", code="model_corrupt")

    worker.separate = weights
    assert (worker(TASK).state, worker(TASK).code) == ("stopped", "model_corrupt")
    worker.separate = lambda *_: 1 / 0
    outcome = worker(TASK)
    assert (outcome.state, outcome.code, outcome.message) == ("failed", "internal", "ZeroDivisionError: division by zero")
