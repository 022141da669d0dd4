"""What is kept is whole, made once however many want it, and no loss where it cannot be kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from figureground.errors import WeightsError
from figureground.inference.cache import atomic_write, get_or_create, sha256


def test_made_once_and_then_kept(tmp_path):
    path = tmp_path / "a" / "b.onnx"
    assert get_or_create(path, lambda: b"made") == path
    assert get_or_create(path, lambda: pytest.fail("was made again")) == path
    assert path.read_bytes() == b"made"
    assert path.with_suffix(".sha256").read_text() == sha256(path)


@pytest.mark.parametrize("harm", ["other", "empty", "gone", "no hash", "broken hash"])
def test_what_is_not_whole_is_made_anew(tmp_path, harm):
    path = tmp_path / "b.onnx"
    get_or_create(path, lambda: b"made")
    beside = path.with_suffix(".sha256")
    {
        "other": lambda: path.write_bytes(b"maid"),
        "empty": lambda: path.write_bytes(b""),
        "gone": path.unlink,
        "no hash": beside.unlink,
        "broken hash": lambda: beside.write_bytes(b"\xff\xfe"),
    }[harm]()
    assert get_or_create(path, lambda: b"made anew") == path
    assert path.read_bytes() == b"made anew"


def test_where_nothing_can_be_kept_the_bytes_come_back(tmp_path):
    (tmp_path / "file").write_text("")
    assert get_or_create(tmp_path / "file" / "b.onnx", lambda: b"made") == b"made"
    assert not atomic_write(tmp_path / "file" / "b.onnx", b"made")


def test_a_read_only_folder_does_what_it_can(tmp_path, monkeypatch):
    path = tmp_path / "b.onnx"
    get_or_create(path, lambda: b"made")

    def refused(*_, **__):
        raise PermissionError(13, "read-only")

    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    monkeypatch.setattr("figureground.inference.cache.write_whole", refused)
    assert get_or_create(path, lambda: pytest.fail("is there")) == path
    assert get_or_create(tmp_path / "c.onnx", lambda: b"other") == b"other"


def test_a_failure_while_making_leaves_nothing_and_frees_the_lock(tmp_path):
    def fail():
        raise WeightsError("broken")

    with pytest.raises(WeightsError, match="broken"):
        get_or_create(tmp_path / "b.onnx", fail)
    assert get_or_create(tmp_path / "b.onnx", lambda: b"made") == tmp_path / "b.onnx"


SCRIPT = """
import sys, time
from pathlib import Path
from figureground.inference.cache import get_or_create
def make():
    print("made", flush=True)
    time.sleep(1)
    return b"made"
print(get_or_create(Path(sys.argv[1]), make).read_bytes())
"""


def test_two_processes_at_once_make_it_once(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", SCRIPT, str(tmp_path / "b.onnx")]
    both = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(said) == ["b'made'\n", "made\nb'made'\n"]


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(WeightsError, match="cannot be read"):
        sha256(tmp_path)
    assert isinstance(get_or_create(Path(tmp_path / "d.onnx"), lambda: b"x"), Path)
