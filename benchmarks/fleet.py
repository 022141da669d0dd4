"""A model of a batch on many machines: hours and cost of any number of pictures on n nodes, from what one picture takes.

`rates` is the closed form, a bound a row; `simulate` has chance in it: which pictures come, slow nodes, deaths, retries.
To add a bound: a row in `rates`, and in `simulate` only if it differs from run to run.
"""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
HOUR = 3600.0
GROUPS = 50  # kinds of pictures that a long ledger is summed up in
LEDGERS = ("lists", "shards", "one")
SHARED = ("storage in", "storage out", "requests")


@dataclass(frozen=True, slots=True)
class Pictures:
    """What was measured of k pictures, each as likely as another.

    seconds : (k,) float64, a worker's wall time, > 0. bytes_in, bytes_out : (k,) float64. processor : the share of `seconds`
    in which a core is busy. start : seconds until the first worker begins. load : seconds in which a further worker loads.
    """

    seconds: Floats
    bytes_in: Floats
    bytes_out: Floats
    processor: float = 1.0
    start: float = 2.0
    load: float = 1.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Nodes that are alike, and what they share. A bandwidth, rate or memory of infinity binds nothing.

    workers, cores : of a node. memory : bytes of a node. worker_memory : bytes of a worker. node_bytes, all_bytes : bytes a
    second each way, of a node and of the storage. requests : a second, of the storage; a picture makes two.
    register, record : rows a second that one ledger takes. ledgers : `lists`, each node is given inputs of its own; `shards`,
    each lists all inputs and keeps its part; `one`, one driver for all.
    latency : seconds a picture that a worker waits for the storage. node_deaths, worker_deaths : in an hour, of each.
    back : seconds until a dead node is replaced. slow, slowness : the share of slow nodes, and how many times as long they
    take. price : of a node's hour. request_price : of a request.
    """

    workers: int = 8
    cores: int = 8
    memory: float = np.inf
    worker_memory: float = 0.0
    node_bytes: float = np.inf
    all_bytes: float = np.inf
    requests: float = np.inf
    register: float = np.inf
    record: float = np.inf
    ledgers: str = "lists"
    latency: float = 0.0
    node_deaths: float = 0.0
    worker_deaths: float = 0.0
    back: float = 300.0
    slow: float = 0.0
    slowness: float = 1.0
    price: float = 0.0
    request_price: float = 0.0

    @property
    def crew(self) -> int:
        """How many workers of a node fit into its memory."""
        return self.workers if self.workers * self.worker_memory <= self.memory else int(self.memory // self.worker_memory)


def from_ledger(path: Path) -> Pictures:
    """What the last run in a ledger measured; raises ValueError where it finished no picture of which the size is known."""
    if not path.is_file():
        raise ValueError(f"'{path}' is not there; give the file figureground-ledger.sqlite of a finished batch")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
        try:
            run, began = base.execute("SELECT run, began FROM runs ORDER BY run DESC LIMIT 1").fetchone()
            query = """SELECT seconds, stamp, files, finished FROM pictures
                WHERE run = ? AND finished > ? AND state = 'done' ORDER BY finished"""
            rows = base.execute(query, (run, began)).fetchall()
        except (sqlite3.DatabaseError, TypeError) as error:
            raise ValueError(f"'{path}' is no ledger of a batch ({error})") from error
    rows = [row for row in rows if row[1].partition(":")[0].isdigit()]
    if not rows:
        raise ValueError(f"the last run in '{path}' finished no picture of a known size; give figures by hand")
    facts = np.array([(row[0], int(row[1].partition(":")[0]), sum(json.loads(row[2]).values())) for row in rows], float)
    start = max(0.0, min(row[3] - row[0] for row in rows) - began)
    return Pictures(*grouped(facts).T, start=start, load=start)


def grouped(facts: Floats) -> Floats:
    """(k, 3) of at most `GROUPS` rows with the same means: pictures in the order of their seconds, neighbours averaged."""
    if len(facts) <= GROUPS:
        return facts
    parts = np.array_split(facts[np.argsort(facts[:, 0])], GROUPS)
    return np.array([part.mean(0) for part in parts])


def slots(pictures: Pictures, fleet: Fleet) -> float:
    """How many pictures a node has at work at once without slowing them: its workers, or what its cores carry."""
    seconds = pictures.seconds.mean() + fleet.latency
    return float(min(fleet.crew, fleet.cores * seconds / (pictures.seconds.mean() * pictures.processor)))


def rates(pictures: Pictures, fleet: Fleet, nodes: int) -> dict[str, float]:
    """Pictures a second that each part of the whole allows; the least of them binds."""
    drivers = 1 if fleet.ledgers == "one" else nodes
    seconds, read, written = pictures.seconds.mean() + fleet.latency, pictures.bytes_in.mean(), pictures.bytes_out.mean()
    return {
        "processors": nodes * slots(pictures, fleet) / seconds,
        "node in": nodes * fleet.node_bytes / max(read, 1e-9),
        "node out": nodes * fleet.node_bytes / max(written, 1e-9),
        "storage in": fleet.all_bytes / max(read, 1e-9),
        "storage out": fleet.all_bytes / max(written, 1e-9),
        "requests": fleet.requests / 2,
        "ledger": drivers * fleet.record,
    }


def before(pictures: Pictures, fleet: Fleet, count: int, nodes: int) -> float:
    """Seconds before the first picture: inputs are registered, workers load."""
    listed = count / nodes if fleet.ledgers == "lists" else count
    return listed / fleet.register + pictures.start + pictures.load * (1 - 1 / fleet.crew)


def closed(pictures: Pictures, fleet: Fleet, count: int, nodes: int) -> tuple[float, str]:
    """Hours without stragglers and failures, and what binds: `registration`, or one of `rates`."""
    bound = rates(pictures, fleet, nodes)
    least = min(bound, key=lambda name: bound[name])
    first, then = before(pictures, fleet, count, nodes), count / bound[least]
    return (first + then) / HOUR, "registration" if first > then else least


def takeover(pictures: Pictures, fleet: Fleet) -> tuple[str, float]:
    """What the nodes share that binds first as they grow in number, and from how many on; infinity where nothing ever does."""
    one = rates(pictures, fleet, 1)
    shared = {name: one.pop(name) for name in SHARED}
    if fleet.ledgers == "one":
        shared["ledger"] = one.pop("ledger")
    if fleet.ledgers != "lists":
        shared["registration"] = fleet.register
    name = min(shared, key=lambda each: shared[each])
    return name, shared[name] / min(one.values())


def simulate(pictures: Pictures, fleet: Fleet, count: int, nodes: int, runs: int = 100, seed: int = 0) -> tuple[Floats, Floats]:
    """Hours and cost of each of `runs` simulated runs, (runs,) float64 each.

    No picture is looped over: how often each of the k measured pictures occurs among a node's is drawn at once, from the
    multinomial distribution, which is exact for any number. Deaths are Poisson, those in the time that deaths cost
    included; a node that died registers its inputs anew (resume) and does what was in hand again. Where `lists` or `shards`
    are used a slow node holds all up; `one` driver hands out to whoever is free, so nodes end together.
    """
    chance, one = np.random.default_rng(seed), fleet.ledgers == "one"
    pace = np.where(chance.random((runs, nodes)) < fleet.slow, fleet.slowness, 1.0)
    share = 1 / pace if one else np.ones_like(pace)
    share /= share.sum(1, keepdims=True)
    held = chance.multinomial(count, share) if fleet.ledgers == "shards" else _even(count, share)
    k = len(pictures.seconds)
    often = chance.multinomial(held, np.full(k, 1 / k))
    at_once = np.clip(held, 1, slots(pictures, fleet))
    busy = pace * (often @ pictures.seconds + held * fleet.latency) / at_once
    work = np.maximum(busy, np.maximum(often @ pictures.bytes_in, often @ pictures.bytes_out) / fleet.node_bytes)
    work += _lost(work, pictures, fleet, count / nodes if fleet.ledgers == "lists" else count, chance)
    work = (work.mean(1, keepdims=True) if one else work) + _last(pictures, fleet, pace, held, chance)
    bounds = rates(pictures, fleet, nodes)
    least = min(bounds[name] for name in (*SHARED, "ledger"))
    each = np.broadcast_to(before(pictures, fleet, count, nodes) + np.maximum(work, count / least), pace.shape)
    cost = each.sum(1) / HOUR * fleet.price + 2 * count * fleet.request_price
    return each.max(1) / HOUR, cost


def _even(count: int, share: Floats) -> NDArray[np.int64]:
    """So many pictures each, in all `count`."""
    ends = np.rint(np.cumsum(share, axis=1) * count).astype(np.int64)
    return np.diff(ends, axis=1, prepend=0)


def _lost(work: Floats, pictures: Pictures, fleet: Fleet, listed: float, chance: np.random.Generator) -> Floats:
    """Seconds that deaths cost each node, those that fall in such seconds included; in-hand pictures are half done."""
    half, crew = pictures.seconds.mean() / 2, slots(pictures, fleet)
    of_node = fleet.back + pictures.start + half + (0 if fleet.ledgers == "one" else listed / fleet.register)
    of_worker = (pictures.load + half) / crew
    node_deaths, worker_deaths = fleet.node_deaths / HOUR, crew * fleet.worker_deaths / HOUR
    if node_deaths * of_node + worker_deaths * of_worker >= 1:
        raise ValueError("a node dies again before it has made good its last death; lower the deaths or --back, or use lists")
    lost, fresh = np.zeros_like(work), work
    while fresh.any():
        fresh = chance.poisson(fresh * node_deaths) * of_node + chance.poisson(fresh * worker_deaths) * of_worker
        lost += fresh
    return lost


def _last(pictures: Pictures, fleet: Fleet, pace: Floats, held: NDArray[np.int64], chance: np.random.Generator) -> Floats:
    """Seconds from when the first worker has nothing more to do until the last has, less what others do meanwhile.

    A picture that is met in hand is long with the chance of its length, and any part of it may be left (renewal theory).
    """
    shape = (*pace.shape, max(1, round(slots(pictures, fleet))))
    left = chance.choice(pictures.seconds, shape, p=pictures.seconds / pictures.seconds.sum())
    left *= chance.random(shape) * pace[..., None]
    if fleet.ledgers == "one":
        left, held = left.reshape(len(pace), 1, -1), held.sum(1, keepdims=True)
    return np.asarray(np.where(held > left.shape[2], left.max(2) - left.mean(2), 0.0))
