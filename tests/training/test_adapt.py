import io
import json
import shutil
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from commandline import command
from drawn import pair
from hub_server import COLORS, save, tiny
from hub_server import drawn as colored
from photographs import FOLDER, photograph

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from figureground import Method, Separator, models  # noqa: E402
from figureground.errors import BadData, OutputExists, UnknownName, UsageError, WeightsError, WriteFailed  # noqa: E402
from figureground.evaluation.dataset import LabeledImage, labeled_images_or_folders  # noqa: E402
from figureground.evaluation.metrics import Counts  # noqa: E402
from figureground.inference.session import session  # noqa: E402
from figureground.models import adapted  # noqa: E402
from figureground.settings import Settings  # noqa: E402
from figureground.training import export  # noqa: E402
from figureground.training.adapt import adapt as adapting  # noqa: E402
from figureground.training.adapt import backbone, bases, deep, head, views  # noqa: E402
from figureground.training.adapt.backbone import Backbone  # noqa: E402
from figureground.training.config import Recipe  # noqa: E402

ONE = Settings(threads=1)


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def turned(number):
    """The network's own subject is the bright ellipse; here everything but it is wanted."""
    rgb, mask = pair(number)
    return rgb, 255 - mask


def red(number):
    """Of four colours, one is foreground."""
    rgb, labels = colored(number)
    return rgb, (labels == list(COLORS).index("person")).astype(np.uint8) * 255


def of(make, numbers):
    return [LabeledImage(f"p/{n}", partial(png, make(n)[0]), partial(png, make(n)[1])) for n in numbers]


def written(folder, make, numbers):
    for role, place in (("images", 0), ("masks", 1)):
        (folder / role).mkdir(parents=True)
        for number in numbers:
            Image.fromarray(make(number)[place]).save(folder / role / f"{number}.png")
    return folder


def iou(weights, make, numbers):
    separate = Separator(Method("adapted", "salient", "none", {"weights": str(weights), "quality": "fast"}), ONE)
    return np.mean([Counts.of(separate(make(n)[0]).mask, make(n)[1] > 127).iou for n in numbers])


def own_iou(make, numbers):
    separate = Separator(Method("saliency", "salient", "none", {"quality": "fast"}), ONE)
    return np.mean([Counts.of(separate(make(n)[0]).mask, make(n)[1] > 127).iou for n in numbers])


@pytest.fixture
def quick(monkeypatch):
    """A smaller network, fewer views, folds and steps: enough for pictures as plain as these."""
    monkeypatch.setattr(views, "MOST_VIEWS", 2)
    monkeypatch.setattr(adapting, "FOLDS", 2)
    monkeypatch.setattr(head, "STRENGTHS", (0.3, 0.03))
    monkeypatch.setattr(head, "PIXELS", 128)
    monkeypatch.setattr(deep, "PASSES", 2)
    monkeypatch.setattr(bases, "read_recipe", lambda _: Recipe(network="lite2", size=64))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segformer")
    save(folder, tuple(COLORS))
    return folder


@pytest.mark.slow
def test_the_command_learns_what_the_network_gets_wrong_and_its_file_is_a_method(quick, tmp_path):
    data, out = written(tmp_path / "data", turned, range(6)), tmp_path / "own.onnx"
    ended = command("adapt", data, "--out", out, "--threads", 1, "--json")
    assert ended.code == 0, ended.err
    assert ended.err == ""
    [said] = ended.lines()
    assert (said["pictures"], said["held_back"], said["adopted"], said["made_from"]) == (6, 6, True, "saliency")
    assert said["iou_after"] > said["iou_before"] + 0.3
    assert iou(out, turned, range(50, 54)) > own_iou(turned, range(50, 54)) + 0.3
    notes = adapted.notes(out.read_bytes(), "own")
    assert (
        notes["license"] == notes["licence"] == "Apache-2.0"
        and notes["pictures"] == 6
        and notes["size"] == 64
        and notes["trained"] == "head"
    )
    assert notes["iou_after"] == round(said["iou_after"], 4)
    assert out.stat().st_size < 12 * 2**20
    again = command("adapt", data, "--out", out)
    again.refused(1, "output_exists", "--overwrite", "--out")
    shown = command("remove", data / "images" / "0.png", "-m", "subject", "--model", "adapted", "--weights", out, "--json",
                    "-o", tmp_path / "a.png")  # fmt: skip
    assert shown.lines()[0]["license"] == "Apache-2.0"


