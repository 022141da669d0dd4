"""The options of a request: those of the command, as typed fields, read from the same tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from figureground.compositing.canvas import parse_canvas
from figureground.compositing.options import EditOptions
from figureground.errors import UsageError
from figureground.io.encode import ENCODERS, EncodeOptions
from figureground.io.png import EFFORTS
from figureground.jobs import Frames, JobSpec
from figureground.masks.refine import REFINERS
from figureground.masks.rules import RULES
from figureground.methods import Combine, all_options, find
from figureground.prompts import Prompt
from figureground.prompts import box as parse_box
from figureground.prompts import point as parse_point
from figureground.separation import VIEWS
from figureground.server.errors import Refused
from figureground.settings import Settings

LOCAL = frozenset({"weights", "mask_weights"})
"""Options that name files and hub ids: only the command that starts the server sets these."""
FORMATS = tuple(suffix[1:] for suffix in ENCODERS)
_PLACE = re.compile(r"[-+0-9.,% ]{3,100}")
_MOST = 1_000_000_000


class Options(BaseModel):
    """What all requests' options have in common."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


def _split(value: Any) -> Any:
    """Several names: a list, or one text with commas."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return [part.strip() for each in value for part in each.split(",") if part.strip()]
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _field(kind: Any) -> Any:
    """Return the type of an option as a field: the same, with bounds."""
    if isinstance(kind, UnionType):
        kind = next(part for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is tuple:
        name = Annotated[str, Field(max_length=100)]
        return Annotated[list[name], Field(max_length=200), BeforeValidator(_split)]
    bounds: dict[Any, Any] = {
        int: Field(ge=-_MOST, le=_MOST),
        float: Field(ge=-_MOST, le=_MOST, allow_inf_nan=False),
        str: Field(max_length=100),
    }
    return Annotated[kind, bounds[kind]] if kind in bounds else kind


def options_model(methods: Sequence[str]) -> type[Options]:
    """Return the model of a request's options, for the methods that the server offers."""
    names = (*methods, *(f"{one}+{other}" for one in methods for other in methods if one != other))
    place = Annotated[str, Field(max_length=100, pattern=_PLACE.pattern)]
    phrase = Annotated[str, Field(min_length=1, max_length=200)]
    places = Annotated[list[place], Field(max_length=100), BeforeValidator(_listed)]
    phrases = Annotated[list[phrase], Field(max_length=20), BeforeValidator(_listed)]
    view: Any = Literal[tuple(VIEWS)]
    views = Annotated[list[view], Field(min_length=1, max_length=20), BeforeValidator(_split)]
    fields: dict[str, tuple[Any, str]] = {
        "method": (Literal[names], "The method."),
        "combine": (Combine, "How the masks of two methods are combined."),
        "rule": (Literal[tuple(RULES)], "Another rule than the method's own."),
        "refiner": (Literal[tuple(REFINERS)], "Another refiner than the method's own."),
        **{each.name: (_field(each.kind), each.help) for each in all_options().values() if each.name not in LOCAL},
        "prompt": (phrases, "What is foreground, in words."),
        "without": (phrases, "What is background, in words."),
        "point": (places, "Foreground places: x,y in pixels or per cent."),
        "not_point": (places, "Background places: x,y in pixels or per cent."),
        "box": (place, "A box around the foreground: left,top,right,bottom in pixels or per cent."),
        "view": (views, "What to return; several views as a ZIP file or as JSON."),
        **_edit_fields(),
        "frames": (Frames, "Which frames of an animated picture are separated."),
        "format": (Literal[FORMATS], "Format of the images, where the Accept header does not say it."),
        "encoder_quality": (
            Annotated[int, Field(ge=1, le=100)],
            "Quality of JPEG, WebP and AVIF; without it WebP is lossless.",
        ),
        "png_effort": (Literal[tuple(EFFORTS)], "How hard to compress PNG."),
        "require_subject": (bool, "Treat a picture without foreground as an error."),
        "keep_metadata": (bool, "Keep the picture's metadata, all but its position."),
        "keep_gps": (bool, "Keep its position too."),
        "lenient": (bool, "Read truncated pictures as far as possible."),
        "draft": (bool, "Decode JPEGs at a fraction of their size: for masks and class names."),
    }
    columns: dict[str, Any] = {name: (kind | None, Field(None, description=about)) for name, (kind, about) in fields.items()}
    model: type[Options] = create_model("Options", __base__=Options, **columns)
    return model


