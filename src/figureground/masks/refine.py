"""Refine a mask: functions from a picture and a rough mask to a better mask of the same size.

A refiner's keyword-only parameters are its options and become the command's flags. An empty mask stays empty.
To add a refiner: a function here and a row in `REFINERS`.
"""

from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from figureground.errors import UnknownOption
from figureground.masks.components import ConnectedComponents, Flags, Shape
from figureground.masks.guided_filter import guided_filter
from figureground.masks.tiles import tiles
from figureground.types import Mask, Rgb

Floats = NDArray[np.floating]

FAINT = 0.1  # what is no more than this counts as background where parts are told apart, and 1 − this as foreground
PINHOLE = 0.001  # share of the subject's area up to which a hole is a fault; the gap between arm and body is larger
RIM = 0.01  # share of the longer side: how far around a part its faint rim reaches
FLAT = 0.02  # where a mask varies by no more than this there is no edge to finish

KeepLargest = Annotated[bool, "Keep only the largest connected part of the foreground."]
MinPart = Annotated[float, "Parts with a smaller share of the largest part's area are removed; 0 to 1."]
EdgeRadius = Annotated[float, "How far the guided filter looks, as a share of the picture's longer side; up to 0.1."]


def none(rgb: Rgb, mask: Mask) -> Mask:
    """Return the mask unchanged."""
    return mask


def clean(rgb: Rgb, mask: Mask, *, min_part: MinPart = 0.05, keep_largest: KeepLargest = False) -> Mask:
    """Remove islands and fill pinholes; everything else stays unchanged, soft edges and true holes included.

    Islands are the 8-connected parts of mask > 0.1 whose area (the sum of their mask) is less than `min_part` of the largest
    part's. They become 0, with the fainter rim around them. Pinholes are the 4-connected parts of mask < 0.9 that do not
    touch the picture's border and have at most a thousandth as many pixels as the parts that stay. They become 1.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    mask : (H, W) float32 in [0, 1]
    min_part : float
        Share of the largest part's area below which a part is removed, in [0, 1].
    keep_largest : bool
        Remove every part but the largest.

    Returns
    -------
    (H, W) float32 in [0, 1]

    Raises
    ------
    UnknownOption
        If `min_part` is not from 0 to 1.

    Examples
    --------
    >>> mask = np.zeros((60, 60), np.float32)
    >>> mask[5:55, 5:55] = 1
    >>> mask[20, 20], mask[1, 1] = 0, 1
    >>> cleaned = clean(np.zeros((60, 60, 3), np.uint8), mask)
    >>> float(cleaned[20, 20]), float(cleaned[1, 1])
    (1.0, 0.0)
    """
    if not 0 <= min_part <= 1:
        raise UnknownOption(f"min_part must be from 0 to 1, but got {min_part:g}")
    result, pixels = _without_islands(mask, 1.0 if keep_largest else min_part)
    return _without_pinholes(result, PINHOLE * pixels, in_place=result is not mask)


def guided(rgb: Rgb, mask: Mask, *, edge_radius: EdgeRadius = 0.0125) -> Mask:
    """Move the mask's edge to the picture's edges with the guided filter, at full resolution.

    Within each window the mask becomes the linear function of the color that fits it best. The filter works tile by tile,
    with margins of two radii, so that memory does not grow with the picture and the tiles do not show. Where the mask is flat
    in all of a tile, it stays as it is.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    mask : (H, W) float32 in [0, 1]
    edge_radius : float
        The filter's radius as a share of the longer side, above 0 and at most 0.1.

    Returns
    -------
    (H, W) float32 in [0, 1]

    Raises
    ------
    UnknownOption
        If `edge_radius` is out of range.

    References
    ----------
    He, Sun and Tang, "Guided Image Filtering" (TPAMI 2013).
    """
    if not 0 < edge_radius <= 0.1:
        raise UnknownOption(f"edge_radius must be above 0 and at most 0.1, but got {edge_radius:g}")
    radius = max(1, round(edge_radius * max(mask.shape)))
    result = mask.copy()
    for tile, window, inner in tiles(mask.shape, 2 * radius):
        if np.ptp(mask[window]) > FLAT:
            result[tile] = guided_filter(rgb[window], mask[window], radius)[inner]
    return result


