"""The README and the pages of docs/: commands and snippets run, links lead somewhere, guides begin with a picture."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from PIL import Image

from commandline import command
from figureground.cli import main as entry
from photographs import FOLDER, ROOT

DOCS = ROOT / "docs"
GUIDES = sorted((DOCS / "guides").glob("*.md"))
WRITTEN = [
    ROOT / "README.md",
    *sorted(path for path in DOCS.rglob("*.md") if path.name != "commands.md" and path.parent.name != "notes"),
]
PAGES = [
    *WRITTEN,
    DOCS / "commands.md",
    *sorted((DOCS / "notes").glob("*.md")),
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
]
FENCE = re.compile(r"^```([\w ]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NOT_RUN = {
    "weights from a hub": "--method (text|instance|depth|stuff|subject.stuff)|--against stuff|segformer|^figureground pull",
    "a network, a cluster or a bucket": r"https?://|s3://|--engine ray",
    "minutes": "^figureground (train|adapt|export)|--method my.onnx|python benchmarks",
    "an end": "--watch",
    "nothing": "^figureground COMMAND",
}
"""What a command needs that a test does not have; its words are parsed only."""


def commands_of(path):
    """The commands of a page's code blocks, without comments, with continued lines joined."""
    for language, block in FENCE.findall(path.read_text("utf-8")):
        if not language:
            for line in block.replace("\\\n", " ").splitlines():
                words = line.split(" # ")[0].strip()
                if re.search(r"(^|\| )figureground ", words):
                    yield words


COMMANDS = list(dict.fromkeys(words for path in WRITTEN for words in commands_of(path)))
RUN = [words for words in COMMANDS if not any(re.search(pattern, words) for pattern in NOT_RUN.values())]


def arguments(words):
    """The words of a command as a shell passes them: unquoted globs are expanded in the current folder."""
    for word in shlex.split(words.replace("*", "\0"))[1:] if "'" not in words else shlex.split(words)[1:]:
        if "\0" in word:
            yield from sorted(map(str, Path().glob(word.replace("\0", "*"))))
        else:
            yield word


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the pages speak of: photo.jpg, folders of photographs, a data set, a preset."""
    made = tmp_path_factory.mktemp("docs")
    for name in ("photos", "photos/sub", "mine/images", "mine/masks", "cut"):
        (made / name).mkdir(parents=True)
    with Image.open(FOLDER / "coffee.jpg") as image:
        small = image.convert("RGB").resize((450, 300))
    small.save(made / "photo.jpg")
    small.resize((150, 100)).save(made / "photos" / "a.jpg")
    frames = [small.resize((90, 60)), small.resize((90, 60)).rotate(5)]
    frames[0].save(made / "cup.gif", save_all=True, append_images=frames[1:], duration=100, loop=0)
    small.resize((120, 80)).save(made / "photos" / "sub" / "b.jpg")
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        for kind, suffix in (("images", "jpg"), ("masks", "png")):
            source = FOLDER / f"{name}.jpg" if kind == "images" else FOLDER / "masks" / f"{name}.png"
            with Image.open(source) as image:
                image.resize((96, 64)).save(made / "mine" / kind / f"{name}.{suffix}")
    for name in ("mine", "val"):
        shutil.make_archive(str(made / name), "zip", made / "mine")
    (made / "groups.csv").write_text("name,group\nastronaut,people\nchelsea,animals\ncoffee,things\nrocket,things\n")
    (made / "presets.toml").write_text('[web]\nbackground = "white"\nencoder-quality = 90\n')
    return made


def test_most_commands_run():
    assert len(RUN) >= 30
    assert all(any(path.name in str(page) for page in WRITTEN) for path in GUIDES)


@pytest.mark.parametrize("words", RUN)
def test_a_command_runs(words, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    if "|" in words:
        tool = tmp_path / "figureground"
        tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m figureground "$@"\n')
        tool.chmod(0o755)
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        end = subprocess.run(["sh", "-c", words], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
        assert end.returncode == 0, end.stderr
        return
    if words == "figureground photo.jpg":
        (folder / "photo.cutout.png").unlink(missing_ok=True)
    given = list(arguments(words))
    if given[0] == "batch" and "--status" not in given and "--report" not in given:
        given += ["--workers", "1", "--engine", "inline"]
    if "--shard" in given:  # a ledger of its own for each part, beside no other
        given[given.index("out/")] = "parts/"
    if given[0] == "app":  # it would serve until its page is closed; tests/server/test_app_command.py has it do so
        monkeypatch.setattr("figureground.server.run.serve", lambda config, ready: None)
    end = command(*given)
    assert end.code == 0, end.err


@pytest.mark.parametrize("words", [words for words in COMMANDS if words not in RUN and "COMMAND" not in words])
def test_the_options_of_a_command_that_is_not_run_exist(words, folder, monkeypatch):
    monkeypatch.chdir(folder)
    files = ("wherever.onnx", "my.onnx", "stitched.safetensors", "saliency.safetensors")
    for name in (*files, *re.findall(r"[\w./-]+\.(?:zip|txt)", words)):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    for name in ("masks", "inbox", "done", "in"):
        Path(name).mkdir(exist_ok=True)
    given = list(arguments(words))
    name, *rest = given if given[0] in entry.COMMANDS else ["remove", *given]
    above = click.Context(entry.main, info_name="figureground", **entry.main.context_settings)
    found = entry.main.get_command(above, name)
    with found.context_class(found, parent=above, info_name=name) as context:
        found.parse_args(context, rest)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_a_guide_begins_with_what_it_does_a_picture_and_an_example(path):
    title, first, picture, *others = path.read_text("utf-8").split("\n\n")
    assert title.startswith("# ") and first.startswith("This guide ")
    [link] = re.findall(r"^!\[.{10,}\]\((.*)\)$", picture)
    assert (path.parent / link).stat().st_size < 200_000
    block = next(part for part in others if part.startswith("```"))
    if path.stem != "python":  # its snippets run in test_python_docs.py
        assert block.splitlines()[1].split(" # ")[0].strip() in RUN


def slugs(path):
    """The anchors of a page's headings, as code hosts and MyST make them."""
    lines = re.sub(FENCE, "", path.read_text("utf-8")).splitlines()
    heads = [re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()) for line in lines if re.match(r"#+ ", line)]
    return {head.replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(FENCE, "", path.read_text("utf-8"))):
        if not re.match(r"[a-z]+:", link):
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), link
            assert target.is_relative_to(ROOT)
            if anchor:
                assert anchor in slugs(target), link


