"""Phrases as prompts: CLIPSeg alone, and Grounding DINO with SAM 2.1; pixels, scores and boxes as transformers has them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from figureground.errors import UnknownOption, UsageError, WeightsError
from figureground.inference.phrases import tidy
from figureground.inference.preprocess import Normalization
from figureground.models import card, grounded, load, pull, text
from figureground.prompts import Prompt, point
from figureground.settings import Settings
from figureground.types import SaliencyMap
from hub_server import Hub, serving
from photographs import PICTURES, photograph
from small_prompts import save
from small_torch import changed, model, pointed

SETTINGS = Settings(threads=1)
NORMAL = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
NONE = Normalization(2, float("nan"), (0, 0, 0), (1, 1, 1))
"""What makes any network give no numbers."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {kind: tmp_path_factory.mktemp(kind) for kind in ("clipseg", "dino", "sam")}
    for kind, folder in made.items():
        save(folder, kind)
    return made


@pytest.fixture(scope="module")
def reads(folders):
    return load("text", SETTINGS, weights=str(folders["clipseg"]))


@pytest.fixture(scope="module")
def finds(folders):
    """With a threshold that random weights reach."""
    weights = {"weights": str(folders["dino"]), "mask_weights": str(folders["sam"])}
    return load("grounded", SETTINGS, **weights, box_threshold=0.01)


def logits(folder, rgb, phrases):
    """The plain pipeline: transformers' processor and its whole forward pass, a picture for each phrase; (phrases, h, w)."""
    from transformers import AutoTokenizer, CLIPSegProcessor
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    images = ViTImageProcessorPil(size={"height": 96, "width": 96}, **NORMAL)
    processor = CLIPSegProcessor(images, AutoTokenizer.from_pretrained(folder))
    pictures = [Image.fromarray(rgb)] * len(phrases)
    with torch.no_grad():
        given = processor(text=list(phrases), images=pictures, padding=True, return_tensors="pt")
        return model("clipseg")[0](**given).logits.reshape(len(phrases), 96, 96).numpy()


def enlarged(values, rgb):
    small = torch.from_numpy(values)[None, None]
    return torch.nn.functional.interpolate(small, rgb.shape[:2], mode="bilinear", align_corners=False)[0, 0].numpy()


def sigmoid(values):
    return 1 / (1 + np.exp(-values.astype(np.float64)))  # logits of random weights are large


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_pixels_are_those_of_transformers_image_processor(path):
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    rgb = photograph(path)
    wanted = ViTImageProcessorPil(size={"height": 352, "width": 352}, **NORMAL)(Image.fromarray(rgb), return_tensors="np")
    assert np.abs(Normalization.of(NORMAL).tensor(rgb, (352, 352)) - wanted["pixel_values"]).max() < 1e-5


@pytest.mark.parametrize("path", PICTURES[:2], ids=lambda path: path.stem)
def test_phrases_are_joined_and_taken_away_as_the_plain_pipeline_says(folders, reads, path):
    rgb = photograph(path)
    dog, person, chair = sigmoid(logits(folders["clipseg"], rgb, ("the dog", "a person", "the chair")))
    assert min(np.ptp(dog), np.ptp(person), np.ptp(chair)) > 0.01
    for said, wanted in (
        (Prompt(text=("the dog",)), dog),
        (Prompt(text=("the dog", "a person")), np.maximum(dog, person)),
        (Prompt(text=("the dog", "a person"), without=("the chair",)), np.minimum(np.maximum(dog, person), 1 - chair)),
    ):
        found = reads(rgb, said)
        assert isinstance(found, SaliencyMap)
        assert found.values.dtype == np.float32
        assert np.abs(found.values - enlarged(wanted.astype(np.float32), rgb)).max() < 1e-4


