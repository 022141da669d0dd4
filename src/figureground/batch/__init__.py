"""Many pictures with a ledger: the inputs, the run, and its state. `Batch` and `run` are in runner.py."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from figureground.batch.runner import Batch as Batch
    from figureground.batch.runner import run as run

__all__ = ["Batch", "run"]


def __getattr__(name: str) -> Any:
    """Import the runner on first use: it imports modules of this package."""
    if name in __all__:
        from figureground.batch import runner

        return getattr(runner, name)
    raise AttributeError(f"module 'figureground.batch' has no attribute '{name}'")
