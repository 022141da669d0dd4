"""Every frame separated: one canvas for all, masks that do not flicker, durations that stay, in every view and format."""

from collections.abc import Iterator

import numpy as np
import pytest

from animations import GROUND, SUBJECT, Bright, animated, drawn, shown, square
from figureground.animation import check_frames, extent, remove_animation, render_animation, separate_animation
from figureground.compositing.options import EditOptions
from figureground.errors import NoForeground, PictureTooLarge, UnreadablePicture, UsageError
from figureground.io.animation import Animation, read_animation
from figureground.io.encode import FRAMED, EncodeOptions
from figureground.io.picture import Encoded
from figureground.jobs import JobSpec, run_job
from figureground.methods import find
from figureground.pipeline import Clock
from figureground.separation import VIEWS
from figureground.settings import Settings

COUNT = 6
DURATIONS = [40, 100, 50, 1000, 60, 80]
MASKS = [square(step) for step in range(COUNT)]
MOVING = animated([drawn(mask) for mask in MASKS], duration=DURATIONS, loop=0)
STILL = animated([np.dstack([drawn(square(0))[..., :2], np.full((48, 64, 1), 60 + n % 2, np.uint8)]) for n in range(9)], "PNG")
"""Frames that differ by one level of blue, which no format joins."""
ABLE = [name for name, view in VIEWS.items() if view.animated]


def separated(data=MOVING, separate=None, **limits):
    animation = read_animation(data, Settings(**limits))
    assert isinstance(animation, Animation)
    return separate_animation(animation, separate or Bright())


@pytest.mark.parametrize("suffix", FRAMED)
def test_every_frame_is_cut_out_and_keeps_its_time(suffix):
    facts, files = render_animation(separated(), {"cutout": suffix})
    found = list(shown(files["cutout"]))
    assert [duration for _, duration in found] == DURATIONS
    for mask, (pixels, _) in zip(MASKS, found, strict=True):
        assert np.array_equal(pixels[..., 3], 255 * mask)
        assert (pixels[mask > 0][:, :3] == SUBJECT).all()
    again = read_animation(files["cutout"])
    assert isinstance(again, Animation) and again.plays == 0
    assert facts["frames"] == {"count": COUNT, "durations": DURATIONS, "plays": 0}
    assert facts["box"] == [6, 14, 6 + 4 * 5 + 20, 34]
    assert (facts["area"], facts["found"], facts["warnings"]) == (400, True, [])


@pytest.mark.parametrize("view", ABLE)
@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_every_view_that_can_be_an_animation(view, suffix):
    _, files = render_animation(separated(), {view: suffix}, EditOptions(crop=True))
    assert {pixels.shape for pixels, _ in shown(files[view])} == {(20, 40, 4)}


def test_views_are_made_together_and_show_the_same_masks():
    _, files = render_animation(separated(), {"cutout": ".webp", "mask": ".png"})
    for (cutout, _), (mask, _) in zip(shown(files["cutout"]), shown(files["mask"]), strict=True):
        assert np.array_equal(cutout[..., 3], mask[..., 0])


@pytest.mark.parametrize("lost", [1, 4, 7])
def test_a_subject_that_the_network_loses_in_one_frame_is_not_lost(lost):
    done = separated(STILL, Bright(lost=(lost,)))
    for number in range(9):
        assert np.array_equal(done.mask(number), square(0))


LAYOUTS = [
    ({"crop": True}, (20, 40)),
    ({"crop": True, "margin": "10%"}, (28, 48)),
    ({"crop": True, "square": True}, (40, 40)),
    ({"canvas": "80x40"}, (40, 80)),
    ({"crop": True, "canvas": "80x60", "background": "white"}, (60, 80)),
]


