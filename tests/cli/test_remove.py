import io
import json
import os
import re
import stat
import struct
import subprocess
import sys
import weakref
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commandline import command
from encoded import png, png_chunk, swapped_profile, tiff, unpacked_png
from figureground import jobs, models
from figureground.io.encode import encode
from figureground.separation import VIEWS, Separation, View
from figureground.types import SaliencyMap


def test_the_cutout_lies_beside_the_picture(photo):
    end = command("remove", photo)
    assert end.code == 0, end
    target = photo.with_name("photo.cutout.png")
    assert str(target) in end.out
    with Image.open(target) as image:
        assert (image.mode, image.size) == ("RGBA", (512, 512))
        alpha = np.asarray(image)[..., 3]
    assert alpha[100, 230] > 200  # the face
    assert alpha[100, 330] < 60  # the wall beside it
    assert sorted(path.name for path in photo.parent.iterdir()) == ["photo.cutout.png", "photo.jpg"]


def test_several_views_go_to_files_of_their_own(photo, tmp_path):
    out = tmp_path / "new" / "folder"
    end = command("remove", photo, "--view", "cutout,mask,foreground,background,overlay", "--out-dir", out)
    assert end.code == 0, end
    sizes = {}
    for path in out.iterdir():
        with Image.open(path) as image:
            sizes[path.name] = (image.mode, image.size)
    assert sizes == {
        "photo.cutout.png": ("RGBA", (512, 512)),
        "photo.mask.png": ("L", (512, 512)),
        "photo.foreground.png": ("RGB", (512, 512)),
        "photo.background.png": ("RGB", (512, 512)),
        "photo.overlay.png": ("RGB", (512, 512)),
    }


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg", "jpeg", "avif"])
def test_every_format_by_the_suffix_of_the_output(photo, suffix):
    target = photo.with_name(f"result.{suffix}")
    end = command("remove", photo, "-o", target)
    assert end.code == 0, end
    with Image.open(target) as image:
        image.load()
        assert image.size == (512, 512)
        assert image.mode == ("RGB" if suffix.startswith("jp") else "RGBA")
        if suffix.startswith("jp"):
            assert "white is put behind" in end.err
            assert min(image.getpixel((5, 5))) > 190


def test_a_mask_as_floats(photo):
    target = photo.with_name("mask.npy")
    assert command("remove", photo, "--view", "mask", "-o", target).code == 0
    mask = np.load(target)
    assert (mask.shape, mask.dtype) == ((512, 512), np.float32)
    assert 0 <= mask.min() and mask.max() <= 1


def test_background_color(photo):
    target = photo.with_name("red.png")
    assert command("remove", photo, "-o", target, "--background", "#ff0000").code == 0
    with Image.open(target) as image:
        assert image.mode == "RGB"
        red, green, blue = image.getpixel((340, 60))
    assert red > 200 and green < 100 and blue < 100


def test_json_tells_what_was_found(photo, tmp_path):
    end = command("remove", photo, "--json", "--view", "mask,cutout")
    [line] = end.lines()
    assert end.err == ""
    assert line["found"] is True
    assert line["picture"] == str(photo)
    assert (line["width"], line["height"]) == (512, 512)
    assert 0.2 < line["coverage"] < 0.8
    assert line["area"] == round(line["coverage"] * 512 * 512)
    left, top, right, bottom = line["box"]
    assert 0 <= left < right <= 512 and 0 <= top < bottom <= 512
    assert line["method"]["model"] == "saliency"
    assert line["license"] == "Apache-2.0"
    assert set(line["seconds"]) == {"decode", "network", "rule", "refine", "view", "encode", "write"}
    assert line["files"] == {view: str(photo.with_name(f"photo.{view}.png")) for view in ("mask", "cutout")}


def test_timings_name_every_stage(photo):
    end = command("remove", photo, "--timings", "--view", "cutout,mask")
    [line] = [line for line in end.err.splitlines() if " ms" in line]
    stages = dict(re.findall(r"(\w[\w ]*?) (\d+) ms", line))
    assert list(stages) == ["decode", "network", "rule", "refine", "view", "encode", "write", "in all"]
    assert sum(int(each) for name, each in stages.items() if name != "in all") == pytest.approx(int(stages["in all"]), abs=5)


