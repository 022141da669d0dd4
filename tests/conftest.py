"""Fixtures that several test files share."""

import pytest

from figureground.settings import Settings
from photographs import FOLDER


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
