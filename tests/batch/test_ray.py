"""The Ray engine: the same files and rows as the process engine's, whatever is killed."""

import errno
import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from clusters import cluster
from commandline import command
from figureground.batch.ledger import Outcome, Task
from figureground.batch.runner import Batch, _BatchRun
from figureground.batch.worker import Home, WorkerConfig, shared_home, store_outcome
from figureground.errors import BatchAborted, WriteFailed
from figureground.executor import ExecutorConfig, Result, Stop
from figureground.executor._actor import Actor, AttemptTracker, row_results, table, table_items
from figureground.executor._worker_process import TRIES
from figureground.executor.ray import AHEAD, _next_rows, _RayRun, _Stream
from figureground.io.picture import Encoded
from figureground.io.storage import Folder
from figureground.jobs import JobSpec
from figureground.methods import METHODS
from figureground.settings import Settings
from photographs import PICTURES, ROOT

BYTES = "--rows", "bytes", "--move-inputs", "done"
FACTS = "source, stem, state, code, message, width, height, coverage, certainty, box, files"
WORK = WorkerConfig(JobSpec(METHODS["subject"], Settings()), "out")
ONE = ExecutorConfig("ray", 1, 1)
with_ray = pytest.mark.skipif(not (find_spec("ray") and find_spec("pyarrow")), reason="ray is not installed")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.fixture(scope="module")
def ray():
    with cluster() as found:
        yield found


def drawn(folder):
    """A folder `in` of twenty small pictures and two that are none, one name of which is not UTF-8."""
    (folder / "in").mkdir()
    for number in range(20):
        with Image.open(PICTURES[number % len(PICTURES)]) as image:
            image.resize((96 + number, 64)).save(folder / "in" / f"{number:02}.jpg")
    (folder / "in" / "bad.jpg").write_bytes(b"no picture")
    (folder / "in" / os.fsdecode(b"\xff.png")).touch()
    return folder


@pytest.fixture
def place(tmp_path):
    return drawn(tmp_path)


def words(out, address, *more, inputs=("in",)):
    cluster = "--engine", "ray", "--address", address
    return [sys.executable, "-m", "figureground", "batch", *inputs, out, "--json", *cluster, *more]


def batch(place, out, address, *more, inputs=("in",), **environment):
    """The command in a process of its own: Ray warns of much in its imports."""
    given = {"capture_output": True, "text": True, "errors": "surrogateescape", "timeout": 120, "env": os.environ | environment}
    return subprocess.run(words(out, address, *more, inputs=inputs), check=False, cwd=place, **given)


@contextmanager
def running(place, ray, *more, after=3):
    """The command, at work: so many pictures are done. What it prints goes to a file, which `heard` reads."""
    with (place / "heard").open("w") as file, (place / "errors").open("w") as errors:
        given = {"cwd": place, "env": os.environ | ray.environment, "stdout": file, "stderr": errors}
        driver = subprocess.Popen(words("out", ray.address, *more), **given)
    try:
        while len(finish(place)) < after and driver.poll() is None:
            time.sleep(0.05)
        yield driver
    finally:
        driver.kill()
        driver.wait()


def finish(place):
    """The pictures that were told of, in whole lines."""
    text = (place / "heard").read_text("utf-8", "surrogateescape")
    return told(text[: text.rfind("\n") + 1].splitlines())


def rows(folder, facts=FACTS):
    with closing(sqlite3.connect(folder / "figureground-ledger.sqlite")) as base:
        base.text_factory = os.fsdecode
        return base.execute(f"SELECT {facts} FROM pictures ORDER BY source").fetchall()  # noqa: S608  # our own words


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("figureground-ledger")}


