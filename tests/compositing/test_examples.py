"""The examples in docstrings do what they say."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    *("compositing.backgrounds", "compositing.blend", "compositing.canvas", "compositing.effects", "compositing.fill"),
    *("compositing.lengths", "compositing.options", "compositing.patch_match"),
    *("masks.adjust", "masks.head", "masks.steady", "io.outlines", "io.animation_writers", "editing", "animation"),
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    result = doctest.testmod(import_module(f"figureground.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