def clean_guided(
    rgb: Rgb, mask: Mask, *, min_part: MinPart = 0.05, keep_largest: KeepLargest = False, edge_radius: EdgeRadius = 0.0125
) -> Mask:
    """Apply `clean`, then `guided`; with the parameters, result and errors of both."""
    return guided(rgb, clean(rgb, mask, min_part=min_part, keep_largest=keep_largest), edge_radius=edge_radius)


def detail(rgb: Rgb, mask: Mask, *, min_part: MinPart = 0.05, keep_largest: KeepLargest = False) -> Mask:
    """Apply `clean`, then find the edge in the picture's own pixels with the detail network, as `detail.refine_edges` does.

    Parameters, result and errors are those of `clean`.
    """
    from figureground.masks.detail import refine_edges

    return refine_edges(rgb, clean(rgb, mask, min_part=min_part, keep_largest=keep_largest))


def matting(rgb: Rgb, mask: Mask, *, min_part: MinPart = 0.05, keep_largest: KeepLargest = False) -> Mask:
    """Apply `detail`, then closed-form matting along the edge, as `matting.refine_by_matting` does.

    Parameters, result and errors are those of `clean`; raises MissingExtra too, if pymatting is not installed.
    """
    from figureground.masks.matting import refine_by_matting

    return refine_by_matting(rgb, clean(rgb, mask, min_part=min_part, keep_largest=keep_largest))


def auto(rgb: Rgb, mask: Mask, *, min_part: MinPart = 0.05, keep_largest: KeepLargest = False) -> Mask:
    """Apply the refiner of the base install with the lowest measured error: `detail`.

    Parameters, result and errors are those of `clean`.
    """
    return detail(rgb, mask, min_part=min_part, keep_largest=keep_largest)


REFINERS: Mapping[str, Callable[..., Mask]] = {
    "auto": auto,
    "none": none,
    "clean": clean,
    "guided": guided,
    "clean+guided": clean_guided,
    "detail": detail,
    "matting": matting,
}


def _without_islands(mask: Mask, min_part: float) -> tuple[Mask, int]:
    """Return the mask without its islands and the rims around them, and how many pixels the other parts have."""
    parts = ConnectedComponents(mask, 8, lambda values: values > FAINT)
    small = _islands(mask, parts, min_part)
    pixels = int(parts.areas[~small].sum())
    if not small.any():
        return mask, pixels
    result, radius = mask.copy(), max(1, round(RIM * max(mask.shape)))
    for tile, window, inner in tiles(mask.shape, radius, parts.boxes[small]):
        islands = parts.render(small, window)
        rim = _grown(islands, radius) & ~_grown(parts.render(~small, window), radius)
        result[tile][(islands | rim)[inner]] = 0
    return result, pixels


def _islands(mask: Mask, parts: ConnectedComponents, min_part: float) -> Flags:
    """Return which parts are islands, by the sum of their mask."""
    most = parts.areas.max(initial=0)
    small: Flags = parts.areas < min_part * FAINT * most  # whatever their mask: that of the largest part is above FAINT
    if np.count_nonzero(~small) > 1:
        sums = parts.sums(mask)
        small = sums < min_part * sums.max()
    return small


def _without_pinholes(mask: Mask, limit: float, in_place: bool) -> Mask:
    """Fill every hole of at most `limit` pixels, in a copy or in place."""
    parts = ConnectedComponents(mask, 4, lambda values: values < 1 - FAINT)
    left, top, right, bottom = parts.boxes.T
    small = (left > 0) & (top > 0) & (right < mask.shape[1]) & (bottom < mask.shape[0]) & (parts.areas <= limit)
    if not small.any():
        return mask
    result = mask if in_place else mask.copy()
    for tile, _, _ in tiles(mask.shape, 0, parts.boxes[small]):
        result[tile][parts.render(small, tile)] = 1
    return result


def _grown(shape: Shape, radius: int) -> Shape:
    """Grow the shape by `radius` pixels."""
    import cv2

    grown = cv2.dilate(shape.view(np.uint8), np.ones((2 * radius + 1, 2 * radius + 1), np.uint8))
    return np.asarray(grown, np.uint8).view(np.bool_)
