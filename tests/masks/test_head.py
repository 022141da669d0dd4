import numpy as np
from PIL import Image

from figureground.masks.head import head_box
from photographs import FOLDER


def test_a_persons_head_lies_above_the_neck():
    with Image.open(FOLDER / "masks" / "astronaut.png") as image:
        mask = (np.asarray(image.convert("L")) > 127).astype(np.float32)
    left, top, right, bottom = head_box(mask)
    assert 130 <= left <= 175 and 5 <= top <= 30 and 270 <= right <= 310 and 130 <= bottom <= 190


def test_the_largest_part_counts():
    mask = np.zeros((60, 60), np.float32)
    mask[20:32, 30:40], mask[32:36, 33:37], mask[36:60, 20:50] = 1, 1, 1
    mask[0:3, 0:3] = 1
    assert head_box(mask) == (30, 20, 40, 33)


def test_what_has_no_neck_has_no_head():
    y, x = np.mgrid[:60, :60]
    disk = (np.hypot(x - 30, y - 30) < 20).astype(np.float32)
    assert head_box(disk) is None
    assert head_box(np.zeros((9, 9), np.float32)) is None
    assert head_box(np.ones((9, 9), np.float32)) is None
