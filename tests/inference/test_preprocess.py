"""What preprocessor_config.json says, read once for all networks; pixels are compared with transformers in tests/models."""

import numpy as np
import pytest

from figureground.errors import WeightsError
from figureground.inference.preprocess import Normalization, numbers, side, size_of

GIVEN = {"image_mean": [0.5, 0.4, 0.3], "image_std": 0.25}


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, Normalization(2, 1 / 255, (0.5, 0.4, 0.3), (0.25,) * 3)),
        ({"resample": 3, "rescale_factor": 0.5}, Normalization(3, 0.5, (0.5, 0.4, 0.3), (0.25,) * 3)),
        ({"rescale_factor": None}, Normalization(2, 1 / 255, (0.5, 0.4, 0.3), (0.25,) * 3)),
        ({"do_rescale": False, "rescale_factor": 0.5}, Normalization(2, 1.0, (0.5, 0.4, 0.3), (0.25,) * 3)),
        ({"do_normalize": False, "image_std": "none"}, Normalization(2, 1 / 255, (0.0,) * 3, (1.0,) * 3)),
    ],
)
def test_fields_and_their_defaults(change, wanted):
    assert Normalization.of(GIVEN | change) == wanted


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_mean": None}, "image_mean should be 3 numbers, but is None"),
        ({"image_mean": [0.5, 0.5]}, "image_mean should be 3 numbers"),
        ({"image_mean": [True, 0, 0]}, "image_mean should be 3 numbers"),
        ({"image_std": [1, float("inf"), 1]}, "image_std should be 3 numbers"),
        ({"image_std": [1, 0, 1]}, "is invalid"),
        ({"resample": 6}, "is invalid"),
        ({"rescale_factor": "1/255"}, "is invalid"),
    ],
)
def test_what_makes_no_sense_is_refused(change, words):
    with pytest.raises(WeightsError, match=words) as error:
        Normalization.of(GIVEN | change)
    assert error.value.code == "model_corrupt"
    assert str(error.value).startswith("the checkpoint's preprocessor_config.json cannot be used: ")
    assert str(error.value).endswith("; name another one with --weights")


def test_the_caller_decides_what_is_raised():
    with pytest.raises(KeyError, match="depths should be 4 numbers"):
        numbers([1, 2], "depths", 4, KeyError)


def test_a_pixel_is_scaled_and_normalized_and_padding_is_black():
    rgb = np.full((2, 2, 3), 255, np.uint8)
    x = Normalization.of(GIVEN).tensor(rgb, (2, 2), (2, 3))
    assert (x.shape, x.dtype, x.flags.c_contiguous) == ((1, 3, 2, 3), np.float32, True)
    for channel, mean in enumerate(GIVEN["image_mean"]):
        assert np.allclose(x[0, channel, :, :2], (1 - mean) / 0.25, atol=1e-6)
        assert np.allclose(x[0, channel, :, 2], -mean / 0.25, atol=1e-6)


def test_sizes_of_both_forms():
    assert size_of({"size": 7}, "height", "width") == {"height": 7, "width": 7}
    assert size_of({"size": {"height": 3}}, "height", "width") == {"height": 3}
    assert size_of({}, "shortest_edge") == {"shortest_edge": None}
    assert size_of({}, "height", default=352) == {"height": 352}


@pytest.mark.parametrize("length", [0, -1, 8193, 1.5, "7", True])
def test_sides_that_are_no_lengths_are_refused(length):
    with pytest.raises(WeightsError, match="height should be a whole number from 1 to 8192"):
        side({"height": length}, "height")
