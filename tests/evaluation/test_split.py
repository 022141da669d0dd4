import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from figureground.errors import BadData, UsageError
from figureground.evaluation.dataset import LabeledImage, labeled_images
from figureground.evaluation.split import BITS, lines, near_duplicates, perceptual_hash, split


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def scene(seed):
    """A picture of soft blobs, (90, 120, 3) uint8."""
    rough = np.random.default_rng(seed).integers(0, 255, (8, 10, 3), np.uint8)
    return cv2.resize(rough, (120, 90), interpolation=cv2.INTER_CUBIC)


def pair(name, rgb, source="set"):
    mask = png(np.zeros(rgb.shape[:2], np.uint8))
    return LabeledImage(f"{source}/{name}", lambda: png(rgb), lambda: mask, source, name)


def changed(rgb, how):
    if how == "smaller":
        return cv2.resize(rgb, (72, 54), interpolation=cv2.INTER_AREA)
    if how == "darker":
        return (rgb * 0.7).astype(np.uint8)
    if how == "compressed":
        return cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    return np.ascontiguousarray(rgb[:, ::-1])


@pytest.mark.parametrize("how", ["smaller", "darker", "compressed", "mirrored"])
def test_a_changed_copy_is_a_near_duplicate_and_another_picture_is_not(how):
    several = [scene(0), scene(1), changed(scene(0), how), scene(2)]
    hashes = np.array([perceptual_hash(rgb) for rgb in several])
    mirrored = np.array([perceptual_hash(np.ascontiguousarray(rgb[:, ::-1])) for rgb in several])
    assert hashes.shape == (4, BITS)
    assert near_duplicates(hashes, mirrored) == [[0, 2], [1], [3]]


def test_a_chain_of_likenesses_is_one_group():
    bits = np.zeros((3, BITS), bool)
    bits[1, :30] = True
    bits[2, :60] = True
    assert near_duplicates(bits, ~bits, alike=30) == [[0, 1, 2]]
    assert near_duplicates(bits, ~bits, alike=29) == [[0], [1], [2]]


def many(count):
    data = [pair(f"p{i:02}", scene(i)) for i in range(count)]
    return [*data, *(pair(f"copy{i:02}", changed(scene(i), "smaller")) for i in range(0, count, 3))]


def test_every_picture_is_in_one_part_and_copies_stay_together():
    data = many(30)
    made = split(data, val=0.2, test=0.1)
    names = {part: {p.key for p in chosen} for part, chosen in made.parts.items()}
    assert [len(names[part]) for part in ("train", "val", "test")] == [28, 8, 4]
    assert set.union(*names.values()) == {p.key for p in data}
    for i in range(0, 30, 3):
        assert sum({f"p{i:02}", f"copy{i:02}"} <= part for part in names.values()) == 1
    assert ("set/p03", "set/copy03") in made.groups


def test_the_lists_depend_on_data_and_seed_alone():
    data = many(20)
    names = [[sorted(p.name for p in part) for part in split(order, seed=1).parts.values()] for order in (data, data[::-1])]
    assert names[0] == names[1]
    other = split(data, seed=2)
    assert [sorted(p.name for p in part) for part in other.parts.values()] != names[0]


@settings(deadline=None, max_examples=40)
@given(count=st.integers(1, 12), val=st.floats(0, 0.5), test=st.floats(0, 0.49))
def test_shares_are_met_from_below(count, val, test):
    data = [pair(f"p{i}", scene(i % 12)) for i in range(count)]
    parts = split(data, val, test).parts
    assert sum(map(len, parts.values())) == count
    assert len(parts["val"]) <= round(val * count)
    assert len(parts["test"]) <= round(test * count)


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (-0.1, 0.2), (0, 1), (1.2, 0)])
def test_shares_that_leave_nothing_are_refused(val, test):
    with pytest.raises(UsageError, match="shares of which the sum is below 1"):
        split(many(3), val, test)


def test_nothing_to_split():
    with pytest.raises(BadData, match="nothing to split"):
        split([])


def test_lists_are_read_again_as_data(tmp_path):
    for i in range(6):
        for folder, image in (("images", scene(i)), ("masks", np.zeros((90, 120), np.uint8))):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / folder / f"p {i}.png").write_bytes(png(image))
    made = split(labeled_images([tmp_path / "set"]), val=0.2, test=0.2)
    out = tmp_path / "lists"
    out.mkdir()
    for part, chosen in made.parts.items():
        (out / f"{part}.txt").write_text(lines(chosen, out), "utf-8")
    again = labeled_images([out / "train.txt", out / "val.txt"])
    assert [p.key for p in again] == [p.key for p in (*made.parts["train"], *made.parts["val"])]
    assert again[0].read()[0].shape == (90, 120, 3)


def test_a_name_that_no_list_can_hold(tmp_path):
    with pytest.raises(UsageError, match="a tab or a line break"):
        lines([pair("a\tb", scene(0))], tmp_path)
