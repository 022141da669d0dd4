"""Which licenses are refused where only permissive ones are wanted. What cards say of licenses is tested in test_hub.py."""

import pytest

from figureground.errors import WeightsError
from figureground.inference.licenses import check_license
from figureground.settings import Settings


@pytest.mark.parametrize(("allowed", "permissive"), [("any", False), ("any", True), ("permissive", True)])
def test_licenses_that_are_allowed(allowed, permissive):
    check_license("the weights of 'x' are", "some", Settings(licenses=allowed), permissive=permissive)


@pytest.mark.parametrize(
    ("more", "advice"), [({}, "use --method subject"), ({"instead": "adapt another network"}, "adapt another network")]
)
def test_a_license_that_is_refused_is_named_with_what_to_do(more, advice):
    with pytest.raises(WeightsError) as error:
        check_license("the weights of 'x' are", "CC BY-NC 4.0", Settings(licenses="permissive"), permissive=False, **more)
    assert error.value.code == "licence_refused"
    assert str(error.value) == (
        "the weights of 'x' are under 'CC BY-NC 4.0', but only permissive licenses are allowed here"
        f" (FIGUREGROUND_LICENSES=permissive); {advice}, or allow them with FIGUREGROUND_LICENSES=any"
    )
