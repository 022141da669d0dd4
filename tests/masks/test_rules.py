from typing import get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from figureground.errors import UnknownName, UnknownOption, UsageError
from figureground.masks.rules import RULES, main_instance, most_common, most_common_hull, nearest, salient, stuff
from figureground.types import DepthMap, Instance, InstanceMap, LabelMap, SaliencyMap

NAMES = {".": "sky", "#": "wall, partition", "p": "person", "d": "dog", "c": "car;auto", "b": "bed "}
SIGNS = "".join(NAMES)


def drawn(picture):
    """A label map drawn with the signs of NAMES; sky and wall are stuff."""
    lines = picture.split()
    labels = np.array([[SIGNS.index(sign) for sign in line] for line in lines], np.uint8)
    return LabelMap(labels, tuple(NAMES.values()), tuple(sign in ".#" for sign in SIGNS))


def shown(mask):
    """A mask as drawn lines, o for foreground."""
    assert mask.dtype == np.float32
    return ["".join("o" if value else "." for value in line) for line in mask]


STREET = """
    ........
    .pp...d.
    .pp..ccc
    .pp..ccc
    ########
"""


def test_salient_with_logit_scale_1_is_the_map_itself():
    values = np.array([[0.1, 0.9]], np.float32)
    assert salient(SaliencyMap(values), logit_scale=1) is values


def test_a_firm_mask_is_solid_where_the_map_is_fairly_sure():
    values = np.array([[0, 0.2, 0.4, 0.5, 0.6, 0.8, 1]], np.float32)
    mask = salient(SaliencyMap(values))
    assert mask.dtype == np.float32
    assert mask == pytest.approx(np.array([[0, 1 / 65, 8 / 35, 0.5, 27 / 35, 64 / 65, 1]]), abs=1e-4)


@given(arrays.arrays(np.float32, (5, 7), elements=st.floats(0, 1, width=32)), st.floats(0.2, 8))
def test_logit_scale_moves_no_pixel_across_one_half_and_keeps_the_order(values, logit_scale):
    mask = salient(SaliencyMap(values), logit_scale=logit_scale)
    assert (mask[values > 0.5001] > 0.5).all()
    assert (mask[values < 0.4999] < 0.5).all()
    assert (np.diff(mask.ravel()[np.argsort(values.ravel())]) >= 0).all()
    assert 0 <= mask.min() and mask.max() <= 1


@pytest.mark.parametrize("logit_scale", [0, -1, float("nan"), float("inf")])
def test_a_logit_scale_that_makes_no_sense(logit_scale):
    with pytest.raises(UsageError, match="logit_scale must be above 0"):
        salient(SaliencyMap(np.zeros((1, 1), np.float32)), logit_scale=logit_scale)


def test_stuff():
    assert shown(stuff(drawn(STREET))) == [
        "........",
        ".oo...o.",
        ".oo..ooo",
        ".oo..ooo",
        "........",
    ]


def test_most_common_is_the_commonest_thing_and_of_equal_ones_the_first():
    assert shown(most_common(drawn(STREET))) == [
        "........",
        ".oo.....",
        ".oo.....",
        ".oo.....",
        "........",
    ]


def test_most_common_of_everything():
    assert shown(most_common(drawn(STREET), count_stuff=True)) == [
        "oooooooo",
        "o..ooo.o",
        "o..oo...",
        "o..oo...",
        "........",
    ]


@pytest.mark.parametrize("rule", [stuff, most_common, most_common_hull])
def test_no_thing_gives_an_empty_mask(rule):
    assert not rule(drawn("..## ####")).any()


HOLE = """
    ..........
    .pppppppp.
    .p......p.
    .p.dd...p.
    .p.dd...p.
    .p......p.
    .pppppppp.
    ..........
"""


def test_hull_adds_the_dog_and_keeps_the_hole():
    assert shown(most_common_hull(drawn(HOLE))) == [
        "..........",
        ".oooooooo.",
        ".o......o.",
        ".o.oo...o.",
        ".o.oo...o.",
        ".o......o.",
        ".oooooooo.",
        "..........",
    ]


def test_hull_filled_with_everything():
    assert shown(most_common_hull(drawn(HOLE), hull_fill="everything")) == [
        "..........",
        ".oooooooo.",
        ".oooooooo.",
        ".oooooooo.",
        ".oooooooo.",
        ".oooooooo.",
        ".oooooooo.",
        "..........",
    ]


