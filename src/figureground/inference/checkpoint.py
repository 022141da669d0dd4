"""Find and check checkpoints on the hub or in a local folder: files, hashes and license.

Everything that is kept is taken without asking the network; licenses are looked at before weights are fetched, and logged
once. A model file says in a `CheckpointFormat` which files it reads; `fetch` does the rest, for networks with and without
torch. To admit another place where weights may lie: a line in `_places`; to read another small file: a name in `TOKENIZERS`.
"""

import contextlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from figureground.errors import WeightsError
from figureground.inference import hub
from figureground.inference.cache import atomic_write, sha256, verify, verify_or_delete
from figureground.inference.licenses import PERMISSIVE, check_license, license_of
from figureground.settings import Settings
from figureground.types import Json

CONFIG, PROCESSOR, CARD = "config.json", "preprocessor_config.json", "README.md"
SAFE, INDEX, BIN = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "vocab.txt")
_VOCABULARY = ("tokenizer.json", "vocab.json", "vocab.txt")
_SHARD = re.compile(r"[\w.-]+\.safetensors")
_CONVERTED = {  # checkpoints whose safetensors stand only in the pull request of the hub's conversion bot
    "nvidia/segformer-b5-finetuned-ade-640-640": "refs/pr/3",
    "nvidia/segformer-b2-finetuned-ade-512-512": "refs/pr/2",
    "nvidia/segformer-b1-finetuned-ade-512-512": "refs/pr/2",
}

Locate = Callable[[str], Path | None]
"""Where a file of a checkpoint lies by its name; None where there is no such file."""


@dataclass(frozen=True, slots=True)
class CheckpointFormat:
    """The checkpoints that a model file reads, and the files of one of them."""

    model: str
    """What `figureground pull` calls the model."""
    title: str
    """What messages call such a checkpoint, as in `is no SegFormer checkpoint`."""
    wanted: str
    """What the name of one may be, for messages."""
    validate: Callable[[str, Json], None]
    """Of a checkpoint's name and its config.json: raises WeightsError where it is of another network."""
    cache_folder: str
    """The folder in the cache that keeps the hub's hashes."""
    processors: tuple[str, ...] = (PROCESSOR,)
    """The names that the image processor's file may have."""
    tokenizer: bool = False
    """Whether a tokenizer belongs to it."""
    weights: tuple[str, ...] = (SAFE,)
    """The weights' file, or the index of several files, on main: the first that is there is read."""
    last_resort: tuple[str, ...] = ()
    """The same, where no pull request of the hub's bot has safetensors either."""
    no_weights: str = ""
    """What to say where there are none, after the checkpoint's name."""
    one_folder: bool = True
    """Whether the small files must lie beside the weights; else those on main are read."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on this machine: its files and its license."""

    name: str
    config: Json
    preprocessor: Json
    """What the image processor's file says."""
    license: str
    weights: tuple[Path, ...]
    """One file or several."""
    digests: Mapping[str, str]
    """The hub's hashes of the weights by file name; none of a local folder."""
    fetched: bool
    """Whether the weights came over the network just now."""

    @property
    def folder(self) -> Path:
        """The folder with the weights and, where the format needs one folder, all small files."""
        return self.weights[0].parent

    @property
    def sha256(self) -> str:
        """The SHA-256 of the first weights' file: the hub's, else its own."""
        return self.digests.get(self.weights[0].name) or sha256(self.weights[0])


def fetch(name: str, settings: Settings, form: CheckpointFormat) -> Checkpoint:
    """Return the checkpoint of a local folder or a hub id, fetched unless it is kept.

    On the first fetch the logger `figureground` says its license, and the weights' hashes are checked. Raises WeightsError
    where there is none, it is of another network, a file is damaged, the hub does not deliver, or `settings.licenses` does
    not allow it; licenses are looked at before weights are fetched.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _local(name, folder, settings, form)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise WeightsError(f"expected a folder with {form.wanted}, but got '{name}'")
    checkpoint = _cached(name, settings, form) or _downloaded(name, settings, form)
    if checkpoint.fetched:
        message = "the weights of %s are under this license: %s"
        logging.getLogger("figureground").warning(message, checkpoint.name, checkpoint.license)
    return checkpoint


def verified(checkpoint: Checkpoint) -> tuple[Path, ...]:
    """Return the weights' files if their hashes are those of the hub, where it has any; raises WeightsError."""
    for path in checkpoint.weights:
        if path.name in checkpoint.digests:
            verify(path, checkpoint.digests[path.name])
    return checkpoint.weights


def read_json(name: str, file: str, path: Path | None, title: str) -> Json:
    """Return one of a checkpoint's small files; raises WeightsError where it does not exist or is no JSON object."""
    if path is None or not path.is_file():
        raise WeightsError(f"'{name}' is no {title} checkpoint: it has no {file}; name another one with --weights")
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        content = error
    if not isinstance(content, dict):
        raise WeightsError(f"'{path}' should be a JSON object, but is not; remove it and fetch it again", code="model_corrupt")
    return content


def _small(name: str, locate: Locate, settings: Settings, form: CheckpointFormat) -> tuple[Json, Json, str]:
    """Read and check the small files: config, preprocessor and license. The license is checked before any weights."""
    config = read_json(name, CONFIG, locate(CONFIG), form.title)
    form.validate(name, config)
    file = next((file for file in form.processors if locate(file)), form.processors[0])
    preprocessor = read_json(name, file, locate(file), form.title)
    inner = preprocessor.get("image_processor", preprocessor)
    license = license_of(name, locate(CARD))
    check_license(f"the weights of '{name}' are", license, settings, permissive=license in PERMISSIVE)
    if form.tokenizer and not {file for file in TOKENIZERS if locate(file)} & set(_VOCABULARY):
        raise WeightsError(f"'{name}' has no tokenizer ({', '.join(_VOCABULARY)}); name another one with --weights")
    return config, inner if isinstance(inner, dict) else {}, license


