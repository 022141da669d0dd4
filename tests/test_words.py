import pytest

from figureground._words import count


@pytest.mark.parametrize(("number", "text"), [(0, "0 pictures"), (1, "1 picture"), (2, "2 pictures")])
def test_a_number_agrees_with_its_noun(number, text):
    assert count(number, "picture") == text


def test_a_plural_of_its_own():
    assert [count(number, "box", "boxes") for number in (1, 2)] == ["1 box", "2 boxes"]
