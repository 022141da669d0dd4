import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from commandline import command
from drawn import archive, pair
from photographs import ROOT

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from safetensors.torch import load_file, save_file  # noqa: E402

from figureground import models  # noqa: E402
from figureground.errors import BadData, UsageError, WeightsError  # noqa: E402
from figureground.evaluation.dataset import labeled_images  # noqa: E402
from figureground.inference.session import session  # noqa: E402
from figureground.settings import Settings  # noqa: E402
from figureground.training import augmentation, trainer  # noqa: E402
from figureground.training.calibration import BIAS, calibrate, fit  # noqa: E402
from figureground.training.config import Recipe  # noqa: E402
from figureground.training.data_loader import epoch_order, sampling_weights  # noqa: E402
from figureground.training.detail.pairs import whole  # noqa: E402
from figureground.training.export import Probability, difference, drawn_picture, export  # noqa: E402
from figureground.training.losses import boundary_loss, total_loss  # noqa: E402
from figureground.training.networks import NETWORKS, means  # noqa: E402
from figureground.training.optimizer import Optimizer, lr_scales  # noqa: E402
from figureground.training.soft_targets import soft_targets  # noqa: E402
from figureground.training.weights import load, metadata, read_recipe  # noqa: E402

TINY = Recipe(epochs=2, size=64, batch=4, threads=1, precision="fp32", warmup=0.1, ema_decay=0.9, lr=2e-3, network="scratch")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return archive(tmp_path_factory.mktemp("data") / "train.zip", 12)


@pytest.fixture(scope="module")
def val(tmp_path_factory):
    return archive(tmp_path_factory.mktemp("data") / "val.zip", 3, 100)


