"""The folder as the registry of models."""

import pkgutil

import pytest

from figureground import models
from figureground.errors import UnknownName, WeightsError
from figureground.settings import Settings


@pytest.fixture
def scans(monkeypatch):
    """The folders that are scanned for models from here on."""
    scanned, scan = [], pkgutil.iter_modules
    monkeypatch.setattr(pkgutil, "iter_modules", lambda path: scanned.append(list(path)) or scan(path))
    models.names.cache_clear()
    return scanned


def test_the_folder_is_scanned_once(scans):
    for _ in range(3):
        assert models.card("saliency").permissive
        assert models.names() == tuple(sorted(models.names()))
        with pytest.raises(UnknownName, match="no model is called 'salience'; did you mean 'saliency'"):
            models.card("salience")
    assert len(scans) == 1


def test_own_weights_that_are_not_permissive_are_refused_before_anything_is_fetched():
    with pytest.raises(WeightsError, match="the weights of model 'segformer' are under 'NVIDIA Source Code License") as error:
        models.load("segformer", Settings(licenses="permissive"))
    assert error.value.code == "licence_refused"
