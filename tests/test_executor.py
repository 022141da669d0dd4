import itertools
import pickle
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from figureground import Picture, Separation, Separator, Settings, executor, models, pipeline
from figureground._machine import cores
from figureground.errors import (
    MissingExtra,
    NoForeground,
    PictureTooLarge,
    UnknownName,
    UnreadablePicture,
    UsageError,
    WriteFailed,
)
from figureground.executor import ExecutorConfig, Result, share
from figureground.pipeline import memory_errors
from figureground.types import SaliencyMap
from photographs import FOLDER


def in_order(call, sources, workers, *faults):
    """Results of the thread back end, in the order of the sources."""
    given = {"faults": faults[0]} if faults else {}
    return executor.map(call, sources, ExecutorConfig("thread", workers), **given)


NAMES = ("astronaut", "chelsea", "coffee", "rocket")


def left_alone(deadline=2.0):
    """Whether the threads of every pipeline have ended, or end within `deadline` seconds."""
    until = time.monotonic() + deadline
    while any(thread.name.startswith("figureground") for thread in threading.enumerate()):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture(autouse=True)
def _no_threads_stay():
    yield
    assert left_alone()


@pytest.fixture
def cheap(monkeypatch):
    """A Separator whose network is a threshold, so that thousands of pictures take no time."""

    def load(name, settings, **options):
        return lambda rgb: SaliencyMap((rgb[..., 0] > 127).astype(np.float32))

    monkeypatch.setattr(models, "load", load)
    return Separator("subject", Settings(threads=1))


def plain(value, side=8):
    return np.full((side, side, 3), value, np.uint8)


@settings(deadline=None, max_examples=30)
@given(delays=st.lists(st.integers(0, 6), max_size=24), workers=st.integers(1, 5), data=st.data())
def test_results_come_in_the_order_of_the_sources(delays, workers, data):
    bad = data.draw(st.sets(st.integers(0, max(0, len(delays) - 1))))

    def call(item):
        place, delay = item
        time.sleep(delay / 1000)
        if place in bad:
            raise UnreadablePicture(f"picture {place}")
        return place * 10

    sources = list(enumerate(delays))
    results = list(in_order(call, sources, workers))
    assert [result.source for result in results] == sources
    for place, result in enumerate(results):
        if place in bad:
            assert (result.value, str(result.error)) == (None, f"picture {place}")
        else:
            assert (result.value, result.error, result.get()) == (place * 10, None, place * 10)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_sources_are_never_drawn_from_further_than_twice_the_workers_ahead(workers):
    drawn, ahead = 0, []

    def endless():
        nonlocal drawn
        for number in itertools.count():
            drawn += 1
            yield number

    results = in_order(lambda number: number, endless(), workers)
    for number in range(50):
        assert next(results).value == number
        time.sleep(0.001)  # a slow reader, whom the sources must not outrun
        ahead.append(drawn - number - 1)
    results.close()
    assert max(ahead) < 2 * workers
    if workers > 1:
        assert max(ahead) > 0  # and yet the workers have something to do meanwhile


def test_pictures_are_worked_on_at_once():
    meeting = threading.Barrier(3)
    assert [result.value for result in in_order(lambda _: meeting.wait(5) >= 0, range(6), 3)] == [True] * 6


def test_what_is_ready_does_not_wait_for_a_full_window():
    """A camera gives a picture now and then: its result is there with the next one, not sixteen pictures later."""
    drawn = []

    def camera():
        for number in range(4):
            drawn.append(number)
            yield number
            assert done[number].wait(10)
            time.sleep(0.05)  # from the end of the call to its result

    done = [threading.Event() for _ in range(4)]

    def call(number):
        done[number].set()
        return number

    seen = [(result.value, len(drawn)) for result in in_order(call, camera(), 8)]
    assert [value for value, _ in seen] == [0, 1, 2, 3]
    assert seen[0][1] <= 2


def test_leaving_early_ends_the_threads_and_drops_what_waits():
    done = []

    def call(number):
        time.sleep(0.01)
        done.append(number)
        return number

    began = time.monotonic()
    for result in in_order(call, itertools.count(), 2):
        if result.value == 5:
            break
    del result
    assert left_alone()
    assert time.monotonic() - began < 2
    assert max(done) <= 5 + 4


def test_a_bug_in_a_worker_ends_the_run_at_its_place():
    def call(number):
        if number == 3:
            raise ZeroDivisionError("a bug")
        return number

    seen = []
    with pytest.raises(ZeroDivisionError, match="a bug"):
        seen.extend(result.value for result in in_order(call, itertools.count(), 2))
    assert left_alone()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_what_the_sources_raise_comes_out_and_the_threads_end(kind):
    def sources():
        yield from range(5)
        raise kind("no more")

    with pytest.raises(kind, match="no more"):
        list(in_order(lambda number: number, sources(), 2))
    assert left_alone()


