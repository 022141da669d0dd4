"""Panoptic segmentation as a model: pixels and objects as transformers has them, names, sharpness, what is refused."""

import json
import tracemalloc
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from figureground.errors import WeightsError
from figureground.inference import label_sets
from figureground.inference.preprocess import Normalization
from figureground.models import card, load, panoptic, pull
from figureground.models.panoptic import postprocess
from figureground.models.panoptic.postprocess import instances, sharpness
from figureground.settings import Settings
from figureground.types import InstanceMap
from hub_server import Hub, serving
from photographs import PICTURES, photograph
from small_torch import NAMES, changed, model, pointed, save

SETTINGS = Settings(threads=1)
STUFF = (False, False, False, True, True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for kind in ("eomt", "mask2former", "oneformer"):
        made[kind] = tmp_path_factory.mktemp(kind)
        save(made[kind], kind)
    words = ["<|startoftext|>", "<|endoftext|>", "the</w>", "task</w>", "is</w>", "panoptic</w>", *"theaskipnoc"]
    tokenizer(made["oneformer"], list(dict.fromkeys(words)))
    return made


def tokenizer(folder, words):
    """A CLIP tokenizer of a few words."""
    merges = ["t h", "th e</w>", "t a", "ta s", "tas k</w>", "i s</w>", "p a", "pa n", "pan o", "pano p", "panop t", "panopt i"]
    merges += ["panopti c</w>"]
    parts = [part for merge in merges for part in merge.split()] + [merge.replace(" ", "") for merge in merges]
    (folder / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(dict.fromkeys(words + parts))}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "pad_token": "<|endoftext|>"})
    )


EOMT = [
    {"size": {"shortest_edge": 640, "longest_edge": 640}, "do_pad": True},
    {"size": {"shortest_edge": 100, "longest_edge": 130}},
]
FORMER = [
    {"size": {"height": 384, "width": 384}, "size_divisor": 32},
    {"size": {"shortest_edge": 480, "longest_edge": 500}, "size_divisor": 32},
    {"size": {"shortest_edge": 480, "longest_edge": 1333}, "size_divisor": 16, "do_normalize": False, "resample": 3},
]


def tensor(said, kind, rgb):
    given = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]} | said
    frame, tones = panoptic.Frame.of(given, kind), Normalization.of(given)
    size = frame.fit(*rgb.shape[:2])
    return tones.tensor(rgb, size, frame.padded(size))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_pixels_are_those_of_transformers_image_processors(path, turned):
    from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil
    from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil

    rgb = photograph(path)
    rgb = np.ascontiguousarray(rgb.transpose(1, 0, 2)) if turned else rgb
    for kind, processor, variants in (
        ("eomt", EomtImageProcessorPil, EOMT),
        ("mask2former", Mask2FormerImageProcessorPil, FORMER),
    ):
        for said in variants:
            wanted = processor(**said)(Image.fromarray(rgb), return_tensors="np")["pixel_values"]
            found = tensor(said, kind, rgb)
            assert found.shape == wanted.shape
            assert np.abs(found - wanted).max() < 1e-5


def blobs(seed, count=8, side=64):
    """Mask logits (Q, h, w) of overlapping blobs and class logits (Q, 6), of which some see nothing."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    masks = []
    for _ in range(count):
        cy, cx, ry, rx = random.uniform(0.1, 0.9), random.uniform(0.1, 0.9), *random.uniform(0.1, 0.4, 2)
        masks.append(8 * (1 - np.hypot((y - cy) / ry, (x - cx) / rx)) + random.normal(0, 0.2, (side, side)))
    classes = random.normal(0, 1, (count, len(NAMES) + 1))
    classes[np.arange(count), random.integers(0, len(NAMES) + 1, count)] += random.uniform(1, 8, count)
    return np.array(masks, np.float32), classes.astype(np.float32)


def theirs(kind, masks, classes, size, said):
    """Transformers' own post-processing: (H, W) of segment ids, and class and score of each."""
    import torch
    from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil
    from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil
    from transformers.models.oneformer.image_processing_pil_oneformer import OneFormerImageProcessorPil

    outputs = SimpleNamespace(
        masks_queries_logits=torch.from_numpy(masks[None].copy()), class_queries_logits=torch.from_numpy(classes[None].copy())
    )
    if kind == "eomt":
        processor = EomtImageProcessorPil(**said)
        [made] = processor.post_process_panoptic_segmentation(outputs, [size], stuff_classes=[3, 4])
        return listed(made)
    # without fusing: there theirs hands out numbers twice; OneFormer's cannot enlarge without torchvision
    known = {"mask2former": Mask2FormerImageProcessorPil, "oneformer": OneFormerImageProcessorPil}[kind]
    sizes = [size] if kind == "mask2former" else None
    [made] = known.post_process_panoptic_segmentation(None, outputs, target_sizes=sizes, label_ids_to_fuse=set())
    segmentation, found = listed(made)
    scores, labels = outputs.class_queries_logits[0].softmax(-1).max(-1)
    kept = (labels < len(NAMES)) & (scores > 0.5)
    grid = (384, 384) if kind == "mask2former" else masks.shape[1:]
    shapes = torch.nn.functional.interpolate(outputs.masks_queries_logits, grid, mode="bilinear").sigmoid()
    shapes = torch.nn.functional.interpolate(shapes, size, mode="bilinear")[0, kept]
    winners = (shapes * scores[kept, None, None]).argmax(0, keepdim=True)
    segmentation[(shapes.gather(0, winners)[0] < 0.5).numpy()] = 0  # what nobody claims is nobody's: see postprocess.py
    return segmentation, found