def test_without_phrases_the_opposed_ones_share_by_softmax(folders, reads):
    rgb = photograph(PICTURES[0])
    all_of_them = logits(folders["clipseg"], rgb, [one.phrase for one in text.OPPOSED])
    side = np.array([one.foreground for one in text.OPPOSED])
    two = np.stack([all_of_them[side].max(0), all_of_them[~side].max(0)])
    wanted = torch.from_numpy(two).softmax(0)[0].numpy()
    for said in (None, Prompt(), Prompt(points=(point("1,1"),))):
        assert np.abs(reads(rgb, said).values - enlarged(wanted, rgb)).max() < 1e-4
    chair = sigmoid(logits(folders["clipseg"], rgb, ("the chair",))[0])
    less = np.minimum(wanted, 1 - chair).astype(np.float32)
    assert np.abs(reads(rgb, Prompt(without=("the chair",))).values - enlarged(less, rgb)).max() < 1e-4


def test_the_table_of_opposed_phrases_has_both_sides_and_reasons():
    assert {one.foreground for one in text.OPPOSED} == {True, False}
    assert len({one.phrase for one in text.OPPOSED}) == len(text.OPPOSED)
    assert all(len(one.why.split()) >= 4 for one in text.OPPOSED)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (37, 91)])
def test_pictures_of_any_form(reads, finds, shape):
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    for ready in (reads, finds):
        values = ready(rgb, Prompt(text=("a dog",))).values
        assert values.shape == shape and 0 <= values.min() and values.max() <= 1


def test_phrases_are_tidied():
    assert tidy(("  the   dog. ", "A cat\n")) == ("the dog", "A cat")


@pytest.mark.parametrize("phrase", ["", "  ", ".", "?!"])
def test_an_empty_phrase_is_refused(reads, finds, phrase):
    rgb = np.zeros((9, 9, 3), np.uint8)
    for ready in (reads, finds):
        for said in (Prompt(text=("the dog", phrase)), Prompt(text=("the dog",), without=(phrase,))):
            with pytest.raises(UsageError, match="a phrase is empty; name the foreground in a few words"):
                ready(rgb, said)


def test_a_phrase_that_is_too_long_is_refused(reads, finds):
    rgb = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(UsageError, match=r"'zzz.*…' is too long: it has 102 tokens, but the network reads 40"):
        reads(rgb, Prompt(text=("zzz" + 97 * "q",)))
    with pytest.raises(UsageError, match=r"is too long: it has \d+ tokens, but the network reads 64"):
        finds(rgb, Prompt(text=100 * ("the dog",)))


@pytest.mark.parametrize("said", [None, Prompt(), Prompt(without=("the chair",)), Prompt(points=(point("1,1"),))])
def test_without_a_phrase_grounded_says_so(finds, said):
    with pytest.raises(UsageError, match="model 'grounded' needs the foreground: name it with --prompt"):
        finds(np.zeros((9, 9, 3), np.uint8), said)


@pytest.mark.parametrize("threshold", [0, 1, -0.5])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(UnknownOption, match="box_threshold must be above 0 and below 1"):
        load("grounded", SETTINGS, box_threshold=threshold)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
@pytest.mark.parametrize("turned", [False, True])
def test_the_detector_sees_the_pixels_that_transformers_gives_it(path, turned):
    from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

    rgb = photograph(path)
    for part in (rgb, rgb[:60]):  # the second is so long that its longer side decides
        one = np.ascontiguousarray(part.transpose(1, 0, 2)) if turned else part
        wanted = GroundingDinoImageProcessorPil()(Image.fromarray(one), return_tensors="np")["pixel_values"]
        size = grounded.Fit(800, 1333).size(*one.shape[:2])
        assert np.abs(Normalization.of(NORMAL).tensor(one, size) - wanted).max() < 1e-5


