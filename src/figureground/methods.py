"""The recipes: a model, a rule, a refiner and their options. To add a method: a row in `METHODS`."""

import inspect
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from figureground import models
from figureground._deprecated import current, current_names, module_attribute, old_names
from figureground.errors import IncompatibleParts, UnknownName, UnknownOption, UsageError
from figureground.masks.refine import REFINERS
from figureground.masks.rules import RULES
from figureground.models import onnx_saliency
from figureground.models.adapted import has_notes
from figureground.models.onnx_saliency import NETWORKS
from figureground.prompts import Prompt
from figureground.settings import Settings
from figureground.types import MAP_WORDS, Map

Plain = str | int | float | bool | tuple[str, ...] | None
Keyword = Plain | Iterable[str] | os.PathLike[str]
"""What `Separator` takes as an option; it becomes `Plain`, or a field of `Settings`."""
Combine = Literal["mean", "max", "min", "product"]
PARTS = {"model": str, "rule": str, "refiner": str, "combine": Combine}
"""The fields of a `Method` that a keyword replaces, and their types."""


@old_names
@dataclass(frozen=True, slots=True)
class Method:
    """The names of a model, a rule and a refiner, with their options. Plain data that can be compared, printed and pickled."""

    model: str
    rule: str
    refiner: str = "none"
    options: Mapping[str, Plain] = field(default_factory=dict)
    """Keyword-only parameters of model, rule and refiner, by name."""
    about: str = ""
    second: "Method | None" = None
    """A second method, whose mask is joined with this one's before the refiner; its own refiner is left out."""
    combine: Combine = "mean"
    """How the two masks are joined."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", current("model", self.model))
        object.__setattr__(self, "options", current_names("option", self.options))

    def with_options(self, **options: Plain) -> "Method":
        """Return the method with more options; of two combined methods, each gets the options that it knows.

        Parameters
        ----------
        **options
            Keyword options of the model, the rule or the refiner.

        Returns
        -------
        Method

        Examples
        --------
        >>> find("subject").with_options(quality="best").options["quality"]
        'best'
        """
        if self.second is None:
            return replace(self, options={**self.options, **options})
        options = current_names("option", options)
        own, others = option_names(self), set().union(*_known(self.second)[:2])
        theirs = {name: value for name, value in options.items() if name in others}
        mine = {name: value for name, value in options.items() if name in own or name not in others}
        return replace(self, options={**self.options, **mine}, second=self.second.with_options(**theirs))


METHODS: dict[str, Method] = {
    "subject": Method("saliency", "salient", "auto", about="the main subject; its weights are in the package"),
    "stuff": Method("segformer", "stuff", "clean", about="everything but sky, wall, floor, grass and similar classes"),
    "most-common": Method("segformer", "most-common", "clean", about="the most common class of things, such as all people"),
    "most-common-hull": Method(
        "segformer", "most-common-hull", "clean", about="the most common class and what it encloses, such as a dog in the arms"
    ),
    "instance": Method("panoptic", "main-instance", "clean", about="one person or object of several, and what belongs to it"),
    "text": Method("text", "salient", "clean", about="what a phrase names: --prompt 'the person and the dog'"),
    "points": Method("points", "salient", "clean", about="the object under points or in a box"),
    "depth": Method("depth", "nearest", "clean", about="what stands nearest, without the floor"),
}
DEFAULT = "subject"


@dataclass(frozen=True, slots=True)
class Option:
    """One keyword-only parameter of a model, a rule or a refiner."""

    name: str
    kind: Any
    """Its type without Annotated: bool, int, float, str, a Literal, or tuple[str, ...]."""
    default: Plain
    help: str


def find(name: str) -> Method:
    """Return a method by its name.

    Parameters
    ----------
    name : str
        A name in `METHODS`; a network of `onnx_saliency.NETWORKS`, or an ONNX file such as ``my.onnx``, whose map is the mask
        as its publisher uses it; or two methods such as ``subject+stuff``.

    Returns
    -------
    Method

    Raises
    ------
    UnknownName, UsageError
        If there is no such method, or two cannot be combined.

    Examples
    --------
    >>> find("subject").model
    'saliency'
    """
    if name.lower().endswith(".onnx") and ("+" not in name or Path(name).is_file()):
        return _of_file(name)
    if "+" in name:
        first, _, second = name.partition("+")
        if "+" in second:
            raise UsageError(f"expected at most two methods, such as subject+stuff, but got '{name}'")
        return replace(find(first), second=find(second))
    name = current("method", name)
    if name in NETWORKS or name in onnx_saliency.REFUSED:
        about = onnx_saliency.find(name).about
        return Method("onnx_saliency", "salient", "none", {"network": name, "logit_scale": 1.0}, about=about)
    if name not in METHODS:
        raise UnknownName("method", name, [*sorted(METHODS), *NETWORKS], ordered=True)
    return METHODS[name]


def _of_file(name: str) -> Method:
    """Return the method for an ONNX file: one that `figureground adapt` wrote, or one of another origin."""
    path = Path(name)
    if not path.is_file() or has_notes(path):
        return Method("adapted", "salient", "auto", {"weights": name}, about="a network adapted to your own pictures")
    return Method("onnx_saliency", "salient", "none", {"weights": name, "logit_scale": 1.0}, about="an ONNX file of yours")


def options_of(part: Callable[..., Any]) -> Iterator[Option]:
    """Yield the options of a model's `load`, a rule or a refiner: its keyword-only parameters."""
    hints = get_type_hints(part, include_extras=True)
    for name, parameter in inspect.signature(part).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            kind, about = hints[name], ""
            if get_origin(kind) is Annotated:
                kind, about = get_args(kind)[:2]
            yield Option(name, kind, parameter.default, about)


