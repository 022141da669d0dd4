"""Where the head of a standing or sitting person is, told from the mask's outline alone: what lies above the neck."""

import numpy as np

from figureground.masks.components import ConnectedComponents
from figureground.types import THRESHOLD, Mask

NECK = 0.9
"""A neck is narrower than this share of the head above it, and than this share of the shoulders below."""
TALL = 2.2
"""A head is at most so many times as high as it is wide."""


def head_box(mask: Mask, level: float = THRESHOLD) -> tuple[int, int, int, int] | None:
    """Return the box of the head of the largest connected part of the mask.

    From the top down, the outline of a person grows to the width of the head, shrinks to the neck, and grows to the shoulders.

    Parameters
    ----------
    mask : (H, W) float32 in [0, 1]
    level : float
        What counts as subject.

    Returns
    -------
    left, top, right, bottom, or None where the outline has no neck

    Examples
    --------
    >>> mask = np.zeros((40, 40), np.float32)
    >>> mask[2:12, 15:25] = 1  # head
    >>> mask[12:16, 18:22] = 1  # neck
    >>> mask[16:40, 5:35] = 1
    >>> head_box(mask)
    (15, 2, 25, 13)
    """
    components = ConnectedComponents(mask >= np.float32(level), 8)
    if not components.count:
        return None
    shape = components.render(components.areas == components.areas.max())
    rows = np.flatnonzero(shape.any(1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    widths = shape[top:bottom].sum(1).astype(float)
    for neck in _narrow_rows(widths):
        head = widths[:neck]
        wide = head.max()
        if widths[neck] < NECK * wide and widths[neck] < NECK * widths[neck:].max() and neck <= TALL * wide and neck > wide / 4:
            columns = np.flatnonzero(shape[top : top + neck].any(0))
            return int(columns[0]), top, int(columns[-1]) + 1, top + neck
    return None


def _narrow_rows(widths: np.typing.NDArray[np.float64]) -> list[int]:
    """Return rows in the middle of a stretch that is narrower than what is above and below, from the top down."""
    half = max(1, len(widths) // 100)
    smooth = np.convolve(np.pad(widths, half, mode="edge"), np.ones(2 * half + 1) / (2 * half + 1), mode="valid")
    steps = np.sign(np.diff(smooth))
    result, fell = [], -1
    for row, step in enumerate(steps):
        if step < 0:
            fell = row
        elif step > 0 and fell >= 0:
            result.append((fell + 1 + row) // 2)
            fell = -1
    return result