def test_hull_of_a_slanted_part():
    assert shown(most_common_hull(drawn("p.... pp... p.p.. p..p. ppppp"), hull_fill="everything")) == [
        "o....",
        "oo...",
        "ooo..",
        "oooo.",
        "ooooo",
    ]


def test_regions_mostly_inside_are_added_whole_and_others_not_at_all():
    seen = drawn("""
        ppppp.....
        p.ddddd...
        p..cccccc.
        p.b.......
        ppppp.....
    """)
    # the hull spans columns 0 to 4: 3 of the 5 pixels of the dog lie inside, 2 of the 6 of the car, the bed wholly
    assert shown(most_common_hull(seen)) == [
        "ooooo.....",
        "o.ooooo...",
        "o.........",
        "o.o.......",
        "ooooo.....",
    ]


def test_half_is_not_mostly():
    assert shown(most_common_hull(drawn("ppp.. p.dd. ppp.."))) == ["ooo..", "o....", "ooo.."]


def test_regions_are_parted_by_class_and_by_place():
    seen = drawn("""
        pppppppp......
        p.d.....ddddd.
        p..cccccbbbbb.
        pppppppp......
    """)
    assert shown(most_common_hull(seen)) == [
        "oooooooo......",
        "o.o...........",
        "o..ooooo......",
        "oooooooo......",
    ]


def test_each_large_part_has_a_hull_of_its_own_and_small_ones_have_none():
    filled = most_common_hull(drawn("ppp.pppp p.p.p..p ppp.pppp"), hull_fill="everything")
    assert shown(filled) == ["ooo.oooo", "ooo.oooo", "ooo.oooo"]


@pytest.mark.parametrize(("area", "hollow"), [(30, "o"), (31, ".")])
def test_small_parts_have_no_hull(area, hollow):
    block = np.full((3, 16), SIGNS.index("."), np.uint8)
    block[:, :10] = SIGNS.index("p")
    block[0, 10] = SIGNS.index("p" if area == 31 else ".")
    block[[0, 1, 2], [12, 13, 12]] = SIGNS.index("p")  # 3 pixels around a hollow one
    mask = most_common_hull(LabelMap(block, drawn(".").names, drawn(".").stuff), hull_fill="everything")
    assert shown(mask[1:2, 12:]) == [hollow + "o.."]


def test_count_stuff_in_the_hull():
    seen = drawn("..... .p.## .....")
    assert shown(most_common_hull(seen, count_stuff=True)) == ["ooooo", "ooo..", "ooooo"]


def test_classes_moved_by_name():
    seen = drawn(STREET)
    assert shown(stuff(seen, background_classes=("person", " DOG ")))[1:3] == ["........", ".....ooo"]
    assert shown(stuff(seen, foreground_classes=("Wall",)))[4] == "oooooooo"
    assert shown(most_common(seen, background_classes=("person",)))[2] == ".....ooo"
    assert shown(most_common(seen, foreground_classes=("sky",)))[0] == "oooooooo"
    assert shown(most_common_hull(drawn(HOLE), background_classes=("dog",)))[3] == ".o......o."
    assert shown(most_common_hull(drawn(HOLE), foreground_classes=("wall",), background_classes=("sky",)))[3] == (".o.oo...o.")


def test_what_is_named_background_is_not_counted_even_with_stuff():
    mask = most_common(drawn(STREET), count_stuff=True, background_classes=("sky",))
    assert shown(mask)[4] == "oooooooo"


@pytest.mark.parametrize("name", ["wall", "partition", "wall, partition", "Wall,  Partition"])
def test_any_synonym_names_the_class(name):
    assert shown(stuff(drawn("#.p"), foreground_classes=(name,))) == ["o.o"]


def test_a_whole_name_goes_before_a_synonym():
    labels = np.arange(3, dtype=np.uint8)[None]
    seen = LabelMap(labels, ("blind, screen", "screen", "crt;screen door"), (True, True, True))
    assert shown(stuff(seen, foreground_classes=("screen",))) == [".o."]
    twice = LabelMap(labels, ("blind, screen", "silver screen", "crt;screen"), (True, True, True))
    assert shown(stuff(twice, foreground_classes=("screen",))) == ["o.o"]


@pytest.mark.parametrize("rule", [stuff, most_common, most_common_hull])
def test_a_typo_is_answered_with_the_nearest_name(rule):
    with pytest.raises(UnknownName, match=r"no class is called 'persom'; did you mean 'person'"):
        rule(drawn(STREET), background_classes=("persom",))
    with pytest.raises(UnknownName, match="'partitoin'; did you mean 'partition'"):
        rule(drawn(STREET), foreground_classes=("partitoin",))


