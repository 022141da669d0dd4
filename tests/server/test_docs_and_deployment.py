"""The guide's examples run, and the files for deployment name what is there."""

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from PIL import Image

from figureground.cli.main import main
from photographs import FOLDER, ROOT

GUIDE = (ROOT / "docs" / "server.md").read_text("utf-8")
DEPLOY = ROOT / "deploy"
CODE = {language: re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL) for language in ("sh", "python", "javascript")}


@pytest.fixture
def folder(tmp_path):
    for name in ("photo.jpg", "other.jpg"):
        (tmp_path / name).write_bytes((FOLDER / "coffee.jpg").read_bytes())
    return tmp_path


def run(words, folder, text=None):
    end = subprocess.run(words, cwd=folder, input=text, capture_output=True, text=True, timeout=120, check=False)
    assert end.returncode == 0, end.stderr
    return end.stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_examples_with_curl(server, folder):
    blocks = [block.replace("http://localhost:8000", server.address) for block in CODE["sh"] if "curl" in block]
    for block in blocks:
        out = run(["sh", "-e"], folder, block)
    assert len(blocks) == 3 and out == ""
    names = ("cutout.png", "white.webp", "first.png", "blue.jpg", "mask2.png")
    formats = {name: Image.open(io.BytesIO((folder / name).read_bytes())).format for name in names}
    assert set(formats.values()) == {"PNG", "WEBP", "JPEG"}
    assert (folder / "views.zip").read_bytes().startswith(b"PK") and b'"coverage"' in (folder / "found.json").read_bytes()


def test_the_example_in_python(server, folder):
    (code,) = CODE["python"]
    out = run([sys.executable, "-"], folder, code.replace("http://localhost:8000", server.address))
    assert "network;dur=" in out
    with Image.open(folder / "best.png") as image:
        assert image.mode == "RGBA"


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_the_example_in_javascript(server, folder):
    (code,) = CODE["javascript"]
    run(["node", "-"], folder, code.replace("http://localhost:8000", server.address))
    with Image.open(folder / "mask.png") as image:
        assert image.mode == "L"


def test_the_dockerfile_copies_what_is_there_and_starts_what_the_command_has():
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*)", text, re.MULTILINE) for word in line.split()[:-1]]
    assert copied and all((ROOT / name).exists() for name in copied)
    assert re.search(r"^USER 1\d+:1\d+$", text, re.MULTILINE)
    options = {name for parameter in main.get_command(None, "serve").params for name in parameter.opts}
    started = "\n".join(line for line in text.splitlines() if line.startswith(("ENTRYPOINT", "CMD")))
    assert set(re.findall(r"--[a-z-]+", started)) <= options


@pytest.mark.stress
def test_the_steps_of_the_dockerfile_give_a_server_that_answers(tmp_path):
    """With the copied files alone, in an empty environment; only the folders are others."""
    stage = (DEPLOY / "Dockerfile").read_text("utf-8").split("\nFROM ")[1].replace("\\\n", "")
    source, target = tmp_path / "source", tmp_path / "opt"
    source.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | {
        name: value for name, value in os.environ.items() if name.startswith("PIP_")
    }
    for step, words in re.findall(r"^(COPY|RUN) (.*)$", stage, re.MULTILINE):
        if step == "RUN":
            line = words.replace("/opt/figureground", str(target)).replace("python -m", f"{sys.executable} -m")
            end = subprocess.run(["sh", "-ec", line], cwd=source, env=environment, capture_output=True, text=True, check=False)
            assert end.returncode == 0, end.stderr
            continue
        *names, where = words.split()
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / where, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, source / where)
    server = [target / "bin" / "figureground", "serve", "--port", "0", "--workers", "1", "--state", tmp_path / "state"]
    with subprocess.Popen(server, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = next(found[1] for line in process.stderr if (found := re.search(r"listens on (\S+)", line)))
            answer = httpx.post(f"{address}/v1/remove", content=(FOLDER / "coffee.jpg").read_bytes(), timeout=60)
        finally:
            process.terminate()
    assert answer.status_code == 200 and answer.content.startswith(b"\x89PNG")


def test_the_compose_file_and_the_unit_lock_the_server_in():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    service = compose["services"]["figureground"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and "ports" not in service
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    options = {name for parameter in main.get_command(None, "serve").params for name in parameter.opts}
    assert {word for word in service["command"] if word.startswith("--")} <= options
    mounted = [each.split(":")[0] for each in compose["services"]["proxy"]["volumes"] if each.startswith("./")]
    assert mounted and all((DEPLOY / name).exists() for name in mounted)
    unit = (DEPLOY / "figureground.service").read_text("utf-8")
    for line in ("DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "PrivateTmp=yes"):
        assert line in unit.splitlines()


def test_hadolint_has_nothing_to_say():
    tool = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if tool is None:
        pytest.skip("hadolint is not installed")
    end = subprocess.run([tool, "deploy/Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (end.returncode, end.stdout) == (0, "")
