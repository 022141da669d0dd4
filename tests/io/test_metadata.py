import io

import numpy as np
import pytest
from PIL import Image

from figureground.io.metadata import EXIF, GPS, MAKER_NOTE, Metadata, read_metadata, without_gps
from figureground.io.picture import Picture
from figureground.io.tiff import tiff

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description dc:creator="Ada" exif:GPSLatitude="48,8.5N"'
    b" exif:GPSLongitude='2,3E'><exif:GPSAltitude>35</exif:GPSAltitude><dc:title>Bridge</dc:title></rdf:Description>"
    b"</rdf:RDF></x:xmpmeta>"
)


def exif():
    """What a phone writes: camera, orientation, exposure, a maker's note, a position."""
    data = Image.Exif()
    data[271], data[274], data[315], data[33432] = "Camera", 6, "Ada", "© Ada"
    data.get_ifd(EXIF).update({0x829A: 0.01, 0x9003: "2020:01:01 10:00:00", MAKER_NOTE: b"here: 48N 2E", 0xA002: 64})
    data.get_ifd(GPS).update({1: "N", 2: (48.0, 8.0, 30.0), 3: "E", 4: (2.0, 3.0, 0.0)})
    return data


def photo(kind="JPEG"):
    """The bytes of a file with all of it."""
    buffer = io.BytesIO()
    image = Image.fromarray(np.full((40, 64, 3), 90, np.uint8))
    if kind == "TIFF":  # Pillow writes the first directory alone
        said = Metadata(exif().tobytes().removeprefix(b"Exif\0\0"), XMP)
        return tiff([np.asarray(image)], metadata=said)
    image.save(buffer, kind, exif=exif(), **({} if kind == "PNG" else {"xmp": XMP}))
    return buffer.getvalue()


def directories(metadata):
    """The first directory, the camera's and the position's, as plain data."""
    data = Image.Exif()
    data.load(metadata.exif)
    return dict(data), dict(data.get_ifd(EXIF)), dict(data.get_ifd(GPS))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "AVIF", "TIFF"])
def test_all_is_read_but_what_lays_out_the_file(kind):
    metadata = Picture.read(photo(kind)).metadata
    first, camera, place = directories(metadata)
    assert first[271] == "Camera" and first[315] == "Ada" and 274 not in first and 256 not in first
    assert camera[0x829A] == pytest.approx(0.01) and 0xA002 not in camera
    assert place[2] == (48.0, 8.0, 30.0)
    assert kind == "PNG" or metadata.xmp.rstrip(b"\0") == XMP


def test_positions_and_what_may_hide_them_are_dropped():
    metadata = without_gps(Picture.read(photo()).metadata)
    first, camera, place = directories(metadata)
    assert first[271] == "Camera" and camera[0x9003] == "2020:01:01 10:00:00"
    assert not place and GPS not in first and MAKER_NOTE not in camera
    assert b"GPS" not in metadata.xmp and b"48,8" not in metadata.xmp and b">35<" not in metadata.xmp
    assert b"Bridge" in metadata.xmp and b'dc:creator="Ada"' in metadata.xmp
    assert b"48N" not in metadata.exif


def test_a_packet_that_cannot_be_cleaned_is_dropped():
    assert without_gps(Metadata(xmp=b"<x note='the GPS said so'/>")).xmp == b""


def test_nothing_is_nothing():
    assert not Picture.read(np.zeros((4, 4, 3), np.uint8)).metadata
    assert not without_gps(Metadata())
    assert Metadata().with_resolution(None) == Metadata()


def test_resolution_is_added_to_what_is_there():
    metadata = without_gps(Picture.read(photo()).metadata).with_resolution((300, 200))
    first, camera, _ = directories(metadata)
    assert (first[282], first[283], first[296]) == (300, 200, 2)
    assert camera[0x829A] == pytest.approx(0.01) and first[271] == "Camera"


def test_broken_data_are_passed_over():
    image = Image.new("RGB", (4, 4))
    image.info["exif"] = b"Exif\0\0II*\0\xff\xff\xff\xff"
    assert isinstance(read_metadata(image), Metadata)
