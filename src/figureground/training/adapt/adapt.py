"""Train a head over a frozen network on the user's pictures, and write one ONNX file: `figureground adapt`.

How far the training may go from what the network says already is decided by pictures that were held back: the gain in IoU
less its standard error, which few pictures make larger, must be above nothing, else the network stays as it was. To add
something to train: a class with the `path` and `logits` of `Learner`, and its choice in `_learnt`.
"""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor
from tqdm import tqdm

import figureground
from figureground._deprecated import with_old_keys
from figureground._machine import cores
from figureground.errors import OutputExists, UsageError, WriteFailed
from figureground.evaluation.dataset import LabeledImage
from figureground.evaluation.metrics import Counts
from figureground.io.files import write
from figureground.models.adapted import FORM, KEY
from figureground.settings import Settings
from figureground.training.adapt.bases import FrozenNetwork, Own, decoded, exported
from figureground.training.adapt.deep import DeepLearner
from figureground.training.adapt.head import LinearLearner, Views
from figureground.training.adapt.views import collect_views, read
from figureground.training.augmentation import Sample

Floats = NDArray[np.float64]
MINUTES = 8.0
PATIENCE = 6  # steps of a path without a better answer on the held-back pictures, after which it ends
LEAST_DEEP = 20  # pictures for --deep: of fewer the fifth that is held back could never say enough
ENOUGH = 100  # pictures: with so many, or with --deep, a fifth is held back once; with fewer each is, by turns
FOLDS = 5
SPREAD = 0.1  # standard deviation of the gains, at least: a few pictures may agree by chance


class Learner(Protocol):
    """A trainer: a path of states, each further from the start than the one before."""

    def regularization_path(self, rows: Tensor) -> Iterator[Any]:
        """Train on these rows of the views."""
        ...

    def logits(self, state: Any, rows: Tensor) -> Tensor:
        """Return the logits of a state for rows of the views, (n, 1, H, W)."""
        ...


@dataclass(frozen=True, slots=True)
class AdaptResult:
    """The result of `adapt`. IoU is the mean over the held-back pictures, at the size of the network's logits."""

    pictures: int
    held_back: int
    iou_before: float
    iou_after: float
    """Of what was written: the same as before where the training was not adopted."""
    adopted: bool
    seconds: float
    out: str
    made_from: str
    license: str
    whole_picture: bool = False
    """The file takes the whole picture for foreground: nothing was adopted, and the network has no answer of its own."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return with_old_keys(asdict(self))

    def text(self) -> str:
        """Return the result as text."""
        head = f"{self.out}: from {self.made_from} (license: {self.license}) and {self.pictures} pictures, {self.seconds:.0f} s"
        before = f"IoU on {self.held_back} held-back pictures {self.iou_before:.3f}"
        if self.whole_picture:
            what = f"{self.made_from} has no foreground of its own, so the file takes the whole picture for it"
            return f"{head}\n{before} did not surely improve; {what}: label more pictures"
        if not self.adopted:
            return f"{head}\n{before} did not surely improve, so the network is written as it was, with the masks of subject"
        return f"{head}\n{before} → {self.iou_after:.3f}; use it with: --method {self.out}"


def adapt(
    data: Sequence[LabeledImage],
    out: Path,
    *,
    deep: bool = False,
    start: str | None = None,
    minutes: float = MINUTES,
    seed: int = 0,
    overwrite: bool = False,
    settings: Settings | None = None,
    quiet: bool = False,
) -> AdaptResult:
    """Train a head (with `deep` the decoder) on `data` and write one ONNX file.

    start : a SegFormer checkpoint by hub id or folder, to be given a head; None: the embedded network. minutes : about how
    long it may take. The same data, seed and threads give the same file, unless time runs out. Raises UsageError, BadData,
    OutputExists, WriteFailed before any work where that can be told, WeightsError.
    """
    began = time.monotonic()
    settings = settings or Settings.from_environment()
    _refuse(len(data), out, deep, start, minutes, overwrite)
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads or cores())
    try:
        base = _base(start, settings)
        samples = read(data, base.size, quiet)
        graph, before, after = _learnt(base, samples, deep, seed, began + 60 * minutes, quiet)
    finally:
        torch.set_num_threads(threads)
    judged, adopted, seconds = before[~np.isnan(before)], after is not None, time.monotonic() - began
    means = float(judged.mean()), float(judged.mean()) if after is None else after
    blank = not (adopted or base.has_answer)
    result = AdaptResult(len(data), len(judged), *means, adopted, seconds, str(out), base.name, base.license, blank)
    _write(graph, out, result, base, deep)
    return result


def _learnt(
    base: FrozenNetwork, samples: list[Sample], deep: bool, seed: int, until: float, quiet: bool
) -> tuple[onnx.ModelProto, Floats, float | None]:
    """Return the graph to write, each held-back picture's IoU before (else NaN), and the mean after, None if not adopted."""
    network = base.network if deep and isinstance(base, Own) else None
    views = collect_views(
        samples, base.features if network is None else partial(_maps, network), seed, until - time.monotonic(), quiet
    )
    learner: Learner = LinearLearner(views, seed) if network is None else DeepLearner(views, network, seed)
    table, before = held_back(learner, views, seed, deep, until, quiet)
    step, after = chosen(table, before)
    if step is None:
        return base.graph(None), before, None
    state = refit(learner, views, step, until)
    return base.graph(state) if network is None else exported(state, base.size), before, after


