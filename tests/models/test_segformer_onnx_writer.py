"""The written graph held against transformers' own network, and the checks of a checkpoint's two JSON files.

To add a variant: a row in `SHAPES`, the configuration that differs and the picture's size.
"""

import json

import numpy as np
import pytest
import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from figureground.errors import WeightsError
from figureground.inference.preprocess import Normalization
from figureground.inference.session import session
from figureground.models.segformer import onnx_writer
from figureground.models.segformer.config import Architecture, Processor
from figureground.models.segformer.onnx_writer import write
from figureground.models.segformer.self_check import drawn_picture
from figureground.settings import Settings

LARGE = {"hidden_sizes": [64, 128, 320, 512], "decoder_hidden_size": 768}
SMALL = {
    "hidden_sizes": [8, 16, 24, 32],
    "num_attention_heads": [1, 2, 3, 4],
    "depths": [1, 1, 1, 1],
    "decoder_hidden_size": 16,
}
SHAPES = {
    "b0": ({}, (512, 512)),
    "widths of b1 to b5": ({**LARGE, "depths": [1, 1, 1, 1]}, (160, 160)),
    "b5": ({**LARGE, "depths": [3, 6, 40, 3]}, (128, 128)),
    "wider than high": (SMALL, (96, 224)),
    "sizes that no stride divides": (SMALL, (101, 75)),
    "one class": ({**SMALL, "num_labels": 1}, (64, 64)),
    "three stages": (
        {
            "num_encoder_blocks": 3, "depths": [1, 2, 1], "hidden_sizes": [8, 16, 32], "sr_ratios": [4, 2, 1],
            "num_attention_heads": [1, 2, 4], "patch_sizes": [7, 3, 3], "strides": [4, 2, 2], "mlp_ratios": [2, 3, 4],
        },
        (64, 96),
    ),
    "one stage": (
        {
            "num_encoder_blocks": 1, "depths": [1], "hidden_sizes": [8], "sr_ratios": [1], "num_attention_heads": [2],
            "patch_sizes": [5], "strides": [3], "mlp_ratios": [4],
        },
        (48, 48),
    ),
    "relu": ({**SMALL, "hidden_act": "relu"}, (64, 64)),
}  # fmt: skip


def network(seed=0, **changes):
    """transformers' network with random weights of a trained network's size, batch-norm statistics included."""
    torch.manual_seed(seed)
    model = SegformerForSemanticSegmentation(SegformerConfig(**{"num_labels": 150} | changes)).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, parameter[0].numel() ** -0.5)
        else:
            parameter.data.add_(torch.randn_like(parameter) * 0.2)
    norm = model.decode_head.batch_norm
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.2, 3)
    norm.weight.data.uniform_(0.5, 2)
    return model


def files(model, folder):
    """Its config.json and tensors, as it saves them."""
    from safetensors.numpy import load_file

    model.save_pretrained(folder)
    return json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")


def logits(model, pixels, processor):
    scaled = (pixels.astype(np.float64) * processor.normalization.scale).astype(np.float32)
    scaled = (scaled - np.array(processor.normalization.mean, np.float32)) / np.array(processor.normalization.std, np.float32)
    with torch.no_grad():
        return model(torch.from_numpy(scaled.transpose(0, 3, 1, 2).copy())).logits.numpy()


@pytest.mark.parametrize(
    ("name", "runtime"),
    [
        *(pytest.param(name, "onnxruntime", marks=[pytest.mark.slow] if name == "b5" else []) for name in SHAPES),
        ("sizes that no stride divides", "openvino"),
    ],
)
def test_logits_equal_those_of_transformers(tmp_path, name, runtime):
    changes, (height, width) = SHAPES[name]
    model = network(**changes)
    config, tensors = files(model, tmp_path)
    processor = Processor.of({"size": {"height": height, "width": width}})
    written = write(Architecture.of(config), processor, tensors, whole=runtime == "onnxruntime", threads=2)
    graph = session(written, Settings(cache=tmp_path, threads=2, runtime=runtime))
    pixels = np.random.default_rng(1).integers(0, 256, (1, height, width, 3)).astype(np.float32)
    found, wanted = graph(pixels), logits(model, pixels, processor)
    assert found.shape == wanted.shape
    assert np.linalg.norm(found - wanted) <= 1e-5 * np.linalg.norm(wanted)
    two = np.sort(wanted, axis=1)[:, -2:]
    clear = two[:, -1] - two[:, 0] > 1e-4
    assert (found.argmax(1) == wanted.argmax(1))[clear].all()
    assert clear.mean() > 0.99 or wanted.shape[1] == 1


