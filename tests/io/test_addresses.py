"""Which addresses are fetched: none of these opens a connection, and those that are good do."""

import ipaddress
import itertools
import select
import socket
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.errors import DownloadFailed, RefusedAddress, UnknownOption, UsageError
from figureground.io.addresses import REFUSED_IPV4, REFUSED_IPV6, is_odd_number, is_public
from figureground.io.download import fetch
from figureground.methods import configure
from figureground.settings import Settings

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
PUBLIC = "93.184.216.34"

# Spellings of addresses that are not public. PORT is where the canary listens, which the settings allow.
HOSTS = """
127.0.0.1 127.0.0.1. 127.1 127.255.255.254 2130706433 0x7f.0.0.1 0x7f000001 017700000001 0177.0.0.1 0177.1 0x7f.1 00000177.0.0.1
①②⑦.⓪.⓪.① １２７.0.0.1 127。0。0。1 0.0.0.0 0 0x0 00 0.0.0.1 10.0.0.1 10.255.255.255 0xa.0.0.1 172.16.0.1 172.31.255.254
192.168.0.1 192.168.255.255 169.254.169.254 2852039166 0xa9fea9fe 0251.0376.0251.0376 169.254.170.2 100.64.0.1 100.100.100.200
168.63.129.16 192.0.0.8 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
239.255.255.250 240.0.0.1 255.255.255.255 [::1] [0:0:0:0:0:0:0:1] [::] [::127.0.0.1] [::7f00:1] [::ffff:127.0.0.1]
[::ffff:7f00:1] [::ffff:169.254.169.254] [::ffff:10.0.0.1] [0:0:0:0:0:ffff:7f00:1] [64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe]
[64:ff9b:1::1] [2002:7f00:1::] [2002:a9fe:a9fe::] [2001:0:7f00:1::] [2001:20::1] [2001:db8::1] [3fff::1] [100::1] [fe80::1]
[fec0::1] [fc00::1] [fd00:ec2::254] [ff02::1] [ff0e::1] [5f00::1] [4000::1]
""".split()  # noqa: SIM905  # to be read
NAMES = {
    "localhost": ["127.0.0.1"],
    "ip6-localhost": ["::1"],
    "metadata.test": ["169.254.169.254"],
    "cname-private.test": ["10.0.0.1"],
    "multi-a.test": [PUBLIC, "127.0.0.1"],
    "multi-a-turned.test": ["127.0.0.1", PUBLIC],
    "multi-six.test": ["2606:4700::1111", "::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "empty.test": [],
}
TARGETS = [*HOSTS, *NAMES]
SYNTAX = [
    "file:///etc/passwd", "FILE:///etc/passwd", "dict://127.0.0.1:PORT/stat", "sftp://127.0.0.1/", "tftp://127.0.0.1/x",
    "gopher://127.0.0.1:PORT/_x", "ftp://127.0.0.1:PORT/x", "blob:http://127.0.0.1:PORT/x", "data:image/png;base64,AA",
    "javascript:alert(1)", "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/info", "netdoc:///etc/passwd",
    "s3://bucket/x.png", "jar:http://127.0.0.1:PORT/!/", "//127.0.0.1:PORT/x.png", "\\\\127.0.0.1\\share\\x.png",
    "http:///127.0.0.1:PORT/x", "http:127.0.0.1:PORT", "http:/127.0.0.1:PORT/x", "", " http://127.0.0.1:PORT/x.png",
    "http://good.test:6379/x.png", "http://good.test:22/x", "http://good.test:-1/x", "http://good.test:0/x",
    "http://good.test:99999/x", "http://127.0.0.1:PORT#@good.test/x.png", "http://good.test\\@127.0.0.1:PORT/x.png",
    "http://good.test@127.0.0.1:PORT/x.png", "http://127.0.0.1:PORT%00.good.test/x.png", "http://127.0.0.1%00.good.test/x.png",
    "http://127.0.0.1\t.good.test/x.png", "http://127.0.0.1\n.good.test/x.png", "http://127.0.0.1:80\\@good.test:80/",
    "http://user:pass@good.test/x.png", "http://[fe80::1%25lo]:PORT/x", "http://[fe80::1%eth0]/x.png",
    "http://" + "a" * 300 + ".test/x", "http://xn--/x.png", "http://good.test\r\nHost: 127.0.0.1/x",
]  # fmt: skip
REDIRECTS = [
    "file:///etc/passwd", "//127.0.0.1:PORT/x", "http://2130706433:PORT/", "http://127.0.0.1:PORT/", "http://[::1]:PORT/",
    "http://[::ffff:10.0.0.1]:PORT/", "gopher://127.0.0.1:PORT/_x", "http://localhost:PORT/", "http://good.test:6379/",
    "http://user:pass@good.test/",
]  # fmt: skip


def response(status=200, body=b"", **fields):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Net:
    """A resolver and sockets of our own: public addresses lead to canned answers, all others to the true network."""

    def __init__(self, monkeypatch):
        self.connected, self.asked, self.answers, self.names = [], [], {}, dict(NAMES)
        self.names["good.test"] = [PUBLIC]
        real_socket, real_resolve, net = socket.socket, socket.getaddrinfo, self

        class Socket(real_socket):
            peer = None

            def connect(self, address):
                net.connected.append(address)
                if not is_public(address[0]):
                    return super().connect(address)
                here, there = socket.socketpair()
                self.peer = (address[0], address[1])
                there.sendall(net.answers.get(address[0], response(body=PICTURE)))
                there.shutdown(socket.SHUT_WR)
                net.held.append(there)
                self._here = here
                return None

            def getpeername(self):
                return self.peer or super().getpeername()

            def recv_into(self, buffer):
                return self._here.recv_into(buffer) if self.peer else super().recv_into(buffer)

            def sendall(self, data):
                return self._here.sendall(data) if self.peer else super().sendall(data)

            def close(self):
                if self.peer:
                    self._here.close()
                super().close()

        def resolve(host, port, *args, **options):
            self.asked.append(host)
            if host not in self.names:
                return real_resolve(host, port, *args, flags=socket.AI_NUMERICHOST, **options)
            rows = self.names[host]
            rows = next(rows) if isinstance(rows, itertools.cycle) else rows
            return [(socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, port)) for one in rows]

        self.held = []
        monkeypatch.setattr("figureground.io.download.socket.socket", Socket)
        monkeypatch.setattr("figureground.io.download.socket.getaddrinfo", resolve)

    def close(self):
        for each in self.held:
            each.close()


