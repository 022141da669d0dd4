"""Find the class of each pixel: any SegFormer checkpoint, by hub id or folder, without torch.

Paper: Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS 2021.
Weights: NVIDIA's, fine-tuned on ADE20K, from the hub (research and evaluation only), or any others named with `weights`.
To add a short name for a checkpoint: a row in `SHORT`.
"""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from figureground.errors import WeightsError
from figureground.inference.cache import get_or_create, verify
from figureground.inference.checkpoint import BIN, SAFE, Checkpoint, CheckpointFormat, fetch
from figureground.inference.label_sets import ade20k, stuff_flags
from figureground.inference.outputs import require_finite
from figureground.inference.resize import enlarge_labels, to_size
from figureground.inference.session import LARGE, Session, choose, session
from figureground.models import Card, LoadedCheckpoint, Model, Weights
from figureground.models.segformer.config import Architecture, Processor, require_segformer
from figureground.settings import Settings
from figureground.types import LabelMap, Rgb

DEFAULT = "nvidia/segformer-b5-finetuned-ade-640-640"
RUNTIMES = LARGE
"""The order in which the runtime `auto` is chosen."""
_FOLDER = "segformer"  # in the cache
_WRITER = 2  # to be raised with every change of what onnx_writer.py writes: kept networks are then made anew
SHORT = {f"segformer-b{n}": f"nvidia/segformer-b{n}-finetuned-ade-512-512" for n in range(5)} | {"segformer-b5": DEFAULT}
"""Names for those who do not know the hub's."""

FORMAT = CheckpointFormat(
    model="segformer",
    title="SegFormer",
    wanted="a SegFormer checkpoint or a hub id such as nvidia/NAME",
    validate=lambda name, config: require_segformer(config),
    cache_folder=_FOLDER,
    last_resort=(BIN,),
    no_weights=f"neither {SAFE} nor {BIN} (weights in several parts are not read)",
    one_folder=False,
)
CHECKPOINTS = ((DEFAULT, FORMAT),)

CLASSES = ade20k
"""The class names of `DEFAULT`, and which of them are stuff."""

CARD = Card(
    output_type=LabelMap,
    about="names every pixel, one of 150 classes; slow, downloads 340 MB once",
    weights=DEFAULT,
    license="NVIDIA Source Code License for SegFormer: research and evaluation only",
    data="ADE20K (research use) after ImageNet-1k (research use)",
    permissive=False,
    download_mb=340,
    source="Xie et al., SegFormer, NeurIPS 2021, https://arxiv.org/abs/2105.15203",
)


@dataclass(frozen=True, slots=True)
class SegFormer(LoadedCheckpoint):
    """A SegFormer whose session takes resized pictures."""

    names: tuple[str, ...]
    stuff: tuple[bool, ...]
    processor: Processor
    session: Session

    def __call__(self, rgb: Rgb, /) -> LabelMap:
        """Return the class of each pixel of (H, W, 3) uint8 sRGB; raises WeightsError where the network gives no numbers."""
        p = self.processor
        logits = self.session(to_size(rgb, p.height, p.width, p.normalization.resample).astype(np.float32)[None])[0]
        require_finite(self.weights, logits)
        return LabelMap(enlarge_labels(logits, *rgb.shape[:2]), self.names, self.stuff)


def load(settings: Settings, *, weights: Weights = DEFAULT) -> Model:
    """Load the model, fetched and converted unless it is kept; raises WeightsError.

    `weights` may be one of `SHORT` too. On the first fetch the logger `figureground` says under which license they stand.
    """
    checkpoint = fetch_checkpoint(weights, settings)
    shape, processor = Architecture.of(checkpoint.config), Processor.of(checkpoint.preprocessor)
    opened_session = session(_graph(checkpoint, shape, processor, settings), settings, RUNTIMES)
    return SegFormer(checkpoint.name, checkpoint.license, shape.names, stuff_flags(shape.names), processor, opened_session)


def pull(settings: Settings, weights: str = DEFAULT) -> Path:
    """Fetch and convert beforehand; return the path of the converted network, which `load` will find.

    Raises WeightsError as `load` does, and where the cache folder cannot be written.
    """
    checkpoint = fetch_checkpoint(weights, settings)
    shape, processor = Architecture.of(checkpoint.config), Processor.of(checkpoint.preprocessor)
    path = _graph(checkpoint, shape, processor, settings)
    if isinstance(path, bytes):
        where = settings.cache / _FOLDER
        raise WeightsError(f"the converted network cannot be kept in '{where}'; name another folder: FIGUREGROUND_CACHE")
    return path


def fetch_checkpoint(weights: str, settings: Settings) -> Checkpoint:
    """Fetch a checkpoint by hub id, folder or short name; raises WeightsError."""
    return fetch(SHORT.get(weights, weights), settings, FORMAT)


def _graph(checkpoint: Checkpoint, shape: Architecture, processor: Processor, settings: Settings) -> Path | bytes:
    """Return the path of the converted network, or the network itself if it cannot be kept."""
    whole = choose(settings, RUNTIMES).runtime == "onnxruntime"
    (weights,), digest = checkpoint.weights, checkpoint.sha256
    size = {"height": processor.height, "width": processor.width}
    made_from = [_WRITER, whole, digest, asdict(shape), size | asdict(processor.normalization)]
    key = sha256(json.dumps(made_from).encode()).hexdigest()

    def convert() -> bytes:
        from tqdm import tqdm

        from figureground.inference.tensors import read
        from figureground.models.segformer.onnx_writer import write

        tensors = read(verify(weights, digest))
        with tqdm(total=len(tensors), desc=f"converting {checkpoint.name}", unit="tensor", disable=None) as bar:
            graph = write(shape, processor, tensors, whole=whole, threads=settings.threads, read=bar.update)
            bar.update(bar.total - bar.n)  # what no inference needs
        return graph

    return get_or_create(settings.cache / _FOLDER / f"{key}.onnx", convert)