def test_attention_of_plain_operators_is_the_same(tmp_path):
    config, tensors = files(network(**SMALL), tmp_path)
    shape, processor = Architecture.of(config), Processor.of({"size": 96})
    pixels = np.random.default_rng(2).integers(0, 256, (1, 96, 96, 3)).astype(np.float32)
    one, other = (session(write(shape, processor, tensors, whole=whole))(pixels) for whole in (True, False))
    assert np.linalg.norm(one - other) <= 1e-5 * np.linalg.norm(one)


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("_fused", lambda made: ([made[0][0] * 1.001, *made[0][1:]], made[1])),
        ("_fused", lambda made: (made[0], made[1][::-1])),
        ("_fused", lambda made: ([matrix * np.nan for matrix in made[0]], made[1])),
        ("_enlarging", lambda made: np.roll(made, 1, axis=0)),
    ],
)
def test_a_wrong_rewrite_is_refused(tmp_path, monkeypatch, part, wrong):
    config, tensors = files(network(**SMALL), tmp_path)
    shape, processor = Architecture.of(config), Processor.of({"size": 96})
    write(shape, processor, tensors)
    right = getattr(onnx_writer, part)
    monkeypatch.setattr(onnx_writer, part, lambda *words: wrong(right(*words)))
    with pytest.raises(WeightsError, match="from the checkpoint's own, more than 1e-04") as error:
        write(shape, processor, tensors)
    assert error.value.code == "model_corrupt"


def test_the_picture_it_tries_itself_out_on():
    picture = drawn_picture(64, 96)
    assert (picture.shape, picture.dtype) == ((64, 96, 3), np.float32)
    assert (picture.min(), picture.max()) == (0, 255)
    assert (picture == picture.round()).all()
    assert picture.std(axis=(0, 1)).min() > 60


def test_each_tensor_is_told_of(tmp_path):
    config, tensors = files(network(**SMALL), tmp_path)
    told = []
    write(Architecture.of(config), Processor.of({"size": 64}), tensors, read=lambda: told.append(1))
    assert len(told) == len(tensors) - 1  # all but batch norm's num_batches_tracked


def test_both_ways_of_naming_tensors_are_read(tmp_path):
    model = network(**SMALL)
    config, older = files(model, tmp_path)
    newer = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    assert not {name for name in newer if "blocks" in name} & set(older)
    shape, processor = Architecture.of(config), Processor.of({"size": 64})
    assert write(shape, processor, newer) == write(shape, processor, older)


def test_half_precision_weights_are_read(tmp_path):
    model = network(**SMALL).half().float()
    config, tensors = files(model, tmp_path)
    shape, processor = Architecture.of(config), Processor.of({"size": 64})
    halves = {name: tensor.astype(np.float16) if tensor.dtype == np.float32 else tensor for name, tensor in tensors.items()}
    assert write(shape, processor, halves) == write(shape, processor, tensors)


def without(tensors, name):
    return {key: tensor for key, tensor in tensors.items() if key != name}


QUERY = "segformer.encoder.block.1.0.attention.self.query.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: without(tensors, QUERY), f"'{QUERY}' is missing"),
        (lambda tensors: without(tensors, "decode_head.classifier.bias"), "'decode_head.classifier.bias' is missing"),
        (lambda tensors: {}, "is missing"),
        (lambda tensors: tensors | {QUERY: tensors[QUERY][:1]}, r"should be \(16, 16\) floating-point numbers"),
        (lambda tensors: tensors | {QUERY: tensors[QUERY].astype(np.int64)}, "floating-point numbers, but is .* int64"),
        (lambda tensors: tensors | {QUERY: tensors[QUERY] * np.nan}, "no finite number"),
    ],
)
def test_unsound_tensors_are_refused(tmp_path, change, words):
    config, tensors = files(network(**SMALL), tmp_path)
    with pytest.raises(WeightsError, match=words) as error:
        write(Architecture.of(config), Processor.of({"size": 64}), change(tensors))
    assert error.value.code == "model_corrupt"


