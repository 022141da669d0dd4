"""The guided filter: He, Sun and Tang, "Guided Image Filtering" (TPAMI 2013), with a color picture as the guide."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from figureground.types import Mask, Rgb

Floats = NDArray[np.floating]

EPSILON = np.float32(1e-4)  # regularization, for colors in [0, 1]: contrast below √ε = 0.01 is no edge


def guided_filter(rgb: Rgb, mask: Mask, radius: int) -> Floats:
    """Filter one window.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
        The guide.
    mask : (h, w) float32 in [0, 1]
    radius : int
        In pixels.

    Returns
    -------
    (h, w) float32
        Each pixel's color under the mean of the linear functions of all windows that hold the pixel; clipped to [0, 1].

    References
    ----------
    He, Sun and Tang, "Guided Image Filtering" (TPAMI 2013).
    """
    planes = _planes(rgb)
    *slopes, filtered = _means(planes, mask, radius)
    for slope, plane in zip(slopes, planes, strict=True):
        filtered += slope * plane
    return np.clip(filtered, 0, 1, out=filtered)


def linear_coefficients(rgb: Rgb, mask: Mask, radius: int) -> list[Floats]:
    """Return the mean linear function of each pixel's windows.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    mask : (h, w) float32 in [0, 1]
    radius : int
        In pixels.

    Returns
    -------
    list of four (h, w) float32
        The slopes of red, green and blue, and the offset, for colors in [−0.5, 0.5]: value / 255 − 0.5.

    References
    ----------
    He and Sun, "Fast Guided Filter" (2015).
    """
    return _means(_planes(rgb), mask, radius)


def _means(planes: list[Floats], mask: Mask, radius: int) -> list[Floats]:
    import cv2

    def mean(plane: Floats) -> Floats:
        box = cv2.blur(plane, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)
        return np.asarray(box, np.float32)

    slopes, offset = _fit(planes, mask, mean)
    return [mean(each) for each in (*slopes, offset)]


def _planes(rgb: Rgb) -> list[Floats]:
    """Return red, green and blue around 0, which keeps the rounding of variances small."""
    import cv2

    return [plane.astype(np.float32) * np.float32(1 / 255) - np.float32(0.5) for plane in cv2.split(rgb)]


def _fit(planes: list[Floats], mask: Mask, mean: Callable[[Floats], Floats]) -> tuple[list[Floats], Floats]:
    """Return slopes and offset of the linear function of the three colors that fits the mask best in each window.

    The 3 × 3 covariance of the colors, with ε on its diagonal, is taken apart as L D Lᵀ, which keeps its accuracy where
    the colors vary together, as in gray pictures.
    """
    red, green, blue = planes
    r, g, b, m = (mean(plane) for plane in (*planes, mask))
    d0 = mean(red * red) - r * r + EPSILON
    rg, rb = mean(red * green) - r * g, mean(red * blue) - r * b
    l10, l20 = rg / d0, rb / d0
    d1 = mean(green * green) - g * g + EPSILON - l10 * rg
    gb = mean(green * blue) - g * b - l20 * rg
    l21 = gb / d1
    d2 = mean(blue * blue) - b * b + EPSILON - l20 * rb - l21 * gb
    y0 = mean(red * mask) - r * m
    y1 = mean(green * mask) - g * m - l10 * y0
    y2 = mean(blue * mask) - b * m - l20 * y0 - l21 * y1
    in_blue = y2 / d2
    in_green = y1 / d1 - l21 * in_blue
    in_red = y0 / d0 - l10 * in_green - l20 * in_blue
    return [in_red, in_green, in_blue], m - in_red * r - in_green * g - in_blue * b
