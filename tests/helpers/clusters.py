"""A Ray cluster of its own for tests, in processes beside them, and the processes below one."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HOLDS = """
import ray
context = ray.init("local", num_cpus=4, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False)
print(context.address_info["gcs_address"], flush=True)
input()
"""
ACTOR = "ray::MapWorker"


@dataclass(frozen=True)
class Cluster:
    address: str
    pid: int
    environment: dict[str, str] = field(default_factory=dict)
    """What whoever joins it must have in theirs: a token of its own."""

    def actors(self) -> list[int]:
        """Actors of the pool that have a worker process, which is to say a picture in hand or behind them."""
        return [pid for pid, title in below(self.pid).items() if title.startswith(ACTOR) and below(pid)]


@contextmanager
def cluster() -> Iterator[Cluster]:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = os.environ | token | {"RAY_USAGE_STATS_ENABLED": "0"}
    pipe = subprocess.PIPE
    holder = subprocess.Popen([sys.executable, "-c", HOLDS], stdin=pipe, stdout=pipe, text=True, env=environment)
    try:
        yield Cluster(holder.stdout.readline().strip(), holder.pid, token)
    finally:
        holder.communicate("\n", timeout=30)


def below(parent: int) -> dict[int, str]:
    """The processes whose ancestor the parent is, with their titles."""
    above, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            above[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:
            continue
    found = {parent}
    while more := {pid for pid, ancestor in above.items() if ancestor in found and pid not in found}:
        found |= more
    return {pid: titles[pid] for pid in found - {parent} if pid in titles}
