"""What each command over labelled pictures does with bad ones. To add a kind: a row in `REFUSED`, `TOLD` or `READ`."""

import io

import cv2
import numpy as np
import onnx
import pytest
from PIL import Image

from commandline import command
from drawn import pair

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from figureground.training.adapt import adapt as adapting  # noqa: E402
from figureground.training.adapt import bases, head, views  # noqa: E402
from figureground.training.config import Recipe  # noqa: E402

SIX = range(6)


def encoded(values, kind="PNG"):
    buffer = io.BytesIO()
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    image.save(buffer, kind)
    return buffer.getvalue()


def good():
    """Six labelled pictures, {path: bytes}."""
    return {f"{part}/{n}.png": encoded(pair(n)[place]) for n in SIX for place, part in enumerate(("images", "masks"))}


def mask_as(turned, kind="PNG"):
    """The mask of picture 3 otherwise."""
    return {"masks/3.png": encoded(turned(pair(3)[1]), kind)}


def masks_as(turned):
    return {f"masks/{n}.png": encoded(turned(pair(n)[1])) for n in SIX}


def painted(mask):
    return np.where(mask[..., None] > 0, np.uint8([230, 30, 30]), np.uint8([0, 0, 0]))


def cut_out(mask):
    return np.dstack([np.full_like(mask, 255)] * 3 + [mask])


def palette(mask):
    image = Image.fromarray(mask // 255, "P")
    image.putpalette([0, 0, 0, 128, 0, 0])
    return image


REFUSED = {
    "mask without picture": ({"masks/x.png": encoded(pair(1)[1])}, "'masks/x.png' has no picture of the same stem"),
    "picture without mask": ({"images/x.png": encoded(pair(1)[0])}, "'images/x.png' has no mask of the same stem"),
    "sizes differ": (mask_as(lambda m: m[:, :50]), "/3': the mask must have the picture's size, 64 × 64, but has 50 × 64"),
    "corrupt picture": ({"images/3.png": encoded(pair(3)[0])[:900]}, "the picture of 'set/3' cannot be read"),
    "corrupt mask": ({"masks/3.png": b"no picture"}, "the mask of 'set/3' cannot be read"),
    "empty file": ({"images/3.png": b""}, "the picture of 'set/3' cannot be read"),
    "coloured": (mask_as(painted), "the mask of 'set/3' cannot be read (it is colored"),
    "palette of colours": (mask_as(palette), "the mask of 'set/3' cannot be read (it is colored"),
    "transparency": (mask_as(cut_out), "the mask of 'set/3' cannot be read (it is transparent"),
    "0 and 1": (mask_as(lambda m: m // 255), "the mask of 'set/3' holds 0 and 1"),
    "8 bits kept as 16": (mask_as(lambda m: m.astype(np.uint16)), "the mask of 'set/3' cannot be read (it has 16 bits"),
    "floating point": (mask_as(lambda m: m / np.float32(255), "TIFF"), "the mask of 'set/3' cannot be read (it holds floating"),
}
"""Files that are added or replaced, and what the one line says."""

TOLD = {
    "one empty": (mask_as(np.zeros_like), "1 of 6 masks are empty, the first is that of 'set/3'"),
    "one full": (mask_as(lambda m: np.full_like(m, 255)), "1 of 6 masks are full, the first is that of 'set/3'"),
}

ONE_CLASS = {
    "all empty": (masks_as(np.zeros_like), "6 masks are empty, the first is that of 'set/0'"),
    "all full": (masks_as(lambda m: np.full_like(m, 255)), "6 masks are full, the first is that of 'set/0'"),
}

READ = {
    "16 bits": masks_as(lambda m: m.astype(np.uint16) * 257),
    "three equal channels": masks_as(lambda m: np.dstack([m] * 3)),
    "three channels and a full alpha": masks_as(lambda m: np.dstack([m] * 3 + [np.full_like(m, 255)])),
    "1 bit": masks_as(lambda m: m > 127),
    "JPEG in colours": {f"masks/{n}.png": cv2.imencode(".jpg", np.dstack([pair(n)[1]] * 3))[1].tobytes() for n in SIX},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Calls a command with a folder of six good pictures and these files besides; networks are small and not exported."""
    monkeypatch.setattr(views, "MOST_VIEWS", 1)
    monkeypatch.setattr(adapting, "FOLDS", 2)
    monkeypatch.setattr(head, "STRENGTHS", (0.3,))
    monkeypatch.setattr(bases, "read_recipe", lambda _: Recipe(network="lite2", size=64))
    monkeypatch.setattr(bases, "exported", lambda *_: onnx.ModelProto())
    monkeypatch.setattr("figureground.cli.train.write_graph", lambda *_: None)

    def call(name, files):
        for path, content in (good() | files).items():
            target = tmp_path / "set" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return command(name, tmp_path / "set", *OPTIONS[name](tmp_path))

    return call


OPTIONS = {
    "adapt": lambda folder: ["--out", folder / "own.onnx", "--threads", 1],
    "evaluate": lambda folder: ["--method", "subject", "--refiner", "none", "--quality", "fast", "--threads", 1],
    "split": lambda folder: ["--out", folder / "lists"],
    "train": lambda folder: ["--val", folder / "set", "--out", folder / "run", "--epochs", 1, "--size", 64, "--batch", 4],
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("kind", REFUSED)
def test_one_line_names_the_file(run, tmp_path, name, kind):
    files, words = REFUSED[kind]
    run(name, files).refused(3, "bad_data", words)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("kind", TOLD)
def test_going_on_is_told_with_a_count(run, name, kind):
    files, words = TOLD[kind]
    ended = run(name, files)
    assert ended.code == 0, ended.err
    told = [line for line in ended.err.splitlines() if "epoch" not in line]
    assert len(told) == (2 if name == "train" else 1)  # training looks at the data to learn from and that to choose by
    assert all(line.startswith(f"figureground: {words}") for line in told)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("kind", ONE_CLASS)
def test_one_class_alone_teaches_nothing_but_may_be_measured_and_dealt_out(run, name, kind):
    files, words = ONE_CLASS[kind]
    ended = run(name, files)
    if name in {"adapt", "train"}:
        ended.refused(3, "bad_data", f"all {words}")
    else:
        assert ended.code == 0, ended.err
        assert ended.err.splitlines() == [f"figureground: 6 of {words}; they are taken as they are"]


@pytest.mark.parametrize("name", ["evaluate", "split"])
@pytest.mark.parametrize("kind", READ)
def test_masks_that_can_only_be_meant_one_way_are_read(run, name, kind):
    ended = run(name, READ[kind])
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("kind", READ)
def test_they_are_read_as_what_they_are(run, tmp_path, kind):
    from figureground.evaluation.dataset import labeled_images

    run("split", READ[kind])
    for n, each in enumerate(labeled_images([tmp_path / "set"])):
        assert np.array_equal(each.read()[1] > 127, pair(n)[1] > 127)
