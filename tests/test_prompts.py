import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.errors import UsageError
from figureground.prompts import Coordinate, Prompt, box, point


def test_a_point_is_in_pixels_or_per_cent():
    assert point("320,240") == (Coordinate(320), Coordinate(240))
    assert point(" 50% , 12.5% ") == (Coordinate(50, True), Coordinate(12.5, True))
    assert point("10,50%") == (Coordinate(10), Coordinate(50, True))


@pytest.mark.parametrize("text", ["", "320", "1,2,3", "a,b", "1;2", "1,2%%", "nan,1", "inf,1", "1e3,2", "1,,2"])
def test_what_is_no_point_is_refused(text):
    with pytest.raises(UsageError, match=r"a point is x,y in pixels or per cent, .* but got '.*'"):
        point(text)


@pytest.mark.parametrize("text", ["1,2", "1,2,3", "1,2,3,x", "1,2,3,4,5"])
def test_what_is_no_box_is_refused(text):
    with pytest.raises(UsageError, match="a box is left,top,right,bottom"):
        box(text)


def test_places_are_in_the_pictures_pixels():
    prompt = Prompt(points=(point("50%,25%"), point("3,4")), not_points=(point("0,0"),), box=box("10%,10,90%,90"))
    places = prompt.places(200, 100)
    assert places.points == ((100, 25), (3, 4))
    assert places.not_points == ((0, 0),)
    assert places.box == (20, 10, 180, 90)


def test_without_a_box_there_is_none():
    assert Prompt(points=(point("1,1"),)).places(10, 10).box is None


@given(width=st.integers(1, 5000), height=st.integers(1, 5000), x=st.floats(0, 100), y=st.floats(0, 100))
def test_every_share_of_a_picture_is_a_pixel_of_it(width, height, x, y):
    prompt = Prompt(points=((Coordinate(x, True), Coordinate(y, True)),))
    ((across, down),) = prompt.places(width, height).points
    assert 0 <= int(across) < width
    assert 0 <= int(down) < height


@pytest.mark.parametrize("text", ["-1,5", "5,-1", "11,5", "5,21", "101%,5", "5,100.1%"])
def test_a_point_outside_the_picture_is_refused(text):
    for prompt in (Prompt(points=(point(text),)), Prompt(not_points=(point(text),))):
        with pytest.raises(UsageError, match="lies outside the picture, which is 10 × 20 pixels"):
            prompt.places(10, 20)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("5,5,5,9", "is empty"),
        ("5,9,8,5", "is empty"),
        ("-1,0,5,5", "reaches out of the picture"),
        ("0,0,11,5", "reaches out of the picture"),
        ("0,0,5,101%", "reaches out of the picture"),
    ],
)
def test_a_box_outside_the_picture_or_inside_out_is_refused(text, why):
    with pytest.raises(UsageError, match=why):
        Prompt(box=box(text)).places(10, 20)


def test_a_prompt_says_what_kinds_it_holds():
    assert Prompt().kinds == frozenset()
    assert Prompt(text=("a dog",)).kinds == {"text"}
    assert Prompt(without=("a chair",)).kinds == {"text"}
    assert Prompt(not_points=(point("1,1"),)).kinds == {"places"}
    assert Prompt(text=("a",), box=box("0,0,1,1")).kinds == {"text", "places"}


NUMBERS = st.one_of(
    st.integers(2, 5000),
    st.floats(2, 5000),
    st.integers(2, 5000).map(np.int64),
    st.floats(2, 5000, width=32).map(np.float32),
    st.integers(2, 5000).map(lambda value: f"{value}"),
)


@given(x=NUMBERS, y=NUMBERS, as_pair=st.sampled_from([tuple, list, np.asarray]))
def test_points_of_any_numbers_are_those_of_the_command_line(x, y, as_pair):
    wanted = (Coordinate(float(x)), Coordinate(float(y)))
    pair = as_pair([float(x), float(y)]) if as_pair is np.asarray else as_pair([x, y])
    assert Prompt(points=[pair]) == Prompt(points=(wanted,))
    assert Prompt(not_points=[pair]).not_points == (wanted,)
    assert Prompt(box=[x, y, x, y]).box == wanted * 2


def test_a_prompt_of_arrays_lists_and_shares():
    prompt = Prompt("the dog", ["a chair"], np.array([[30, 40], [5, 6]]), ["10%,20"], ("10%", 10, np.float32(90.5), "100%"))
    assert prompt.text == ("the dog",) and prompt.without == ("a chair",)
    places = prompt.places(200, 100)
    assert places.points == ((30, 40), (5, 6))
    assert places.not_points == ((20, 20),)
    assert places.box == (20, 10, 90.5, 100)
    assert pickle.loads(pickle.dumps(prompt)) == prompt == replace(prompt) and hash(prompt) == hash(replace(prompt))


@pytest.mark.parametrize(
    "points",
    [
        *((50, 50), "50", 3, None, [(1, 2, 3)], [(1,)], [(True, 5)], [(np.True_, 5)], [("a", 5)], [None], [("1", "2", "3")]),
        *([(math.nan, 5)], [(5, math.inf)], [(10**400, 5)], [(np.zeros(2), 5)], np.ones(2), [(1 + 2j, 5)]),
        *([(Coordinate(math.nan), Coordinate(1))], [{}]),
    ],
    ids=repr,
)
def test_what_are_no_points_is_refused(points):
    for name in ("points", "not_points"):
        with pytest.raises(UsageError, match=r"points are \(x, y\) pairs in pixels or per cent, .* but got ") as error:
            Prompt(**{name: points})
        assert "\n" not in str(error.value) and len(str(error.value)) < 180


@pytest.mark.parametrize(
    "corners", [5, (1, 2, 3), (1, 2, 3, 4, 5), "1,2,3", (1, 2, 3, "x"), [(1, 2), (3, 4)], (1, 2, 3, math.nan)]
)
def test_what_is_no_box_of_numbers_is_refused(corners):
    with pytest.raises(UsageError, match=r"a box is \(left, top, right, bottom\) in pixels or per cent, .* but got "):
        Prompt(box=corners)


@pytest.mark.parametrize("phrase", [3, [3], None, [b"dog"]])
def test_what_is_no_phrase_is_refused(phrase):
    for name in ("text", "without"):
        with pytest.raises(UsageError, match=r"a phrase is text, .* but got "):
            Prompt(**{name: phrase})


@pytest.mark.parametrize(
    ("prompt", "hint"),
    [
        ({"points": [(0.5, 0.4)]}, "50%, 40%"),
        ({"not_points": [(1, 0.25)]}, "100%, 25%"),
        ({"points": (point("0.5,0.4"),)}, "50%, 40%"),
        ({"box": (0.1, 0, 0.9, 1)}, "10%, 0%, 90%, 100%"),
    ],
)
def test_shares_without_a_per_cent_sign_are_refused_with_a_hint(prompt, hint):
    with pytest.raises(UsageError, match=f"for shares of the sides, write {hint}"):
        Prompt(**prompt)


def test_the_first_pixels_are_no_shares():
    prompt = Prompt(points=[(0, 0), (1, 1), (0.5, 20)], box=(0, 0, 1, 1))
    assert prompt.places(100, 100).points == ((0, 0), (1, 1), (0.5, 20))


def test_a_negative_coordinate_lies_outside():
    with pytest.raises(UsageError, match="lies outside the picture"):
        Prompt(not_points=[(-1, 5)]).places(10, 10)
