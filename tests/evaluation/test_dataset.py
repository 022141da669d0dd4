import io
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from encoded import swapped_profile
from figureground.errors import BadData
from figureground.evaluation.dataset import LabeledImage, labeled_images
from figureground.io.picture import Picture

MASK = np.array([[0, 255, 255], [0, 128, 0]], np.uint8)
RGB = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)


def encoded(image, kind="PNG", **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


GOOD = {"images/a.png": encoded(RGB), "masks/a.png": encoded(MASK)}


@pytest.fixture(params=["folder", "zip"])
def make(request, tmp_path):
    """Writes files, given as {path: bytes}, as a folder or as a zip archive."""

    def write(files):
        if request.param == "folder":
            for name, content in files.items():
                path = tmp_path / "data" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return tmp_path / "data"
        return archive(tmp_path / "data.zip", files)

    return write


def archive(path, files):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def one(image, mask):
    return LabeledImage("set/a", lambda: image, lambda: mask)


def test_reads_pairs_by_stem_in_order(make):
    other = {"images/B.webp": encoded(RGB[::-1], "WEBP", lossless=True), "masks/B.png": encoded(MASK[::-1])}
    source = make({**GOOD, **other})
    found = labeled_images([source])
    assert [pair.name for pair in found] == [f"{source.name}/B", f"{source.name}/a"]
    rgb, mask = found[1].read()
    np.testing.assert_array_equal(rgb, RGB)
    np.testing.assert_array_equal(mask, MASK)
    np.testing.assert_array_equal(found[0].read()[0], RGB[::-1])
    assert rgb.dtype == mask.dtype == np.uint8


def test_several_sources_one_after_the_other(tmp_path):
    first, second = archive(tmp_path / "1.zip", GOOD), archive(tmp_path / "2.zip", GOOD)
    assert [pair.name for pair in labeled_images([str(second), first])] == ["2.zip/a", "1.zip/a"]


def test_hidden_files_are_passed_over(make):
    assert len(labeled_images([make({**GOOD, "images/.DS_Store": b"", "masks/._a.png": b""})])) == 1


def test_an_archive_made_on_a_mac(tmp_path):
    files = {**GOOD, "__MACOSX/images/b.png": b"", "readme.txt": b"", "images/": b""}
    assert len(labeled_images([archive(tmp_path / "a.zip", files)])) == 1


def test_sets_deeper_in_an_archive_hold_pairs_of_their_own(tmp_path):
    files = {f"set/{part}/{name}": content for part in ("train", "val") for name, content in GOOD.items()}
    found = labeled_images([archive(tmp_path / "all.zip", files)])
    assert [pair.name for pair in found] == ["all.zip/set/train/a", "all.zip/set/val/a"]
    with pytest.raises(BadData, match=r"'val/images/b.png' has no mask"):
        labeled_images([archive(tmp_path / "b.zip", {**files, "val/images/b.png": b""})])


def test_nothing_is_decoded_before_it_is_read(make):
    found = labeled_images([make({"images/a.jpg": b"no picture", "masks/a.png": b"nor this"})])
    with pytest.raises(BadData, match=r"the picture of '.*/a' cannot be read"):
        found[0].read()


def test_an_archive_is_read_by_many_threads(tmp_path):
    random = np.random.default_rng(0)
    masks = [random.integers(0, 256, (40, 50), dtype=np.uint8) for _ in range(30)]
    files = {f"masks/{i:02}.png": encoded(mask) for i, mask in enumerate(masks)}
    files |= {f"images/{i:02}.png": encoded(np.dstack([mask] * 3)) for i, mask in enumerate(masks)}
    found = labeled_images([archive(tmp_path / "many.zip", files)])
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(LabeledImage.read, found * 4))
    for (rgb, mask), wanted in zip(read, masks * 4, strict=True):
        np.testing.assert_array_equal(mask, wanted)
        np.testing.assert_array_equal(rgb[..., 1], wanted)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({**GOOD, "masks/b.png": b""}, r"'masks/b.png' has no picture of the same stem$"),
        ({**GOOD, "images/b.jpg": b""}, r"'images/b.jpg' has no mask of the same stem$"),
        ({**GOOD, "images/b.jpg": b"", "masks/c.png": b""}, r"'images/b.jpg' has no mask .*\(2 files without a counter"),
        ({**GOOD, "images/a.jpg": b""}, r"'images/a.jpg' and 'images/a.png' have one stem"),
        ({"images/.hidden": b"", "masks/.hidden": b""}, "holds no pictures"),
    ],
)
def test_sets_that_do_not_match(make, files, message):
    with pytest.raises(BadData, match=message):
        labeled_images([make(files)])