def test_where_nothing_is_gained_the_network_is_written_as_it_was(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(adapting, "chosen", lambda table, before: (None, float(np.nanmean(before))))
    monkeypatch.setattr(views, "MOST_VIEWS", 1)
    result = adapting.adapt(of(pair, range(5)), tmp_path / "same.onnx", settings=ONE, quiet=True)
    assert not result.adopted and result.iou_before == result.iou_after
    assert "written as it was" in result.text()
    assert adapted.notes((tmp_path / "same.onnx").read_bytes(), "same")["adopted"] is False
    base, x = bases.Own(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        wanted = torch.sigmoid(base.network(x)[0]).numpy()
    assert np.abs(session(tmp_path / "same.onnx")(x.numpy()) - wanted).max() < 2e-3
    rgb = photograph(FOLDER / "coffee.jpg")
    for quality in ("fast", "balanced"):
        wanted, same = (
            Separator(Method(model, "salient", "clean", {"quality": quality, **options}), ONE)(rgb).mask
            for model, options in (("saliency", {}), ("adapted", {"weights": str(tmp_path / "same.onnx")}))
        )
        assert np.array_equal(same, wanted), quality


def test_a_segformer_that_gained_nothing_says_that_its_file_takes_everything(quick, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(adapting, "chosen", lambda table, before: (None, float(np.nanmean(before))))
    monkeypatch.setattr(views, "MOST_VIEWS", 1)
    out = tmp_path / "blank.onnx"
    result = adapting.adapt(of(red, range(200, 205)), out, start=str(checkpoint), settings=ONE, quiet=True)
    assert result.whole_picture and not result.adopted
    assert "takes the whole picture for it: label more pictures" in result.text()
    separate = Separator(Method("adapted", "salient", "none", {"weights": str(out)}), ONE)
    assert (separate(red(200)[0]).mask >= 0.5).all()


@pytest.mark.slow
def test_deep_trains_the_decoder_and_nothing_else(quick, tmp_path):
    out = tmp_path / "deep.onnx"
    result = adapting.adapt(of(turned, range(20)), out, deep=True, settings=ONE, quiet=True)
    assert result.held_back == 10  # the first group alone, of two
    base = bases.Own()
    seen = views.collect_views(
        views.read(of(turned, range(5)), 64, True), lambda x: adapting._maps(base.network, x), 0, 60, True
    )
    *_, taught = deep.DeepLearner(seen, base.network, 0).regularization_path(torch.arange(5))
    before = base.network.state_dict()
    moved = {name.split(".")[0] for name, value in taught.state_dict().items() if not value.equal(before[name])}
    assert moved <= set(deep.PARTS) and {"lateral", "upsample", "fuse", "heads"} <= moved
    assert session(out).shape == (1, 3, 64, 64)


def test_a_head_that_was_not_trained_is_the_network_itself():
    base = bases.Own()
    x = torch.rand(2, 3, 64, 64)
    levels, own = base.features(x)
    with torch.no_grad():
        plain, headed = base.network(x)[0], bases.WithHead(base.network, head.Head([level.shape[1] for level in levels]))(x)[0]
    assert (plain - headed).abs().max() < 1e-5
    assert own.shape == (2, 1, 32, 32) and max(level.shape[-1] for level in levels) == 16


@pytest.mark.slow
def test_rounding_what_a_head_stands_on_changes_nothing_that_it_could_amplify():
    base = bases.Own()
    made = head.Head([16, 24, 48, 120, 192, 96, 64, 32, 16])
    with torch.no_grad():
        for weight in made.weights:
            weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(0)).copy_(weight.half().float())
    base.size = 64
    assert base.graph(made).graph.initializer  # further than 2e-3 from torch it would be refused


@pytest.mark.parametrize("size", [(2, 3), (5, 4), (8, 12)])
def test_a_map_read_at_some_pixels_is_the_enlarged_one_there(size):
    level = torch.randn(1, 7, *size, generator=torch.Generator().manual_seed(0))
    place = torch.randperm(96)[:40]
    wanted = head._enlarged(level, (8, 12))[0].flatten(1)[:, place].T
    assert (head.at(level, (8, 12), place) - wanted).abs().max() < 1e-5


def test_weaker_penalties_fit_what_is_learnt_from_better():
    random = torch.Generator().manual_seed(0)
    feature = torch.randn(6, 3, 8, 8, generator=random)
    truth = (feature[:, :1] > 0.2).half()
    own = torch.zeros(6, 1, 8, 8, dtype=torch.float16)
    seen = head.Views([feature.half()], own, truth, torch.arange(6), torch.ones(6, dtype=torch.bool))
    learner, rows = head.LinearLearner(seen, 0), torch.arange(6)
    losses = [
        head.logits_loss(learner.logits(state, rows), truth.float()).mean() for state in learner.regularization_path(rows)
    ]
    assert all(after < before for before, after in pairwise(losses))
    assert adapting.ious(learner.logits(state := list(learner.regularization_path(rows))[-1], rows), truth).mean() > 0.95
    assert all(weight.equal(weight.half().float()) for weight in state.weights)


def test_what_is_adopted_is_surely_better():
    before = np.array([0.5, 0.5, 0.5, 0.5, np.nan])
    surely, chance = before + 0.1, before + np.array([0.9, -0.4, -0.3, -0.1, 0])
    step, after = adapting.chosen(np.array([chance, surely]), before)
    assert step == 1 and after == pytest.approx(0.6)
    assert adapting.chosen(np.array([chance, before]), before) == (None, 0.5)
    assert adapting.chosen(np.array([before - 0.1]), before) == (None, 0.5)


def test_few_pictures_must_gain_more():
    """The same gains, of five pictures and of forty; and a gain that five pictures agree upon by chance."""
    gains = np.array([0.02, 0.05, 0.06, 0.08, 0.1])

    def said(gains):
        before = np.full(len(gains), 0.8)
        return adapting.chosen(np.array([before + gains]), before)[0]

    assert said(gains) is None
    assert said(np.tile(gains, 8)) == 0
    assert said(np.full(5, 0.05)) is None
    assert said(np.full(10, 0.05)) == 0
    assert said(np.full(3, 0.9)) is None


def test_where_nothing_is_to_be_learnt_little_is_adopted_and_a_true_gain_is():
    """Gains of ten pictures drawn around nothing, and around a tenth, as wide as they are on photographs."""
    random, before = np.random.default_rng(0), np.full(10, 0.5)
    adopted = {
        gain: np.mean([adapting.chosen(before + random.normal(gain, 0.12, (1, 10)), before)[0] == 0 for _ in range(400)])
        for gain in (-0.02, 0.1)
    }
    assert adopted[-0.02] < 0.1
    assert adopted[0.1] > 0.8


def test_with_many_pictures_a_fifth_is_held_back_once_and_time_ends_a_path(monkeypatch):
    monkeypatch.setattr(adapting, "ENOUGH", 10)
    random = torch.Generator().manual_seed(0)
    feature = torch.randn(10, 2, 4, 4, generator=random).half()
    truth = (feature[:, :1] > 0).half()
    seen = head.Views([feature], torch.zeros_like(truth), truth, torch.arange(10), torch.ones(10, dtype=torch.bool))
    learner = head.LinearLearner(seen, 0)
    table, before = adapting.held_back(learner, seen, 0, False, float("inf"), True)
    assert np.count_nonzero(~np.isnan(before)) == 2 and table.shape == (len(head.STRENGTHS), 10)
    table, _ = adapting.held_back(learner, seen, 0, False, 0.0, True)
    assert len(table) == 1


def test_a_segformer_gets_a_head_and_beats_what_it_says_without(quick, checkpoint, tmp_path):
    out = tmp_path / "headed.onnx"
    result = adapting.adapt(of(red, range(200, 210)), out, start=str(checkpoint), settings=ONE, quiet=True)
    assert f"use it with: --method {out}" in result.text()
    assert result.adopted and result.license == "mit" and result.made_from == str(checkpoint)
    base = Backbone(str(checkpoint), ONE)
    untrained = base.graph(None)
    helper.set_model_props(untrained, {adapted.KEY: json.dumps({"form": 1, "licence": "mit", "permissive": True})})
    (tmp_path / "untrained.onnx").write_bytes(untrained.SerializeToString())
    apart = [iou(path, red, range(300, 308)) for path in (tmp_path / "untrained.onnx", out)]
    assert apart[1] > apart[0] + 0.3
    levels, own = base.features(torch.rand(1, 3, 64, 64))
    assert [tuple(level.shape) for level in levels] == [(1, 16, 16, 16), (1, 16, 8, 8), (1, 24, 4, 4), (1, 32, 2, 2)]
    assert not own.any()


def test_the_stages_are_those_of_transformers_but_for_rounding(checkpoint, monkeypatch):
    x = torch.rand(1, 3, 64, 64)
    halved = Backbone(str(checkpoint), ONE).features(x)[0]
    monkeypatch.setattr(backbone, "HALVED", float("inf"))
    base = Backbone(str(checkpoint), ONE)
    normal = (x - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    model = tiny(tuple(COLORS), 40)
    with torch.no_grad():
        wanted = model.segformer(normal, output_hidden_states=True).hidden_states
    for ours, theirs, near in zip(base.features(x)[0], wanted, halved, strict=True):
        assert (ours - theirs).abs().max() < 1e-4 < (near - theirs).abs().max() < 1e-2


def test_a_graph_far_from_torch_is_refused():
    graph = export.to_onnx(torch.nn.Sequential(torch.nn.Conv2d(3, 1, 1), torch.nn.Sigmoid()).eval(), 64)
    with pytest.raises(WeightsError, match="from torch"):
        bases.checked(graph, lambda x: torch.zeros(1, 1, 64, 64), 64)


def test_two_folders_are_paired_by_stem(tmp_path):
    data = written(tmp_path / "data", pair, range(3))
    data.joinpath("images").rename(tmp_path / "photos")
    data.joinpath("masks").rename(tmp_path / "drawn")
    found = labeled_images_or_folders([tmp_path / "photos", tmp_path / "drawn"])
    assert [each.name for each in found] == ["photos/0", "photos/1", "photos/2"]
    assert np.array_equal(found[1].read()[1], pair(1)[1])
    (tmp_path / "drawn" / "2.png").rename(tmp_path / "drawn" / "other.png")
    with pytest.raises(BadData, match=r"2\.png' has no mask"):
        labeled_images_or_folders([tmp_path / "photos", tmp_path / "drawn"])
    two = [written(tmp_path / name, pair, range(2)) for name in ("one", "two")]
    assert len(labeled_images_or_folders(two)) == 4


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda n: (pair(n)[0], np.zeros((64, 64), np.uint8)), "all 5 masks are empty"),
        (lambda n: (pair(n)[0], np.full((64, 64), 255, np.uint8)), "all 5 masks are full"),
        (lambda n: (pair(n)[0], np.full((64, 64), 255 * (n % 2), np.uint8)), "all 5 masks are empty or full"),
        (lambda n: (pair(n)[0], pair(n, 32)[1]), "'p/0': the mask must have the picture's size"),
    ],
)
def test_masks_that_teach_nothing_are_refused(make, words):
    with pytest.raises(BadData, match=words):
        views.read(of(make, range(5)), 64, True)


