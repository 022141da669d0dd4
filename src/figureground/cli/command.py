"""Commands whose options stand in groups: `--help` shows the common ones, `--help-all` shows every one.

`option` declares an option with its group. `inject` passes what is built of several options as one argument.
"""

from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any, Protocol, TypeVar, cast

import click
import cloup
from cloup.formatting import ensure_is_cloup_formatter

from figureground.cli.presets import apply_presets

F = TypeVar("F", bound=Callable[..., Any])


class Decorator(Protocol):
    """Adds an option to a function, whatever its type."""

    def __call__(self, function: F, /) -> F:
        """Return the function with the option."""


GROUPS = ("Input", "Output", "Method", "Prompt", "Appearance", "Performance", "Limits", "Other")
"""The groups of options, in the order in which the help shows them."""
ALL = "figureground.help_all"


class GroupedOption(click.Option):
    """An option of a group, which `--help` shows if it is common."""

    def __init__(self, *args: Any, group: cloup.OptionGroup | None = None, common: bool = False, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.group, self.common = group, common

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the two columns of the help, or None where this help leaves the option out."""
        return super().get_help_record(ctx) if self.common or ctx.meta.get(ALL) else None


def option(*names: str, group: str, **attrs: Any) -> Decorator:
    """Declare an option in a group; `common=True` shows it in `--help` too. Other arguments are those of click.option."""
    return cloup.option(*names, cls=GroupedOption, group=cloup.OptionGroup(group), **attrs)


class Command(cloup.Command):
    """A command with grouped options, presets where it has `--preset`, and `--help-all` where it has rare options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        params: list[click.Parameter] = list(kwargs.get("params") or [])
        groups = {name: cloup.OptionGroup(name) for name in GROUPS}  # groups hold their options, so each command needs its own
        grouped = [param for param in params if isinstance(param, GroupedOption)]
        for param in grouped:
            param.group = groups[param.group.title] if param.group is not None else None
        if any(not param.common for param in grouped):
            show = GroupedOption(
                ["--help-all"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_show_all,
                common=True,
                group=groups["Other"],
                help="Show every option and exit.",
            )
            params.append(show)
        order = {id(group): place for place, group in enumerate(groups.values())}
        params.sort(key=lambda param: order.get(id(getattr(param, "group", None)), -1))
        super().__init__(*args, **{**kwargs, "params": params})
        self.rare = any(not param.common for param in grouped)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words, with the values of presets as defaults."""
        if any(param.name == "preset" for param in self.params):
            apply_presets(self, ctx, args)
        return super().parse_args(ctx, args)

    def make_option_group_help_section(self, group: cloup.OptionGroup, ctx: click.Context) -> Any:
        """Return the section of a group; an empty one is not shown."""
        section = super().make_option_group_help_section(group, ctx)
        return section if section.definitions else _Nothing

    def format_params(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections that are not empty."""
        formatter = ensure_is_cloup_formatter(formatter)
        sections = [self.make_option_group_help_section(group, ctx) for group in self.option_groups]
        rest = self.get_default_option_group(ctx, is_the_only_visible_option_group=not sections)
        last = super().make_option_group_help_section(rest, ctx)
        shown = [section for section in sections if section is not _Nothing]
        if shown and shown[-1].heading == GROUPS[-1]:  # --help belongs to the others
            shown[-1].definitions = [*shown[-1].definitions, *last.definitions]
        else:
            shown.append(last)
        formatter.write_many_sections(shown, aligned=True)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say how to see the other options."""
        if self.rare and not ctx.meta.get(ALL):
            formatter.write(f"\nAll options: {ctx.command_path} --help-all\n")


_Nothing = object()


def _show_all(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()


command = cast("Callable[..., Callable[[Callable[..., Any]], Command]]", partial(cloup.command, cls=Command))


def inject(name: str, build: Callable[..., Any], names: Iterable[str], *options: Decorator) -> Decorator:
    """Add `options` to a command, and pass it what `build` makes of the values called `names` as one argument `name`."""
    taken = tuple(names)

    def decorate(function: F) -> F:
        @wraps(function)
        def with_built(*args: Any, **values: Any) -> Any:
            built = build(**{each: values.pop(each) for each in taken})
            return function(*args, **{name: built}, **values)

        result: Any = with_built
        for each in options:
            result = each(result)
        return cast("F", result)

    return decorate
