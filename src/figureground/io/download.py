"""Download http(s) URLs with limits on time, size, redirects and addresses (`Settings.urls`).

With ``urls="public"`` a host is resolved once, every address of the answer is checked by the table in `addresses`, the
connection goes to a checked address, and every redirect is checked again. The standard library alone: no cookies, no
credentials, no proxy from the environment, no Referer.
"""

import http.client
import io
import queue
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from figureground.errors import DownloadFailed, FigureGroundError, PictureTooLarge, RefusedAddress
from figureground.io.addresses import is_odd_number, is_public
from figureground.io.retry import BUSY, is_reset, retry
from figureground.settings import Settings

CHUNK = 1 << 16
CONNECT_SECONDS = 3.0
"""With ``urls="public"``: how long a connection may take, and the name's resolution before it."""
ANSWER_SECONDS = 5.0
"""With ``urls="public"``: how long the first byte of the answer may take."""
REDIRECTS = (301, 302, 303, 307, 308)
HEADERS = {"User-Agent": "figureground", "Accept": "image/*,*/*;q=0.1", "Accept-Encoding": "identity", "Connection": "close"}

T = TypeVar("T")
Address = tuple[Any, ...]
"""What getaddrinfo says of one address: family, type, protocol, name, socket address."""
Receive = Callable[[http.client.HTTPResponse, Settings, str], T]
"""What is made of an answer; its last argument is what messages call the address."""


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a URL; `label` is shown in messages, without query and credentials."""

    scheme: str
    host: str
    port: int
    path: str
    label: str

    @property
    def host_header(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time by which all must be done; `label` names the work for messages."""

    at: float
    label: str

    def time_left(self) -> float:
        """Return seconds left; raises DownloadFailed (upstream_timeout) where there are none."""
        seconds = self.seconds()
        if seconds <= 0:
            raise self.missed()
        return seconds

    def seconds(self) -> float:
        """Return seconds left, below 0 where it has passed."""
        return self.at - time.monotonic()

    def missed(self) -> DownloadFailed:
        """Return the error that says so."""
        message = f"{self.label} took longer than is allowed (FIGUREGROUND_TIMEOUT)"
        return DownloadFailed(message, code="upstream_timeout", picture=self.label)


def fetch(url: str, settings: Settings) -> bytes:
    """Download `url`, with at most `settings.max_redirects` redirects and `settings.timeout` seconds in all.

    `settings.urls` decides which addresses are allowed; raises RefusedAddress before any connection to others. With ``public``
    the same error and the same words tell that nothing answers at an address, so that nobody can map a network by the answers.
    A busy server (429, 502, 503, 504) and a connection that was reset are tried again, twice at most. Raises RefusedAddress,
    DownloadFailed (upstream_error, upstream_timeout), or PictureTooLarge for a body of more than `settings.max_bytes` bytes
    after decompression. No message holds the query or credentials of a URL.
    """
    return _fetch(url, settings, _body)


def fetch_file(url: str, target: Path, settings: Settings) -> None:
    """Write what lies at `url` to a file, part by part, under the limits of `fetch`; raises as `fetch` does.

    A file that is there is replaced. Where the download fails, what was written of it stays.
    """

    def receive(response: http.client.HTTPResponse, settings: Settings, label: str) -> None:
        with target.open("wb") as file:
            for part in _parts(response, settings, label):
                file.write(part)

    _fetch(url, settings, receive)


def _fetch(url: str, settings: Settings, receive: Receive[T]) -> T:
    """Return what `receive` makes of the answer at the end of all redirects."""
    label = shown(url)
    if settings.urls == "none":
        raise RefusedAddress(f"{label}: addresses are not fetched (FIGUREGROUND_URLS=none)", picture=label)
    deadline = Deadline(time.monotonic() + settings.timeout, label)
    try:
        for _ in range(settings.max_redirects + 1):
            target = parse(url)
            answer = retry(partial(_fetch_one, target, settings, deadline, receive), _wait, deadline.seconds)
            if not isinstance(answer, _Redirect):
                return answer
            url = urljoin(url, answer.location)
    except FigureGroundError:
        raise
    except TimeoutError:
        raise deadline.missed() from None
    except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
        raise DownloadFailed(f"{label} could not be fetched: {_reason(error)}", picture=label) from None
    raise DownloadFailed(f"{label} redirects more than {settings.max_redirects} times", picture=label)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    return getattr(error, "strerror", None) or f"the answer is not valid HTTP ({type(error).__name__})"


