"""The scripts in examples/ do what they say; ray_data.py runs in batch/test_ray.py, beside a cluster."""

import csv
import re
import runpy
import sys

import numpy as np
import pytest
from PIL import Image

from photographs import FOLDER, ROOT

EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))


def run(name, *words, monkeypatch):
    """Run a script as `python NAME WORDS` does."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    try:
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    except SystemExit as end:
        return end.code


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name in ("coffee", "rocket"):
        with Image.open(FOLDER / f"{name}.jpg") as image:
            image.resize((300, 200)).save(folder / f"{name}.jpg")
    return folder


def test_every_example_is_listed_and_tested():
    listed = re.findall(r"^\| \[(\w+\.py)\]", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == SCRIPTS
    assert len(SCRIPTS) == 8
    tests = "".join((ROOT / "tests" / name).read_text("utf-8") for name in ("test_examples.py", "batch/test_ray.py"))
    assert [name for name in SCRIPTS if f'"{name}"' not in tests] == []


def test_shop_pictures_are_white_squares(photos, tmp_path, monkeypatch):
    assert run("shop_pictures.py", photos, tmp_path / "out", 240, monkeypatch=monkeypatch) == 0
    with Image.open(tmp_path / "out" / "coffee.jpg") as image:
        pixels = np.asarray(image).min(axis=2)
    assert pixels.shape == (240, 240)
    assert min(pixels[:15].min(), pixels[-15:].min(), pixels[:, :15].min(), pixels[:, -15:].min()) >= 245
    rows, columns = np.nonzero(pixels < 200)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(240 * 0.84, abs=6)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(120, abs=6)


def test_shop_pictures_that_cannot_be_read_give_1(photos, tmp_path, monkeypatch, capsys):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    assert run("shop_pictures.py", tmp_path, tmp_path / "out", monkeypatch=monkeypatch) == 1
    assert "bad.jpg" in capsys.readouterr().out


def test_the_contact_sheet_has_a_cell_for_each_picture(photos, tmp_path, monkeypatch):
    run("contact_sheet.py", photos, tmp_path / "sheet.png", monkeypatch=monkeypatch)
    with Image.open(tmp_path / "sheet.png") as image:
        pixels = np.asarray(image).astype(int)
    assert pixels.shape == (260, 510, 3)
    cells = [pixels[:, 10:250], pixels[:, 260:500]]
    assert all((abs(cell - 0xE8).max(axis=2) > 30).mean() > 0.01 for cell in cells), "both show a subject"


def test_a_dataset_is_listed_the_most_doubtful_first(photos, tmp_path, monkeypatch):
    for path in photos.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    run("clean_dataset.py", tmp_path, tmp_path / "table.csv", monkeypatch=monkeypatch)
    with (tmp_path / "table.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"] for row in rows] == ["bad.jpg", "rocket.jpg", "coffee.jpg"]
    assert [row["check"] for row in rows] == ["yes", "yes", "no"]
    assert rows[0]["error"] == "unsupported_format"


def test_the_fastapi_handler_cuts_out_and_names_what_is_wrong(monkeypatch):
    client = pytest.importorskip("fastapi.testclient")
    scope = run("fastapi_app.py", monkeypatch=monkeypatch)
    with client.TestClient(scope["app"]) as server:
        answer = server.post("/cutout", content=(FOLDER / "rocket.jpg").read_bytes())
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        refused = server.post("/cutout", content=b"no picture")
        assert (refused.status_code, refused.json()["detail"]["code"]) == (422, "unsupported_format")


def test_the_notebook_runs_cell_by_cell(photos, monkeypatch, capsys):
    scope = run("notebook.py", photos / "coffee.jpg", monkeypatch=monkeypatch)
    assert scope["done"].has_foreground()
    assert "'found': True" in capsys.readouterr().out


def test_the_custom_rule_keeps_one_part(tmp_path, monkeypatch):
    from figureground.types import SaliencyMap

    values = np.zeros((20, 40), np.float32)
    values[5:10, 5:10], values[5:10, 25:35] = 0.8, 0.9
    rule = run("custom_rule.py", FOLDER / "coffee.jpg", tmp_path / "cut.png", monkeypatch=monkeypatch)["most_salient_part"]
    assert (rule(SaliencyMap(values)) > 0).sum() == 50
    with Image.open(tmp_path / "cut.png") as image:
        assert 0.1 < np.mean(np.asarray(image)[..., 3] > 127) < 0.9


def test_the_custom_model_finds_a_thing_on_a_plain_ground(tmp_path, monkeypatch):
    pixels = np.full((80, 120, 3), (200, 210, 220), np.uint8)
    pixels[20:60, 30:80] = (180, 40, 30)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    run("custom_model.py", tmp_path / "photo.png", tmp_path / "cut.png", monkeypatch=monkeypatch)
    with Image.open(tmp_path / "cut.png") as image:
        found = np.asarray(image)[..., 3] > 127
    truth = np.zeros((80, 120), bool)
    truth[20:60, 30:80] = True
    assert (found & truth).sum() / (found | truth).sum() > 0.97