@pytest.mark.parametrize(("fields", "shape"), LAYOUTS)
def test_the_canvas_does_not_jump(fields, shape):
    options = EditOptions(**fields)
    done = separated()
    facts, files = render_animation(done, {"cutout": ".png"}, options)
    frames = [pixels for pixels, _ in shown(files["cutout"])]
    assert {pixels.shape[:2] for pixels in frames} == {shape}
    bright = [
        np.flatnonzero(((pixels[..., 0] > 200) & (pixels[..., 2] < 100) & (pixels[..., 3] > 128)).any(0)) for pixels in frames
    ]
    steps = np.diff([columns[0] for columns in bright])
    assert np.ptp(steps) <= 1 and steps.min() > 0, "the square moves as evenly as before"
    assert (facts["output"]["width"], facts["output"]["height"]) == shape[::-1]
    left, top, right, bottom = facts["output"]["box"]
    assert (left, right) == (bright[0][0], bright[-1][-1] + 1) and bottom > top
    assert extent(done, options).layout.size == shape[::-1]


EDITS = [
    {"background": "white"},
    {"background": "blur:2"},
    {"background": "gray"},
    {"background": "checker"},
    {"shadow": "drop"},
    {"outline": "2:red"},
    {"grow": "2", "feather": "10%"},
    {"invert": True},
    {"threshold": 0.5},
    {"shadow": "keep", "background": "white"},
]


@pytest.mark.parametrize("fields", EDITS, ids="-".join)
def test_every_frame_is_edited(fields):
    _, plain = render_animation(separated(), {"cutout": ".webp"})
    _, files = render_animation(separated(), {"cutout": ".webp"}, EditOptions(**fields))
    before, after = ([pixels for pixels, _ in shown(each["cutout"])] for each in (plain, files))
    assert len(after) == COUNT
    if "threshold" not in fields:
        assert not any(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    if fields.get("background") == "white":
        assert all((pixels[0, 0] == 255).all() for pixels in after)
    if fields.get("background") == "blur:2":
        assert all(np.abs(pixels[0, 0, :3].astype(int) - GROUND).max() <= 1 for pixels in after)


def test_a_subject_that_grows_keeps_the_width_of_its_outline():
    masks = [square(0, side=10 + 3 * step, speed=0) for step in range(5)]
    data = animated([drawn(mask) for mask in masks])
    _, files = render_animation(separated(data), {"cutout": ".png"}, EditOptions(outline="10%:red"))
    covered = [np.count_nonzero(pixels[20, :, 3]) for pixels, _ in shown(files["cutout"])]
    widths = [count - np.count_nonzero(mask[20]) for count, mask in zip(covered, masks, strict=True)]
    assert len(set(widths)) == 1, widths


def test_transparency_of_the_frames_is_kept():
    frames = [
        np.dstack([drawn(mask), np.where(np.arange(64) < 56, 255, 0)[None].repeat(48, 0).astype(np.uint8)]) for mask in MASKS
    ]
    _, files = render_animation(separated(animated(frames, "WEBP")), {"cutout": ".webp"}, EditOptions(background="original"))
    for pixels, _ in shown(files["cutout"]):
        assert (pixels[:, 56:, 3] == 0).all() and (pixels[:, :56, 3] == 255).all()


def job(**fields):
    return JobSpec(find("subject"), fields.pop("settings", Settings()), frames="all", **fields)


def done_job(spec, source, suffixes, separate=None):
    spec.validate()
    clock = Clock()
    return run_job(spec, separate or Bright(settings=spec.settings), source, suffixes, "a.gif", clock), clock


def test_a_job_with_all_frames():
    result, clock = done_job(job(views=("cutout", "mask")), MOVING, {"cutout": ".webp", "mask": ".gif"})
    assert [sum(1 for _ in shown(data)) for data in result.files.values()] == [COUNT, COUNT]
    assert result.facts["frames"]["count"] == COUNT
    assert {"decode", "network", "steady", "edit", "view", "encode"} <= set(clock.seconds)


def test_a_job_with_a_picture_of_one_frame_is_as_ever():
    data = animated([drawn(MASKS[0])], "PNG")
    result, _ = done_job(job(), Encoded(data, "a.png"), {"cutout": ".webp"})
    assert "frames" not in result.facts and result.facts["picture"] == "a.png"
    assert sum(1 for _ in shown(result.files["cutout"])) == 1


def test_the_first_frame_alone_is_the_default():
    spec = JobSpec(find("subject"), Settings())
    assert spec.frames == "first"
    result = run_job(spec, Bright(), MOVING, {"cutout": ".webp"}, "a.gif", Clock())
    assert sum(1 for _ in shown(result.files["cutout"])) == 1
    assert result.facts["warnings"] == ["animated: the first frame is used (--frames all takes every one)"]


def test_no_foreground_in_any_frame():
    facts, _ = render_animation(separated(separate=Bright(lost=range(COUNT))), {"cutout": ".webp"})
    assert (facts["found"], facts["box"], facts["certainty"]) == (False, None, None)
    assert facts["warnings"] == ["no foreground was found"]
    with pytest.raises(NoForeground):
        done_job(job(require_subject=True), MOVING, {"cutout": ".webp"}, Bright(lost=range(COUNT)))
    done_job(job(require_subject=True), MOVING, {"cutout": ".webp"}, Bright(lost=(0,)))


@pytest.mark.parametrize("view", [name for name in VIEWS if name not in ABLE])
def test_views_that_make_no_sense_are_refused(view):
    with pytest.raises(UsageError, match=view) as error:
        check_frames((view,))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".avif", ".npy"])
