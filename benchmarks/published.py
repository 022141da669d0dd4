"""Checkpoints of random, seeded weights in the configurations of published networks. Not a benchmark itself.

Memory depends on a network's shape, not on what its weights are. A configuration says only what differs from transformers'
defaults, most of which are those of these very networks. To add a network: a function that returns it and what its
preprocessor_config.json says, with the hub's id in its docstring, and a row in `NETWORKS`.
"""

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figureground.inference.label_sets import coco

Made = tuple[Any, dict[str, Any]]
"""A network of transformers, and its preprocessor_config.json."""

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 2}
SWIN_TINY = {"image_size": 224, "embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7}
SURE = 60  # times the class weights: a network of chance is sure of no object, and would then have no masks to enlarge


def _classes() -> dict[int, str]:
    return dict(enumerate(name for name, _ in coco()))


def eomt() -> Made:
    """tue-mps/coco_panoptic_eomt_base_640_2x: DINOv2-B, of whose 12 layers the last 3 see 200 queries too; 640²."""
    from transformers import EomtConfig, EomtForUniversalSegmentation

    config = EomtConfig(
        hidden_size=768, num_hidden_layers=12, num_attention_heads=12, num_blocks=3, image_size=640, num_queries=200,
        id2label=_classes(),
    )  # fmt: skip
    network = EomtForUniversalSegmentation(config)
    network.attn_mask_probs.zero_()  # masked attention is annealed away in training
    network.class_predictor.weight.data.mul_(SURE)
    return network, {"size": {"shortest_edge": 640, "longest_edge": 640}, "do_pad": True, "do_split_image": False}


def mask2former() -> Made:
    """facebook/mask2former-swin-tiny-coco-panoptic: 100 queries; pictures at the paper's size, 800 and at most 1333."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    backbone = SwinConfig(**SWIN_TINY, out_features=["stage1", "stage2", "stage3", "stage4"])
    network = Mask2FormerForUniversalSegmentation(Mask2FormerConfig(backbone_config=backbone, id2label=_classes()))
    network.class_predictor.weight.data.mul_(SURE)
    return network, {"size": {"shortest_edge": 800, "longest_edge": 1333}, "size_divisor": 32}


def clipseg() -> Made:
    """CIDAS/clipseg-rd64-refined: CLIP ViT-B/16 and a decoder of 64 channels with three transposed convolutions; 352²."""
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    config = CLIPSegConfig(vision_config={"patch_size": 16}, reduce_dim=64, use_complex_transposed_convolution=True)
    return CLIPSegForImageSegmentation(config), {"size": {"height": 352, "width": 352}}


def dino() -> Made:
    """IDEA-Research/grounding-dino-tiny: Swin-T, BERT base, 900 queries; pictures of 800 and at most 1333."""
    from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    backbone = SwinConfig(**SWIN_TINY, out_features=["stage2", "stage3", "stage4"])
    network = GroundingDinoForObjectDetection(GroundingDinoConfig(backbone_config=backbone, text_config=BertConfig()))
    return network, {"size": {"shortest_edge": 800, "longest_edge": 1333}}


def sam() -> Made:
    """facebook/sam2.1-hiera-tiny: transformers' defaults; 1024²."""
    from transformers import Sam2Config, Sam2Model

    return Sam2Model(Sam2Config()), {"size": {"height": 1024, "width": 1024}}


def depth() -> Made:
    """depth-anything/Depth-Anything-V2-Small-hf: DINOv2-S and a DPT head of 64 channels; about 518²."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14,
        out_features=["stage3", "stage6", "stage9", "stage12"], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    said = {"size": {"height": 518, "width": 518}, "keep_aspect_ratio": True, "ensure_multiple_of": 14}
    return DepthAnythingForDepthEstimation(DepthAnythingConfig(backbone_config=backbone)), said


NETWORKS: dict[str, Callable[[], Made]] = {
    "eomt": eomt,
    "mask2former": mask2former,
    "clipseg": clipseg,
    "dino": dino,
    "sam": sam,
    "depth": depth,
}


def save(name: str, folder: Path) -> Path:
    """Write config, processor, weights and, where phrases are read, a tokenizer that spells; returns the folder."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(0)
    with torch.no_grad():
        network, said = NETWORKS[name]()
    network.eval().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(IMAGENET | said))
    if name == "clipseg":
        _clip_tokenizer(folder)
    elif name == "dino":
        _bert_tokenizer(folder)
    return folder


def _clip_tokenizer(folder: Path) -> None:
    """CLIP's two marks at their own numbers, and letters."""
    letters = [*string.ascii_lowercase, *(letter + "</w>" for letter in string.ascii_lowercase)]
    words = {word: index for index, word in enumerate([*letters, "th"])} | {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\nt h\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))


def _bert_tokenizer(folder: Path) -> None:
    """BERT's marks, full stop and question mark at their own numbers, and letters."""
    words = [f"[unused{index}]" for index in range(30522)]
    words[0], words[100:104], words[1012], words[1029] = "[PAD]", ["[UNK]", "[CLS]", "[SEP]", "[MASK]"], ".", "?"
    words[2000:2052] = [*string.ascii_lowercase, *("##" + letter for letter in string.ascii_lowercase)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}))
