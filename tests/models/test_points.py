"""SAM 2.1 as a model: pixels, places and masks as transformers has them, what is refused, and no torchvision."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from figureground.errors import UsageError, WeightsError
from figureground.inference.preprocess import Normalization
from figureground.models import card, load, points, pull
from figureground.models.points.sam import probability
from figureground.prompts import Places, Prompt, box, point
from figureground.settings import Settings
from figureground.types import SaliencyMap
from hub_server import Hub, serving
from photographs import PICTURES, photograph
from small_prompts import save
from small_torch import changed, model, pointed

SETTINGS = Settings(threads=1)
TONES = Normalization.of({"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sam")
    save(path, "sam")
    return path


@pytest.fixture(scope="module")
def loaded(folder):
    return load("points", SETTINGS, weights=str(folder))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_pixels_are_those_of_the_first_sams_pillow_processor(path):
    """Which keeps the form of pictures and SAM 2 does not: so a square is compared."""
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    rgb = photograph(path)
    square = rgb[: min(rgb.shape[:2]), : min(rgb.shape[:2])]
    wanted = SamImageProcessorPil()(Image.fromarray(square), return_tensors="np")["pixel_values"]
    assert np.abs(TONES.tensor(square, (1024, 1024)) - wanted).max() < 1e-5


PROMPTS = {
    "a click": Prompt(points=(point("50%,40%"),)),
    "two": Prompt(points=(point("50%,40%"), point("20,30"))),
    "a click and not": Prompt(points=(point("50%,40%"),), not_points=(point("3,3"),)),
    "a box": Prompt(box=box("10%,20%,70%,90%")),
    "a box and not": Prompt(not_points=(point("50%,50%"),), box=box("10%,20%,70%,90%")),
}


def plain(rgb, said):
    """The network as transformers' processor feeds it, its best mask at the picture's size; and whether it gave three."""
    from transformers.models.sam2.processing_sam2 import Sam2Processor

    height, width = rgb.shape[:2]
    places = said.places(width, height)
    spots = [*places.points, *places.not_points]

    def scaled(numbers, is_box=False):
        return Sam2Processor._normalize_coordinates(None, 128, torch.tensor(numbers), (height, width), is_box)

    given = {}
    if spots:
        labels = [1] * len(places.points) + [0] * len(places.not_points)
        given = {"input_points": scaled([[spots]]), "input_labels": torch.tensor([[labels]])}
    if places.box:
        given["input_boxes"] = scaled([list(places.box)], is_box=True)[None]
    three = len(spots) == 1 and not places.box
    network = model("sam")[0]
    with torch.no_grad():
        x = torch.from_numpy(TONES.tensor(rgb, (128, 128)))
        answer = network(pixel_values=x, multimask_output=three, **given)
    masks = answer.pred_masks[0]
    best = masks[:, int(answer.iou_scores[0, 0].argmax())][None]
    full = torch.nn.functional.interpolate(best, (height, width), mode="bilinear", align_corners=False)[0, 0]
    return full.numpy(), masks.shape[1]


@pytest.mark.parametrize("said", PROMPTS.values(), ids=PROMPTS)
def test_masks_are_those_of_the_plain_pipeline(loaded, said):
    rgb = photograph(PICTURES[0])
    wanted, count = plain(rgb, said)
    assert count == (3 if said is PROMPTS["a click"] else 1)
    logits = loaded.sam.logits(rgb, [said.places(rgb.shape[1], rgb.shape[0])])
    assert np.ptp(wanted) > 0
    found = loaded(rgb, said)
    assert isinstance(found, SaliencyMap)
    assert found.values.shape == rgb.shape[:2] and found.values.dtype == np.float32
    assert np.abs(np.log(found.values / (1 - found.values.astype(np.float64))) - wanted).max() < 1e-5
    assert logits.shape == (1, 32, 32)


def test_prompts_make_a_difference(loaded):
    rgb = photograph(PICTURES[0])
    answers = [loaded(rgb, said).values for said in PROMPTS.values()]
    assert all(not np.array_equal(one, other) for n, one in enumerate(answers) for other in answers[:n])


def test_logits_become_probabilities_as_torch_enlarges_them():
    logits = np.random.default_rng(0).normal(0, 30, (32, 32)).astype(np.float32)
    for height, width in ((1, 1), (1, 77), (20, 31), (300, 451)):
        wanted = torch.nn.functional.interpolate(torch.from_numpy(logits)[None, None], (height, width), mode="bilinear")
        assert np.abs(probability(logits, height, width) - wanted[0, 0].clip(-30, 30).sigmoid().numpy()).max() < 1e-4


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (37, 91)])
def test_pictures_of_any_form(loaded, shape):
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert loaded(rgb, Prompt(points=(point("100%,100%"),))).values.shape == shape


@pytest.mark.parametrize("said", [None, Prompt(), Prompt(not_points=(point("1,1"),)), Prompt(text=("a dog",))])
def test_without_a_place_to_look_at_it_says_so(loaded, said):
    with pytest.raises(UsageError, match="needs the foreground: give a --point X,Y or a --box"):
        loaded(np.zeros((9, 9, 3), np.uint8), said)


def test_places_outside_the_picture_or_against_each_other_are_refused(loaded):
    rgb = np.zeros((20, 10, 3), np.uint8)
    with pytest.raises(UsageError, match="the point 11,5 lies outside the picture, which is 10 × 20 pixels"):
        loaded(rgb, Prompt(points=(point("11,5"),)))
    with pytest.raises(UsageError, match="reaches out of the picture"):
        loaded(rgb, Prompt(box=box("0,0,10,21")))
    with pytest.raises(UsageError, match="named as foreground and as background"):
        loaded(rgb, Prompt(points=(point("5,5"),), not_points=(point("50%,25%"),)))


def test_its_card():
    label = card("points")
    assert (label.prompt_kinds, label.needs_prompt, label.requires_extra) == ({"places"}, True, "torch")
    assert label.permissive and label.license == "Apache-2.0"
    assert set(points.SHORT.values()) >= {label.weights}


def test_from_a_cold_cache_and_then_without_a_network(folder, tmp_path, monkeypatch, caplog):
    from huggingface_hub import constants

    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    settings = Settings(cache=tmp_path / "cache", threads=1, licenses="permissive")
    with serving(Hub({points.CARD.weights: {"main": files}})) as hub, pointed(monkeypatch, hub, tmp_path / "hub"):
        first = load("points", settings)
    said = "the weights of facebook/sam2.1-hiera-tiny are under this license: apache-2.0"
    assert [record.getMessage() for record in caplog.records] == [said]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    rgb = photograph(PICTURES[0])
    again = load("points", settings)
    assert np.array_equal(again(rgb, PROMPTS["a box"]).values, first(rgb, PROMPTS["a box"]).values)
    assert (again.weights, again.license) == ("facebook/sam2.1-hiera-tiny", "apache-2.0")
    assert pull("sam-tiny", settings) == pull("points", settings)


def test_without_a_hub(tmp_path, monkeypatch):
    with serving(Hub({})) as hub, pointed(monkeypatch, hub, tmp_path / "hub"):
        pass
    with pytest.raises(WeightsError, match="could not be fetched"):
        load("points", Settings(cache=tmp_path / "cache"))


def test_licenses(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    with pytest.raises(WeightsError, match="are under 'cc-by-nc-4") as error:
        load("points", Settings(threads=1, licenses="permissive"), weights=str(tmp_path))
    assert error.value.code == "licence_refused"


@pytest.mark.parametrize(
    ("file", "changes", "why"),
    [
        ("config.json", {"model_type": "sam"}, r"expected a checkpoint of model 'points' \(model_type sam2 or sam2_video\)"),
        ("preprocessor_config.json", {"size": {"height": 128, "width": 64}}, "reads 128 × 128 pixels, but size says 64 × 128"),
        ("preprocessor_config.json", {"size": 1024}, "reads 128 × 128 pixels, but size says 1024 × 1024"),
        ("preprocessor_config.json", {"image_std": [0, 1, 1]}, "image_std is invalid"),
    ],
)
def test_what_is_no_sam_is_refused(folder, tmp_path, file, changes, why):
    with pytest.raises(WeightsError, match=why):
        load("points", SETTINGS, weights=changed(folder, tmp_path, file, **changes))


def test_the_published_checkpoints_are_those_for_video(folder, tmp_path):
    """They say model_type sam2_video and hold more tensors than pictures need."""
    weights = changed(folder, tmp_path, "config.json", model_type="sam2_video")
    from safetensors.numpy import load_file, save_file

    tensors = load_file(tmp_path / "model.safetensors") | {"memory_attention.layer_norm.weight": np.ones(4, np.float32)}
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    rgb = photograph(PICTURES[0])
    one, other = (load("points", SETTINGS, weights=w)(rgb, PROMPTS["a box"]).values for w in (weights, str(folder)))
    assert np.array_equal(one, other)


def test_numbers_that_are_none_are_refused(folder):
    from dataclasses import replace

    network = load("points", SETTINGS, weights=str(folder)).sam
    broken = replace(network, normalization=Normalization(2, float("nan"), (0, 0, 0), (1, 1, 1)))
    with pytest.raises(WeightsError, match="no finite numbers"):
        broken.logits(np.zeros((9, 9, 3), np.uint8), [Places(points=((1.0, 1.0),))])


SCRIPT = """
import json, sys
import numpy as np
from figureground.models import card, load
from figureground.prompts import Prompt, box, point
from figureground.settings import Settings
for name in ("points", "text", "grounded"):
    card(name)
