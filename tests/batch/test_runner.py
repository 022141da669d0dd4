"""`figureground batch` and its local engine: nothing is lost, whatever is killed, and the ledger tells the truth."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from commandline import command
from drawn import pair
from figureground._files import PART
from figureground.batch.ledger import Task
from figureground.batch.runner import Batch, fingerprint, run
from figureground.batch.worker import WorkerConfig
from figureground.executor import ExecutorConfig, Stop, process
from figureground.jobs import JobSpec
from figureground.methods import find
from figureground.settings import Settings

LEDGER = "figureground-ledger.sqlite"
INLINE = "--engine", "inline"
"""What a run decides does not depend on processes; what processes are for has tests of its own."""


def draw(path: Path, seed: int, side: int = 96) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(pair(seed, side)[0], cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture
def photos(tmp_path) -> Path:
    """Eight pictures in a tree, one that is broken and one that is none."""
    root = tmp_path / "in"
    for seed, name in enumerate(("a.jpg", "a.png", "b.jpg", "sub/c.jpg", "sub/d.webp", "sub/deep/e.jpg", "f.bmp", "g.tif")):
        draw(root / name, seed)
    (root / "broken.jpg").write_bytes((root / "b.jpg").read_bytes()[:-900])
    (root / "notes.txt").write_text("no picture")
    return root


def files(out: Path) -> dict[str, bytes]:
    """All files below a folder but the ledger's, by name."""
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("figureground-ledger")}


def states(out: Path) -> dict[str, int]:
    end = command("batch", "--status", out, "--json")
    assert end.code == 0
    return json.loads(end.out)


def table(out: Path) -> list[tuple]:
    """The rows without what differs from run to run."""
    with sqlite3.connect(out / LEDGER) as base:
        query = "SELECT source, state, code, width, height, coverage, certainty, box, files FROM pictures ORDER BY source"
        return base.execute(query).fetchall()


def batch(*words: object, timeout: float = 120) -> subprocess.CompletedProcess:
    """The command in a process of its own."""
    run = [sys.executable, "-m", "figureground", "batch", *map(str, words)]
    return subprocess.run(run, capture_output=True, text=True, timeout=timeout, check=False)


def begin(*words: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "figureground", "batch", *map(str, words)], stderr=subprocess.PIPE, text=True
    )


