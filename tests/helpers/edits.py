"""A sound value for every option of `EditOptions`, and what each of them needs beside it."""

GOOD = {
    "threshold": 0.4, "invert": True, "grow": "2", "shrink": "1%", "feather": "3", "crop": True, "crop_to": "head",
    "crop_threshold": 0.3, "margin": "5%", "square": True, "canvas": "40x30", "scale": "70%", "align": "bottom",
    "background": "blur:3", "background_fit": "tile", "keep_colors": True, "fill": True, "shadow": "drop", "shadow_blur": "4",
    "shadow_offset": "2,-3%", "shadow_opacity": 0.3, "outline": "2:red",
}  # fmt: skip
NEEDS = {
    "crop_to": {"crop": True}, "crop_threshold": {"crop": True}, "margin": {"crop": True}, "align": {"square": True},
    "background_fit": {"background": "a.png"}, "shadow_blur": {"shadow": "drop"}, "shadow_offset": {"shadow": "drop"},
    "shadow_opacity": {"shadow": "drop"},
}  # fmt: skip


def pair(one, other):
    """The fields of two options, with what each of them needs."""
    return {**NEEDS.get(one, {}), **NEEDS.get(other, {}), one: GOOD[one], other: GOOD[other]}
