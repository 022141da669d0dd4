import csv
import json

import numpy as np
import pytest
from PIL import Image

from commandline import command
from figureground.errors import BadData
from figureground.evaluation.groups import read_categories, size_group, thinness_group


def mask(height=100, width=200, *boxes):
    made = np.zeros((height, width), bool)
    for top, bottom, left, right in boxes:
        made[top:bottom, left:right] = True
    return made


@pytest.mark.parametrize(
    ("share", "group"), [(0, "empty"), (0.01, "small"), (0.1, "medium"), (0.35, "medium"), (0.36, "large"), (1, "large")]
)
def test_size_is_the_share_of_the_picture(share, group):
    assert group in size_group(mask(100, 200, (0, 100, 0, round(200 * share))))


@pytest.mark.parametrize(
    ("boxes", "group"),
    [
        ([], "empty"),
        ([(20, 80, 50, 150)], "solid"),
        ([(48, 53, 20, 180)], "above 20 %"),  # a pole
        ([(20, 80, 50, 150), (48, 54, 150, 195)], "some"),  # with a handle
        ([(0, 6, 0, 200)], "solid"),  # cut off by the frame: nothing says that it is thin
        ([(0, 100, 0, 200)], "solid"),
    ],
)
def test_thinness_is_the_share_in_thin_parts(boxes, group):
    assert group in thinness_group(mask(100, 200, *boxes))


@pytest.mark.parametrize("scale", [1, 2, 5])
def test_thinness_does_not_depend_on_the_resolution(scale):
    parts = mask(60, 80, (10, 50, 10, 50), (28, 31, 50, 78))
    assert "some" in thinness_group(parts.repeat(scale, 0).repeat(scale, 1))


def test_categories_are_found_by_name_last_part_or_stem(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("name,group\ndata.zip/a,cat\nb.jpg,dog\nc,\n", "utf-8-sig")
    found = read_categories(table, ["data.zip/a", "data.zip/b.jpg", "data.zip/c", "data.zip/d"])
    assert found == {"data.zip/a": "group: cat", "data.zip/b.jpg": "group: dog"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("name\na\n", "lacks group"),
        ("", "group and name"),
        ("name,group\nz,cat\n", "any of the pictures \\(1 picture, the first is 'data/a'\\)"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, text, match):
    table = tmp_path / "groups.csv"
    table.write_text(text)
    with pytest.raises(BadData, match=match):
        read_categories(table, ["data/a"])


def test_a_table_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "latin.csv").write_bytes(b"name,group\n\xff\xfe,cat\n")
    for path in (tmp_path / "none.csv", tmp_path / "latin.csv"):
        with pytest.raises(BadData, match="cannot be read as a CSV"):
            read_categories(path, ["a"])


def test_figures_of_each_group_from_the_command_line(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    truth = mask(40, 60, (5, 35, 20, 50))
    for name in ("one", "two", "three"):
        Image.fromarray(np.where(truth[..., None], [250, 60, 20], [20, 90, 30]).astype(np.uint8)).save(
            tmp_path / "data" / "images" / f"{name}.png"
        )
        Image.fromarray(truth.astype(np.uint8) * 255).save(tmp_path / "data" / "masks" / f"{name}.png")
    with (tmp_path / "groups.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["name", "group"], ["one", "odd"], ["two", "even"], ["three", "odd"]])
    words = [tmp_path / "data", "--groups", tmp_path / "groups.csv", "--quality", "fast"]
    end = command("evaluate", *words, "--report", tmp_path / "page.html", "--json")
    assert end.code == 0, end
    groups = json.loads(end.out)["groups"]
    assert {name: figures["pictures"] for name, figures in groups.items()} == {
        "group: even": 1, "group: odd": 2, "size: large (above 35 %)": 3, "thinness: solid (below 4 % thin)": 3,
    }  # fmt: skip
    assert groups["group: odd"]["iou"] == pytest.approx(json.loads(end.out)["mean"]["iou"])
    assert "<h2>Groups</h2>" in (tmp_path / "page.html").read_text()
    plain = command("evaluate", *words)
    assert "group: odd" in plain.out
    command("evaluate", tmp_path / "data", "--groups", tmp_path / "no.csv").refused(3, "bad_data", "no.csv")
