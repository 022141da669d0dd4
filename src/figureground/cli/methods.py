"""The command `methods`: what there is, under which license, trained on what; and all about one of them."""

import json
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin

import click

from figureground._deprecated import current, with_old_keys
from figureground.cli.command import command
from figureground.cli.options import json_option
from figureground.errors import UnknownName
from figureground.masks.refine import REFINERS
from figureground.masks.rules import RULES
from figureground.methods import DEFAULT, METHODS, Method, Option, find, options_of
from figureground.models import Card, card, module
from figureground.models.onnx_saliency import NETWORKS, REFUSED

PROMPTS = {"text": "phrases: --prompt, --not", "places": "points and a box: --point, --not-point, --box"}
"""The kinds of prompt, and their options."""
EXAMPLES = {"text": "--prompt 'the dog'", "places": "--point 50%,40%"}
"""Of each kind of prompt."""


@command()
@click.argument("name", required=False)
@json_option("Print the list as JSON.")
def methods(name: str | None, as_json: bool) -> None:
    """List the methods with their licenses, or show one of them.

    With NAME, the options of that method too.
    """
    if name is not None:
        row = describe(name)
        click.echo(json.dumps(row, ensure_ascii=False, indent=1) if as_json else "\n".join(_described(row)))
        return
    rows = [summarize(each) for each in METHODS]
    networks = [summarize(each) for each in NETWORKS]
    if as_json:
        click.echo(json.dumps([*rows, *networks], ensure_ascii=False, indent=1))
        return
    for row in rows:
        click.echo("\n".join(_head(row)))
    click.echo("networks of others, by name (figureground methods NAME shows each):")
    width = max(map(len, NETWORKS))
    for row in networks:
        click.echo(f"    {row['method']:{width}}  {row['about']}; {row['license']}")


def summarize(name: str) -> dict[str, Any]:
    """Return a method's parts, and the terms of its weights and of their training data, as plain data."""
    method = _method(name)
    label = card(method.model)
    parts = {"method": name, "model": method.model, "rule": method.rule, "refiner": method.refiner, "about": method.about}
    terms = {"weights": label.weights, "license": label.license, "permissive": label.permissive, "data": label.data}
    if name in NETWORKS:
        row = NETWORKS[name]
        terms = {"weights": row.source, "license": row.license, "permissive": row.permissive, "data": row.data}
    return with_old_keys({**parts, **terms})


def describe(name: str) -> dict[str, Any]:
    """Return all about one method as plain data: `summarize`, its prompts, options and an example; raises UnknownName."""
    name = current("method", name)
    label = card(_method(name).model)
    return {
        **summarize(name),
        "requires_extra": label.requires_extra or None,
        "prompt_kinds": sorted(label.prompt_kinds),
        "needs_prompt": label.needs_prompt,
        "options": list(_options(name)),
        "example": _example(name, label),
    }


def _method(name: str) -> Method:
    """Return the row of `METHODS`, or the method of a network; raises UnknownName, UsageError."""
    if name not in METHODS and name not in NETWORKS:
        if name in REFUSED:
            find(name)
        raise UnknownName("method", name, [*sorted(METHODS), *NETWORKS], ordered=True)
    return find(name)


def _options(name: str) -> Iterator[dict[str, Any]]:
    """Return the options of a method's model, rule and refiner, in this order."""
    method = _method(name)
    parts: dict[str, Callable[..., Any]] = {
        "model": module(method.model).load,
        "rule": RULES[method.rule],
        "refiner": REFINERS[method.refiner],
    }
    for part, function in parts.items():
        for option in options_of(function):
            default = method.options.get(option.name, option.default)
            flag = f"--{option.name.replace('_', '-')}"
            described = {"part": part, "name": option.name, "flag": flag, "values": _values(option)}
            yield {**described, "default": default, "help": option.help}


def _values(option: Option) -> str:
    """Return which values an option takes, in words; empty for a switch."""
    kinds = [kind for kind in get_args(option.kind) or (option.kind,) if kind is not type(None)]
    if get_origin(option.kind) is tuple:
        return "NAME,…"
    if isinstance(kinds[0], type):
        return {bool: "", int: "INTEGER", float: "NUMBER"}.get(kinds[0], "TEXT")
    return "|".join(map(str, kinds))


def _example(name: str, label: Card) -> str:
    """Return an example command for the method."""
    words = ["figureground remove photo.jpg"] + ([f"--method {name}"] if name != DEFAULT else [])
    if label.needs_prompt or "text" in label.prompt_kinds:
        words += [EXAMPLES[kind] for kind in sorted(label.prompt_kinds)]
    return " ".join(words)


def _head(row: dict[str, Any]) -> Iterator[str]:
    """Return the lines for a method in the list."""
    yield f"{row['method']}{' (default)' if row['method'] == DEFAULT else ''}: {row['about']}"
    yield f"    {row['model']} → {row['rule']} → {row['refiner']}"
    yield f"    weights: {row['weights']}; {row['license']}"
    yield f"    trained on: {row['data']}"


def _described(row: dict[str, Any]) -> Iterator[str]:
    """Return the lines that describe one method alone."""
    yield from _head(row)
    if row["requires_extra"]:
        yield f"    needs: pip install 'figureground[{row['requires_extra']}]'"
    prompts = "; ".join(PROMPTS[kind] for kind in row["prompt_kinds"]) or "none"
    yield f"    prompts: {prompts}{' (one is needed)' if row['needs_prompt'] else ''}"
    yield f"    example: {row['example']}"
    yield "    options:"
    heads = [f"{option['flag']} {option['values']}".strip() for option in row["options"]]
    width = max(map(len, heads), default=0)
    for head, option in zip(heads, row["options"], strict=True):
        default = option["default"]
        shown = "" if default in (None, False, (), "") else f"  [default: {default}]"
        yield f"      {head:{width}}  {option['help']}{shown}"