def all_options() -> dict[str, Option]:
    """Return every option of every model, rule and refiner, by name; one that several have with other defaults shows none.

    Raises TypeError where two options of one name have different types.
    """
    parts = [*(models.module(name).load for name in models.names()), *RULES.values(), *REFINERS.values()]
    options: dict[str, Option] = {}
    for option in (option for part in parts for option in options_of(part)):
        known = options.setdefault(option.name, option)
        if known.kind != option.kind:
            raise TypeError(f"two options are called '{option.name}', of type {known.kind} and {option.kind}; rename one")
        if known.default != option.default:
            options[option.name] = replace(known, default=None)
    return options


def input_type(rule: str) -> type[Map]:
    """Return the type of map that a rule reads: the annotation of its first argument."""
    function = RULES[rule]
    kind: type[Map] = get_type_hints(function)[next(iter(inspect.signature(function).parameters))]
    return kind


def check_prompt(method: Method, prompt: Prompt | None) -> None:
    """Check a prompt against a method.

    Parameters
    ----------
    method : Method
    prompt : Prompt or None

    Raises
    ------
    UsageError
        If no model of the method takes what the prompt holds, or one needs a prompt and there is none.
    """
    given: object = prompt
    if not isinstance(given, Prompt | None):
        raise UsageError(f"a prompt is a Prompt, such as Prompt(text='the dog'), but got {_shown(given)}")
    ways = {"text": "phrases (--prompt, --not)", "places": "points or a box (--point, --not-point, --box)"}
    joined = (method, method.second) if method.second else (method,)
    names = [each.model for each in joined]
    cards, kinds = [models.card(name) for name in names], prompt.kinds if prompt else frozenset()
    for kind in sorted(kinds.difference(*(card.prompt_kinds for card in cards))):
        able = [name for name, row in METHODS.items() if kind in models.card(row.model).prompt_kinds]
        raise UsageError(f"{called(*joined)} takes no {ways[kind]}; methods that do: {', '.join(able)}")
    for name, card in zip(names, cards, strict=True):
        if card.needs_prompt and not kinds & card.prompt_kinds:
            raise UsageError(f"model '{name}' needs {' or '.join(ways[kind] for kind in sorted(card.prompt_kinds))}")


