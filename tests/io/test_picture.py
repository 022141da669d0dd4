import io
import os
import socket
import stat
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from encoded import png, saved, swapped_profile
from figureground.errors import FigureGroundError, PictureTooLarge, RefusedAddress, UnreadablePicture
from figureground.io import picture as module
from figureground.io.picture import Picture, stem
from figureground.settings import Settings

PLAIN = Settings(cache=Path("unused"))
VALUES = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
DATA = png(VALUES)


def refused(source, limits=PLAIN):
    with pytest.raises(FigureGroundError) as caught:
        Picture.read(source, limits)
    assert str(caught.value).isprintable()
    return caught.value


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "photo.of.me.png"
    path.write_bytes(DATA)
    return path


def test_whichever_way_it_comes_it_is_the_same(file):
    with file.open("rb") as stream:
        sources = [file, str(file), DATA, bytearray(DATA), memoryview(DATA), stream, io.BytesIO(DATA), VALUES, Image.open(file)]
        pictures = [Picture.read(source, PLAIN) for source in sources]
    for picture in pictures:
        assert np.array_equal(picture.rgb, VALUES)
        assert picture.original is picture.rgb
        assert not picture.rgb.flags.writeable
        assert picture.alpha is None
        assert picture.icc is None
        assert picture.warnings == ()
    names = [picture.name for picture in pictures]
    assert names == ["photo.of.me"] * 2 + ["bytes"] * 3 + ["photo.of.me", "stream", "array", "image"]
    assert pictures[0].source == str(file)


SHAPES = st.tuples(st.integers(1, 64), st.integers(1, 64), st.sampled_from([1, 2, 3, 4]))


@given(SHAPES, st.sampled_from([np.uint8, np.uint16]), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_arrays_and_files_agree(shape, dtype, seed):
    values = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    from_array, from_bytes = Picture.read(values, PLAIN), Picture.read(png(values), PLAIN)
    from_stream = Picture.read(io.BytesIO(png(values)), PLAIN)
    for one in (from_bytes, from_stream):
        assert one.original.dtype == from_array.original.dtype == dtype
        assert np.array_equal(one.original, from_array.original)
        assert np.array_equal(one.rgb, from_array.rgb)
    assert from_array.rgb.shape == (*shape[:2], 3)
    assert from_array.original.shape == (*shape[:2], 4 if shape[2] in (2, 4) else 3)
    if dtype == np.uint8:
        image = Image.fromarray(values.squeeze(2) if shape[2] == 1 else values)
        assert np.array_equal(Picture.read(image, PLAIN).original, from_array.original)


@given(
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]), st.integers(1, 64), st.integers(1, 64), st.integers(0, 999)
)
@settings(max_examples=100, deadline=None)
def test_images_and_their_files_agree(mode, width, height, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    if mode == "I;16":
        image = Image.fromarray(noise[..., :2].copy().view(np.uint16)[..., 0])
    else:
        image = Image.fromarray(noise).convert(mode)
    mutable = image.tobytes()
    direct, through = Picture.read(image, PLAIN), Picture.read(saved(image, "PNG"), PLAIN)
    assert np.array_equal(direct.original, through.original)
    assert np.array_equal(direct.rgb, through.rgb)
    assert image.tobytes() == mutable


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0.0, 0.5, 1.0]]), [0, 32768, 65535]),
        (np.array([[0.0, 1.0]], np.float16), [0, 65535]),
        (np.array([[-1e-9, 1 + 1e-9]]), [0, 65535]),
        (np.array([[1, 256]], ">u2"), [1, 256]),
        (np.array([[[3], [4]]], np.uint8), [3, 4]),
        (np.arange(8, dtype=np.uint8).reshape(1, 8)[:, ::-2], [7, 5, 3, 1]),
    ],
)
def test_kinds_of_arrays(array, expected):
    picture = Picture.read(array, PLAIN)
    assert picture.original[0, :, 0].tolist() == expected
    assert picture.original.dtype in (np.uint8, np.uint16)


def test_an_array_may_change_afterwards():
    values = VALUES.copy()
    picture = Picture.read(values, PLAIN)
    values[:] = 0
    assert np.array_equal(picture.rgb, VALUES)
    assert values.flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5),
        np.zeros((2, 2, 5)),
        np.zeros((2, 2, 2, 2)),
        np.zeros((2, 2), np.int64),
        np.zeros((2, 2), np.uint32),
        np.zeros((2, 2), complex),
        np.zeros((2, 2), object),
        np.array([["a"]]),
        np.full((2, 2), 255.0),
        np.full((2, 2), -0.5),
        np.array([[0.5, np.nan]]),
        np.array([[0.5, np.inf]]),
        np.zeros((0, 5)),
        np.zeros((5, 0, 3), np.uint8),
    ],
)
def test_arrays_that_are_no_picture(array):
    error = refused(array)
    assert isinstance(error, UnreadablePicture)
    assert "array" in str(error) or "floats" in str(error)


