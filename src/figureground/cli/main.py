"""The command `figureground`: finds the command, runs it, and turns every error into one line and an exit code.

To add a command, add a file NAME.py with a click command NAME beside this one, and its name in `COMMANDS`.
"""

import logging
import signal
import sys
import threading
import warnings
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

import figureground
from figureground._deprecated import RenamedWarning, current_flags
from figureground.cli.console import note, say
from figureground.errors import FigureGroundError, UsageError
from figureground.io.formats import SUFFIXES

COMMANDS = (
    "adapt",
    "app",
    "batch",
    "completion",
    "config",
    "doctor",
    "evaluate",
    "export",
    "labels",
    "methods",
    "pull",
    "remove",
    "serve",
    "split",
    "train",
)
"""Each stands in a file of its own, which is loaded when the command is used."""


STOPPED = 130
"""The exit code of what a signal has stopped, as shells give it."""


class OneLine(click.Group):
    """A group that prints each error as one line on stderr and exits with the code of its class."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command of that name, loaded from its file."""
        if name not in COMMANDS:
            near = get_close_matches(name, COMMANDS, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"Commands: {', '.join(COMMANDS)}"
            raise UsageError(f"no command or picture is called '{name}'; {hint}")
        command: click.Command = getattr(import_module(f"figureground.cli.{name}"), name)
        return command

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run a command and end the process: 0 all done, 1 some picture failed, 2 usage, 3 could not run."""
        words = list(args[0] if args else kwargs.pop("args", None) or sys.argv[1:])
        if words and _is_picture(words[0]):
            words.insert(0, "remove")
        with warnings.catch_warnings():
            warnings.simplefilter("once", RenamedWarning)
            warnings.showwarning = _note_renamed
            self._run(current_flags(words), *args[1:], **kwargs)

    def _run(self, words: list[str], *args: Any, **kwargs: Any) -> NoReturn:
        logging.getLogger("figureground").handlers[:] = [_Stderr()]
        state: dict[str, bool] = {}  # the options of the command that decide how its errors are printed
        try:
            code = super().main(words, *args, **{**kwargs, "standalone_mode": False, "obj": state})
            if code == STOPPED:
                _stopped()
            sys.exit(code if isinstance(code, int) else 0)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help())
            sys.exit(2)
        except click.ClickException as error:
            say(UsageError(error.format_message()), state.get("json", False))
            sys.exit(2)
        except FigureGroundError as error:
            say(error, state.get("json", False))
            sys.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            _stopped("figureground: stopped")
        except BrokenPipeError:
            sys.stderr.close()  # whoever read our output has gone: nothing is left to say, and nobody to say it to
            sys.exit(1)


def _is_picture(word: str) -> bool:
    """Whether the first word is something to process rather than a command or an option."""
    if word in COMMANDS or (word.startswith("-") and word != "-"):
        return False
    return word == "-" or "://" in word or Path(word).exists() or Path(word).suffix.lower() in SUFFIXES


def _stopped(last_words: str = "") -> NoReturn:
    """Exit with 130; another Ctrl-C while Python exits is ignored."""
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
    if last_words:
        click.echo(last_words, err=True)
    sys.exit(STOPPED)


def _note_renamed(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """Print the warning on an old name as a note, without the place in the code; others as Python prints them."""
    if issubclass(category, RenamedWarning):
        note(str(message))
    else:
        _print_warning(message, category, *place, **more)


_print_warning = warnings.showwarning


class _Stderr(logging.Handler):
    """Print log messages of the library as remarks, without breaking a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(figureground.__version__, prog_name="figureground")
def main() -> None:
    """Tell foreground from background in pictures.

    \b
    figureground photo.jpg                  write photo.cutout.png
    figureground remove photos -o cutouts/  every picture of a folder
    figureground remove --help              the options
    """  # noqa: D301 - click needs the character itself
