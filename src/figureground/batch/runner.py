"""A batch: inputs are registered in the ledger, tasks go to an executor, and every outcome is recorded at once.

This order makes sure that nothing is lost: first a file is written whole under its name, then its row; an
input is moved or deleted after that, if at all.
"""

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from figureground import executor
from figureground._deprecated import old_names
from figureground._files import locked
from figureground._words import count
from figureground.batch.inputs import InputOptions, Item, check_input, items
from figureground.batch.ledger import NAME, Ledger, Outcome, ResumePolicy, Task
from figureground.batch.status import rows, states_text
from figureground.batch.watch import InputDisposal, StableFileFilter
from figureground.batch.worker import WorkerConfig, load_source, outcome_from_error, shared_home, store_outcome
from figureground.errors import BatchAborted, InputError, UsageError, WriteFailed
from figureground.executor import ExecutorConfig, Result, Stop
from figureground.io.files import make_folder
from figureground.io.storage import Folder, is_remote, place
from figureground.jobs import JobSpec

Print = Callable[..., None]
MAX_NOTES = 10  # failures that are told one by one; the ledger has them all
DAY = 86_400.0
ASSETS = Path(__file__).parent.parent / "assets"
WEIGHTS_OPTIONS = ("weights", "mask_weights")
"""Options of models that may name a file or a folder."""


@old_names
@dataclass(frozen=True, slots=True)
class Batch:
    """The arguments of a batch."""

    inputs: tuple[str, ...]
    out: str
    spec: JobSpec
    suffix: str = ".png"
    input_options: InputOptions = field(default_factory=InputOptions)
    executor: ExecutorConfig = field(default_factory=lambda: ExecutorConfig("process", seconds=300))
    resume: bool = True
    retry_failed: bool = False
    overwrite: bool = False
    shard: tuple[int, int] | None = None
    ledger: Path | None = None
    watch: bool = False
    settle: float = 2.0
    input_disposal: InputDisposal = field(default_factory=InputDisposal)
    as_json: bool = False

    @property
    def folder(self) -> Path:
        """The folder of the ledger."""
        return self.ledger or Path(self.out)


def run(batch: Batch, echo: Print, note: Print, stop: Stop | None = None) -> int:
    """Do the batch; returns the exit code: 0 all done, 1 some pictures failed, 130 stopped by a signal.

    echo : prints a line of results. note : prints a remark. Raises UsageError before anything is read, CannotGoOn and
    other FigureGroundErrors of exit code 3 where the run cannot begin or go on; what was done stands.
    """
    batch = _checked(batch)
    ledger_file = batch.folder / f"{NAME}{_shard_name(batch.shard)}.sqlite"
    with _stopping(stop or Stop(), note) as stopping, _alone(ledger_file):
        target = place(batch.out)
        if isinstance(target, Folder):
            target.clear(time.time() - DAY if batch.shard else 0)
        ledger = Ledger(ledger_file)
        try:
            ledger.begin(batch.inputs, json.dumps(_plain(batch)), batch.executor.backend, batch.executor.count)
            with shared_home(batch.out, batch.executor.rows) if batch.executor.backend == "ray" else nullcontext() as home:
                config = WorkerConfig(
                    batch.spec, batch.out, batch.suffix, batch.executor.rows, batch.input_disposal.requested, home
                )
                return _BatchRun(batch, config, ledger, stopping, echo, note).finish()
        finally:
            ledger.close()


def _checked(batch: Batch) -> Batch:
    """Refuse what cannot be done, before anything is touched; returns the batch with its threads shared among the workers."""
    batch.spec.validate()
    batch.spec.check_format(batch.suffix)
    _check_executor(batch)
    if is_remote(batch.out) and batch.ledger is None:
        raise UsageError(f"the ledger is a file on this machine, but '{batch.out}' is not; name a folder for it with --ledger")
    if batch.shard and not 1 <= batch.shard[0] <= batch.shard[1]:
        raise UsageError(f"--shard is i/n with 1 <= i <= n, but got {batch.shard[0]}/{batch.shard[1]}")
    batch.input_disposal.check()
    for source in batch.inputs:
        check_input(source, batch.input_options, batch.watch)
    _refuse_overlap(batch)
    for folder in (batch.folder, *([] if is_remote(batch.out) else [Path(batch.out)])):
        try:
            make_folder(folder)
        except WriteFailed as error:
            raise BatchAborted(str(error)) from error
    settings = batch.spec.settings
    here = replace(batch.executor, workers=1) if batch.executor.backend == "inline" else batch.executor
    shared = replace(here.share_threads(settings.threads), gpus=int(settings.device.lower().startswith("cuda")))
    return replace(batch, executor=shared, spec=replace(batch.spec, settings=replace(settings, threads=shared.threads)))


