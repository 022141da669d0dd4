"""What stands near: synthetic rooms with floor, walls, sky and noise, whose truth is known pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.masks.ground_plane import Plane, before, floor, foreground_from_depth, widest_gap
from figureground.masks.rules import nearest
from figureground.types import DepthMap
from scenes import deserted, photographed

HEIGHT, WIDTH = 240, 320


class Room:
    """Nearness of a scene that is built up from its back to its front."""

    def __init__(self, seed, *, ground=True, roll=None, slope=None):
        self.random = np.random.default_rng(seed)
        row, column = np.mgrid[:HEIGHT, :WIDTH]
        self.x, self.y = (column + 0.5) / WIDTH - 0.5, (row + 0.5) / HEIGHT - 0.5
        self.wall = self.random.uniform(0.05, 0.25)
        self.slope = self.random.uniform(1.2, 2.2) if slope is None else slope
        self.tilt = np.tan(np.radians(self.random.uniform(-12, 12) if roll is None else roll))
        self.plane = (
            1 - self.slope * (0.5 - self.y) + self.slope * self.tilt * self.x if ground else np.full((HEIGHT, WIDTH), -9.0)
        )
        self.ground = ground
        self.nearness = np.maximum(self.wall, self.plane)
        self.truth = np.zeros((HEIGHT, WIDTH), bool)

    def put(self, shape, nearness, *, counts=True):
        """Something upright: the same nearness all over, hidden by the floor below its feet."""
        shape = shape & (nearness >= self.plane) & (nearness >= self.nearness)
        self.nearness = np.where(shape, nearness, self.nearness)
        self.truth = self.truth | shape if counts else self.truth & ~shape

    def sky(self):
        rows = (self.y < self.random.uniform(-0.4, -0.2)) & (self.nearness <= self.wall)
        self.nearness = np.where(rows, 0.0, self.nearness)

    def figure(self, nearness):
        """A post or an ellipse that stands on the floor where that is as near; without a floor, anywhere."""
        random = self.random
        x, wide, tall = random.uniform(-0.35, 0.35), random.uniform(0.1, 0.25), random.uniform(0.35, 0.6)
        feet = 0.5 - (1 + self.slope * self.tilt * x - nearness) / self.slope if self.ground else random.uniform(0.3, 0.7)
        if random.random() < 0.5:
            shape = ((self.x - x) / (wide / 2)) ** 2 + ((self.y - feet + tall / 2) / (tall / 2)) ** 2 <= 1
        else:
            shape = (np.abs(self.x - x) < wide / 2) & (self.y <= feet) & (self.y > feet - tall)
        self.put(shape, nearness)

    def seen(self, noise):
        """As a network may give it: with noise, of any scale and shift."""
        scale, shift = 10 ** self.random.uniform(-2, 3), self.random.uniform(-50, 50)
        noisy = self.nearness + self.random.normal(0, 1, self.nearness.shape) * noise
        return (noisy * scale + shift).astype(np.float32)


def furnished(seed, **options):
    """A room with one to three figures of about one depth, and by chance sky, something near the wall, and noise."""
    room = Room(seed, **options)
    if room.random.random() < 0.5:
        room.sky()
    if room.random.random() < 0.5:
        x = room.random.uniform(-0.4, 0.3)
        low = room.wall + room.random.uniform(0.02, 0.08)
        room.put((room.x > x) & (room.x < x + 0.12) & (room.y > -0.25), low, counts=False)
    base = room.random.uniform(0.55, 0.85)
    for _ in range(room.random.integers(1, 4)):
        room.figure(base + room.random.uniform(-0.05, 0.05))
    return room.seen(room.random.uniform(0, 0.015)), room.truth


def overlap(found, truth):
    return np.count_nonzero(found & truth) / np.count_nonzero(found | truth)


@pytest.mark.parametrize("seed", range(40))
def test_figures_on_a_floor(seed):
    nearness, truth = furnished(seed)
    assert overlap(foreground_from_depth(nearness), truth) >= 0.9


def test_sixty_scenes_as_a_camera_sees_them():
    """Cameras of many heights, pitches and angles; one to three subjects of many sizes; walls, soft edges, grain."""
    overlaps = []
    for seed in range(60):
        nearness, truth = photographed(seed)
        overlaps.append(overlap(nearest(DepthMap(nearness)) > 0, truth))
    assert np.mean(overlaps) >= 0.95
    assert np.mean(np.array(overlaps) >= 0.9) >= 0.95, sorted(overlaps)[:6]


@pytest.mark.parametrize("seed", range(20))
def test_a_deserted_room_is_nothing(seed):
    assert not foreground_from_depth(deserted(seed)).any()


@pytest.mark.parametrize("roll", [-25, -15, 15, 25])
@pytest.mark.parametrize("seed", range(4))
def test_figures_on_a_floor_seen_by_a_tilted_camera(seed, roll):
    nearness, truth = furnished(seed, roll=roll)
    assert overlap(foreground_from_depth(nearness), truth) >= 0.9


@pytest.mark.parametrize("seed", range(12))
def test_figures_without_a_floor(seed):
    nearness, truth = furnished(seed, ground=False)
    assert overlap(foreground_from_depth(nearness), truth) >= 0.97


@pytest.mark.parametrize("noise", [0, 0.005, 0.015])
@pytest.mark.parametrize("seed", range(5))
def test_a_floor_alone_or_before_a_wall_is_nothing(seed, noise):
    assert not foreground_from_depth(Room(seed).seen(noise)).any()
    assert not foreground_from_depth(Room(seed, slope=0.9).seen(noise)).any()
    alone = Room(seed)
    alone.nearness = alone.plane
    assert not foreground_from_depth(alone.seen(noise)).any()


@pytest.mark.parametrize("noise", [0, 0.001, 0.1])
@pytest.mark.parametrize("seed", range(5))
def test_a_flat_scene_is_nothing_however_its_noise_is_stretched(seed, noise):
    assert not foreground_from_depth(Room(seed, ground=False).seen(noise)).any()


def test_heavy_tails_are_no_foreground():
    random = np.random.default_rng(0)
    assert not foreground_from_depth(random.laplace(0, 1, (200, 300)).astype(np.float32)).any()
    assert not foreground_from_depth(random.uniform(0, 1, (200, 300)).astype(np.float32)).any()


def test_a_slanted_wall_is_nothing():
    assert not foreground_from_depth(np.tile(np.linspace(0, 1, 320, dtype=np.float32), (240, 1))).any()


def test_a_portrait_is_not_taken_for_a_floor():
    """A person from the chest up fills the lower half and is a little nearer further down."""
    room = Room(0, ground=False)
    chest = (np.abs(room.x) < 0.3) & (room.y > 0)
    head = (room.x / 0.13) ** 2 + ((room.y + 0.12) / 0.2) ** 2 <= 1
    room.put(chest | head, 0.8)
    room.nearness = np.where(room.truth, 0.75 + 0.1 * room.y, room.nearness)
    seen = room.seen(0.005)
    assert floor(seen) is None
    assert overlap(foreground_from_depth(seen), room.truth) >= 0.97


def test_something_small_before_wall_and_sky():
    room = Room(3, ground=False)
    room.wall, room.nearness = 0.2, np.where(room.y < 0, 0.0, 0.2)
    room.put((np.abs(room.x) < 0.06) & (np.abs(room.y) < 0.1), 0.7)  # a fortieth of the picture
    assert overlap(foreground_from_depth(room.seen(0.005)), room.truth) >= 0.97


@given(st.integers(0, 500), st.floats(0.001, 1000), st.floats(-100, 100))
@settings(max_examples=25, deadline=None)
def test_scale_and_shift_change_nothing(seed, scale, shift):
    nearness, _ = furnished(seed)
    nearness = (nearness - nearness.min()) / np.ptp(nearness)
    one, other = foreground_from_depth(nearness), foreground_from_depth((nearness * scale + shift * scale).astype(np.float32))
    assert np.count_nonzero(one != other) <= 0.002 * one.size  # what float32 rounds
    by_hand, again = (
        foreground_from_depth(nearness, 0.5),
        foreground_from_depth((nearness * scale + shift * scale).astype(np.float32), 0.5),
    )
    assert np.count_nonzero(by_hand != again) <= 0.002 * one.size


def test_the_fitted_floor_is_the_drawn_one():
    room = Room(1, roll=8, slope=1.5)
    plane = floor(room.nearness.astype(np.float32))
    assert plane.b == pytest.approx(1.5 / 2, rel=0.02)  # half a picture is one unit
    assert plane.a == pytest.approx(1.5 * room.tilt / 2, rel=0.05)
    assert plane.c == pytest.approx(1 - 1.5 / 2, abs=0.02)


def test_above_and_at_a_plane():
    plane = Plane(0, 0.5, 1, 0.1)
    nearness = np.array([[0.75, 0.9, 0.6], [1.25, 1.4, 1.1]], np.float32)  # the plane is 0.75 in the upper row, 1.25 below
    assert plane.at(nearness).tolist() == [[True, False, False], [True, False, False]]
    assert plane.above(nearness).tolist() == [[False, True, False], [False, True, False]]


def test_a_cut_by_hand_lies_between_the_farthest_and_the_nearest():
    steps = np.repeat(np.arange(10, dtype=np.float32), 40)[None].repeat(100, 0)  # nearness 0 to 9 from left to right
    for near, first in ((0.0, 0), (0.4, 160), (0.999, 360), (1.0, 360)):
        found = foreground_from_depth(steps, near)
        assert found[0].argmax() == first
        assert found[0, first:].all()
    assert not foreground_from_depth(np.full((9, 9), 3, np.float32), 0.5).any()


def test_a_cut_by_hand_leaves_the_floor_out():
    room = Room(2)
    room.figure(0.7)
    assert overlap(foreground_from_depth(room.seen(0.003), 0.5), room.truth) >= 0.9


def test_specks_are_left_out():
    nearness = np.zeros((200, 200), np.float32)
    nearness[50:150, 50:150] = 1
    nearness[10:12, 10:12] = 1
    assert np.count_nonzero(foreground_from_depth(nearness)) == 100 * 100


def test_gaps():
    far, close = np.zeros(5000, np.float32), np.full(5000, 9, np.float32)
    assert widest_gap(np.concatenate([far, close]), 10_000) == pytest.approx(4.5, abs=0.2)
    assert widest_gap(np.concatenate([far, close[:40]]), 10_000) is None  # less than a two-hundredth
    assert widest_gap(np.concatenate([far, close]), 10_000, narrow=9.5) is None
    assert widest_gap(far, 10_000) is None
    assert widest_gap(close[:3], 10_000) is None
    near_gap = np.concatenate([far, np.full(3000, 2, np.float32), np.full(100, 9, np.float32)])
    assert 2 < widest_gap(near_gap, len(near_gap)) < 9


def test_who_stands_on_a_floor_that_fills_the_picture():
    """Seen from above there is nothing but the floor behind somebody, and so no gap between depths that are not floor's."""
    room = Room(4)
    room.nearness = room.plane = 0.5 + room.y
    room.figure(0.8)
    assert overlap(foreground_from_depth(room.seen(0.005)), room.truth) >= 0.9


def test_before_a_floors_far_end():
    ground = np.linspace(0, 10, 1000, dtype=np.float32)
    assert before(np.full(500, 6, np.float32), ground, 2000) == pytest.approx(3.1, abs=0.1)
    assert before(np.linspace(0, 6, 500, dtype=np.float32), ground, 2000) is None  # a wall along the floor
    assert before(np.full(500, 0.1, np.float32), ground, 2000) is None  # a wall at its end
    assert before(np.full(9, 6, np.float32), ground, 2000) is None  # specks
    assert before(np.full(500, 6, np.float32), ground[:0], 2000) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 3), (2, 700)])
def test_pictures_of_any_form(shape):
    random = np.random.default_rng(0)
    assert foreground_from_depth(random.random(shape).astype(np.float32)).shape == shape
    assert foreground_from_depth(random.random(shape).astype(np.float32), 0.5).shape == shape


def test_large_maps_give_what_small_ones_give():
    nearness, truth = furnished(7)
    large = nearness.repeat(5, 0).repeat(5, 1)
    assert overlap(foreground_from_depth(large), truth.repeat(5, 0).repeat(5, 1)) >= 0.9
