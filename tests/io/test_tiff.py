import io

import cv2
import numpy as np
import pytest
from PIL import Image

from figureground.errors import UsageError
from figureground.io import tiff as module
from figureground.io.picture import Picture
from figureground.io.tiff import tiff


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (37, 53), (300, 1200)])
def test_every_value_comes_back(kind, channels, shape):
    image = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (*shape, channels), kind, endpoint=True)
    data = tiff([image])
    if kind == np.uint8:  # two independent readers; OpenCV premultiplies 8 bits, Pillow cuts 16 bits
        read = np.asarray(Image.open(io.BytesIO(data)))
        colors = read if channels > 1 else read[..., None]
    else:
        read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        colors = read[..., [2, 1, 0, 3][:channels]] if channels > 1 else read[..., None]
    assert read.dtype == kind and np.array_equal(colors, image)
    original = Picture.read(data).original
    assert np.array_equal(original, image if channels > 1 else image.repeat(3, 2))


def test_strips_do_not_show(monkeypatch):
    image = np.random.default_rng(0).integers(0, 65536, (50, 40, 3), np.uint16)
    whole = Picture.read(tiff([image])).original
    monkeypatch.setattr(module, "STRIP_BYTES", 1000)
    data = tiff([image])
    assert len(Image.open(io.BytesIO(data)).tag_v2[273]) > 10
    assert np.array_equal(Picture.read(data).original, whole)


def test_too_much_for_the_format_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(UsageError, match="4 GB"):
        tiff([np.random.default_rng(0).integers(0, 256, (50, 50), np.uint8)])