def test_sixteen_bits_come_out_as_sixteen(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (40, 50, 3), np.uint16)
    resolution = png_chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1))
    icc = swapped_profile()
    source = tmp_path / "deep.png"
    source.write_bytes(png(values, png_chunk(b"iCCP", b"own\0\0" + zlib.compress(icc)), resolution))
    assert command("remove", source, "--view", "cutout,foreground,background,mask,overlay").code == 0
    for view in ("cutout", "foreground", "background"):
        data = source.with_name(f"deep.{view}.png").read_bytes()
        assert unpacked_png(data).dtype == np.uint16
        with Image.open(io.BytesIO(data)) as image:
            assert image.info["icc_profile"] == icc
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    both = (unpacked_png(source.with_name(f"deep.{view}.png").read_bytes()) for view in ("foreground", "background"))
    assert np.abs(sum(both, np.zeros(values.shape, int)) - values).max() <= 1
    for view in ("mask", "overlay"):
        assert unpacked_png(source.with_name(f"deep.{view}.png").read_bytes()).dtype == np.uint8


@pytest.mark.parametrize("turned", [3, 6])
def test_sixteen_bits_of_a_turned_tiff(tmp_path, turned):
    values = np.random.default_rng(0).integers(0, 65536, (30, 20, 3), np.uint16)
    source = tmp_path / "turned.tiff"
    source.write_bytes(tiff(values, orientation=turned))
    assert command("remove", source, "--view", "foreground,background").code == 0
    both = (unpacked_png(source.with_name(f"turned.{view}.png").read_bytes()) for view in ("foreground", "background"))
    upright = np.rot90(values, {3: 2, 6: 3}[turned]).astype(int)
    assert np.abs(sum(both, np.zeros(upright.shape, int)) - upright).max() <= 1


def test_png_effort(photo):
    sizes = {}
    for effort in ("fast", "best"):
        assert command("remove", photo, "--view", "overlay", "--png-effort", effort, "--overwrite").code == 0
        sizes[effort] = photo.with_name("photo.overlay.png").stat().st_size
    assert sizes["best"] < sizes["fast"]


def test_the_picture_is_let_go_before_the_last_view_is_encoded(photo, monkeypatch):
    masks, alive = [], []

    def overlay(done):
        masks.append(weakref.ref(done.mask))
        return Separation.overlay(done)

    def watched(*given):
        alive.append(masks[-1]() is not None if masks else None)
        return encode(*given)

    monkeypatch.setitem(VIEWS, "overlay", View(overlay))
    monkeypatch.setattr(jobs, "encode", watched)
    assert command("remove", photo, "--view", "mask,overlay").code == 0
    assert alive == [None, False]


