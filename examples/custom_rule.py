"""Replace the rule that turns a map into a mask: python custom_rule.py PHOTO OUT.png.

The rule here keeps only the part of the foreground that contains the most salient pixel.
"""

import sys
from dataclasses import replace

import cv2
import numpy as np

from figureground import Separator
from figureground.types import Mask, SaliencyMap


def most_salient_part(saliency: SaliencyMap) -> Mask:
    """Return the saliency map, with zeros outside the part of its most salient pixel."""
    values = saliency.values
    _, parts = cv2.connectedComponents((values >= 0.5).astype(np.uint8))
    row, column = np.unravel_index(np.argmax(values), values.shape)
    part = (parts == parts[row, column]).astype(np.uint8)
    near = cv2.dilate(part, np.ones((5, 5), np.uint8))  # keeps the soft edge
    return np.where(near > 0, values, 0).astype(np.float32)


def main(photo: str, target: str) -> None:
    """Write the cut-out by the rule above."""
    done = Separator()(photo)
    replace(done, mask=most_salient_part(done.map)).save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
