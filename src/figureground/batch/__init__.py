"""Many pictures with a ledger: what there is to do, who does it, and how it stands. `Batch` and `run` are in runner.py."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from figureground.batch.runner import Batch as Batch
    from figureground.batch.runner import run as run

__all__ = ["Batch", "run"]


def __getattr__(name: str) -> Any:
    """Import the runner when it is first asked for: engines, which it imports, are in this package too."""
    if name in __all__:
        from figureground.batch import runner

        return getattr(runner, name)
    raise AttributeError(f"module 'figureground.batch' has no attribute '{name}'")
