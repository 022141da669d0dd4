"""What is tried again, how often, and what is not."""

import pytest

from figureground.errors import WriteFailed
from figureground.io.retry import LONGEST, retry
from figureground.io.storage import Bucket


class Shaky:
    """A file system that fails some times before it does what it is asked."""

    def __init__(self, error, times):
        self.error, self.times, self.calls = error, times, 0

    def pipe_file(self, path, data):
        self.calls += 1
        if self.calls <= self.times:
            raise self.error


@pytest.mark.parametrize("error", [OSError("An error occurred (503) SlowDown"), ConnectionResetError("reset by peer")])
def test_a_busy_storage_is_asked_again_twice_at_most(monkeypatch, error):
    monkeypatch.setattr("figureground.io.retry.PAUSES", (0.0, 0.0))
    for times in (2, 3):
        monkeypatch.setattr(
            "figureground.io.storage.filesystem", lambda address, times=times: (Shaky(error, times), "shop/out")
        )
        bucket = Bucket("s3://shop/out")
        if times == 2:
            bucket.write(b"x", "a.png")
        else:
            with pytest.raises(WriteFailed):
                bucket.write(b"x", "a.png")
        assert bucket.fs.calls == 3


def test_a_storage_that_refuses_is_asked_once(monkeypatch):
    monkeypatch.setattr("figureground.io.storage.filesystem", lambda address: (Shaky(PermissionError("403"), 9), "shop/out"))
    bucket = Bucket("s3://shop/out")
    with pytest.raises(WriteFailed, match="403"):
        bucket.write(b"x", "a.png")
    assert bucket.fs.calls == 1


def test_the_pause_is_what_the_server_asks_for_but_bounded(monkeypatch):
    pauses = []
    monkeypatch.setattr("figureground.io.retry.time.sleep", pauses.append)

    def fail():
        raise ConnectionResetError

    for asked, least, most in ((0.0, 0.3, 0.45), (2.0, 2.0, 2.0), (3600.0, LONGEST, LONGEST)):
        pauses.clear()
        with pytest.raises(ConnectionResetError):
            retry(fail, lambda _, asked=asked: asked)
        assert len(pauses) == 2
        assert least <= pauses[0] <= most
