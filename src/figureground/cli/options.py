"""Options declared once, as annotated parameters or fields, turned into flags of the command line."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from inspect import signature
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import click
from click.shell_completion import CompletionItem

from figureground.cli.command import Decorator, inject, option
from figureground.compositing.options import PRESETS, EditOptions, with_preset
from figureground.errors import UsageError
from figureground.io.png import EFFORTS, Effort
from figureground.methods import DEFAULT, METHODS, Combine, Method, all_options, find
from figureground.models.onnx_saliency import NETWORKS
from figureground.prompts import Prompt
from figureground.prompts import box as parse_box
from figureground.prompts import point as parse_point
from figureground.separation import VIEWS
from figureground.settings import Precision, Runtime, Settings

if TYPE_CHECKING:
    from figureground.jobs import Frames, JobSpec

F = TypeVar("F", bound=Callable[..., Any])


def flag(name: str, kind: Any, about: str, default: Any = None, *, group: str = "Method", common: bool = False) -> Decorator:
    """Declare an option `--name` for a bool, int, float, str, Literal, tuple[str, ...], or one of them | None."""
    metavar = None
    if get_origin(kind) is Annotated:
        kind, about, metavar = (*get_args(kind), None)[:3]
    if get_origin(kind) in (Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not NoneType)
    spelled = "--" + name.replace("_", "-")
    shown = f"{about}  [default: {default}]" if default not in (None, False, (), "") else about
    more: dict[str, Any] = {"group": group, "common": common, "help": shown}
    if kind is bool:
        return option(spelled, name, is_flag=True, default=None, **more)
    if get_origin(kind) is Literal:
        choice = _QualityChoice if name == "quality" else click.Choice
        return option(spelled, name, type=choice(get_args(kind)), **more)
    if get_origin(kind) is tuple:
        return option(spelled, name, metavar="NAME,…", callback=_names, **more)
    return option(spelled, name, type=kind, metavar=metavar, **more)


class _QualityChoice(click.Choice[str]):
    """The choices of --quality; a number is meant for the encoder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the choice."""
        if str(value).isdigit():
            names = ", ".join(map(str, self.choices))
            self.fail(f"it is one of {names}; the quality of JPEG, WebP and AVIF is --encoder-quality {value}", param, ctx)
        return super().convert(value, param, ctx)


def _names(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return only what the user set: the rest keeps its default where that is declared."""
    return {name: value for name, value in values.items() if value is not None}


def json_option(about: str) -> Decorator:
    """Declare --json: results, and the errors that end the command, as JSON; `main` reads it from the context."""

    def tell(context: click.Context, _: click.Parameter, value: bool) -> bool:
        context.ensure_object(dict)["json"] = value
        return value

    return option("--json", "as_json", is_flag=True, is_eager=True, callback=tell, group="Output", common=True, help=about)


def preset_options(command: F) -> F:
    """Add --preset and --config, which `Command` reads before all other options."""
    path = click.Path(dir_okay=False)
    for each in (
        option("--config", type=path, expose_value=False, group="Other", help="File with presets; see `figureground config`."),
        option(
            "--preset",
            multiple=True,
            metavar="NAME",
            expose_value=False,
            group="Other",
            common=True,
            help=f"Use the options of a preset: {', '.join(PRESETS)}, or one of your configuration; may be repeated.",
        ),
    ):
        command = each(command)
    return command


def _settings(**values: Any) -> Settings:
    """Return the settings of the environment with those of the flags over them."""
    return replace(Settings.from_environment(), **given(values))


_THREADS = option(
    "--threads", type=click.IntRange(1), group="Performance", common=True, help="Number of processor threads; all by default."
)
_RUNTIME = (
    _THREADS,
    option("--device", metavar="NAME", group="Performance", help="cpu, cuda … as `figureground doctor` lists them."),
    option(
        "--precision",
        type=click.Choice(get_args(Precision)),
        group="Performance",
        help="Numbers of the network; fp32, the default, is exact.",
    ),
    option(
        "--runtime",
        type=click.Choice(get_args(Runtime)),
        group="Performance",
        help="Library that runs the network; auto chooses the fastest that is installed.",
    ),
)
_DRAFT = option(
    "--draft",
    is_flag=True,
    default=None,
    group="Performance",
    help="Decode JPEGs at a fraction of their size: faster, for masks and class names.",
)
_DECODING = (
    option("--max-pixels", type=click.IntRange(1), group="Limits", help="Refuse larger pictures.  [default: 100000000]"),
    option("--lenient", is_flag=True, default=None, group="Input", help="Read truncated pictures as far as possible."),
    _DRAFT,
)
_RUNTIME_NAMES = ("runtime", "precision", "device", "threads")