def test_one_failed_picture_does_not_stop_the_rest(photo, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    end = command("remove", broken, photo)
    assert end.code == 1
    assert photo.with_name("photo.cutout.png").exists()
    assert not broken.with_name("broken.cutout.png").exists()
    assert "unsupported_format" in end.err and "broken.jpg" in end.err
    assert "1 of 2 pictures failed" in end.err


def test_a_failed_picture_is_an_object_with_json(photo, tmp_path):
    end = command("remove", tmp_path / "none.jpg", photo, "--json")
    assert end.code == 1
    assert len(end.lines()) == 1
    error = json.loads(end.err.splitlines()[0])
    assert set(error) == {"code", "message", "picture"}
    assert error["picture"] == str(tmp_path / "none.jpg")


@pytest.fixture
def blank(tmp_path):
    path = tmp_path / "blank.png"
    Image.new("RGB", (64, 48), (130, 130, 130)).save(path)
    return path


@pytest.fixture
def sees_nothing(monkeypatch):
    """A model that finds no foreground, whatever it is shown."""
    from figureground import models
    from figureground.types import SaliencyMap

    monkeypatch.setattr(models, "load", lambda *_, **__: lambda rgb: SaliencyMap(np.zeros(rgb.shape[:2], np.float32)))


def test_nothing_found_is_said(blank, sees_nothing):
    end = command("remove", blank, "--json")
    [line] = end.lines()
    assert end.code == 0
    assert (line["found"], line["box"], line["coverage"]) == (False, None, 0)
    assert line["warnings"] == ["no foreground was found"]
    assert end.err.count("no foreground was found") == 1
    plain = command("remove", blank, "--overwrite")
    assert plain.code == 0 and plain.err.count("no foreground was found") == 1


def test_nothing_found_is_an_error_where_a_subject_is_required(blank, sees_nothing):
    end = command("remove", blank, "--require-subject")
    end.refused(1, "no_foreground", "blank.png")
    assert [path.name for path in blank.parent.iterdir()] == ["blank.png"]


def test_existing_outputs_are_kept_unless_named(photo):
    target = photo.with_name("photo.cutout.png")
    target.write_bytes(b"mine")
    command("remove", photo).refused(1, "output_exists", "--overwrite")
    assert target.read_bytes() == b"mine"
    assert command("remove", photo, "--overwrite").code == 0
    assert target.read_bytes() != b"mine"
    target.write_bytes(b"mine")
    assert command("remove", photo, "-o", target).code == 0
    assert target.read_bytes() != b"mine"


def test_pictures_of_one_name_keep_their_suffixes(photo):
    other = photo.with_suffix(".png")
    Image.new("RGB", (32, 32)).save(other)
    end = command("remove", photo, other)
    assert end.code == 0
    assert "photo.jpg and photo.png have one name; their files keep the suffix: photo.jpg.cutout.png" in end.err
    assert {path.name for path in photo.parent.iterdir()} == {
        *("photo.jpg", "photo.png", "photo.jpg.cutout.png", "photo.png.cutout.png"),
    }


def test_two_pictures_with_one_target_are_refused_before_anything_is_written(photo, tmp_path):
    (tmp_path / "sub").mkdir()
    other = tmp_path / "sub" / "photo.jpg"
    other.write_bytes(photo.read_bytes())
    command("remove", photo, photo).refused(2, "name_collision", "photo.jpg")
    end = command("remove", photo, other, "-o", f"{tmp_path / 'new'}/")
    assert end.code == 2 and "name_collision" in end.err
    command("remove", photo, other, "-o", tmp_path / "new-{view}.png").refused(2, "name_collision")
    assert not (tmp_path / "new").exists()


def test_the_input_is_never_written_over(photo):
    before = photo.read_bytes()
    command("remove", photo, "-o", photo, "--overwrite").refused(2, "name_collision", "never written over")
    assert photo.read_bytes() == before
    linked = photo.with_name("link.jpg")
    linked.symlink_to(photo)
    command("remove", photo, "-o", linked).refused(2, "name_collision")


MISTAKES = [
    (["remove"], 2, ["IN..."]),
    (["remove", "none.jpg"], 1, ["none.jpg"]),
    (["remove", "none*.jpg"], 2, ["no file matches 'none*.jpg'"]),
    (["remove", "photo.jpg", "new.png"], 2, ["figureground remove photo.jpg -o new.png"]),
    (["remove", "photo.jpg", "--method", "subjct"], 2, ["subjct", "did you mean 'subject'"]),
    (["remove", "photo.jpg", "--view", "cutuot"], 2, ["cutuot", "did you mean 'cutout'"]),
    (["remove", "photo.jpg", "--view", ""], 2, ["--view needs"]),
    (["remove", "photo.jpg", "-o", "out.xyz"], 2, [".xyz", ".png"]),
    (["remove", "photo.jpg", "-o", "out"], 2, ["no suffix", "out.png", "out/"]),
    (["remove", "photo.jpg", "-o", "{stem}"], 2, ["no suffix"]),
    (["remove", "photo.jpg", "-o", "{nme}.png"], 2, ["nme", "did you mean 'name'"]),
    (["remove", "photo.jpg", "-o", "{stem.png"], 2, ["cannot be read"]),
    (["remove", "photo.jpg", "-o", "out/", "--out-dir", "out"], 2, ["leave one out"]),
    (["remove", "photo.jpg", "-o", "out.png", "--suffix", "-cut"], 2, ["--suffix"]),
    (["remove", "photo.jpg", "--view", "mask,cutout", "--suffix", "-cut"], 2, ["2 views"]),
    (["remove", "photo.jpg", "--overwrite", "--skip-existing"], 2, ["exclude each other"]),
    (["remove", "photo.jpg", "--quality", "90"], 2, ["--encoder-quality 90", "balanced"]),
    (["remove", "photo.jpg", "--encoder-quality", "90"], 2, ["--encoder-quality applies to", ".png"]),
    (["remove", "photo.jpg", "--png-effort", "best", "--format", "webp"], 2, ["--png-effort applies to .png", ".webp"]),
    (["remove", "photo.jpg", "--point", "0.5,0.4"], 2, ["50%", "per cent"]),
    (["remove", "photo.jpg", "--box", "0,.5,9,9"], 2, ["50% for .5"]),
    (["remove", "photo.jpg", "--min-part", "3"], 2, ["--min-part"]),
    (["remove", "photo.jpg", "--instance", "2"], 2, ["--instance"]),
    (["remove", "photo.jpg", "--background", "white", "--view", "foreground"], 2, ["--background", "--view cutout"]),
    (["remove", "photo.jpg", "--preset", "mine"], 2, ["no preset is called 'mine'", "config.toml"]),
    (["remove", "photo.jpg", "--config", "none.toml"], 2, ["'none.toml' (--config) does not exist"]),
    (["remove", "photo.jpg", "-o", "no/folder/out.png"], 1, ["write_error", "no/folder"]),
    (["remove", "photo.jpg", "photo.jpg", "-o", "out.png"], 2, ["-o FOLDER/", "{stem}"]),
    (["remove", "photo.jpg", "--view", "mask,cutout", "-o", "out.png"], 2, ["-o FOLDER/", "{view}"]),
    (["remove", "photo.jpg", "--view", "cutout", "-o", "out.npy"], 2, ["--view mask"]),
    (["remove", "photo.jpg", "--background", "reddish"], 2, ["reddish", "#rrggbb"]),
    (["remove", "photo.jpg", "--outline", "white"], 2, ["--outline is WIDTH or WIDTH:COLOR", "8:white", "'white'"]),
    (["remove", "photo.jpg", "--encoder-quality", "0"], 2, ["quality"]),
    (["remove", "photo.jpg", "--png-effort", "tiny"], 2, ["tiny", "fast", "best"]),
    (["remove", "photo.jpg", "--sharper"], 2, ["--sharper"]),
    (
        ["remove", "photo.jpg", "--view", "labels"],
        2,
        ["shows classes or single objects", "methods for it: stuff"],
    ),
    (["remove", "photo.jpg", "--rule", "nearest-ish"], 2, ["nearest-ish", "salient"]),
    (["remove", "photo.jpg", "--refiner", "sharp"], 2, ["sharp", "guided"]),
    (["remove", "photo.jpg", "--model", "b5"], 2, ["b5", "saliency"]),
    (["remove", "photo.jpg", "-o", "a.png", "--format", "webp"], 2, [".png", "webp"]),
    (["remove", "-", "-"], 2, ["standard input"]),
    (["remove", "photo.jpg", "--max-pixels", "1000"], 1, ["too_large", "1"]),
    (["remove", "ftp://example.org/a.jpg"], 1, ["url_not_allowed"]),
    (["removee", "photo.jpg"], 2, ["removee", "did you mean 'remove'"]),
    (["nothing", "photo.jpg"], 2, ["nothing", "Commands: adapt, "]),
]


@pytest.mark.parametrize(("words", "code", "says"), MISTAKES, ids=[" ".join(words) for words, _, _ in MISTAKES])
def test_mistakes_end_in_one_clear_line(words, code, says, photo, monkeypatch):
    monkeypatch.chdir(photo.parent)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(photo.parent / "none"))
    command(*words).refused(code, *says)
    assert [path.name for path in photo.parent.iterdir()] == ["photo.jpg"]


