"""What a network's output must be before it is used."""

import numpy as np
import pytest

from figureground.errors import WeightsError
from figureground.inference.outputs import require_finite


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_one_number_that_is_not_finite_in_any_output_is_refused(bad, place):
    outputs = [np.zeros((2, 3), np.float32), np.ones(4, np.float32)]
    require_finite("someone/NAME", *outputs)
    outputs[place].flat[-1] = bad
    with pytest.raises(WeightsError, match="the network 'someone/NAME' gives no finite numbers") as error:
        require_finite("someone/NAME", *outputs)
    assert error.value.code == "model_corrupt"
