"""What is painted between background and subject: a drop shadow, the ground's own shadow, an outline.

Each function returns a coverage, (H, W) float32 in [0, 1]; `blend.paint` lays a color over an image as it says.
To add an effect: a function here, a field of `EditOptions`, and a call in `editing.compose`.
"""

import math

import numpy as np
from numpy.typing import NDArray

from figureground.compositing.fill import KNOWN
from figureground.io.color_modes import Pixels, eight_bits, strips
from figureground.types import THRESHOLD, Mask

Floats = NDArray[np.float32]
SHADOW_SIDE = 640
"""The longer side of the copy that the ground's shadow is estimated on, in pixels."""
FAINT, PLAIN = 0.02, 0.10
"""Darkening below the first is noise and left out; from the second on it is kept whole.
On a patterned ground both are higher."""


def drop_shadow(alpha: Mask, blur: float, offset: tuple[float, float], opacity: float = 0.5) -> Mask:
    """Return the soft shadow that a subject throws on a surface behind it.

    Parameters
    ----------
    alpha : (H, W) float32 in [0, 1]
        The subject.
    blur : float
        The standard deviation of its softness, in pixels.
    offset : right and down, in pixels
    opacity : float
        How dark it is at most, in [0, 1].

    Returns
    -------
    (H, W) float32
        The shadow's coverage; it lies below the subject too.

    Examples
    --------
    >>> alpha = np.zeros((1, 6), np.float32)
    >>> alpha[0, 1:3] = 1
    >>> drop_shadow(alpha, 0, (2, 0), 0.5).tolist()
    [[0.0, 0.0, 0.0, 0.5, 0.5, 0.0]]
    """
    import cv2

    height, width = alpha.shape
    step = max(1, int(blur / 4))
    small = np.asarray(cv2.resize(alpha, (-(-width // step), -(-height // step)), interpolation=cv2.INTER_AREA), np.float32)
    if blur > 0:
        rest = blur / step if step == 1 else math.sqrt((blur / step) ** 2 - 0.25)
        small = np.asarray(cv2.GaussianBlur(small, (0, 0), rest, borderType=cv2.BORDER_CONSTANT), np.float32)
    across, down = width / small.shape[1], height / small.shape[0]
    # output x ← small (x − offset + ½) / step − ½
    matrix = np.array(
        [
            [1 / across, 0, (0.5 - offset[0]) / across - 0.5],
            [0, 1 / down, (0.5 - offset[1]) / down - 0.5],
        ],
        np.float32,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(small * np.float32(opacity), matrix, (width, height), flags=flags)
    return np.clip(np.asarray(moved, np.float32), 0, 1)


def outline(alpha: Mask, width: float) -> Mask:
    """Return a line of even width around the subject, as stickers have it.

    Parameters
    ----------
    alpha : (H, W) float32 in [0, 1]
        The subject; from 0.5 on a pixel belongs to it.
    width : float
        Of the line, in pixels.

    Returns
    -------
    (H, W) float32
        The coverage of the line and of what it surrounds; it lies below the subject.

    Examples
    --------
    >>> alpha = np.zeros((1, 7), np.float32)
    >>> alpha[0, 0:2] = 1
    >>> outline(alpha, 2).tolist()
    [[1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]
    """
    import cv2

    inside = alpha >= THRESHOLD
    result = np.zeros(alpha.shape, np.float32)
    if not inside.any() or width <= 0:
        return result
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    room = math.ceil(width) + 3
    top, bottom = max(0, int(rows[0]) - room), min(alpha.shape[0], int(rows[-1]) + 1 + room)
    left, right = max(0, int(columns[0]) - room), min(alpha.shape[1], int(columns[-1]) + 1 + room)
    part = inside[top:bottom, left:right]
    framed = np.pad(part, room, mode="edge") if min(part.shape) > 0 else part
    distance = np.asarray(cv2.distanceTransform((~framed).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
    # distances run between centers of pixels, and steps of the hard edge would show: a wide line is smoothed
    smooth = min(width / 3, 4.0)
    if smooth >= 1:
        distance = np.asarray(cv2.GaussianBlur(distance, (0, 0), smooth), np.float32)
    line = np.maximum(np.clip(width + 1 - distance, 0, 1), framed)
    result[top:bottom, left:right] = line[room:-room, room:-room]
    return result


def ground_shadow(picture: Pixels, mask: Mask, opacity: float = 1.0) -> Mask:
    """Return the shadow that the picture itself shows around the subject, to be put under it elsewhere.

    How much darker the ground is than the ground nearby, as a ratio of lumas. The ground nearby is what the background
    converges to away from the subject. What is not connected with the subject is not its shadow. It wants a plain ground, such
    as a table, a floor or a paper; of a patterned one, dark parts of the pattern beside the subject are taken for shadow.

    Parameters
    ----------
    picture : (H, W, 3) uint8 or uint16
    mask : (H, W) float32 in [0, 1]
    opacity : float
        1 keeps the shadow as dark as it is.

    Returns
    -------
    (H, W) float32
        1 − the ratio: how much black is to be laid over a new ground.

    Examples
    --------
    >>> picture = np.full((60, 60, 3), 200, np.uint8)
    >>> picture[30:36, 20:40] = 100
    >>> mask = np.zeros((60, 60), np.float32)
    >>> mask[20:30, 20:40] = 1
    >>> shadow = ground_shadow(picture, mask)
    >>> bool(shadow[31:35, 24:36].min() > 0.4), bool(shadow[:15].max() == 0)
    (True, True)
    """
    import cv2

    height, width = mask.shape
    scale = min(1.0, SHADOW_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    background = np.asarray(cv2.resize(np.asarray(mask <= KNOWN, np.uint8) * np.float32(1), size, interpolation=cv2.INTER_AREA))
    luma = np.asarray(cv2.resize(_luma(picture), size, interpolation=cv2.INTER_AREA), np.float32)
    known = np.asarray(background > 0.95)
    subject = ~known
    if known.sum() < 16 or not (mask >= THRESHOLD).any():
        return np.zeros((height, width), np.float32)
    away = np.asarray(cv2.distanceTransform(known.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
    side = _side(subject)
    ground = _ground(luma, known, away, side)
    ratio = np.where(known, luma / np.maximum(ground, 1.0), 1.0).astype(np.float32)
    dark = np.asarray(cv2.medianBlur(np.clip(1 - ratio, 0, 1), 5), np.float32)
    pattern = _pattern(ratio, known, away, side)
    dark = _continued(dark, known)
    dark *= _ramp(dark, pattern)
    dark *= np.clip(2 - 2 * away / (0.6 * side + 1), 0, 1)  # fades out away from the subject
    dark *= _touching(dark > 0.004, subject)
    dark = np.asarray(cv2.GaussianBlur(dark, (0, 0), 1.0), np.float32)
    large = np.asarray(cv2.resize(dark, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(np.clip(large * np.float32(opacity), 0, 1), np.float32)


def _luma(picture: Pixels) -> Floats:
    result = np.empty(picture.shape[:2], np.float32)
    for rows in strips(*picture.shape[:2]):
        result[rows] = eight_bits(picture[rows, :, :3]) @ np.array([0.299, 0.587, 0.114], np.float32)
    return result


def _side(subject: NDArray[np.bool_]) -> float:
    rows, columns = (np.flatnonzero(subject.any(axis)) for axis in (1, 0))
    return float(max(np.ptp(rows), np.ptp(columns)) + 1)


def _ground(luma: Floats, known: NDArray[np.bool_], away: Floats, side: float) -> Floats:
    """Return the luma of the ground nearby without shadow: a wide mean of the background without its darker parts."""
    import cv2

    sigma = max(4.0, side / 4)
    weight = known.astype(np.float32) * np.clip(away / (side / 8 + 1), 0.05, 1)
    ground = luma
    for _ in range(4):
        ground = _mean(luma, weight, sigma)
        deviation = np.sqrt(np.maximum(_mean((luma - ground) ** 2, weight, sigma), 4))
        darker = luma < ground - 0.7 * deviation
        weight = np.where(darker, weight * np.float32(0.1), weight).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(ground, (0, 0), 3), np.float32)


def _mean(values: Floats, weight: Floats, sigma: float) -> Floats:
    """Return the weighted mean within a Gaussian: normalized convolution, on a copy as coarse as the Gaussian allows."""
    import cv2

    step = max(1, int(sigma / 3))
    height, width = values.shape
    size = (-(-width // step), -(-height // step))
    total = cv2.resize(values * weight, size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    total, share = (cv2.GaussianBlur(each, (0, 0), sigma / step, borderType=cv2.BORDER_REPLICATE) for each in (total, share))
    everywhere = float((values * weight).sum() / max(weight.sum(), 1e-6))
    mean = (np.asarray(total) + 1e-4 * everywhere) / (np.asarray(share) + 1e-4)
    return np.asarray(cv2.resize(mean.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _continued(dark: Floats, known: NDArray[np.bool_]) -> Floats:
    """Continue the shadow below the subject's edge with the darkness of the nearest background: no bright seam shows."""
    import cv2

    _, labels = cv2.distanceTransformWithLabels(
        (~known).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(int(labels.max()) + 1, np.float32)
    values[labels[known]] = dark[known]
    return np.where(known, dark, values[labels]).astype(np.float32)


def _pattern(ratio: Floats, known: NDArray[np.bool_], away: Floats, side: float) -> float:
    """How much darker than its mean the ground is by its own pattern, away from the subject: a low percentile."""
    far = known & (away > side / 8)
    values = ratio[far if far.sum() > 64 else known]
    return float(np.clip(1 - np.percentile(values, 10), 0, 0.5))


def _ramp(dark: Floats, pattern: float) -> Floats:
    """0 for noise and pattern, 1 for what is certainly darker, evenly in between."""
    faint, plain = max(FAINT, pattern), max(PLAIN, 1.8 * pattern)
    share = np.clip((dark - faint) / (plain - faint), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _touching(dark: NDArray[np.bool_], subject: NDArray[np.bool_]) -> Floats:
    """1 where what is dark hangs together with the subject."""
    import cv2

    grown = np.asarray(cv2.dilate(subject.view(np.uint8), np.ones((5, 5), np.uint8)), bool)
    _, labels = cv2.connectedComponents((dark | grown).view(np.uint8), connectivity=8)
    joined = np.zeros(int(labels.max()) + 1, np.float32)
    joined[np.unique(labels[grown])] = 1
    joined[0] = 0
    return joined[labels]