def test_sources_that_are_none(tmp_path):
    with pytest.raises(BadData, match=r"'.*nowhere.zip' does not exist"):
        labeled_images([tmp_path / "nowhere.zip"])
    text = tmp_path / "text.zip"
    text.write_text("no archive")
    with pytest.raises(BadData, match="neither a folder nor a valid zip"):
        labeled_images([text])
    (tmp_path / "empty" / "images").mkdir(parents=True)
    with pytest.raises(BadData, match="holds no pictures"):
        labeled_images([tmp_path / "empty"])
    (tmp_path / "empty" / "images" / "a.jpg").write_bytes(b"")
    with pytest.raises(BadData, match="has no folder 'masks'"):
        labeled_images([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        ("DUTS-TE/DUTS-TE-Image/a.jpg", "DUTS-TE/DUTS-TE-Mask/a.png"),
        ("ECSSD/images/a.jpg", "ECSSD/ground_truth_mask/a.png"),
        ("HKU-IS/imgs/a.png", "HKU-IS/gt/a.png"),
        ("PASCAL-S/Imgs/a.jpg", "PASCAL-S/GT/a.png"),
        ("DUT-OMRON-image/a.jpg", "pixelwiseGT-new-PNG/a.png"),
        ("MSRA10K/Imgs/a.jpg", "MSRA10K/Imgs/a.png"),
    ],
)
def test_layouts_that_data_sets_are_published_in(make, picture, mask):
    source = make({picture: encoded(RGB, "PNG"), mask: encoded(MASK), "about/readme.txt": b"a set"})
    (pair,) = labeled_images([source])
    rgb, truth = pair.read()
    np.testing.assert_array_equal(rgb, RGB)
    np.testing.assert_array_equal(truth, MASK)
    assert pair.name == f"{source.name}/{pair.key}"
    assert pair.source == source


def listed(tmp_path, text):
    path = tmp_path / "lists" / "val.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_a_list_names_pictures_of_sources_beside_it_in_its_own_order(tmp_path):
    other = {f"images/b{i}.png": encoded(RGB) for i in range(3)} | {f"masks/b{i}.png": encoded(MASK) for i in range(3)}
    archive(tmp_path / "one.zip", GOOD)
    archive(tmp_path / "two.zip", other)
    found = labeled_images([listed(tmp_path, "../two.zip\tb2\n\n../one.zip\ta\n../two.zip\tb0\n")])
    assert [pair.name for pair in found] == ["two.zip/b2", "one.zip/a", "two.zip/b0"]
    assert found[1].read()[0].tolist() == RGB.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("../one.zip a\n", r"val.txt', line 1: expected SOURCE, a tab and a key, but got '../one.zip a'"),
        ("\n../one.zip\tz\n", r"val.txt', line 2: '../one.zip' has no picture 'z'"),
        ("../none.zip\ta\n", r"none.zip' does not exist"),
    ],
)
def test_lists_that_do_not_hold(tmp_path, text, message):
    archive(tmp_path / "one.zip", GOOD)
    with pytest.raises(BadData, match=message):
        labeled_images([listed(tmp_path, text)])


def test_a_list_that_is_no_text(tmp_path):
    path = listed(tmp_path, "")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadData, match=r"the list '.*val.txt' cannot be read"):
        labeled_images([path])


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()

    def refuse(place):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(BadData, match=r"cannot be read.*Permission denied"):
        labeled_images([tmp_path])


def test_an_archive_cut_short(tmp_path):
    whole = archive(tmp_path / "a.zip", GOOD).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match="valid zip"):
        labeled_images([tmp_path / "cut.zip"])


def test_an_archive_with_a_broken_file(tmp_path):
    whole = bytearray(archive(tmp_path / "a.zip", GOOD).read_bytes())
    place = whole.index(GOOD["masks/a.png"])
    whole[place + 20] ^= 255
    (tmp_path / "a.zip").write_bytes(whole)
    with pytest.raises(BadData, match=r"the mask of 'a.zip/a' cannot be read \(Bad CRC"):
        labeled_images([tmp_path / "a.zip"])[0].read()


