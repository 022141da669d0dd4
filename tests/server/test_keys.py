"""Who may ask: API keys with rates and quotas, names, origins."""

import hashlib
import json
import stat

import pytest

from commandline import command
from figureground.errors import UsageError
from figureground.server.errors import Refused
from figureground.server.keys import Keys, new_key
from http_server import App
from photographs import FOLDER

PHOTO = (FOLDER / "coffee.jpg").read_bytes()


class Clock:
    now = 1_000_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "keys.jsonl"


def test_a_new_key_is_random_and_only_its_hash_is_stored(file):
    end = command("serve", "--new-key", "--keys", file, "--key-name", "shop", "--key-rate", "60", "--key-quota", "1000")
    key = end.out.strip()
    assert end.code == 0 and len(key) == 43
    row = json.loads(file.read_text())
    assert row == {"sha256": hashlib.sha256(key.encode()).hexdigest(), "name": "shop", "rate": 60, "quota": 1000}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    other = command("serve", "--new-key", "--keys", file).out.strip()
    keys = Keys(file)
    assert other != key and keys.find(key).name == "shop" and keys.find(other).rate == 0
    assert keys.find("") is keys.find(key[:-1]) is keys.find(key + "x") is keys.find("\udcff") is None


def test_a_key_is_known_and_forgotten_without_a_restart(file):
    first = new_key(file)
    keys = Keys(file)
    second = new_key(file)
    assert keys.find(second) and keys.find(first)
    file.write_text(file.read_text().splitlines()[1] + "\n")
    assert keys.find(first) is None and keys.find(second)


@pytest.mark.parametrize("text", ["no json", "{}", '{"sha256": "short"}', "[]", '{"sha256": 5}', "\xff"])
def test_files_that_hold_no_keys(file, text):
    file.parent.mkdir()
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="keys"):
        Keys(file)


def test_the_rate_of_a_key_refills(file):
    key = new_key(file, rate=3)
    clock = Clock()
    keys = Keys(file, clock)
    found = keys.find(key)
    for _ in range(3):
        keys.spend(found)
    with pytest.raises(Refused) as caught:
        keys.spend(found)
    assert (caught.value.code, caught.value.status, caught.value.headers["Retry-After"]) == ("rate_limit_exceeded", 429, "20")
    assert keys.limits(found) == {"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "20"}
    clock.now += 20.1
    keys.spend(found)
    with pytest.raises(Refused):
        keys.spend(found)
    clock.now += 3600
    for _ in range(3):
        keys.spend(found)
    with pytest.raises(Refused):
        keys.spend(found)


def test_the_quota_of_a_key_begins_anew_each_day(file):
    key = new_key(file, quota=2)
    clock = Clock()
    keys = Keys(file, clock)
    found = keys.find(key)
    keys.spend(found)
    keys.spend(found)
    with pytest.raises(Refused) as caught:
        keys.spend(found)
    assert caught.value.code == "quota_exceeded"
    assert 0 < caught.value.retry_after <= 86400
    clock.now += caught.value.retry_after
    keys.spend(found)
    assert keys.limits(found) == {}


def test_a_server_with_keys_lets_nobody_else_in(file):
    key = new_key(file, "shop", rate=5)
    app = App(keys=file)
    picture = {"files": {"image": PHOTO}}
    for headers in ({}, {"X-Api-Key": "wrong"}, {"Authorization": "Bearer wrong"}, {"Authorization": key}, {"X-Api-Key": ""}):
        answer = app.ask("POST", "/v1/remove", headers=headers, **picture)
        assert (answer.status_code, answer.json()["code"]) == (401, "auth_failed")
        assert answer.headers["www-authenticate"] == "Bearer"
    theirs = app.ask("POST", "/v1.0/removebg", files={"image_file": PHOTO})
    assert (theirs.status_code, theirs.json()["errors"][0]["code"]) == (403, "auth_failed")
    assert app.ask("GET", "/metrics").status_code == app.ask("GET", "/v1/methods").status_code == 401
    for path in ("/", "/docs", "/healthz", "/readyz", "/openapi.json"):
        assert app.ask("GET", path).status_code == 200
    assert app.pool.tasks == []
    for headers in ({"X-Api-Key": key}, {"Authorization": f"Bearer {key}"}, {"authorization": f"bearer {key}"}):
        answer = app.ask("POST", "/v1/remove", headers=headers, **picture)
        assert answer.status_code == 200 and answer.headers["x-ratelimit-limit"] == "5"
    assert answer.headers["x-ratelimit-remaining"] == "2"
    for _ in range(2):
        app.ask("GET", "/v1.0/account", headers={"X-Api-Key": key})
    over = app.ask("POST", "/v1.0/removebg", headers={"X-Api-Key": key}, files={"image_file": PHOTO})
    assert (over.status_code, over.json()["errors"][0]["code"]) == (429, "rate_limit_exceeded")
    assert int(over.headers["retry-after"]) >= 1
    assert app.ask("GET", "/metrics", headers={"X-Api-Key": key}).status_code == 200


def test_the_account_tells_what_is_left_of_the_quota(file):
    key = new_key(file, quota=10)
    app = App(keys=file)
    for left in (9, 8):
        answer = app.ask("GET", "/v1.0/account", headers={"X-Api-Key": key}).json()
        assert answer["data"]["attributes"]["api"]["free_calls"] == left


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::2]", "", "localhost@evil.example"])
def test_other_names_are_refused_on_loopback(host):
    app = App()
    answer = app.ask("GET", "/v1/methods", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_names_of_the_server():
    app = App()
    for host in ("localhost:8000", "127.0.0.1:5", "[::1]:80", "localhost"):
        assert app.ask("GET", "/v1/methods", headers={"Host": host}).status_code == 200
    named = App(hosts=("pictures.example",))
    assert named.ask("GET", "/v1/methods", headers={"Host": "pictures.example:8000"}).status_code == 200
    beyond = App(host="10.0.0.1")
    assert beyond.ask("GET", "/v1/methods", headers={"Host": "any.example"}).status_code == 200


def test_pages_of_other_origins_may_not_ask():
    app = App()
    picture = {"files": {"image": PHOTO}}
    for origin in ("https://evil.example", "null", "http://localhost:9999", "file://"):
        answer = app.ask("POST", "/v1/remove", headers={"Origin": origin}, **picture)
        assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers
    cross = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert app.ask("GET", "/api/remove?url=http://127.0.0.1/", headers=cross).json()["code"] == "forbidden"
    navigate = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert app.ask("GET", "/", headers=navigate).status_code == 200
    assert app.ask("GET", "/api/remove?url=http://127.0.0.1/", headers=navigate).json()["code"] == "forbidden"
    own = app.ask("POST", "/v1/remove", headers={"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}, **picture)
    assert own.status_code == 200
    assert len(app.pool.tasks) == 1


def test_origins_that_are_named_may():
    app = App(origins=("https://shop.example",))
    headers = {"Origin": "https://shop.example"}
    answer = app.ask("POST", "/v1/remove", headers=headers, files={"image": PHOTO})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "Origin" in answer.headers["vary"] and "Accept" in answer.headers["vary"]
    asked = headers | {"Access-Control-Request-Method": "POST"}
    preflight = app.ask("OPTIONS", "/v1/remove", headers=asked)
    assert preflight.status_code == 204 and "X-Api-Key" in preflight.headers["access-control-allow-headers"]
    other = app.ask("OPTIONS", "/v1/remove", headers=asked | {"Origin": "https://evil.example"})
    assert other.status_code == 403 and "access-control-allow-origin" not in other.headers
