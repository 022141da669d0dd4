"""Fixtures that several test files share, and which tests run together."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # several test processes share the cores; read when torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from figureground.settings import Settings
from photographs import FOLDER

PROCESSES = ("tests/batch/test_ray.py", "tests/batch/test_runner.py", "tests/benchmarks/test_bars.py")
"""Files whose tests start, kill and time processes: one after the other, in one worker."""

LONGEST = (
    "processes",
    "tests/training/test_adapt.py",
    "tests/training/test_trainer.py",
)
"""The groups that take longest, by falling time: they begin first, so that all workers end at about the same time."""

MARKED = {"tests/benchmarks/": "benchmark", "tests/stress/": "stress"}
"""The marker of every test below a folder."""


def group_of(nodeid):
    """The group of a test: its file, so that the fixtures of a module are made once."""
    name = nodeid.partition("::")[0]
    return "processes" if name in PROCESSES else name


@pytest.hookimpl(tryfirst=True)  # before -m selects by markers
def pytest_collection_modifyitems(items):
    order = {group: place for place, group in enumerate(LONGEST)}
    for item in items:
        for folder, marker in MARKED.items():
            if item.nodeid.startswith(folder):
                item.add_marker(marker)
    items.sort(key=lambda item: order.get(group_of(item.nodeid), len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give the groups to the workers in the order of the tests.

    The marker xdist_group has no effect here: pytest-xdist 3.8 writes the group into a field that pytest 9.2 no longer reads.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)


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
