"""The model of a batch on many machines: its closed form, its simulation, and the command over both."""

import sqlite3
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from photographs import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def fleet(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import fleet

    return fleet


@pytest.fixture
def plan(fleet):
    import plan

    return plan


def pictures(fleet, *seconds, size=1e6, start=0.0):
    each = np.array(seconds or [1.0])
    return fleet.Pictures(each, np.full(len(each), size), np.full(len(each), 2 * size), start=start, load=start)


def test_a_case_by_hand(fleet):
    """A million pictures of a second on 10 cores at 2 an hour: 100 000 s, 27.8 hours, 55.6; and requests, two a picture."""
    crew = fleet.Fleet(workers=10, cores=10, price=2.0, request_price=1e-6)
    hours, cost = fleet.simulate(pictures(fleet), crew, 10**6, 1, runs=5)
    assert hours == pytest.approx(100_000 / 3600, rel=1e-4)
    assert cost == pytest.approx(2 * 100_000 / 3600 + 2, rel=1e-4)
    assert fleet.closed(pictures(fleet), crew, 10**6, 1) == (pytest.approx(100_000 / 3600), "processors")


def test_start_and_registration_come_before_the_first_picture(fleet):
    crew = fleet.Fleet(workers=1, cores=1, register=100.0)
    hours, _ = fleet.simulate(pictures(fleet, 1.0, start=7.0), crew, 1000, 1, runs=1)
    assert hours[0] * 3600 == pytest.approx(10 + 7 + 1000)


@pytest.mark.parametrize("ledgers", ["lists", "shards", "one"])
@pytest.mark.parametrize("nodes", [1, 10, 100])
@pytest.mark.parametrize("storage", [np.inf, 100e6])
def test_without_stragglers_and_failures_the_simulation_is_the_closed_form(fleet, ledgers, nodes, storage):
    crew = fleet.Fleet(workers=4, cores=4, all_bytes=storage, node_bytes=50e6, ledgers=ledgers, register=1e5, record=5000.0)
    some = pictures(fleet, 0.1, 0.2, 0.6, start=3.0)
    hours, _ = fleet.simulate(some, crew, 10**7, nodes, runs=20)
    assert hours == pytest.approx(fleet.closed(some, crew, 10**7, nodes)[0], rel=0.02)


def test_more_nodes_are_never_slower_and_stop_helping_where_the_storage_binds(fleet):
    crew, some = fleet.Fleet(workers=4, cores=4, all_bytes=80e6), pictures(fleet, 0.5, 1.5)
    means = [fleet.simulate(some, crew, 10**6, nodes)[0].mean() for nodes in (1, 2, 5, 10, 20, 50)]
    assert all(later <= sooner * 1.001 for sooner, later in pairwise(means))
    assert means[0] / means[2] == pytest.approx(5, rel=0.01)  # 80 MB/s write 40 pictures of 2 MB a second: 10 nodes' worth
    assert means[-1] == pytest.approx(means[-2], rel=1e-6)
    assert fleet.takeover(some, crew) == ("storage out", pytest.approx(10))
    assert [fleet.closed(some, crew, 10**6, nodes)[1] for nodes in (1, 9, 11)] == ["processors", "processors", "storage out"]


def test_workers_share_the_cores_and_the_memory_that_there_are(fleet):
    some = pictures(fleet, 1.0)
    speeds = [fleet.rates(some, fleet.Fleet(workers=w, cores=2), 1)["processors"] for w in (1, 2, 4)]
    assert speeds == [1, 2, 2]
    assert fleet.Fleet(workers=8, memory=1e9, worker_memory=3e8).crew == 3
    waiting = fleet.Fleet(workers=4, cores=2, latency=1.0)  # while one waits for the storage another computes
    assert fleet.rates(some, waiting, 1)["processors"] == 2


@pytest.mark.parametrize(
    ("facts", "name", "nodes"),
    [
        ({"requests": 40.0}, "requests", 20),
        ({"all_bytes": 1e6, "node_bytes": 1e12}, "storage out", 0.5),
        ({"ledgers": "one", "record": 30.0}, "ledger", 30),
        ({"ledgers": "shards", "register": 50.0}, "registration", 50),
        ({"ledgers": "lists", "register": 50.0, "record": 30.0}, "storage in", np.inf),
    ],
)
def test_what_binds_first_as_nodes_are_added(fleet, facts, name, nodes):
    assert fleet.takeover(pictures(fleet), fleet.Fleet(workers=1, cores=1, **facts)) == (name, pytest.approx(nodes))


def test_registering_everything_on_every_node_binds_in_the_end(fleet):
    shards = fleet.Fleet(workers=1, cores=1, ledgers="shards", register=50.0)
    assert [fleet.closed(pictures(fleet), shards, 10**6, nodes)[1] for nodes in (10, 100)] == ["processors", "registration"]


def test_a_slow_node_holds_up_lists_but_not_one_ledger(fleet):
    slow = fleet.Fleet(workers=1, cores=1, slow=0.1, slowness=3.0)
    lists, _ = fleet.simulate(pictures(fleet), slow, 100_000, 100)
    one, _ = fleet.simulate(pictures(fleet), replace(slow, ledgers="one"), 100_000, 100)
    assert np.median(lists) * 3600 == pytest.approx(3000, rel=0.01)
    assert np.median(one) * 3600 == pytest.approx(1000 / (0.9 + 0.1 / 3), rel=0.03)


def test_deaths_cost_their_expected_time(fleet):
    """One death in 10 hours on a node that is back after 1000 s: each hour of work costs 100 s more, and 1/36 of that again."""
    crew = fleet.Fleet(workers=1, cores=1, node_deaths=0.1, back=1000.0)
    hours, _ = fleet.simulate(pictures(fleet, 1.0), crew, 3_600_000, 1, runs=400)
    assert hours.mean() == pytest.approx(1000 / (1 - 0.1 * 1000.5 / 3600), rel=0.005)
    assert hours.std() > 0
    of_workers = fleet.Fleet(workers=2, cores=2, worker_deaths=36.0)  # each costs its worker 9 s of start and half a picture
    hours, _ = fleet.simulate(pictures(fleet, 2.0, start=9.0), of_workers, 360_000, 1, runs=50)
    assert hours.mean() == pytest.approx(100 / (1 - 36 * 10 / 3600), rel=0.01)


def test_nodes_that_die_faster_than_they_work_are_refused(fleet):
    with pytest.raises(ValueError, match="dies again before it has made good"):
        fleet.simulate(pictures(fleet), fleet.Fleet(node_deaths=13.0, back=300.0), 1000, 1)


def test_a_billion_pictures_on_a_thousand_nodes_are_simulated_at_once(fleet):
    hours, _ = fleet.simulate(pictures(fleet, *np.linspace(0.1, 0.5, 50)), fleet.Fleet(node_deaths=0.001), 10**9, 1000, runs=10)
    assert hours.min() > 10**9 * 0.3 / 8000 / 3600


def test_long_ledgers_keep_their_means(fleet):
    facts = np.random.default_rng(1).gamma(2, 1, (5003, 3))
    found = fleet.grouped(facts)
    assert found.shape == (fleet.GROUPS, 3)
    assert found.mean(0) == pytest.approx(facts.mean(0), rel=0.01)


@pytest.fixture
def ledger(tmp_path):
    from figureground.batch.inputs import Item
    from figureground.batch.ledger import Ledger, Outcome, ResumePolicy
    from figureground.io.storage import Folder

    path = tmp_path / "ledger.sqlite"
    base = Ledger(path)
    base.begin(["in"], "", "local", 1)
    found = [Item(f"{n}.jpg", f"{n}.jpg", f"{1000 * (n + 1)}:77") for n in range(3)]
    base.register(found, ResumePolicy("f", (".png",)), Folder(str(tmp_path)))
    for number in (1, 2):
        base.record(Outcome(number, "done", seconds=0.0 + number, files={"a": 10, "b": 5 * number}))
    base.record(Outcome(3, "failed", "unreadable", "it is bad"))
    base.close()
    return path


def test_what_a_ledger_measured(fleet, ledger):
    found = fleet.from_ledger(ledger)
    assert found.seconds.tolist() == [1, 2]
    assert found.bytes_in.tolist() == [1000, 2000]
    assert found.bytes_out.tolist() == [15, 20]


def test_ledgers_that_measured_nothing_are_refused(fleet, ledger, tmp_path):
    with pytest.raises(ValueError, match="is not there"):
        fleet.from_ledger(tmp_path / "none")
    with sqlite3.connect(ledger) as base:
        base.execute("UPDATE pictures SET state = 'failed'")
    base.close()
    with pytest.raises(ValueError, match="finished no picture"):
        fleet.from_ledger(ledger)
    (tmp_path / "other").write_text("text that is no ledger of anything at all")
    with pytest.raises(ValueError, match="is no ledger"):
        fleet.from_ledger(tmp_path / "other")


def run(*words):
    return subprocess.run(
        [sys.executable, BENCHMARKS / "plan.py", *map(str, words)], capture_output=True, text=True, check=False
    )


def test_the_command_prints_a_table_and_draws(tmp_path, ledger):
    from PIL import Image

    ended = run("--ledger", ledger, "--nodes", 1, 10, "--storage", 1, "--price", 1, "--plot", tmp_path / "p.png")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("\n| 1,000") == 4
    assert "pictures at once" in ended.stdout
    with Image.open(tmp_path / "p.png") as image:
        assert len(image.convert("RGB").getcolors(2**20)) > 10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give --ledger FILE, or --seconds"),
        (["--ledger", "nowhere", "--seconds", "1"], "and not both"),
        (["--ledger", "nowhere"], "'nowhere' is not there"),
        (["--seconds", "0"], "a number above 0"),
        (["--seconds", "x"], "invalid positive value: 'x'"),
        (["--seconds", "1", "--nodes", "1.5"], "a whole number from 1 on"),
        (["--seconds", "1", "--price", "-1"], "a number from 0 on"),
        (["--seconds", "1", "--slow", "2"], "a share of the nodes"),
        (["--seconds", "1", "--worker-memory", "500", "--memory", "400"], "does not fit"),
        (["--seconds", "1", "--node-deaths", "20"], "dies again"),
    ],
)
def test_bad_arguments_are_one_clear_line(words, said):
    ended = run(*words)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1 and ended.stderr.startswith("plan: ")
    assert said in ended.stderr


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.2789, "0.279"), (12.34, "12.3"), (99.96, "100.0"), (123456, "123,000")]
)
def test_figures_have_three_digits(plan, value, text):
    assert plan.short(value) == text