runtime_options = inject("settings", _settings, _RUNTIME_NAMES, *_RUNTIME)
"""--runtime, --precision, --device and --threads, which the command gets as `settings`."""
runtime_and_draft_options = inject("settings", _settings, (*_RUNTIME_NAMES, "draft"), _DRAFT, *_RUNTIME)
"""These and --draft."""
threads_option = inject("settings", _settings, ("threads",), _THREADS)
"""--threads alone, which the command gets as `settings`."""


def _prompt(
    prompt: tuple[str, ...], without: tuple[str, ...], point: tuple[str, ...], not_point: tuple[str, ...], box: str | None
) -> Prompt | None:
    """Return the prompt of the flags, or None where there is none; raises UsageError."""
    for text in (*point, *not_point, *([box] if box else [])):
        _refuse_fractions(text)
    points, not_points = tuple(map(parse_point, point)), tuple(map(parse_point, not_point))
    built = Prompt(prompt, without, points, not_points, parse_box(box) if box else None)
    return built if built.kinds else None


def _refuse_fractions(text: str) -> None:
    """Raise UsageError for a number such as 0.5, which would be a pixel in the corner, but is meant as a share."""
    for part in text.split(","):
        if re.fullmatch(r"\s*0?\.\d+\s*", part) and float(part) > 0:
            raise UsageError(
                f"coordinates are pixels or per cent, but got '{text}'; write {100 * float(part):g}% for {part.strip()}"
            )


_PROMPT = (
    option("--box", metavar="L,T,R,B", group="Prompt", common=True, help="Box around the foreground: left,top,right,bottom."),
    option(
        "--not-point",
        multiple=True,
        metavar="X,Y",
        group="Prompt",
        common=True,
        help="A background place; may be repeated.",
    ),
    option(
        "--point",
        multiple=True,
        metavar="X,Y",
        group="Prompt",
        common=True,
        help="A foreground place, in pixels or per cent: 50%,40%; may be repeated.",
    ),
    option("--not", "without", multiple=True, metavar="TEXT", group="Prompt", help="What is background, in words."),
    option(
        "--prompt",
        multiple=True,
        metavar="TEXT",
        group="Prompt",
        common=True,
        help="What is foreground, in words, for --method text; may be repeated.",
    ),
)
prompt_options = inject("prompt", _prompt, ("prompt", "without", "point", "not_point", "box"), *_PROMPT)
"""--prompt, --not, --point, --not-point and --box, which the command gets as `prompt`."""

_PARTS = ("model", "rule", "refiner", "combine")
COMMON_METHOD_OPTIONS = frozenset({"quality", "keep_largest"})


def build_method(method: str, **values: Any) -> Method:
    """Return the method that the flags describe; raises UnknownName."""
    set_here = given(values)
    method_found, parts = find(method), {part: set_here.pop(part) for part in _PARTS if part in set_here}
    if "combine" in parts and method_found.second is None:
        raise UsageError(f"--combine joins two methods, such as subject+stuff, but --method {method} is one")
    return replace(method_found, **parts).with_options(**set_here)


