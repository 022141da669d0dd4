import pickle

import numpy as np
import pytest

from commandline import command
from figureground import models
from figureground.errors import UnknownName, UnknownOption, UsageError
from figureground.methods import check_prompt, find, split_options
from figureground.pipeline import Separator
from figureground.prompts import Prompt, box
from figureground.types import LabelMap, SaliencyMap

SUBJECT = np.array([[0.9, 0.9, 0.2, 0.0], [0.8, 0.6, 0.4, 0.0]], np.float32)
THINGS = np.array([[1, 0, 1, 0], [1, 1, 0, 0]], np.uint8)
RGB = np.zeros((2, 4, 3), np.uint8)


@pytest.fixture(autouse=True)
def answers(monkeypatch):
    """Models that give the two drawn maps, whatever the picture."""

    def load(name, settings, **options):
        seen = SaliencyMap(SUBJECT) if name == "saliency" else LabelMap(THINGS, ("wall", "cat"), (True, False))
        return lambda rgb, prompt=None: seen

    monkeypatch.setattr(models, "load", load)


def joined(combine):
    from dataclasses import replace

    return Separator(replace(find("subject+stuff").with_options(logit_scale=1), combine=combine, refiner="none"))(RGB)


@pytest.mark.parametrize(
    ("combine", "mask"),
    [
        ("mean", (SUBJECT + THINGS) / 2),
        ("max", [[1, 0.9, 1, 0], [1, 1, 0.4, 0]]),
        ("min", [[0.9, 0, 0.2, 0], [0.8, 0.6, 0, 0]]),
        ("product", [[0.9, 0, 0.2, 0], [0.8, 0.6, 0, 0]]),
    ],
)
def test_two_masks_become_one(combine, mask):
    done = joined(combine)
    assert done.mask == pytest.approx(np.array(mask, np.float32))
    assert done.mask.dtype == np.float32
    info = done.info()
    assert info["agreement"] == done.agreement == 3 / 5
    assert (info["method"]["second"], info["method"]["combine"]) == ("segformer", combine)


def test_one_method_has_nobody_to_agree_with():
    done = Separator(find("subject"))(RGB)
    assert done.agreement is None
    assert "agreement" not in done.info()


def test_two_that_find_nothing_agree(monkeypatch):
    nothing = SaliencyMap(np.zeros((2, 4), np.float32))
    monkeypatch.setattr(models, "load", lambda name, settings, **_: lambda rgb, prompt=None: nothing)
    assert Separator(find("subject+subject"))(RGB).agreement == 1


def test_options_go_to_the_method_that_knows_them():
    method = find("subject+stuff").with_options(background_classes=("cat",), quality="best", min_part=0.2)
    assert method.options == {"quality": "best", "min_part": 0.2}
    assert method.second.options == {"background_classes": ("cat",)}
    split_options(method)
    assert pickle.loads(pickle.dumps(method)) == method
    wanted = r"--keep belongs to method instance; options of method subject\+stuff: --background-classes"
    wanted = r"--keep belongs to method instance; options of method subject\+stuff: --background-classes"
    with pytest.raises(UnknownOption, match=wanted):
        split_options(find("subject+stuff").with_options(keep="2"))


def test_names_that_cannot_be_joined():
    with pytest.raises(UnknownName, match="stuf"):
        find("subject+stuf")
    with pytest.raises(UsageError, match="at most two methods"):
        find("subject+stuff+depth")


def test_an_unknown_rule_of_joined_methods_is_named_as_one_of_a_single_method():
    command("remove", "x.jpg", "--method", "subject+stuff", "--rule", "odd", "--quality", "fast").refused(
        2, "unknown_name", "odd"
    )


def test_a_file_whose_name_holds_a_plus_sign_is_one_method(tmp_path):
    path = tmp_path / "mine+yours.onnx"
    path.write_bytes(b"")
    assert find(str(path)).options["weights"] == str(path)
    assert find("subject+my.onnx").second.options["weights"] == "my.onnx"


def test_a_prompt_goes_to_the_one_that_takes_it():
    places = Prompt(box=box("1,1,2,2"))
    check_prompt(find("stuff+points"), places)
    with pytest.raises(UsageError, match="model 'points' needs points or a box"):
        check_prompt(find("stuff+points"), None)
    with pytest.raises(UsageError, match="takes no phrases"):
        check_prompt(find("stuff+points"), Prompt(text=("a dog",)))


def test_on_the_command_line():
    command("remove", "x.jpg", "--combine", "max").refused(2, "--combine joins two methods")
    command("remove", "x.jpg", "--method", "subject+stuff+depth").refused(2, "two methods")
    command("remove", "x.jpg", "--method", "stuff", "--point", "1,1").refused(2, "takes no points or a box")
    command("remove", "x.jpg", "--method", "points").refused(2, "needs points or a box")
    command("remove", "x.jpg", "--point", "1;1").refused(2, "a point is x,y")
