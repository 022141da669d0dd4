"""Separate one picture as the first version did: python main.py IMAGE_OR_URL False|True.

False: foreground is every thing, background all stuff (sky, wall, floor …). True: foreground is the most common thing alone.
Writes <stem>.foreground.png and <stem>.background.png to the current folder, prints the most common thing, and shows both
where there is a display. FIGUREGROUND_WEIGHTS names another SegFormer checkpoint: a hub id or a folder.
"""

import os
import sys
from pathlib import Path

from PIL import Image

from figureground import FigureGroundError, Method, Separation, Separator
from figureground.errors import OutputExists, UsageError
from figureground.io.encode import encode
from figureground.io.files import write
from figureground.io.picture import stem


def separate(source: str, common: bool) -> Separation:
    """Separate the picture by the rule `most-common` or `stuff`, its mask as the labels have it."""
    weights = os.environ.get("FIGUREGROUND_WEIGHTS")
    method = Method("segformer", "most-common" if common else "stuff", options={"weights": weights} if weights else {})
    return Separator(method)(source)


def main_label(done: Separation) -> str:
    """Return the name of the most common thing in the picture."""
    things = [row["name"] for row in done.info()["labels"] if not row["stuff"]]
    return things[0] if things else "nothing but background"


def main(words: list[str]) -> int:
    """Do what the command line asks for; returns the exit code."""
    try:
        if len(words) != 2 or words[1] not in ("False", "True"):
            raise UsageError(f"wanted: python main.py IMAGE_OR_URL False|True, but got {' '.join(words) or 'nothing'}")
        paths = {view: Path(f"{stem(words[0])}.{view}.png") for view in ("foreground", "background")}
        for path in paths.values():
            if path.exists():
                raise OutputExists(f"'{path}' exists; move it away, or work in another folder")
        done = separate(words[0], words[1] == "True")
        print(main_label(done))
        for view, path in paths.items():
            image = done.view(view)
            write(encode(image, ".png"), path)
            print(path)
            if sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
                Image.fromarray(image).show(title=str(path))
    except FigureGroundError as error:
        print(f"figureground: {error.code}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
