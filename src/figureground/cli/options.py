"""Options declared once, as annotated parameters or fields, turned into flags of the command line."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import wraps
from inspect import signature
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast, get_args, get_origin

import click

from figureground.errors import UsageError
from figureground.io.png import EFFORTS, Effort
from figureground.methods import DEFAULT, METHODS, Combine, Method, all_options, find
from figureground.prompts import Prompt
from figureground.prompts import box as parse_box
from figureground.prompts import point as parse_point
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


def inject(name: str, build: Callable[..., Any], names: Iterable[str], *options: Callable[[F], F]) -> Callable[[F], F]:
    """Add `options` to a command, and pass it what `build` makes of the values called `names` as one argument `name`."""
    taken = tuple(names)

    def decorate(command: F) -> F:
        @wraps(command)
        def with_built(*args: Any, **values: Any) -> Any:
            built = build(**{each: values.pop(each) for each in taken})
            return command(*args, **{name: built}, **values)

        result: Any = with_built
        for option in options:
            result = option(result)
        return cast("F", result)

    return decorate


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Only what the user set: the rest keeps its default where that is declared."""
    return {name: value for name, value in values.items() if value is not None}


def json_option(about: str) -> Callable[[F], F]:
    """--json: results, and the errors that end the command, as JSON; `main` reads from the context which it is."""

    def tell(context: click.Context, _: click.Parameter, value: bool) -> bool:
        context.ensure_object(dict)["json"] = value
        return value

    return click.option("--json", "as_json", is_flag=True, is_eager=True, callback=tell, help=about)


def _settings(**values: Any) -> Settings:
    """Return the settings of the environment with those of the flags over them."""
    return replace(Settings.from_environment(), **given(values))


_RUNTIME = (
    click.option("--threads", type=click.IntRange(1), help="Threads of the network; else as many as cores."),
    click.option("--device", metavar="NAME", help="Where it runs: cpu, cuda … as `figureground doctor` lists them."),
    click.option("--precision", type=click.Choice(get_args(Precision)), help="Of its numbers; the default fp32 is exact."),
    click.option("--runtime", type=click.Choice(get_args(Runtime)), help="What executes it; auto takes what pays."),
)
_DRAFT = click.option(
    "--draft", is_flag=True, default=None, help="Decode JPEGs at a fraction of their size: quicker, for masks and names."
)
_DECODING = (
    click.option("--max-pixels", type=click.IntRange(1), help="Refuse larger pictures.  [default: 100000000]"),
    click.option("--lenient", is_flag=True, default=None, help="Take what can be read of truncated pictures."),
    _DRAFT,
)
_RUNTIME_NAMES = ("runtime", "precision", "device", "threads")

runtime_options = inject("settings", _settings, _RUNTIME_NAMES, *_RUNTIME)
"""--runtime, --precision, --device and --threads, which the command gets as `settings`."""
runtime_and_draft_options = inject("settings", _settings, (*_RUNTIME_NAMES, "draft"), _DRAFT, *_RUNTIME)
"""These and --draft."""
threads_option = inject(
    "settings",
    _settings,
    ("threads",),
    click.option("--threads", type=click.IntRange(1), help="Processor threads; else as many as cores."),
)
"""--threads alone, which the command gets as `settings`."""


def _prompt(
    prompt: tuple[str, ...], without: tuple[str, ...], point: tuple[str, ...], not_point: tuple[str, ...], box: str | None
) -> Prompt | None:
    """Return the prompt of the flags, or None where there is none; raises UsageError."""
    points, not_points = tuple(map(parse_point, point)), tuple(map(parse_point, not_point))
    built = Prompt(prompt, without, points, not_points, parse_box(box) if box else None)
    return built if built.kinds else None


