"""figureground tells foreground from background in a still picture."""

from typing import TYPE_CHECKING, Any

from figureground import _deprecated as _deprecated  # old names of modules

__version__ = "0.3.0"

if TYPE_CHECKING:
    from figureground.errors import FigureGroundError as FigureGroundError
    from figureground.errors import InputError as InputError
    from figureground.errors import UsageError as UsageError
    from figureground.executor import Result as Result
    from figureground.io.picture import Picture as Picture
    from figureground.methods import METHODS as METHODS
    from figureground.methods import Method as Method
    from figureground.pipeline import Separator as Separator
    from figureground.pipeline import remove as remove
    from figureground.pipeline import separate as separate
    from figureground.prompts import Prompt as Prompt
    from figureground.separation import Separation as Separation
    from figureground.settings import Settings as Settings

_HOME = {
    "FigureGroundError": "errors",
    "InputError": "errors",
    "METHODS": "methods",
    "Method": "methods",
    "Picture": "io.picture",
    "Prompt": "prompts",
    "Result": "executor",
    "Separation": "separation",
    "Separator": "pipeline",
    "Settings": "settings",
    "UsageError": "errors",
    "remove": "pipeline",
    "separate": "pipeline",
}
__all__ = [
    "METHODS",
    "FigureGroundError",
    "InputError",
    "Method",
    "Picture",
    "Prompt",
    "Result",
    "Separation",
    "Separator",
    "Settings",
    "UsageError",
    "remove",
    "separate",
]

if not TYPE_CHECKING:  # for a type checker, a name that is not above is an error

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first asked for, so that `import figureground` costs nothing."""
        if name in _HOME:
            from importlib import import_module

            return getattr(import_module(f"figureground.{_HOME[name]}"), name)
        raise AttributeError(f"module 'figureground' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
