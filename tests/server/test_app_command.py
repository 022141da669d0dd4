"""`figureground app`: the page, and the end after the last page was closed."""

import re
import subprocess
import sys
import time

import httpx

from commandline import command
from http_server import Running


def test_the_app_ends_when_its_last_page_was_closed():
    words = [sys.executable, "-m", "figureground", "app", "--no-browser", "--page-seconds", "1"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    running = Running(process)
    try:
        running.address = running.wait_until(
            lambda: (re.search(r"listens on (http://127\.0\.0\.1:\d+)", running.log) or [0, ""])[1]
        )
        page = httpx.get(running.address, timeout=60).text
        assert "/page/app.js" in page and httpx.get(f"{running.address}/page/settings.json").json()["watch"]
        with httpx.stream("GET", f"{running.address}/open", timeout=60) as stream:
            lines = stream.iter_lines()
            for _ in range(4):  # for more than a second
                next(lines)
            time.sleep(1)
            assert process.poll() is None
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        running._reader.join(10)
        process.stderr.close()


def test_the_browser_is_opened_at_the_address(monkeypatch):
    opened = []
    monkeypatch.setattr("figureground.cli.app.webbrowser.open", opened.append)
    monkeypatch.setattr("figureground.server.run.serve", lambda config, ready: ready(f"http://127.0.0.1:{config.port}"))
    end = command("app", "--port", "5123")
    assert end.code == 0 and "http://127.0.0.1:5123" in end.err
    ends = time.monotonic() + 10
    while not opened and time.monotonic() < ends:
        time.sleep(0.01)
    assert opened == ["http://127.0.0.1:5123"]