def test_which_errors_are_a_pictures_own_can_be_said():
    def call(number):
        raise NoForeground(f"nothing in {number}")

    [result] = in_order(call, [7], 1, (NoForeground,))
    with pytest.raises(NoForeground, match="nothing in 7"):
        result.get()
    with pytest.raises(NoForeground):
        list(in_order(call, [7], 1))


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused_before_anything_is_drawn(cheap, workers):
    def never():
        raise AssertionError("drawn from")
        yield

    with pytest.raises(UsageError, match=f"at least 1, but got {workers}"):
        cheap.map(never(), workers)


def test_nothing_in_nothing_out(cheap):
    assert list(cheap.map([], 2)) == []


def test_the_small_network_gives_the_same_masks_in_order_and_bad_pictures_between_them_do_not_matter(tmp_path):
    separate = Separator("subject", Settings(threads=1))
    (tmp_path / "torn.jpg").write_bytes((FOLDER / "coffee.jpg").read_bytes()[:2000])
    sources = [FOLDER / "astronaut.jpg", tmp_path / "torn.jpg", FOLDER / "chelsea.jpg", b"", tmp_path / "none.png"]
    sources += [FOLDER / "coffee.jpg"]
    results = list(separate.map(iter(sources), workers=2))
    assert [result.source for result in results] == sources
    codes = [result.error and result.error.code for result in results]
    assert codes == [None, "truncated", None, "empty_file", "not_found", None]
    for result in results:
        if result.error is None:
            assert isinstance(result.value, Separation)
            assert np.array_equal(result.value.mask, separate(result.source).mask)
    with pytest.raises(UnreadablePicture, match="is empty"):
        results[3].get()


def test_finish_runs_in_the_workers_and_its_errors_are_the_pictures_own(cheap, tmp_path):
    threads = set()

    def save(done):
        threads.add(threading.current_thread().name)
        if not done.has_foreground():
            raise WriteFailed("nothing to write")
        path = tmp_path / f"{int(done.picture.rgb[0, 0, 0])}.png"
        Image.fromarray(done.cutout()).save(path)
        return path

    results = list(cheap.map((plain(value) for value in (200, 10, 250)), 2, finish=save))
    assert [result.value for result in results] == [tmp_path / "200.png", None, tmp_path / "250.png"]
    assert isinstance(results[1].error, WriteFailed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["200.png", "250.png"]
    assert threads and all(name.startswith("figureground") for name in threads)


def test_a_bug_in_finish_comes_out(cheap):
    with pytest.raises(ZeroDivisionError):
        list(cheap.map([plain(200)], 1, finish=lambda done: 1 / 0))


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("(-4:Insufficient memory) Failed to allocate 9 bytes"), RuntimeError("std::bad_alloc")],
)
def test_a_picture_that_does_not_fit_the_memory_is_one_error_and_the_next_goes_on(cheap, monkeypatch, error):
    look = cheap._model

    def short(rgb):
        if len(rgb) > 8:
            raise error
        return look(rgb)

    monkeypatch.setattr(cheap, "_model", short)
    first, second = cheap.map([plain(200, 9), plain(200)], 1)
    assert isinstance(first.error, PictureTooLarge) and first.error.code == "resource_limit"
    assert second.get().has_foreground()
    with pytest.raises(PictureTooLarge, match="shrink it"), memory_errors("the picture"):
        raise error


def test_other_errors_pass_the_watch_over_memory():
    with pytest.raises(ValueError, match="else"), memory_errors("the picture"):
        raise ValueError("something else")


def test_pictures_read_before_are_taken_too(cheap):
    picture = Picture.read(plain(200))
    [result] = cheap.map([picture])
    assert result.value.picture is picture


@pytest.mark.parametrize(
    ("threads", "workers", "each"), [(8, 2, 4), (8, 3, 2), (8, 8, 1), (8, 20, 1), (1, 1, 1), (0, 1, cores()), (0, 1000, 1)]
)
def test_the_networks_threads_are_shared_out(threads, workers, each):
    assert share(threads, workers) == each


def test_a_network_is_loaded_once_for_all_threads(monkeypatch):
    loaded = []

    def load(name, settings, **options):
        loaded.append(settings.threads)
        return lambda rgb: SaliencyMap(np.ones(rgb.shape[:2], np.float32))

    monkeypatch.setattr(models, "load", load)
    separate = pipeline.Separator("subject", Settings(threads=4))
    for workers in (1, 2, 2, 4, 4, 1):
        assert len(list(separate.map([plain(1)] * 3, workers))) == 3
    assert loaded == [4]


class Doubler:
    """A Loader: fails for odd tens, and for 7 in a way that is nobody's fault."""

    def load(self):
        return self.call

    @staticmethod
    def call(number):
        if number == 7:
            raise ZeroDivisionError("a bug")
        if number % 20 == 10:
            raise UnreadablePicture(f"picture {number}")
        return 2 * number


