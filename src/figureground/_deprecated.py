"""Names of version 0.2.0 that still work, and their names now. Version 0.4.0 removes them.

Each use of an old name gives a `RenamedWarning`; the command prints it as one line. To rename something public, add a row to
`RENAMED`.
"""

import functools
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T", bound=type)


class RenamedWarning(FutureWarning):
    """An old name was used; the message has the new one."""


RENAMED: Mapping[str, Mapping[str, str]] = {
    "method": {"small": "subject"},
    "model": {"small": "saliency"},
    "option": {"firmness": "logit_scale"},
    "flag": {"--firmness": "--logit-scale"},
    "PNG effort": {"small": "best"},
    "engine": {"local": "process"},
    "environment variable": {"FIGUREGROUND_LICENCES": "FIGUREGROUND_LICENSES"},
    "JSON key": {"licence": "license", "beside": "second", "firmness": "logit_scale"},
    "module": {
        "figureground.dataset": "figureground.evaluation.dataset",
        "figureground.maps": "figureground.types",
        "figureground.metrics": "figureground.evaluation.metrics",
        "figureground.output": "figureground.io.encode",
        "figureground.picture": "figureground.io.picture",
        "figureground.products": "figureground.jobs",
        "figureground.prompt": "figureground.prompts",
        "figureground.refine": "figureground.masks.refine",
        "figureground.rules": "figureground.masks.rules",
        "figureground.stream": "figureground.executor",
    },
    "figureground.errors": {"Mismatch": "IncompatibleParts", "CannotGoOn": "BatchAborted"},
    "figureground.evaluation.dataset": {
        "Pair": "LabeledImage",
        "pairs": "labeled_images",
        "labelled": "labeled_images_or_folders",
        "tell_one_class": "warn_single_class",
    },
    "figureground.io.encode": {"Look": "EncodeOptions", "colour": "parse_color"},
    "figureground.jobs": {"Product": "JobSpec", "Made": "JobResult", "make": "run_job"},
    "figureground.methods": {"check": "split_options", "reads": "input_type", "Parts": "SplitOptions"},
    "figureground.types": {"FOUND": "THRESHOLD"},
    "Batch": {"product": "spec", "reading": "input_options", "after": "input_disposal"},
    "Card": {"gives": "output_type", "takes": "prompt_kinds", "extra": "requires_extra", "licence": "license"},
    "JobSpec": {"look": "encode_options", "check": "validate"},
    "Method": {"beside": "second"},
    "Separation": {"licence": "license", "found": "has_foreground"},
    "Settings": {"licences": "licenses"},
}
"""Old name → new name, by what has the name: a kind of name, a module, or a class."""


def current(kind: str, name: str) -> str:
    """Return the name now of something that may have an old name, with a warning for an old one."""
    new = RENAMED[kind].get(name)
    if new is None:
        return name
    warn(f"{kind} '{name}'", new)
    return new


def current_names(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping with its keys under their names now, with a warning for each old one."""
    return {current(kind, name): value for name, value in values.items()}


def current_flags(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with flags and the PNG effort under their names now."""
    end = words.index("--") if "--" in words else len(words)  # what follows is no flag
    renamed: list[str] = []
    for word in words[:end]:
        flag, equals, value = word.partition("=")
        renamed.append(current("flag", flag) + equals + value if flag in RENAMED["flag"] else word)
    for place, word in enumerate(renamed):
        if renamed[place - 1 : place] == ["--png-effort"]:
            renamed[place] = current("PNG effort", word)
        elif word.startswith("--png-effort="):
            renamed[place] = f"--png-effort={current('PNG effort', word.partition('=')[2])}"
    return [*renamed, *words[end:]]


def with_old_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with the old keys beside the new ones."""
    old = {name: values[new] for name, new in RENAMED["JSON key"].items() if new in values}
    return {**values, **old}


def module_attribute(module: str, name: str) -> Any:
    """Return a module's attribute that has an old name; raises AttributeError, as a module's `__getattr__` must."""
    new = RENAMED.get(module, {}).get(name)
    if new is None:
        raise AttributeError(f"module '{module}' has no attribute '{name}'")
    warn(f"{module}.{name}", f"{module}.{new}")
    return getattr(sys.modules[module], new)


def old_names(cls: T) -> T:
    """Let a class take its old names: as arguments when it is made, and as attributes."""
    table = RENAMED[cls.__name__]
    anything: Any = cls  # a type checker takes this __init__ for that of `object`
    made: Callable[..., None] = anything.__init__

    @functools.wraps(made)
    def init(self: object, *args: Any, **kwargs: Any) -> None:
        for old in [name for name in kwargs if name in table]:
            warn(f"argument '{old}' of {cls.__name__}", table[old])
            kwargs[table[old]] = kwargs.pop(old)
        made(self, *args, **kwargs)

    anything.__init__ = init
    for old, new in table.items():
        setattr(cls, old, _property(cls.__name__, old, new))
    return cls


def _property(owner: str, old: str, new: str) -> property:
    def get(self: object) -> Any:
        warn(f"{owner}.{old}", f"{owner}.{new}")
        return getattr(self, new)

    get.__doc__ = f"`{new}`, under its old name."
    return property(get)


def warn(old: str, new: str) -> None:
    """Give the warning that names what replaces an old name."""
    message = f"{old} is deprecated and goes in version 0.4.0; use {new}"
    warnings.warn(message, RenamedWarning, stacklevel=4)


class _OldModules(MetaPathFinder, Loader):
    """Imports the modules that have an old name."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return a spec for an old name alone."""
        return ModuleSpec(fullname, self) if fullname in RENAMED["module"] else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module that has the new name."""
        new = RENAMED["module"][spec.name]
        warn(f"module {spec.name}", new)
        module = import_module(new)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module back its own spec; it was executed under its new name."""
        module.__spec__ = self.spec


if not any(type(finder).__name__ == "_OldModules" for finder in sys.meta_path):
    sys.meta_path.append(_OldModules())