def configure(method: Method | str, settings: Settings | None, keywords: Mapping[str, Any]) -> tuple[Method, Settings]:
    """Return a method and settings with keywords applied: parts and options of the method, and fields of `Settings`.

    Parameters
    ----------
    method : Method or str
    settings : Settings, optional
        By default those of the environment.
    keywords : mapping of str to value

    Returns
    -------
    method : Method
    settings : Settings

    Raises
    ------
    UnknownName, UsageError
        As `find`.
    UnknownOption
        If neither has a keyword, or a value has another type.
    """
    _check_types(method, settings)
    method = find(method) if isinstance(method, str) else method
    parts = {name: check_value(name, PARTS[name], value) for name, value in keywords.items() if name in PARTS}
    if "combine" in parts and method.second is None:
        raise UsageError("combine joins two methods, such as 'subject+stuff', but got one method")
    method = replace(method, **parts)
    own = {option.name: option.kind for each in (method, method.second) if each for option in _options(each)}
    machine = {each.name: each.type for each in fields(Settings)}
    changed: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in current_names("option", keywords).items():
        if name in own:
            options[name] = check_value(name, own[name], value)
        elif name in machine:
            changed[name] = check_value(name, machine[name], value, least=0)
        elif name not in PARTS:
            near = get_close_matches(name, [*own, *machine, *PARTS], 1)
            owners = _owners(name)
            hint = f"; it belongs to {owners}." if owners else f"; did you mean '{near[0]}'?" if near else "."
            raise UnknownOption(
                f"'{name}' is no option of this method{hint}"
                f" Its options: {', '.join(sorted(own))}; its parts: {', '.join(PARTS)}; settings: {', '.join(machine)}"
            )
    settings = settings or Settings.from_environment()
    return method.with_options(**options) if options else method, replace(settings, **changed) if changed else settings


def _check_types(method: object, settings: object) -> None:
    """Raise UsageError where something else was given by position."""
    if not isinstance(method, Method | str):
        raise UsageError(f"a method is a name or a Method, but got {_shown(method)}")
    if not isinstance(settings, Settings | None):
        raise UsageError(f"settings are a Settings, but got {_shown(settings)}; name options, such as device='cuda'")


def _shown(value: object) -> str:
    """Return the value as short text on one line."""
    return " ".join(repr(value).split())[:60]


def check_value(name: str, kind: Any, value: Any, least: float = -math.inf) -> Any:
    """Return the value as an option of that type holds it; raises UnknownOption for one of another type, or below `least`."""
    if isinstance(kind, UnionType):
        if value is None:
            return None
        kind = next(part for part in get_args(kind) if part is not NoneType)
    wanted, result = _numbers(value) if kind == tuple[int, ...] else _converted(kind, value)
    if result is None or (isinstance(result, int | float) and not least <= result < math.inf):
        bound = f" ≥ {least:g}" if kind in (int, float) and least > -math.inf else ""
        raise UnknownOption(f"{name} is {wanted}{bound}, but got {_shown(value)}")
    return result


def _numbers(value: Any) -> tuple[str, Any]:
    """Return the expected type in words, and the value as whole numbers, or None if it is something else."""
    numbers = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (None,)
    return "several whole numbers", numbers if all(isinstance(each, int) for each in numbers) else None


def _converted(kind: Any, value: Any) -> tuple[str, Any]:
    """Return the expected type in words, and the value as that type, or None if it is something else."""
    truth = type(value).__name__ in ("bool", "bool_")  # numpy's too
    if get_origin(kind) is Literal:
        known = get_args(kind)
        return f"one of {', '.join(known)}", value if isinstance(value, str) and value in known else None
    if kind is bool:
        return "True or False", bool(value) if truth else None
    if kind is int:
        return "a whole number", int(value) if isinstance(value, Integral) and not truth else None
    if kind is float:
        return "a number", float(value) if isinstance(value, Real) and not truth else None
    if get_origin(kind) is tuple:
        names = value.split(",") if isinstance(value, str) else value if isinstance(value, Iterable) else (None,)
        names = tuple(each.strip() if isinstance(each, str) else None for each in names)
        return "several names", None if None in names else names
    if isinstance(value, Integral) and not truth:  # keep=2
        value = str(int(value))
    text = (os.fspath(value) if isinstance(value, str | os.PathLike) else "") or None
    return ("a path", text and Path(text)) if kind is Path else ("text", text)


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """The options of a checked method, by its parts. Nothing is loaded yet."""

    model: Mapping[str, Plain]
    rule: Mapping[str, Plain]
    refiner: Mapping[str, Plain]


