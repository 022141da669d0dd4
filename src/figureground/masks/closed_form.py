"""Alpha matting in closed form: the alpha of pixels between foreground and background, from the colors around them.

Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image Matting" (TPAMI 2008), windows of 3 × 3. The matrix of the
linear system has 25 entries a row, for the unknown pixels alone. Conjugate gradients start from the solution at half the size.
"""

import numpy as np
from numpy.typing import NDArray

from figureground.types import Mask, Rgb

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]
EPSILON = 1e-7  # of the paper: how little a window's colors may vary; summed over a window
AREA = 9  # pixels of a window
TOLERANCE = 1e-5  # of the residual, relative to the right-hand side
ITERATIONS = 2000
SMALLEST = 48  # pixels of a side below which there is no half size


def closed_form_alpha(rgb: Rgb, trimap: NDArray[np.uint8]) -> Mask:
    """Return the alpha of a picture, (H, W) float32 in [0, 1].

    rgb : (H, W, 3) uint8. trimap : (H, W) uint8, 0 is background, 255 foreground, anything else is to be found.
    Raises ValueError where there is no background or no foreground.
    """
    known = (trimap == 0) | (trimap == 255)
    if not (trimap == 0).any() or not (trimap == 255).any():
        raise ValueError("a trimap has background (0) and foreground (255)")
    alpha = (trimap == 255).astype(np.float64)
    if not known.all():
        rows, columns = _box(~known)
        alpha[rows, columns] = _solve(rgb[rows, columns], alpha[rows, columns], known[rows, columns])
    return np.asarray(np.clip(alpha, 0, 1), np.float32)


def _box(unknown: Flags) -> tuple[slice, slice]:
    """Return the part of the picture that has all windows of the unknown pixels."""
    sides = (np.flatnonzero(unknown.any(axis)) for axis in (1, 0))
    first, second = (slice(max(0, int(side[0]) - 2), int(side[-1]) + 3) for side in sides)
    return first, second


def _solve(rgb: Rgb, alpha: Floats, known: Flags) -> Floats:
    """Return the alpha of a part of a picture; `alpha` is right where it is known."""
    import cv2

    height, width = known.shape
    guess = np.where(known, alpha, 0.5)
    if min(height, width) >= 2 * SMALLEST:
        size = (width // 2, height // 2)
        small_known = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999
        small_alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) > 0.5, np.float64)
        if not small_known.all():
            small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
            half = _solve(small, small_alpha, np.asarray(small_known))
            guess = np.where(known, alpha, cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR))
    neighbors, values = laplacian(rgb, known)
    unknown = np.flatnonzero(~known)
    guess.ravel()[unknown] = _conjugate_gradients(neighbors, values, guess.ravel(), unknown)
    return guess


def laplacian(rgb: Rgb, known: Flags) -> tuple[Indices, Floats]:
    """Return the rows of the matting Laplacian for the unknown pixels: which 25 pixels each row is about, and their values.

    rgb : (H, W, 3) uint8. known : (H, W) bool. Returns (n, 25) each; a pixel beyond the border is replaced and has value 0.
    """
    width = known.shape[1]
    places = _windows(known)
    offsets = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)])
    pixels = places[:, None] + (offsets @ [width, 1])[None]  # (windows, 9)
    colors = rgb.reshape(-1, 3)[pixels] / 255.0
    away = colors - colors.mean(1, keepdims=True)
    covariance = (away.transpose(0, 2, 1) @ away + EPSILON * np.eye(3)) / AREA
    products = np.eye(AREA) - (1 + away @ np.linalg.inv(covariance) @ away.transpose(0, 2, 1)) / AREA  # (windows, 9, 9)
    row_of = np.full(known.size, -1)
    unknown = np.flatnonzero(~known)
    row_of[unknown] = np.arange(unknown.size)
    values = np.zeros((unknown.size, 5, 5))
    for first, (y, x) in enumerate(offsets):
        rows = row_of[pixels[:, first]]
        held = rows >= 0
        for second, (other_y, other_x) in enumerate(offsets):  # each row comes once at most for a pair of places in a window
            values[rows[held], other_y - y + 2, other_x - x + 2] += products[held, first, second]
    shifts = np.arange(-2, 3)
    neighbors = unknown[:, None, None] + shifts[:, None] * width + shifts
    return np.clip(neighbors, 0, known.size - 1).reshape(-1, 25), values.reshape(-1, 25)


def _windows(known: Flags) -> Indices:
    """Return the centers, as flat indices, of the windows that lie in the picture and hold an unknown pixel."""
    import cv2

    held = cv2.dilate((~known).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    held[[0, -1]] = False
    held[:, [0, -1]] = False
    return np.flatnonzero(held)


def _conjugate_gradients(neighbors: Indices, values: Floats, alpha: Floats, unknown: Indices) -> Floats:
    """Return the unknown alphas for which the product with the Laplacian vanishes; all others in `alpha` are right."""
    buffer = np.zeros_like(alpha)

    def times(vector: Floats) -> Floats:
        buffer[unknown] = vector
        product: Floats = np.einsum("ij,ij->i", values, buffer[neighbors])
        return product

    fixed = alpha.copy()
    fixed[unknown] = 0
    target = -np.einsum("ij,ij->i", values, fixed[neighbors])
    limit = TOLERANCE * np.linalg.norm(target)
    x = alpha[unknown].copy()
    residual = target - times(x)
    diagonal = values[:, 12]
    scale = np.divide(1.0, diagonal, out=np.ones_like(diagonal), where=diagonal > 1e-12)
    z = scale * residual
    direction, product = z.copy(), float(residual @ z)
    for _ in range(ITERATIONS):
        if np.linalg.norm(residual) <= limit or product <= 0:
            break
        moved = times(direction)
        step = product / float(direction @ moved)
        x += step * direction
        residual -= step * moved
        z = scale * residual
        before, product = product, float(residual @ z)
        direction *= product / before
        direction += z
    return x
