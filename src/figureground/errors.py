"""The errors that users can meet; any other exception is a bug.

FigureGroundError          base of all
├── InputError             a picture or an address is at fault; exit 1
│   ├── UnreadablePicture      not_found, empty_file, unsupported_format, decode_error, truncated,
│   │                          not_a_regular_file, permission_denied
│   ├── PictureTooLarge        too_large, resource_limit
│   ├── RefusedAddress         url_not_allowed
│   ├── DownloadFailed         upstream_error, upstream_timeout
│   └── WorkerFailed           timeout, resource_limit; an item took too long, or its workers ended
├── OutputError            a result cannot be written; exit 1
│   ├── OutputExists           output_exists
│   └── WriteFailed            write_error
├── UsageError             the call is at fault; exit 2
│   ├── UnknownName            unknown_name; names the known ones and the nearest
│   ├── UnknownOption          unknown_option
│   ├── NameCollision          name_collision; two pictures would be written to one file
│   └── IncompatibleParts      mismatch; a rule reads another kind of map than the model gives
├── BatchAborted           a whole run is at an end: write_error (disk full, permission lost), busy; exit 3
├── BadData                a data set cannot be used: bad_data; exit 3
├── MissingExtra           a part is not installed: missing_extra; exit 3
├── NoForeground           only where asked for (--require-subject): no_foreground; exit 1
└── WeightsError           weights cannot be had or used: model_missing, model_corrupt, licence_refused, resource_limit; exit 3
    └── WeightsNotFetched      model_missing; the hub cannot be reached, or does not deliver

To add an error: a class here, its code and exit status in it, and a test that raises it.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from figureground._deprecated import module_attribute

SHOWN = 20  # names that an error lists at most


class FigureGroundError(Exception):
    """Base of all errors: `code` names the kind of error, `exit_code` is the exit code of the command."""

    code = "internal"
    exit_code = 3

    def __init__(self, message: str, *, code: str | None = None, picture: str | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code or type(self).code
        self.picture = picture

    def as_dict(self) -> dict[str, str | None]:
        """Return the error as plain data, as `--json` prints it."""
        return {"code": self.code, "message": str(self), "picture": self.picture}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the message and the attributes: subclasses are made of other arguments."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[FigureGroundError], args: tuple[Any, ...], state: dict[str, Any]) -> FigureGroundError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InputError(FigureGroundError):
    """A picture or an address cannot be used; the next one may be fine."""

    exit_code = 1


class UnreadablePicture(InputError):
    """The bytes are not a picture that can be read."""

    code = "decode_error"


class PictureTooLarge(InputError):
    """The picture has more pixels, frames or bytes than the limits allow."""

    code = "too_large"


class RefusedAddress(InputError):
    """The address is not allowed."""

    code = "url_not_allowed"


class DownloadFailed(InputError):
    """The server did not deliver the picture."""

    code = "upstream_error"
    retry_after: float | None = None
    """Seconds after which another try may succeed; None: none is of use."""


class WorkerFailed(InputError):
    """An item took too long, or the workers that processed it ended."""

    code = "resource_limit"


class OutputError(FigureGroundError):
    """A result cannot be written; the next one may be."""

    code = "write_error"
    exit_code = 1


class OutputExists(OutputError):
    """A file exists and may not be replaced without `--overwrite`."""

    code = "output_exists"


class WriteFailed(OutputError):
    """The result could not be written."""

    code = "write_error"


class UsageError(FigureGroundError):
    """The call is wrong, whatever the picture."""

    code = "usage"
    exit_code = 2


class UnknownName(UsageError):
    """An unknown name.

    Parameters
    ----------
    kind : what the name stands for, such as "method".
    name : as given.
    known : the names that exist.
    ordered : whether the message lists the names in the given order, not sorted.
    cutoff : how similar, in [0, 1], the suggested name must be.
    """

    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Iterable[str], *, ordered: bool = False, cutoff: float = 0.6) -> None:
        names = list(known) if ordered else sorted(known)
        near = get_close_matches(name, names, 1, cutoff)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        super().__init__(f"no {kind} is called '{name}'{hint} Known: {listed}")


class UnknownOption(UsageError):
    """An option that the method does not have, or a value that the option does not accept."""

    code = "unknown_option"


class NameCollision(UsageError):
    """Two pictures would be written to one file."""

    code = "name_collision"


class IncompatibleParts(UsageError):
    """The rule needs another type of map than the model returns."""

    code = "mismatch"


class BatchAborted(FigureGroundError):
    """A run over many pictures cannot begin or continue; finished results are kept."""

    code = "write_error"


class BadData(FigureGroundError):
    """A data set, or a file of it, cannot be used."""

    code = "bad_data"


class MissingExtra(FigureGroundError):
    """An optional dependency is not installed."""

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs a part that is not installed: pip install 'figureground[{extra}]'")


class NoForeground(FigureGroundError):
    """No foreground was found, and the caller requires one."""

    code = "no_foreground"
    exit_code = 1


class WeightsError(FigureGroundError):
    """Weights are missing or cannot be used."""

    code = "model_missing"


class WeightsNotFetched(WeightsError):
    """The hub cannot be reached, or does not deliver."""

    code = "model_missing"


def __getattr__(name: str) -> Any:
    """Return what has an old name."""
    return module_attribute(__name__, name)
