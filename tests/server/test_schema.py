"""Calls that a generator makes of the OpenAPI document: none is answered with 500."""

import asyncio

import httpx
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings

from figureground.methods import METHODS
from http_server import App

pytest.importorskip("schemathesis")
import schemathesis

APP = App(methods=tuple(name for name in METHODS if name != "points"), max_body=100_000)
SCHEMA = schemathesis.openapi.from_dict(APP.ask("GET", "/openapi.json").json())
QUICK = settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


@pytest.fixture(scope="module", autouse=True)
def _jobs(tmp_path_factory):
    APP.with_jobs(tmp_path_factory.mktemp("jobs"))
    yield
    APP.service.jobs.store.close()


def status_of(case):
    """The status of a generated call."""
    parts = case.as_transport_kwargs(base_url="http://127.0.0.1")
    names = ("method", "url", "params", "headers", "json", "data", "files")
    request = requests.Request(**{name: parts[name] for name in names if parts.get(name) is not None}).prepare()

    async def call():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(APP.guard)) as client:
            return (
                await client.request(request.method, request.url, headers=dict(request.headers), content=request.body)
            ).status_code

    return asyncio.run(call())


@pytest.mark.parametrize("label", [operation.ok().label for operation in SCHEMA.get_all_operations()])
def test_no_generated_call_is_a_fault_of_ours(label):
    operation = next(each.ok() for each in SCHEMA.get_all_operations() if each.ok().label == label)

    @QUICK
    @given(case=operation.as_strategy())
    def check(case):
        assert status_of(case) != 500

    check()
