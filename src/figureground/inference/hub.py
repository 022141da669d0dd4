"""Checkpoints from the hub or a local folder: where their files lie, their hashes, their license, and what can go wrong.

Everything that is kept is taken without asking the network; HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are honored, since
huggingface_hub does the fetching. `fetch` is for SegFormer; torch_loader.py fetches for torch with the same parts. To admit
another place where weights may lie: a line in `_places`; to name the license of a publisher whose cards do not say it: a row
in `_LICENSES`.
"""

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figureground.errors import WeightsError
from figureground.inference.cache import atomic_write, sha256
from figureground.settings import Settings
from figureground.types import Json

MAIN = "main"
HASH = re.compile(r"[0-9a-f]{64}")
_BOT = "SFconvertbot"  # anyone may open a pull request; only the hub's own bot is believed
SAFE, BIN = "model.safetensors", "pytorch_model.bin"
CONFIG, PROCESSOR, CARD = "config.json", "preprocessor_config.json", "README.md"
_CONVERTED = {  # checkpoints whose safetensors stand only in the pull request of the hub's conversion bot
    "nvidia/segformer-b5-finetuned-ade-640-640": "refs/pr/3",
    "nvidia/segformer-b2-finetuned-ade-512-512": "refs/pr/2",
    "nvidia/segformer-b1-finetuned-ade-512-512": "refs/pr/2",
}
_LICENSES = [
    (r"nvidia/segformer-.*", "NVIDIA Source Code License for SegFormer: research and evaluation only"),
    (r"facebook/mask(2)?former-.*", "CC BY-NC 4.0"),  # so says the model zoo of its authors; the hub's card says "other"
]
PERMISSIVE = {"apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "cc-by-4.0", "cc0-1.0"}
"""Licenses, by the hub's names, under which weights may be used commercially."""
UNKNOWN = "unknown: see the model's card"
Validate = Callable[[Json], None]
"""Of a checkpoint's config.json: raises WeightsError where it is of another network."""
PATIENCE = 8.0  # seconds that the hub has for its first word


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Files that can be read, and what is known of them."""

    name: str
    config: Json
    preprocessor: Json
    weights: Path
    sha256: str
    """What the weights' hash should be: the hub's word; of a local folder, what it is."""
    license: str
    fetched: bool
    """Whether the weights came over the network just now."""


def fetch(name: str, settings: Settings, validate: Validate) -> Checkpoint:
    """The checkpoint of a local folder or a hub id, fetched unless it is kept.

    validate : raises WeightsError for a config.json of another network.

    Raises WeightsError where there is none, it is no SegFormer, a file is damaged, the hub does not deliver, or
    `settings.licenses` does not allow it; licenses are looked at before weights are fetched.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _read(name, lambda file: folder / file, settings, lambda: _local_weights(folder), validate)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise WeightsError(f"wanted a folder with a SegFormer checkpoint or a hub id such as nvidia/NAME, but got '{name}'")
    return _cached(name, settings, validate) or _downloaded(name, settings, validate)


def checked(checkpoint: Checkpoint) -> Path:
    """The weights' path, once their hash is what it should be; raises WeightsError."""
    return verify(checkpoint.weights, checkpoint.sha256)


def verify(path: Path, digest: str) -> Path:
    """The path, once the file's SHA-256 is what it should be; raises WeightsError."""
    actual = sha256(path)
    if actual != digest:
        raise WeightsError(
            f"'{path}' should have the SHA-256 {digest[:12]}…, but has {actual[:12]}…: it is damaged;"
            " remove it and fetch it again",
            code="model_corrupt",
        )
    return path


def verify_or_delete(path: Path, digest: str) -> Path:
    """As `sound`; a file that has just been fetched and is damaged is removed, so that the next fetch begins anew."""
    try:
        return verify(path, digest)
    except WeightsError:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise


def _read(
    name: str, locate: Callable[[str], Path | None], settings: Settings, weights: Callable[[], Any], validate: Validate
) -> Checkpoint:
    """A checkpoint whose small files `locate` finds; `weights` is asked last, for path, hash, and whether it was fetched."""
    config = read_json(name, CONFIG, locate(CONFIG))
    validate(config)
    preprocessor = read_json(name, PROCESSOR, locate(PROCESSOR))
    license = license_of(name, locate(CARD), settings)
    path, digest, fetched = weights()
    return Checkpoint(name, config, preprocessor, path, digest, license, fetched)


def read_json(name: str, file: str, path: Path | None, kind: str = "SegFormer") -> Json:
    """One of a checkpoint's small files; raises WeightsError where it is not there or no JSON object."""
    if path is None or not path.is_file():
        raise WeightsError(f"'{name}' is no {kind} checkpoint: it has no {file}; name another one with --weights")
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        content = error
    if not isinstance(content, dict):
        raise WeightsError(f"'{path}' should be a JSON object, but is none; remove it and fetch it again", code="model_corrupt")
    return content


def license_of(name: str, card: Path | None, settings: Settings) -> str:
    """The license of a checkpoint; raises WeightsError where `settings.licenses` does not allow it."""
    license = _license(name, card)
    if settings.licenses == "permissive" and license not in PERMISSIVE:
        raise WeightsError(
            f"the weights of '{name}' are under '{license}', but only permissive licenses are allowed here"
            " (FIGUREGROUND_LICENSES=permissive); use --method subject, or allow them with FIGUREGROUND_LICENSES=any",
            code="licence_refused",
        )
    return license


def _license(name: str, card: Path | None) -> str:
    """The license of a checkpoint by its id, else as the first lines of its card say."""
    for pattern, license in _LICENSES:
        if re.fullmatch(pattern, name):
            return license
    text = card.read_text("utf-8", "replace")[: 1 << 16] if card is not None and card.is_file() else ""
    front = re.match(r"\s*---\s*\n(.*?)\n---", text, re.DOTALL)
    stated = re.search(r"^license:[ \t]*[\"']?([\w.+-]+)", front[1], re.MULTILINE) if front else None
    return stated[1].lower() if stated and stated[1].lower() not in ("other", "unknown") else UNKNOWN


def _local_weights(folder: Path) -> tuple[Path, str, bool]:
    for file in (SAFE, BIN):
        if (path := folder / file).is_file():
            return path, sha256(path), False
    raise _no_weights(str(folder))


def _no_weights(name: str) -> WeightsError:
    return WeightsError(
        f"'{name}' has neither {SAFE} nor {BIN} (weights in several parts are not read); name another one with --weights"
    )


def _record_path(name: str, settings: Settings) -> Path:
    """Where the hub's word on a checkpoint's weights is kept."""
    return settings.cache / "segformer" / f"{name.replace('/', '--')}.json"


def _cached(name: str, settings: Settings, validate: Validate) -> Checkpoint | None:
    """The checkpoint if all of its files are kept already: no network is touched then."""
    from huggingface_hub import constants, try_to_load_from_cache

    def locate(file: str, revision: str = MAIN) -> Path | None:
        path = try_to_load_from_cache(name, file, revision=revision)
        return Path(path) if isinstance(path, str) else None

    refs = Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}", "refs")
    pulls = sorted(path.relative_to(refs).as_posix() for path in refs.glob("refs/pr/*"))
    places = [(SAFE, MAIN), *((SAFE, ref) for ref in pulls), (BIN, MAIN)]
    weights_path = next((path for file, ref in places if (path := locate(file, ref))), None)
    if weights_path is None or locate(CONFIG) is None or locate(PROCESSOR) is None:
        return None
    return _read(
        name,
        locate,
        settings,
        lambda: (weights_path, expected_sha256(weights_path, _record_path(name, settings)), False),
        validate,
    )


