"""What the server adds to the library's own time: the same pictures, as PNG cut-outs, by workers of the library and over HTTP.

python benchmarks/server.py [--rounds 5] [--pictures 20] [--concurrency 1 2]

"library" is `executor.map` over processes that do what the server's workers do; "server" is `figureground serve` on loopback,
asked by as many clients, each over one connection. The server has as many workers as there are clients at most, the library
as many as there are clients now, all with the same number of threads. The last column compares with the first row. All
clients together are one process beside the server, which takes processor time too.
"""

import http.client
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path

from common import arguments, folder_of, report, spread
from figureground import executor, methods
from figureground.executor import ExecutorConfig
from figureground.jobs import JobSpec
from figureground.server.worker import PictureWorkerConfig, ServerTask
from figureground.settings import Settings

START = 60.0
"""Seconds in which the server must be ready."""


@contextmanager
def serving(workers: int) -> Iterator[int]:
    """Run `figureground serve` on a free port, which the block gets."""
    command = [sys.executable, "-m", "figureground", "serve", "--port", "0", "--workers", str(workers)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = next(found for line in process.stderr or () if (found := re.search(r"listens on http://\S+:(\d+)", line)))
            port = int(line[1])
            drain = ThreadPoolExecutor(1)
            drain.submit(lambda: [None for _ in process.stderr or ()])
            wait_until_ready(port)
            yield port
        finally:
            process.terminate()


def wait_until_ready(port: int) -> None:
    """Return when the server has a worker; raises TimeoutError where it has none in time."""
    ends = time.monotonic() + START
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        while ask(connection, "GET", "/readyz")[0] != HTTPStatus.OK:
            if time.monotonic() > ends:
                raise TimeoutError("the server has no worker yet")
            time.sleep(0.1)


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Return the status and the body of an answer."""
    connection.request(method, path, body, {"Content-Type": "image/jpeg", "Accept": "image/png"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def by_server(port: int, pictures: Sequence[bytes], clients: int) -> float:
    """Return the seconds for all pictures, each asked for once, by that many clients at a time."""

    left = iter(pictures)  # of all clients together

    def client(_: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            for picture in left:
                status, body = ask(connection, "POST", "/v1/remove", picture)
                if status != HTTPStatus.OK:
                    raise RuntimeError(f"the server answered {status}: {body[:200]!r}")

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return time.perf_counter() - began


def by_library(pictures: Sequence[bytes], workers: int, threads: int) -> float:
    """Return the seconds for all pictures, without the start of the workers, which have that many threads each."""
    method = methods.find("subject")
    config = ExecutorConfig("process", workers, threads)
    settings = Settings(threads=threads)
    spec = JobSpec(method, settings=settings)
    warm = [ServerTask(pictures[0], spec, {"cutout": ".png"})] * workers
    tasks = [ServerTask(picture, spec, {"cutout": ".png"}) for picture in pictures]
    results = executor.map(PictureWorkerConfig(settings, method), [*warm, *tasks], config, ordered=False)
    for _ in warm:
        next(results).get()
    began = time.perf_counter()
    for result in results:
        result.get()
    return time.perf_counter() - began


def main() -> None:
    parser = arguments(__doc__, 5)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = [path.read_bytes() for path in folder_of(given.pictures, Path(folder))]
    most = max(given.concurrency)
    threads = ExecutorConfig("process", most).share_threads(0).threads
    library: dict[int, list[float]] = {count: [] for count in given.concurrency}
    server: dict[int, list[float]] = {count: [] for count in given.concurrency}
    with serving(most) as port:
        by_server(port, pictures[:most] * 2, most)
        for _ in range(given.rounds):
            for count in given.concurrency:
                server[count].append(1000 * by_server(port, pictures, count) / len(pictures))
                library[count].append(1000 * by_library(pictures, count, threads) / len(pictures))
    rows, first = [], statistics.median(server[given.concurrency[0]])
    for count in given.concurrency:
        ours, theirs = statistics.median(server[count]), statistics.median(library[count])
        rows.append(
            {
                "at a time": count,
                "library, ms a picture": spread([count * each for each in library[count]], 0),
                "server, ms a picture": spread([count * each for each in server[count]], 0),
                "added": f"{count * (ours - theirs):.0f} ms, {ours / theirs - 1:.0%}",
                "server, pictures/s": f"{1000 / ours:.2f}, {first / ours:.2f} times",
            }
        )
    report("The server against the library, 2 megapixels", rows, given.json)


if __name__ == "__main__":
    main()
