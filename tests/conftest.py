"""Fixtures that several test files share."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # several test processes share the cores; read when torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from figureground.settings import Settings
from photographs import FOLDER, ROOT

PROCESSES = ("tests/batch/test_ray.py", "tests/batch/test_runner.py", "tests/batch/test_bars.py")
"""Files whose tests start, kill and time processes: one after the other, in one worker."""


def pytest_collection_modifyitems(items):
    """Keep the tests of a file in one worker of pytest-xdist, so that its fixtures are made once."""
    for item in items:
        name = item.path.relative_to(ROOT).as_posix()
        item.add_marker(pytest.mark.xdist_group("processes" if name in PROCESSES else name))


@pytest.fixture
def settings(tmp_path):
    """Settings with two threads and a cache of their own."""
    return Settings(cache=tmp_path / "cache", threads=2)


@pytest.fixture
def photo(tmp_path):
    """A copy of the astronaut's photograph."""
    path = tmp_path / "photo.jpg"
    path.write_bytes((FOLDER / "astronaut.jpg").read_bytes())
    return path
