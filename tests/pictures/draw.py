"""Draws masks and label maps of the photographs beside it, by hand: polygons in pixels, later ones over earlier ones.

python tests/pictures/draw.py writes masks/NAME.png (255 = subject) and labels/NAME.png (index of the ADE20K class); a test
holds them to this script. To add a photograph: the file, a row in SOURCES.md, an entry in `SCENES`.
"""

import csv
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

HERE = Path(__file__).parent
Points = list[tuple[int, int]]


def ellipse(x: int, y: int, across: int, down: int) -> Points:
    """The outline of an ellipse around (x, y) with these half axes."""
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    return [(round(x + across * np.cos(a)), round(y + down * np.sin(a))) for a in angles]


# photograph: what covers it all, then (class, whether it is the subject, outline)
SCENES: dict[str, tuple[str, list[tuple[str, bool, Points]]]] = {
    "astronaut": (
        "wall",
        [
            ("flag", False, [(0, 0), (50, 0), (63, 85), (75, 150), (95, 205), (60, 260), (38, 330), (20, 400), (30, 512), (0, 512)]),
            ("table", False, [(368, 278), (385, 273), (512, 273), (512, 512), (368, 512)]),
            ("airplane", False, [(397, 42), (403, 8), (415, 0), (428, 5), (435, 45), (446, 42), (456, 70), (456, 240), (459, 265),
                                 (470, 278), (370, 278), (368, 255), (355, 215), (378, 185), (380, 45), (390, 42)]),
            ("person", True, [(153, 75), (165, 45), (195, 25), (230, 15), (265, 25), (290, 45), (301, 80), (300, 110), (280, 128),
                              (271, 135), (265, 150), (255, 175), (280, 190), (298, 220), (304, 242), (330, 258), (345, 280),
                              (358, 310), (362, 352), (330, 362), (305, 385), (285, 420), (278, 460), (279, 512), (25, 512),
                              (22, 450), (20, 405), (25, 335), (38, 290), (60, 245), (110, 208), (117, 190), (130, 165),
                              (150, 152), (185, 148), (182, 125), (170, 112), (155, 95)]),
            ("apparel", True, [(362, 352), (400, 343), (435, 348), (465, 370), (487, 410), (496, 455), (505, 470), (500, 512),
                               (279, 512), (278, 460), (285, 420), (305, 385), (330, 362)]),
        ],
    ),
    "chelsea": (
        "wall",
        [
            ("animal", True, [(40, 0), (33, 50), (36, 100), (40, 118), (20, 126), (0, 130), (0, 300), (297, 300), (303, 275),
                              (308, 240), (328, 207), (345, 185), (358, 152), (362, 130), (358, 98), (352, 76), (362, 58),
                              (385, 18), (397, 0)]),
        ],
    ),
    "coffee": (
        "table",
        [
            ("floor", False, [(0, 0), (127, 0), (0, 91)]),
            ("plate", True, ellipse(237, 190, 172, 141)),
            ("glass", True, [(149, 85), (153, 150), (165, 190), (186, 200), (170, 225), (167, 255), (190, 262), (205, 235),
                             (250, 243), (300, 215), (325, 180), (345, 130), (350, 85)]),
            ("glass", True, ellipse(249, 96, 101, 81)),
            ("glass", True, [(338, 80), (345, 62), (355, 57), (362, 65), (350, 105), (325, 190), (345, 220), (345, 250),
                             (320, 276), (290, 270), (277, 240), (300, 205)]),
        ],
    ),
    "rocket": (
        "sky",
        [
            ("tower", False, [(43, 0), (72, 0), (62, 300), (55, 342), (0, 342)]),
            ("tower", False, [(451, 0), (483, 0), (512, 140), (512, 342), (465, 342)]),
            ("tower", False, [(158, 98), (162, 98), (163, 342), (133, 342), (153, 155)]),
            ("tower", False, [(355, 98), (358, 98), (380, 342), (353, 342)]),
            ("airplane", True, [(247, 135), (249, 112), (253, 104), (258, 102), (264, 105), (267, 115), (268, 326), (248, 326)]),
            ("building", False, [(214, 326), (298, 326), (300, 342), (214, 342)]),
        ],
    ),
}  # fmt: skip


def classes() -> dict[str, int]:
    """The index of each ADE20K class by the first of its names."""
    text = files("figureground").joinpath("assets/ade20k.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["name"].split(",")[0].strip(): int(row["index"]) for row in rows}


def draw(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The mask, (H, W) uint8 of 0 and 255, and the label map, (H, W) uint8, of a photograph."""
    with Image.open(HERE / f"{name}.jpg") as image:
        width, height = image.size
    index = classes()
    ground, shapes = SCENES[name]
    mask, labels = np.zeros((height, width), np.uint8), np.full((height, width), index[ground], np.uint8)
    for label, subject, points in shapes:
        outline = [np.array(points, np.int32)]
        cv2.fillPoly(labels, outline, index[label])
        cv2.fillPoly(mask, outline, 255 if subject else 0)
    return mask, labels


def main() -> None:
    """Write the masks and label maps of all photographs."""
    for folder in ("masks", "labels"):
        (HERE / folder).mkdir(exist_ok=True)
    for name in SCENES:
        mask, labels = draw(name)
        Image.fromarray(mask).save(HERE / "masks" / f"{name}.png", optimize=True)
        Image.fromarray(labels).save(HERE / "labels" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