def shown(url: str) -> str:
    """Return the part of a URL that messages show: scheme, host and path."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "the address"
    text = f"{parts.scheme}://{host}{parts.path}"
    return "".join(c if c.isprintable() and c != " " else "_" for c in text)[:200]


def parse(url: str) -> Target:
    """Return `url` taken apart; raises RefusedAddress where it is not a plain http or https address."""
    label = shown(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host if ":" in host else host.encode("idna").decode()
    except (ValueError, UnicodeError):
        raise RefusedAddress(f"{label} is not a well-formed address", picture=label) from None
    if parts.scheme not in PORTS:
        raise RefusedAddress(f"{label}: only http and https addresses are fetched", picture=label)
    if not host or url != url.strip() or not url.isprintable() or "\\" in parts.netloc or any(c in host for c in " %<>"):
        raise RefusedAddress(f"{label} is not a well-formed address", picture=label)
    if "@" in parts.netloc:
        raise RefusedAddress(f"{label} contains credentials, which are not sent; remove them", picture=label)
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{_query(parts.query)}" if parts.query else "")
    return Target(parts.scheme, host, PORTS[parts.scheme] if port is None else port, path, label)


def _query(query: str) -> str:
    return quote(query, safe="/%:@!$&'()*+,;=~?[]")


@dataclass(frozen=True, slots=True)
class _Redirect:
    location: str


def _wait(error: Exception) -> float | None:
    """Return how long to wait before the same request is made again; None: it would fail again."""
    if isinstance(error, DownloadFailed):
        return error.retry_after
    return 0.0 if is_reset(error) else None


def _fetch_one(target: Target, settings: Settings, deadline: Deadline, receive: Receive[T]) -> T | _Redirect:
    """Return what is made of the answer to one request, or where it is said to be."""
    with closing(_connect(target, settings, deadline)) as sock:
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.sock = _Timed(sock, deadline, ANSWER_SECONDS if settings.urls == "public" else None)
        connection.request("GET", target.path, headers={"Host": target.host_header, **HEADERS})
        with closing(connection.getresponse()) as response:
            location = response.headers.get("Location")
            if response.status in REDIRECTS and location:
                return _Redirect(location)
            if response.status != 200:
                reason = f"the server answers {response.status} instead of a picture"
                error = DownloadFailed(f"{target.label}: {reason}", picture=target.label)
                if response.status in BUSY:
                    after = response.headers.get("Retry-After", "")
                    error.retry_after = float(after) if after.isascii() and after.isdigit() else 0.0
                raise error
            return receive(response, settings, target.label)


def _body(response: http.client.HTTPResponse, settings: Settings, label: str) -> bytes:
    """Return the decompressed body, up to the limit."""
    return b"".join(_parts(response, settings, label))


def _parts(response: http.client.HTTPResponse, settings: Settings, label: str) -> Iterator[bytes]:
    """Yield the decompressed body, up to the limit."""
    declared = _declared(response, label)
    if declared is not None and declared > settings.max_bytes:
        raise _too_large(settings, label)
    count = 0
    for part in _decompressed(_raw(response, declared, label), response.headers.get("Content-Encoding", ""), label):
        count += len(part)
        if count > settings.max_bytes:
            raise _too_large(settings, label)
        yield part


def _declared(response: http.client.HTTPResponse, label: str) -> int | None:
    """Return the length that the server states; None where the body is chunked, or ends with the connection."""
    lengths = {value.strip() for value in response.headers.get_all("Content-Length", [])}
    if response.chunked or not lengths:
        return None
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()):
        raise DownloadFailed(f"{label}: the server states an invalid length", picture=label)
    return int(length)


def _raw(response: http.client.HTTPResponse, declared: int | None, label: str) -> Iterator[bytes]:
    """Return the body as it is sent over the wire."""
    count = 0
    while part := response.read1(CHUNK):
        count += len(part)
        yield part
    if declared is not None and count < declared:
        raise DownloadFailed(f"{label} ended early: {count:,} of {declared:,} bytes were received", picture=label)


def _decompressed(parts: Iterator[bytes], encoding: str, label: str) -> Iterator[bytes]:
    """Hold at most CHUNK bytes that are not counted yet."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        yield from parts
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise DownloadFailed(f"{label} is sent in an encoding that was not requested", picture=label)
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as its first bytes say
    for part in parts:
        while part and not unpack.eof:
            yield unpack.decompress(part, CHUNK)
            part = unpack.unconsumed_tail  # noqa: PLW2901 - what is left of it
    if not unpack.eof or unpack.unused_data:
        raise DownloadFailed(f"{label} ended early, or has data after its compressed body", picture=label)


