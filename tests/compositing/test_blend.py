import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.compositing.blend import composite, paint

KINDS = st.sampled_from([np.uint8, np.uint16])


def reference(front, back):
    """Porter and Duff's `over`, pixel by pixel in float64: colors and alpha."""
    most = np.iinfo(front.dtype).max
    near = front[..., 3:] / most
    far = back[..., 3:] / most if back.shape[2] == 4 else np.ones_like(near)
    alpha = near + far * (1 - near)
    colors = (front[..., :3] * near + back[..., :3] * far * (1 - near)) / np.where(alpha > 0, alpha, 1)
    return colors, alpha * most


@given(st.integers(0, 999), st.sampled_from([3, 4]), KINDS)
@settings(deadline=None, max_examples=60)
def test_over_is_porter_and_duffs(seed, channels, kind):
    generator = np.random.default_rng(seed)
    most = np.iinfo(kind).max
    front = generator.integers(0, most, (5, 7, 4), kind, endpoint=True)
    back = generator.integers(0, most, (5, 7, channels), kind, endpoint=True)
    front[0, :3, 3], back[1, :3, -1] = (0, most, most // 2), 0
    result, (colors, alpha) = composite(front, back), reference(front, back)
    assert result.dtype == kind and result.shape == back.shape
    assert np.abs(result[..., :3] - colors)[alpha[..., 0] > 0].max() <= 1
    if channels == 4:
        assert np.abs(result[..., 3] - alpha[..., 0]).max() <= 1


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
def test_opaque_and_transparent_pixels_are_kept_to_the_bit(kind, channels):
    generator = np.random.default_rng(0)
    most = np.iinfo(kind).max
    front = generator.integers(0, most, (40, 50, 4), kind, endpoint=True)
    front[..., 3] = np.where(front[..., 0] % 2, most, 0)
    back = generator.integers(1, most, (40, 50, channels), kind, endpoint=True)
    result, opaque = composite(front, back), front[..., 3] == most
    assert np.array_equal(result[opaque][:, :3], front[opaque][:, :3])
    assert np.array_equal(result[~opaque], back[~opaque])


@pytest.mark.parametrize(("kind", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_paint(kind, white):
    back = np.zeros((1, 3, 3), kind)
    result = paint(np.array([[0, 0.5, 1]], np.float32), (255, 255, 255), back)
    assert result[0, :, 0].tolist() == [0, pytest.approx(white / 2, abs=1), white]