class _MethodName(click.ParamType[str]):
    """The name of a method, which shells complete."""

    name = "name"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the methods that begin so."""
        first, plus, second = incomplete.rpartition("+")
        return [CompletionItem(first + plus + name) for name in (*METHODS, *NETWORKS) if name.startswith(second)]


def _method_flags() -> Iterator[Decorator]:
    """Yield --method, its parts, and the options of every model, rule and refiner, read from their signatures; last first."""
    for each in sorted(all_options().values(), key=lambda each: each.name, reverse=True):
        yield flag(each.name, each.kind, each.help, each.default, common=each.name in COMMON_METHOD_OPTIONS)
    for part in ("refiner", "rule", "model"):
        yield flag(part, str, f"Use another {part} than the method's own.")
    about = "How the masks of two methods are combined; product needs both."
    yield option("--combine", type=click.Choice(get_args(Combine)), group="Method", help=f"{about}  [default: mean]")
    about = f"{', '.join(METHODS)}; two: subject+stuff; a network of `figureground methods`; or a file: my.onnx"
    yield option(
        "-m",
        "--method",
        type=_MethodName(),
        default=DEFAULT,
        show_default=True,
        metavar="NAME",
        group="Method",
        common=True,
        help=about,
    )


def method_options(command: F) -> F:
    """Add --method and all that belongs to methods, which the command gets as `method`, a Method."""
    return inject("method", build_method, ("method", *_PARTS, *all_options()), *_method_flags())(command)


def _views(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for text in values for name in text.split(",") if name.strip()))


def _spec(
    method: Method,
    settings: Settings,
    prompt: Prompt | None,
    views: tuple[str, ...],
    encoder_quality: int | None,
    png_effort: Effort,
    require_subject: bool,
    keep_metadata: bool,
    keep_gps: bool,
    frames: "Frames",
    **edits: Any,
) -> "JobSpec":
    from figureground.io.encode import EncodeOptions
    from figureground.jobs import JobSpec

    encode_options = EncodeOptions(
        quality=encoder_quality, png_effort=png_effort, keep_metadata=keep_metadata, keep_gps=keep_gps
    )
    return JobSpec(method, settings, views, encode_options, prompt, require_subject, with_preset(None, edits), frames)


COMMON_EDITS = frozenset({"crop", "margin", "background", "shadow", "outline"})


def _edit_flags() -> Iterator[Decorator]:
    """Yield a flag for each field of `EditOptions`; last first."""
    kinds = get_type_hints(EditOptions, include_extras=True)
    for each in reversed(fields(EditOptions)):
        yield flag(each.name, kinds[each.name], "", each.default, group="Appearance", common=each.name in COMMON_EDITS)


_APPEARANCE = (
    option("--require-subject", is_flag=True, group="Limits", help="Treat a picture without foreground as an error."),
    option(
        "--png-effort",
        type=click.Choice(list(EFFORTS)),
        default="fast",
        show_default=True,
        group="Output",
        help="How hard to compress PNG; best takes many times as long.",
    ),
    option(
        "--encoder-quality",
        type=click.IntRange(1, 100),
        group="Output",
        help="Quality of JPEG, WebP and AVIF files; without it WebP is lossless.",
    ),
    option(
        "--frames",
        type=click.Choice(["first", "all"]),
        default="first",
        show_default=True,
        group="Output",
        help="Frames of an animated GIF, WebP or PNG; all writes an animation: .webp, .png, .apng or .gif.",
    ),
    option("--keep-gps", is_flag=True, group="Output", help="Keep the position among the metadata."),
    option("--keep-metadata", is_flag=True, group="Output", help="Keep each picture's EXIF and XMP, all but its position."),
    *_edit_flags(),
    option(
        "--view",
        "views",
        multiple=True,
        default=("cutout",),
        metavar="NAME,…",
        callback=_views,
        group="Output",
        common=True,
        help=f"What to write: {', '.join(VIEWS)}; may be repeated.  [default: cutout]",
    ),
)


def job_options(command: F) -> F:
    """Add all that decides what is made of a picture, which the command gets as `spec`, a JobSpec."""
    names = [name for name in signature(_spec).parameters if name != "edits"] + [each.name for each in fields(EditOptions)]
    decoding = inject("settings", _settings, (*_RUNTIME_NAMES, "max_pixels", "lenient", "draft"), *_RUNTIME, *_DECODING)
    return preset_options(method_options(prompt_options(decoding(inject("spec", _spec, names, *_APPEARANCE)(command)))))


def import_part(module: str, what: str, extra: str) -> Any:
    """Import and return a module that needs an extra; raises MissingExtra."""
    from importlib import import_module

    from figureground.errors import MissingExtra

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{what} ({error.name})", extra) from error