def until(true, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to this"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The workers of a driver."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if (
                int(stat.read_text().rpartition(")")[2].split()[1]) == pid
                and "spawn_main" in stat.with_name("cmdline").read_text()
            ):
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


def test_a_folder_becomes_a_folder_and_the_ledger_tells_all(photos, tmp_path):
    out = tmp_path / "out"
    end = command("batch", photos, out, "--workers", 2, "--view", "cutout,mask", "--json")
    assert end.code == 1
    assert sorted(files(out)) == sorted(
        f"{stem}.{view}.png"
        for stem in ("a.jpg", "a.png", "b", "sub/c", "sub/d", "sub/deep/e", "f", "g")
        for view in ("cutout", "mask")
    )
    *lines, last = end.lines()
    assert last["summary"] | {"seconds": 0} == {"waiting": 0, "done": 8, "failed": 1, "skipped": 1, "done_now": 8, "seconds": 0}
    told = {Path(line["picture"]).name: line for line in lines}
    assert told["broken.jpg"]["code"] == "truncated"
    assert told["e.jpg"]["files"] == {name: len(data) for name, data in files(out).items() if "/e." in name}
    assert 0 < told["e.jpg"]["coverage"] < 1 and 0.5 < told["e.jpg"]["certainty"] <= 1
    assert (told["e.jpg"]["width"], told["e.jpg"]["height"]) == (96, 96)
    assert "8 done, 1 failed, 1 skipped of 10" in end.err
    shown = states(out)
    assert (shown["inputs"], shown["codes"], shown["ended"]) == (10, {"truncated": 1, "not_a_picture": 1}, True)
    assert "10 inputs: 8 done" in command("batch", "--status", out).out


def test_the_bytes_are_those_of_remove(photos, tmp_path):
    assert command("batch", *INLINE, photos / "b.jpg", tmp_path / "out").code == 0
    assert command("remove", photos / "b.jpg", "--out-dir", tmp_path / "one").code == 0
    assert files(tmp_path / "out") == files(tmp_path / "one")


def test_nothing_is_done_twice_and_what_changed_is(photos, tmp_path):
    out = tmp_path / "out"
    assert command("batch", *INLINE, photos, out).code == 1
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert command("batch", *INLINE, photos, out).err.count("0 done now") == 1
    draw(photos / "b.jpg", 77)
    (out / "f.cutout.png").unlink()
    draw(photos / "broken.jpg", 78)
    end = command("batch", *INLINE, photos, out)
    assert (end.code, "3 done now" in end.err) == (0, True)
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert {path.name for path in after if after[path] != before.get(path)} == {
        "b.cutout.png",
        "f.cutout.png",
        "broken.cutout.png",
    }
    end = command("batch", *INLINE, photos, out, "--background", "white")
    assert "9 done now" in end.err
    assert "9 done now" in command("batch", *INLINE, photos, out, "--background", "white", "--no-resume").err


def test_failures_stand_until_they_are_asked_for(photos, tmp_path):
    out = tmp_path / "out"
    assert command("batch", *INLINE, photos, out, "--json").code == 1
    again = command("batch", *INLINE, photos, out, "--json")
    assert (again.code, len(again.lines())) == (1, 1)
    assert [line["code"] for line in command("batch", *INLINE, photos, out, "--retry-failed", "--json").lines()[:-1]] == [
        "truncated"
    ]
    assert command("batch", *INLINE, photos, out, "--lenient", "--json").lines()[-1]["summary"]["done_now"] == 9


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_and_ends_the_same(tmp_path):
    """kill -9 of the driver or of a worker, again and again: the files are those of an undisturbed run."""
    root, whole, out = tmp_path / "in", tmp_path / "whole", tmp_path / "out"
    for seed in range(24):
        draw(root / f"{seed // 8}/{seed}.jpg", seed, 256)
    (root / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    words = root, out, "--workers", 2, "--view", "cutout,mask"
    assert command("batch", root, whole, *words[2:]).code == 1
    ended, seen_bad, watching = threading.Event(), [], 0

    def watch():
        nonlocal watching
        while not ended.wait(0.02):
            for path in out.rglob("*.png"):
                if not PART.fullmatch(path.name):
                    watching += 1
                    try:
                        Image.open(path).load()
                    except (OSError, SyntaxError) as error:
                        seen_bad.append((path, error))

    watcher = threading.Thread(target=watch)
    watcher.start()
    random, kills, redone = np.random.default_rng(5), 0, 0
    try:
        for kill in range(6):
            done = {p: p.stat().st_mtime_ns for p in out.rglob("*.png")} if out.exists() else {}
            run = begin(*words)
            until(lambda run=run, done=done: run.poll() is not None or len(list(out.rglob("*.png"))) > len(done))
            time.sleep(float(random.uniform(0, 0.3)))
            victims = children(run.pid) if kill % 3 == 2 else [run.pid]
            for victim in victims[:1]:
                os.kill(victim, signal.SIGKILL)
                kills += 1
            if run.pid not in victims:
                time.sleep(0.3)
                run.kill()
            run.communicate()
            until(lambda run=run: not children(run.pid))
            again = sum(p.stat().st_mtime_ns != at for p, at in done.items())
            redone = max(redone, again)
        assert batch(*words).returncode == 1
    finally:
        ended.set()
        watcher.join()
    assert kills >= 4 and watching
    assert not seen_bad
    assert redone <= 2 * 2  # workers × views
    assert files(out) == files(whole)
    assert [row[1:-1] for row in table(out)] == [row[1:-1] for row in table(whole)]


def test_ctrl_c_finishes_what_is_in_hand_and_a_second_one_stops_at_once(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    for seed in range(300):
        draw(root / f"{seed}.jpg", seed, 128)
    run = begin(root, out, "--workers", 1)
    until(lambda: len(list(out.glob("*.png"))) >= 2)
    run.send_signal(signal.SIGINT)
    began = time.monotonic()
    err = run.communicate(timeout=60)[1]
    assert time.monotonic() - began < 20
    assert run.returncode == 130
    assert "finishing the pictures in work" in err and "Traceback" not in err
    shown = states(out)
    assert shown["done"] == len(list(out.glob("*.png"))) < 300
    assert (shown["waiting"], shown["ended"]) == (300 - shown["done"], False)
    run = begin(root, out, "--workers", 1)
    until(lambda: len(list(out.glob("*.png"))) > shown["done"])
    run.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    assert run.communicate(timeout=60)[1].count("Traceback") == 0
    assert run.returncode == 130


def test_two_runs_do_not_share_a_folder(photos, tmp_path):
    from filelock import FileLock

    out = tmp_path / "out"
    out.mkdir()
    with FileLock(out / "figureground-ledger.lock"):
        command("batch", *INLINE, photos, out).refused(3, "busy", "another run works on")
    assert command("batch", *INLINE, photos, out).code == 1


@pytest.mark.parametrize(("source", "target"), [("in", "in"), ("in/sub", "in")])
def test_inputs_do_not_lie_where_outputs_go(photos, tmp_path, source, target):
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    command("batch", *INLINE, tmp_path / source, tmp_path / target).refused(2, "usage", "the folder of the outputs")
    assert {path: path.read_bytes() for path in photos.rglob("*.*")} == before


def test_outputs_among_the_inputs_are_not_taken_for_inputs(photos):
    out = photos / "out"
    assert command("batch", *INLINE, photos, out).code == 1
    assert "0 done now" in command("batch", *INLINE, photos, out).err
    assert states(out)["inputs"] == 10


def test_a_link_in_the_outputs_does_not_lead_out(photos, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "sub").symlink_to(elsewhere)
    end = command("batch", *INLINE, photos, out, "--json")
    assert end.code == 1
    assert not list(elsewhere.iterdir())
    assert sum(line.get("code") == "write_error" for line in end.lines()[:-1]) == 3


def test_leftovers_of_a_killed_run_are_cleared(photos, tmp_path):
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    left, kept = out / "sub" / ".0123456789abcdef.part", out / "sub" / "mine.part"
    left.write_bytes(b"half")
    kept.write_bytes(b"mine")
    command("batch", *INLINE, photos / "b.jpg", out)
    assert (left.exists(), kept.exists()) == (False, True)


def test_a_full_disk_stops_the_run_and_blames_no_picture(photos, tmp_path):
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small disk")
    out = tmp_path / "out"
    out.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", out], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mount is not allowed here: {mounted.stderr!r}")
    try:
        for seed in range(20):
            draw(photos / f"more/{seed}.jpg", seed, 256)
        end = batch(photos, out, "--ledger", tmp_path)
        assert end.returncode == 3
        assert "write_error" in end.stderr and "No space left" in end.stderr and "Traceback" not in end.stderr
        for path in out.rglob("*.png"):
            Image.open(path).load()
        assert not any(PART.fullmatch(path.name) for path in out.rglob("*"))
        shown = states(tmp_path)
        assert shown["waiting"] > 0 and set(shown["codes"]) <= {"truncated", "not_a_picture"}
        subprocess.run(["mount", "-o", "remount,size=50m", out], check=True)
        assert batch(photos, out, "--ledger", tmp_path).returncode == 1
        assert states(tmp_path)["done"] == 28
    finally:
        subprocess.run(["umount", out], check=False)


def test_a_ledger_that_cannot_be_written_is_one_line(photos, tmp_path):
    (tmp_path / "out").write_bytes(b"a file where the folder should be")
    command("batch", photos, tmp_path / "out").refused(3, "write_error", "out")


def test_a_picture_that_takes_too_long_is_given_up(photos, tmp_path):
    end = command("batch", photos / "b.jpg", photos / "f.bmp", tmp_path / "out", "--picture-seconds", 0.001, "--json")
    assert end.code == 1
    assert [line["code"] for line in end.lines()[:-1]] == ["timeout", "timeout"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts a process's data")
def test_a_picture_that_needs_too_much_memory_is_given_up(photos, tmp_path):
    cv2.imwrite(str(photos / "large.png"), np.zeros((6000, 6000, 3), np.uint8))
    end = command("batch", photos / "b.jpg", photos / "large.png", tmp_path / "out", "--picture-memory", 150, "--json")
    told = {Path(line["picture"]).name: line for line in end.lines()[:-1]}
    assert told["b.jpg"]["state"] == "done"
    assert (told["large.png"]["state"], told["large.png"]["code"]) == ("failed", "resource_limit")


def config(out: Path, **more) -> WorkerConfig:
    return WorkerConfig(JobSpec(find("subject"), Settings(threads=1)), str(out), **more)


def tasks(*paths: Path) -> list[Task]:
    return [Task(number, str(path), path.stem) for number, path in enumerate(paths, 1)]


def test_a_picture_that_kills_its_workers_is_given_up_after_three(photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    poison = draw(tmp_path / "poison.png", 3, 3000)
    given = enumerate(tasks(photos / "b.jpg", poison, photos / "f.bmp"), 1)
    run = process.WorkerPool(config(out), given, ExecutorConfig("process", 1, 1), Stop())
    ended, killed = threading.Event(), []

    def kill():
        while not ended.is_set():
            for hand in list(run.processes):
                with suppress(ValueError, ProcessLookupError):  # it is gone already
                    if hand.item is not None and hand.item[0] == 2 and hand.process.pid not in killed:
                        killed.append(hand.process.pid)
                        os.kill(killed[-1], signal.SIGKILL)
            time.sleep(0.002)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        found = dict(run.results())
    finally:
        ended.set()
        killer.join()
        run.end()
    assert len(killed) == 3
    assert (found[1].get().state, found[3].get().state) == ("done", "done")
    assert found[2].error.code == "resource_limit"
    assert "3 workers died of it (signal SIGKILL)" in str(found[2].error)


def test_workers_that_cannot_begin_say_why(photos, tmp_path):
    end = command("batch", photos, tmp_path / "out", "--method", tmp_path / "none.onnx")
    assert end.code == 3
    assert "none.onnx" in end.err and end.err.count("\n") == 1


@pytest.mark.slow
def test_watching_takes_pictures_that_come_later_and_moves_them_when_asked(photos, tmp_path):
    out, moved = tmp_path / "out", tmp_path / "moved"
    run = begin(photos, out, "--watch", "--settle", 1, "--workers", 1, "--move-inputs", moved)
    try:
        until(lambda: len(list(moved.rglob("*.*"))) >= 8)
        data = draw(tmp_path / "late.jpg", 9).read_bytes()
        (photos / "late.jpg").write_bytes(data)
        until((moved / "late.jpg").exists)
    finally:
        run.send_signal(signal.SIGTERM)
        err = run.communicate(timeout=60)[1]
    assert run.returncode == 1, err  # broken.jpg
    assert (out / "late.cutout.png").exists()
    assert (moved / "late.jpg").read_bytes() == data
    assert {path.name for path in photos.rglob("*") if path.is_file()} == {"broken.jpg", "notes.txt"}
    assert states(out)["done"] == 9


def test_inputs_are_deleted_only_when_asked_and_done(photos, tmp_path):
    out = tmp_path / "out"
    assert command("batch", *INLINE, photos, out).code == 1
    assert len(list(photos.rglob("*.*"))) == 10
    (out / "b.cutout.png").write_bytes(b"x" * (out / "b.cutout.png").stat().st_size)  # of the right size, but broken
    assert command("batch", *INLINE, photos, out, "--delete-inputs").code == 1
    assert {path.name for path in photos.rglob("*.*")} == {"broken.jpg", "notes.txt", "b.jpg"}
    command("batch", *INLINE, photos, out, "--delete-inputs", "--move-inputs", tmp_path).refused(2, "exclude each other")


def test_moved_inputs_replace_nothing(photos, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "b.jpg").write_bytes(b"older")
    assert command("batch", *INLINE, photos / "b.jpg", tmp_path / "out", "--move-inputs", moved).code == 0
    assert (moved / "b.jpg").read_bytes() == b"older"
    assert (moved / "b~2.jpg").exists() and not (photos / "b.jpg").exists()


def test_archives_lists_and_tables_in_one_batch(photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.write(photos / "b.jpg", "x/b.jpg")
        archive.writestr("bad.jpg", b"no picture")
    (tmp_path / "list.txt").write_text(f"{photos}/f.bmp\n")
    (tmp_path / "t.csv").write_text(f"id,path\n1,{photos}/g.tif\n")
    end = command(
        "batch",
        *INLINE,
        tmp_path / "some.zip",
        f"@{tmp_path}/list.txt",
        tmp_path / "t.csv",
        tmp_path / "out",
        "--format",
        "webp",
    )
    assert end.code == 1
    assert f"unsupported_format: {tmp_path}/some.zip::bad.jpg is not a JPEG" in end.err
    assert sorted(files(tmp_path / "out")) == ["f.cutout.webp", "g.cutout.webp", "x/b.cutout.webp"]


def test_shards_together_are_the_whole(photos, tmp_path):
    out = tmp_path / "out"
    codes = [command("batch", *INLINE, photos, out, "--shard", f"{i}/2").code for i in (1, 2)]
    assert sorted(codes) in ([0, 1], [1, 1])
    assert len(files(out)) == 8
    assert states(out)["inputs"] == 10
    command("batch", *INLINE, photos, out, "--shard", "3/2").refused(2, "a shard is i/n")


def test_the_page_shows_doubtful_pictures_first(photos, tmp_path):
    out, page = tmp_path / "out", tmp_path / "page.html"
    cv2.imwrite(str(photos / "empty.png"), np.full((64, 64, 3), 128, np.uint8))
    assert command("batch", *INLINE, photos, out).code == 1
    end = command("batch", out, "--report", page)
    assert (end.code, end.out) == (0, f"{page}: the batch in {out}\n")
    command("batch", out, "--report", page).refused(1, "output_exists")
    assert command("batch", out, "--report", page, "--overwrite").code == 0
    html = page.read_text("utf-8")
    assert "<script" not in html and "http" not in html.replace("http-equiv", "")
    assert html.index("No foreground") < html.index("Failed and skipped")
    assert "empty.png" in html and "truncated" in html
    assert html.count("data:image/webp") >= 2 * 8


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["out"], "IN OUT"),
        (["nowhere", "out"], "'nowhere' does not exist"),
        (["in", "nowhere/*.jpg", "out"], "no file matches 'nowhere/*.jpg'"),
        (["@nowhere.txt", "out"], "the list 'nowhere.txt' does not exist"),
        (["in", "out", "--engine", "inline", "--picture-seconds", "3"], "--picture-seconds needs workers that can be ended"),
        (["in", "out", "--engine", "thread", "--picture-memory", "3"], "--picture-memory needs workers that can be ended"),
        (["in", "out", "--encoder-quality", "3"], "--encoder-quality applies to"),
        (["in", "out", "--failed"], "alone"),
        (["in", "out", "--engine", "rai"], "no engine is called 'rai'"),
        (["in", "s3://bucket/out"], "--ledger"),
        (["in", "out", "--view", "labels"], "labels"),
        (["in", "out", "--format", "npy"], "--view mask"),
        (["in", "out", "--status"], "alone"),
    ],
)
def test_calls_that_make_no_sense_are_refused(tmp_path, monkeypatch, words, what):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    command("batch", *words).refused(2, what)
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_no_error(tmp_path):
    (tmp_path / "in").mkdir()
    end = command("batch", *INLINE, tmp_path / "in", tmp_path / "out")
    assert (end.code, "0 done of 0" in end.err) == (0, True)


def test_what_failed_before_anything_was_read_is_told(tmp_path):
    (tmp_path / "list.txt").write_text(f"{tmp_path}/nowhere\n")
    end = command("batch", *INLINE, f"@{tmp_path}/list.txt", tmp_path / "out")
    assert end.code == 1
    assert f"not_found: '{tmp_path / 'nowhere'}'" in end.err and "0 done, 1 failed of 1 input;" in end.err
    failed = command("batch", "--failed", tmp_path / "out")
    [(source, code, message)] = [line.split("\t") for line in failed.out.splitlines()]
    assert (source, code) == (str(tmp_path / "nowhere"), "not_found") and message
    [row] = command("batch", "--failed", tmp_path / "out", "--json").lines()
    assert row == {"picture": source, "code": code, "message": message}


def test_status_of_nothing_is_refused(tmp_path):
    command("batch", "--status", tmp_path).refused(3, "holds no ledger")


def test_the_engine_in_this_process_gives_what_processes_give(photos, tmp_path):
    for engine in ("process", "inline", "thread"):
        assert command("batch", photos, tmp_path / engine, "--engine", engine).code == 1
    for engine in ("inline", "thread"):
        assert files(tmp_path / "process") == files(tmp_path / engine)
        assert table(tmp_path / "process") == table(tmp_path / engine)


def test_watching_in_this_process_ends_when_it_is_stopped(photos, tmp_path):
    spec, stop, done = JobSpec(find("subject"), Settings(threads=1)), Stop(), []

    def note(outcome):
        done.append(json.loads(outcome))
        stop.soft = len(done) == 2

    asked = Batch(
        (str(photos),), str(tmp_path / "out"), spec, executor=ExecutorConfig("inline"), watch=True, settle=0, as_json=True
    )
    run(asked, echo=note, note=print, stop=stop)
    assert len(files(tmp_path / "out")) == 2


def test_moved_pictures_are_not_found_again_below_their_own_folder(photos, tmp_path):
    moved = photos / "done"
    assert command("batch", *INLINE, photos, tmp_path / "out", "--move-inputs", moved).code == 1
    once = sorted(path.relative_to(moved).as_posix() for path in moved.rglob("*.*"))
    assert len(once) == 8
    end = command("batch", *INLINE, photos, tmp_path / "out", "--move-inputs", moved)
    assert "0 done now" in end.err
    assert sorted(path.relative_to(moved).as_posix() for path in moved.rglob("*.*")) == once
    assert states(tmp_path / "out")["inputs"] == 2  # the broken one, and the one that is none


def test_several_settings_share_a_folder_of_outputs(photos, tmp_path):
    words = "batch", *INLINE, photos / "b.jpg", tmp_path / "out"
    assert command(*words).code == 0
    cutout = files(tmp_path / "out")
    assert command(*words, "--view", "mask").code == 0
    end = command(*words)
    assert (end.code, "0 done now" in end.err) == (0, True), end
    assert files(tmp_path / "out") | cutout == files(tmp_path / "out")
    assert sorted(files(tmp_path / "out")) == ["b.cutout.png", "b.mask.png"]


@pytest.mark.parametrize("option", ["weights", "mask_weights"])
def test_other_weights_in_the_same_folder_are_other_settings(tmp_path, option):
    (tmp_path / "checkpoint").mkdir()
    weights = tmp_path / "checkpoint" / "model.safetensors"
    method = find("text").with_options(**{option: str(tmp_path / "checkpoint")})
    marks = set()
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        marks.add(fingerprint(Batch(("in",), "out", JobSpec(method, Settings()))))
    assert len(marks) == 2
