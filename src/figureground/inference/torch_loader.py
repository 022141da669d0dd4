"""Whole checkpoints for torch: fetched, checked and loaded through transformers, for the model files that need them.

A model file describes what it reads in a `Family`, calls `fetch` for the files, which needs no torch, and `load` for the
network. All that hub.py promises holds here too: what is kept is taken without asking the network, weights are checked
by their hash each time, licenses are looked at before weights are fetched and said once. Only safetensors are read:
torch's .bin files can run code. To read another small file: a name in `_files`.
"""

import contextlib
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figureground._machine import cores
from figureground.errors import MissingExtra, UsageError, WeightsError
from figureground.inference import hub
from figureground.inference.cache import atomic_write
from figureground.inference.hub import MAIN, head, hub_errors, probe, pull_requests
from figureground.settings import Settings
from figureground.types import Json

SAFE, INDEX = "model.safetensors", "model.safetensors.index.json"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "vocab.txt")
_VOCABULARY = ("tokenizer.json", "vocab.json", "vocab.txt")
_SHARD = re.compile(r"[\w.-]+\.safetensors")


@dataclass(frozen=True, slots=True)
class Family:
    """Which checkpoints a model file reads."""

    model: str
    """The model file's name, as in `figureground pull depth`."""
    auto: str
    """The class of transformers that loads them, such as `AutoModelForDepthEstimation`."""
    kinds: tuple[str, ...]
    """What config.json may say as its model_type."""
    tokenizer: bool = False
    """Whether a tokenizer belongs to them."""


@dataclass(frozen=True, slots=True)
class TorchCheckpoint:
    """A whole checkpoint in one folder."""

    name: str
    folder: Path
    """Holds config, weights and processor's files, by the names that transformers looks for."""
    config: Json
    preprocessor: Json
    """What the image processor's file says."""
    license: str
    fetched: bool
    """Whether the weights came over the network just now."""


def fetch(name: str, settings: Settings, family: Family) -> TorchCheckpoint:
    """The checkpoint of a local folder or a hub id, fetched unless it is kept, its weights' hashes checked.

    On the first fetch the logger `figureground` says its license. Raises WeightsError where there is none, it is of another
    kind, a file is damaged, the hub does not deliver, or `settings.licenses` does not allow it.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _local(folder, settings, family)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise WeightsError(
            f"wanted a folder with a checkpoint of model '{family.model}' or a hub id such as someone/NAME, but got '{name}'"
        )
    checkpoint = _cached(name, settings, family) or _downloaded(name, settings, family)
    if checkpoint.fetched:
        message = "the weights of %s are under this license: %s"
        logging.getLogger("figureground").warning(message, checkpoint.name, checkpoint.license)
    return checkpoint


def require(family: Family) -> None:
    """Raises MissingExtra where torch or transformers is not installed."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra(f"model '{family.model}'", "torch") from error


