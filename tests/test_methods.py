import pickle
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Literal, get_args

import click
import numpy as np
import pytest

from figureground import models
from figureground.cli.options import flag, given
from figureground.errors import IncompatibleParts, UnknownName, UnknownOption, UsageError, WeightsError
from figureground.masks.refine import REFINERS
from figureground.masks.rules import RULES
from figureground.methods import (
    DEFAULT,
    METHODS,
    PARTS,
    Method,
    all_options,
    check_prompt,
    configure,
    find,
    input_type,
    options_of,
    split_options,
)
from figureground.settings import Settings
from figureground.types import MAP_WORDS, Map


@pytest.mark.parametrize("name", METHODS)
def test_every_row_is_whole(name):
    method = find(name)
    split_options(method)
    assert method.about
    assert pickle.loads(pickle.dumps(method)) == method


def test_the_default_works_offline_and_is_permissive():
    card = models.card(find(DEFAULT).model)
    assert card.weights == "in the package"
    assert card.permissive


@pytest.mark.parametrize("name", models.names())
def test_every_model_has_a_full_card(name):
    card = models.card(name)
    assert all((card.about, card.weights, card.license, card.data, card.source))


@pytest.mark.parametrize("part", [*RULES.values(), *REFINERS.values(), *(models.module(n).load for n in models.names())])
def test_every_option_says_what_it_does(part):
    for option in options_of(part):
        assert len(option.help) > 10, option


def test_unknown_names():
    with pytest.raises(UnknownName, match="did you mean 'subject'"):
        find("subjct")
    with pytest.raises(UnknownName, match="model"):
        split_options(Method("huge", "salient"))
    with pytest.raises(UnknownName, match="rule"):
        split_options(Method("saliency", "salience"))
    with pytest.raises(UnknownName, match="refiner"):
        split_options(Method("saliency", "salient", "polish"))


def test_options_reach_the_part_that_takes_them():
    [some] = [name for name in REFINERS if name == "guided"]
    option = next(options_of(REFINERS[some]))
    parts = split_options(Method("saliency", "salient", some).with_options(**{option.name: option.default}))
    assert parts.refiner == {option.name: option.default}
    assert parts.rule == parts.model == {}


def test_unknown_options_are_named_with_the_known_ones():
    with pytest.raises(UnknownOption, match=r"--sharpness is no option of any method; options of method subject: .*--quality"):
        split_options(find("subject").with_options(sharpness=3))


@pytest.mark.parametrize(
    ("option", "owners"),
    [
        ("instance", "method instance"),
        ("count_stuff", "methods most-common, most-common-hull"),
        ("background_classes", "methods stuff, most-common, most-common-hull"),
        ("box_threshold", "model grounded"),
    ],
)
def test_an_option_of_other_methods_names_them(option, owners):
    flag = "--" + option.replace("_", "-")
    with pytest.raises(UnknownOption) as error:
        split_options(find("subject").with_options(**{option: 1}))
    assert str(error.value).startswith(f"{flag} belongs to {owners}; options of method subject: --")


def test_the_options_that_a_method_takes_are_those_of_its_parts_now():
    with pytest.raises(UnknownOption) as error:
        split_options(replace(find("subject"), refiner="none").with_options(min_part=0.1))
    assert str(error.value).endswith("options of model 'saliency', rule 'salient' and refiner 'none': --logit-scale, --quality")
    with pytest.raises(UnknownOption, match=r"did you mean --quality\?"):
        split_options(find("subject").with_options(qualty="best"))


@pytest.mark.parametrize("kind", get_args(Map))
def test_every_kind_of_map_has_words_for_messages(kind):
    assert kind.__name__ not in MAP_WORDS[kind]
    assert len(set(MAP_WORDS.values())) == len(get_args(Map)) == len(MAP_WORDS)


def test_a_rule_for_another_map_is_a_mismatch():
    label_rule = next(name for name in RULES if input_type(name).__name__ == "LabelMap")
    wanted = r"needs classes, but model 'saliency' gives how much each pixel stands out; rules for it: .*salient"
    with pytest.raises(IncompatibleParts, match=wanted):
        split_options(replace(find("subject"), rule=label_rule))


def test_licenses_are_checked_before_weights_are_fetched(monkeypatch):
    card = replace(models.card("saliency"), permissive=False, license="not for sale")
    monkeypatch.setattr(models, "card", lambda name: card)
    with pytest.raises(WeightsError, match="not for sale") as error:
        models.load("saliency", Settings(licenses="permissive"))
    assert error.value.code == "licence_refused"


def test_flags_of_every_type():
    def part(
        *,
        names: Annotated[tuple[str, ...], "some names"] = (),
        share: Annotated[float, "a share"] = 0.5,
        how: Annotated[Literal["fast", "well"], "how well"] = "fast",
        loud: Annotated[bool, "say more"] = False,
        count: Annotated[int | None, "how many"] = None,
    ): ...

    seen = {}

    @click.command()
    def command(**values):
        seen.update(given(values))

    for option in options_of(part):
        command = flag(option.name, option.kind, option.help, option.default)(command)
    command.main(["--names", "a, b", "--share", "0.2", "--how", "well", "--loud", "--count", "3"], standalone_mode=False)
    assert seen == {"names": ("a", "b"), "share": 0.2, "how": "well", "loud": True, "count": 3}
    seen.clear()
    command.main([], standalone_mode=False)
    assert seen == {}


