"""Ask the hub for a model's files, and turn its errors into ours.

HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are honored, since huggingface_hub does the fetching. checkpoint.py puts whole
checkpoints together from what is asked and fetched here. To explain another error: a branch in `_explained`.
"""

import contextlib
import functools
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from figureground.errors import WeightsError, WeightsNotFetched

MAIN = "main"
PATIENCE = 8.0  # seconds that the hub has for its first word
HASH = re.compile(r"[0-9a-f]{64}")
WEIGHTS_SUFFIXES = (".safetensors", ".bin")
_BOT = "SFconvertbot"  # anyone may open a pull request; only the hub's own bot is believed


class Revision:
    """The files of one revision of a model on the hub. Each file is requested and downloaded once."""

    def __init__(self, name: str, revision: str = MAIN) -> None:
        self.name, self.revision = name, revision
        self.tag = functools.cache(lambda file: head(name, file, revision))
        """What `head` says of a file."""
        self.locate = functools.cache(self._download)
        """Fetch a file: where it lies now; None where the revision has no such file."""

    def _download(self, file: str) -> Path | None:
        from huggingface_hub import hf_hub_download

        if self.tag(file) is None:  # asked first: huggingface_hub would try a failing download again for a while
            return None
        return Path(hf_hub_download(self.name, file, revision=self.revision))


def cached(name: str, revision: str) -> Callable[[str], Path | None]:
    """Return what finds files of a revision that are kept on this machine; the network is not asked."""
    from huggingface_hub import try_to_load_from_cache

    def locate(file: str) -> Path | None:
        path = try_to_load_from_cache(name, file, revision=revision)
        return Path(path) if isinstance(path, str) else None

    return locate


def is_offline() -> bool:
    """Return whether the environment forbids requests to the hub."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def cached_pull_requests(name: str) -> list[str]:
    """Return the refs of the pull requests of which files are kept on this machine."""
    from huggingface_hub import constants

    refs = Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}", "refs")
    return sorted(path.relative_to(refs).as_posix() for path in refs.glob("refs/pr/*"))


def pull_requests(name: str) -> list[str]:
    """Return the refs of the bot's pull requests, the newest first; none where the hub does not tell."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        requests = HfApi().get_repo_discussions(name, author=_BOT, discussion_type="pull_request")
        numbers = sorted((request.num for request in requests if request.author == _BOT), reverse=True)
    except (HfHubHTTPError, ValueError, KeyError):  # a mirror may not have this part of the hub
        return []
    return [f"refs/pr/{number}" for number in numbers[:5]]


def head(name: str, file: str, revision: str, timeout: float = 10.0) -> str | None:
    """Return the hub's SHA-256 of a file, or another tag; None if there is no such file."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError

    try:
        digest = get_hf_file_metadata(hf_hub_url(name, file, revision=revision), timeout=timeout).etag or ""
    except (EntryNotFoundError, RevisionNotFoundError):
        return None
    if file.endswith(WEIGHTS_SUFFIXES) and not HASH.fullmatch(digest):
        raise WeightsError(f"the hub gives no SHA-256 for {file} of '{name}'; copy its files to a folder and use --weights")
    return digest


def probe(name: str, file: str, seconds: float) -> None:
    """Request the hub's metadata of a model; raises any error, and TimeoutError after so many seconds."""
    within(seconds, lambda: head(name, file, MAIN, seconds))


def within(seconds: float, call: Callable[[], Any]) -> None:
    """Run `call`; raise TimeoutError if it takes longer, because name look-ups and connections ignore our time limit."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # raised again below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    if errors:
        raise errors[0]


@contextlib.contextmanager
def hub_errors(name: str, model: str) -> Iterator[None]:
    """Turn any error of a request to the hub into one WeightsError; hold back huggingface_hub's own log lines.

    name : the hub id. model : what `figureground pull` calls the model that wants it.
    """
    from huggingface_hub.utils import logging as hub_logging

    logging: Any = hub_logging  # parts of it have no types
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:
        raise _explained(name, model, error) from error
    finally:
        logging.set_verbosity(before)


def _explained(name: str, model: str, error: Exception) -> WeightsError:
    """Return what an error of huggingface_hub, or of the HTTP library below it, means and what to do."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        return WeightsError(
            f"'{name}' is gated: accept its terms on {constants.ENDPOINT}/{name} and log in with `hf auth login`"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return WeightsError(f"{constants.ENDPOINT} has no model '{name}', or hides it; check the name, or log in")
    if isinstance(error, errors.OfflineModeIsEnabled):
        why, again = "HF_HUB_OFFLINE is set", "unset it, or "
    elif isinstance(error, errors.HfHubHTTPError):
        why, again = f"it answers {error.response.status_code}", "try again later, or "
    else:
        why, again = (str(error.__cause__ or error) or type(error).__name__).splitlines()[0], ""
    return WeightsNotFetched(
        f"'{name}' could not be fetched from {constants.ENDPOINT} ({why}); {again}run `figureground pull {model}` on a machine"
        f" with a network connection and copy its cache folder to '{constants.HF_HUB_CACHE}' here, or give a local folder with"
        " --weights FOLDER"
    )
