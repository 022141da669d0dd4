"""Checkpoints from the hub or a local folder: where their files lie, their hashes, their licence, and what can go wrong.

Everything that is kept is taken without asking the network; HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are honoured, since
huggingface_hub does the fetching. `fetch` is for SegFormer; torch_loader.py fetches for torch with the same parts. To admit
another place where weights may lie: a line in `_places`; to name the licence of a publisher whose cards do not say it: a row
in `_LICENCES`.
"""

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figureground.errors import WeightsError
from figureground.inference.cache import keep, sha256
from figureground.inference.hub_requests import HASH, MAIN, asking, head, pull_requests, reach
from figureground.settings import Settings
from figureground.types import Json

SAFE, BIN = "model.safetensors", "pytorch_model.bin"
CONFIG, PROCESSOR, CARD = "config.json", "preprocessor_config.json", "README.md"
_CONVERTED = {  # checkpoints whose safetensors stand only in the pull request of the hub's conversion bot
    "nvidia/segformer-b5-finetuned-ade-640-640": "refs/pr/3",
    "nvidia/segformer-b2-finetuned-ade-512-512": "refs/pr/2",
    "nvidia/segformer-b1-finetuned-ade-512-512": "refs/pr/2",
}
_LICENCES = [
    (r"nvidia/segformer-.*", "NVIDIA Source Code License for SegFormer: research and evaluation only"),
    (r"facebook/mask(2)?former-.*", "CC BY-NC 4.0"),  # so says the model zoo of its authors; the hub's card says "other"
]
PERMISSIVE = {"apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "cc-by-4.0", "cc0-1.0"}
"""Licences, by the hub's names, under which weights may be used commercially."""
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
    licence: str
    fetched: bool
    """Whether the weights came over the network just now."""


def fetch(name: str, settings: Settings, validate: Validate) -> Checkpoint:
    """The checkpoint of a local folder or a hub id, fetched unless it is kept.

    validate : raises WeightsError for a config.json of another network.

    Raises WeightsError where there is none, it is no SegFormer, a file is damaged, the hub does not deliver, or
    `settings.licences` does not allow it; licences are looked at before weights are fetched.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _read(name, lambda file: folder / file, settings, lambda: _local_weights(folder), validate)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise WeightsError(f"wanted a folder with a SegFormer checkpoint or a hub id such as nvidia/NAME, but got '{name}'")
    return _kept(name, settings, validate) or _downloaded(name, settings, validate)


def checked(checkpoint: Checkpoint) -> Path:
    """The weights' path, once their hash is what it should be; raises WeightsError."""
    return sound(checkpoint.weights, checkpoint.sha256)


def sound(path: Path, digest: str) -> Path:
    """The path, once the file's SHA-256 is what it should be; raises WeightsError."""
    found = sha256(path)
    if found != digest:
        raise WeightsError(
            f"'{path}' should have the SHA-256 {digest[:12]}…, but has {found[:12]}…: it is damaged;"
            " remove it and fetch it again",
            code="model_corrupt",
        )
    return path


def sound_or_gone(path: Path, digest: str) -> Path:
    """As `sound`; a file that has just been fetched and is damaged is removed, so that the next fetch begins anew."""
    try:
        return sound(path, digest)
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
    licence = licence_of(name, locate(CARD), settings)
    path, digest, fetched = weights()
    return Checkpoint(name, config, preprocessor, path, digest, licence, fetched)


def read_json(name: str, file: str, path: Path | None, kind: str = "SegFormer") -> Json:
    """One of a checkpoint's small files; raises WeightsError where it is not there or no JSON object."""
    if path is None or not path.is_file():
        raise WeightsError(f"'{name}' is no {kind} checkpoint: it has no {file}; name another one with --weights")
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        found = error
    if not isinstance(found, dict):
        raise WeightsError(f"'{path}' should be a JSON object, but is none; remove it and fetch it again", code="model_corrupt")
    return found


def licence_of(name: str, card: Path | None, settings: Settings) -> str:
    """The licence of a checkpoint; raises WeightsError where `settings.licences` does not allow it."""
    licence = _licence(name, card)
    if settings.licences == "permissive" and licence not in PERMISSIVE:
        raise WeightsError(
            f"the weights of '{name}' are under '{licence}', but only permissive licences are allowed here"
            " (FIGUREGROUND_LICENCES=permissive); use --method small, or allow them with FIGUREGROUND_LICENCES=any",
            code="licence_refused",
        )
    return licence


def _licence(name: str, card: Path | None) -> str:
    """The licence of a checkpoint by its id, else as the first lines of its card say."""
    for pattern, licence in _LICENCES:
        if re.fullmatch(pattern, name):
            return licence
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


def _record(name: str, settings: Settings) -> Path:
    """Where the hub's word on a checkpoint's weights is kept."""
    return settings.cache / "segformer" / f"{name.replace('/', '--')}.json"


def _kept(name: str, settings: Settings, validate: Validate) -> Checkpoint | None:
    """The checkpoint if all of its files are kept already: no network is touched then."""
    from huggingface_hub import constants, try_to_load_from_cache

    def locate(file: str, revision: str = MAIN) -> Path | None:
        path = try_to_load_from_cache(name, file, revision=revision)
        return Path(path) if isinstance(path, str) else None

    refs = Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}", "refs")
    pulls = sorted(path.relative_to(refs).as_posix() for path in refs.glob("refs/pr/*"))
    places = [(SAFE, MAIN), *((SAFE, ref) for ref in pulls), (BIN, MAIN)]
    found = next((path for file, ref in places if (path := locate(file, ref))), None)
    if found is None or locate(CONFIG) is None or locate(PROCESSOR) is None:
        return None
    return _read(name, locate, settings, lambda: (found, promised(found, _record(name, settings)), False), validate)


def promised(path: Path, record: Path) -> str:
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
        keep(_record(name, settings), json.dumps({file: digest}).encode())
        return path, digest, True

    with asking(name, "segformer"):
        reach(name, CONFIG, PATIENCE)
        made = _read(name, locate, settings, weights, validate)
    sound_or_gone(made.weights, made.sha256)
    return made


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