def losses(folder):
    with (folder / "log.csv").open(newline="") as file:
        return [(row["epoch"], row["loss"], row["max_f"], row["mae"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def trained(data, val, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    trainer.train(labeled_images([data]), labeled_images([val]), folder, TINY, quiet=True)
    return folder


def test_a_run_leaves_weights_log_plot_and_recipe(trained):
    assert {path.name for path in trained.iterdir()} == {
        "best.safetensors", "checkpoint.pt", "log.csv", "loss.png", "recipe.json",
    }  # fmt: skip
    assert [row[0] for row in losses(trained)] == ["1", "2"]
    assert (trained / "best.safetensors").stat().st_size < 8 * 2**20
    assert json.loads(metadata(trained / "best.safetensors")["recipe"])["size"] == 64
    with Image.open(trained / "loss.png") as image:
        assert image.size[0] > 500


def test_the_same_seed_gives_the_same_weights(trained, data, val, tmp_path):
    trainer.train(labeled_images([data]), labeled_images([val]), tmp_path, TINY, quiet=True)
    assert losses(tmp_path) == losses(trained)
    mine, theirs = (load_file(folder / "best.safetensors") for folder in (tmp_path, trained))
    assert set(mine) == set(theirs)
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []


def stop_after_an_epoch(data, val, folder, recipe, monkeypatch):
    """Train until the first checkpoint is written, and stop there as Ctrl-C does."""
    save = trainer.TrainingRun.save

    def stop(run):
        save(run)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer.TrainingRun, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(labeled_images([data]), labeled_images([val]), folder, recipe, quiet=True)


def test_a_stopped_run_goes_on_as_if_unbroken(trained, data, val, tmp_path, monkeypatch):
    stop_after_an_epoch(data, val, tmp_path, TINY, monkeypatch)
    assert len(losses(tmp_path)) == 1
    trainer.train(labeled_images([data]), labeled_images([val]), tmp_path, TINY, quiet=True)
    assert losses(tmp_path) == losses(trained)


def test_a_stopped_run_over_an_encoder_goes_on_as_if_unbroken(data, val, tmp_path, monkeypatch):
    """The frozen blocks are freed at the same step, and each block keeps its own learning rate."""
    recipe = replace(TINY, network="lite0", freeze=3, unfreeze_at=0.7, layer_decay=0.9, last_size=96, boundary=0.2)
    trainer.train(labeled_images([data]), labeled_images([val]), tmp_path / "whole", recipe, quiet=True)
    stop_after_an_epoch(data, val, tmp_path / "stopped", recipe, monkeypatch)
    trainer.train(labeled_images([data]), labeled_images([val]), tmp_path / "stopped", recipe, quiet=True)
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")


def test_training_learns_drawn_ellipses(tmp_path):
    drawn = archive(tmp_path / "train.zip", 24)
    held = archive(tmp_path / "val.zip", 6, 200)
    recipe = Recipe(epochs=6, size=64, batch=4, threads=1, precision="fp32", ema_decay=0.9, lr=2e-3, network="scratch")
    trainer.train(labeled_images([drawn]), labeled_images([held]), tmp_path / "run", recipe, quiet=True)
    with (tmp_path / "run" / "log.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["iou"]) > 0.8


def test_weights_can_be_trained_further(trained, data, val, tmp_path):
    trainer.train(labeled_images([data]), labeled_images([val]), tmp_path, TINY, start=trained / "best.safetensors", quiet=True)
    assert float(losses(tmp_path)[0][1]) < float(losses(trained)[0][1])


def test_the_fit_finds_the_curve():
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, 40000)
    truth = (random.random(40000) < 1 / (1 + np.exp(-(0.7 * logits - 1.2)))).astype(float)
    assert fit(logits, truth) == pytest.approx((0.7, -1.2), abs=0.06)


def test_half_means_half_afterwards(trained, val, tmp_path):
    """Weights whose level was moved on purpose are moved back; a second time nothing happens."""
    moved = load_file(trained / "best.safetensors")
    moved[BIAS] = moved[BIAS] + 2
    save_file(moved, tmp_path / "moved.safetensors")
    held = [pair.read() for pair in labeled_images([val])]
    first = calibrate(tmp_path / "moved.safetensors", NETWORKS["scratch"](), held, 64)
    assert -4 <= first < -1
    assert load_file(tmp_path / "moved.safetensors")[BIAS] == pytest.approx(moved[BIAS] + first)
    assert calibrate(tmp_path / "moved.safetensors", NETWORKS["scratch"](), held, 64) == 0.0
    assert "calibrated" in metadata(trained / "best.safetensors")


def test_minutes_end_a_run(data, val, tmp_path):
    recipe = Recipe(minutes=0.02, size=64, batch=4, precision="fp32", network="scratch")
    trainer.train(labeled_images([data]), labeled_images([val]), tmp_path, recipe, quiet=True)
    assert (tmp_path / "best.safetensors").exists()


def test_nothing_to_learn_from(val, tmp_path):
    with pytest.raises(BadData, match="at least one picture"):
        trainer.train([], labeled_images([val]), tmp_path, TINY)


def test_the_rate_rises_and_falls(tmp_path):
    run = trainer.TrainingRun(Recipe(size=64, warmup=0.1, lr=1.0), tmp_path, NETWORKS["scratch"]())
    rates = [run.lr(progress) for progress in np.linspace(0, 1, 101)]
    assert np.argmax(rates) == 10
    assert rates[0] < 0.01 and rates[-1] == pytest.approx(0.01)
    assert all(a >= b for a, b in pairwise(rates[10:]))


@pytest.mark.parametrize(
    ("size", "last", "sides"),
    [
        (192, 256, [192, 192, 192, 224, 224, 256, 256]),
        (256, None, [256] * 7),
        (64, 96, [64, 64, 64, 96, 96, 96, 96]),
        (320, 256, [320, 320, 320, 288, 288, 256, 256]),
    ],
)
def test_the_size_grows_in_the_second_half(size, last, sides):
    recipe = Recipe(size=size, last_size=last)
    assert [recipe.size_at(progress) for progress in (0, 0.3, 0.49, 0.5, 0.74, 0.75, 1)] == sides


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_step_of_inner_layers_is_orthogonal(channels_last):
    """Muon: whatever the gradient, every direction of a kernel moves about alike; AdamW's layers move by the rate."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 6, 3), torch.nn.Conv2d(6, 1, 1))
    if channels_last:
        network.to(memory_format=torch.channels_last)
    optimizer = Optimizer(network, Recipe(lr=0.1, weight_decay=0.0))
    before = [p.detach().clone() for p in network.parameters()]
    for p in network.parameters():
        p.grad = torch.randn_like(p) * torch.logspace(0, -2, p.shape[0]).view(-1, *[1] * (p.ndim - 1))
    optimizer.step(0.01)
    moved = [p.detach() - old for p, old in zip(network.parameters(), before, strict=True)]
    strengths = torch.linalg.svdvals(moved[2].flatten(1))
    assert strengths.min() > 0.5 * strengths.max() > 0
    for place in (0, 1, 4, 5):  # the first kernel, biases, and the last kernel
        assert moved[place].abs().median() == pytest.approx(0.01, rel=0.05)
    assert optimizer.steps() == 1
    optimizer.zero_grad()
    assert all(p.grad is None for p in network.parameters())


def test_the_loss_prefers_the_truth():
    truth = torch.zeros(1, 2, 64, 64)
    truth[:, 1] = 1
    truth[:, 0, 16:48, 16:48] = 1
    right, wrong = (sign * (truth[:, :1] - 0.5) * 20 for sign in (1, -1))
    unsure = torch.zeros(1, 1, 64, 64)
    values = [float(total_loss([logits], truth)) for logits in (right, unsure, wrong)]
    assert values[0] < 0.01
    assert values[0] < values[1] < values[2]


@pytest.mark.parametrize("size", [64, 96])
@pytest.mark.parametrize(
    ("name", "most"), [("scratch", 3_900_000), ("lite0", 4_200_000), ("lite1", 5_000_000), ("lite2", 5_600_000)]
)
def test_network_shapes(name, most, size):
    network = NETWORKS[name]()
    assert sum(parameter.numel() for parameter in network.parameters()) <= most
    outputs = network.train()(torch.rand(2, 3, size, size))
    assert [tuple(part.shape) for part in outputs] == [(2, 1, s, s) for s in (size, size // 4, size // 8, size // 16)]
    assert len(network.eval()(torch.rand(1, 3, size, size))) == 1


def test_samples_keep_picture_and_mask_together():
    """Wherever a sample was cropped, turned, mirrored or recoloured: the bright ellipse is where its mask is."""
    drawn = [pair(number, 96) for number in range(8)]
    for number in range(60):
        random = np.random.default_rng(number)
        picture, mask = augmentation.sample(drawn, number % 8, 64, random)
        assert picture.shape == (64, 64, 3) and mask.shape == (64, 64)
        inside, outside = mask > 200, mask < 50
        if inside.sum() > 50:
            assert picture[inside].mean() > picture[outside].mean() + 5  # low light leaves little


def test_close_crops_follow_the_subject():
    large = np.zeros((300, 320), np.uint8)
    large[60:260, 80:240] = 255
    large[:, 81:239:4] = 0  # a comb
    for seed in range(50):
        x, y, w, h = augmentation._close_crop(large, np.random.default_rng(seed))
        assert x >= 0 and x + w <= 320 and y >= 0 and y + h <= 300
        assert 0.55 * 160 <= w <= 1.15 * 160 and 0.55 * 200 <= h <= 1.15 * 200
        assert x >= 80 - max(0, w - 160) and x + w <= 240 + max(0, w - 160)  # a smaller crop lies within the subject's box
    # where the subject is small, or would fill the crop, any crop of the picture serves
    for box in (np.s_[100:180, 100:300], np.s_[0:300, 0:320]):
        mask = np.zeros((300, 320), np.uint8)
        mask[box] = 255
        widths = [augmentation._close_crop(mask, np.random.default_rng(seed))[2] for seed in range(50)]
        assert min(widths) >= 0.9 * 0.55 * 320 and max(widths) > 0.9 * 320


def test_pasting_keeps_the_foreground_where_it_is():
    """Over another picture's free strip, or a gradient: bright stays bright, and what was around it is gone."""
    size = 128
    mask = np.zeros((size, size), np.uint8)
    mask[40:90, 40:90] = 255
    rgb = np.full((size, size, 3), 10, np.uint8)
    rgb[mask > 0] = 220
    other = np.full((size, size, 3), 60, np.uint8), np.zeros((size, size), np.uint8)
    for seed in range(20):
        pasted = augmentation._paste(rgb, mask, other, np.random.default_rng(seed))
        assert pasted[60:70, 60:70].min() >= 80  # its light may be lowered to 0.4
        assert pasted[:20].min() >= 15  # the old ground, 10, is gone


def test_light_is_changed_within_bounds():
    """Low light, backlight and noise darken and disturb, and never leave uint8 or move an edge."""
    rgb, mask = pair(3, 96)
    for seed in range(60):
        changed = augmentation._recolor(rgb, np.random.default_rng(seed))
        assert changed.shape == rgb.shape and changed.dtype == np.uint8
        assert changed[mask > 0].mean() > changed[mask == 0].mean()
    back = augmentation._backlight(rgb, mask, np.random.default_rng(0))
    assert back[mask > 0].mean() < 0.7 * rgb[mask > 0].mean()


def test_shares_decide_what_an_epoch_shows():
    weights = sampling_weights([100, 20, 80], [None, 0.3, None])
    assert weights.sum() == pytest.approx(200)
    assert weights[100:120].sum() == pytest.approx(60)
    assert weights[0] == pytest.approx(weights[150]) == pytest.approx(140 / 180)
    for epoch in range(5):
        counts = np.bincount(epoch_order(weights, (0, epoch)), minlength=200)
        assert counts.sum() == 200
        assert set(counts[100:120]) == {3} and counts.max() == 3  # ⌊weight⌋ or ⌈weight⌉ times
    orders = [epoch_order(weights, (seed, epoch)).tolist() for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert orders[0] == orders[1] != orders[2] != orders[3]
    plain = epoch_order(np.ones(50), (7, 1))
    assert sorted(plain) == list(range(50))


@pytest.mark.parametrize("shares", [[0.0, None], [1.0, None], [0.7, 0.7], [0.5, 0.4], [-1.0, None], [float("nan"), None]])
def test_shares_that_do_not_fit_are_refused(shares):
    with pytest.raises(UsageError, match="share"):
        sampling_weights([10, 10], shares)


def test_the_boundary_loss_is_of_edges():
    truth = torch.zeros(1, 1, 64, 64)
    truth[..., 16:48, 16:48] = 1
    flat, moved = torch.full_like(truth, 0.5), truth.roll(4, 3)
    values = [float(boundary_loss(part, truth)) for part in (truth, moved, flat)]
    assert values[0] == 0
    assert values[1] > 0.3 and values[2] == pytest.approx(124 / (124 + 64), abs=0.1)
    masks = torch.cat([truth, torch.ones_like(truth)], 1)
    logits = [(truth.roll(4, 3) - 0.5) * 20]
    assert float(total_loss(logits, masks, 0.5) - total_loss(logits, masks)) == pytest.approx(0.5 * values[1], rel=1e-3)


def test_earlier_blocks_learn_slower_and_muon_leaves_the_encoder_alone():
    network = NETWORKS["lite0"]()
    recipe = Recipe(encoder_lr=0.2, layer_decay=0.5)
    scales = lr_scales(network, recipe)
    blocks = [scales[id(next(block.parameters()))] for block in network.encoder.blocks]
    assert blocks == pytest.approx([0.2 * 0.5**behind for behind in range(17)][::-1])
    optimizer = Optimizer(network, recipe)
    encoder = {id(p) for p in network.encoder.parameters()}
    assert optimizer.inner and not encoder & {id(p) for p in optimizer.inner}
    assert not Optimizer(network, Recipe(optimizer="adamw")).inner


def test_blocks_are_freed_in_the_course_of_a_run(tmp_path):
    recipe = Recipe(size=64, freeze=3, unfreeze_at=0.5)
    run = trainer.TrainingRun(recipe, tmp_path, NETWORKS["lite0"]())
    for progress, frozen in ((0.0, 3), (0.49, 3), (0.5, 0), (0.9, 0)):
        run.freeze(progress)
        assert run.model.encoder.frozen == frozen
    scratch = trainer.TrainingRun(Recipe(network="scratch"), tmp_path, NETWORKS["scratch"]())
    scratch.freeze(0.0)  # has no blocks to freeze


def test_weights_of_version_0_2_0_are_read(tmp_path, trained):
    """Its names of tensors and of the recipe's fields are translated; the answers are the same."""
    new = load_file(trained / "best.safetensors")
    old = {}
    for name, tensor in new.items():
        before = re.sub(r"^encoder\.", "", name)
        for now, then in (
            (r"^upsample\.", "rise."), (r"^fuse\.", "mend."), (r"(context\.\d)\.position", r"\1.place"),
            (r"(context\.\d)\.norm1", r"\1.before"), (r"(context\.\d)\.norm2", r"\1.between"),
            (r"(context\.\d)\.qkv", r"\1.query_key_value"), (r"(context\.\d)\.proj", r"\1.out"),
            (r"(context\.\d)\.convs", r"\1.parts"), (r"(context\.\d)\.fuse", r"\1.join"),
            (r"\.conv1\.", ".first."), (r"\.conv2\.", ".second."),
        ):  # fmt: skip
            before = re.sub(now, then, before)
        old[before] = tensor
    assert {"stem.0.0.weight", "rise.0.weight", "mend.1.2.first.0.weight", "context.0.place.weight"} <= set(old)
    recipe = {"network": "small", "size": 64, "rate": 1e-3, "decay": 0.05, "warm_up": 0.1, "ema": 0.9, "seed": 2}
    save_file(old, tmp_path / "old.safetensors", {"recipe": json.dumps(recipe)})
    assert read_recipe(tmp_path / "old.safetensors") == Recipe(
        network="scratch", size=64, lr=1e-3, weight_decay=0.05, warmup=0.1, ema_decay=0.9, seed=2
    )
    model = load(tmp_path / "old.safetensors", "scratch").eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(x)[0], load(trained / "best.safetensors", "scratch").eval()(x)[0])


def test_samples_are_the_generators(tmp_path):
    drawn = [pair(number) for number in range(3)]
    one, two = (augmentation.sample(drawn, 1, 64, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])


def test_a_share_of_the_samples_is_drawn(data, val, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "SCENES", 6)
    drawn = []
    monkeypatch.setattr(trainer, "whole", lambda *given: drawn.append(given) or whole(*given))
    recipe = replace(TINY, epochs=1, synthetic=0.5)
    trainer.train(labeled_images([data]), labeled_images([val]), tmp_path, recipe, quiet=True)
    shown = len(labeled_images([data])) // recipe.batch * recipe.batch
    assert 0.2 * shown <= len(drawn) <= 0.8 * shown
    assert json.loads((tmp_path / "recipe.json").read_text())["synthetic"] == 0.5


def test_targets_are_warped_as_their_masks_are():
    """The mask decides the crop and what is pasted; the target is what is learned."""
    drawn = [pair(number, 96) for number in range(8)]
    for number in range(40):
        plain, aside = (
            augmentation.sample(drawn, number % 8, 64, np.random.default_rng(number), target)
            for target in (None, 255 - drawn[number % 8][1])
        )
        assert np.array_equal(plain[0], aside[0])
        assert np.abs(255 - plain[1].astype(int) - aside[1]).max() <= 1


def test_soft_targets_lie_between_mask_and_answer():
    rgb, mask = pair(1, 128)
    answer = models.load("saliency", Settings(threads=1))(rgb).values * 255
    (full,) = soft_targets([(rgb, mask)], 1, 1, True)
    assert full.dtype == np.uint8 and np.abs(full - answer).max() <= 1
    (part,) = soft_targets([(rgb, mask)], 0.25, 1, True)
    assert np.abs(part - (0.75 * mask + 0.25 * answer)).max() <= 1


def test_a_run_learns_from_soft_targets(data, val, tmp_path, monkeypatch):
    """A teacher that answers the opposite with half of the weight leaves nothing to learn: 0.5 everywhere."""
    monkeypatch.setattr(trainer, "soft_targets", lambda pictures, *_: [np.full_like(mask, 128) for _, mask in pictures])
    learned = []
    step = trainer.TrainingRun.step
    monkeypatch.setattr(
        trainer.TrainingRun, "step", lambda run, images, masks, lr: learned.append(masks) or step(run, images, masks, lr)
    )
    recipe = replace(TINY, epochs=1, soft_targets=0.5)
    trainer.train(labeled_images([data]), labeled_images([val]), tmp_path, recipe, quiet=True)
    assert torch.cat(learned)[:, 0].sub(128 / 255).abs().max() < 1e-6


@pytest.fixture(scope="module")
def commanded(data, val, tmp_path_factory):
    """The folder of a run of the command, which exports what it trained: that of the default network, for every size."""
    out = tmp_path_factory.mktemp("commanded") / "run"
    words = ["--val", val, "--out", out, "--epochs", 1, "--size", 64, "--batch", 4, "--precision", "fp32", "--seed", 3]
    end = command("train", f"{data}=0.6", f"{val}=0.4", *words, "--threads", 1)
    assert end.code == 0, end
    assert "best.safetensors" in end.out
    return out


@pytest.mark.parametrize("size", [(2, 2), (6, 8), (7, 5), (10, 4)])
@pytest.mark.parametrize("cells", [1, 2, 4])
def test_means_are_those_of_adaptive_pooling(size, cells):
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(means(x, cells), torch.nn.functional.adaptive_avg_pool2d(x, cells))


@pytest.mark.slow
def test_the_graph_equals_torch(commanded):
    """As written, rounded to float16; that the bound before rounding holds is tested by its refusal."""
    model = Probability(load(commanded / "best.safetensors", read_recipe(commanded / "best.safetensors").network)).eval()
    pictures = [drawn_picture(np.random.default_rng(seed), side) for seed, side in enumerate((64, 128, 192))]
    assert difference(model, onnx.load(commanded / "best.onnx"), pictures) <= 2e-3


@pytest.mark.slow
def test_the_graph_takes_and_gives_probabilities(commanded):
    path = commanded / "best.onnx"
    run = session(path)
    assert run.shape == (1, 3, -1, -1)  # any multiples of 32
    for size in ((64, 64), (96, 160)):
        answer = run(np.zeros((1, 3, *size), np.float32))
        assert answer.shape == (1, 1, *size)
        assert 0 <= answer.min() and answer.max() <= 1
    assert path.stat().st_size < 12 * 2**20


@pytest.mark.slow
def test_the_graph_holds_nothing_of_the_machine(commanded):
    text = (commanded / "best.onnx").read_bytes()
    for word in (str(ROOT), str(Path.home()) + "/", ".py"):
        assert word.encode() not in text


def test_weights_that_do_not_fit(tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\xff" * 100)
    with pytest.raises(WeightsError, match=r"broken\.safetensors"):
        export(broken, tmp_path / "out.onnx", 64)
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("step", "bound"), [("before", "BEFORE"), ("after", "AFTER")])
def test_a_graph_too_far_from_torch_is_refused(commanded, tmp_path, monkeypatch, step, bound):
    import figureground.training.export as exporting

    monkeypatch.setattr(exporting, bound, 0.0)
    with pytest.raises(WeightsError, match=rf"from torch \({step} rounding\)"):
        export(commanded / "best.safetensors", tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_train_from_the_command_line(commanded):
    assert session(commanded / "best.onnx").shape == (1, 3, -1, -1)
    recipe = json.loads((commanded / "recipe.json").read_text())
    assert (recipe["epochs"], recipe["seed"], recipe["precision"], recipe["threads"]) == (1, 3, "fp32", 1)


@pytest.mark.slow
def test_export_from_the_command_line(trained, tmp_path):
    end = command("export", trained / "best.safetensors", "--out", tmp_path / "net.onnx", "--size", 96)
    assert end.code == 0, end
    assert session(tmp_path / "net.onnx").shape == (1, 3, 96, 96)


def test_mistakes_in_training(data, tmp_path):
    command("train", tmp_path / "none", "--val", data, "--out", tmp_path / "x").refused(3, "bad_data", "none")
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w"):
        pass
    command("train", empty, "--val", data, "--out", tmp_path / "x").refused(3, "bad_data")
    words = ["--val", data, "--out", tmp_path / "x"]
    command("train", data, *words, "--size", "100").refused(2, "multiple of 32")
    command("train", data, *words, "--epochs", "0").refused(2, "epochs")
    command("train", data, *words, "--network", "large").refused(2, "large", "scratch")
    command("train", data, *words, "--freeze", "-1").refused(2, "freeze")
    command("train", data, *words, "--unfreeze-at", "2").refused(2, "unfreeze_at")
    command("train", data, *words, "--synthetic", "1").refused(2, "synthetic")
    command("train", data, *words, "--soft-targets", "1.5").refused(2, "soft_targets")
    command("train", f"{data}=much", *words).refused(2, "DATA=SHARE", "much")
    command("train", f"{data}=0.5", *words).refused(2, "share")
    command("train", data, *words, "--device", "quantum").refused(2, "quantum")
    assert not (tmp_path / "x").exists()


def test_a_missing_extra_is_named(monkeypatch, data, tmp_path):
    import sys

    monkeypatch.delitem(sys.modules, "figureground.training.trainer")
    monkeypatch.setitem(sys.modules, "torch", None)
    command("train", data, "--val", data, "--out", tmp_path / "x").refused(3, "figureground[train]")


def test_pictures_that_cannot_be_read_are_named(tmp_path, data):
    broken = tmp_path / "broken.zip"
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "PNG")
    with zipfile.ZipFile(broken, "w") as file:
        file.writestr("images/a.png", b"no picture")
        file.writestr("masks/a.png", buffer.getvalue())
    command("train", broken, "--val", data, "--out", tmp_path / "x", "--size", "64").refused(3, "bad_data", "broken.zip/a")
