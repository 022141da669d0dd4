"""Options declared once, as annotated parameters or fields, turned into flags of the command line."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

import click

from figureground.errors import UsageError
from figureground.io.png import EFFORTS
from figureground.methods import DEFAULT, METHODS, Combine, Method, all_options, find
from figureground.prompts import Prompt, box, point
from figureground.separation import VIEWS
from figureground.settings import Precision, Runtime, Settings

if TYPE_CHECKING:
    from figureground.jobs import JobSpec

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


def json_option(about: str) -> Callable[[F], F]:
    """--json: results, and the errors that end the command, as JSON; `main` reads from the context which it is."""

    def tell(context: click.Context, _: click.Parameter, value: bool) -> bool:
        context.ensure_object(dict)["json"] = value
        return value

    return click.option("--json", "as_json", is_flag=True, is_eager=True, callback=tell, help=about)


def runtime_options(command: F) -> F:
    """--runtime, --precision, --device and --threads: what executes the network; `settings_from` reads them."""
    for option in (
        click.option("--threads", type=click.IntRange(1), help="Threads of the network; else as many as cores."),
        click.option("--device", metavar="NAME", help="Where it runs: cpu, cuda … as `figureground doctor` lists them."),
        click.option("--precision", type=click.Choice(get_args(Precision)), help="Of its numbers; the default fp32 is exact."),
        click.option("--runtime", type=click.Choice(get_args(Runtime)), help="What executes it; auto takes what pays."),
    ):
        command = option(command)
    return command


def settings_from(options: dict[str, Any]) -> Settings:
    """The settings of the environment with those of the flags over them, which are taken out of `options`."""
    names = [field.name for field in fields(Settings) if field.name in options]
    return replace(Settings.from_environment(), **given({name: options.pop(name) for name in names}))


draft_option = click.option(
    "--draft", is_flag=True, default=None, help="Decode JPEGs at a fraction of their size: quicker, for masks and names."
)


def prompt_options(command: F) -> F:
    """--prompt, --not, --point, --not-point and --box: what the user says of the picture; `prompt_from` reads them."""
    for option in (
        click.option("--box", metavar="L,T,R,B", help="The foreground lies in this box: left,top,right,bottom."),
        click.option("--not-point", multiple=True, metavar="X,Y", help="This place is background; may be given several times."),
        click.option("--point", multiple=True, metavar="X,Y", help="This place is foreground, in pixels or per cent: 50%,40%."),
        click.option("--not", "without", multiple=True, metavar="TEXT", help="What is background, in words."),
        click.option("--prompt", multiple=True, metavar="TEXT", help="What is foreground, in words; several are joined."),
    ):
        command = option(command)
    return command


def prompt_from(options: dict[str, Any]) -> Prompt | None:
    """The prompt of the flags, which are taken out of `options`; None where nothing was said. Raises UsageError."""
    text, without, corners = options.pop("prompt"), options.pop("without"), options.pop("box")
    points, not_points = (tuple(map(point, options.pop(name))) for name in ("point", "not_point"))
    prompt = Prompt(text, without, points, not_points, box(corners) if corners else None)
    return prompt if prompt.kinds else None


def method_options(command: F) -> F:
    """--method, its parts, and the options of every model, rule and refiner, read from their signatures."""
    for option in sorted(all_options().values(), key=lambda option: option.name, reverse=True):
        command = flag(option.name, option.kind, option.help, option.default)(command)
    for part in ("refiner", "rule", "model"):
        command = flag(part, str, f"Another {part} than the method's own.")(command)
    join = "How two methods joined by + become one; product lets the second veto."
    command = click.option("--combine", type=click.Choice(get_args(Combine)), help=f"{join}  [default: mean]")(command)
    return click.option(
        "-m",
        "--method",
        default=DEFAULT,
        show_default=True,
        metavar="NAME",
        help=f"{', '.join(METHODS)}, or two: subject+stuff",
    )(command)


_PARTS = ("model", "rule", "refiner", "combine")


def chosen(method: str, options: dict[str, Any]) -> Method:
    """The method that the flags describe; raises UnknownName."""
    set_here = given(options)
    method_found, parts = find(method), {part: set_here.pop(part) for part in _PARTS if part in set_here}
    if "combine" in parts and method_found.second is None:
        raise UsageError(f"--combine joins two methods, such as subject+stuff, but --method {method} is one")
    return replace(method_found, **parts).with_options(**set_here)


def job_options(command: F) -> F:
    """All that decides what is made of a picture: method, views, look, prompt, limits; `product_from` reads them."""
    for option in (
        runtime_options,
        click.option("--max-pixels", type=click.IntRange(1), help="Refuse larger pictures.  [default: 100000000]"),
        click.option("--lenient", is_flag=True, default=None, help="Take what can be read of truncated pictures."),
        draft_option,
        click.option("--require-subject", is_flag=True, help="A picture without foreground is an error."),
        prompt_options,
        click.option(
            "--png-effort",
            type=click.Choice(list(EFFORTS)),
            default="fast",
            show_default=True,
            help="Of PNG; small takes many times as long.",
        ),
        click.option(
            "--encoder-quality", type=click.IntRange(1, 100), help="Of JPEG, WebP and AVIF; WebP is lossless without it."
        ),
        click.option("--background", metavar="COLOR", help="Put a color behind the cut-out: white, #rrggbb …"),
        click.option(
            "--view", default="cutout", show_default=True, metavar="NAME,…", help=f"What to write: {', '.join(VIEWS)}."
        ),
        method_options,
    ):
        command = option(command)
    return command


def spec_from(options: dict[str, Any]) -> "JobSpec":
    """Return the job of the flags, which are taken out of `options`. Raises UsageError and its kin."""
    from figureground.io.encode import EncodeOptions
    from figureground.jobs import JobSpec

    parts = {name: options.pop(name) for name in [*all_options(), *_PARTS]}
    method = chosen(options.pop("method"), parts)
    settings = settings_from(options)
    views = tuple(dict.fromkeys(name.strip() for name in options.pop("view").split(",") if name.strip()))
    encode_options = EncodeOptions(options.pop("background"), options.pop("encoder_quality"), options.pop("png_effort"))
    return JobSpec(method, settings, views, encode_options, prompt_from(options), options.pop("require_subject"))


def import_part(module: str, what: str, extra: str) -> Any:
    """A module that needs an extra; raises MissingExtra."""
    from importlib import import_module

    from figureground.errors import MissingExtra

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{what} ({error.name})", extra) from error
