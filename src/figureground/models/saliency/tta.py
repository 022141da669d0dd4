"""Test-time augmentation: how often and at which sizes the network runs. To add a way, add a row to `TTA`.

S is the side of what the network is given, in pixels. Several answers are joined by fixed weights and never stretched by
their own least and greatest value: nothing stays nothing.
"""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.errors import UnknownName
from figureground.masks.propagation import logit, sigmoid
from figureground.types import Mask, Rgb

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(1, 3, S, S) float32 in [0, 1] → (1, 1, S, S) float32 in [0, 1]."""
Sides = tuple[int, ...]
"""The network's own S, and where its graph takes others too, a smaller one, a larger one, and one for details."""
Window = tuple[slice, slice]
"""Rows and columns of a picture."""

SIDES: Sides = (320, 256, 352, 512)  # of a graph that takes any: at 256² a large subject is whole, at 352² a thin one is there
DETAIL = 1 / 64  # of the side: the sigma of the Gaussian that parts details from the rest
LESS = np.float32(0.35)  # how much it counts that the large pass finds less
FINE = 3  # the place of the side for details
MOST = 4.0  # by how much details change log odds at most: what is certain stays
THRESHOLD_FIRST = 0.3  # what the first look gives at least this is the subject, for a second look
TAIL = 0.01  # of the subject's mass that may lie outside each side of its box: a stray spot does not widen it
MIN_PIXELS = 16  # pixels of the first answer that a subject has at least: fewer are noise
MARGIN = 0.2  # of the box's longer side, added on each side
WORTH = 0.75  # the second look is worth its time where its window is a smaller part of the picture than this
FADE = 0.15  # of a window's side, over which what was seen there fades out
TRUST = 0.5  # how much of the answer inside a window is the second look's
SURE = 13.8  # the log odds that an answer is believed at most: one in a million


def sides(shape: tuple[int, ...]) -> Sides:
    """Return the sizes for a graph whose input has this shape, (1, 3, S, S), −1 where it takes any."""
    return SIDES if shape[-1] < 0 else (shape[-1],)


def single(run: Run, sides: Sides, rgb: Rgb) -> Mask:
    """Run the network once on the whole picture."""
    return upsample(whole(run, sides[0], rgb), rgb.shape)


def two_scale_tta(run: Run, sides: Sides, rgb: Rgb) -> Mask:
    """Run the network on the picture in the smaller size and its mirror image in the larger; average the logits, add details.

    Different views instead of more passes: seen small a large subject is whole, seen large a thin part is there.
    """
    small, large = _small_and_large(sides)
    mirror = logit(_mirror(run, preprocess(rgb, large)), SURE)  # (L, L)
    plain = cv2.resize(logit(whole(run, small, rgb), SURE), (large, large), interpolation=cv2.INTER_LINEAR)
    joined = sigmoid((mirror + plain) * np.float32(0.5))
    return upsample(with_details(run, sides, rgb, joined, whole), rgb.shape)


def multiscale_zoom_tta(run: Run, sides: Sides, rgb: Rgb) -> Mask:
    """Run both in every size, add details, then run on a window around the subject if that is small in the picture."""
    first = flip_tta(run, sides[0], rgb)
    window = subject(first, rgb.shape)
    joined = with_details(run, sides, rgb, multiscale_tta(run, sides[1:3], rgb, first), flip_tta)
    return upsample(joined, rgb.shape) if window is None else zoom_tta(run, _small_and_large(sides)[1], rgb, joined, window)


TTA: Mapping[str, Callable[[Run, Sides, Rgb], Mask]] = {"fast": single, "balanced": two_scale_tta, "best": multiscale_zoom_tta}
"""(run, sides, picture (H, W, 3) uint8) → (H, W) float32 in [0, 1], by quality."""


def tta_for(quality: str) -> Callable[[Run, Sides, Rgb], Mask]:
    """Return the row of `TTA`; raises UnknownName."""
    if quality not in TTA:
        raise UnknownName("quality", quality, TTA)
    return TTA[quality]


def whole(run: Run, side: int, rgb: Rgb) -> Mask:
    """Run the network on the whole picture; (S, S)."""
    return _plain(run, preprocess(rgb, side))


def flip_tta(run: Run, side: int, rgb: Rgb) -> Mask:
    """Run the network on the whole picture and its mirror image, and average the logits; (S, S)."""
    x = preprocess(rgb, side)
    return sigmoid((logit(_plain(run, x), SURE) + logit(_mirror(run, x), SURE)) * np.float32(0.5))


def multiscale_tta(run: Run, sides: Sides, rgb: Rgb, first: Mask) -> Mask:
    """Return `first`, (S, S), averaged in logits with the network's answers to the picture in other sizes; (S, S)."""
    total = logit(first, SURE)
    for side in sides:
        how = cv2.INTER_AREA if side > len(first) else cv2.INTER_LINEAR
        total += cv2.resize(logit(flip_tta(run, side, rgb), SURE), first.shape, interpolation=how)
    return sigmoid(total / np.float32(1 + len(sides)))


