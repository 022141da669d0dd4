from dataclasses import fields
from itertools import combinations
from typing import get_args, get_type_hints

import pytest

from edits import GOOD, pair
from figureground.compositing.options import PRESETS, EditOptions, with_preset
from figureground.errors import UnknownName, UsageError


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_sound_and_can_be_changed(name):
    options = with_preset(name, {"background": "beige", "threshold": None})
    options.validate()
    assert options.background == "beige"
    assert options.crop


def test_unknown_presets_are_refused():
    with pytest.raises(UnknownName, match="did you mean 'shop'"):
        with_preset("shopp", {})


@pytest.mark.parametrize("field", fields(EditOptions), ids=lambda field: field.name)
def test_every_option_says_what_it_does(field):
    about = get_args(get_type_hints(EditOptions, include_extras=True)[field.name])[1]
    assert about.endswith(".") and about[0].isupper()


REFUSED = {
    "grow": {"grow": "2", "shrink": "2"},
    "margin": {"margin": "5%"},
    "scale": {"crop": True, "margin": "5%", "scale": "80%"},
    "square": {"square": True, "canvas": "20x20"},
    "align": {"align": "bottom", "crop": True},
    "crop-threshold": {"crop_threshold": 0.2},
    "crop-to": {"crop_to": "head"},
    "background-fit": {"background_fit": "tile", "background": "white"},
    "shadow-blur": {"shadow_blur": "3", "shadow": "keep"},
    "shadow-offset": {"shadow_offset": "3,3"},
    "shadow-opacity": {"shadow_opacity": 0.5},
    "shadow keep": {"shadow": "keep", "background": "original"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_senseless_pairs_are_refused_in_one_line(name):
    with pytest.raises(UsageError) as error:
        EditOptions(**REFUSED[name]).validate()
    assert f"--{name}" in str(error.value)
    assert "\n" not in str(error.value)


VALUES = {
    "threshold": 2.0, "grow": "x", "shrink": "-1", "feather": "5 m", "crop_threshold": 0.0, "margin": "a", "canvas": "3",
    "scale": "0", "align": "here", "background": "nosuchcolor", "shadow_blur": "", "shadow_offset": "3", "shadow_opacity": 1.5,
    "outline": "8:nosuchcolor",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(VALUES) - {"canvas"}))
def test_values_that_mean_nothing_are_refused(name):
    with pytest.raises(UsageError):
        EditOptions(**{name: VALUES[name]}).validate()


def test_every_option_is_among_the_pairs():
    assert set(GOOD) == {field.name for field in fields(EditOptions)}


@pytest.mark.parametrize(("one", "other"), list(combinations(GOOD, 2)))
def test_every_pair_is_taken_or_refused_in_one_line(one, other):
    message = ""
    try:
        EditOptions(**pair(one, other)).validate()
    except UsageError as error:
        message = str(error)
    assert not message or f"--{one.replace('_', '-')}" in message or f"--{other.replace('_', '-')}" in message