@pytest.fixture
def net(monkeypatch):
    made = Net(monkeypatch)
    yield made
    made.close()


@pytest.fixture(scope="module")
def canary():
    """A listener on every address of this machine; gives a function that says whether anybody came, and its port."""
    listener = (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        if socket.has_dualstack_ipv6()
        else (socket.create_server(("", 0)))
    )
    yield (lambda: bool(select.select([listener], [], [], 0)[0])), listener.getsockname()[1]
    listener.close()


def guarded(port=80):
    return Settings(cache=Path("unused"), urls="public", url_ports=(80, 443, port), timeout=5)


@contextmanager
def nobody_comes(net, canary):
    net.connected.clear()
    with pytest.raises(RefusedAddress) as caught:
        yield
    assert caught.value.code == "url_not_allowed"
    assert not canary[0]() and all(is_public(address[0]) for address in net.connected)


@pytest.mark.parametrize("host", TARGETS, ids=range(len(TARGETS)))
def test_addresses_that_are_not_public(net, canary, host):
    for port in (80, canary[1]):
        with nobody_comes(net, canary):
            fetch(f"http://{host}:{port}/x.png", guarded(canary[1]))
        assert net.connected == []


@pytest.mark.parametrize("url", SYNTAX, ids=range(len(SYNTAX)))
def test_what_is_no_plain_address(net, canary, url):
    with nobody_comes(net, canary):
        fetch(url.replace("PORT", str(canary[1])), guarded(canary[1]))
    assert net.connected == []


@pytest.mark.parametrize("location", REDIRECTS, ids=range(len(REDIRECTS)))
def test_redirects_to_such_addresses(net, canary, location):
    net.answers[PUBLIC] = response(302, Location=location.replace("PORT", str(canary[1])))
    with nobody_comes(net, canary):
        fetch("http://good.test/x.png", guarded(canary[1]))
    assert net.connected == [(PUBLIC, 80)]


def test_redirects_that_lead_nowhere(net):
    for answer in (response(302), response(302, Location="/again"), response(302, Location="http://[::1")):
        net.answers[PUBLIC] = answer
        with pytest.raises((DownloadFailed, RefusedAddress)):
            fetch("http://good.test/x.png", guarded())