def _check_executor(batch: Batch) -> None:
    """Raise UnknownName for a back end that does not exist, UsageError for options that it does not have."""
    config = batch.executor
    executor.load_backend(config.backend)
    name, workers = config.backend, config.workers
    if batch.watch and name == "ray":
        raise UsageError("--watch needs --engine process, thread or inline, but got --engine ray")
    if name != "ray" and config.min_workers not in (0, workers):
        raise UsageError(f"--workers {config.min_workers}-{workers} needs --engine ray; other engines take one number")
    if name != "ray" and config.rows != "paths":
        raise UsageError(f"--rows {config.rows} needs --engine ray; workers of other engines read and write files themselves")
    if name == "inline" and (workers or 1) > 1:
        raise UsageError(f"--engine inline has one worker, this process, but --workers {workers} was given")
    if name in ("inline", "thread") and (config.seconds or config.memory):
        flag = "--picture-seconds" if config.seconds else "--picture-memory"
        raise UsageError(f"{flag} needs workers that can be ended: use --engine process, but got --engine {name}")


def _refuse_overlap(batch: Batch) -> None:
    """Raise UsageError where inputs lie in the folder of the outputs; outputs among the inputs are left out later."""
    if is_remote(batch.out):
        return
    out = os.path.realpath(batch.out)
    for source in batch.inputs:
        real = os.path.realpath(source)
        if Path(source).is_dir() and os.path.commonpath([real, out]) == out:
            where = "the folder of the outputs too" if real == out else f"in the folder of the outputs, '{batch.out}'"
            raise UsageError(f"'{source}' is {where}; name another folder for the outputs")


def _plain(batch: Batch) -> dict[str, Any]:
    """Return everything that decides the bytes of the files."""
    spec, deciding = batch.spec, ("precision", "runtime", "device", "lenient", "draft", "max_pixels", "max_bytes")
    prompt = asdict(spec.prompt) if spec.prompt else None
    return {
        "method": asdict(spec.method),
        "weights": _weights(spec),
        "prompt": prompt,
        "require_subject": spec.require_subject,
        "views": spec.views,
        "suffix": batch.suffix,
        **({"frames": spec.frames} if spec.frames != "first" else {}),
        "look": asdict(spec.encode_options),
        "edits": {**asdict(spec.edit_options), "background_file": _background_file(spec)},
        "settings": {name: getattr(spec.settings, name) for name in deciding},
    }


def _background_file(spec: JobSpec) -> str | None:
    """Return the checksum of the picture that is put behind, where it is a file on this machine."""
    from figureground.inference.cache import sha256

    background = spec.edit_options.parsed_background()
    if background is None or background.kind != "picture" or not Path(background.source).is_file():
        return None
    return sha256(Path(background.source))


def _weights(spec: JobSpec) -> list[str]:
    """Return the checksums of the networks' files on this machine: the one in the package, and files and folders by option."""
    from figureground.inference.cache import sha256

    methods = [each for each in (spec.method, spec.method.second) if each]
    paths = [ASSETS / "saliency.onnx"] if any(each.model == "saliency" for each in methods) else []
    paths += [Path(str(each.options[name])) for each in methods for name in WEIGHTS_OPTIONS if each.options.get(name)]
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return [f"{file.name} {sha256(file)}" for file in files if file.is_file()]


def fingerprint(batch: Batch) -> str:
    """Return a hash that is equal for batches whose files are equal to the byte."""
    return hashlib.sha256(json.dumps(_plain(batch), sort_keys=True).encode()).hexdigest()[:16]


def _shard_name(shard: tuple[int, int] | None) -> str:
    return f".{shard[0]}-of-{shard[1]}" if shard else ""


