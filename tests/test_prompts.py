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
