"""Every row of ours in the guide for those who come from another program is run."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

import figureground
from commandline import command
from figureground.compat import rembg
from figureground.compat.rembg.command import main
from figureground.models.onnx_saliency import NO_CHECKSUM
from photographs import FOLDER
from small_onnx import save

PAGE = Path(__file__).parents[2] / "docs" / "coming-from.md"
TABLE_ROW = re.compile(r"^\| (.+?) (?<!\\)\| (`.+`) \|$", re.MULTILINE)
OURS = sorted({ours.strip("`") for _, ours in TABLE_ROW.findall(PAGE.read_text("utf-8"))})
COMPAT = "python -m figureground.compat.rembg "


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder with what the rows name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "rembg"))
    monkeypatch.setenv(NO_CHECKSUM, "1")
    save(tmp_path / "rembg", "u2netp", 320)
    save(tmp_path, "my", 320)
    (tmp_path / "photos").mkdir()
    with Image.open(FOLDER / "coffee.jpg") as photo:
        small = photo.convert("RGB").resize((600, 560))
    for name in ("photo.jpg", "beach.jpg", "photos/one.jpg"):
        small.save(name)


def test_every_section_has_rows():
    assert len(OURS) > 35
    assert len(re.findall("^## ", PAGE.read_text("utf-8"), re.MULTILINE)) == 5


@pytest.mark.parametrize("ours", OURS)
def test_a_row(ours, tmp_path, monkeypatch):
    if ours.startswith("figureground "):
        words = shlex.split(ours)[1:]
        with Path("photo.jpg").open() as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            ended = command(*words)
        assert ended.code == 0, ended
        if "-o" in words:
            assert Path(words[words.index("-o") + 1]).exists()
    elif ours.startswith(COMPAT):
        result = CliRunner().invoke(main, shlex.split(ours.removeprefix(COMPAT)))
        assert result.exit_code == 0, result.output
    elif ours.startswith("from "):
        exec(ours, {})  # noqa: S102
    else:
        with Image.open("photo.jpg") as image:
            image = image.resize((96, 90))  # noqa: PLW2901
        session = rembg.new_session("u2netp")
        names = {"remove": rembg.remove, "new_session": rembg.new_session, "figureground": figureground, "session": session}
        assert eval(ours, {**names, "image": image, "data": Path("photo.jpg").read_bytes()}) is not None  # noqa: S307
