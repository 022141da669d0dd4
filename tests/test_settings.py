import pydoc
from pathlib import Path

import pytest

from figureground.errors import (
    FigureGroundError,
    MissingExtra,
    PictureTooLarge,
    UnknownName,
    UnreadablePicture,
    UsageError,
    WeightsError,
)
from figureground.settings import Settings


def test_settings_from_the_environment():
    settings = Settings.from_environment(
        {
            "FIGUREGROUND_MAX_PIXELS": "5000",
            "FIGUREGROUND_TIMEOUT": "2.5",
            "FIGUREGROUND_LENIENT": "yes",
            "FIGUREGROUND_DRAFT": "1",
            "FIGUREGROUND_LICENSES": "permissive",
            "FIGUREGROUND_CACHE": "/somewhere",
            "FIGUREGROUND_THREADS": "",
            "FIGUREGROUND_RUNTIME": "openvino",
            "FIGUREGROUND_PRECISION": "bf16",
            "FIGUREGROUND_DEVICE": "GPU.1",
            "OTHER": "1",
        }
    )
    assert settings == Settings(
        max_pixels=5000,
        timeout=2.5,
        lenient=True,
        draft=True,
        licenses="permissive",
        cache=Path("/somewhere"),
        runtime="openvino",
        precision="bf16",
        device="GPU.1",
    )


@pytest.mark.parametrize(
    ("key", "value", "wants"),
    [
        ("MAX_PIXELS", "many", "a whole number"),
        ("MAX_PIXELS", "-1", "a whole number"),
        ("TIMEOUT", "nan", "a number"),
        ("TIMEOUT", "inf", "a number"),
        ("LENIENT", "perhaps", "yes or no"),
        ("LICENSES", "some", "permissive"),
        ("RUNTIME", "tensorflow", "auto, onnxruntime, openvino"),
        ("PRECISION", "fp16", "fp32, bf16, int8"),
    ],
)
def test_values_of_the_wrong_form(key, value, wants):
    with pytest.raises(UsageError, match=rf"FIGUREGROUND_{key} must be .*{wants}.*'{value}'"):
        Settings.from_environment({f"FIGUREGROUND_{key}": value})


def test_the_cache_follows_the_users_choice(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Settings().cache == tmp_path / "figureground"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings().cache == tmp_path / ".cache" / "figureground"


def test_errors_are_one_line_with_code_and_exit_code():
    error = PictureTooLarge("first\nsecond", picture="a.jpg")
    assert error.as_dict() == {"code": "too_large", "message": "first second", "picture": "a.jpg"}
    assert (error.exit_code, UsageError("x").exit_code, WeightsError("x").exit_code) == (1, 2, 3)
    assert UnreadablePicture("x", code="truncated").code == "truncated"
    assert "pip install 'figureground[train]'" in str(MissingExtra("training", "train"))
    assert str(UnknownName("view", "maks", ["mask", "cutout"])) == (
        "no view is called 'maks'; did you mean 'mask'? Known: cutout, mask"
    )
    assert str(UnknownName("class", "zzz", map(str, range(150)))).endswith(" and 130 more")
    assert str(UnknownName("view", "zzz", ["mask"])) == "no view is called 'zzz'. Known: mask"


def _below(kind):
    return {kind}.union(*(_below(child) for child in kind.__subclasses__()))


def test_the_drawing_of_the_errors_is_true():
    from figureground import errors

    drawn = errors.__doc__
    for kind in _below(FigureGroundError) - {FigureGroundError, errors.InputError, errors.UsageError}:
        assert kind.__name__ in drawn
        assert kind.code in drawn or kind.code == "decode_error"


def test_help_shows_no_environment(monkeypatch):
    monkeypatch.setenv("A_SECRET", "hunter2")
    assert "hunter2" not in pydoc.render_doc(Settings)
    assert "hunter2" not in pydoc.render_doc("figureground.diagnostics")
