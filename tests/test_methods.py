import pickle
from dataclasses import replace
from typing import Annotated, Literal

import click
import pytest

from figureground import models
from figureground.cli.options import flag, given
from figureground.errors import IncompatibleParts, UnknownName, UnknownOption, WeightsError
from figureground.masks.refine import REFINERS
from figureground.masks.rules import RULES
from figureground.methods import DEFAULT, METHODS, Method, find, input_type, options_of, split_options
from figureground.settings import Settings


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
    with pytest.raises(UnknownOption, match="'sharpness' is no option"):
        split_options(find("subject").with_options(sharpness=3))


def test_a_rule_for_another_map_is_a_mismatch():
    label_rule = next(name for name in RULES if input_type(name).__name__ == "LabelMap")
    with pytest.raises(
        IncompatibleParts, match=r"reads a LabelMap, but model 'saliency' gives a SaliencyMap; rules for it: .*salient"
    ):
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