def told(lines):
    return [each["picture"] for each in map(json.loads, lines) if "picture" in each]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the process engine makes of the pictures: files and rows."""
    return plain(drawn(tmp_path_factory.mktemp("undisturbed")), "in")


def plain(place, *inputs):
    ended = command("batch", *(place / each for each in inputs), place / "plain", "--workers", 1, "--json")
    assert ended.code == 1
    return files(place / "plain"), [(source.removeprefix(f"{place}/"), *rest) for source, *rest in _plain_rows(place)]


def _plain_rows(place):
    return [[each.replace(f"{place}/", "") if isinstance(each, str) else each for each in row] for row in rows(place / "plain")]


@with_ray
def test_files_and_rows_are_those_of_the_local_engine(place, ray, undisturbed):
    ended = batch(place, "out", ray.address, "--workers", "1-2", **ray.environment)
    assert ended.returncode == 1, ended.stderr
    assert (files(place / "out"), rows(place / "out")) == undisturbed
    assert json.loads(ended.stdout.splitlines()[-1])["summary"]["failed"] == 2
    assert len(told(ended.stdout.splitlines())) == 22


@pytest.mark.slow
@with_ray
def test_with_bytes_as_rows_the_driver_reads_and_writes(place, ray):
    with zipfile.ZipFile(place / "some.zip", "w") as archive:
        archive.write(place / "in" / "03.jpg", "good.jpg")
        archive.writestr("cut.jpg", (place / "in" / "04.jpg").read_bytes()[:400])
    inputs = "in", "some.zip"
    expected = plain(place, *inputs)
    ended = batch(place, "out", ray.address, "--workers", "2", *BYTES, inputs=inputs, **ray.environment)
    assert ended.returncode == 1, ended.stderr
    assert (files(place / "out"), rows(place / "out")) == expected
    assert len(told(ended.stdout.splitlines())) == 24
    assert {path.name for path in (place / "in").iterdir()} == {"bad.jpg", os.fsdecode(b"\xff.png")}
    assert len(list((place / "done").iterdir())) == 20


@pytest.mark.slow
@with_ray
@on_linux
def test_a_killed_actor_loses_nothing(place, ray, undisturbed):
    with running(place, ray, "--workers", "2") as driver:
        os.kill(ray.actors()[0], signal.SIGKILL)
        assert driver.wait(100) == 1
    assert len(finish(place)) == len(set(finish(place))) == 22
    assert (files(place / "out"), rows(place / "out")) == undisturbed


@pytest.mark.slow
@with_ray
def test_a_killed_driver_goes_on_where_it_was(place, ray, undisturbed):
    with running(place, ray, "--workers", "2") as driver:
        driver.kill()
        driver.wait()
    done = {source: json.loads(made) for source, made in rows(place / "out", "source, files") if made}
    assert 3 <= len(done) < 22
    before = {name: (place / "out" / name).stat().st_mtime_ns for made in done.values() for name in made}
    ended = batch(place, "out", ray.address, "--workers", "2", **ray.environment)
    assert ended.returncode == 1
    assert not set(told(ended.stdout.splitlines())) & set(done)
    assert all((place / "out" / name).stat().st_mtime_ns == at for name, at in before.items())
    assert (files(place / "out"), rows(place / "out")) == undisturbed


@pytest.mark.slow
@with_ray
def test_a_stopped_run_finishes_what_is_in_hand_and_can_go_on(place, ray):
    with running(place, ray, "--workers", "2") as driver:
        driver.send_signal(signal.SIGINT)
        assert driver.wait(60) == 130, (place / "errors").read_text()
    made = [path for path in (place / "out").glob("*.png") if not path.name.startswith(".")]
    states = [state for (state,) in rows(place / "out", "state")]
    assert len(finish(place)) == 22 - states.count("waiting") < 22
    assert len(made) == states.count("done")


@with_ray
@on_linux
@pytest.mark.slow
def test_a_picture_whose_actors_are_lost_is_given_up(tmp_path, ray):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (9900, 9900)).save(tmp_path / "in" / "poison.png", compress_level=1)
    with running(tmp_path, ray, "--workers", "1", after=0) as driver:
        killed, until = 0, time.monotonic() + 100
        while driver.poll() is None and time.monotonic() < until:
            for pid in ray.actors():
                os.kill(pid, signal.SIGKILL)
                killed += 1
            time.sleep(0.1)
        assert driver.returncode == 1
    assert TRIES <= killed <= TRIES + 1  # one more may start before the driver has ended
    assert rows(tmp_path / "out", "state, code") == [("failed", "resource_limit")]


@pytest.mark.slow
@with_ray
def test_what_an_actor_lacks_ends_the_run(place, ray):
    ended = batch(place, "out", ray.address, "--workers", "1", FIGUREGROUND_DEVICE="npu9", **ray.environment)
    assert ended.returncode in (2, 3)
    assert "npu9" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert {state for (state,) in rows(place / "out", "state")} == {"waiting"}


@with_ray
@pytest.mark.parametrize(
    ("address", "code", "wanted"),
    [
        ("ray://127.0.0.1:1", 3, "there is no Ray cluster at 'ray://127.0.0.1:1'"),
        ("nowhere.invalid:6379", 3, "is it up?"),
        ("there", 2, "auto, local, HOST:PORT or ray://HOST:PORT"),
    ],
)
def test_an_address_where_no_cluster_is(place, address, code, wanted):
    ended = batch(place, "out", address)
    assert ended.returncode == code
    assert ended.stderr.count("\n") == 1
    assert wanted in ended.stderr


def test_a_missing_extra_is_named(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    ended = command("batch", place / "in", place / "out", "--engine", "ray")
    ended.refused(3, "missing_extra", "engine 'ray'", "figureground[ray]")


def test_only_a_cluster_takes_a_range_of_workers(place):
    command("batch", place / "in", place / "out", "--workers", "2-3").refused(2, "--workers 2-3 needs --engine ray")
    command("batch", place / "in", place / "out", "--workers", "3-2").refused(2, "such as 2-16, but got '3-2'")


def test_only_a_cluster_takes_bytes_as_rows(place):
    command("batch", place / "in", place / "out", "--rows", "bytes").refused(2, "--rows bytes needs --engine ray")
    assert not (place / "out").exists()


def test_the_gate_counts_tries_and_closes():
    tracker = AttemptTracker()
    assert [tracker.begin(7), tracker.begin(7), tracker.begin(8)] == [1, 2, 1]
    assert tracker.in_hand() == 2
    tracker.finish(7)
    assert tracker.begin(7) == 1
    tracker.close()
    assert tracker.begin(8) == tracker.begin(9) == 0
    assert tracker.in_hand() == 1


def test_actors_must_share_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BatchAborted, match=r"folder of the outputs, '.*out', is not the same on"):
        Home(str(tmp_path), str(tmp_path / "out" / "token")).settle()
    (tmp_path / "token").touch()
    with pytest.raises(BatchAborted, match="has no folder"):
        Home(str(tmp_path / "other"), str(tmp_path / "token")).settle()
    Home(str(tmp_path / "other")).settle()
    Home(str(tmp_path)).settle()


def packed(items):
    """Items as rows of a dataset: their places from 0, and pickled."""
    return [(place, pickle.dumps(item)) for place, item in enumerate(items)]


@with_ray
def test_items_travel_whatever_their_names():
    name = os.fsdecode(b"\xff/\xc3.png")
    some = [Task(1, "a.jpg", "a"), Task(2, name, os.fsdecode(b"\xff")), Task(3, name, "c", Encoded(b"", name))]
    assert list(table_items(table(packed(some)))) == list(enumerate(some))


@pytest.fixture
def actor(monkeypatch):
    """An actor whose tracker gives the numbers that it is asked for, in words that need no Ray."""
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=lambda number: number))
    worker = replace(WORK, home=Home("nowhere", "nowhere/token"))
    return Actor(worker, ONE, SimpleNamespace(begin=SimpleNamespace(remote=lambda number: number)))


@with_ray
def test_an_actor_does_not_begin_what_the_tracker_refuses_or_what_lost_others(actor):
    some = [Task(number, "a", "a") for number in range(TRIES + 2)]
    results = dict(row_results(actor(table(packed(some)))))
    assert results[0] is None
    assert results[TRIES + 1].error.code == "resource_limit"
    assert isinstance(results[1], BatchAborted) and "is not the same on" in str(results[1])
    assert results[1].exit_code == 3


@with_ray
def test_with_bytes_as_rows_an_actor_needs_no_folder(actor, tmp_path):
    """Neither the picture nor the folders of the files are on its machine."""
    with shared_home(str(tmp_path / "out"), "bytes") as home:
        actor.function = replace(WORK, out=str(tmp_path / "out"), rows="bytes", home=home)
    good, bad = Encoded(PICTURES[0].read_bytes(), "gone/a.jpg"), Encoded(b"no picture", "gone/b.jpg")
    tasks = [Task(0, "", ""), Task(1, good.source, "sub/a", good), Task(2, bad.source, "b", bad)]
    _, (_, made), (_, failed) = row_results(actor(table(packed(tasks))))
    actor.results.close()  # or its process would outlive a failure here
    made, failed = made.get(), failed.get()
    assert (made.state, list(made.contents), dict(made.files)) == ("done", ["sub/a.cutout.png"], {})
    assert made.contents["sub/a.cutout.png"].startswith(b"\x89PNG")
    assert (failed.state, failed.code) == ("failed", "unsupported_format")
    assert failed.message.startswith("gone/b.jpg is not a JPEG")
    assert not (tmp_path / "out").exists()


def test_a_token_is_asked_for_only_where_actors_write(tmp_path):
    with shared_home(str(tmp_path), "paths") as home:
        assert Path(home.token).exists()
    with shared_home(str(tmp_path), "bytes") as home:
        assert home.token == ""
        assert not list(tmp_path.iterdir())


def test_the_rows_of_a_dataset_are_bounded(monkeypatch):
    """In bytes, but there is a block for each actor in any case."""
    monkeypatch.setattr("figureground.executor.ray.BYTES", 250)
    config = replace(ONE, workers=2)
    items = iter([None, *enumerate([b"x" * 100] * 12)])
    first = list(_next_rows(config, items, 1, Stop()))
    assert [place for place, _ in first] == [0, 1, 2]
    assert [pickle.loads(row) for _, row in first] == [b"x" * 100] * 3
    assert len(list(_next_rows(replace(config, workers=9), items, 1, Stop()))) == 9
    assert list(_next_rows(config, items, 1, Stop())) == []
    assert len(list(_next_rows(config, iter(enumerate([b""] * 9)), 1, Stop(soft=True)))) == 1


def test_with_bytes_as_rows_the_driver_reads_the_pictures(tmp_path):
    """What cannot be read is an outcome at once; an address is left to the worker."""
    (tmp_path / "a.jpg").write_bytes(b"0123456789")
    sources = [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg"), "http://a.invalid/c.jpg"]
    batch = Batch(("in",), "out", WORK.spec)
    run = _BatchRun(batch, replace(WORK, rows="bytes"), None, Stop(), print, print)
    taken = []
    run._take = taken.append
    prepared = list(run._prepared(iter([Task(number, sources[number], "") for number in range(3)] + [None])))
    assert prepared == [Task(0, sources[0], "", Encoded(b"0123456789", sources[0])), Task(2, sources[2], ""), None]
    assert [(outcome.number, outcome.state, outcome.code) for outcome in taken] == [(1, "failed", "not_found")]


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (None, "done", ""),
        (OSError(errno.ENOSPC, "full"), "stopped", "write_error"),
        (OSError(errno.ENAMETOOLONG, "long"), "failed", "write_error"),
        (RuntimeError("odd"), "failed", "internal"),
    ],
)
def test_the_driver_writes_what_actors_made(tmp_path, monkeypatch, error, state, code):
    def faulty(data, target):
        if not error:
            return target.write_bytes(data)
        if isinstance(error, OSError):
            raise WriteFailed("cannot be written") from error
        raise error

    monkeypatch.setattr("figureground.io.storage.write", faulty)
    made = Outcome(1, "done", seconds=2.0, width=7, contents={"a.cutout.png": b"12345"})
    ended = store_outcome(WORK, Folder(str(tmp_path)), Task(1, "a.jpg", "a"), made)
    assert (ended.state, ended.code, dict(ended.contents)) == (state, code, {})
    assert 2.0 <= ended.seconds < 3.0
    assert dict(ended.files) == ({} if error else {"a.cutout.png": 5})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == ({} if error else {"a.cutout.png": b"12345"})


def test_the_driver_reads_back_what_it_wrote(tmp_path, monkeypatch):
    monkeypatch.setattr(Folder, "read", lambda self, name: b"other")
    made = Outcome(1, "done", contents={"a.png": b"1"})
    ended = store_outcome(replace(WORK, read_back=True), Folder(str(tmp_path)), Task(1, "a.jpg", "a"), made)
    assert (ended.state, ended.code) == ("failed", "write_error")
    assert "reads back otherwise" in ended.message


def test_a_stream_that_nobody_hears_waits_and_can_be_ended(monkeypatch):
    """Outcomes with files must not pile up in the driver."""
    drawn = []

    def many(**_):
        for number in range(100):
            drawn.append(number)
            yield [(number, None)]

    monkeypatch.setattr("figureground.executor.ray._dataset", lambda *given: SimpleNamespace(iter_batches=many))
    monkeypatch.setattr("figureground.executor.ray.row_results", lambda block: block)
    stream = _Stream(WORK, ONE, None, [], 1)
    assert stream.next() == [(0, None)]
    time.sleep(0.5)
    assert len(drawn) <= AHEAD + 2
    stream.end()
    assert not stream._thread.is_alive()


class Dataset:
    """Gives so many of its results, each twice, and then breaks where it has more."""

    def __init__(self, rows, most):
        self.rows, self.most = rows, most

    def iter_batches(self, **_):
        for place, _ in self.rows[: self.most]:
            block = [(place, Result(None, "done"))]
            yield from (block, block)
        if len(self.rows) > self.most:
            raise RuntimeError("an actor\nis gone")


@pytest.fixture
def run(monkeypatch):
    def made(most):
        tracker = SimpleNamespace(finish=SimpleNamespace(remote=lambda number: None))
        made = _RayRun(None, WORK, ONE, tracker, Stop())
        monkeypatch.setattr("figureground.executor.ray._dataset", lambda *given: Dataset(given[3], most))
        return made

    monkeypatch.setattr("figureground.executor.ray.row_results", lambda block: block)
    return made


def test_what_a_broken_dataset_left_is_another(run):
    found = list(run(2).results(packed("abcde"), 1))
    assert [place for place, _ in found] == [0, 1, 2, 3, 4]
    assert [(result.source, result.value) for _, result in found] == [(letter, "done") for letter in "abcde"]


def test_datasets_that_break_again_and_again_end_the_run(run):
    with pytest.raises(BatchAborted, match=r"Ray gives up \(RuntimeError: an actor\)"):
        list(run(0).results(packed("a"), 1))


def test_the_processes_below_one():
    from clusters import below

    child = subprocess.Popen(["/bin/sleep", "30"])
    try:
        assert child.pid in below(os.getpid()) or not Path("/proc").is_dir()
    finally:
        child.kill()
        child.wait()


def test_through_the_client_the_stream_is_an_actor(monkeypatch):
    """What goes wrong on the way is told in a line; words come as they are."""

    class RayError(Exception):
        cause = None

    def get(words):
        if isinstance(words, Exception):
            raise words
        return words

    given, killed, words = [], [], iter([[(1, None)], RayError("gone\nfor good"), None])
    stream = SimpleNamespace(next=SimpleNamespace(remote=lambda: next(words)))
    made = SimpleNamespace(remote=lambda *all_of_it: given.extend(all_of_it) or stream)
    ray = SimpleNamespace(
        remote=lambda **_: lambda _: made, get=get, kill=killed.append, exceptions=SimpleNamespace(RayError=RayError)
    )
    config = replace(ONE, address="ray://there:1")
    afar = _RayRun(ray, "function", config, "tracker", Stop())._stream(["row"], 1)
    assert given == ["function", config, "tracker", ["row"], 1]
    assert afar.next() == [(1, None)]
    with pytest.raises(Exception, match=r"^RayError: gone$"):
        afar.next()
    assert afar.next() is None
    afar.end()
    assert killed == [stream]


@pytest.mark.slow
@with_ray
def test_the_example_of_ray_data_runs(tmp_path, ray):
    (tmp_path / "photos").mkdir()
    for number in range(3):
        with Image.open(PICTURES[number]) as image:
            image.resize((96, 64)).save(tmp_path / "photos" / f"{number}.jpg")
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"no picture")
    environment = os.environ | ray.environment | {"RAY_ADDRESS": ray.address}
    given = {"capture_output": True, "text": True, "timeout": 120, "cwd": tmp_path, "env": environment}
    end = subprocess.run([sys.executable, ROOT / "examples" / "ray_data.py", "photos"], check=False, **given)
    assert end.returncode == 0, end.stderr
    rows = {Path(path).name: rest for path, *rest in (line.split() for line in end.stdout.splitlines() if "photos" in line)}
    assert rows["bad.jpg"] == ["0", "unsupported_format"]
    assert sorted(rows) == ["0.jpg", "1.jpg", "2.jpg", "bad.jpg"]
    assert all(int(rows[f"{number}.jpg"][0]) > 100 and len(rows[f"{number}.jpg"]) == 1 for number in range(3))
