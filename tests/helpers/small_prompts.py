"""Small checkpoints of the models that take prompts, with random weights and tokenizers of a few words.

To add an architecture: a function that returns its model and preprocessor_config.json, and a row at the end.
"""

import json
import string
from pathlib import Path

import small_torch
from hub_server import Files
from small_torch import COMMON

WORDS = ("the", "a", "dog", "person", "and", "chair", "sky", ".", ",", "?")
LETTERS = string.ascii_lowercase + string.digits + ".,?!'-"
MERGES = ["t h", "th e</w>", "d o", "do g</w>", "a n", "an d</w>"]


def clip_vocabulary() -> dict[str, int]:
    """Letters, letters that end a word, merged ones, and the two marks of CLIP."""
    words = [*LETTERS, *(letter + "</w>" for letter in LETTERS), *(merge.replace(" ", "") for merge in MERGES)]
    return {word: index for index, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}


def bert_vocabulary() -> list[str]:
    """Words and letters, with BERT's marks where Grounding DINO looks for them: 101, 102, 1012 (.) and 1029 (?)."""
    words = [f"[unused{index}]" for index in range(1100)]
    words[0], words[100:104] = "[PAD]", ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words[1012], words[1029] = ".", "?"
    own = [*(word for word in WORDS if word not in ".?"), *LETTERS[:26], *(f"##{letter}" for letter in LETTERS[:26])]
    for index, word in enumerate(dict.fromkeys(own), 110):
        words[index] = word
    return words


def clipseg():
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    words = clip_vocabulary()
    start, end = words["<|startoftext|>"], words["<|endoftext|>"]
    config = CLIPSegConfig(
        text_config={
            "vocab_size": len(words), "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 40, "bos_token_id": start, "eos_token_id": end,
            "pad_token_id": end,
        },
        vision_config={
            "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
            "image_size": 64, "patch_size": 16,
        },
        projection_dim=16, extract_layers=[0, 1, 2], reduce_dim=16, decoder_num_attention_heads=2,
        decoder_intermediate_size=32, use_complex_transposed_convolution=True,
    )  # fmt: skip
    made = CLIPSegForImageSegmentation(config)
    said = {"size": {"height": 96, "width": 96}, "resample": 2, "image_processor_type": "ViTImageProcessor"}
    return made, COMMON | said


def sam():
    from transformers import Sam2Config, Sam2Model

    backbone = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 8, "image_size": [128, 128], "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64], "num_attention_heads_per_stage": [1, 1, 2, 4],
        "window_size_per_stage": [8, 4, 14, 7], "global_attention_blocks": [3],
    }  # fmt: skip
    vision = {
        "backbone_config": backbone, "backbone_channel_list": [64, 32, 16, 8], "fpn_hidden_size": 32,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    }  # fmt: skip
    decoder = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
    places = {"hidden_size": 32, "image_size": 128}
    made = Sam2Model(Sam2Config(vision_config=vision, prompt_encoder_config=places, mask_decoder_config=decoder))
    said = {"size": {"height": 128, "width": 128}, "resample": 2, "image_processor_type": "Sam2ImageProcessorFast"}
    return made, COMMON | said


def dino():
    from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    backbone = SwinConfig(
        image_size=32, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    text = BertConfig(
        vocab_size=len(bert_vocabulary()), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    config = GroundingDinoConfig(
        backbone_config=backbone, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2, num_queries=30, max_text_len=64,
    )  # fmt: skip
    said = {"size": {"shortest_edge": 96, "longest_edge": 160}, "do_pad": True, "resample": 2}
    return GroundingDinoForObjectDetection(config), COMMON | said


small_torch.MAKERS |= {"clipseg": clipseg, "sam": sam, "dino": dino}


def save(folder: Path, kind: str) -> Files:
    """A checkpoint of that kind in `folder`, with its tokenizer where it has one; also its files by name."""
    small_torch.save(folder, kind)
    if kind == "clipseg":
        (folder / "vocab.json").write_text(json.dumps(clip_vocabulary()))
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES]) + "\n")
        said = {"tokenizer_class": "CLIPTokenizer", "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
        said |= {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "model_max_length": 40}
        (folder / "tokenizer_config.json").write_text(json.dumps(said))
    elif kind == "dino":
        (folder / "vocab.txt").write_text("\n".join(bert_vocabulary()) + "\n")
        said = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
        (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return {path.name: path.read_bytes() for path in folder.iterdir()}