def load(checkpoint: TorchCheckpoint, settings: Settings, family: Family) -> Any:
    """The network, a torch module in eval mode, float32, ready to be called under `torch.inference_mode()`.

    Raises MissingExtra, UsageError for a device, runtime or precision that it cannot give, and WeightsError where the weights
    do not make a whole network of that kind.
    """
    require(family)
    import torch
    import transformers

    if settings.device.lower() != "cpu":
        raise UsageError(f"model '{family.model}' runs on the device cpu, but FIGUREGROUND_DEVICE asks for '{settings.device}'")
    if settings.runtime != "auto" or settings.precision != "fp32":
        asked = f"--runtime {settings.runtime} --precision {settings.precision}"
        raise UsageError(f"model '{family.model}' runs in torch with fp32, but got {asked}; leave them out")
    torch.set_num_threads(settings.threads or cores())
    with quiet():
        try:
            network, report = getattr(transformers, family.auto).from_pretrained(
                checkpoint.folder,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
        except MemoryError:
            raise
        except Exception as error:
            raise _broken(checkpoint, str(error).strip().splitlines()[0] if str(error).strip() else repr(error)) from error
    if lacks := sorted(report["missing_keys"]) + sorted(key for key, *_ in report["mismatched_keys"]):
        raise _broken(checkpoint, f"{len(lacks)} tensors are missing or of another shape, such as {lacks[0]}")
    return network.eval()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Holds back the log lines, progress bars and warnings of transformers and torch: they speak to developers."""
    from transformers.utils import logging as their_logging

    speaks: Any = their_logging  # parts of it have no types
    before, bars = speaks.get_verbosity(), speaks.is_progress_bar_enabled()
    speaks.set_verbosity_error()
    speaks.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        speaks.set_verbosity(before)
        if bars:
            speaks.enable_progress_bar()


def _broken(checkpoint: TorchCheckpoint, why: str) -> WeightsError:
    return WeightsError(
        f"the checkpoint '{checkpoint.name}' cannot be loaded: {why}; fetch it again, or name another one with --weights",
        code="model_corrupt",
    )


Locate = Callable[[str], Path | None]


def _small(name: str, locate: Locate, settings: Settings, family: Family) -> tuple[Json, Json, str]:
    """The small files, read and checked: config, preprocessor, and the license, which is looked at before any weights."""
    config = hub.read_json(name, hub.CONFIG, locate(hub.CONFIG), family.model)
    if (kind := config.get("model_type")) not in family.kinds:
        raise WeightsError(
            f"wanted a checkpoint of model '{family.model}' (model_type {' or '.join(family.kinds)}), but the config.json of"
            f" '{name}' says model_type {kind!r}; name another one with --weights"
        )
    file = next((file for file in PROCESSORS if locate(file)), PROCESSORS[0])
    preprocessor = hub.read_json(name, file, locate(file), family.model)
    inner = preprocessor.get("image_processor", preprocessor)
    license = hub.license_of(name, locate(hub.CARD), settings)
    tokenizer = [file for file in TOKENIZERS if locate(file)] if family.tokenizer else list(_VOCABULARY)
    if not set(tokenizer) & set(_VOCABULARY):
        raise WeightsError(f"'{name}' has no tokenizer ({', '.join(_VOCABULARY)}); name another one with --weights")
    return config, inner if isinstance(inner, dict) else {}, license


def _local(folder: Path, settings: Settings, family: Family) -> TorchCheckpoint:
    def locate(file: str) -> Path | None:
        path = folder / file
        return path if path.is_file() else None

    small = _small(str(folder), locate, settings, family)
    if _weights(str(folder), locate) is None:
        raise _no_weights(str(folder))
    return TorchCheckpoint(str(folder), folder, *small, fetched=False)


def _weights(name: str, locate: Locate) -> list[Path] | None:
    """The weights' files, one or several; None where one is not there. Raises WeightsError for an index that is none."""
    if path := locate(SAFE):
        return [path]
    if locate(INDEX) is None:
        return None
    paths = [locate(file) for file in _shards(name, locate(INDEX))]
    return None if None in paths else [path for path in paths if path]


def _shards(name: str, index: Path | None) -> list[str]:
    """The files that an index lists."""
    listed = hub.read_json(name, INDEX, index).get("weight_map")
    files = sorted({str(file) for file in listed.values()}) if isinstance(listed, dict) else []
    if not files or not all(_SHARD.fullmatch(file) for file in files):
        raise WeightsError(f"{INDEX} of '{name}' lists no weights; fetch it again", code="model_corrupt")
    return files


def _no_weights(name: str) -> WeightsError:
    return WeightsError(
        f"'{name}' has no {SAFE}: only safetensors are read, since other weights can hold code; name another one with --weights"
    )


def _record(name: str, settings: Settings) -> Path:
    """Where the hub's word on a checkpoint's weights is kept."""
    return settings.cache / "torch" / f"{name.replace('/', '--')}.json"


def _cached(name: str, settings: Settings, family: Family) -> TorchCheckpoint | None:
    """The checkpoint if all of its files are kept already, of one revision: no network is touched then."""
    from huggingface_hub import constants, try_to_load_from_cache

    refs = Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}", "refs")
    pulls = sorted(path.relative_to(refs).as_posix() for path in refs.glob("refs/pr/*"))
    for revision in (MAIN, *pulls):

        def locate(file: str, revision: str = revision) -> Path | None:
            path = try_to_load_from_cache(name, file, revision=revision)
            return Path(path) if isinstance(path, str) else None

        wanted = [(hub.CONFIG,), PROCESSORS, *([_VOCABULARY] if family.tokenizer else [])]
        paths = _weights(name, locate)
        if paths and all(any(locate(file) for file in files) for files in wanted):
            small = _small(name, locate, settings, family)
            for path in paths:
                hub.verify(path, hub.expected_sha256(path, _record(name, settings)))
            return TorchCheckpoint(name, paths[0].parent, *small, fetched=False)
    return None


def _downloaded(name: str, settings: Settings, family: Family) -> TorchCheckpoint:
    """The checkpoint from the hub, the weights last: where they are kept, all else is."""
    digests: dict[str, str] = {}
    with hub_errors(name, family.model):
        probe(name, hub.CONFIG, hub.PATIENCE)
        small = _small(name, _at(name, MAIN, digests), settings, family)
        revision, weights = _place(name)
        locate = _at(name, revision, digests)
        if revision != MAIN:  # all files then lie in that revision's folder
            small = _small(name, locate, settings, family)
        files = [SAFE] if weights == SAFE else _shards(name, locate(INDEX))
        paths = [path for path in map(locate, files) if path]
    if len(paths) < len(files):
        raise _no_weights(name)
    atomic_write(_record(name, settings), json.dumps(digests).encode())
    for path in paths:
        hub.verify_or_delete(path, digests[path.name])
    return TorchCheckpoint(name, paths[0].parent, *small, fetched=True)


def _at(name: str, revision: str, digests: dict[str, str]) -> Locate:
    """Fetches files of one revision and notes the hashes that the hub gives for weights."""
    from huggingface_hub import hf_hub_download

    def locate(file: str) -> Path | None:  # asked first: huggingface_hub would try a failing download again for a while
        digest = head(name, file, revision)
        if digest is None:
            return None
        if file.endswith(".safetensors"):
            digests[file] = digest
        return Path(hf_hub_download(name, file, revision=revision))

    return locate


def _place(name: str) -> tuple[str, str]:
    """Revision and file of the weights: safetensors on main or, converted, in a pull request of the hub's bot."""
    for file in (SAFE, INDEX):
        if head(name, file, MAIN):
            return MAIN, file
    for revision in pull_requests(name):
        if head(name, SAFE, revision):
            return revision, SAFE
    raise _no_weights(name)