CONFIGURED = {
    "quality": ("fast", "fast"),
    "min_part": (np.float32(0.5), 0.5),
    "logit_scale": (2, 2.0),
    "threads": (np.int64(3), 3),
    "lenient": (np.True_, True),
    "timeout": (5, 5.0),
    "cache": ("kept", Path("kept")),
    "device": ("cpu", "cpu"),
    "licenses": ("permissive", "permissive"),
}


@pytest.mark.parametrize("name", CONFIGURED)
def test_keywords_become_plain_values(name):
    value, wanted = CONFIGURED[name]
    method, settings = configure("subject", Settings(), {name: value})
    found = method.options[name] if name in method.options else getattr(settings, name)
    assert found == wanted and type(found) is type(wanted)


def test_every_setting_and_every_option_is_a_keyword():
    defaults = Settings(cache=Path("somewhere"))
    for field in fields(Settings):
        value = getattr(defaults, field.name)
        assert getattr(configure("subject", None, {field.name: value})[1], field.name) == value
    for name, option in all_options().items():
        able = [row for row in METHODS.values() if name in {one.name for part in parts(row) for one in options_of(part)}]
        for method in able:
            default = next(one.default for part in parts(method) for one in options_of(part) if one.name == name)
            assert configure(method, None, {name: default})[0].options[name] == default, option


def parts(method):
    return models.module(method.model).load, RULES[method.rule], REFINERS[method.refiner]


def test_no_option_is_called_like_a_setting_or_a_part():
    assert not set(all_options()) & {*(field.name for field in fields(Settings)), *PARTS}


def test_names_may_be_a_list_a_tuple_or_text_with_commas():
    for value in (["sky", "tree"], ("sky", "tree"), "sky, tree", iter(["sky", "tree"])):
        assert configure("stuff", None, {"background_classes": value})[0].options["background_classes"] == ("sky", "tree")


def test_a_count_may_be_a_number_and_what_may_be_unset_none():
    method, _ = configure("instance", None, {"keep": 2, "instance": None, "weights": Path("a") / "b"})
    assert method.options == {"keep": "2", "instance": None, "weights": str(Path("a") / "b")}


def test_of_two_methods_each_takes_the_keywords_that_it_knows():
    method, _ = configure("subject+stuff", None, {"quality": "best", "background_classes": "sky", "combine": "min"})
    assert (method.options, method.combine) == ({"quality": "best"}, "min")
    assert method.second.options == {"background_classes": ("sky",)}


@pytest.mark.parametrize(
    ("keywords", "why"),
    [
        ({"quality": "bets"}, "quality is one of fast, balanced, best, but got 'bets'"),
        ({"quality": 3}, "quality is one of fast, balanced, best, but got 3"),
        *(({"min_part": wrong}, "min_part is a number, but got") for wrong in ("a", True, None, float("nan"), float("inf"))),
        *(({"threads": wrong}, "threads is a whole number ≥ 0, but got") for wrong in ("2", -1, 1.5, True, None)),
        ({"timeout": -1}, "timeout is a number ≥ 0, but got -1"),
        ({"lenient": 1}, "lenient is True or False, but got 1"),
        ({"device": ""}, "device is text, but got ''"),
        ({"cache": 3.5}, "cache is a path, but got 3.5"),
        ({"runtime": "cuda"}, "runtime is one of auto, onnxruntime, openvino"),
        ({"device_": "cpu"}, "'device_' is no option of this method; did you mean 'device'?"),
        (
            {"xyz": 1},
            r"'xyz' is no option of this method\. Its options: keep_largest, logit_scale, min_part, quality; its parts: model",
        ),
        ({"background_classes": "sky"}, "'background_classes' is no option of this method"),
    ],
)
def test_a_wrong_keyword_is_refused_in_one_line(keywords, why):
    with pytest.raises(UnknownOption, match=why) as error:
        configure("subject", None, keywords)
    assert "\n" not in str(error.value)


def test_wrong_parts_are_refused():
    with pytest.raises(UsageError, match="combine joins two methods"):
        configure("subject", None, {"combine": "max"})
    with pytest.raises(UnknownName, match="no refiner is called 'cleen'; did you mean 'clean'"):
        configure("subject", None, {"refiner": "cleen"})
    with pytest.raises(UnknownOption, match="several names, but got 3"):
        configure("stuff", None, {"background_classes": 3})


def test_what_is_given_by_position_is_checked():
    with pytest.raises(UsageError, match="a method is a name or a Method, but got 3"):
        configure(3, None, {})
    with pytest.raises(UsageError, match="settings are a Settings, but got 'cuda'; name options, such as device='cuda'"):
        configure("subject", "cuda", {})
    with pytest.raises(UsageError, match=r"a prompt is a Prompt, such as Prompt\(text='the dog'\), but got 'the cat'"):
        check_prompt(find("text"), "the cat")
