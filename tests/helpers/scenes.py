"""Scenes as a camera sees them: a floor, by chance walls, and subjects that stand on it, with the nearness of each pixel.

Everything is in metres: the camera stands at a height, looks down by a pitch and leans by a roll, and what it sees lies on
rays through a pinhole, so that nothing here knows how a floor is found. To add something to a scene: a method of `Scene`.
"""

import cv2
import numpy as np

HEIGHT, WIDTH = 240, 320


class Scene:
    """What each ray meets first: its distance along the camera's axis, and whether that is a subject."""

    def __init__(self, random, height, pitch, roll, view):
        """The camera's height in metres, and in degrees how far it looks down, leans, and sees from left to right."""
        self.random, self.height = random, height
        v, u = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
        scale = 2 * np.tan(np.radians(view / 2)) / WIDTH
        u, v = (u + 0.5 - WIDTH / 2) * scale, (v + 0.5 - HEIGHT / 2) * scale
        lean, down = np.radians(roll), np.radians(pitch)
        u, v = u * np.cos(lean) - v * np.sin(lean), u * np.sin(lean) + v * np.cos(lean)
        self.x, self.y, self.z = u, -v * np.cos(down) - np.sin(down), np.cos(down) - v * np.sin(down)
        self.distance = np.full((HEIGHT, WIDTH), np.inf)
        self.subject = np.zeros((HEIGHT, WIDTH), bool)
        self.put(np.where(self.y < 0, -height / np.minimum(self.y, -1e-9), np.inf))

    def put(self, distance, *, subject=False):
        """Whatever lies at that distance, where nothing is before it."""
        nearer = (distance > 0) & (distance < self.distance)
        self.distance = np.where(nearer, distance, self.distance)
        self.subject = np.where(nearer, subject, self.subject)

    def wall(self, away):
        """A wall across, so far in front of the camera."""
        self.put(np.where(self.z > 0, away / np.maximum(self.z, 1e-9), np.inf))

    def side_wall(self, away):
        """A wall along, so far to the right, or to the left where that is less than nothing."""
        ahead = self.x * away > 0
        self.put(np.where(ahead, away / np.where(ahead, self.x, 1), np.inf))

    def stand(self, right, away, wide, tall, *, round_shape, subject=True):
        """Something upright on the floor, so far to the right and away: an ellipse or a block with a rounded front."""
        plane = away / np.maximum(self.z, 1e-9)
        across, up = (plane * self.x - right) / (wide / 2), (self.height + plane * self.y) / tall
        block = (np.abs(across) <= 1) & (up >= 0) & (up <= 1)
        inside = across**2 + (2 * up - 1) ** 2 <= 1 if round_shape else block
        bulge = 0.3 * wide * np.sqrt(np.clip(1 - across**2, 0, 1))
        self.put(np.where(inside & (self.z > 0), plane - bulge, np.inf), subject=subject)

    def seen(self, noise, blur):
        """Nearness as a network may give it: soft, with grain, of any scale and shift, (H, W) float32."""
        near = cv2.GaussianBlur(1 / self.distance, (0, 0), blur) if blur else 1 / self.distance
        near = (near - near.min()) / np.ptp(near) + self.random.normal(0, 1, near.shape) * noise
        return (near * 10 ** self.random.uniform(-2, 3) + self.random.uniform(-50, 50)).astype(np.float32)


def photographed(seed):
    """A scene of that number: nearness (H, W) float32, and which pixels are a subject, (H, W) bool.

    One to three subjects at about one distance, from a vase to a person or a small car, that fill at least a fiftieth of the
    picture; walls, if any, stand at least 2.5 times as far away as they do.
    """
    random = np.random.default_rng(seed)
    while True:
        scene = _drawn(random, random.integers(1, 4))
        if 0.02 <= scene.subject.mean() <= 0.6:
            return scene.seen(random.uniform(0, 0.01), random.choice([0, 0.8, 1.5])), scene.subject


def deserted(seed):
    """The nearness, (H, W) float32, of a floor and at least one wall, and nobody there."""
    random = np.random.default_rng(seed)
    scene = _drawn(random, 0)
    scene.wall(random.uniform(5, 15))
    return scene.seen(random.uniform(0, 0.01), random.choice([0, 0.8, 1.5]))


def _drawn(random, subjects):
    size = random.uniform(0.3, 2)  # the subject's height
    away = size * random.uniform(1.3, 3)
    height = size * random.uniform(0.4, 1.4)
    aim = np.degrees(np.arctan2(height - size / 2, away))  # at the middle of the subject, more or less
    scene = Scene(random, height, aim + random.uniform(-4, 8), random.uniform(-8, 8), random.uniform(45, 75))
    if random.random() < 0.7:
        scene.wall(away * random.uniform(2.5, 8))
    if random.random() < 0.3:
        scene.side_wall(away * random.choice([-1, 1]) * random.uniform(1.2, 2))
    if subjects and random.random() < 0.3:  # somebody far behind
        scene.stand(away * random.uniform(-1, 1), away * random.uniform(3, 5), size / 2, size, round_shape=True, subject=False)
    for _ in range(subjects):
        tall, wide = size * random.uniform(0.7, 1), size * random.uniform(0.25, 0.8)
        right = away * random.uniform(-0.35, 0.35)
        scene.stand(right, away * random.uniform(0.92, 1.08), wide, tall, round_shape=random.random() < 0.5)
    return scene
