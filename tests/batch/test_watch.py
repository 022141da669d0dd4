"""Which files a watched folder gives: those that have rested, by a clock of the test's own."""

from types import SimpleNamespace

import pytest

from figureground.batch import watch
from figureground.batch.inputs import Item
from figureground.batch.watch import StableFileFilter


@pytest.fixture
def looks(monkeypatch):
    """Looks at a file at so many seconds with that stamp: whether it is taken. The ledger has what was taken."""
    taken = {}
    ledger = SimpleNamespace(has_changed=lambda item: taken.get(item.source) != item.stamp)
    rested = StableFileFilter(ledger, 2.0)

    def look(seconds, stamp, source="a.jpg"):
        monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: 1000.0 + seconds))
        found = rested(Item(source, source, stamp))
        if found:
            taken[source] = stamp
        return found

    return look


def test_a_file_is_taken_once_it_has_rested(looks):
    assert [looks(at, "9:1") for at in (0, 1, 1.9, 2, 3, 9)] == [False, False, False, True, False, False]


def test_a_file_that_grows_is_left_until_it_has_rested(looks):
    assert not any(looks(at, f"{at}:1") for at in range(8))
    assert [looks(at, "7:1") for at in (8, 8.9, 9)] == [False, False, True]


def test_files_rest_on_their_own_and_one_that_changes_is_taken_again(looks):
    assert [looks(0, "1:1"), looks(1, "1:1", "b.jpg")] == [False, False]
    assert [looks(2, "1:1"), looks(2, "1:1", "b.jpg")] == [True, False]
    assert [looks(at, "5:2") for at in (3, 4, 5)] == [False, False, True]
