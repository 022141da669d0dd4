"""Check the output of a network: all numbers must be finite.

To add a requirement of all networks: a function here, called by the model files.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import WeightsError


def require_finite(weights: str, *outputs: NDArray[Any]) -> None:
    """Raise WeightsError, naming the weights, unless all of these numbers are finite."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise WeightsError(f"the network '{weights}' gives no finite numbers; fetch it again", code="model_corrupt")
