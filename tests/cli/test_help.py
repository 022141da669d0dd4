"""Help in groups, completion, presets and the configuration."""

import json

import click
import pytest
from click.shell_completion import ShellComplete

from commandline import command
from figureground.cli import main as entry
from figureground.cli.command import GROUPS, Command, GroupedOption
from figureground.methods import METHODS, all_options
from figureground.models.onnx_saliency import NETWORKS

COMMANDS = {name: entry.main.get_command(click.Context(entry.main), name) for name in entry.COMMANDS}


@pytest.mark.parametrize("name", ["remove", "batch", "evaluate"])
def test_help_shows_common_options_and_help_all_shows_every_one(name):
    short, full = command(name, "--help").out, command(name, "--help-all").out
    shown = [line for line in short.splitlines() if line.startswith("  -")]
    assert 8 <= len(shown) <= (25 if name == "remove" else 30)
    assert short.rstrip().endswith(f"{name} --help-all")
    for param in COMMANDS[name].params:
        if isinstance(param, click.Option):
            flag = max(param.opts, key=len)
            assert f"{flag} " in full or f"{flag}\n" in full, flag
            assert (flag in short) or not getattr(param, "common", True), flag
    headings = [line[:-1] for line in full.splitlines() if line.endswith(":") and line[:-1] in GROUPS]
    assert headings == sorted(headings, key=GROUPS.index)


@pytest.mark.parametrize("name", ["", *entry.COMMANDS])
def test_help_fits_and_keeps_its_examples_on_lines_of_their_own(name):
    shown = command(*name.split(), "--help").out
    assert "\\b" not in shown
    assert max(map(len, shown.splitlines())) <= 120
    if name == "":
        assert "\n  figureground photo.jpg  " in shown


def test_every_option_of_a_method_stands_in_its_group():
    by_name = {param.name: param for param in COMMANDS["remove"].params}
    for name in all_options():
        assert isinstance(by_name[name], GroupedOption)
        assert by_name[name].group.title == "Method"


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_every_command_and_option_has_a_sentence(name):
    found = COMMANDS[name]
    assert isinstance(found, Command)
    assert (found.help or "").split("\n")[0].endswith((".", ":"))
    for param in found.params:
        if isinstance(param, click.Option):
            assert param.help and (param.help[0].isupper() or param.name in ("method", "device")), param.name


def test_the_summaries_fit_on_their_lines():
    lines = command("--help").out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == list(entry.COMMANDS)
    assert not [line for line in lines if line.endswith("...")]
    assert "Remove the background of pictures." in "\n".join(lines)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_command(shell):
    end = command("completion", shell)
    assert end.code == 0
    assert f"_FIGUREGROUND_COMPLETE={shell}_complete" in end.out


def test_shells_complete_names_of_methods():
    complete = ShellComplete(entry.main, {}, "figureground", "_FIGUREGROUND_COMPLETE")
    assert {item.value for item in complete.get_completions(["remove", "--method"], "s")} == {
        name for name in (*METHODS, *NETWORKS) if name.startswith("s")
    }
    assert {item.value for item in complete.get_completions(["remove", "-m"], "subject+st")} == {"subject+stuff"}
    assert "remove" in {item.value for item in complete.get_completions([], "rem")}


@pytest.fixture
def presets(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    file = tmp_path / "my.toml"
    file.write_text("""
[default]
encoder-quality = 70
shard = "1/2"
[shop]
background = "white"
format = "jpg"
view = ["cutout"]
[wrong]
backgruond = "white"
""")
    return file


def test_presets_are_options_that_the_command_line_overrides(photo, presets, monkeypatch):
    assert command("remove", photo, "--preset", "shop", "--config", presets, "-o", f"{photo.parent}/").code == 0
    data = photo.with_name("photo.cutout.jpg").read_bytes()
    assert data.startswith(b"\xff\xd8")
    monkeypatch.setenv("FIGUREGROUND_CONFIG", str(presets))
    assert command("remove", photo, "--preset", "shop", "--encoder-quality", 70, "-f").code == 0
    assert photo.with_name("photo.cutout.jpg").read_bytes() == data
    assert command("remove", photo, "--preset", "shop", "--format", "webp").code == 0
    assert photo.with_name("photo.cutout.webp").exists()
    command("remove", photo, "--preset", "shpo").refused(2, "no preset is called 'shpo'", "did you mean 'shop'")
    command("remove", photo, "--preset", "wrong").refused(2, "'wrong'", "'backgruond'", "no option of remove")


def test_a_configuration_in_the_current_folder_is_not_read(photo, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    for name in ("config.toml", "figureground.toml"):
        (tmp_path / name).write_text('[default]\nformat = "webp"\n')
    assert command("remove", photo).code == 0
    assert photo.with_name("photo.cutout.png").exists()


@pytest.mark.parametrize(("text", "says"), [("[shop", "cannot be read"), ("format = 1", "tables such as [shop]")])
def test_a_file_that_is_no_configuration(photo, tmp_path, text, says):
    (tmp_path / "bad.toml").write_text(text)
    command("remove", photo, "--config", tmp_path / "bad.toml").refused(2, says, "bad.toml")


def test_config_shows_what_is_in_effect(presets, monkeypatch):
    monkeypatch.setenv("FIGUREGROUND_THREADS", "3")
    facts = json.loads(command("config", "--config", presets, "--json").out)
    assert facts["settings"]["threads"] == {"value": 3, "from": "FIGUREGROUND_THREADS"}
    assert facts["settings"]["max_pixels"]["from"] == "default"
    assert facts["presets"]["shop"]["background"] == "white"
    assert (facts["named_by"], facts["exists"]) == ("--config", True)
    text = command("config").out
    assert "it does not exist" in text and "FIGUREGROUND_THREADS" in text
