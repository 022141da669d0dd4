"""What our HTML pages share: the frame with its style, and small pictures inside the page. Nothing else is loaded."""

import base64
from collections.abc import Sequence
from html import escape

import numpy as np

from figureground.types import Image8

SIDE = 200  # pixels of the long side of a picture shown

_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 1100px; margin: auto; padding: 24px; overflow-wrap: anywhere; }
h1 { font-size: 26px; }
h2 { font-size: 19px; margin-top: 36px; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 12px 3px 0; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th, td:first-child { white-space: normal; }
td:first-child { min-width: 8em; }
tr + tr td { border-top: 1px solid var(--line); }
small { opacity: 0.7; }
.wide { overflow-x: auto; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(256px, 1fr)); gap: 14px; }
svg { width: 100%; max-width: 400px; }
svg text { font-size: 13px; fill: currentColor; }
figure { margin: 0 0 20px; }
figcaption { font-size: 13px; }
.row { display: flex; flex-wrap: wrap; gap: 6px; align-items: flex-end; }
.row div { font-size: 12px; max-width: min(var(--side), calc(50% - 3px)); }
.row img { display: block; max-width: 100%; height: auto; background: #8883; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: 12px; }
.card .row > img { display: block; max-width: calc(50% - 3px); height: auto; }
.words td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.key { display: inline-block; width: 11px; height: 11px; margin-right: 6px; }
"""


def framed(title: str, sections: Sequence[str]) -> str:
    """Return a whole HTML page with these sections, in the style of all our pages."""
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    view = '<meta name="viewport" content="width=device-width,initial-scale=1">'
    return f"{head}{view}<style>:root {{ --side: {SIDE}px; }}{_STYLE}</style><main>{''.join(sections)}</main></html>\n"


def small_image(image: Image8) -> str:
    """Return an HTML image with a small copy of the picture, (H, W, 3) or (H, W), inside it."""
    import cv2

    from figureground.io.encode import EncodeOptions, encode

    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    data = base64.b64encode(encode(small.astype(np.uint8, copy=False), ".webp", EncodeOptions(quality=80))).decode()
    return f'<img width="{size[0]}" height="{size[1]}" loading="lazy" alt="" src="data:image/webp;base64,{data}">'
