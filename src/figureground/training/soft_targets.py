"""Mix the packaged network's answers into the masks of the training pictures.

A wrong label then counts less; where mask and answer agree, nothing changes. After Hinton et al.,
"Distilling the Knowledge in a Neural Network" (2015), and Furlanello et al., "Born-Again Neural Networks" (ICML 2018).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from tqdm import tqdm

from figureground import models
from figureground.settings import Settings
from figureground.training.augmentation import Image8, Sample


def soft_targets(pictures: Sequence[Sample], share: float, threads: int | None, quiet: bool) -> list[Image8]:
    """Return of each picture (1 - share) · mask + share · answer, (H, W) uint8.

    Parameters
    ----------
    pictures
        Pictures (H, W, 3) and masks (H, W), uint8.
    share
        Weight of the answers, in [0, 1]. They are those of `--quality balanced`: two sizes, one of them mirrored, and details.
    threads
        Processor threads; None: as many as there are processors.
    quiet
        Show no progress.
    """
    teacher = models.load("saliency", Settings(threads=threads or 0))
    targets = []
    for rgb, mask in tqdm(pictures, "soft targets", disable=quiet or None, unit="picture"):
        answer = np.rint(teacher(rgb).values * 255)  # type: ignore[union-attr]
        targets.append(np.asarray(cv2.addWeighted(mask, 1 - share, answer.astype(np.uint8), share, 0), np.uint8))
    return targets
