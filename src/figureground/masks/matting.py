"""The mask's edge by closed-form matting, with the library pymatting (extra `matting`).

Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image Matting" (TPAMI 2008).
"""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import MissingExtra
from figureground.masks.detail import Answers, in_windows, refine_edges
from figureground.masks.recent import Recent
from figureground.types import Mask, Rgb

UNKNOWN = (0.02, 0.98)
"""Between these the alpha is found anew, and near it."""
AROUND = 2
"""Pixels around those."""
TRUST = 1e-3
"""Weight of the detail network's alpha beside the matting Laplacian; without it, colors alone decide between them."""
TOLERANCE = 1e-4
"""Of the solver, relative to the right-hand side."""


def refine_by_matting(rgb: Rgb, mask: Mask) -> Mask:
    """Return the mask with the edge that closed-form matting finds near the detail network's edge.

    Parameters and result are those of `detail.refine_edges`; raises MissingExtra if pymatting is not installed.
    """
    library = pymatting()
    return in_windows(rgb, refine_edges(rgb, mask), lambda colors, alpha: _solved(library, colors, alpha), _answers(rgb))


_answers: Recent[Answers] = Recent(lambda rgb: Answers())


def pymatting() -> Any:
    """Return the library. Its first import on a machine compiles for half a minute; raises MissingExtra."""
    try:
        library, solver = import_module("pymatting"), import_module("pymatting.preconditioner.ichol")
    except ImportError as error:
        raise MissingExtra("closed-form matting (pymatting)", "matting") from error
    vars(solver)["print"] = lambda *_: None  # it warns of slowness on standard output, where pictures may go
    return library


def _solved(library: Any, rgb: Rgb, alpha: Mask) -> Mask:
    """Solve (L + TRUST) x = TRUST · alpha for the unknown pixels of a window; all others keep their alpha."""
    import cv2

    low, high = UNKNOWN
    doubt = np.asarray(cv2.inRange(alpha, low, high), np.uint8)
    unknown = cv2.dilate(doubt, np.ones((2 * AROUND + 1, 2 * AROUND + 1), np.uint8)).ravel() > 0
    if not unknown.any() or min(alpha.shape) < 3:
        return alpha
    known = ~unknown
    laplacian = library.cf_laplacian(rgb / 255.0, is_known=known.reshape(alpha.shape))[unknown]
    given: NDArray[np.float64] = alpha.ravel().astype(np.float64)
    matrix = laplacian[:, unknown]
    matrix.setdiag(matrix.diagonal() + TRUST)
    matrix = matrix.tocsc()
    right = TRUST * given[unknown] - laplacian[:, known] @ given[known]
    result = given.copy()
    result[unknown] = library.cg(matrix, right, x0=given[unknown], M=library.jacobi(matrix), rtol=TOLERANCE)
    return np.asarray(np.clip(result, 0, 1), np.float32).reshape(alpha.shape)