@pytest.mark.parametrize("backend", ["inline", "thread", "process"])
@pytest.mark.parametrize("ordered", [True, False])
def test_every_back_end_gives_one_result_for_each_item(backend, ordered):
    items = [None, 0, 10, None, 20, 30, 1, 2, 3]
    wanted = [item for item in items if item is not None]
    results = list(executor.map(Doubler(), items, ExecutorConfig(backend, 2, 1), ordered=ordered))
    assert [r.source for r in results] == wanted if ordered else sorted(r.source for r in results) == sorted(wanted)
    for result in results:
        if result.source % 20 == 10:
            assert result.value is None and result.error.code == "decode_error"
            assert str(result.error) == f"picture {result.source}"
        else:
            assert (result.value, result.error) == (2 * result.source, None)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(executor.map(Doubler(), [1, 7], ExecutorConfig(backend, 1, 1), ordered=ordered))


@settings(deadline=None, max_examples=25)
@given(numbers=st.lists(st.none() | st.integers(0, 30), max_size=12), workers=st.integers(1, 4), ordered=st.booleans())
def test_inline_and_threads_agree(numbers, workers, ordered):
    found = [
        [(r.source, r.value) for r in executor.map(lambda n: n + 1, numbers, ExecutorConfig(backend, workers), ordered=ordered)]
        for backend in ("inline", "thread")
    ]
    assert sorted(found[0]) == sorted(found[1])
    assert found[0] == [(n, n + 1) for n in numbers if n is not None]
    assert not ordered or found[1] == found[0]


@pytest.mark.parametrize("backend", ["inline", "thread"])
def test_a_stopped_run_starts_nothing_more(backend):
    stop, done = executor.Stop(), []
    for result in executor.map(lambda n: n, itertools.count(), ExecutorConfig(backend, 2), stop=stop):
        done.append(result.value)
        stop.soft = len(done) >= 3
    assert done == list(range(len(done)))
    assert 3 <= len(done) <= 3 + 2 * 2


def test_unknown_back_ends_and_too_few_workers_are_refused():
    with pytest.raises(UsageError, match="no engine is called 'rai'"):
        executor.map(len, [], ExecutorConfig("rai"))
    with pytest.raises(UsageError, match="at least 1, but got 0"):
        executor.map(len, [], ExecutorConfig(workers=0))
    assert executor.names() == ("inline", "process", "ray", "thread")


def test_parts_of_a_picture_use_no_more_threads_than_their_limit():
    """However the limits are nested, and also within the workers of a map."""

    def threads_of(parts):
        used = set()

        def part(number):
            used.add(threading.get_ident())
            time.sleep(0.002)
            return number

        assert executor.map_parts(part, range(parts)) == list(range(parts))
        return used

    for limit in (1, 2, 3):
        with executor.limit_threads(limit):
            assert len(threads_of(12)) <= limit
            with executor.limit_threads(8):
                assert len(threads_of(12)) <= limit
            with executor.limit_threads(1):
                assert threads_of(12) == {threading.get_ident()}
    config = ExecutorConfig("thread", 2, threads=1)
    used = [result.get() for result in executor.map(threads_of, [5] * 6, config)]
    assert len(set().union(*used)) <= 2


def test_errors_are_pickled_whole():
    for error in (
        UnreadablePicture("torn", code="truncated", picture="a.jpg"),
        UnknownName("rule", "a", ["b"]),
        MissingExtra("x", "y"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.as_dict()) == (type(error), str(error), error.as_dict())


def test_kept_errors_do_not_keep_their_pictures(tmp_path):
    """Whoever gathers the results of many torn pictures keeps their errors, not their bytes."""
    (tmp_path / "torn.jpg").write_bytes(b"no picture" * 50_000)

    def call(path):
        Picture.read(path, Settings())

    list(in_order(call, [tmp_path / "torn.jpg"] * 3, 1))
    tracemalloc.start()
    try:
        results = list(in_order(call, [tmp_path / "torn.jpg"] * 20, 1))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(result.error for result in results)
    assert held < 1_000_000


FLAT = """
import sys
from pathlib import Path
import numpy as np
from figureground import Separator, Settings, models
from figureground.types import SaliencyMap

models.load = lambda name, settings: lambda rgb: SaliencyMap((rgb[..., 0] > 99).astype(np.float32))

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

def sources(count):
    random = np.random.default_rng(0)
    for number in range(count):
        side = int(random.integers(16, 64))
        yield b"torn" if number % 50 == 7 else random.integers(0, 256, (side, side, 3), np.uint8)

separate, marks, wrong = Separator("subject", Settings(threads=1)), [], 0
for number, result in enumerate(separate.map(sources(4000), 2, finish=lambda done: done.mask8().tobytes())):
    wrong += result.error is not None
    if number % 100 == 99:
        marks.append(resident())
assert wrong == 80, wrong
settled = marks[len(marks) // 4 :]
print(np.polyfit(np.arange(len(settled)) * 0.1, settled, 1)[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is counted as Linux does")
def test_memory_is_flat_over_thousands_of_pictures():
    end = subprocess.run([sys.executable, "-c", FLAT], capture_output=True, text=True, check=True)
    assert float(end.stdout) < 1.0  # megabytes per thousand pictures


def test_a_result_says_what_it_is():
    assert repr(Result("a.jpg", 3)) == "Result(source='a.jpg', value=3, error=None)"