def test_other_things_are_no_picture():
    for thing in (None, 5, 3.5, [1, 2], object()):
        assert type(thing).__name__ in str(refused(thing))


def test_alpha():
    values = np.dstack([VALUES, np.full(VALUES.shape[:2], 51, np.uint8)])
    picture = Picture.read(values, PLAIN)
    assert picture.alpha.dtype == np.float32
    assert np.allclose(picture.alpha, 0.2)
    assert not np.array_equal(picture.rgb, VALUES)
    assert np.array_equal(picture.original, values)
    assert not picture.rgb.flags.writeable
    assert not picture.original.flags.writeable
    deep = Picture.read(values.astype(np.uint16) * 257, PLAIN)
    assert np.allclose(deep.alpha, 0.2)
    assert np.array_equal(deep.rgb, picture.rgb)


def test_what_the_file_says_of_itself():
    red, profile = Image.new("RGB", (4, 4), (255, 0, 0)), swapped_profile()  # a profile has the second it was made in
    data = saved(red, "TIFF", icc_profile=profile, dpi=(300, 300), save_all=True, append_images=[red])
    picture = Picture.read(data, PLAIN)
    assert picture.icc == profile
    assert picture.dpi == (300, 300)
    assert len(picture.warnings) == 1
    assert picture.original[0, 0].tolist() == [255, 0, 0]
    assert picture.rgb[0, 0, 2] > 240


def test_pictures_are_immutable_and_light_to_compare():
    picture = Picture.read(VALUES, PLAIN)
    with pytest.raises(AttributeError):
        picture.name = "other"
    assert picture == picture  # noqa: PLR0124 - by identity, not pixel by pixel
    assert picture != Picture.read(VALUES, PLAIN)


def test_settings_come_from_the_environment_where_none_are_given(monkeypatch):
    monkeypatch.setenv("FIGUREGROUND_MAX_PIXELS", "34")
    with pytest.raises(PictureTooLarge, match="7 × 5"):
        Picture.read(DATA)


def test_limits_hold_for_every_source(file):
    small = Settings(cache=Path("unused"), max_pixels=34)
    for source in (file, DATA, io.BytesIO(DATA), VALUES, Image.fromarray(VALUES)):
        assert refused(source, small).code == "too_large"
    few = Settings(cache=Path("unused"), max_bytes=len(DATA) - 1)
    for source in (file, DATA, io.BytesIO(DATA)):
        assert refused(source, few).code == "too_large"


# files


def test_a_sparse_file_is_refused_unread(tmp_path):
    path = tmp_path / "sparse.png"
    with path.open("wb") as file:
        file.truncate(20_000_000_000)
    assert refused(path).code == "too_large"


def test_paths_that_lead_nowhere(tmp_path):
    for path in (tmp_path / "missing.png", tmp_path / "missing" / "a.png", "a\0b.png", "x" * 5000):
        error = refused(path)
        assert error.code == "not_found"
    (tmp_path / "loop").symlink_to("loop")
    assert refused(tmp_path / "loop").code == "not_found"
    assert "missing.png cannot be read: No such file" in str(refused(tmp_path / "missing.png"))


def test_what_is_no_regular_file_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "sock.png"))
        for name in ("fifo.png", "zero.png", "sock.png", "."):
            assert refused(tmp_path / name).code == "not_a_regular_file"
    assert "a folder" in str(refused(tmp_path))
    assert str(refused("")).startswith("'' is a folder")


def test_a_file_that_turns_into_a_pipe(tmp_path, file, monkeypatch):
    os.mkfifo(tmp_path / "fifo.png")
    real = os.stat(file)  # noqa: PTH116
    monkeypatch.setattr(module.Path, "stat", lambda _: real)
    assert refused(tmp_path / "fifo.png").code == "not_a_regular_file"


def test_a_file_that_may_not_be_read(file, monkeypatch):
    file.chmod(0)
    if os.access(file, os.R_OK):  # root reads everything

        def deny(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(module.os, "open", deny)
    error = refused(file)
    assert error.code == "permission_denied"
    assert error.exit_code == 1
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)


def test_an_empty_file(tmp_path):
    (tmp_path / "empty.png").touch()
    assert refused(tmp_path / "empty.png").code == "empty_file"


def test_odd_names(tmp_path):
    names = [
        "a b.png",
        "ü.png",
        ".png",
        "-",
        "http",
        "no suffix",
        "tab\there.png",
        "\x1b[31mred.png",
        "photo.",
        "a" * 200 + ".jpg",
    ]
    for name in names:
        (tmp_path / name).write_bytes(DATA)
        picture = Picture.read(tmp_path / name, PLAIN)
        assert picture.name == Path(name).stem
        assert picture.source.isprintable()
    name = os.fsdecode(b"latin1_\xff\xe9.png")
    with suppress(OSError):  # some disks want UTF-8
        (tmp_path / name).write_bytes(DATA)
        picture = Picture.read(tmp_path / name, PLAIN)
        assert picture.name == Path(name).stem
        assert picture.source.isprintable()