def _too_large(settings: Settings, label: str) -> PictureTooLarge:
    limit = f"at most {settings.max_bytes:,} are fetched (FIGUREGROUND_MAX_BYTES)"
    return PictureTooLarge(f"{label} has too many bytes; {limit}", picture=label)


def _connect(target: Target, settings: Settings, deadline: Deadline) -> socket.socket:
    """Return a socket to the first of the host's addresses that answers, secured where the scheme says so."""
    if settings.urls == "public":
        return _connect_public(target, settings, deadline)
    return _connect_first(_addresses(target, deadline), target, deadline)


def _connect_first(addresses: list[Address], target: Target, deadline: Deadline) -> socket.socket:
    fault: OSError = OSError(0, "the host has no address")
    for family, kind, protocol, _, address in addresses:
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(deadline.time_left())
            plain.connect(address)
            return plain if target.scheme == "http" else _secured(plain, target, deadline)
        except OSError as error:
            plain.close()
            fault = error
    raise fault


def _connect_public(target: Target, settings: Settings, deadline: Deadline) -> socket.socket:
    """Return a socket to a public address; one error whether the address is refused, unknown, or does not answer."""
    message = f"{target.label} is not fetched: it is not a public address on an allowed port, or nothing answers there"
    refusal = RefusedAddress(message, picture=target.label)
    if target.port not in settings.url_ports or is_odd_number(target.host):
        raise refusal
    hurried = Deadline(min(deadline.at, time.monotonic() + CONNECT_SECONDS), deadline.label)
    try:
        addresses = _addresses(target, hurried)
        if not addresses or not all(is_public(_number(address)) for address in addresses):
            raise refusal
        sock = _connect_first(addresses, target, hurried)
    except ssl.SSLCertVerificationError:
        raise
    except (OSError, DownloadFailed):  # DownloadFailed: too slow
        raise refusal from None
    if not is_public(str(sock.getpeername()[0])):
        sock.close()
        raise refusal
    return sock


def _number(address: Address) -> str:
    return str(address[4][0])


def _secured(plain: socket.socket, target: Target, deadline: Deadline) -> socket.socket:
    plain.settimeout(deadline.time_left())
    return ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)


@dataclass(frozen=True, slots=True)
class _Timed:
    """The part of a socket that http.client needs; no read or write waits beyond the deadline."""

    sock: socket.socket
    deadline: Deadline
    first: float | None = None
    """Seconds that the first byte of the answer may take, where these are fewer."""

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the stream that the answer is read from."""
        return io.BufferedReader(_Reader(self.sock, self.deadline, self.first), CHUNK)

    def sendall(self, data: bytes) -> None:
        """Send the request."""
        self.sock.settimeout(self.deadline.time_left())
        self.sock.sendall(data)

    def close(self) -> None:
        """Leave it open: http.client closes before the body is read; `_connect`'s caller closes the socket itself."""


class _Reader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline, first: float | None) -> None:
        self.sock, self.deadline, self.first = sock, deadline, first

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        patience = self.deadline.time_left()
        self.sock.settimeout(patience if self.first is None else min(patience, self.first))
        count = self.sock.recv_into(buffer)
        self.first = None
        return count


def _addresses(target: Target, deadline: Deadline) -> list[Address]:
    """Return the addresses of the host name, resolved once for a connection.

    The resolver knows no time limit, so that it is asked in a thread that we can leave behind.
    """
    answers: queue.SimpleQueue[list[Address] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(OSError(0, f"the host is not known ({type(error).__name__})"))

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.time_left())
    except queue.Empty:
        raise deadline.missed() from None
    if isinstance(answer, OSError):
        raise answer
    return answer
