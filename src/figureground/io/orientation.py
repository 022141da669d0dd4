"""Read the EXIF orientation, and lay out the rows and columns of an upright picture as its file does."""

from typing import Any

from numpy.typing import NDArray
from PIL import Image


def exif_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if there is none, or an invalid one."""
    try:
        value = image.getexif().get(274, 1)
    except Exception:  # whatever is wrong with the EXIF data, the picture can be seen
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def as_stored(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a view of upright `pixels` with the rows and columns of a file of that EXIF orientation."""
    view: NDArray[Any] = pixels.swapaxes(0, 1) if orientation > 4 else pixels
    rows = slice(None, None, -1 if orientation in (3, 4, 6, 7) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 7, 8) else 1)
    return view[rows, columns]