def expected_sha256(path: Path, record: Path) -> str:
    """The hash that the hub gave for a kept file: the name of its blob, else what `record` says of it, else what it is."""
    if HASH.fullmatch(path.resolve().name):
        return path.resolve().name
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(record.read_text("utf-8"))[path.name])
    return sha256(path)


def _downloaded(name: str, settings: Settings, validate: Validate) -> Checkpoint:
    from huggingface_hub import hf_hub_download

    def locate(file: str) -> Path | None:  # asked first: huggingface_hub would try a failing download again for a while
        return None if head(name, file, MAIN) is None else Path(hf_hub_download(name, file))

    def weights() -> tuple[Path, str, bool]:
        file, ref, digest = _places(name)
        path = Path(hf_hub_download(name, file, revision=ref))
        atomic_write(_record_path(name, settings), json.dumps({file: digest}).encode())
        return path, digest, True

    with hub_errors(name, "segformer"):
        probe(name, CONFIG, PATIENCE)
        checkpoint = _read(name, locate, settings, weights, validate)
    verify_or_delete(checkpoint.weights, checkpoint.sha256)
    return checkpoint


def _places(name: str) -> tuple[str, str, str]:
    """File, revision and SHA-256 of the weights: safetensors on main or by the hub's bot, else torch's .bin."""
    refs = [_CONVERTED[name]] if name in _CONVERTED else []
    for file, ref in ((SAFE, MAIN), *((SAFE, ref) for ref in refs)):
        if digest := head(name, file, ref):
            return file, ref, digest
    for ref in pull_requests(name):
        if digest := head(name, SAFE, ref):
            return SAFE, ref, digest
    if digest := head(name, BIN, MAIN):
        return BIN, MAIN, digest
    raise _no_weights(name)


