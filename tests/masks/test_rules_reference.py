"""The rules against a plain reference, on label maps that hypothesis draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from figureground.masks.rules import most_common, most_common_hull, stuff
from figureground.types import LabelMap


def blobs(cells):
    return np.repeat(np.repeat(cells, 2, axis=0), 2, axis=1)


label_maps = st.builds(
    lambda labels, flags, large: LabelMap(blobs(labels) if large else labels, tuple("abcd"), tuple(flags)),
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.booleans(),
)
OPTIONS = [{}, {"count_stuff": True}, {"hull_fill": "everything"}, {"hull_fill": "everything", "count_stuff": True}]


def parts(pixels):
    """8-connected parts of a set of (row, column)."""
    left, found = set(pixels), []
    while left:
        part, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            part.add((y, x))
            near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            edge += near
        found.append(part)
    return found


def in_hull(point, part):
    """Whether no straight line through the point has the whole part strictly on one side."""
    away = [(y - point[0], x - point[1]) for y, x in part]
    if (0, 0) in away:
        return True
    for y, x in away:  # if the point is outside, a line through it and some pixel of the part has all others on one side
        side = [y * v - x * u for u, v in away]
        ahead = [y * u + x * v for u, v in away]
        if all(s > 0 or (s == 0 and a > 0) for s, a in zip(side, ahead, strict=True)):
            return False
    return True


def reference(seen, hull_fill="things", count_stuff=False):
    places = {index: {tuple(p) for p in np.argwhere(seen.labels == index)} for index in range(len(seen.names))}
    counted = [index for index in places if count_stuff or not seen.stuff[index]]
    commonest = max(counted, key=lambda index: (len(places[index]), -index), default=None)
    mask = set(places[commonest]) if commonest is not None else set()
    large = [part for part in parts(mask) if 10 * len(part) >= max(map(len, parts(mask)))]
    hulls = {point for point in np.ndindex(*seen.labels.shape) if any(in_hull(point, part) for part in large)}
    if hull_fill == "everything":
        return mask | hulls
    for index, found in places.items():
        if index != commonest and not seen.stuff[index]:
            mask |= set().union(*(part for part in parts(found) if 2 * len(part & hulls) > len(part)))
    return mask


@pytest.mark.parametrize("options", OPTIONS)
@settings(deadline=None)
@given(label_maps)
def test_hull_equals_the_reference(options, seen):
    mask = most_common_hull(seen, **options)
    assert {tuple(point) for point in np.argwhere(mask)} == reference(seen, **options)
    assert set(np.unique(mask)) <= {0, 1}


@settings(deadline=None)
@given(label_maps)
def test_stuff_and_most_common_equal_a_plain_loop(seen):
    for (y, x), label in np.ndenumerate(seen.labels):
        assert stuff(seen)[y, x] == (not seen.stuff[label])
    for count_stuff in (False, True):
        areas = [(seen.labels == i).sum() * (count_stuff or not seen.stuff[i]) for i in range(4)]
        wanted = seen.labels == areas.index(max(areas)) if max(areas) else np.zeros(seen.labels.shape, bool)
        np.testing.assert_array_equal(most_common(seen, count_stuff=count_stuff), wanted)


@pytest.mark.parametrize("options", OPTIONS)
@settings(deadline=None)
@given(label_maps)
def test_hull_contains_most_common_and_shows_the_background(options, seen):
    plain = most_common(seen, count_stuff=options.get("count_stuff", False))
    hull = most_common_hull(seen, **options)
    assert (hull >= plain).all()
    if "hull_fill" not in options:
        stuff_pixels = np.array(seen.stuff)[seen.labels]
        assert (hull[stuff_pixels] == plain[stuff_pixels]).all()


@pytest.mark.parametrize("rule", [stuff, most_common, most_common_hull])
@settings(deadline=None)
@given(label_maps)
def test_mirroring_and_turning(rule, seen):
    for turn in (np.fliplr, np.flipud, np.transpose):
        turned = LabelMap(np.ascontiguousarray(turn(seen.labels)), seen.names, seen.stuff)
        np.testing.assert_array_equal(rule(turned), turn(rule(seen)))


@pytest.mark.parametrize("rule", [stuff, most_common, most_common_hull])
@settings(deadline=None)
@given(label_maps, st.permutations(range(4)))
def test_renumbering_changes_nothing_but_ties(rule, seen, order):
    counts = np.bincount(seen.labels.ravel(), minlength=4)
    things = counts[~np.array(seen.stuff)]
    if rule is not stuff and (things == things.max(initial=0)).sum() > 1:
        return
    names, flags = tuple(seen.names[i] for i in order), tuple(seen.stuff[i] for i in order)
    renumbered = LabelMap(np.argsort(order).astype(np.uint8)[seen.labels], names, flags)
    np.testing.assert_array_equal(rule(renumbered), rule(seen))