def test_a_class_in_both_lists():
    with pytest.raises(UsageError, match="'wall, partition' is both"):
        stuff(drawn(STREET), background_classes=("wall",), foreground_classes=("partition",))


def test_every_rule_says_what_it_reads_and_describes_its_options():
    kinds = {name: next(iter(get_type_hints(rule).values())) for name, rule in RULES.items()}
    assert kinds == {
        "salient": SaliencyMap,
        "stuff": LabelMap,
        "most-common": LabelMap,
        "most-common-hull": LabelMap,
        "main-instance": InstanceMap,
        "nearest": DepthMap,
    }
    for rule in RULES.values():
        hints = get_type_hints(rule, include_extras=True)
        assert all(hints[option].__metadata__ for option in rule.__kwdefaults__ or {})


def test_label_maps_of_16_bits():
    seen = LabelMap(np.array([[300, 2, 2]], np.uint16), tuple(map(str, range(400))), (False,) * 400)
    assert shown(most_common(seen)) == [".oo"]
    assert shown(stuff(seen, background_classes=("300",))) == [".oo"]


def crowd():
    """Three persons side by side, the one in the middle with a bag, before a wall."""
    numbers = np.ones((30, 60), np.uint16)
    numbers[5:25, 5:13], numbers[3:27, 24:36], numbers[5:25, 47:55], numbers[10:16, 36:40] = 2, 3, 4, 5
    person = Instance("person", False, 0.9)
    return InstanceMap(numbers, (Instance("wall", True, 0.9), person, person, person, Instance("handbag", False, 0.9)))


def kept(mask, seen):
    """The numbers of the objects that a mask keeps, each of them whole."""
    found = np.unique(seen.numbers[mask > 0]).tolist()
    assert np.array_equal(mask, np.isin(seen.numbers, [n for n in found if n]).astype(np.float32))
    assert mask.dtype == np.float32
    return found


def test_the_main_instance_and_its_bag_and_nobody_else():
    assert kept(main_instance(crowd()), crowd()) == [3, 5]
    assert kept(main_instance(crowd(), contact=1.1), crowd()) == [3]


def test_keep_takes_more_and_of_equal_ones_the_lower_number():
    assert kept(main_instance(crowd(), keep="2"), crowd()) == [2, 3, 5]
    assert kept(main_instance(crowd(), keep=" 3 "), crowd()) == [2, 3, 4, 5]
    assert kept(main_instance(crowd(), keep="9"), crowd()) == [2, 3, 4, 5]
    assert kept(main_instance(crowd(), keep="ALL"), crowd()) == [2, 3, 4, 5]


def test_an_instance_by_its_number_alone():
    for number in range(1, 6):
        assert kept(main_instance(crowd(), instance=number, keep="all"), crowd()) == [number]


@pytest.mark.parametrize("number", [0, -1, 6])
def test_an_instance_that_is_not_there(number):
    with pytest.raises(UnknownOption, match=f"instance {number} does not exist: this picture has 5 objects"):
        main_instance(crowd(), instance=number)


@pytest.mark.parametrize("keep", ["0", "-1", "some", "", "1.5"])
def test_a_count_that_is_none(keep):
    with pytest.raises(UnknownOption, match="keep must be 1, 2 and so on, or all"):
        main_instance(crowd(), keep=keep)


def test_no_objects_one_object_and_nothing_but_stuff():
    empty = InstanceMap(np.zeros((4, 5), np.uint16), ())
    assert not main_instance(empty).any()
    with pytest.raises(UnknownOption, match="has 0 objects"):
        main_instance(empty, instance=1)
    numbers = np.ones((4, 5), np.uint16)
    assert not main_instance(InstanceMap(numbers, (Instance("sky", True, 1.0),)), keep="all").any()
    assert main_instance(InstanceMap(numbers, (Instance("sky", True, 1.0),)), instance=1).all()
    assert main_instance(InstanceMap(numbers, (Instance("cup", False, 0.1),))).all()


def test_nearest_cuts_and_refuses():
    nearness = np.zeros((60, 80), np.float32)
    nearness[20:50, 30:50] = 8
    assert np.array_equal(nearest(DepthMap(nearness)), nearness / 8)
    assert not nearest(DepthMap(np.full((60, 80), 5, np.float32))).any()
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(UnknownOption, match="near must be from 0"):
            nearest(DepthMap(nearness), near=value)
