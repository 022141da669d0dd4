"""Small checkpoints of the torch models' architectures, made by transformers with random weights, and a hub to fetch them from.

To add an architecture: a function that returns its model and preprocessor_config.json, and a row in `MAKERS`.
"""

import contextlib
import functools
import json
from pathlib import Path

from hub_server import Files

CARD = "---\nlicense: apache-2.0\n---\n# A small one\n"
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
COMMON = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "rescale_factor": 1 / 255,
    "image_mean": MEAN,
    "image_std": STD,
}
NAMES = ("person", "dog", "cat", "sky-other-merged", "grass-merged")


def depth():
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14,
        out_features=stages, apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=32, neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=8,
        head_hidden_size=8, patch_size=14,
    )  # fmt: skip
    said = {"size": {"height": 56, "width": 56}, "keep_aspect_ratio": True, "ensure_multiple_of": 14, "resample": 3}
    return DepthAnythingForDepthEstimation(config), COMMON | said


def prompted_depth():
    from transformers import PromptDepthAnythingConfig, PromptDepthAnythingForDepthEstimation

    plain, said = depth()
    parts = ("backbone_config", "reassemble_hidden_size", "neck_hidden_sizes", "fusion_hidden_size", "head_hidden_size")
    config = PromptDepthAnythingConfig(
        **{name: getattr(plain.config, name) for name in parts}, patch_size=14, depth_estimation_type="metric", max_depth=20
    )
    return PromptDepthAnythingForDepthEstimation(config), said


def glpn():
    from transformers import GLPNConfig, GLPNForDepthEstimation

    config = GLPNConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, num_attention_heads=[1, 1, 2, 2], mlp_ratios=[2] * 4,
        decoder_hidden_size=8,
    )  # fmt: skip
    return GLPNForDepthEstimation(config), {"do_rescale": True, "do_resize": True, "resample": 2, "size_divisor": 32}


def eomt():
    from transformers import EomtConfig, EomtForUniversalSegmentation

    config = EomtConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=64, patch_size=16, num_queries=12,
        num_blocks=1, num_upscale_blocks=1, num_register_tokens=1, id2label=dict(enumerate(NAMES)),
    )  # fmt: skip
    said = {"size": {"shortest_edge": 64, "longest_edge": 64}, "do_pad": True, "do_split_image": False, "resample": 2}
    return EomtForUniversalSegmentation(config), COMMON | said


def swin():
    from transformers import SwinConfig

    stages = ["stage1", "stage2", "stage3", "stage4"]
    return SwinConfig(image_size=32, embed_dim=16, depths=[1] * 4, num_heads=[1, 1, 2, 2], window_size=4, out_features=stages)


def mask2former():
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

    config = Mask2FormerConfig(
        backbone_config=swin(), feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=32,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=32, num_queries=12,
        id2label=dict(enumerate(NAMES)),
    )  # fmt: skip
    said = {"size": {"shortest_edge": 64, "longest_edge": 96}, "size_divisor": 32, "resample": 2}
    return Mask2FormerForUniversalSegmentation(config), COMMON | said


def oneformer():
    from transformers import OneFormerConfig, OneFormerForUniversalSegmentation

    config = OneFormerConfig(
        backbone_config=swin(), num_queries=12, conv_dim=32, mask_dim=32, hidden_dim=32, encoder_feedforward_dim=32,
        dim_feedforward=32, encoder_layers=1, decoder_layers=2, num_attention_heads=2, query_dec_layers=1,
        text_encoder_width=16, text_encoder_num_layers=1, text_encoder_vocab_size=64, text_encoder_context_length=16,
        text_encoder_n_ctx=4, task_seq_len=16, max_seq_len=16, id2label=dict(enumerate(NAMES)), is_training=False,
    )  # fmt: skip
    said = {"size": {"shortest_edge": 64, "longest_edge": 96}, "resample": 2}
    return OneFormerForUniversalSegmentation(config), COMMON | said


MAKERS = {
    "depth": depth,
    "glpn": glpn,
    "prompted": prompted_depth,
    "eomt": eomt,
    "mask2former": mask2former,
    "oneformer": oneformer,
}


@functools.cache
def model(kind: str):
    """The network of that kind, in eval mode, always with the same weights; and its preprocessor_config.json."""
    import torch

    torch.manual_seed(0)
    made, said = MAKERS[kind]()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if name.endswith(("class_predictor.weight", "class_embed.weight")):
                weight.mul_(40)  # a network of chance is sure of nothing, and then sees no objects
    return made.eval(), said


def save(folder: Path, kind: str, **options) -> Files:
    """A checkpoint of that kind in `folder`; `options` go to save_pretrained. Returns its files by name."""
    from figureground.inference.torch_loader import quiet

    made, said = model(kind)
    with quiet():
        made.save_pretrained(folder, **options)
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    (folder / "README.md").write_text(CARD)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def changed(folder: Path, tmp_path: Path, file: str, **changes: object) -> str:
    """The checkpoint in `folder` copied to `tmp_path`, some fields of a JSON file changed; None takes one away."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    said = json.loads((folder / file).read_text()) | changes
    (tmp_path / file).write_text(json.dumps({key: value for key, value in said.items() if value is not None}))
    return str(tmp_path)


@contextlib.contextmanager
def pointed(monkeypatch, hub, folder: Path):
    """huggingface_hub asks `hub` and keeps what it gets in `folder`."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    yield hub