def _local(name: str, folder: Path, settings: Settings, form: CheckpointFormat) -> Checkpoint:
    def locate(file: str) -> Path | None:
        path = folder / file
        return path if path.is_file() else None

    small = _small(name, locate, settings, form)
    paths = _weights(name, locate, (*form.weights, *form.last_resort), form)
    if paths is None:
        raise _no_weights(str(folder), form)
    return Checkpoint(name, *small, paths, {}, fetched=False)


def _weights(name: str, locate: Locate, files: tuple[str, ...], form: CheckpointFormat) -> tuple[Path, ...] | None:
    """Return the weights' files, one or several; None where one is missing. Raises WeightsError for an index that is none."""
    for file in files:
        if path := locate(file):
            paths = [path] if file != INDEX else [locate(shard) for shard in _shards(name, path, form)]
            return None if None in paths else tuple(path for path in paths if path)
    return None


def _shards(name: str, index: Path, form: CheckpointFormat) -> list[str]:
    """Return the files that an index lists."""
    listed = read_json(name, INDEX, index, form.title).get("weight_map")
    files = sorted({str(file) for file in listed.values()}) if isinstance(listed, dict) else []
    if not files or not all(_SHARD.fullmatch(file) for file in files):
        raise WeightsError(f"{INDEX} of '{name}' lists no weights; fetch it again", code="model_corrupt")
    return files


def _no_weights(name: str, form: CheckpointFormat) -> WeightsError:
    return WeightsError(f"'{name}' has {form.no_weights}; name another one with --weights")


def record_path(name: str, settings: Settings, form: CheckpointFormat) -> Path:
    """Return the path of the record with the hub's hashes of a checkpoint's weights."""
    return settings.cache / form.cache_folder / f"{name.replace('/', '--')}.json"


def is_kept(name: str, form: CheckpointFormat) -> bool:
    """Return whether all files of a checkpoint of the hub are kept on this machine; raises WeightsError for a bad index."""
    return _kept_files(name, form) is not None


def _cached(name: str, settings: Settings, form: CheckpointFormat) -> Checkpoint | None:
    """Return the checkpoint if all of its files are kept already, without using the network."""
    files = _kept_files(name, form)
    if files is None:
        return None
    locate, paths = files
    digests = _digests(paths, record_path(name, settings, form))
    return Checkpoint(name, *_small(name, locate, settings, form), paths, digests, fetched=False)


def _kept_files(name: str, form: CheckpointFormat) -> tuple[Locate, tuple[Path, ...]] | None:
    """Return a function that finds a checkpoint's small files, and its weights, if all of them are kept."""
    revisions = (hub.MAIN, *hub.cached_pull_requests(name))
    places = [*((revision, form.weights) for revision in revisions), (hub.MAIN, form.last_resort)]
    wanted = [(CONFIG,), form.processors, *([_VOCABULARY] if form.tokenizer else [])]
    for revision, files in places:
        locate = hub.cached(name, revision if form.one_folder else hub.MAIN)
        paths = _weights(name, hub.cached(name, revision), files, form)
        if paths and all(any(locate(file) for file in alternatives) for alternatives in wanted):
            return locate, paths
    return None


def _digests(paths: tuple[Path, ...], record: Path) -> dict[str, str]:
    """Return the hashes that the hub gave for kept files: the name of a file's blob, else the entry in `record`, if any."""
    recorded: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        recorded = {str(file): str(digest) for file, digest in json.loads(record.read_text("utf-8")).items()}
    blobs = {path.name: path.resolve().name for path in paths if hub.HASH.fullmatch(path.resolve().name)}
    return {path.name: recorded[path.name] for path in paths if path.name in recorded} | blobs


def _downloaded(name: str, settings: Settings, form: CheckpointFormat) -> Checkpoint:
    """Fetch the checkpoint from the hub, the weights last: where they are kept, the other files are kept too."""
    with hub.hub_errors(name, form.model):
        hub.probe(name, CONFIG, hub.PATIENCE)
        main = hub.Revision(name)
        small = _small(name, main.locate, settings, form)
        revision, file = _place(main, form)
        if form.one_folder and revision is not main:  # all files then lie in that revision's folder
            small = _small(name, revision.locate, settings, form)
        paths = _weights(name, revision.locate, (file,), form)
    if paths is None:
        raise _no_weights(name, form)
    digests = {path.name: revision.tag(path.name) or "" for path in paths}
    atomic_write(record_path(name, settings, form), json.dumps(digests).encode())
    for path in paths:
        verify_or_delete(path, digests[path.name])
    return Checkpoint(name, *small, paths, digests, fetched=True)


def _place(main: hub.Revision, form: CheckpointFormat) -> tuple[hub.Revision, str]:
    """Return revision and file of the weights, the first that the hub has."""
    for revision, file in _places(main, form):
        if revision.tag(file):
            return revision, file
    raise _no_weights(main.name, form)


def _places(main: hub.Revision, form: CheckpointFormat) -> Iterator[tuple[hub.Revision, str]]:
    """Return where weights may lie: on main or, converted, in a pull request of the hub's bot."""
    yield from ((main, file) for file in form.weights)
    if main.name in _CONVERTED:
        yield hub.Revision(main.name, _CONVERTED[main.name]), SAFE
    yield from ((hub.Revision(main.name, ref), SAFE) for ref in hub.pull_requests(main.name))
    yield from ((main, file) for file in form.last_resort)