def test_a_picture_cut_short():
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    image = encoded(noise)
    with pytest.raises(BadData, match="the picture of 'set/a' cannot be read"):
        one(image[: len(image) // 2], GOOD["masks/a.png"]).read()


def test_a_file_that_went_away(tmp_path):
    archive(tmp_path / "a.zip", GOOD)
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        file.extractall(tmp_path / "data")
    found = labeled_images([tmp_path / "data"])
    (tmp_path / "data" / "masks" / "a.png").unlink()
    with pytest.raises(BadData, match="the mask of 'data/a' cannot be read"):
        found[0].read()


def test_sizes_differ():
    with pytest.raises(BadData, match=r"'set/a': the mask must have the picture's size, 3 × 2, but has 2 × 2"):
        one(GOOD["images/a.png"], encoded(MASK[:, :2])).read()


@pytest.mark.parametrize(
    "mask",
    [
        Image.fromarray(np.dstack([MASK] * 3)),
        Image.fromarray(np.dstack([MASK] * 3 + [np.full_like(MASK, 255)])),
        Image.fromarray(MASK.astype(np.uint16) * 257),
        Image.fromarray(MASK.astype(np.int32) * 257),
    ],
    ids=["RGB", "RGBA", "16 bits", "32 bits"],
)
def test_masks_of_other_modes(mask):
    kind = "TIFF" if mask.mode == "I" else "PNG"
    np.testing.assert_array_equal(one(GOOD["images/a.png"], encoded(mask, kind)).read()[1], MASK)


def test_masks_of_one_bit_and_of_a_palette():
    black_and_white = Image.fromarray(MASK > 127)
    np.testing.assert_array_equal(one(GOOD["images/a.png"], encoded(black_and_white)).read()[1], (MASK > 127) * 255)
    indexed = Image.fromarray((MASK > 127).astype(np.uint8), "L").convert("P")
    indexed.putpalette([0, 0, 0, 255, 255, 255])
    np.testing.assert_array_equal(one(GOOD["images/a.png"], encoded(indexed)).read()[1], (MASK > 127) * 255)


def test_a_gray_picture_of_16_bits():
    gray = Image.fromarray(np.full((2, 3), 300 * 100, np.uint16))
    assert (one(encoded(gray), GOOD["masks/a.png"]).read()[0] == round(30000 / 257)).all()


def test_a_picture_that_lies_on_its_side():
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90° clockwise
    image = Image.fromarray(np.ascontiguousarray(np.rot90(RGB)))
    rgb, _ = one(encoded(image, exif=exif), GOOD["masks/a.png"]).read()
    np.testing.assert_array_equal(rgb, RGB)


def test_masks_that_cannot_be_meant():
    with pytest.raises(BadData, match="holds 0 and 1; foreground must be 255"):
        one(GOOD["images/a.png"], encoded((MASK > 127).astype(np.uint8))).read()
    with pytest.raises(BadData, match="floating-point"):
        one(GOOD["images/a.png"], encoded(Image.fromarray(MASK.astype(np.float32)), "TIFF")).read()


@pytest.mark.parametrize("name", ["transparent.png", "profile.png", "turned.jpg"])
def test_pictures_are_what_remove_reads(tmp_path, name):
    rgb = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    exif = Image.Exif()
    exif[274] = 6
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    path = tmp_path / "images" / name
    if name == "transparent.png":
        alpha = np.linspace(0, 255, 240).astype(np.uint8).reshape(12, 20, 1)
        Image.fromarray(np.concatenate([rgb, alpha], 2)).save(path)
    elif name == "profile.png":
        Image.fromarray(rgb).save(path, icc_profile=swapped_profile())
    else:
        Image.fromarray(rgb).save(path, exif=exif, quality=95)
    wanted = Picture.read(path).rgb
    Image.fromarray(np.eye(*wanted.shape[:2], dtype=np.uint8) * 255).save((tmp_path / "masks" / name).with_suffix(".png"))
    [pair] = labeled_images([tmp_path])
    assert np.array_equal(pair.read()[0], wanted)


def test_pictures_have_the_limits_of_remove(tmp_path, monkeypatch):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        Image.new("L", (40, 30)).save(tmp_path / folder / "a.png")
    monkeypatch.setenv("FIGUREGROUND_MAX_PIXELS", "1000")
    [pair] = labeled_images([tmp_path])
    with pytest.raises(BadData, match=r"the picture of .* at most 0.001 are read"):
        pair.read()
