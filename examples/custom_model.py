"""Use a model of your own with the rules, refiners and views: python custom_model.py PHOTO OUT.png.

A model is a function from (H, W, 3) uint8 sRGB to a map of the same H and W. The one here takes the picture's
border for background and everything of another color for the subject, which suits products on a plain ground.
"""

import sys

import cv2
import numpy as np

from figureground import Method, Picture, Separation
from figureground.masks.refine import REFINERS
from figureground.masks.rules import RULES
from figureground.types import Rgb, SaliencyMap

BORDER = 0.03  # of the shorter side
DISTANCE = 12.0  # in CIELAB units: as likely foreground as background


def border_model(rgb: Rgb) -> SaliencyMap:
    """Return how far each pixel's color is from the colors of the border, as a probability."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    width = max(1, round(BORDER * min(rgb.shape[:2])))
    edges = [lab[:width], lab[-width:], lab[:, :width], lab[:, -width:]]
    background = np.median(np.concatenate([edge.reshape(-1, 3) for edge in edges]), axis=0)
    distance = np.linalg.norm(lab - background, axis=2)
    return SaliencyMap((1 / (1 + np.exp((DISTANCE - distance) / 3))).astype(np.float32))


def main(photo: str, target: str) -> None:
    """Write the cut-out by the model above, the rule `salient` and the refiner `clean`."""
    picture = Picture.read(photo)
    saliency = border_model(picture.rgb)
    mask = REFINERS["clean"](picture.rgb, RULES["salient"](saliency))
    Separation(picture, mask, saliency, Method("saliency", "salient", "clean"), license="none").save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