CONFIG = {"model_type": "segformer", "id2label": {"0": "wall", "1": "sky "}}


def test_defaults_are_those_of_transformers():
    shape, default = Architecture.of({"model_type": "segformer"}), SegformerConfig()
    assert shape.names == ("LABEL_0", "LABEL_1")
    assert [*shape.depths, *shape.channels] == [*default.depths, *default.hidden_sizes]
    assert [*shape.heads, *shape.reductions] == [*default.num_attention_heads, *default.sr_ratios]
    assert [*shape.kernels, *shape.strides] == [*default.patch_sizes, *default.strides]
    assert (shape.inner, shape.decoder) == ((128, 256, 640, 1024), default.decoder_hidden_size)


def test_names_are_in_the_order_of_the_logits_and_stripped():
    many = {str(index): f"n{index} " for index in reversed(range(12))}
    assert Architecture.of(CONFIG).names == ("wall", "sky")
    assert Architecture.of(CONFIG | {"id2label": many}).names == tuple(f"n{index}" for index in range(12))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "vit"}, "model_type 'vit'"),
        ({"model_type": None}, "model_type None"),
        ({"architectures": ["SegformerForImageClassification"]}, "SegformerForImageClassification"),
        ({"depths": [1, 1, 1]}, "for each of its 4 stages"),
        ({"num_encoder_blocks": 3}, "for each of its 3 stages"),
        ({"hidden_sizes": [32, 64, 160]}, "for each of its 4 stages"),
        ({"depths": [2, 2, 0, 2]}, "depths should be whole numbers"),
        ({"depths": "deep"}, "depths should be whole numbers"),
        ({"hidden_sizes": []}, "hidden_sizes should be whole numbers"),
        ({"decoder_hidden_size": 1 << 40}, "decoder_hidden_size should be whole numbers"),
        ({"num_attention_heads": [1, 2, 7, 8]}, "cannot be shared"),
        ({"mlp_ratios": [4, 4]}, "mlp_ratios should be 4 numbers"),
        ({"mlp_ratios": ["4", 4, 4, 4]}, "mlp_ratios should be 4 numbers"),
        ({"hidden_act": "swish"}, "hidden_act should be gelu or relu"),
        ({"id2label": {}}, "id2label"),
        ({"id2label": ["wall"]}, "id2label"),
        ({"id2label": {"0": "wall", "2": "sky"}}, "id2label"),
    ],
)
def test_other_configurations_are_refused(change, words):
    with pytest.raises(WeightsError, match=words):
        Architecture.of(CONFIG | change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": {"shortest_edge": 512}}, "size should be"),
        ({"size": 8}, "size should be"),
        ({"size": "large"}, "size should be"),
        ({"size": {"height": 512, "width": 1 << 20}}, "size should be"),
        ({"do_resize": False}, "do_resize"),
        ({"do_center_crop": True}, "do_center_crop"),
        ({"image_mean": [0.5]}, "image_mean should be 3 numbers"),
        ({"image_std": [0.5, 0, 0.5]}, "is invalid"),
        ({"image_std": [0.5, float("nan"), 0.5]}, "image_std should be 3 numbers"),
        ({"resample": 9}, "is invalid"),
        ({"rescale_factor": "255"}, "is invalid"),
    ],
)
def test_other_processors_are_refused(change, words):
    with pytest.raises(WeightsError, match=words) as error:
        Processor.of({"size": 512} | change)
    assert "preprocessor_config.json" in str(error.value)


def test_processors_of_both_forms():
    assert (Processor.of({}).height, Processor.of({"size": 640}).width) == (512, 640)
    plain = Processor.of({"size": {"height": 32, "width": 64}, "do_normalize": False, "do_rescale": False, "resample": 3})
    assert plain == Processor(32, 64, Normalization(3, 1.0, (0.0,) * 3, (1.0,) * 3))


def test_a_picture_too_small_for_the_network(tmp_path):
    config, tensors = files(network(**{**SMALL, "sr_ratios": [16, 4, 2, 1]}), tmp_path)
    with pytest.raises(WeightsError, match="too few for its sr_ratio 16"):
        write(Architecture.of(config), Processor.of({"size": 32}), tensors)