@pytest.mark.parametrize("path", PICTURES[:2], ids=lambda path: path.stem)
def test_boxes_are_those_of_the_plain_pipeline(folders, finds, path):
    from transformers import AutoTokenizer, GroundingDinoProcessor
    from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

    images = GroundingDinoImageProcessorPil(size={"shortest_edge": 96, "longest_edge": 160})
    processor = GroundingDinoProcessor(images, AutoTokenizer.from_pretrained(folders["dino"]))
    rgb = photograph(path)
    given = processor(images=Image.fromarray(rgb), text=[["the dog", "a person"]], return_tensors="pt")
    with torch.no_grad():
        answer = model("dino")[0](**given)
    scores = answer.logits[0].sigmoid().max(-1).values
    threshold = float(scores.sort().values[-9:-7].mean())  # between the eighth best and the next
    [wanted] = processor.post_process_grounded_object_detection(answer, threshold=threshold, target_sizes=[rgb.shape[:2]])
    order = wanted["scores"].argsort(descending=True)
    found = replace(finds, box_threshold=threshold).boxes(rgb, ("The dog", "a person"))
    assert len(found) == 8
    assert np.abs(found - wanted["boxes"][order].numpy()).max() < 1e-2


def test_attention_in_parts_finds_the_same_boxes(finds, monkeypatch):
    rgb = photograph(PICTURES[0])
    whole = finds.boxes(rgb, ("the dog",))
    monkeypatch.setattr(grounded, "PART", 7)
    calls, known = [], torch.cat

    def cat(parts, *rest, **more):
        calls.append(len(parts))
        return known(parts, *rest, **more)

    monkeypatch.setattr(torch, "cat", cat)
    assert np.abs(finds.boxes(rgb, ("the dog",)) - whole).max() < 1e-3
    assert max(calls) > 7, "the parts are many"


def test_boxes_are_filled_and_joined(finds):
    from figureground.models.points.sam import probability
    from figureground.prompts import Places

    rgb = photograph(PICTURES[0])
    height, width = rgb.shape[:2]
    boxes = finds.boxes(rgb, ("the dog",))
    assert 0 < len(boxes) <= grounded.MOST
    masks = finds.sam.logits(rgb, [Places(box=tuple(map(float, one))) for one in boxes])
    dog = probability(masks.max(0), height, width)
    assert np.array_equal(finds(rgb, Prompt(text=("the dog",))).values, dog)
    chair = finds(rgb, Prompt(text=("the chair",))).values
    both = finds(rgb, Prompt(text=("the dog",), without=("the chair",))).values
    assert np.array_equal(both, np.minimum(dog, 1 - chair))


def test_where_no_box_is_sure_enough_nothing_is_found(finds):
    rgb = photograph(PICTURES[0])
    assert not replace(finds, box_threshold=1.0)(rgb, Prompt(text=("the dog",))).values.any()


def test_their_cards():
    for name, needed in (("text", False), ("grounded", True)):
        label = card(name)
        assert (label.prompt_kinds, label.needs_prompt, label.requires_extra) == ({"text"}, needed, "torch")
        assert label.permissive and label.license == "Apache-2.0"


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["text", "grounded"])
def test_from_a_cold_cache_and_then_without_a_network(folders, tmp_path, monkeypatch, caplog, name):
    from huggingface_hub import constants

    served = {text.DEFAULT: "clipseg", grounded.DEFAULT: "dino", grounded.MASKS: "sam"}
    served = {weights: {"main": files(folders[kind])} for weights, kind in served.items()}
    settings = Settings(cache=tmp_path / "cache", threads=1, licenses="permissive")
    with serving(Hub(served)) as hub, pointed(monkeypatch, hub, tmp_path / "hub"):
        folder = pull(name, settings)
    assert len(caplog.records) == (1 if name == "text" else 2)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    ready = load(name, settings)
    assert (ready.weights, ready.license) == (card(name).weights, "apache-2.0")
    assert ready(photograph(PICTURES[0]), Prompt(text=("the dog",))).values.shape == photograph(PICTURES[0]).shape[:2]
    assert pull(next(iter((text if name == "text" else grounded).SHORT)), settings) == folder
    assert len(caplog.records) <= 2