def test_a_corrupt_file_is_named():
    data = of(pair, range(5))
    data[3] = LabeledImage("p/3", lambda: b"nothing", data[3].mask)
    with pytest.raises(BadData, match="the picture of 'p/3' cannot be read"):
        views.read(data, 64, True)


def test_single_empty_masks_are_counted(caplog):
    data = of(pair, range(4)) + of(lambda n: (pair(n)[0], np.zeros((64, 64), np.uint8)), [7])
    assert len(views.read(data, 32, True)) == 5
    assert [record.getMessage() for record in caplog.records] == [
        "1 of 5 masks are empty, the first is that of 'p/7'; they are taken as they are"
    ]


def test_altered_views_are_the_same_each_time_and_end_when_time_or_memory_do(monkeypatch):
    samples = views.read(of(pair, range(5)), 64, True)

    def seen(x):
        return [x[:, :, ::4, ::4]], x[:, :1, ::2, ::2]

    one, other = (views.collect_views(samples, seen, 3, 600, True) for _ in range(2))
    assert len(one.own) == 5 * views.MOST_VIEWS and one.plain.sum() == 5
    assert one.own.equal(other.own) and one.truth.equal(other.truth)
    assert one.truth[5:10].flip(-1).equal(one.truth[:5])  # the mirror images
    assert len(views.collect_views(samples, seen, 3, 0, True).own) == 5
    monkeypatch.setattr(views, "MEMORY", 0)
    assert len(views.collect_views(samples, seen, 3, 600, True).own) == 5


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"out": "a.pt"}, UsageError, "--out names an ONNX file"),
        ({"deep": True, "start": "a/b"}, UsageError, "leave one out"),
        ({"deep": True}, UsageError, "--deep needs at least 20 labeled pictures, but got 0"),
        ({"minutes": 0}, UsageError, "--minutes must be above 0"),
        ({"minutes": float("nan")}, UsageError, "--minutes must be above 0"),
        ({"out": "nowhere/a.onnx"}, WriteFailed, "no folder"),
        ({}, UsageError, "at least 5 labeled pictures, but got 0"),
    ],
)
def test_refusals(tmp_path, options, error, words):
    out = tmp_path / options.pop("out", "a.onnx")
    with pytest.raises(error, match=words):
        adapting.adapt([], out, quiet=True, **options)
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_kept(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"mine")
    with pytest.raises(OutputExists, match="--overwrite"):
        adapting.adapt([], tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == b"mine"


def constant(shape=(1, 3, 32, 32), **said):
    """A graph that says 0.5 of everything, with notes."""
    value, kind = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    node = helper.make_node("GlobalAveragePool", ["picture"], ["foreground"])
    graph = helper.make_graph([node], "g", [value("picture", kind, shape)], [value("foreground", kind, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if said:
        helper.set_model_props(model, {adapted.KEY: json.dumps(said)})
    return model.SerializeToString()


GOOD = {"form": 1, "licence": "other", "permissive": False}


def test_files_of_another_origin_are_refused(tmp_path):
    def load(data, **settings):
        (tmp_path / "a.onnx").write_bytes(data)
        return models.load("adapted", Settings(threads=1, **settings), weights=str(tmp_path / "a.onnx"))

    with pytest.raises(WeightsError, match="another origin"):
        load(constant())
    with pytest.raises(WeightsError, match="another origin"):
        load(constant(form=1, license=3, permissive=True))
    with pytest.raises(WeightsError, match="form 2"):
        load(constant(**(GOOD | {"form": 2})))
    with pytest.raises(WeightsError, match="not a valid ONNX file"):
        load(b"\xff\xff nothing")
    with pytest.raises(WeightsError, match="its input has the shape"):
        load(constant((1, 3, 32, 64), **GOOD))
    with pytest.raises(WeightsError, match="under 'other'") as refused:
        load(constant(**GOOD), licenses="permissive")
    assert refused.value.code == "licence_refused"
    with pytest.raises(WeightsError, match="cannot be read"):
        models.load("adapted", ONE, weights=str(tmp_path / "none.onnx"))
    with pytest.raises(WeightsError, match=r"--method my\.onnx"):
        models.load("adapted", ONE)
    with pytest.raises(UnknownName, match="quality"):
        models.load("adapted", ONE, weights="a", quality="better")


def test_a_license_that_restricts_is_told(tmp_path, caplog):
    (tmp_path / "a.onnx").write_bytes(constant(**GOOD))
    made = models.load("adapted", ONE, weights=str(tmp_path / "a.onnx"))
    assert made.license == "other"
    assert "under this license: other" in caplog.text


def test_without_torch_the_extra_is_named(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "figureground.training.adapt.adapt", None)
    data = written(tmp_path / "data", pair, range(5))
    command("adapt", data, "--out", tmp_path / "a.onnx").refused(3, "missing_extra", "figureground[train]")
    shutil.rmtree(data)
    assert not Path(tmp_path / "a.onnx").exists()