heavy = {"torch", "transformers", "huggingface_hub", "safetensors", "cv2"} & set(sys.modules)
assert not heavy, heavy
sam, clipseg, dino = sys.argv[1:]
settings = Settings(threads=1)
models = {
    "points": (load("points", settings, weights=sam), Prompt(points=(point("50%,50%"),), box=box("10%,10%,90%,90%"))),
    "text": (load("text", settings, weights=clipseg), Prompt(text=("the dog", "a person"), without=("the chair",))),
    "opposed": (load("text", settings, weights=clipseg), None),
    "grounded": (
        load("grounded", settings, weights=dino, mask_weights=sam, box_threshold=0.01),
        Prompt(text=("the dog",), without=("the chair",)),
    ),
}
assert "torchvision" not in sys.modules
def memory(which):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith(which))


rgb = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), np.uint8)
extra = {}
for name, (model, prompt) in models.items():
    model(rgb[:300, :400], prompt)
    before = memory("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
    assert model(rgb, prompt).values.shape == (3000, 4000)
    extra[name] = round(memory("VmHWM") - before)
print(json.dumps(extra))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_twelve_megapixels_stay_below_a_gigabyte(folder, tmp_path):
    """Above what the same networks need for a small picture; in a process of its own, which warns of nothing."""
    folders = {kind: tmp_path / kind for kind in ("clipseg", "dino")}
    for kind, path in folders.items():
        path.mkdir()
        save(path, kind)
    words = [
        sys.executable,
        *["-W", "error", "-W", "ignore::ResourceWarning", "-c"],
        SCRIPT,
        str(folder),
        *map(str, folders.values()),
    ]
    done = subprocess.run(words, capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    extra = json.loads(done.stdout)
    assert set(extra) == {"points", "text", "opposed", "grounded"}
    assert 40 < min(extra.values()) and max(extra.values()) < 1000, extra  # the answer itself has 46 MiB
