"""The ledger: a row for every input, names that never meet, and what waits again when."""

import itertools
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.batch.inputs import Item
from figureground.batch.ledger import Ledger, Outcome, ResumePolicy
from figureground.batch.status import summary
from figureground.errors import BatchAborted
from figureground.io.storage import Folder, key

ORDER = ResumePolicy("f1", (".cutout.png",))


class Desk:
    """A ledger in a folder, and what tests do with it again and again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.place = folder, Folder(str(folder))
        self.ledger = Ledger(folder / "figureground-ledger.sqlite")

    def run(self, found, order=ORDER) -> list[str]:
        """A run begins; the stems of what is to be done."""
        self.ledger.begin(["in"], "{}", "local", 1)
        self.ledger.register(found, order, self.place)
        return [task.stem for task in self.ledger.waiting()]

    def do_all(self, order=ORDER, **outcome) -> None:
        for task in list(self.ledger.waiting()):
            files = {}
            for end in order.endings:
                self.place.write(b"1234", task.stem + end)
                files[task.stem + end] = 4
            self.ledger.record(Outcome(task.number, **{"state": "done", "files": files, **outcome}))


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path / "out")
    yield desk
    desk.ledger.close()


def inputs(*names, stamp="1"):
    return [Item(f"in/{name}", name, stamp) for name in names]


def test_every_input_is_one_row(desk):
    found = [*inputs("a.jpg", "b.jpg"), Item("in/n.txt", "n.txt", "1", "skipped", "not_a_picture", "no")]
    found.append(Item("in/x", "x", "", "failed", "permission_denied", "no"))
    assert desk.run([*found, *inputs("a.jpg")]) == ["a", "b"]
    assert desk.ledger.counts() == {"waiting": 2, "done": 0, "failed": 1, "skipped": 1}
    desk.do_all()
    assert desk.ledger.counts() == {"waiting": 0, "done": 2, "failed": 1, "skipped": 1}


def test_what_is_done_stands_and_what_changed_is_done_again(desk):
    assert desk.run(inputs("a.jpg", "b.jpg", "c.jpg")) == ["a", "b", "c"]
    desk.do_all()
    assert desk.run(inputs("a.jpg", "b.jpg", "c.jpg")) == []
    assert desk.run([*inputs("a.jpg", "c.jpg"), *inputs("b.jpg", stamp="2")]) == ["b"]
    desk.do_all()
    assert desk.run(inputs("a.jpg"), ResumePolicy("f2", (".cutout.png",))) == ["a"]  # other settings
    desk.do_all()
    (desk.folder / "a.cutout.png").unlink()
    assert desk.run(inputs("a.jpg"), ResumePolicy("f2", (".cutout.png",))) == ["a"]  # its file is gone
    desk.do_all()
    (desk.folder / "a.cutout.png").write_bytes(b"cut")
    assert desk.run(inputs("a.jpg"), ResumePolicy("f2", (".cutout.png",))) == ["a"]  # another size
    desk.do_all()
    assert desk.run(inputs("a.jpg"), ResumePolicy("f2", (".cutout.png",), resume=False)) == ["a"]


def test_failed_rows_stand_unless_they_are_asked_for(desk):
    desk.run(inputs("a.jpg"))
    desk.do_all(state="failed", code="decode_error", message="broken", files={})
    assert desk.run(inputs("a.jpg")) == []
    assert desk.ledger.counts()["failed"] == 1
    assert desk.run(inputs("a.jpg", stamp="2")) == ["a"]  # it was mended
    desk.do_all(state="failed", code="decode_error", message="broken", files={})
    assert desk.run(inputs("a.jpg", stamp="2"), ResumePolicy("f1", (".cutout.png",), retry_failed=True)) == ["a"]
    desk.do_all()
    assert desk.ledger.counts() == {"waiting": 0, "done": 1, "failed": 0, "skipped": 0}


def test_stopped_is_no_outcome_of_a_picture(desk):
    desk.run(inputs("a.jpg"))
    desk.do_all(state="stopped", code="write_error", message="disk full", files={})
    assert desk.ledger.counts()["waiting"] == 1


def test_two_pictures_that_would_meet_both_say_what_they_were(desk):
    assert desk.run(inputs("a.jpg", "a.png", "b.jpg", "sub/a.jpg")) == ["a.jpg", "a.png", "b", "sub/a"]


def test_names_differ_on_disks_that_fold_case_and_unicode_too(desk):
    stems = desk.run(inputs("a.jpg", "A.JPG", "ä.jpg", "a\u0308.jpg", "a.jpeg"))
    assert len({key(stem) for stem in stems}) == 5
    assert stems[4] == "a.jpeg"
    assert stems[0].startswith("a.jpg~")


def test_the_same_name_in_two_roots_gets_a_mark_that_stays_the_same(desk, tmp_path):
    both = [Item("one/a.jpg", "a.jpg", "1"), Item("two/a.jpg", "a.jpg", "1")]
    stems = desk.run(both)
    assert len(set(stems)) == 2
    other = Desk(tmp_path / "other")
    assert other.run(reversed(both)) == stems[::-1]
    other.ledger.close()


def test_a_picture_that_comes_later_leaves_the_others_their_names(desk):
    desk.run(inputs("a.jpg"))
    desk.do_all()
    assert desk.run(inputs("a.jpg", "a.png")) == ["a.png"]
    assert (desk.folder / "a.cutout.png").exists()


def test_what_is_skipped_takes_no_name(desk):
    assert desk.run([Item("in/a.txt", "a.txt", "1", "skipped", "not_a_picture", "no"), *inputs("a.jpg")]) == ["a"]


def test_files_of_others_are_not_replaced_unless_asked(desk):
    (desk.folder / "a.cutout.png").write_bytes(b"somebody's")
    assert desk.run(inputs("a.jpg", "b.jpg")) == ["b"]
    assert summary(desk.folder)["codes"] == {"output_exists": 1}
    assert desk.run(inputs("a.jpg", "b.jpg")) == ["b"]
    assert desk.run(inputs("a.jpg", "b.jpg"), ResumePolicy("f1", (".cutout.png",), overwrite=True)) == ["a", "b"]
    # once claimed, it is ours: a run that was killed between file and row replaces it
    assert desk.run(inputs("a.jpg", "b.jpg")) == ["a", "b"]
    # other views have other names, of which one may be somebody's again
    (desk.folder / "b.mask.png").write_bytes(b"somebody's")
    assert desk.run(inputs("a.jpg", "b.jpg"), ResumePolicy("f3", (".mask.png",))) == ["a"]


def test_shards_share_the_inputs_out_and_agree_on_names(tmp_path):
    found = inputs(*(f"{i}.jpg" for i in range(200)), "7.png", "9.PNG", "9.png")
    whole = Desk(tmp_path / "whole")
    want = whole.run(found)
    parts = []
    for i in (1, 2, 3):
        desk = Desk(tmp_path / f"part{i}")
        parts.append(desk.run(found, ResumePolicy("f1", (".cutout.png",), shard=(i, 3))))
        assert desk.run(found, ResumePolicy("f1", (".cutout.png",), shard=(i, 3))) == parts[-1]
        desk.ledger.close()
    whole.ledger.close()
    assert sorted(itertools.chain(*parts)) == sorted(want)
    assert min(map(len, parts)) > 40


def test_registering_is_all_or_nothing(desk):
    def broken():
        yield from inputs("a.jpg")
        raise KeyError("the disk went away")

    with pytest.raises(KeyError):
        desk.run(broken())
    assert desk.ledger.counts() == {"waiting": 0, "done": 0, "failed": 0, "skipped": 0}


def test_names_that_are_no_unicode_come_back_as_they_were(desk):
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    desk.run(inputs(name))
    (task,) = desk.ledger.waiting()
    assert (task.source, task.stem) == (f"in/{name}", name[:-4])
    desk.do_all(message=f"'{name}' is odd")
    assert list(desk.ledger.finished()) == [(f"in/{name}", name, [f"{name[:-4]}.cutout.png"])]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.from_regex(r"([abAB]{1,2}/)?[abAB]{1,2}\.(jpg|png|JPG)", fullmatch=True), max_size=25, unique=True), st.data()
)
def test_no_two_files_ever_share_a_name(tmp_path_factory, names, data):
    """Whatever comes, in however many runs."""
    desk = Desk(tmp_path_factory.mktemp("out"))
    for _ in range(3):
        desk.run(inputs(*data.draw(st.lists(st.sampled_from(names), unique=True)) if names else ()))
        if data.draw(st.booleans()):
            desk.do_all()
    stems = [row[0] for row in sqlite3.connect(desk.ledger.path).execute("SELECT stem FROM pictures")]
    desk.ledger.close()
    assert None not in stems
    assert len({key(stem) for stem in stems}) == len(stems)


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    path = tmp_path / "figureground-ledger.sqlite"
    path.write_bytes(b"this is no database, however long it may be" * 100)
    with pytest.raises(BatchAborted, match="move it away"):
        Ledger(path)
    path.unlink()
    with sqlite3.connect(path) as base:
        base.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(BatchAborted, match="newer version of figureground"):
        Ledger(path)


def test_a_folder_without_a_ledger_is_refused(tmp_path):
    with pytest.raises(BatchAborted, match="holds no ledger"):
        summary(tmp_path)


def test_several_settings_keep_their_rows_beside_each_other(desk):
    cutouts, masks = ResumePolicy("f1", (".cutout.png",)), ResumePolicy("f2", (".mask.png",))
    assert desk.run(inputs("a.jpg", "b.jpg"), cutouts) == ["a", "b"]
    desk.do_all(cutouts)
    assert desk.run(inputs("a.jpg", "b.jpg"), masks) == ["a", "b"]
    desk.do_all(masks)
    for policy in (cutouts, masks, cutouts):
        assert desk.run(inputs("a.jpg", "b.jpg"), policy) == []
        assert desk.ledger.counts() == {"waiting": 0, "done": 2, "failed": 0, "skipped": 0}


def test_what_other_settings_wrote_under_the_same_name_is_written_again(desk):
    fine, coarse = ResumePolicy("f1", (".cutout.png",)), ResumePolicy("f2", (".cutout.png",))
    for policy in (fine, coarse, fine):
        assert desk.run(inputs("a.jpg"), policy) == ["a"]
        desk.do_all(policy)
    assert desk.run(inputs("a.jpg"), fine) == []


def test_the_files_of_an_input_keep_their_name_under_other_settings(desk):
    assert desk.run(inputs("a.jpg")) == ["a"]
    desk.do_all()
    assert desk.run(inputs("a.jpg", "a.png"), ResumePolicy("f2", (".mask.png",))) == ["a", "a.png"]


LAYOUT_1 = """
PRAGMA user_version = 1;
CREATE TABLE runs (run INTEGER PRIMARY KEY, began REAL, ended REAL, inputs TEXT, settings TEXT, engine TEXT, workers INTEGER);
CREATE TABLE pictures (
    number INTEGER PRIMARY KEY, source TEXT NOT NULL UNIQUE, name TEXT NOT NULL, stem TEXT, key TEXT, claim TEXT,
    stamp TEXT NOT NULL, fingerprint TEXT, run INTEGER NOT NULL, state TEXT NOT NULL, code TEXT, message TEXT, seconds REAL,
    width INTEGER, height INTEGER, coverage REAL, certainty REAL, box TEXT, files TEXT, finished REAL
);
CREATE INDEX keys ON pictures (key);
CREATE INDEX states ON pictures (run, state);
INSERT INTO runs (run, began) VALUES (1, 0);
INSERT INTO pictures (source, name, stem, key, claim, stamp, fingerprint, run, state, files)
VALUES ('in/a.jpg', 'a.jpg', 'a', 'a', '.cutout.png', '1', 'f1', 1, 'done', '{"a.cutout.png": 4}'),
       ('in/b.jpg', 'b.jpg', 'b', 'b', '.cutout.png', '1', 'f1', 1, 'waiting', NULL),
       ('in/c.txt', 'c.txt', NULL, NULL, NULL, '1', NULL, 1, 'skipped', NULL);
"""


def test_a_ledger_of_version_0_2_0_goes_on(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with sqlite3.connect(out / "figureground-ledger.sqlite") as base:
        base.executescript(LAYOUT_1)
    base.close()
    for name in ("a.cutout.png", "b.cutout.png"):
        (out / name).write_bytes(b"1234")
    assert summary(out)["done"] == 1  # --status reads it as it is
    desk = Desk(out)
    assert desk.run(inputs("a.jpg", "b.jpg")) == ["b"]  # what is done stands, and what was claimed may be replaced
    desk.do_all()
    assert desk.run(inputs("a.jpg", "b.jpg"), ResumePolicy("f2", (".mask.png",))) == ["a", "b"]
    desk.ledger.close()
    again = Desk(out)
    assert again.run(inputs("a.jpg", "b.jpg")) == []
    again.ledger.close()