def listed(made):
    return made["segmentation"].numpy(), {one["id"]: (NAMES[one["label_id"]], one["score"]) for one in made["segments_info"]}


@pytest.mark.parametrize("kind", ["eomt", "mask2former", "oneformer"])
@pytest.mark.parametrize("seed", range(6))
def test_objects_are_those_of_transformers(kind, seed):
    height, width = (64, 64) if kind == "oneformer" else (150, 200) if seed % 2 else (201, 140)
    rgb = np.zeros((height, width, 3), np.uint8)
    masks, classes = blobs(seed)
    said = {"size": {"shortest_edge": 64, "longest_edge": 64}, "do_pad": True}
    frame = panoptic.Frame.of(said, kind)
    size = frame.fit(height, width)
    reading = panoptic.CONFIGS[kind].on(size, frame.padded(size))
    stuff = STUFF if kind == "eomt" else (False,) * 5
    found = instances(rgb, masks, classes, reading, NAMES, stuff, "drawn")
    wanted, segments = theirs(kind, masks, classes, (height, width), said)
    ours = {index + 1: (one.name, one.score) for index, one in enumerate(found.objects)}
    same = np.ones((height, width), bool)
    for number, (name, _) in ours.items():
        partners = [key for key, value in segments.items() if value[0] == name]
        same &= (found.numbers != number) | np.isin(wanted, partners)
    assert same.mean() > 0.99
    assert ((found.numbers == 0) == (wanted == (-1 if kind == "eomt" or not segments else 0))).mean() > 0.99
    if kind != "eomt":  # where no stuff is made one, scores and areas too are the same
        assert sorted(score for _, score in ours.values()) == pytest.approx(
            sorted(score for _, score in segments.values()), abs=2e-6
        )
        theirs_areas = sorted(np.count_nonzero(wanted == key) for key in segments)
        assert np.allclose(sorted(found.areas()), theirs_areas, rtol=0.02, atol=30)


def logits(*shapes):
    """Sharp masks from drawn shapes."""
    return np.array([np.where(shape, 12, -12) for shape in shapes], np.float32)


def sure(*labels, score=0.99):
    """Class logits of networks that are sure by `score`."""
    rows = np.full((len(labels), len(NAMES) + 1), np.log((1 - score) / len(NAMES)), np.float32)
    rows[np.arange(len(labels)), labels] = np.log(score)
    return rows


def drawn():
    left, right, low = (np.zeros((40, 60), bool) for _ in range(3))
    left[5:30, 2:20], right[5:25, 30:40], low[30:, :] = True, True, True
    return left, right, low


READ = postprocess.PanopticConfig(threshold=0.5)


def test_things_come_first_and_the_largest_of_them():
    left, right, low = drawn()
    found = instances(np.zeros((40, 60, 3), np.uint8), logits(low, right, left), sure(3, 0, 0), READ, NAMES, STUFF, "drawn")
    assert [(one.name, one.stuff) for one in found.objects] == [
        ("person", False),
        ("person", False),
        ("sky-other-merged", True),
    ]
    assert found.areas().tolist() == [left.sum(), right.sum(), low.sum()]
    assert (found.numbers[10, 10], found.numbers[10, 35], found.numbers[35, 5]) == (1, 2, 3)
    assert found.objects[0].score == pytest.approx(0.99, abs=1e-3)
    assert found.objects[0].nearness is None


def test_stuff_of_a_class_is_one_and_things_are_not():
    left, right, _ = drawn()
    for label, count in ((3, 1), (0, 2)):
        found = instances(np.zeros((40, 60, 3), np.uint8), logits(left, right), sure(label, label), READ, NAMES, STUFF, "drawn")
        assert len(found.objects) == count
        assert found.areas().sum() == left.sum() + right.sum()


def test_what_another_mask_mostly_covers_is_no_object():
    left, right, _ = drawn()
    covered = left & (np.arange(60) < 10)  # sure by less, so that it wins nowhere
    classes = np.concatenate([sure(0), sure(1, score=0.7), sure(2)])
    found = instances(np.zeros((40, 60, 3), np.uint8), logits(left, covered, right), classes, READ, NAMES, STUFF, "drawn")
    assert [one.name for one in found.objects] == ["person", "cat"]


