"""What may lie behind the subject: a smooth estimate, a clean plate, and a fill that is fit to be looked at.

`smooth_fill` continues the colors around a hole evenly into it; blurred backgrounds start from it. `clean_plate` also takes the
subject's share out of mixed pixels. `fill` copies texture from the rest of the picture: it suits grass, walls, sky and floors,
and cannot know what really was there, such as the other half of a person or letters.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.io.color_modes import Pixels, by_strips, eight_bits
from figureground.types import Mask

Floats = NDArray[np.float32]
KNOWN = 0.02
"""A pixel whose mask is at most this is background, and nothing of the subject is mixed into it."""
SMOOTH_SIDE = 512
"""The longer side of the copy that `smooth_fill` works on, in pixels."""
FILL_SIDE = 208
"""The longer side of the copy that patches are matched on, in pixels."""
PATCH = 7
"""The side of a patch in pixels of that copy."""


def smooth_fill(picture: Pixels, mask: Mask) -> Pixels:
    """Return the picture with the subject's place filled evenly from the colors around it.

    Parameters
    ----------
    picture : (H, W, 3) uint8 or uint16
    mask : (H, W) float32 in [0, 1]
        1 is foreground; only pixels of at most 0.02 count as background.

    Returns
    -------
    (H, W, 3) of the same type
        The picture's own values where it is background. A picture without any background gets its mean color.

    References
    ----------
    Perez, Gangnet and Blake, "Poisson Image Editing" (SIGGRAPH 2003): a membrane over the hole, here solved in a pyramid.

    Examples
    --------
    >>> picture = np.full((9, 9, 3), 100, np.uint8)
    >>> picture[4, 4] = 255
    >>> mask = np.zeros((9, 9), np.float32)
    >>> mask[4, 4] = 1
    >>> smooth_fill(picture, mask)[4, 4].tolist()
    [100, 100, 100]
    """
    import cv2

    unknown = mask > KNOWN
    if not unknown.any():
        return picture
    membrane = _membrane(*_small(picture, unknown, SMOOTH_SIDE))
    height, width = mask.shape

    large = np.asarray(cv2.resize(membrane, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)

    def strip(rows: slice) -> Pixels:
        values = np.clip(np.rint(large[rows]), 0, np.iinfo(picture.dtype).max).astype(picture.dtype)
        return np.where(unknown[rows][..., None], values, picture[rows, :, :3])

    return by_strips((height, width, 3), picture.dtype, strip)


def clean_plate(picture: Pixels, cutout: Pixels, mask: Mask, behind: Pixels | None = None) -> Pixels:
    """Return the background alone: the picture with the subject's share taken out of its soft edge.

    A cut-out laid over its clean plate is the picture again, within a level.

    Parameters
    ----------
    picture : (H, W, 3) uint8 or uint16
    cutout : (H, W, 4) of the same type
        The subject with its own colors, as `cut_out` gives it.
    mask : (H, W) float32 in [0, 1]
    behind : (H, W, 3) of the same type, optional
        What shows where nothing of the background is left; None: `smooth_fill`.

    Returns
    -------
    (H, W, 3) of the same type

    Examples
    --------
    >>> picture = np.full((1, 3, 3), 60, np.uint8)
    >>> picture[0, 1], picture[0, 2] = 130, 200
    >>> cutout = np.full((1, 3, 4), 200, np.uint8)
    >>> clean_plate(picture, cutout, np.array([[0, 0.5, 1]], np.float32))[..., 0].tolist()
    [[60, 60, 60]]
    """
    filled = smooth_fill(picture, mask) if behind is None else behind
    most = np.float32(np.iinfo(picture.dtype).max)

    def strip(rows: slice) -> Pixels:
        part = mask[rows]
        plate: Any = np.array(filled[rows, :, :3])
        clear = part <= KNOWN
        plate[clear] = picture[rows, :, :3][clear]
        mixed = (part > 0) & (part < 1)
        if mixed.any():
            alpha = part[mixed][:, None]
            rest = np.maximum(1 - alpha, np.float32(1e-3))
            colors: Any = (picture[rows, :, :3][mixed] - alpha * cutout[rows, :, :3][mixed].astype(np.float32)) / rest
            plate[mixed] = np.rint(np.clip(colors, 0, most)).astype(picture.dtype)
        return plate  # type: ignore[no-any-return]

    return by_strips((*mask.shape, 3), picture.dtype, strip)


def fill(picture: Pixels, mask: Mask) -> Pixels:
    """Return the picture with the subject's place filled with texture from elsewhere in it.

    OpenCV's inpainting on a coarse copy gives the first guess. Then, from coarse to fine, each patch of the hole looks for the
    most similar patch of the background, and takes its pixels. The result is laid over the smooth fill at the picture's size.

    Parameters
    ----------
    picture : (H, W, 3) uint8 or uint16
    mask : (H, W) float32 in [0, 1]

    Returns
    -------
    (H, W, 3) of the same type
        The picture's own values where it is background.

    References
    ----------
    Telea, "An Image Inpainting Technique Based on the Fast Marching Method" (2004). Barnes et al., "PatchMatch" (SIGGRAPH
    2009). Wexler, Shechtman and Irani, "Space-Time Completion of Video" (PAMI 2007).

    Examples
    --------
    >>> picture = np.tile(np.array([[[40]], [[90]]], np.uint8), (20, 40, 3))
    >>> mask = np.zeros((40, 40), np.float32)
    >>> mask[15:25, 15:25] = 1
    >>> damaged = np.where(mask[..., None] > 0, 255, picture).astype(np.uint8)
    >>> bool(fill(damaged, mask).max() < 100)
    True
    """
    import cv2

    from figureground.compositing.patch_match import complete

    hole = _with_border(mask > KNOWN)
    if not hole.any() or hole.all():
        return picture[..., :3] if not hole.any() else smooth_fill(picture, mask)
    height, width = mask.shape
    scale = min(1.0, FILL_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    eight = eight_bits(picture[..., :3])
    small = np.asarray(cv2.resize(eight, size, interpolation=cv2.INTER_AREA), np.uint8)
    small_hole = np.asarray(cv2.resize(hole.view(np.uint8), size, interpolation=cv2.INTER_AREA), np.float32) > 0
    offsets = complete(small, small_hole, PATCH)
    return _copied(picture[..., :3], hole, offsets)


def _copied(picture: Pixels, hole: NDArray[np.bool_], offsets: NDArray[np.int32]) -> Pixels:
    """Return the picture with each pixel of the hole copied from the place that the coarse offsets, (h, w, 2), give."""
    import cv2

    height, width = hole.shape
    rows, columns = offsets.shape[:2]
    y, x = np.nonzero(hole)
    across, down = width / columns, height / rows
    # where four coarse pixels disagree, colors are mixed: each gives its own copy, weighted bilinearly
    u, v = (x + 0.5) / across - 0.5, (y + 0.5) / down - 0.5
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    total = np.zeros((y.size, 3), np.float32)
    for step_y in (0, 1):
        for step_x in (0, 1):
            j, i = np.clip(left + step_x, 0, columns - 1), np.clip(top + step_y, 0, rows - 1)
            weight = (1 - np.abs(u - (left + step_x))) * (1 - np.abs(v - (top + step_y)))
            from_y = np.clip(y + np.rint(offsets[i, j, 0] * down).astype(int), 0, height - 1)
            from_x = np.clip(x + np.rint(offsets[i, j, 1] * across).astype(int), 0, width - 1)
            total += weight[:, None].astype(np.float32) * picture[from_y, from_x]
    result: Any = np.array(picture)
    result[y, x] = np.rint(total).astype(picture.dtype)
    # a soft transition between the copy and what is around it
    radius = max(1.0, max(height, width) / 400)
    side = 2 * int(2 * radius) + 1
    weight_of = cv2.GaussianBlur(np.asarray(hole, np.float32), (side, side), radius)
    smooth = cv2.GaussianBlur(result, (side, side), radius)
    edge = hole & (weight_of < 0.98)
    share = (1 - (weight_of[edge] - 0.5) / 0.5).clip(0, 1)[:, None]
    result[edge] = np.rint(result[edge] * (1 - share) + smooth[edge] * share).astype(picture.dtype)
    return result  # type: ignore[no-any-return]


def _with_border(hole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the hole, slightly wider, because the subject's edge bleeds into its surroundings."""
    import cv2

    side = 2 * max(1, round(max(hole.shape) / 160)) + 1
    return np.asarray(cv2.dilate(hole.view(np.uint8), np.ones((side, side), np.uint8)), bool)