def test_one_stream_cannot_hold_both_picture_and_json(photo):
    end = command("remove", photo, "-o", "-", "--json")
    assert (end.code, end.out) == (2, "")
    assert "standard output" in json.loads(end.err)["message"]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("OpenCV: Insufficient memory in function 'OutOfMemoryError'")])
def test_running_out_of_memory_is_the_pictures_fault(photo, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setitem(VIEWS, "cutout", View(fail))
    command("remove", photo).refused(1, "resource_limit", "photo.jpg")
    assert [path.name for path in photo.parent.iterdir()] == ["photo.jpg"]


def test_unwritable_folder(photo, tmp_path):
    closed = tmp_path / "file"
    closed.write_text("not a folder")
    command("remove", photo, "--out-dir", closed / "below").refused(1, "write_error")


def test_a_folder_as_output(photo, tmp_path):
    folder = tmp_path / "folder.png"
    folder.mkdir()
    assert command("remove", photo, "-o", folder).code == 0
    assert [path.name for path in folder.iterdir()] == ["photo.cutout.png"]
    assert command("remove", photo, "-o", f"{tmp_path / 'made'}/", "--suffix", "-cut", "--format", "webp").code == 0
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["photo-cut.webp"]


def test_a_pattern_as_output(photo, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert command("remove", photo, "-o", "{stem}-{view}.webp", "--view", "cutout", "--view", "mask").code == 0
    assert sorted(path.name for path in tmp_path.glob("*.webp")) == ["photo-cutout.webp", "photo-mask.webp"]
    assert command("remove", photo, "-o", "{parent}/{name}.png").code == 0
    assert (photo.parent / "photo.jpg.png").exists()


@pytest.fixture
def folder(tmp_path):
    """Pictures in a folder and in a folder of it, a hidden one, and a file that is none."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.png", "sub/c.jpg", ".hidden.jpg"):
        Image.new("RGB", (32, 32)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").touch()
    return tmp_path / "in"


def names_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_pictures_of_a_folder(folder, tmp_path):
    out = tmp_path / "out"
    assert command("remove", folder, "-o", f"{out}/").code == 0
    assert names_below(out) == ["a.cutout.png", "b.cutout.png"]
    end = command("remove", folder, "-o", f"{out}/", "--recursive", "--skip-existing")
    assert end.code == 0
    assert "skipped 2 pictures whose files exist" in end.err
    assert names_below(out) == ["a.cutout.png", "b.cutout.png", "sub/c.cutout.png"]
    command("remove", tmp_path, "-o", f"{out}/").refused(2, "holds no pictures", "--recursive")
    (tmp_path / "empty").mkdir()
    end = command("remove", tmp_path / "empty")
    assert end.code == 2 and "--recursive" not in end.err


def test_outputs_of_an_earlier_run_are_no_inputs(folder):
    assert command("remove", folder).code == 0
    before = {name: (folder / name).stat().st_mtime_ns for name in names_below(folder)}
    assert set(before) == {".hidden.jpg", "a.cutout.png", "a.jpg", "b.cutout.png", "b.png", "notes.txt", "sub/c.jpg"}
    end = command("remove", folder, "--skip-existing")
    assert end.code == 0
    assert "left out 2 outputs of an earlier run" in end.err
    assert {name: (folder / name).stat().st_mtime_ns for name in names_below(folder)} == before
    lone = command("remove", folder / "a.cutout.png")  # named by itself, it is a picture like any other
    assert lone.code == 0 and (folder / "a.cutout.cutout.png").exists()


def test_skipped_pictures_are_lines_of_json_too(folder):
    assert command("remove", folder / "a.jpg").code == 0
    end = command("remove", folder / "a.jpg", folder / "b.png", "--skip-existing", "--json")
    by_name = {Path(line["picture"]).name: line for line in end.lines()}
    assert by_name["a.jpg"]["skipped"] is True
    assert by_name["a.jpg"]["files"] == {"cutout": str(folder / "a.cutout.png")}
    assert "skipped" not in by_name["b.png"]


def test_a_picture_alone_is_removed(photo):
    assert command(photo).code == 0
    assert photo.with_name("photo.cutout.png").exists()
    command("gone.jpg").refused(1, "not_found", "gone.jpg")


def test_quiet_prints_errors_only(photo):
    end = command("remove", photo, "-q", "--timings")
    assert (end.code, end.out, end.err) == (0, "", "")
    end = command("remove", photo, "-q")
    assert end.code == 1 and end.err.count("\n") == 1 and "output_exists" in end.err


def test_only_the_largest_part_is_kept(tmp_path, monkeypatch):
    drawn = np.zeros((60, 80), np.float32)
    drawn[10:50, 10:40] = drawn[20:45, 50:75] = 1
    monkeypatch.setattr(models, "load", lambda *_, **__: lambda rgb: SaliencyMap(drawn))
    Image.new("RGB", (80, 60)).save(tmp_path / "two.png")
    for words, pixels in ((), 40 * 30 + 25 * 25), (("--keep-largest",), 40 * 30):
        [line] = command("remove", tmp_path / "two.png", "--view", "mask", "-f", "--json", *words).lines()
        assert line["area"] == pixels


@pytest.fixture(scope="module")
def run():
    def call(*words, **kwargs):
        return subprocess.run(
            [sys.executable, "-m", "figureground", *map(str, words)], capture_output=True, check=False, **kwargs
        )

    return call


def test_from_standard_input_to_standard_output(run, photo):
    end = run("remove", "-", "-o", "-", "--format", "webp", input=photo.read_bytes())
    assert end.returncode == 0, end.stderr
    assert end.stdout[8:12] == b"WEBP"


def test_standard_input_is_called_stdin(run, photo, tmp_path):
    end = run("remove", "-", "--view", "mask", input=photo.read_bytes(), cwd=tmp_path)
    assert end.returncode == 0, end.stderr
    assert (tmp_path / "stdin.mask.png").exists()


def test_a_device_is_written_to_and_not_replaced(photo):
    end = command("remove", photo, "-o", "/dev/null", "--format", "png")
    assert end.code == 2  # no suffix, no format: refused before the device is touched
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_files_have_the_permissions_of_the_user(photo):
    old = os.umask(0o027)
    try:
        assert command("remove", photo).code == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE(photo.with_name("photo.cutout.png").stat().st_mode) == 0o640


def test_a_refiner_and_its_option_from_the_command_line(photo):
    assert command("remove", photo, "--refiner", "none", "--json").lines()[0]["method"]["refiner"] == "none"


def test_settings_from_the_environment(photo, monkeypatch):
    monkeypatch.setenv("FIGUREGROUND_MAX_PIXELS", "1000")
    command("remove", photo).refused(1, "too_large")
    monkeypatch.setenv("FIGUREGROUND_MAX_PIXELS", "many")
    command("remove", photo).refused(2, "FIGUREGROUND_MAX_PIXELS", "many")


def test_truncated_pictures_are_refused_or_taken(photo):
    photo.write_bytes(photo.read_bytes()[:-20000])
    command("remove", photo).refused(1, "truncated")
    assert command("remove", photo, "--lenient").code == 0


def test_one_thread_gives_the_same_mask(photo):
    masks = []
    for threads in (1, 2):
        assert command("remove", photo, "--view", "mask", "--threads", threads, "--overwrite").code == 0
        with Image.open(photo.with_name("photo.mask.png")) as image:
            masks.append(np.asarray(image).astype(int))
    assert np.abs(masks[0] - masks[1]).max() <= 1


@pytest.mark.parametrize("workers", [1, 3])
def test_pictures_at_once_are_told_of_in_their_order(tmp_path, workers):
    pictures = []
    for number in range(7):
        pictures.append(tmp_path / f"p{number}.png")
        Image.fromarray(np.full((20 + 300 * (number % 2), 30, 3), 30 * number, np.uint8)).save(pictures[-1])
    pictures[4].write_bytes(b"no picture")
    end = command("remove", *pictures, "--json", "--workers", workers, "--quality", "fast")
    assert end.code == 1
    assert [Path(json.loads(line)["picture"]).name for line in end.out.splitlines()] == [
        f"p{n}.png" for n in (0, 1, 2, 3, 5, 6)
    ]
    assert "p4.png" in end.err
    command("remove", *pictures, "--workers", "0").refused(2, "--workers")