def split_options(method: Method) -> SplitOptions:
    """Sort a method's options to its three parts, before anything is loaded.

    Raises UnknownName, UnknownOption, and Mismatch where the rule cannot read what the model gives.
    """
    known = _known(method)
    output_type, wants = models.card(method.model).output_type, input_type(method.rule)
    if output_type is not wants:
        raise IncompatibleParts(
            f"rule '{method.rule}' needs {MAP_WORDS[wants]}, but model '{method.model}' gives {MAP_WORDS[output_type]};"
            f" rules for it: {', '.join(name for name in RULES if input_type(name) is output_type)}"
        )
    for name in method.options:
        if not any(name in names for names in known):
            raise _unknown_option(name, method)
    if method.second is not None:
        split_options(method.second)
    return SplitOptions(*({k: v for k, v in method.options.items() if k in names} for names in known))


def _unknown_option(name: str, method: Method) -> UnknownOption:
    """Return the error for an option that the method does not take: who takes it, and what this method takes instead."""
    joined = (method,) if method.second is None else (method, method.second)
    flags = ", ".join(_flag(each) for each in sorted(set().union(*map(option_names, joined)))) or "none"
    owners = _owners(name)
    if owners:
        problem = f"{_flag(name)} belongs to {owners}"
    else:
        near = get_close_matches(name, all_options(), 1, 0.7)
        problem = f"{_flag(name)} is no option of any method" + (f" (did you mean {_flag(near[0])}?)" if near else "")
    return UnknownOption(f"{problem}; options of {called(*joined)}: {flags}")


def _flag(option: str) -> str:
    """Return an option as the command spells it."""
    return f"--{option.replace('_', '-')}"


def _owners(option: str) -> str:
    """Return the methods that take an option, else the models, rules and refiners; empty if nothing takes it."""
    methods = [name for name, method in METHODS.items() if option in option_names(method)]
    if methods:
        return f"method{'' if len(methods) == 1 else 's'} {', '.join(methods)}"
    loads = {name: models.module(name).load for name in models.names()}
    tables: dict[str, Mapping[str, Callable[..., Any]]] = {"model": loads, "rule": RULES, "refiner": REFINERS}
    methods_found = [
        f"{kind} {name}"
        for kind, table in tables.items()
        for name, part in table.items()
        if option in {each.name for each in options_of(part)}
    ]
    return ", ".join(methods_found)


def called(*joined: Method) -> str:
    """Return the words for a method, or two joined, in a message: names in `METHODS` if there are any, else the parts."""
    rows = {(row.model, row.rule, row.refiner): name for name, row in METHODS.items()}
    parts = [(method.model, method.rule, method.refiner) for method in joined]
    if all(part in rows for part in parts):
        return f"method {'+'.join(rows[part] for part in parts)}"
    return " with ".join("model '{}', rule '{}' and refiner '{}'".format(*part) for part in parts)


def option_names(method: Method) -> set[str]:
    """Return the names of the options of all parts of a method; raises UnknownName."""
    return set().union(*_known(method))


def _known(method: Method) -> list[set[str]]:
    """Return the names of the options of model, rule and refiner; raises UnknownName."""
    for kind, name, table in (("rule", method.rule, RULES), ("refiner", method.refiner, REFINERS)):
        if name not in table:
            raise UnknownName(kind, name, table)
    return [{option.name for option in options_of(function)} for function in _functions(method)]


def _options(method: Method) -> list[Option]:
    """Return the options of model, rule and refiner; raises UnknownName."""
    _known(method)
    return [option for function in _functions(method) for option in options_of(function)]


def _functions(method: Method) -> tuple[Callable[..., Any], ...]:
    return models.module(method.model).load, RULES[method.rule], REFINERS[method.refiner]


def __getattr__(name: str) -> Any:
    """Return what has an old name."""
    return module_attribute(__name__, name)