def _refuse(pictures: int, out: Path, deep: bool, start: str | None, minutes: float, overwrite: bool) -> None:
    """Check the arguments before any work; raises UsageError and its kin."""
    if out.suffix.lower() != ".onnx":
        raise UsageError(f"--out names an ONNX file, such as my.onnx, but got '{out}'")
    if deep and start is not None:
        raise UsageError("--deep trains the embedded network's decoder and --from adds a head to another one; leave one out")
    if deep and pictures < LEAST_DEEP:
        raise UsageError(
            f"--deep needs at least {LEAST_DEEP} labeled pictures, but got {pictures}; label more pictures, or leave out --deep"
        )
    if not (minutes > 0 and math.isfinite(minutes)):
        raise UsageError(f"--minutes must be above 0, but is {minutes:g}")
    if out.exists() and not overwrite:
        raise OutputExists(f"'{out}' exists; replace it with --overwrite, or name another file with --out")
    if not out.parent.is_dir():
        raise WriteFailed(f"'{out}' cannot be written: there is no folder '{out.parent}'; make it first")


def _base(start: str | None, settings: Settings) -> FrozenNetwork:
    if start is None:
        return Own()
    from figureground.training.adapt.backbone import Backbone

    return Backbone(start, settings)


def _maps(network: Any, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the input of the decoder's training: the encoder's maps, and the network's logits at S / 2."""
    with torch.no_grad():
        maps = network.encode(x)
        return maps, decoded(network, maps)[1]


def held_back(learner: Learner, views: Views, seed: int, single_fold: bool, until: float, quiet: bool) -> tuple[Floats, Floats]:
    """Return IoU of pictures that each path did not learn from: (steps, n) along the paths, and (n,) of the network itself.

    NaN where a picture was never held back. once : hold back a fifth, not each picture by turns. until : by when, on
    time.monotonic's clock, all paths and a last one with all pictures should have ended.
    """
    plain = torch.nonzero(views.plain).ravel()
    count = len(plain)
    groups = np.array_split(np.random.default_rng(seed).permutation(count), FOLDS)
    if single_fold or count >= ENOUGH:
        groups = groups[:1]
    paths: list[list[Floats]] = []
    before = np.full(count, np.nan)
    for left, group in enumerate(tqdm(groups, "train", disable=quiet or None, unit="fold")):
        rows = torch.nonzero(~torch.isin(views.picture, torch.from_numpy(group))).ravel()
        asked = plain[torch.from_numpy(np.sort(group))]
        before[np.sort(group)] = ious(views.own[asked].float(), views.truth[asked])
        end = time.monotonic() + (until - time.monotonic()) / (len(groups) - left + 1)
        paths.append(_path(learner, views, rows, asked, end))
    steps = min(map(len, paths))
    table = np.full((steps, count), np.nan)
    for group, rows_of in zip(groups, paths, strict=True):
        table[:, np.sort(group)] = rows_of[:steps]
    return table, before


def _path(learner: Learner, views: Views, rows: Tensor, asked: Tensor, until: float) -> list[Floats]:
    """Return IoU of each asked picture at each step of one path."""
    steps: list[Floats] = []
    for state in learner.regularization_path(rows):
        steps.append(ious(learner.logits(state, asked), views.truth[asked]))
        means = [step.mean() for step in steps]
        if time.monotonic() > until or len(steps) - int(np.argmax(means)) > PATIENCE:
            break
    return steps


def ious(logits: Tensor, truth: Tensor) -> Floats:
    """Return the IoU of each picture, with foreground where logit ≥ 0; (n, 1, H, W) each, truth in [0, 1]."""
    predicted, true = (logits >= 0).numpy(), (truth >= 0.5).numpy()
    return np.array([Counts.of(s, t).iou for s, t in zip(predicted, true, strict=True)])


def chosen(table: Floats, before: Floats) -> tuple[int | None, float]:
    """Return the step with the largest gain less its standard error, and its mean IoU; None if that is not above 0.

    A standard error that is itself estimated from n gains is too small by chance at times: so it is made larger by the
    spread of Student's t, √((n − 1) / (n − 3)), which is 1.41 for 5 pictures and 1.03 for 40; fewer than 4 say nothing.
    """
    judged = ~np.isnan(before)
    gains = table[:, judged] - before[judged]  # (steps, n)
    n = gains.shape[1]
    if n < 4:
        return None, float(before[judged].mean())
    sure = gains.mean(1) - np.maximum(gains.std(1, ddof=1), SPREAD) * math.sqrt((n - 1) / (n - 3) / n)
    best = int(np.argmax(sure))
    if not sure[best] > 0:
        return None, float(before[judged].mean())
    return best, float(table[best, judged].mean())


def refit(learner: Learner, views: Views, step: int, until: float) -> Any:
    """Return the state at that step of a path on all pictures, or the last one that time allows."""
    state = None
    for number, state in enumerate(learner.regularization_path(torch.arange(len(views.picture)))):  # noqa: B007
        if number == step or time.monotonic() > until:
            break
    return state


def _write(graph: onnx.ModelProto, out: Path, result: AdaptResult, base: FrozenNetwork, deep: bool) -> None:
    notes = {
        "form": FORM,
        "version": figureground.__version__,
        "from": base.name,
        "license": base.license,
        "licence": base.license,  # versions before 0.4.0 read this key
        "permissive": base.permissive,
        "size": base.size,
        "trained": "decoder" if deep else "head",
        "pictures": result.pictures,
        "held_back": result.held_back,
        "iou_before": round(result.iou_before, 4),
        "iou_after": round(result.iou_after, 4),
        "adopted": result.adopted,
    }
    helper.set_model_props(graph, {KEY: json.dumps(notes, ensure_ascii=False)})
    write(graph.SerializeToString(), out)
