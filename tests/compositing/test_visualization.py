import numpy as np
import pytest

from figureground.compositing.visualization import class_color, nearness, objects_found, render
from figureground.errors import IncompatibleParts
from figureground.io.picture import Picture
from figureground.methods import METHODS, Method
from figureground.separation import Separation, check_views
from figureground.types import DepthMap, Instance, InstanceMap, SaliencyMap

RGB = np.full((80, 200, 3), 90, np.uint8)
OBJECTS = (Instance("person", False, 0.9), Instance("person", False, 0.8), Instance("sky", True, 0.7))


@pytest.fixture
def people():
    """Two persons under a sky: the left one is the foreground."""
    numbers = np.zeros((80, 200), np.uint16)
    numbers[20:80, 20:80], numbers[20:80, 120:180], numbers[:20] = 1, 2, 3
    return InstanceMap(numbers, OBJECTS), (numbers == 1).astype(np.float32)


def separation(seen, mask, model="panoptic", rule="main-instance"):
    return Separation(Picture.read(RGB), mask, seen, Method(model, rule))


def test_objects_are_listed_by_number_with_their_shares(people):
    rows = objects_found(*people)
    assert [(row["number"], row["name"], row["stuff"], row["foreground"]) for row in rows] == [
        (1, "person", False, 1),
        (2, "person", False, 0),
        (3, "sky", True, 0),
    ]
    assert [row["share"] for row in rows] == [0.225, 0.225, 0.25]
    assert separation(*people).info()["instances"] == rows


def test_objects_are_drawn_in_colors_of_their_own_with_their_numbers_over_a_legend(people):
    image = separation(*people).view("labels")
    assert image.shape[0] > 80
    assert tuple(image[25, 25]) == class_color(0)
    assert tuple(image[25, 175]) == class_color(1)
    assert tuple(image[40, 100]) == (255, 255, 255), "nobody's"
    plain = np.array([class_color(0)])
    assert (image[35:65, 35:65] != plain).any(), "the number stands in the middle"
    assert (image[80:] != 255).any(), "the legend names them"


def test_without_objects_the_legend_is_empty():
    image = render(InstanceMap(np.zeros((9, 12), np.uint16), ()), np.zeros((9, 12), np.float32))
    assert (image == 255).all()


def test_what_is_nearer_is_lighter_and_yellower():
    ramp = np.repeat(np.linspace(3, 8, 200, dtype=np.float32)[None], 80, 0)
    image = separation(DepthMap(ramp), ramp > 6, "depth", "nearest").view("depth").astype(int)
    lightness = image.sum(2)[0]
    assert (np.diff(lightness[::10]) > 0).all()
    assert image[0, 0, 2] > image[0, 0, 0]
    assert image[0, -1, 0] > image[0, -1, 2]


@pytest.mark.parametrize("value", [0, -4.5, 7])
def test_a_flat_scene_has_one_color(value):
    assert len(np.unique(nearness(DepthMap(np.full((5, 6), value, np.float32))).reshape(-1, 3), axis=0)) == 1


def test_views_that_other_maps_cannot_give(people):
    with pytest.raises(IncompatibleParts, match=r"model 'panoptic', .* gives single objects; methods for it: depth"):
        separation(*people).view("depth")
    with pytest.raises(IncompatibleParts, match="'labels' shows classes or single objects, but method subject gives"):
        check_views(("labels",), METHODS["subject"])
    with pytest.raises(IncompatibleParts, match="but model 'saliency', rule 'salient' and refiner 'none' gives"):
        separation(SaliencyMap(people[1]), people[1], "saliency", "salient").view("labels")
    with pytest.raises(IncompatibleParts, match="'depth' shows distances"):
        check_views(("mask", "depth"), Method("saliency", "salient"))
    check_views(("mask", "depth"), Method("depth", "nearest"))
