"""One server for all tests of a file."""

import pytest

from http_server import serving


@pytest.fixture(scope="session")
def server():
    """A server with one worker, as it is by default, which fetches any address."""
    with serving(FIGUREGROUND_URLS="any") as running:
        yield running
