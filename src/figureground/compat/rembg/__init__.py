"""rembg's Python interface, as of version 2.0.86: change `from rembg import …` to `from figureground.compat.rembg import …`.

`remove` takes what rembg takes and returns what it returns: bytes give bytes, a PIL image a PIL image, an array an array.
`python -m figureground.compat.rembg i|p|s|b|d` is its command. To accept another keyword: a row in `compose.KEYWORDS`.
"""

from figureground.compat.rembg.compose import remove
from figureground.compat.rembg.session import RembgSession, new_session

__all__ = ["RembgSession", "new_session", "remove"]