def test_the_name_of_a_damaged_file_is_shown_printably(tmp_path):
    path = tmp_path / "\x1b[31mred\n.png"
    path.write_bytes(b"junk")
    assert "\\x1b[31mred\\n.png" in str(refused(path))


# streams


class Drips(io.RawIOBase):
    """A stream without a name that gives a few bytes at a time."""

    def __init__(self, data):
        self.data = io.BytesIO(data)

    def read(self, size=-1):
        return self.data.read(min(size, 7))


def test_streams_that_drip_or_never_end():
    assert np.array_equal(Picture.read(Drips(DATA), PLAIN).rgb, VALUES)
    few = Settings(cache=Path("unused"), max_bytes=100_000)
    with open("/dev/zero", "rb", buffering=0) as endless:  # noqa: PTH123
        assert refused(endless, few).code == "too_large"


def test_streams_that_cannot_be_read():
    assert "mode 'rb'" in str(refused(io.StringIO("text")))
    closed = io.BytesIO(DATA)
    closed.close()
    assert isinstance(refused(closed), UnreadablePicture)
    assert refused(io.BytesIO()).code == "empty_file"


def stdin(monkeypatch, data=None, tty=False):
    if data is None and not tty:
        return monkeypatch.setattr(sys, "stdin", None)
    wrapped = io.TextIOWrapper(io.BytesIO(data or b""))
    monkeypatch.setattr(wrapped, "isatty", lambda: tty, raising=False)
    return monkeypatch.setattr(sys, "stdin", wrapped)


def test_stdin(monkeypatch):
    stdin(monkeypatch, DATA)
    picture = Picture.read("-", PLAIN)
    assert (picture.name, picture.source) == ("stdin", "stdin")
    assert np.array_equal(picture.rgb, VALUES)
    stdin(monkeypatch, b"")
    assert refused("-").code == "empty_file"
    stdin(monkeypatch, tty=True)
    assert "terminal" in str(refused("-"))
    stdin(monkeypatch)
    assert "terminal" in str(refused("-"))


# addresses


@pytest.fixture(scope="module")
def address():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(DATA if "junk" not in self.path else b"junk")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_picture_at_an_address(address):
    picture = Picture.read(f"{address}/a/photo%20one.png?key=hunter2", PLAIN)
    assert np.array_equal(picture.rgb, VALUES)
    assert picture.name == "photo one"
    assert picture.source == f"{address}/a/photo%20one.png"
    assert Picture.read(address.replace("http", "HTTP"), PLAIN).name == "picture"
    error = refused(f"{address}/junk?key=hunter2")
    assert error.code == "unsupported_format"
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    "url",
    ["ftp://x/a.png", "file:///etc/passwd", "file:a.png", "s3://bucket/a.png", "data:image/png;base64,hunter2", "javascript:x"],
)
def test_other_addresses_are_refused(url):
    error = refused(url)
    assert isinstance(error, RefusedAddress)
    assert error.code == "url_not_allowed"
    assert "hunter2" not in f"{error} {error.picture}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("-", "stdin"),
        ("photo.jpg", "photo"),
        ("some/where/a.b.jpg", "a.b"),
        ("", "picture"),
        ("http://x.org/a/photo.jpg", "photo"),
        ("http://x.org/a/photo.tar.gz?x=/y.png#z", "photo.tar"),
        ("https://x.org/a/", "a"),
        ("https://x.org", "picture"),
        ("https://x.org/..", "picture"),
        ("https://x.org/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "_"),
        ("https://x.org/a%00b%0Ac.png", "a_b_c"),
        ("https://x.org/%ff.png", "\ufffd"),
        ("https://x.org/%E2%80%AEgnp.exe", "gnp"),
        ("https://x.org/" + "n" * 500 + ".png", "n" * 80),
        ("https://x.org/CON:a|b?.png", "CON_a_b"),
        ("https://[::1", "picture"),
        ("https://x.org/.png", "png"),
    ],
)
def test_what_outputs_are_called_after(source, expected):
    assert stem(source) == expected


@given(st.text(max_size=50))
@settings(max_examples=100)
def test_a_url_never_names_another_folder(text):
    name = stem("https://x.org/" + text)
    assert name
    assert not set(name) & set('/\\\0:*?"<>|')
    assert name not in (".", "..")
    assert name.isprintable()
    assert len(name) <= 80


def test_its_repr_is_one_short_line():
    assert repr(Picture.read(np.zeros((20, 30, 4), np.uint16))) == "<Picture the array: 30 × 20, 4 channels of uint16>"