def test_nothing_sure_is_nothing():
    left, right, _ = drawn()
    for classes in (sure(5, 5), sure(0, 1, score=0.4)):
        found = instances(np.zeros((40, 60, 3), np.uint8), logits(left, right), classes, READ, NAMES, STUFF, "drawn")
        assert (found.objects, found.numbers.any(), found.numbers.shape) == ((), False, (40, 60))


def test_pixels_that_no_mask_claims_are_no_objects():
    left, _, _ = drawn()
    masks = logits(left)
    masks[0, 5:30, 20:24] = -0.5  # a rim of which the mask is unsure
    found = instances(np.zeros((40, 60, 3), np.uint8), masks, sure(0), READ, NAMES, STUFF, "drawn")
    assert np.array_equal(found.numbers > 0, left)


@pytest.mark.parametrize("kind", ["eomt", "mask2former", "oneformer"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (37, 91), (300, 260)])
def test_whole_networks_on_pictures_of_any_form(folders, kind, shape):
    rgb = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    found = load("panoptic", SETTINGS, weights=str(folders[kind]))(rgb)
    assert isinstance(found, InstanceMap)
    assert (found.numbers.shape, found.numbers.dtype) == (shape, np.uint16)
    assert (found.areas() > 0).all()
    assert found.numbers.max() <= len(found.objects)
    assert [one.stuff for one in found.objects] == sorted(one.stuff for one in found.objects)
    assert all(one.name in NAMES and one.stuff == (one.name in NAMES[3:]) and 0 < one.score <= 1 for one in found.objects)


@pytest.mark.parametrize("kind", ["eomt", "mask2former"])
@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_whole_networks_see_what_transformers_sees(folders, kind, path):
    import torch

    rgb = photograph(path)
    network, said = model(kind)
    with torch.inference_mode():
        outputs = network(pixel_values=torch.from_numpy(tensor(said, kind, rgb)))
    masks, classes = outputs.masks_queries_logits[0].numpy(), outputs.class_queries_logits[0].numpy()
    wanted, segments = theirs(kind, masks, classes, rgb.shape[:2], {"size": said["size"]})
    found = load("panoptic", SETTINGS, weights=str(folders[kind]))(rgb)
    assert {one.name for one in found.objects} == {name for name, _ in segments.values()}
    for name in {name for name, _ in segments.values()}:
        ours = np.isin(found.numbers, [n + 1 for n, one in enumerate(found.objects) if one.name == name])
        assert (ours == np.isin(wanted, [key for key, value in segments.items() if value[0] == name])).mean() > 0.99


def test_oneformer_is_told_its_task(folders):
    made = load("panoptic", SETTINGS, weights=str(folders["oneformer"]))
    tokens = made.more["task_inputs"]
    assert tokens.shape == (1, 16)
    assert len(set(tokens[0, :6].tolist())) == 6  # begin, the, task, is, panoptic, end


def test_sharpness_is_lower_out_of_focus_and_knows_no_outlines():
    random = np.random.default_rng(0)
    rgb = random.integers(0, 256, (80, 120, 3), np.uint8)
    rgb[:, 60:] = cv2.GaussianBlur(rgb[:, 60:], (0, 0), 3)
    rgb[:20, :20], rgb[:20, 20:40] = 0, 255
    numbers = np.ones((80, 120), np.uint16)
    numbers[:, 60:] = 2
    numbers[:20, :20], numbers[:20, 20:40] = 3, 4
    values = sharpness(rgb, numbers, 4)
    assert values[0] > 30 * values[1] > 0
    assert values[2:].tolist() == [0, 0]


def test_sharpness_in_gray_levels_per_pixel():
    rgb = np.repeat(np.arange(0, 100, 2, dtype=np.uint8)[None, :, None], 3, 2).repeat(20, 0)  # two levels a pixel, to the right
    assert sharpness(rgb, np.ones(rgb.shape[:2], np.uint16), 1) == pytest.approx([4])
    lone = np.zeros(rgb.shape[:2], np.uint16)
    lone[3, 3] = 1
    assert sharpness(rgb, lone, 1).tolist() == [0]


def test_grain_of_large_pictures_does_not_count():
    random = np.random.default_rng(0)
    grainy = np.clip(128 + random.normal(0, 20, (1500, 3000, 1)).repeat(3, 2), 0, 255).astype(np.uint8)
    numbers = np.ones((1500, 3000), np.uint16)
    assert sharpness(grainy, numbers, 1)[0] < 0.2 * sharpness(grainy[:300, :300], numbers[:300, :300], 1)[0]


