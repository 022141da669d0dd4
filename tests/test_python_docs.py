"""docs/guides/python.md: every public name has an example, every example runs, and type checkers know the types."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from shutil import which

import cv2
import numpy as np
import pytest
from PIL import Image

import figureground
from photographs import FOLDER, ROOT

PAGE = (ROOT / "docs" / "guides" / "python.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python *(\w*)\n(.*?)```", PAGE, re.DOTALL)
PLAIN = [code for needs, code in EXAMPLES if not needs]


def run(code, scope):
    exec(compile(code, "docs/guides/python.md", "exec"), scope)  # noqa: S102  # our own page


@pytest.mark.parametrize("name", figureground.__all__)
def test_every_public_name_has_a_section_and_an_example(name):
    assert re.search(rf"^## .*\b{name}\b", PAGE, re.MULTILINE)
    assert any(re.search(rf"\b{name}\b", code) for code in PLAIN)


def test_the_examples_run_and_print_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = cv2.resize(cv2.imread(str(FOLDER / "coffee.jpg")), (600, 400))
    cv2.imwrite("photo.jpg", photo)
    before, lines = Path("photo.jpg").read_bytes(), []
    scope = {"__name__": "example", "print": lambda *values: lines.append(" ".join(map(str, values)))}
    for code in PLAIN:
        run(code, scope)
    for said in re.findall(r"print\(.*\)  # (.*)", "".join(PLAIN)):
        if said[:1] in ("<", "'") or " " not in said or said.startswith("missing"):
            beginning = said.partition("…")[0].partition(", 24")[0]
            assert any(line.startswith(beginning) for line in lines), said
    assert Path("photo.jpg").read_bytes() == before
    deep = cv2.imread("deep.png", cv2.IMREAD_UNCHANGED)
    assert deep.dtype == np.uint16 and deep.shape == (48, 64, 4)
    assert cv2.imread("photo.png", cv2.IMREAD_UNCHANGED).shape == (400, 600, 4)
    for name in ("white.jpg", "on-white.jpg"):
        assert cv2.imread(name)[0, 0].min() >= 250, "the corner is background"


@pytest.mark.parametrize("page", ["arrays", "guides/batches", "guides/editing"])
def test_the_examples_of_other_pages_run(page, tmp_path):
    """In a process of their own, in a folder with the files that the pages name."""
    photo = cv2.resize(cv2.imread(str(FOLDER / "coffee.jpg")), (150, 100))
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/one.jpg"):
        cv2.imwrite(str(tmp_path / name), photo)
    frames = [Image.fromarray(np.roll(photo[..., ::-1], 4 * step, 1)) for step in range(2)]
    frames[0].save(tmp_path / "cup.gif", save_all=True, append_images=frames[1:])
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    (tmp_path / "example.py").write_text(code, "utf-8")
    words = [sys.executable, "example.py"]
    end = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert code and end.returncode == 0, end.stderr
    if page == "guides/batches":
        assert (tmp_path / "out" / "one.cutout.png").is_file()


GOOD = """
from pathlib import Path

import numpy as np
from PIL import Image
from typing_extensions import assert_type

import figureground
from figureground import METHODS, InputError, Method, Picture, Prompt, Result, Separation, Separator, Settings, remove, separate

assert_type(figureground.remove("photo.jpg", quality="best", threads=2, background_classes=["sky"]), Image.Image)
assert_type(remove(Path("photo.jpg"), METHODS["subject"], Settings(threads=1)), Image.Image)
prompt = Prompt("the dog", ["a chair"], points=[(50, 50), ("50%", 40.5)], box=(1, 2, 3, 4))
prompt = Prompt(["the dog"], not_points=[[np.int64(1), np.float32(2)]], points=np.ones((3, 2)))
done = separate(b"", "subject", prompt=prompt)
assert_type(done, Separation)
assert_type(done.box(), tuple[int, int, int, int] | None)
assert_type(done.to_pil("mask"), Image.Image)
assert_type(done.to_bytes("png", view="mask", png_effort="best"), bytes)
done.save(Path("photo.png"), "cutout", background="white", quality=None)
mask: np.ndarray = done.mask
separator = Separator("subject", device="cpu", cache=Path("cache"))
results: list[Result[str, Separation]] = list(separator.map(["a.jpg", "b.jpg"]))
assert_type(next(separator.map(["a.jpg"], finish=lambda done: done.picture.name)).get(), str)
try:
    print(Picture.read("photo.jpg").rgb.shape, Method("saliency", "salient").options, figureground.__version__)
except InputError as error:
    assert_type(error.code, str)
"""
WRONG = """
import figureground

figureground.sepparate("photo.jpg")
figureground.Separator(3)
figureground.separate("photo.jpg").cutuot()
figureground.separate("photo.jpg").save()
figureground.Prompt(points=5)
figureground.Settings(threads="two")
figureground.separate("photo.jpg").to_bytes("png", png_effort="most")
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """A user's folder with two scripts, and a Python that has the package as a distribution would install it."""
    folder = tmp_path_factory.mktemp("user")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    [site] = folder.glob("venv/lib/python*/site-packages")
    (site / "figureground").symlink_to(ROOT / "src" / "figureground")
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    (folder / "good.py").write_text(GOOD)
    (folder / "wrong.py").write_text(WRONG)
    return folder


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "src" / "figureground" / "py.typed").is_file()


CHECKERS = {
    "mypy": ["-m", "mypy", "--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache' / 'user'}", "--python-executable"],
    "pyright": ["-m", "pyright", "--pythonpath"],
}


@pytest.mark.parametrize("name", [pytest.param("mypy", marks=pytest.mark.slow), "pyright"])
def test_a_type_checker_knows_the_types_of_a_users_script(user, name):
    if name == "pyright":
        pytest.importorskip("pyright")
        if not which("node"):
            pytest.skip("pyright needs node")
    python = user / "venv" / "bin" / "python"
    words = [sys.executable, *CHECKERS[name], python, "good.py", "wrong.py"]
    environment = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}  # it does not ask whether there is a newer one
    end = subprocess.run(words, cwd=user, env=environment, capture_output=True, text=True, timeout=120, check=False)
    found = {(file, int(line)) for file, line in re.findall(r"(\w+\.py):(\d+):.* ?error", end.stdout)}
    wrong = {("wrong.py", number) for number, line in enumerate(WRONG.splitlines(), 1) if line.startswith("figureground.")}
    assert found == wrong, end.stdout + end.stderr
