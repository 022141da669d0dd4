"""Options declared once, as annotated parameters or fields, turned into flags of the command line."""

from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import click

F = TypeVar("F", bound=Callable[..., Any])


def flag(name: str, kind: Any, about: str, default: Any = None) -> Callable[[F], F]:
    """A click option `--name` for a bool, int, float, str, Literal, tuple[str, ...], or one of them | None."""
    if get_origin(kind) is Annotated:
        kind, about = get_args(kind)[:2]
    if isinstance(kind, UnionType):
        kind = next(part for part in get_args(kind) if part is not NoneType)
    spelled = "--" + name.replace("_", "-")
    shown = f"{about}  [default: {default}]" if default not in (None, False, (), "") else about
    if kind is bool:
        return click.option(spelled, name, is_flag=True, default=None, help=shown)
    if get_origin(kind) is Literal:
        return click.option(spelled, name, type=click.Choice(get_args(kind)), help=shown)
    if get_origin(kind) is tuple:
        return click.option(spelled, name, metavar="NAME,…", callback=_names, help=shown)
    return click.option(spelled, name, type=kind, help=shown)


def _names(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Only what the user set: the rest keeps its default where that is declared."""
    return {name: value for name, value in values.items() if value is not None}
