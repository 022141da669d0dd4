"""Training of the detail network: scenes, pairs, and a short run from the command line to a graph."""

import json

import numpy as np
import pytest

from commandline import command
from drawn import archive, pair

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from figureground.errors import BadData, WeightsError  # noqa: E402
from figureground.inference.session import session  # noqa: E402
from figureground.training.config import Recipe  # noqa: E402
from figureground.training.detail import scenes, trainer  # noqa: E402
from figureground.training.detail.network import CERTAIN, CHANNELS, DetailNetwork  # noqa: E402
from figureground.training.detail.pairs import coarse, composite, crop, firm, whole  # noqa: E402
from figureground.training.weights import load_detail  # noqa: E402


@pytest.fixture
def quick(monkeypatch):
    for name, value in (("SCENES", 8), ("ANSWERS", 2), ("COMPOSITES", 6), ("WHOLE", 128), ("HELD", 4)):
        monkeypatch.setattr(trainer, name, value)


def test_an_untrained_network_returns_the_coarse_mask():
    network = DetailNetwork().eval()
    window = torch.rand(2, CHANNELS, 48, 80, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert (network(window) - window[:, 3:].clamp(CERTAIN, 1 - CERTAIN)).abs().max() < 1e-5
    assert sum(parameter.numel() for parameter in network.parameters()) <= 600_000


@pytest.mark.parametrize("kind", list(scenes.KINDS), ids=lambda kind: kind.__name__)
def test_every_kind_of_scene_has_foreground_background_and_soft_pixels(kind):
    shares = []
    for seed in range(6):
        canvas, random = scenes.Canvas(96), np.random.default_rng(seed)
        kind(canvas, random)
        alpha = canvas.scene(random).alpha
        shares.append([(alpha > 250).mean(), (alpha < 5).mean(), ((alpha >= 5) & (alpha <= 250)).mean()])
    assert (np.mean(shares, 0) > 0.005).all()


@pytest.mark.parametrize("kind", list(scenes.KINDS), ids=lambda kind: kind.__name__)
def test_a_centered_scene_shows_a_subject_in_the_middle(kind):
    covers = []
    for seed in range(12):
        canvas, random = scenes.Canvas(96, centered=True), np.random.default_rng(seed)
        kind(canvas, random)
        covers.append(canvas.scene(random).alpha / 255)
    cover = np.mean(covers, 0)
    corners = np.mean([cover[:16, :16], cover[:16, -16:], cover[-16:, :16], cover[-16:, -16:]])
    assert cover[24:72, 24:72].mean() > max(0.05, 3 * corners)


def test_the_shares_of_the_kinds_are_whole():
    for column in zip(*scenes.KINDS.values(), strict=True):
        assert sum(column) == pytest.approx(1)


def test_a_thin_strand_covers_its_share_of_a_pixel():
    canvas = scenes.Canvas(32)
    canvas.strands([np.array([[0.0, 16.0], [32.0, 16.0]])], np.array([0.25]), np.array([128.0]))
    column = canvas.cover[:, 64].astype(float)
    assert column.sum() / 255 / scenes.FINE == pytest.approx(0.25)


def test_scenes_and_pairs_are_the_generators():
    drawn = [scenes.draw(80, np.random.default_rng((1, seed))) for seed in range(3)]
    pictures = [pair(number, 100) for number in range(3)]
    for make in (lambda random: composite(drawn, pictures, 64, random), lambda random: crop(pictures[0], 64, random)):
        one, two = make(np.random.default_rng(5)), make(np.random.default_rng(5))
        assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])
        assert one[0].shape == (64, 64, 3) and one[1].shape == (64, 64) and one[1].dtype == np.float32
    assert crop((pictures[0][0][:30, :40], pictures[0][1][:30, :40]), 64, np.random.default_rng(0))[0].shape == (64, 64, 3)


def test_drawn_foregrounds_as_a_whole_stand_before_what_is_free_of_subjects():
    drawn = [scenes.draw(96, np.random.default_rng((2, seed)), centered=True) for seed in range(8)]
    pictures = [pair(number, 100) for number in range(3)]
    shares = []
    for seed in range(12):
        rgb, mask = whole(drawn, pictures, 64, np.random.default_rng(seed))
        again = whole(drawn, pictures, 64, np.random.default_rng(seed))
        assert rgb.shape == (64, 64, 3) and mask.shape == (64, 64) and rgb.dtype == mask.dtype == np.uint8
        assert np.array_equal(rgb, again[0]) and np.array_equal(mask, again[1])
        shares.append(mask.mean() / 255)
    assert 0.1 < np.mean(shares) < 0.6


def test_coarse_masks_are_near_the_truth_and_not_it():
    alpha = np.zeros((128, 128), np.float32)
    alpha[30:100, 20:90] = 1
    for seed in range(10):
        rough = coarse(alpha, np.random.default_rng(seed))
        assert rough.min() >= 0 and rough.max() <= 1
        assert 0.001 < np.abs(rough - alpha).mean() < 0.25
    soft = np.linspace(0, 1, 11, dtype=np.float32)
    hard = firm(soft, np.random.default_rng(1))
    assert hard[5] == 0.5 and (np.diff(hard) > 0).all() and hard[3] < soft[3] and hard[8] > soft[8]


@pytest.mark.slow
def test_from_the_command_line_to_a_graph(quick, tmp_path):
    data, val, out = (
        archive(tmp_path / "train.zip", 8, size=96),
        archive(tmp_path / "val.zip", 2, 50, size=96),
        tmp_path / "run",
    )
    words = ["--val", val, "--out", out, "--network", "detail", "--epochs", 1, "--size", 64, "--batch", 4, "--threads", 1]
    end = command("train", data, *words, "--precision", "fp32", "--lr", "3e-3")
    assert end.code == 0, end
    run = session(out / "best.onnx")
    assert run.shape == (1, CHANNELS, -1, -1)
    window = np.random.default_rng(0).random((1, CHANNELS, 96, 160), np.float32)
    with torch.no_grad():
        wanted = load_detail(out / "best.safetensors").eval()(torch.from_numpy(window)).numpy()
    assert np.abs(run(window) - wanted).max() < 3e-3
    assert json.loads((out / "recipe.json").read_text())["network"] == "detail"
    assert (out / "log.csv").read_text().startswith("epoch,minutes,loss,drawn,real,")
    again = command("train", data, *words, "--from", out / "best.safetensors")
    assert again.code == 0, again


def test_mistakes(quick, tmp_path):
    data = archive(tmp_path / "train.zip", 3)
    words = [data, "--val", data, "--out", tmp_path / "x", "--network", "detail"]
    command("train", *words, "--freeze", "2").refused(2, "does not use", "--freeze")
    command("train", *words, "--last-size", "96").refused(2, "--last-size")
    command("train", *words, "--encoder-weights", "none").refused(2, "--encoder-weights")
    with pytest.raises(BadData):
        trainer.train([], [], tmp_path / "x", Recipe(network="detail"))
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(WeightsError, match="network 'detail'"):
        load_detail(tmp_path / "broken.safetensors")
    assert not (tmp_path / "x").exists()
