"""Animated pictures drawn for the tests: a bright square that moves over a dark ground, and a stand-in for the network."""

from io import BytesIO

import numpy as np
from PIL import Image

from figureground.io.picture import Picture
from figureground.methods import find
from figureground.separation import Separation
from figureground.settings import Settings
from figureground.types import SaliencyMap

GROUND, SUBJECT = (20, 40, 60), (230, 180, 60)


def square(step, shape=(48, 64), side=20, speed=4):
    """The mask, (H, W) float32, of a square that moves to the right."""
    mask = np.zeros(shape, np.float32)
    mask[14 : 14 + side, 6 + speed * step : 6 + side + speed * step] = 1
    return mask


def drawn(mask):
    """The picture that a mask is of, (H, W, 3) uint8."""
    return np.where(mask[..., None] > 0.5, np.uint8(SUBJECT), np.uint8(GROUND))


def animated(frames, kind="GIF", **options):
    """The bytes of an animation that Pillow writes."""
    first, *others = [Image.fromarray(frame) for frame in frames]
    buffer = BytesIO()
    more = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    first.save(buffer, kind, save_all=True, append_images=others, **more, **options)
    return buffer.getvalue()


def shown(data):
    """Each frame as Pillow shows it, (H, W, 4) uint8, and its milliseconds."""
    with Image.open(BytesIO(data)) as image:
        for number in range(image.n_frames):
            image.seek(number)
            yield np.asarray(image.convert("RGBA")), image.info.get("duration", 0)


class Bright:
    """Separates what is bright; of the frames whose numbers are in `lost` nothing."""

    def __init__(self, lost=(), settings=None):
        self.settings, self.method, self.lost, self.calls = settings or Settings(), find("subject"), lost, 0

    def __call__(self, source, prompt=None):
        picture = source if isinstance(source, Picture) else Picture.read(source)
        mask = (picture.rgb.max(2) > 120).astype(np.float32) * (self.calls not in self.lost)
        self.calls += 1
        return Separation(picture, mask, SaliencyMap(mask), self.method, {"network": 0.001})