_PROMPT = (
    click.option("--box", metavar="L,T,R,B", help="The foreground lies in this box: left,top,right,bottom."),
    click.option("--not-point", multiple=True, metavar="X,Y", help="This place is background; may be given several times."),
    click.option("--point", multiple=True, metavar="X,Y", help="This place is foreground, in pixels or per cent: 50%,40%."),
    click.option("--not", "without", multiple=True, metavar="TEXT", help="What is background, in words."),
    click.option("--prompt", multiple=True, metavar="TEXT", help="What is foreground, in words; several are joined."),
)
prompt_options = inject("prompt", _prompt, ("prompt", "without", "point", "not_point", "box"), *_PROMPT)
"""--prompt, --not, --point, --not-point and --box, which the command gets as `prompt`."""

_PARTS = ("model", "rule", "refiner", "combine")


def build_method(method: str, **values: Any) -> Method:
    """Return the method that the flags describe; raises UnknownName."""
    set_here = given(values)
    method_found, parts = find(method), {part: set_here.pop(part) for part in _PARTS if part in set_here}
    if "combine" in parts and method_found.second is None:
        raise UsageError(f"--combine joins two methods, such as subject+stuff, but --method {method} is one")
    return replace(method_found, **parts).with_options(**set_here)


def _method_flags() -> Iterator[Callable[[F], F]]:
    """Yield --method, its parts, and the options of every model, rule and refiner, read from their signatures; last first."""
    for option in sorted(all_options().values(), key=lambda option: option.name, reverse=True):
        yield flag(option.name, option.kind, option.help, option.default)
    for part in ("refiner", "rule", "model"):
        yield flag(part, str, f"Another {part} than the method's own.")
    join = "How two methods joined by + become one; product lets the second veto."
    yield click.option("--combine", type=click.Choice(get_args(Combine)), help=f"{join}  [default: mean]")
    about = f"{', '.join(METHODS)}, or two: subject+stuff"
    yield click.option("-m", "--method", default=DEFAULT, show_default=True, metavar="NAME", help=about)


def method_options(command: F) -> F:
    """--method and all that belongs to methods, which the command gets as `method`, a Method."""
    return inject("method", build_method, ("method", *_PARTS, *all_options()), *_method_flags())(command)


def _spec(
    method: Method,
    settings: Settings,
    prompt: Prompt | None,
    view: str,
    background: str | None,
    encoder_quality: int | None,
    png_effort: Effort,
    require_subject: bool,
) -> "JobSpec":
    from figureground.io.encode import EncodeOptions
    from figureground.jobs import JobSpec

    views = tuple(dict.fromkeys(name.strip() for name in view.split(",") if name.strip()))
    return JobSpec(method, settings, views, EncodeOptions(background, encoder_quality, png_effort), prompt, require_subject)


_APPEARANCE = (
    click.option("--require-subject", is_flag=True, help="A picture without foreground is an error."),
    click.option(
        "--png-effort",
        type=click.Choice(list(EFFORTS)),
        default="fast",
        show_default=True,
        help="Of PNG; small takes many times as long.",
    ),
    click.option("--encoder-quality", type=click.IntRange(1, 100), help="Of JPEG, WebP and AVIF; WebP is lossless without it."),
    click.option("--background", metavar="COLOR", help="Put a color behind the cut-out: white, #rrggbb …"),
    click.option("--view", default="cutout", show_default=True, metavar="NAME,…", help=f"What to write: {', '.join(VIEWS)}."),
)


def job_options(command: F) -> F:
    """All that decides what is made of a picture, which the command gets as `spec`, a JobSpec."""
    names = signature(_spec).parameters
    decoding = inject("settings", _settings, (*_RUNTIME_NAMES, "max_pixels", "lenient", "draft"), *_RUNTIME, *_DECODING)
    return method_options(prompt_options(decoding(inject("spec", _spec, names, *_APPEARANCE)(command))))


def import_part(module: str, what: str, extra: str) -> Any:
    """A module that needs an extra; raises MissingExtra."""
    from importlib import import_module

    from figureground.errors import MissingExtra

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{what} ({error.name})", extra) from error