def _small(picture: Pixels, unknown: NDArray[np.bool_], most: int) -> tuple[Floats, Floats]:
    """Return a copy of the background's colors, at most `most` pixels a side, and the share of background in each pixel."""
    import cv2

    height, width = unknown.shape
    scale = min(1.0, most / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    known = np.asarray(~unknown, np.uint8)
    masked = cv2.copyTo(np.ascontiguousarray(picture[..., :3]), known)
    share = np.asarray(cv2.resize(np.asarray(known, np.float32), size, interpolation=cv2.INTER_AREA), np.float32)
    colors = np.asarray(cv2.resize(masked, size, interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(colors / np.maximum(share, 1e-6)[..., None], np.float32), share


def _membrane(colors: Floats, share: Floats) -> Floats:
    """Return the colors where the share is large, and a membrane between them elsewhere; (h, w, 3) float32.

    Coarse to fine: each level starts from the coarser one's solution, and is relaxed, so that a gradient goes on evenly.
    """
    import cv2

    height, width = share.shape
    known = share > 0.25
    if min(height, width) <= 2 or known.all():
        total = float(share.sum())
        mean = (colors * share[..., None]).sum((0, 1)) / total if total > 0 else np.zeros(3, np.float32)
        return np.where((share > 0)[..., None], colors, mean).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    coarse_share = np.asarray(cv2.resize(share, half, interpolation=cv2.INTER_AREA), np.float32)
    coarse = cv2.resize(colors * share[..., None], half, interpolation=cv2.INTER_AREA)
    coarse_colors = np.asarray(coarse / np.maximum(coarse_share, 1e-6)[..., None], np.float32)
    below = _membrane(coarse_colors, coarse_share)
    result = np.asarray(cv2.resize(below, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    keep = known[..., None]
    np.copyto(result, colors, where=keep)
    kernel = np.array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]], np.float32)
    for _ in range(16):
        relaxed = cv2.filter2D(result, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        result = np.where(keep, colors, relaxed)
    return np.asarray(result, np.float32)
