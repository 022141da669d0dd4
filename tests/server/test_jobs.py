"""Jobs: their states, results and events, and that they survive the end of the server."""

import io
import json
import os
import signal
import time

import httpx
import numpy as np
import pytest
from PIL import Image

from figureground.errors import UsageError
from figureground.server.job_store import JobStore
from figureground.server.keys import new_key
from http_server import App, serving
from photographs import FOLDER

PHOTO = (FOLDER / "coffee.jpg").read_bytes()
FAST = {"quality": "fast", "view": "mask"}


@pytest.fixture
def store(tmp_path):
    made = JobStore(tmp_path / "jobs")
    yield made
    made.close()


def finished(client, job, seconds=60):
    ends = time.monotonic() + seconds
    while (state := client.get(f"/v1/jobs/{job}").json())["state"] not in ("done", "failed"):
        assert time.monotonic() < ends, state
        time.sleep(0.05)
    return state


def test_a_job_from_its_pictures_to_its_files(tmp_path):
    with (
        serving("--state", str(tmp_path / "state"), "--keep-seconds", "2") as server,
        httpx.Client(base_url=server.address, timeout=60) as client,
    ):
        files = [("image", PHOTO), ("image", b"no picture"), ("image", PHOTO)]
        answer = client.post("/v1/jobs", files=files, data={"quality": "fast", "view": "mask,cutout", "format": "webp"})
        assert answer.status_code == 202 and answer.json()["total"] == 3
        job = answer.json()["id"]
        assert answer.headers["location"] == f"/v1/jobs/{job}"
        with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            events = "".join(stream.iter_text()).split("\n\n")
        rows = [json.loads(event.split("data: ")[1]) for event in events if event.startswith("event: state")]
        assert [row["done"] + row["failed"] for row in rows] == sorted(row["done"] + row["failed"] for row in rows)
        assert (rows[-1]["state"], rows[-1]["done"], rows[-1]["failed"]) == ("done", 2, 1)
        assert any(event.startswith("event: end") for event in events)
        state = client.get(f"/v1/jobs/{job}").json()
        first, second, third = state["pictures"]
        assert second["error"]["code"] == "unsupported_format" and second["files"] == {}
        assert first["facts"]["box"] == third["facts"]["box"] and "picture" not in first["facts"]
        mask = client.get(first["files"]["mask"])
        assert mask.headers["content-type"] == "image/webp"
        assert np.asarray(Image.open(io.BytesIO(mask.content))).max() == 255
        for wrong in ("0.picture", "9.mask.webp", "..%2F..%2Fjobs.sqlite", "jobs.sqlite"):
            assert client.get(f"/v1/jobs/{job}/files/{wrong}").status_code == 404
        ends = time.monotonic() + 30
        while client.get(f"/v1/jobs/{job}").status_code == 200:
            assert time.monotonic() < ends
            time.sleep(0.1)
        assert client.get(first["files"]["mask"]).status_code == 404
        assert not (tmp_path / "state" / job).exists()


def test_jobs_survive_a_server_that_is_killed(tmp_path):
    state = str(tmp_path)
    with serving("--state", state, "--no-preload") as server:
        os.kill(server.workers()[0], signal.SIGSTOP)
        answer = httpx.post(f"{server.address}/v1/jobs", files=[("image", PHOTO)] * 3, data=FAST, timeout=60)
        job = answer.json()["id"]
        server.wait_until(lambda: httpx.get(f"{server.address}/v1/jobs/{job}").json()["state"] == "running")
        server.process.kill()
        server.process.wait()
    with serving("--state", state) as server, httpx.Client(base_url=server.address, timeout=60) as client:
        after = finished(client, job)
        assert (after["state"], after["done"]) == ("done", 3)
        assert client.get(after["pictures"][2]["files"]["mask"]).status_code == 200
        assert client.delete(f"/v1/jobs/{job}").status_code == 204
        assert client.get(f"/v1/jobs/{job}").status_code == 404
        assert not (tmp_path / job).exists()


