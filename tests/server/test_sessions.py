"""The pictures that pages work on: held by a random id for a time, and by workers decoded."""

import base64
import io
import time

import httpx
import numpy as np
import pytest
from PIL import Image

from figureground.errors import UsageError
from figureground.jobs import JobSpec
from figureground.methods import find
from figureground.server import sessions, worker
from figureground.server.errors import Refused
from figureground.server.sessions import Held, Sessions
from figureground.server.worker import PictureWorker, ServerTask
from figureground.settings import Settings
from http_server import App
from photographs import FOLDER

PHOTO = (FOLDER / "coffee.jpg").read_bytes()


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_session_is_found_by_its_id_and_its_owner_alone():
    held = Sessions()
    name, _ = held.add(b"picture", "anna")
    assert len(name) >= 32 and held.find(name, "anna").data == b"picture"
    for wrong, owner in ((name, "ben"), (name, ""), (name[:-1], "anna"), ("", "anna")):
        with pytest.raises(Refused) as refused:
            held.find(wrong, owner)
        assert refused.value.status == 404
    held.remove(name, "anna")
    with pytest.raises(Refused, match="send it again"):
        held.find(name, "anna")
    assert len({held.add(b"picture", "anna")[0] for _ in range(20)}) == 20


def test_what_is_held_is_bounded_in_number_and_bytes(monkeypatch):
    held = Held()
    for number in range(sessions.MOST):
        held.put(number, "x", 1)
    assert held.get(0) == "x"  # used again: the second is the oldest now
    held.put("more", "x", 1)
    assert held.get(0) and held.get(1) is None and len(held.rows) == sessions.MOST
    monkeypatch.setattr(sessions, "BYTES", 10)
    held.put("last", "y", 8)
    assert "last" in held.rows and sum(row[1] for row in held.rows.values()) <= 10
    held.put("huge", "z", 100)
    assert list(held.rows) == ["huge"]
    held.drop("huge")
    held.drop("huge")
    assert held.get("huge") is None


def test_what_is_not_used_is_given_up_without_being_asked_for(monkeypatch):
    monkeypatch.setattr(sessions, "SECONDS", 0.2)
    held = Held()
    held.put("a", "x", 1)
    ends = time.monotonic() + 20
    while held.rows and time.monotonic() < ends:
        time.sleep(0.01)
    assert not held.rows and held.get("a") is None


def spec(**given):
    return JobSpec(find("subject"), Settings(threads=1), **given)


def test_a_worker_looks_once_at_a_picture_that_is_corrected(monkeypatch):
    work, task = PictureWorker(Settings(threads=1)), ServerTask(PHOTO, spec(views=("mask",)), {"mask": ".png"}, remember="x")
    first = work(task)
    monkeypatch.setattr(worker.Picture, "read", None)  # it is not decoded again
    again = work(task)
    assert again.files == first.files and again.seconds["network"] < max(0.02, first.seconds["network"] / 2)


def test_a_mask_drawn_by_hand_takes_the_place_of_the_networks():
    drawn = np.zeros((341, 512), np.uint8)
    drawn[100:200, 50:350] = 255
    task = ServerTask(PHOTO, spec(), {"cutout": ".png"}, remember="x", mask=png(drawn))
    result = PictureWorker(Settings(threads=1))(task)
    with Image.open(io.BytesIO(result.files["cutout"])) as image:
        np.testing.assert_array_equal(np.asarray(image)[..., 3], drawn)
    assert result.facts["box"] == [50, 100, 350, 200]
    wrong = ServerTask(PHOTO, spec(), {"cutout": ".png"}, remember="x", mask=png(drawn[:50]))
    with pytest.raises(UsageError, match="512 × 341, but it is 512 × 50"):
        PictureWorker(Settings(threads=1))(wrong)


@pytest.fixture
def begun():
    app = App()
    answer = app.ask("POST", "/v1/sessions", files={"image": PHOTO}, data={"view": "mask"})
    assert answer.status_code == 200, answer.text
    return app, answer.json()


def test_a_picture_is_sent_once_and_asked_for_again(begun):
    app, facts = begun
    assert base64.b64decode(facts["files"]["mask"]["data"]) == b"pixels"
    again = app.ask(
        "POST", f"/v1/sessions/{facts['id']}", data={"background": "white", "format": "jpg"}, headers={"Accept": "image/*"}
    )
    assert again.status_code == 200 and again.headers["content-type"] == "image/jpeg"
    edited = app.ask("POST", f"/v1/sessions/{facts['id']}", files={"mask": b"a mask"}, headers={"Accept": "image/png"})
    assert edited.status_code == 200
    first, second, third = app.pool.tasks
    assert first.data == second.data == third.data == PHOTO and first.remember == third.remember != ""
    assert (second.mask, third.mask) == (None, b"a mask") and second.spec.edit_options.background == "white"
    assert app.ask("DELETE", f"/v1/sessions/{facts['id']}").status_code == 204
    assert app.ask("POST", f"/v1/sessions/{facts['id']}").json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("request_parts", "status", "word"),
    [
        ({"files": {"image": PHOTO}}, 422, "image"),
        ({"data": {"url": "http://example.com/a.jpg"}}, 422, "image"),
        ({"files": [("mask", b"a"), ("mask", b"b")]}, 422, "mask"),
        ({"data": {"feather": "much"}}, 422, "feather"),
        ({"data": {"nonsense": "1"}}, 422, "nonsense"),
    ],
)
def test_wrong_changes_are_refused(begun, request_parts, status, word):
    app, facts = begun
    answer = app.ask("POST", f"/v1/sessions/{facts['id']}", **request_parts)
    assert answer.status_code == status and word in answer.json()["message"]


def test_a_picture_that_fails_is_not_held():
    app = App(UsageError("no"))
    assert app.ask("POST", "/v1/sessions", files={"image": PHOTO}).status_code == 422
    assert app.ask("POST", "/v1/sessions").json()["message"].startswith("image: one picture is wanted")


def test_a_correction_is_the_answer_that_the_whole_way_gives(server):
    """Through a real worker: the same mask as /v1/remove, also with points and after other pictures."""
    with httpx.Client(base_url=server.address, timeout=60, headers={"Accept": "application/json"}) as client:
        begun = client.post("/v1/sessions", files={"image": PHOTO}, data={"view": "mask"}).json()
        client.post("/v1/sessions", files={"image": (FOLDER / "rocket.jpg").read_bytes()}, data={"view": "mask"})
        fields = {"view": "mask", "not_point": "300,150"}
        changed = client.post(f"/v1/sessions/{begun['id']}", data=fields).json()
        whole = client.post("/v1/remove", files={"image": PHOTO}, data=fields).json()
        assert changed["files"] == whole["files"] != begun["files"]
        assert changed["box"] == whole["box"]
