"""SegFormer checkpoints of random, seeded weights in the shapes of the published ones. Not a benchmark itself.

Those of `kept` are written once, for all benchmarks, and so are their conversions in `CONVERTED`; `make clean` takes them away.
To measure another shape, add it to `SHAPES`: the configuration that differs from b0's, and the side of its pictures.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from common import ROOT
from figureground.inference.label_sets import ade20k

LARGE = {"hidden_sizes": [64, 128, 320, 512], "decoder_hidden_size": 768}
SHAPES: dict[str, tuple[dict[str, Any], int]] = {
    "b0": ({}, 512),
    "b2": ({**LARGE, "depths": [3, 4, 6, 3]}, 512),
    "b5": ({**LARGE, "depths": [3, 6, 40, 3]}, 640),
}

KEPT = ROOT / "build" / "checkpoints"
CONVERTED = KEPT / "cache"


def kept(shape: str) -> Path:
    """The folder with the checkpoint of that shape, which is written where it is not there; whole, or not at all."""
    folder = KEPT / shape
    if not folder.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as place:
            save(shape, Path(place, shape))
            Path(place, shape).rename(folder)
    return folder


def save(shape: str, folder: Path) -> None:
    """Write config, processor and weights of that shape; batch-norm statistics are random too."""
    import torch
    from transformers import SegformerConfig, SegformerForSemanticSegmentation
    from transformers.utils import logging

    logging.disable_progress_bar()
    (changes, side), names = SHAPES[shape], dict(enumerate(name for name, _ in ade20k()))
    torch.manual_seed(0)
    model = SegformerForSemanticSegmentation(SegformerConfig(id2label=names, **changes)).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, parameter[0].numel() ** -0.5)
    norm = model.decode_head.batch_norm
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.2, 3)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": side, "resample": 2}))


def plain(folder: Path, threads: int) -> Any:
    """transformers' own network of that checkpoint, with its eager attention."""
    import torch
    from transformers import SegformerForSemanticSegmentation
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    model = SegformerForSemanticSegmentation.from_pretrained(folder).eval()
    model.set_attn_implementation("eager")
    return model
