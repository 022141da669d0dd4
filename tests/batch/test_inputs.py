"""What a batch works on: one item for every entry, whatever it is, and names that stay inside the folder of the outputs."""

import gc
import os
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest

from figureground.batch.inputs import InputOptions, Item, items
from figureground.errors import FigureGroundError, UnreadablePicture, UsageError
from figureground.io.storage import key, open_source
from figureground.settings import Settings


def listed(spec, **reading) -> list[Item]:
    return list(items(str(spec), InputOptions(**reading)))


def facts(found) -> list[tuple[str, str]]:
    return [(item.name, item.code) for item in found]


@pytest.fixture
def tree(tmp_path) -> Path:
    root = tmp_path / "in"
    for name in ("b.jpg", "a.PNG", "notes.txt", "sub/c.webp", "sub/deep/d.tif", "z.jpeg"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def test_a_folder_gives_every_file_in_order_and_says_which_are_no_pictures(tree):
    assert facts(listed(tree)) == [
        ("a.PNG", ""),
        ("b.jpg", ""),
        ("notes.txt", "not_a_picture"),
        ("z.jpeg", ""),
        ("sub/c.webp", ""),
        ("sub/deep/d.tif", ""),
    ]


def test_a_stamp_changes_with_size_and_time(tree):
    (before,) = [item.stamp for item in listed(tree) if item.name == "b.jpg"]
    os.utime(tree / "b.jpg", ns=(0, 12345))
    (touched,) = [item.stamp for item in listed(tree) if item.name == "b.jpg"]
    (tree / "b.jpg").write_bytes(b"longer than it was")
    os.utime(tree / "b.jpg", ns=(0, 12345))
    (grown,) = [item.stamp for item in listed(tree) if item.name == "b.jpg"]
    assert len({before, touched, grown}) == 3


def test_pipes_loops_and_links_are_rows_with_a_reason(tree, tmp_path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"not yours")
    os.mkfifo(tree / "pipe.jpg")
    (tree / "out.jpg").symlink_to(secret)
    (tree / "in.jpg").symlink_to(tree / "b.jpg")
    (tree / "loop").symlink_to(tree)
    (tree / "loop.jpg").symlink_to(tree / "loop.jpg")
    (tree / "dir.png").mkdir()
    found = dict(facts(listed(tree)))
    assert found["pipe.jpg"] == "not_a_regular_file"
    assert found["out.jpg"] == "link_outside"
    assert found["in.jpg"] == ""
    assert found["loop"] == "not_a_regular_file"
    assert found["loop.jpg"] == "not_found"
    assert "dir.png" not in found  # a folder, whatever its name
    assert dict(facts(listed(tree, follow_links=True)))["out.jpg"] == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_a_failed_row(tree):
    (tree / "sub").chmod(0)
    try:
        found = dict(facts(listed(tree)))
    finally:
        (tree / "sub").chmod(0o755)
    assert found["sub"] == "permission_denied"


def test_a_folder_that_goes_away_is_a_failed_row(tree):
    walk = items(str(tree), InputOptions())
    first = [next(walk) for _ in range(4)]
    assert [item.name for item in first] == ["a.PNG", "b.jpg", "notes.txt", "z.jpeg"]
    for path in (tree / "sub/deep/d.tif", tree / "sub/c.webp"):
        path.unlink()
    (tree / "sub/deep").rmdir()
    (tree / "sub").rmdir()
    (gone,) = walk
    assert (gone.name, gone.state, gone.code) == ("sub", "failed", "not_found")


def test_names_that_are_no_unicode_keep_their_bytes(tree):
    name = os.fsdecode(b"caf\xe9.jpg")
    (tree / name).write_bytes(b"x")
    assert name in [item.name for item in listed(tree)]


def test_a_very_deep_folder_is_walked(tmp_path):
    root = tmp_path / "in"
    deep = root.joinpath(*["d"] * 60)
    deep.mkdir(parents=True)
    (deep / "x.jpg").write_bytes(b"x")
    assert [item.name for item in listed(root)] == ["/".join(["d"] * 60) + "/x.jpg"]


def test_outputs_among_the_inputs_are_left_out(tree):
    out = tree / "out"
    out.mkdir()
    (out / "b.cutout.png").write_bytes(b"x")
    assert "out/b.cutout.png" in dict(facts(listed(tree)))
    assert "out/b.cutout.png" not in dict(facts(listed(tree, exclude=(str(out),))))
    assert listed(out / "b.cutout.png", exclude=(str(out),))[0].code == "inside_output"


def test_a_glob_names_from_where_it_is_plain_on(tree):
    assert facts(listed(tree / "**" / "*.tif")) == [("sub/deep/d.tif", "")]
    assert facts(listed(tree / "sub" / "*.w*")) == [("c.webp", "")]
    with pytest.raises(UnreadablePicture, match="no file matches"):
        listed(tree / "*.gif")


def test_a_list_is_mirrored_below_the_deepest_common_folder(tree, tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(
        f"# mine\n{tree}/sub/c.webp\n\n{tree}/notes.txt\nhttps://example.com/some/dog.jpg?size=2\n{tree}/none.jpg\n"
    )
    assert facts(listed(f"@{path}")) == [("sub/c.webp", ""), ("notes.txt", ""), ("dog", ""), ("none.jpg", "not_found")]
    with pytest.raises(UnreadablePicture, match=r"the list .* cannot be read"):
        listed("@none.txt")


def test_a_table_wants_a_column(tree, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"id,url,file2\n1,https://example.com/a.jpg,{tree}/b.jpg\n2,,{tree}/a.PNG\n")
    assert facts(listed(path)) == [("a", "")]
    assert facts(listed(path, column="file2")) == [("b.jpg", ""), ("a.PNG", "")]
    with pytest.raises(UsageError, match="no column 'x'"):
        listed(path, column="x")
    path.write_text("id,colour\n1,red\n")
    with pytest.raises(UsageError, match="--column: id, colour"):
        listed(path)
    path.write_text(f"whatever\n{tree}/b.jpg\n")
    assert facts(listed(path)) == [("b.jpg", "")]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_members_of_archives_are_read_and_cannot_leave_the_folder(tree, tmp_path, suffix):
    path = tmp_path / f"all{suffix}"
    names = {"a.PNG": "a.PNG", "sub/c.webp": "../../sub/c.webp", "notes.txt": "notes.txt"}
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, member in names.items():
                archive.write(tree / name, member)
    else:
        with tarfile.open(path, "w:gz" if suffix.endswith("gz") else "w") as archive:
            for name, member in names.items():
                archive.add(tree / name, member)
    found = listed(path)
    assert sorted(facts(found)) == [("a.PNG", ""), ("notes.txt", "not_a_picture"), ("sub/c.webp", "")]
    assert all(item.stamp for item in found)
    read = {item.name: open_source(item.source, Settings()).data for item in found}
    assert read["a.PNG"] == b"a.PNG"
    assert read["sub/c.webp"] == b"sub/c.webp"


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
def test_archives_that_are_no_longer_kept_open_are_closed(tmp_path, suffix):
    """Else a warning comes at some later time, from elsewhere."""
    paths = [tmp_path / f"{number}{suffix}" for number in range(7)]
    for path in paths:
        if suffix == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("a.jpg", path.name)
        else:
            with tarfile.open(path, "w:gz" if suffix == ".tgz" else "w") as archive:
                (tmp_path / "a.jpg").write_text(path.name)
                archive.add(tmp_path / "a.jpg", "a.jpg")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        read = [open_source(f"{path}::a.jpg", Settings()).data.decode() for path in paths]
        gc.collect()
    assert read == [path.name for path in paths]
    assert [str(each.message) for each in warned] == []


def test_a_broken_archive_and_a_lost_member_are_one_clear_line(tmp_path):
    for name in ("x.zip", "x.tar"):
        (tmp_path / name).write_bytes(b"no archive at all")
        with pytest.raises(UnreadablePicture, match=r"the archive .* cannot be read"):
            listed(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr("a.jpg", b"1234")
    with pytest.raises(UnreadablePicture, match=r"b\.jpg' cannot be read"):
        open_source(f"{tmp_path / 'y.zip'}::b.jpg", Settings())
    with pytest.raises(FigureGroundError, match="at most 3 are read"):
        open_source(f"{tmp_path / 'y.zip'}::a.jpg", Settings(max_bytes=3))


def test_what_is_not_there_is_an_item_that_failed(tmp_path):
    (item,) = listed(tmp_path / "none")
    assert (item.state, item.code) == ("failed", "not_found")


def test_keys_are_what_some_disks_take_for_one_name():
    assert key("sub/Ä.JPG") == key("SUB/a\u0308.jpg")
    assert key("a") != key("b")


def test_the_folder_one_is_in_is_not_named(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    for name in ("1.jpg", "a/2.jpg"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    for spec in (".", "./", "a/.."):
        found = [(item.source, item.name) for item in items(spec, InputOptions())]
        above = "a/../" if spec == "a/.." else ""
        assert found == [(f"{above}1.jpg", "1.jpg"), (f"{above}a/2.jpg", "a/2.jpg")]
