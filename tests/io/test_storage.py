"""Batches from and to object storage: a local server that speaks S3, reached through fsspec as a real one is."""

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from commandline import command
from drawn import pair
from figureground.batch.inputs import InputOptions, items
from figureground.errors import MissingExtra, UsageError, WriteFailed
from figureground.io.storage import Bucket, filesystem, open_source
from figureground.settings import Settings

pytest.importorskip("s3fs", reason="object storage needs the extra 'cloud'")
pytest.importorskip("moto", reason="no S3 server to test against")

SERVER = """
import sys, time
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def endpoint():
    """A server in a process of its own, so that worker processes reach it too."""
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    host, port = server.stdout.readline().split()
    yield f"http://{host}:{port}"
    server.stdin.close()
    server.wait(10)
    server.stdout.close()


@pytest.fixture
def bucket(endpoint, monkeypatch):
    """An address under which four pictures and a note lie."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    fs, _ = filesystem("s3://shop")
    fs.invalidate_cache()
    if fs.exists("shop"):
        fs.rm("shop", recursive=True)
    fs.mkdir("shop")
    for seed, name in enumerate(("a.jpg", "a.png", "sub/b.jpg", "c.jpg")):
        fs.pipe_file(f"shop/in/{name}", encoded(seed, Path(name).suffix))
    fs.pipe_file("shop/in/notes.txt", b"no picture")
    fs.pipe_file("shop/in/cut.jpg", encoded(9, ".jpg")[:400])
    return fs


def encoded(seed: int, suffix: str) -> bytes:
    return cv2.imencode(suffix, pair(seed)[0])[1].tobytes()


def test_objects_are_items_with_checksums(bucket):
    found = list(items("s3://shop/in", InputOptions()))
    assert [(item.name, item.code) for item in found] == [
        ("a.jpg", ""),
        ("a.png", ""),
        ("c.jpg", ""),
        ("cut.jpg", ""),
        ("notes.txt", "not_a_picture"),
        ("sub/b.jpg", ""),
    ]
    assert all(item.stamp for item in found)
    assert [item.name for item in items("s3://shop/in/*.jpg", InputOptions())] == ["a.jpg", "c.jpg", "cut.jpg"]
    assert [item.name for item in items("s3://shop/in/a.jpg", InputOptions())] == ["a.jpg"]
    assert open_source(found[0].source, Settings()).data == encoded(0, ".jpg")


def test_a_batch_from_a_bucket_to_a_bucket(bucket, tmp_path):
    words = "batch", "s3://shop/in", "s3://shop/out", "--ledger", tmp_path, "--workers", 1, "--json"
    end = command(*words)
    assert end.code == 1
    assert {line.get("code") for line in end.lines()[:-1]} == {None, "truncated"}
    made = sorted(path.removeprefix("shop/out/") for path in bucket.find("shop/out"))
    assert made == ["a.jpg.cutout.png", "a.png.cutout.png", "c.cutout.png", "sub/b.cutout.png"]
    bucket.pipe_file("shop/in/c.jpg", encoded(7, ".jpg"))
    bucket.rm("shop/out/sub/b.cutout.png")
    assert command(*words).lines()[-1]["summary"]["done_now"] == 2
    # and the same bytes as on a disk
    bucket.get("shop/in/", str(tmp_path / "in/"), recursive=True)
    assert command("batch", tmp_path / "in", tmp_path / "out").code == 1
    bucket.invalidate_cache()
    for path in (tmp_path / "out").rglob("*.png"):
        assert bucket.cat_file(f"shop/out/{path.relative_to(tmp_path / 'out').as_posix()}") == path.read_bytes()


def test_what_is_not_there_is_one_clear_line(bucket, tmp_path):
    out = tmp_path / "out"
    command("batch", "s3://nowhere/in", out).refused(3, "s3://nowhere/in")
    command("batch", "s3://shop/none", out).refused(3, "not_found", "nothing at")
    command("batch", "spaceship://x/y", out).refused(2, "spaceship://x/y")
    command("batch", "s3://shop/in", "s3://shop/out").refused(2, "--ledger")
    with pytest.raises(UsageError):
        filesystem("spaceship://x")
    with pytest.raises(WriteFailed, match="cannot be written"):
        Bucket("s3://no-such-bucket/out").write(b"x", "a.png")


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtra, match=r"figureground\[cloud\]"):
        filesystem("s3://shop/in")