def pull_requests(name: str) -> list[str]:
    """The refs of the bot's pull requests, the newest first; none where the hub does not tell."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        requests = HfApi().get_repo_discussions(name, author=_BOT, discussion_type="pull_request")
        numbers = sorted((request.num for request in requests if request.author == _BOT), reverse=True)
    except (HfHubHTTPError, ValueError, KeyError):  # a mirror may not have this part of the hub
        return []
    return [f"refs/pr/{number}" for number in numbers[:5]]


def head(name: str, file: str, revision: str, timeout: float = 10.0) -> str | None:
    """What the hub says of a file: its SHA-256 where it has one, else another tag; None where there is no such file."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError

    try:
        digest = get_hf_file_metadata(hf_hub_url(name, file, revision=revision), timeout=timeout).etag or ""
    except (EntryNotFoundError, RevisionNotFoundError):
        return None
    if file.endswith((".safetensors", ".bin")) and not HASH.fullmatch(digest):
        raise WeightsError(f"the hub gives no SHA-256 for {file} of '{name}'; copy its files to a folder and use --weights")
    return digest


def probe(name: str, file: str, seconds: float) -> None:
    """Ask for the hub's first word of a model; raises whatever goes wrong, TimeoutError after so many seconds."""
    within(seconds, lambda: head(name, file, MAIN, seconds))


def within(seconds: float, call: Callable[[], Any]) -> None:
    """Run `call`, and raise TimeoutError when it takes longer: name look-ups and connecting heed no time limit of ours."""
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
    """Whatever goes wrong while the hub is asked, as one WeightsError; huggingface_hub's own log lines are held back.

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
    """What an error of huggingface_hub, or of the HTTP library below it, means."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        return WeightsError(
            f"'{name}' is gated: accept its terms on {constants.ENDPOINT}/{name} and log in with `hf auth login`"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return WeightsError(f"{constants.ENDPOINT} has no model '{name}', or hides it; check the name, or log in")
    if isinstance(error, errors.OfflineModeIsEnabled):
        why = "is not kept here, and HF_HUB_OFFLINE forbids to fetch it"
    elif isinstance(error, errors.HfHubHTTPError):
        why = f"could not be fetched: {constants.ENDPOINT} answers {error.response.status_code}"
    else:
        cause = str(error.__cause__ or error) or type(error).__name__
        why = f"could not be fetched from {constants.ENDPOINT} ({cause.splitlines()[0]})"
    return WeightsError(
        f"'{name}' {why}; try again later, or run `figureground pull {model}` on a machine with a network and copy"
        f" '{constants.HF_HUB_CACHE}' here, or name a folder with --weights FOLDER, or use --method subject"
    )