def test_every_page_is_in_the_index():
    listed = set(re.findall(r"\]\(([\w/-]+\.md)\)", (DOCS / "index.md").read_text("utf-8")))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - {"index.md"}
    assert pages - {name for name in pages if name.startswith("notes/")} == listed - {"notes/index.md"}
    tree = "\n".join(
        block for kind, block in re.findall(r"```\{(toctree)\}(.*?)```", (DOCS / "index.md").read_text("utf-8"), re.DOTALL)
    )
    assert {line for line in tree.splitlines() if line and line[0] != ":"} == {name.removesuffix(".md") for name in listed}


def test_every_picture_is_shown():
    shown = "".join(path.read_text("utf-8") for path in PAGES)
    assert [path.name for path in (DOCS / "pictures").iterdir() if path.name not in shown] == []


@pytest.mark.parametrize("path", WRITTEN[1:], ids=lambda path: path.stem)
def test_a_page_begins_with_a_sentence(path):
    title, first, *_ = path.read_text("utf-8").split("\n\n")
    assert title.startswith("# ")
    assert re.match(r"[A-Za-z`][^|]+[.:]$", first), first


def test_the_glossary_has_twenty_terms_in_order():
    terms = re.findall(r"^\| \*\*(.+?)\*\*", (DOCS / "glossary.md").read_text("utf-8"), re.MULTILINE)
    assert len(terms) == 20
    assert terms == sorted(terms, key=str.lower)


def test_the_diagrams_are_those_of_the_code(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    from diagrams import DIAGRAMS

    for name, draw in DIAGRAMS.items():
        assert (DOCS / "pictures" / name).read_text("utf-8") == draw(), "run: make docs"


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    words = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", tmp_path / "trees", DOCS, tmp_path / "html"]
    end = subprocess.run(words, capture_output=True, text=True, check=False)
    assert end.returncode == 0, end.stderr
    assert "Separator" in (tmp_path / "html" / "api.html").read_text("utf-8")