def test_a_name_that_changes_its_address_is_asked_once_for_a_connection(net, canary):
    net.names["spoofed.test"] = itertools.cycle([[PUBLIC], ["127.0.0.1"]])
    for _ in range(50):
        assert fetch(f"http://spoofed.test:{canary[1]}/x.png", guarded(canary[1])) == PICTURE
        with nobody_comes(net, canary):
            fetch(f"http://spoofed.test:{canary[1]}/x.png", guarded(canary[1]))
    assert net.asked.count("spoofed.test") == 100


def test_a_connection_that_ended_up_elsewhere_is_given_up(net, monkeypatch):
    monkeypatch.setattr("figureground.io.download.socket.socket.getpeername", lambda _: ("10.0.0.1", 80))
    with pytest.raises(RefusedAddress):
        fetch("http://good.test/x.png", guarded())


def test_good_addresses_are_fetched_whole(net):
    net.names["six.test"] = ["2606:4700::1111", PUBLIC]
    net.names["second.test"] = ["8.8.8.8"]
    net.answers["8.8.8.8"] = response(301, Location="http://good.test/ok.png")
    for host in ("good.test", "good.test:443", "six.test", "second.test", PUBLIC, "[2606:4700::1111]"):
        assert fetch(f"http://{host}/ok.png", guarded()) == PICTURE
    assert ("2606:4700::1111", 80) in net.connected


def test_refused_and_silent_addresses_are_told_of_in_the_same_words(net, monkeypatch):
    def refuse(self, address):
        raise ConnectionRefusedError(111, "Connection refused")

    def silent(self, address):
        raise TimeoutError

    messages = set()
    for connect in (refuse, silent):
        monkeypatch.setattr("figureground.io.download.socket.socket.connect", connect)
        for name in ("good.test", "metadata.test", "unknown.test"):
            with pytest.raises(RefusedAddress) as caught:
                fetch(f"http://{name}/x.png", guarded())
            messages.add(str(caught.value).replace(name, "NAME"))
    (message,) = messages
    assert not any(word in message for word in ("169.254", PUBLIC, "refused"))


def test_a_server_that_does_not_begin_to_answer_is_left(monkeypatch):
    monkeypatch.setattr("figureground.io.download.ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("figureground.io.download.is_public", lambda _: True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, began = silent.getsockname()[1], time.monotonic()
        with pytest.raises(DownloadFailed) as caught:
            fetch(f"http://127.0.0.1:{port}/x.png", guarded(port))
    assert caught.value.code == "upstream_timeout"
    assert time.monotonic() - began < 4


def test_no_address_at_all(net, canary):
    with nobody_comes(net, canary):
        fetch("http://good.test/x.png", Settings(cache=Path("unused"), urls="none"))
    assert net.asked == net.connected == []


@pytest.mark.parametrize("network", [*REFUSED_IPV4, *REFUSED_IPV6])
def test_every_refused_range_from_its_first_to_its_last_address(network):
    whole = ipaddress.ip_network(network)
    assert not is_public(str(whole[0])) and not is_public(str(whole[-1]))


@given(st.ip_addresses())
def test_what_python_takes_for_private_is_not_public(address):
    if address.is_private or address.is_loopback or address.is_multicast or address.is_reserved or address.is_link_local:
        assert not is_public(str(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", PUBLIC, "2606:4700::1111", "2a00:1450::1", "172.15.0.1", "100.63.255.255", "11.0.0.1"]
)
def test_addresses_that_are_public(address):
    assert is_public(address)


def test_odd_numbers():
    assert all(map(is_odd_number, ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "1.2.3.4.", "a.0x7f", "1.2.3.256"]))
    assert not any(map(is_odd_number, ["1.2.3.4", "example.com", "a1.b2", "::1", "1.example"]))
    assert not is_public("example.com")


def test_settings_of_addresses():
    read = Settings.from_environment({"FIGUREGROUND_URLS": "public", "FIGUREGROUND_URL_PORTS": "80, 8080"})
    assert (read.urls, read.url_ports) == ("public", (80, 8080))
    for variable, value in (("URLS", "some"), ("URL_PORTS", "http"), ("URL_PORTS", "0"), ("URL_PORTS", "70000")):
        with pytest.raises(UsageError, match=variable):
            Settings.from_environment({f"FIGUREGROUND_{variable}": value})
    assert configure("subject", None, {"url_ports": [8080]})[1].url_ports == (8080,)
    with pytest.raises(UnknownOption, match="whole numbers"):
        configure("subject", None, {"url_ports": "80"})
