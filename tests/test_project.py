"""The project keeps its own promises: what the docs say exists, what exists is in the docs."""

import re
import subprocess
import sys
from dataclasses import fields

import click
import pytest

import figureground
from figureground.cli.main import main
from figureground.compositing.options import PRESETS, EditOptions
from figureground.io.encode import ENCODERS
from figureground.methods import METHODS, find
from figureground.models import card
from figureground.separation import VIEWS
from figureground.settings import Settings
from photographs import ROOT

sys.path.insert(0, str(ROOT / "docs"))
try:
    from make_editing import SHEETS
finally:
    sys.path.pop(0)

README = (ROOT / "README.md").read_text("utf-8")
DOCS = "\n".join(path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))])
SOURCES = sorted((ROOT / "src").rglob("*.py"))
COMMANDS = main.list_commands(click.Context(main))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_file_begins_with_what_it_is(path):
    assert path.read_text("utf-8").startswith('"""')


def test_commands_md_is_what_the_help_says():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from make import commands
    finally:
        sys.path.pop(0)
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == commands(), "run: make docs"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_shown_in_the_docs(name):
    assert re.search(rf"figureground {name}\b", DOCS.replace((ROOT / "docs" / "commands.md").read_text("utf-8"), ""))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name):
    for parameter in main.get_command(click.Context(main), name).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", METHODS)
def test_every_method_stands_in_the_readme_with_its_license(name):
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}`"))
    assert card(find(name).model).license in row


@pytest.mark.parametrize("word", [*VIEWS, *ENCODERS, *(f"FIGUREGROUND_{field.name.upper()}" for field in fields(Settings))])
def test_views_formats_and_settings_are_in_the_docs(word):
    assert f"`{word}" in DOCS


def test_the_readme_says_on_what_the_network_was_trained():
    assert "DUTS-TR" in README and "no license" in README and "Clothing Co-Parsing" in README


def test_the_python_examples_of_the_readme_run(tmp_path):
    first, *others = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in first.splitlines() if line]) == 2
    (tmp_path / "photo.jpg").write_bytes((ROOT / "tests" / "pictures" / "coffee.jpg").read_bytes())
    code = "\n".join([first, *others])
    end = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (end.returncode, end.stderr) == (0, "")
    assert "photo.png" in {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("field", fields(EditOptions), ids=lambda field: field.name)
def test_every_edit_is_in_its_guide_with_a_picture(field):
    guide = (ROOT / "docs" / "guides" / "editing.md").read_text("utf-8")
    flag = f"--{field.name.replace('_', '-')}"
    assert re.search(rf"`{flag}\b", guide)
    shown = {name for name, panels in SHEETS.items() if any(f"{flag} " in f"{panel} " for panel in panels)}
    assert shown
    for name in shown:
        assert f"](../pictures/editing-{name}.webp)" in guide
        assert (ROOT / "docs" / "pictures" / f"editing-{name}.webp").stat().st_size < 250_000


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_in_its_guide_with_a_picture(preset):
    assert f"| `{preset}` |" in (ROOT / "docs" / "guides" / "editing.md").read_text("utf-8")
    assert any(f"--preset {preset}" in panel for panel in SHEETS["presets"])


def test_the_changelog_begins_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(r"^## (\S+)", text, re.MULTILINE).group(1) == figureground.__version__


def test_what_is_shipped_is_small():
    assets = ROOT / "src" / "figureground" / "assets"
    assert (assets / "saliency.onnx").stat().st_size <= 12 * 2**20
    assert (assets / "saliency.safetensors").exists()
    for part in ("Command", "Seed", "Data", "Figures"):
        assert part in (assets / "saliency.md").read_text("utf-8")


def test_makefile_recipes_are_in_the_readme():
    for target in ("run", "test"):
        assert f"make {target}" in README


def test_every_target_of_the_makefile_is_in_contributing():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"test", "check", "bench-test", "stress"} < set(targets)
    assert [target for target in targets if f"| `make {target}` |" not in text] == []
