"""Masks steadied in time: flicker falls, what moves keeps its place, and nothing crosses a cut."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animations import drawn, square
from figureground.masks.steady import RADIUS, steady

Y, X = np.mgrid[:72, :96].astype(np.float32)


def disk(radius):
    return np.clip((radius - np.hypot(X - 48, Y - 36)) / 4 + 0.5, 0, 1).astype(np.float32)


def steadied(frames, masks):
    return list(steady(zip(frames, masks, strict=True)))


def flicker(masks):
    """The mean change of a pixel from frame to frame."""
    return float(np.mean([np.abs(one - other).mean() for one, other in pairwise(masks)]))


def far(masks, truth):
    return float(np.mean([np.abs(mask - truth).mean() for mask in masks]))


def test_flicker_of_a_scene_that_stands_still_falls_to_a_third_and_the_masks_come_nearer_to_the_truth():
    random = np.random.default_rng(1)
    truth = disk(24)
    colors = truth[..., None] * (200, 150, 90) + (1 - truth[..., None]) * (30, 60, 40)
    frames = [np.clip(colors + random.normal(0, 5, colors.shape), 0, 255).astype(np.uint8) for _ in range(20)]
    masks = [disk(24 + random.normal(0, 1.5)) for _ in frames]
    result = steadied(frames, masks)
    assert flicker(result) < flicker(masks) / 3
    assert far(result, truth) < 0.8 * far(masks, truth)


@pytest.mark.parametrize("lost", [2, 5])
def test_a_subject_that_is_lost_in_one_frame_is_found_there(lost):
    frame, mask = drawn(square(0)), square(0)
    masks = [mask if number != lost else np.zeros_like(mask) for number in range(9)]
    for result in steadied([frame] * 9, masks):
        assert np.array_equal(result, mask)


@pytest.mark.parametrize("speed", [1, 2, 5])
def test_a_moving_square_is_not_smeared(speed):
    masks = [cv2.GaussianBlur(square(step, (48, 80), speed=speed), (0, 0), 1.0) for step in range(8)]
    frames = [
        np.rint(mask[..., None] * (230, 180, 60) + (1 - mask[..., None]) * (20, 40, 60)).astype(np.uint8) for mask in masks
    ]
    for mask, result in zip(masks, steadied(frames, masks), strict=True):
        assert np.abs(result - mask).max() < 0.01


def test_nothing_is_taken_across_a_cut():
    dark, light = np.full((40, 40, 3), 30, np.uint8), np.full((40, 40, 3), 200, np.uint8)
    low, high = np.full((40, 40), 0.1, np.float32), np.full((40, 40), 0.9, np.float32)
    result = steadied([dark] * 5 + [light] * 5, [low] * 5 + [high] * 5)
    assert all(np.allclose(mask, low, atol=1e-6) for mask in result[:5])
    assert all(np.allclose(mask, high, atol=1e-6) for mask in result[5:])


def test_a_lasting_change_keeps_its_time_where_the_picture_shows_none():
    frame, before, after = np.full((16, 16, 3), 90, np.uint8), np.zeros((16, 16), np.float32), np.ones((16, 16), np.float32)
    result = steadied([frame] * 12, [before] * 6 + [after] * 6)
    assert [float(mask.mean()) for mask in result] == pytest.approx([0.0] * 6 + [1.0] * 6, abs=0.26)
    assert [float(mask.mean()) > 0.5 for mask in result] == [False] * 6 + [True] * 6


@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_masks_stay_between_those_around_them(count, seed):
    random = np.random.default_rng(seed)
    frames = [random.integers(0, 30, (6, 7, 3)).astype(np.uint8) for _ in range(count)]
    masks = [random.random((6, 7)).astype(np.float32) for _ in frames]
    result = steadied(frames, masks)
    assert len(result) == count
    for number, mask in enumerate(result):
        around = np.stack(masks[max(0, number - RADIUS) : number + RADIUS + 1])
        # a mask of less than 0.002 counts as 0.002
        assert (mask >= around.min(0) - 0.0021).all() and (mask <= around.max(0) + 0.0021).all()
    assert all(np.array_equal(one, other) for one, other in zip(steady(zip(frames, masks, strict=True), 0), masks, strict=True))


def test_no_more_frames_are_read_ahead_than_count():
    read = []

    def frames():
        for number in range(12):
            read.append(number)
            yield np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.float32)

    for number, _ in enumerate(steady(frames())):
        assert len(read) <= number + 1 + RADIUS