def _edit_fields() -> dict[str, tuple[Any, str]]:
    """Return the fields of `EditOptions`, with what each does."""
    hints = get_type_hints(EditOptions, include_extras=True)
    rows = {each.name: get_args(hints[each.name])[:2] for each in fields(EditOptions)}
    edits = {name: (_field(kind), str(about)) for name, (kind, about) in rows.items()}
    return edits | {
        "background": (edits["background"][0], "Behind the cut-out: a color, blur[:RADIUS], gray, original or checker.")
    }


def read_options(model: type[Options], values: Mapping[str, Any]) -> Options:
    """Return the checked options; raises Refused (422), which names the field."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> Refused:
    """Return the answer to a field that is unknown or of another type."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])[:100] or "body"
    return Refused("usage", f"{name}: {first['msg']}", status=422, field=name)


def form_values(model: type[BaseModel], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the fields of a form or a query: a list where a field may hold several, or was given several times."""
    values: dict[str, Any] = {}
    for name, text in pairs:
        if text != "":
            values.setdefault(name, []).append(text)
    lists = _list_fields(model)
    return {name: texts if name in lists or len(texts) > 1 else texts[0] for name, texts in values.items()}


@cache
def _list_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the fields that may hold several values; cached, since the text of a type takes long to make."""
    return frozenset(name for name, each in model.model_fields.items() if "list[" in str(each.annotation))


def build_spec(options: Options, methods: Sequence[str], settings: Settings) -> JobSpec:
    """Return what is wanted; raises UsageError where options do not go together, Refused where a field is at fault."""
    given = {name: value for name, value in options.model_dump().items() if value is not None}
    edits = _edits({each.name: given.pop(each.name) for each in fields(EditOptions) if each.name in given}, settings)
    method = find(given.pop("method", methods[0]))
    if "combine" in given and method.second is None:
        raise Refused("usage", "combine: it joins two methods, such as subject+stuff, but method is one", field="combine")
    parts = {name: given.pop(name) for name in ("combine", "rule", "refiner") if name in given}
    known = {name: given.pop(name) for name in all_options() if name in given}
    own = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    machine = {name: given.pop(name) for name in ("lenient", "draft") if name in given}
    spec = JobSpec(
        replace(method, **parts).with_options(**own),
        replace(settings, **machine),
        tuple(dict.fromkeys(given.get("view", ("cutout",)))),
        EncodeOptions(
            quality=given.get("encoder_quality"),
            png_effort=given.get("png_effort", "fast"),
            keep_metadata=given.get("keep_metadata", False),
            keep_gps=given.get("keep_gps", False),
        ),
        _prompt(given),
        given.get("require_subject", False),
        edits,
        given.get("frames", "first"),
    )
    spec.validate()
    return spec


def _edits(given: Mapping[str, Any], settings: Settings) -> EditOptions:
    """Return what is done with mask, cut-out and canvas; raises Refused for pictures behind: they are paths or addresses."""
    edits = EditOptions(**given)
    try:
        background = edits.parsed_background()
    except UsageError as error:
        raise Refused("usage", f"background: {error}", field="background") from None
    if background is not None and background.kind == "picture":
        raise Refused("usage", "background: it is a color, blur[:RADIUS], gray, original or checker", field="background")
    if edits.canvas is not None:
        width, height = parse_canvas(edits.canvas)
        if width * height > settings.max_pixels:
            raise Refused("too_large", f"canvas: it has more than {settings.max_pixels:,} pixels", field="canvas")
    return edits


def _prompt(given: Mapping[str, Any]) -> Prompt | None:
    points, not_points = (tuple(map(parse_point, given.get(name, ()))) for name in ("point", "not_point"))
    box = parse_box(given["box"]) if "box" in given else None
    prompt = Prompt(tuple(given.get("prompt", ())), tuple(given.get("without", ())), points, not_points, box)
    return prompt if prompt.kinds else None


def suffixes(spec: JobSpec, suffix: str) -> dict[str, str]:
    """Return the suffix of each view's file; raises UsageError where the format cannot hold a view."""
    spec.check_format(suffix)
    return {view: VIEWS[view].suffix or suffix for view in spec.views}