def test_hundreds_of_masks_of_a_large_picture_take_two_stacks_and_no_more():
    """Of what numpy and OpenCV give out; EoMT's 200 masks of 640 × 480 pixels are 246 MB."""
    masks, classes = blobs(0, count=200, side=160)
    classes[:, 0] += 30  # all of them count
    frame = panoptic.Frame.of({"size": {"shortest_edge": 640, "longest_edge": 640}, "do_pad": True}, "eomt")
    size = frame.fit(3000, 4000)
    reading, rgb = panoptic.CONFIGS["eomt"].on(size, frame.padded(size)), np.zeros((3000, 4000, 3), np.uint8)
    tracemalloc.start()
    try:
        found = instances(rgb, masks, classes, reading, NAMES, STUFF, "drawn")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.numbers.shape == (3000, 4000)
    assert 492e6 < peak < 700e6


def test_names_by_label_set(caplog):
    coco = label_sets.coco()
    assert (len(coco), sum(stuff for _, stuff in coco[:80]), sum(stuff for _, stuff in coco[80:])) == (133, 0, 50)
    assert label_sets.stuff_flags(("person", "curtain", "tree-merged", "food-other-merged")) == (False, True, True, False)
    assert label_sets.stuff_flags(tuple(name for name, _ in label_sets.ade20k())) == tuple(
        stuff for _, stuff in label_sets.ade20k()
    )
    assert not caplog.records
    counted = {str(n): f"LABEL_{n}" for n in range(150)}
    assert label_sets.class_names({"id2label": counted}, 133) == tuple(name for name, _ in coco)
    assert label_sets.class_names({}, 80) == tuple(name for name, _ in coco[:80])
    assert label_sets.class_names({"id2label": counted}, 150)[0] == "wall"
    assert label_sets.class_names({"id2label": counted}, 7) == tuple(f"LABEL_{n}" for n in range(7))
    assert label_sets.class_names({"id2label": {0: " cat ", 1: "dog"}}, 3) == ("cat", "dog", "LABEL_2")


@pytest.mark.parametrize(
    "changes",
    [
        {"do_split_image": True},
        {"do_resize": False},
        {"size": None},
        {"size": {"height": 64}},
        {"size": {"shortest_edge": "x"}},
    ],
)
def test_processors_that_cannot_be_followed(folders, tmp_path, changes):
    with pytest.raises(WeightsError, match=r"preprocessor_config.json cannot be used"):
        load("panoptic", SETTINGS, weights=changed(folders["eomt"], tmp_path, "preprocessor_config.json", **changes))


def test_numbers_that_are_none_are_refused():
    masks, classes = blobs(0)
    masks[0, 0, 0] = np.nan
    with pytest.raises(WeightsError, match="'drawn' gives no finite numbers"):
        instances(np.zeros((9, 9, 3), np.uint8), masks, classes, READ, NAMES, STUFF, "drawn")


def test_a_checkpoint_of_another_kind_is_refused(tmp_path):
    save(tmp_path, "depth")
    with pytest.raises(WeightsError, match=r"model 'panoptic' \(model_type eomt or .*'depth_anything'"):
        load("panoptic", SETTINGS, weights=str(tmp_path))


def test_from_the_hub_and_then_without_it(folders, tmp_path, monkeypatch):
    from huggingface_hub import constants

    settings = Settings(cache=tmp_path / "cache", threads=1)
    served = {
        panoptic.DEFAULT: {"main": {path.name: path.read_bytes() for path in folders["eomt"].iterdir()}},
        panoptic.SHORT["mask2former-tiny"]: {
            "main": {path.name: path.read_bytes() for path in folders["mask2former"].iterdir()}
        },
        "someone/oneformer": {"main": {path.name: path.read_bytes() for path in folders["oneformer"].iterdir()}},
    }
    with serving(Hub(served)) as hub, pointed(monkeypatch, hub, tmp_path / "hub"):
        assert (pull("panoptic", settings) / "model.safetensors").exists()
        assert (pull("mask2former-tiny", settings) / "model.safetensors").exists()
        assert (pull("panoptic", settings, "someone/oneformer") / "merges.txt").exists()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    rgb = photograph(PICTURES[0])
    for weights, license in (
        ("eomt-base", "apache-2.0"),
        ("mask2former-tiny", "CC BY-NC 4.0"),
        ("someone/oneformer", "apache-2.0"),
    ):
        made = load("panoptic", settings, weights=weights)
        assert made.license == license
        assert made(rgb).numbers.shape == rgb.shape[:2]
    with pytest.raises(WeightsError, match="CC BY-NC"):
        load("panoptic", Settings(cache=tmp_path / "cache", licenses="permissive"), weights="mask2former-tiny")
    assert (card("panoptic").permissive, card("panoptic").output_type, card("panoptic").requires_extra) == (
        True,
        InstanceMap,
        "torch",
    )