def test_formats_of_one_image_are_refused(suffix):
    views = ("mask",) if suffix == ".npy" else ("cutout",)
    with pytest.raises(UsageError, match=suffix):
        job(views=views).check_format(suffix)
    for other in FRAMED:
        job(views=views).check_format(other)


def test_frames_is_first_or_all():
    with pytest.raises(UsageError, match="--frames is one of first, all"):
        JobSpec(find("subject"), Settings(), frames="last").validate()


def test_all_frames_count_against_the_limit():
    with pytest.raises(PictureTooLarge):
        done_job(job(settings=Settings(max_pixels=COUNT * 48 * 64 - 1)), MOVING, {"cutout": ".webp"})


def test_frames_are_separated_one_at_a_time(monkeypatch):
    """At no time are more frames decoded than the masks are steadied with."""
    alive, most = set(), 0
    real = Animation.frames

    def watched(self) -> Iterator:
        import weakref

        for number, (picture, duration) in enumerate(real(self)):
            nonlocal most
            alive.add(number)
            weakref.finalize(picture.original, alive.discard, number)
            most = max(most, len(alive))
            yield picture, duration
            del picture

    monkeypatch.setattr(Animation, "frames", watched)
    data = animated([drawn(square(step, speed=1)) for step in range(24)])
    render_animation(separated(data), {"cutout": ".webp"})
    assert most <= 4


def test_remove_animation():
    result = remove_animation(MOVING, ".png", Bright(), options=EditOptions(crop=True), encode_options=EncodeOptions())
    assert [duration for _, duration in shown(result)] == DURATIONS
    with pytest.raises(UsageError, match="one frame"):
        remove_animation(animated([drawn(MASKS[0])], "PNG"), separate=Bright())
    with pytest.raises(UsageError, match=r"\.jpg"):
        remove_animation(MOVING, ".jpg", Bright())
    with pytest.raises(UsageError, match="svg"):
        remove_animation(MOVING, view="svg", separate=Bright())
    with pytest.raises(UnreadablePicture):
        remove_animation(MOVING[: len(MOVING) // 2], separate=Bright())


def test_durations_that_are_rounded_are_told():
    data = animated([drawn(mask) for mask in MASKS], "WEBP", duration=33)
    facts, files = render_animation(separated(data), {"cutout": ".gif"})
    assert facts["warnings"] == ["durations are rounded to 10 ms in .gif files; their sum is kept"]
    assert sum(duration for _, duration in shown(files["cutout"])) == 200
