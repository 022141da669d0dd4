"""rembg's interface: what comes in decides what goes out, and every keyword and option does something or warns."""

import importlib.util
import io
import sys
import warnings

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from figureground.compat.rembg import command as rembg_command
from figureground.compat.rembg import new_session, remove
from figureground.compat.rembg.command import main
from figureground.compat.rembg.compose import post_process, trimap
from figureground.errors import MissingExtra, UnreadablePicture, UsageError, WeightsError
from figureground.io.png import png
from figureground.models.onnx_saliency import NO_CHECKSUM
from small_onnx import save

RGB = np.random.default_rng(0).integers(0, 90, (60, 80, 3)).astype(np.uint8)
RGB[15:45, 20:60] = (230, 200, 210)
IMAGE = Image.fromarray(RGB)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A folder with a small file under names of rembg's."""
    for name in ("u2netp", "u2net"):
        save(tmp_path / "rembg", name, 320)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "rembg"))
    monkeypatch.setenv(NO_CHECKSUM, "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def session():
    return new_session("u2netp")


def run(*words, data=b""):
    """The command's exit code, and its output and errors."""
    result = CliRunner().invoke(main, [str(word) for word in words], input=data)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def opened(data):
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


def test_what_comes_in_decides_what_goes_out(session):
    data, image, array = (remove(each, session=session) for each in (png(RGB), IMAGE, RGB))
    assert isinstance(data, bytes) and isinstance(image, Image.Image) and isinstance(array, np.ndarray)
    assert image.mode == "RGBA" and image.size == IMAGE.size
    assert np.array_equal(np.asarray(image), array)
    assert np.array_equal(np.asarray(opened(data)), array)
    assert isinstance(remove(IMAGE, session=session, force_return_bytes=True), bytes)
    with pytest.raises(UsageError, match="list"):
        remove([1], session=session)
    with pytest.raises(UnreadablePicture):
        remove(b"no picture", session=session)


def test_a_mask_is_what_the_session_predicts(session):
    [mask] = session.predict(IMAGE)
    assert mask.mode == "L" and mask.size == IMAGE.size
    assert np.ptp(np.asarray(mask)) > 200, "stretched, as rembg does"
    assert np.array_equal(np.asarray(remove(IMAGE, session=session, only_mask=True)), np.asarray(mask))
    assert np.array_equal(np.asarray(remove(IMAGE, session=session))[..., 3], np.asarray(mask))


def test_photographs_are_turned_upright(session):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    IMAGE.save(file, "JPEG", exif=exif)
    assert opened(remove(file.getvalue(), session=session)).size == (60, 80)


def test_colors_and_alpha(session):
    alpha = np.asarray(session.predict(IMAGE)[0])
    put = np.asarray(remove(IMAGE, session=session, putalpha=True))
    assert np.array_equal(put[..., :3], RGB) and np.array_equal(put[..., 3], alpha)
    assert IMAGE.mode == "RGB", "the picture that was given stays as it is"
    own = np.asarray(remove(IMAGE, session=session, decontaminate=True))
    assert np.abs(own[..., 3].astype(int) - alpha).max() <= 1
    behind = np.asarray(remove(IMAGE, session=session, bgcolor=(10, 20, 30, 255)))
    assert (behind[..., 3] == 255).all() and behind[alpha == 0][:, :3].tolist() == [[10, 20, 30]] * (alpha == 0).sum()
    with pytest.raises(UsageError, match="four numbers"):
        remove(IMAGE, session=session, bgcolor=(10, 20, 300, 255))


def test_post_processing_makes_masks_of_two_values(session):
    mask = np.asarray(remove(IMAGE, session=session, only_mask=True, post_process_mask=True))
    assert set(np.unique(mask)) == {0, 255}
    dot = np.zeros((40, 40), np.uint8)
    dot[5, 5], dot[15:35, 15:35] = 255, 255
    cleaned = np.asarray(post_process(Image.fromarray(dot)))
    assert cleaned[5, 5] == 0 and cleaned[25, 25] == 255 and cleaned[2, 30] == 0


def test_a_trimap_has_what_is_certain():
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 255
    found = trimap(mask, 240, 10, 4)
    assert found[20, 20] == 255 and found[0, 0] == 0 and found[10, 20] == 128 and found[9, 20] == 128
    assert set(np.unique(trimap(np.full((20, 20), 100, np.uint8), 240, 10, 0))) == {128}


def test_alpha_matting_keeps_what_is_certain_and_falls_back(session):
    pytest.importorskip("pymatting", reason="the extra 'matting' is not installed")
    matted = remove(IMAGE, session=session, alpha_matting=True, alpha_matting_erode_size=2)
    assert matted.mode == "RGBA" and matted.size == IMAGE.size
    nothing_certain = remove(IMAGE, session=session, alpha_matting=True, alpha_matting_foreground_threshold=255)
    assert np.array_equal(np.asarray(nothing_certain), np.asarray(remove(IMAGE, session=session, decontaminate=True)))


def test_alpha_matting_without_its_extra_says_what_to_install(session, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymatting", None)
    with pytest.raises(MissingExtra, match=r"figureground\[matting\]"):
        remove(IMAGE, session=session, alpha_matting=True)


def test_what_has_no_effect_warns(session):
    with pytest.warns(UserWarning, match="ViTMatte"):
        remove(IMAGE, session=session, vitmatte=True)
    with pytest.warns(UserWarning, match="'sharpen' has no effect"):
        remove(IMAGE, session=session, sharpen=True)
    with pytest.warns(UserWarning, match="'api_key' has no effect"):
        new_session("u2netp", api_key="x")


def test_sessions_by_name(home):
    assert new_session("subject").predict(IMAGE)[0].size == IMAGE.size
    custom = new_session("u2net_custom", model_path=home / "rembg" / "u2netp.onnx")
    assert np.array_equal(np.asarray(custom.predict(IMAGE)[0]), np.asarray(new_session("u2netp").predict(IMAGE)[0]))
    with pytest.raises(UsageError, match="model_path"):
        new_session("u2net_custom")
    with pytest.raises(UsageError, match="--method points"):
        new_session("sam")
    with pytest.raises(UsageError, match="did you mean 'u2netp'"):
        new_session("u2netpp")
    assert new_session("u2netp", providers=["CPUExecutionProvider"]).model_name == "u2netp"
    with pytest.raises(UsageError, match="device"):
        new_session("u2netp", providers=["TeaExecutionProvider"])


def test_the_license_holds(monkeypatch):
    monkeypatch.setenv("FIGUREGROUND_LICENSES", "permissive")
    with pytest.raises(WeightsError, match="only permissive"):
        new_session()


SWITCHES = [
    (),
    ("-a",),
    ("-a", "-af", 200, "-ab", 30, "-ae", 3),
    ("--alpha-matting", "--alpha-matting-erode-size", 0),
    ("-om",),
    ("--only-mask", "-ppm"),
    ("-ppm",),
    ("-dc",),
    ("-bgc", 10, 20, 30, 255),
    ("--bgcolor", 0, 0, 0, 0),
    ("-x", '{"putalpha": true}'),
    ("-m", "u2net", "--extras", "{}"),
    ("-vm",),
]


@pytest.mark.parametrize("words", SWITCHES, ids=str)
def test_a_file_by_every_option(words, home):
    IMAGE.save("in.png")
    model = () if "-m" in words else ("-m", "u2netp")
    result = run("i", *model, *words, "in.png", "out/cut.png")
    assert result.exit_code == 0, result.output
    with Image.open("out/cut.png") as image:
        assert image.size == IMAGE.size
        assert image.mode == ("L" if {"-om", "--only-mask"} & set(words) else "RGBA")
    assert ("ViTMatte" in result.stderr) == ("-vm" in words)


def test_a_file_through_a_pipe():
    result = run("i", "-m", "u2netp", "-om", data=png(RGB))
    assert result.exit_code == 0
    assert opened(result.stdout_bytes).size == IMAGE.size
    assert run("i", "-m", "u2netp", "-", "-", data=png(RGB)).exit_code == 0


@pytest.mark.parametrize(
    "words", [(), ("-om",), ("-ppm", "-dc"), ("-bgc", 1, 2, 3, 4), ("--accept-usage-cost",), ("-d",)], ids=str
)
def test_a_folder(words, home):
    for name in ("in/a.png", "in/b/c.png"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        IMAGE.save(name)
    (home / "in" / "notes.txt").write_text("none")
    result = run("p", "-m", "u2netp", *words, "in", "out")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (home / "out").iterdir()) == ["a.png", "c.png"]
    assert (home / "in" / "a.png").exists() == ("-d" not in words)
    before = (home / "out" / "a.png").stat().st_mtime_ns
    assert run("p", "-m", "u2netp", "in", "out").exit_code == 0
    assert (home / "out" / "a.png").stat().st_mtime_ns == before, "what is there is left out"


def test_a_folder_with_a_bad_picture_and_names_that_collide(home):
    for name in ("in/a.png", "in/a.bmp", "in/b/a.png"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        IMAGE.save(name)
    (home / "in" / "bad.png").write_bytes(b"none")
    result = run("p", "-m", "u2netp", "in", "out")
    assert result.exit_code == 1 and "bad.png" not in str(list((home / "out").iterdir()))
    assert len(list((home / "out").rglob("*.png"))) == 3, "none is lost"
    assert "another picture" in result.stderr


def test_a_folder_is_watched(home, monkeypatch):
    (home / "in").mkdir()
    looks = []

    def pause(_):
        looks.append(1)
        IMAGE.save(home / "in" / "late.png") if len(looks) == 1 else (home / "in" / rembg_command.STOP).touch()

    monkeypatch.setattr(rembg_command.time, "sleep", pause)
    result = run("p", "-m", "u2netp", "-w", "in", "out")
    assert result.exit_code == 0 and "processed: " in result.output
    assert (home / "out" / "late.png").exists() and not (home / "in" / rembg_command.STOP).exists()


def test_raw_pictures(home):
    result = run("b", "-m", "u2netp", 80, 60, "-o", "frames/out-%d.png", data=RGB.tobytes() * 2 + b"rest")
    assert result.exit_code == 0 and "4 bytes" in result.stderr
    assert sorted(path.name for path in (home / "frames").iterdir()) == ["out-0.png", "out-1.png"]
    streamed = run("b", "-m", "u2netp", "-om", 80, 60, data=RGB.tobytes() * 2).stdout_bytes
    assert streamed.count(b"\x89PNG") == 2
    assert run("b", "-m", "u2netp", 80, 60, "-o", "out.png", data=RGB.tobytes()).exit_code == 2


def test_networks_are_fetched_by_name(home):
    result = run("d", "u2netp", "u2net")
    assert result.exit_code == 0 and str(home / "rembg" / "u2net.onnx") in result.output
    assert run("d", "sam").exit_code == 2
    assert run("d", "u2net_custom").exit_code == 2


def test_the_server_is_started_or_said_to_be_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = run("s", "-p", 7001)
    assert result.exit_code == 3 and "figureground[server]" in result.stderr
    started = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(
        rembg_command.subprocess, "run", lambda words, check: started.append(words) or type("Done", (), {"returncode": 0})
    )
    assert run("s", "-h", "127.0.0.1", "-p", 7001, "-t", 2, "-l", "info", "--no-ui").exit_code == 0
    assert started[0][2:] == ["figureground", "serve", "--host", "127.0.0.1", "--port", "7001", "--threads", "2"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("i", "-m", "u2nett", "in.png", "out.png"), 2, "did you mean"),
        (("i", "-x", "[1]", "in.png", "out.png"), 2, "JSON object"),
        (("i", "-m", "u2netp", "none.png", "out.png"), 1, "none.png"),
        (("p", "none", "out"), 2, "none"),
        ((), 2, "Commands"),
    ],
)
def test_mistakes_are_one_line(words, code, said, home):
    IMAGE.save("in.png")
    result = run(*words)
    assert result.exit_code == code and said in result.output


def test_version():
    with warnings.catch_warnings():
        assert "figureground" in run("--version").output