def test_a_store_goes_on_where_another_ended(tmp_path):
    first = JobStore(tmp_path)
    job = first.add({"view": ["mask"]}, [b"a", b"b"], "")
    assert first.begin_next() == (job, 0, {"view": ["mask"]})
    first.finish(job, 0, {"found": True}, {"0.mask.png": b"result"})
    assert first.begin_next()[1] == 1
    first.close()
    (tmp_path / ("0" * 32)).mkdir()  # a job of which no row was written
    second = JobStore(tmp_path)
    assert second.begin_next() == (job, 1, {"view": ["mask"]}) and second.begin_next() is None
    assert not (tmp_path / ("0" * 32)).exists()
    assert second.path(job, "0.mask.png").read_bytes() == b"result"
    second.fail(job, 1, {"code": "decode_error"})
    state = second.read(job, "")
    assert state["state"] == "done" and [each["state"] for each in state["pictures"]] == ["done", "failed"]
    assert second.waiting() == 0 and second.stored() == 2 + len(b"result")
    second.close()


def test_a_job_of_which_nothing_succeeds_has_failed(store):
    job = store.add({}, [b"a"], "")
    store.begin_next()
    store.give_back(job, 0)
    assert store.begin_next()[0] == job
    store.fail(job, 0, {"code": "decode_error"})
    assert store.read(job, "")["state"] == "failed"
    assert not store.path(job, "0.picture").exists()


def test_results_are_kept_for_a_time(store):
    old, new = store.add({}, [b"a"], ""), store.add({}, [b"b"], "")
    assert store.begin_next()[0] == old
    store.finish(old, 0, {}, {"0.mask.png": b"x"})
    assert store.remove_expired(60) == 0
    assert store.remove_expired(-1) == 1
    assert store.read(old, "") is None and store.read(new, "") and not (store.folder / old).exists()


def test_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="--state"):
        JobStore(tmp_path / "file")
    (tmp_path / "jobs.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(UsageError, match="--state"):
        JobStore(tmp_path)


def test_jobs_belong_to_their_key(tmp_path):
    mine, other = new_key(tmp_path / "keys"), new_key(tmp_path / "keys")
    app = App(keys=tmp_path / "keys").with_jobs(tmp_path / "jobs")
    answer = app.ask("POST", "/v1/jobs", files={"image": PHOTO}, headers={"X-Api-Key": mine})
    path = answer.headers["location"]
    assert app.ask("GET", path, headers={"X-Api-Key": mine}).json()["state"] == "queued"
    for place in (path, f"{path}/events", f"{path}/files/0.mask.png"):
        assert app.ask("GET", place, headers={"X-Api-Key": other}).status_code == 404
    assert app.ask("DELETE", path, headers={"X-Api-Key": other}).status_code == 404
    assert app.ask("GET", path).status_code == 401
    app.service.jobs.store.close()


def test_jobs_that_are_refused(tmp_path, monkeypatch):
    app = App(max_jobs=1).with_jobs(tmp_path)
    for fields in ({"quality": "super"}, {"format": "npy"}, {"background": "nocolor"}, {"method": "stuff"}):
        assert app.ask("POST", "/v1/jobs", files={"image": PHOTO}, data=fields).status_code == 422
    assert app.ask("POST", "/v1/jobs", data={"quality": "fast"}).json()["field"] == "image"
    assert list(tmp_path.glob("*/*")) == []
    app.pool.full = True  # jobs wait, so that a full queue does not matter
    assert app.ask("POST", "/v1/jobs", files={"image": PHOTO}).status_code == 202
    answer = app.ask("POST", "/v1/jobs", files={"image": PHOTO})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    monkeypatch.setattr("figureground.server.job_runner.MAX_STORED", 10)
    app.service.jobs.store.remove(app.service.jobs.store.begin_next()[0])
    assert app.ask("POST", "/v1/jobs", files={"image": PHOTO}).status_code == 503
    app.service.jobs.store.close()