def test_clipseg_as_the_hubs_bot_converted_it(folders, tmp_path, monkeypatch):
    """Safetensors in a pull request only; torch's .bin on main is never read."""
    whole = files(folders["clipseg"])
    main = {name: body for name, body in whole.items() if name != "model.safetensors"} | {"pytorch_model.bin": b"code"}
    served = Hub({text.DEFAULT: {"main": main, "refs/pr/7": whole}}, bots={text.DEFAULT: [7]})
    with serving(served) as hub, pointed(monkeypatch, hub, tmp_path / "hub"):
        assert load("text", Settings(cache=tmp_path / "cache", threads=1)).weights == text.DEFAULT


@pytest.mark.parametrize("name", ["text", "grounded"])
def test_without_a_hub(tmp_path, monkeypatch, name):
    with serving(Hub({})) as hub, pointed(monkeypatch, hub, tmp_path / "hub"):
        pass
    with pytest.raises(WeightsError, match=f"could not be fetched .*figureground pull {name}"):
        load(name, Settings(cache=tmp_path / "cache"))


@pytest.mark.parametrize("kind", ["clipseg", "dino", "sam"])
def test_licenses(folders, tmp_path, kind):
    for path in folders[kind].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    chosen = {one: str(tmp_path if one == kind else folder) for one, folder in folders.items()}
    names = {"weights": chosen["dino"], "mask_weights": chosen["sam"]} if kind != "clipseg" else {"weights": chosen["clipseg"]}
    name = "text" if kind == "clipseg" else "grounded"
    with pytest.raises(WeightsError, match="are under 'cc-by-nc-4") as error:
        load(name, Settings(threads=1, licenses="permissive"), **names)
    assert error.value.code == "licence_refused"
    if kind == "sam":  # both licences are shown where they differ
        assert load(name, SETTINGS, **names).license == "apache-2.0; masks: cc-by-nc-4.0"


@pytest.mark.parametrize(
    ("kind", "file", "changes", "why"),
    [
        ("clipseg", "config.json", {"model_type": "clip"}, r"model 'text' \(model_type clipseg\)"),
        ("clipseg", "preprocessor_config.json", {"size": 100}, "whole patches of 16 pixels, but got 100 × 100"),
        ("clipseg", "preprocessor_config.json", {"size": {"height": 96, "width": 112}}, "a square size"),
        ("dino", "config.json", {"model_type": "detr"}, r"model 'grounded' \(model_type grounding-dino\)"),
        ("dino", "preprocessor_config.json", {"size": 800}, "size should have shortest_edge and longest_edge, but is 800"),
        ("dino", "preprocessor_config.json", {"size": {"height": 9}}, "size should have shortest_edge and longest_edge"),
    ],
)
def test_what_is_no_checkpoint_of_theirs_is_refused(folders, tmp_path, kind, file, changes, why):
    weights = {"weights": changed(folders[kind], tmp_path, file, **changes)}
    if kind == "dino":
        weights["mask_weights"] = str(folders["sam"])
    with pytest.raises(WeightsError, match=why):
        load("text" if kind == "clipseg" else "grounded", SETTINGS, **weights)


def test_a_tokenizer_that_is_none_is_refused(folders, tmp_path):
    weights = changed(folders["clipseg"], tmp_path, "config.json")
    (tmp_path / "vocab.json").write_text("[1, 2")
    with pytest.raises(WeightsError, match=r"the tokenizer of '.*' cannot be loaded") as error:
        load("text", SETTINGS, weights=weights)
    assert error.value.code == "model_corrupt"
    (tmp_path / "vocab.json").unlink()
    with pytest.raises(WeightsError, match="has no tokenizer"):
        load("text", SETTINGS, weights=weights)


def test_numbers_that_are_none_are_refused(reads, finds):
    for ready in (reads, finds):
        with pytest.raises(WeightsError, match="no finite numbers"):
            replace(ready, normalization=NONE)(np.zeros((9, 9, 3), np.uint8), Prompt(text=("a dog",)))