def with_details(run: Run, sides: Sides, rgb: Rgb, joined: Mask, look: Callable[[Run, int, Rgb], Mask]) -> Mask:
    """Return an answer, (S, S), with the details that `look` gives at the last of four sides, (F, F).

    The coarse parts of the logits stay those of `joined`, and what is finer is the large pass's: two bands of a Laplacian
    pyramid (Burt and Adelson, "A Multiresolution Spline", 1983). Where the large pass finds less in the coarse parts too, a
    share of that counts: it sees gaps and holes. Where there is no fourth side, the answer stays as it is.
    """
    if len(sides) <= FINE:
        return joined
    side = sides[FINE]
    coarse = cv2.resize(logit(joined, SURE), (side, side), interpolation=cv2.INTER_LINEAR)
    change = logit(look(run, side, rgb), SURE) - coarse
    low = cv2.GaussianBlur(change, (0, 0), side * DETAIL)
    return sigmoid(coarse + np.clip(change - low, -MOST, MOST) + LESS * np.minimum(low, 0))


def subject(answer: Mask, shape: tuple[int, ...]) -> Window | None:
    """Return a window of the picture, `shape` (H, W, …), around what the answer (S, S) shows, as square as the picture allows.

    None where too little was found, or where the window would be nearly the whole picture.
    """
    mass = np.where(answer >= THRESHOLD_FIRST, answer, 0)
    if np.count_nonzero(mass) < MIN_PIXELS:
        return None
    rows, columns = (_extent(mass.sum(1 - axis, np.float64)) * shape[axis] for axis in (0, 1))
    wanted = max(np.ptp(rows), np.ptp(columns)) * (1 + 2 * MARGIN)
    window = _stretched(rows, wanted, shape[0]), _stretched(columns, wanted, shape[1])
    area = (window[0].stop - window[0].start) * (window[1].stop - window[1].start)
    return window if area < WORTH * shape[0] * shape[1] else None


def zoom_tta(run: Run, side: int, rgb: Rgb, first: Mask, window: Window) -> Mask:
    """Return the first answer (S, S) enlarged to the picture, averaged inside the window with a second look at it; (H, W)."""
    part = rgb[window]
    full, second = upsample(first, rgb.shape), upsample(flip_tta(run, side, part), part.shape)
    place = full[window]
    rows, columns = (np.arange(span.start, span.stop, dtype=np.float32) + 0.5 for span in window)
    second -= place  # in place: pictures may be huge
    second *= TRUST * _weight(rows, window[0], rgb.shape[0])[:, None]
    second *= _weight(columns, window[1], rgb.shape[1])
    place += second
    return full


def _small_and_large(sides: Sides) -> tuple[int, int]:
    """Return the smaller and the larger of the sides; both are the only one of a graph that takes no other."""
    return (sides[1], sides[2]) if len(sides) > 1 else (sides[0], sides[0])


def preprocess(rgb: Rgb, side: int) -> NDArray[np.float32]:
    """Return the network's input for a picture, (H, W, 3) uint8: (1, 3, S, S) float32 in [0, 1]."""
    height, width = rgb.shape[:2]
    # in two steps: OpenCV's area mode must not enlarge, as it would one side of a thin picture, lopsidedly
    shrunk = cv2.resize(rgb, (min(width, side), min(height, side)), interpolation=cv2.INTER_AREA)
    small = cv2.resize(shrunk, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def _plain(run: Run, x: NDArray[np.float32]) -> Mask:
    answer: Mask = run(x)[0, 0]
    return answer


def _mirror(run: Run, x: NDArray[np.float32]) -> Mask:
    answer: Mask = run(np.ascontiguousarray(x[..., ::-1]))[0, 0, :, ::-1]
    return answer


def upsample(answer: Mask, shape: tuple[int, ...]) -> Mask:
    """Enlarge (S, S) to (H, W), `shape` being (H, W, …)."""
    full: Mask = np.asarray(cv2.resize(answer, shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    return np.clip(full, 0, 1, out=full)


def _extent(mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return from where to where the mass lies, (2,) as shares of the side, except for `TAIL` of it at each end."""
    skip = TAIL * mass.sum()
    low, high = (int(np.searchsorted(np.cumsum(way), skip)) for way in (mass, mass[::-1]))
    return np.array([low, len(mass) - high]) / len(mass)


def _stretched(span: NDArray[np.float64], wanted: float, length: int) -> slice:
    """Return `wanted` pixels around the middle of `span`, moved and cut to lie within 0 … length."""
    wanted = min(wanted, length)
    start = min(max(span.mean() - wanted / 2, 0.0), length - wanted)
    return slice(int(start), min(length, int(np.ceil(start + wanted))))


def _weight(places: NDArray[np.float32], window: slice, length: int) -> NDArray[np.float32]:
    """Return weights at `places`, in pixels along a side: 1 within the window, falling smoothly to 0 at its ends, 0 outside.

    An end of the window that is the picture's own, at 0 or `length`, does not fade.
    """
    fade = FADE * (window.stop - window.start)
    start = (places - window.start) / fade if window.start > 0 else np.ones_like(places)
    end = (window.stop - places) / fade if window.stop < length else np.ones_like(places)
    near = np.clip(np.minimum(start, end), 0, 1)
    smooth: NDArray[np.float32] = (near * near * (3 - 2 * near)).astype(np.float32, copy=False)
    return smooth