@contextmanager
def _alone(ledger: Path) -> Iterator[None]:
    """Let only one run at a time write a ledger."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(ledger.with_suffix(".lock"), wait=False))
        except TimeoutError as error:
            raise BatchAborted(
                f"another run works on '{ledger.parent}'; wait for it, or name another folder", code="busy"
            ) from error
        except OSError as error:
            raise BatchAborted(f"'{ledger.parent}' cannot be written ({error.strerror})") from error
        yield


@contextmanager
def _stopping(stop: Stop, note: Print) -> Iterator[Stop]:
    """Let the first Ctrl-C (or SIGTERM) finish the pictures in work, and the second stop at once."""

    def requested(*_: object) -> None:
        stop.soft, stop.hard = True, stop.soft
        if not stop.hard:
            note("finishing the pictures in work; press again to stop at once. The same command continues later")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {each: signal.signal(each, requested) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class _BatchRun:
    """One run, from the first row to the summary."""

    def __init__(self, batch: Batch, config: WorkerConfig, ledger: Ledger, stop: Stop, echo: Print, note: Print) -> None:
        self.batch, self.config, self.ledger, self.stop, self.echo, self.note = batch, config, ledger, stop, echo, note
        folders = [] if is_remote(batch.out) else [batch.out]
        if batch.input_disposal.move is not None:
            folders.append(str(batch.input_disposal.move))
        self.input_options = replace(batch.input_options, exclude=tuple(folders))
        self.policy = ResumePolicy(
            fingerprint(batch), config.endings, batch.resume, batch.retry_failed, batch.overwrite, batch.shard
        )
        self.in_hand: dict[int, Task] = {}
        self.place = place(batch.out)
        self.bar: Any = None
        self.done = self.failed = 0
        self.began = time.monotonic()

    def finish(self) -> int:
        """Process everything; returns the exit code."""
        from tqdm import tqdm

        tasks = self._watched() if self.batch.watch else self._registered()
        total = None if self.batch.watch else self.ledger.counts()["waiting"]
        quiet = True if self.batch.as_json else None
        with tqdm(total=total, desc="batch", unit="picture", disable=quiet) as self.bar:
            results = executor.map(
                self.config, self._prepared(tasks), self.batch.executor, ordered=False, faults=(Exception,), stop=self.stop
            )
            for result in results:
                self._take(self._outcome(result))
        return self._summed_up()

    def _outcome(self, result: Result[Task, Outcome]) -> Outcome:
        """Return a task's outcome, after its files were written where they came with it."""
        if result.error is not None:
            outcome = outcome_from_error(result.source, result.error)
            return replace(outcome, seconds=self.batch.executor.seconds) if outcome.code == "timeout" else outcome
        outcome = result.get()
        return store_outcome(self.config, self.place, result.source, outcome) if outcome.contents else outcome

    def _registered(self) -> Iterator[Task | None]:
        self._register(lambda _: True)
        for row in () if self.batch.as_json else rows(self.batch.folder, "state = 'failed'", "number", MAX_NOTES):
            self.note(f"{row.code}: '{row.source}': {row.message}")  # known without reading, or from before
        self.batch.input_disposal.catch_up(self.ledger, place(self.batch.out))
        return iter(self.ledger.waiting())

    def _register(self, wanted: Callable[[Item], bool]) -> None:
        found_items = chain.from_iterable(items(source, self.input_options) for source in self.batch.inputs)
        try:
            self.ledger.register(filter(wanted, found_items), self.policy, place(self.batch.out))
        except InputError as error:
            raise BatchAborted(str(error), code=error.code) from error

    def _watched(self) -> Iterator[Task | None]:
        """Yield tasks as complete pictures appear, until the run is stopped; None while there are none."""
        is_stable = StableFileFilter(self.ledger, self.batch.settle)
        while not self.stop.soft:
            began = time.monotonic()
            self._register(is_stable)
            yield from (task for task in self.ledger.waiting() if task.number not in self.in_hand)
            # a look at a great many files takes its time, and must not be all that is done
            until = time.monotonic() + max(self.batch.settle, 4 * (time.monotonic() - began))
            while time.monotonic() < until and not self.stop.soft:
                yield None

    def _prepared(self, tasks: Iterator[Task | None]) -> Iterator[Task | None]:
        """Yield the tasks that workers are to do, with the bytes of their pictures where these travel."""
        for task in tasks:
            if task is not None:
                self.in_hand[task.number] = task
                loaded = load_source(self.config, task) if self.config.rows == "bytes" else task
                if isinstance(loaded, Outcome):
                    self._take(loaded)
                    continue
                yield loaded
            else:
                yield None

    def _take(self, outcome: Outcome) -> None:
        """Record an outcome and print it."""
        task = self.in_hand.pop(outcome.number)
        if outcome.state == "stopped":
            raise BatchAborted(
                f"{outcome.message}; what was done stands, the same command goes on from here", code=outcome.code
            )
        self.ledger.record(outcome)
        self.done += outcome.state == "done"
        if outcome.state == "failed":
            self.failed += 1
            if self.failed <= MAX_NOTES and not self.batch.as_json:
                where = "" if task.source in outcome.message else f"'{task.source}': "
                self.note(f"{outcome.code}: {where}{outcome.message}")
            elif self.failed == MAX_NOTES + 1 and not self.batch.as_json:
                self.note(f"more pictures fail; the ledger has them all: figureground batch --status {self.batch.folder}")
        else:
            self.batch.input_disposal(task.source, self.ledger.name(task.number))
        if self.batch.as_json:
            self.echo(json.dumps({"picture": task.source, **_outcome_facts(outcome)}, ensure_ascii=False))
        self.bar.set_postfix(failed=self.failed, refresh=False)
        self.bar.update()

    def _summed_up(self) -> int:
        done = self.done
        counts = self.ledger.counts()
        seconds = time.monotonic() - self.began
        if self.batch.as_json:
            self.echo(json.dumps({"summary": {**counts, "done_now": done, "seconds": round(seconds, 2)}}))
        speed = f", {done / seconds:.1f} pictures per second" if done else ""
        text = f"{states_text(counts)} of {count(sum(counts.values()), 'input')}"
        self.note(f"{text}; {done} done now in {seconds:.0f} s{speed}; ledger: {self.ledger.path}")
        if self.stop.soft and not self.batch.watch:
            return 130
        self.ledger.end()
        return 1 if counts["failed"] else 0


def _outcome_facts(outcome: Outcome) -> dict[str, Any]:
    facts = asdict(outcome) | {"seconds": round(outcome.seconds, 4)}
    return {name: value for name, value in facts.items() if name != "number" and value not in (None, "", {})}
