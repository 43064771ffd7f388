import itertools

import numpy as np
import pytest

from diarize.report.plots.errors import ErrorSpan
from diarize.report.plots.timeline import (
    ERROR_COLOURS,
    EXTRA_COLOURS,
    SPEAKER_COLOURS,
    Picture,
    draw_picture,
    format_time,
    picture_rows,
    strip_bounds,
)
from diarize.segments import Segment

pytest.importorskip("matplotlib")


def pixels(path):
    from matplotlib.image import imread

    return (imread(path)[:, :, :3] * 255).round().astype(int)


def count_colour(image, colour):
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((image == rgb).all(axis=2).sum())


def test_rows_follow_the_reference_in_order_and_colour():
    ref = [Segment("r", 5, 6, "bob"), Segment("r", 0, 9, "ann")]
    hyp = [Segment("r", 0, 1, "s9"), Segment("r", 5, 7, "s1"), Segment("r", 1, 2, "s2")]
    view = Picture(0, 10, ref, hyp, {"s1": "bob", "s2": "ann"})
    rows = picture_rows(view)
    assert [(r.side[:3], r.label, r.colour) for r in rows] == [
        ("ref", "ann", SPEAKER_COLOURS[0]),
        ("ref", "bob", SPEAKER_COLOURS[1]),
        ("hyp", "s2", SPEAKER_COLOURS[0]),
        ("hyp", "s1", SPEAKER_COLOURS[1]),
        ("hyp", "s9", EXTRA_COLOURS[0]),
    ]
    assert rows[1].bars == ((5, 1),)
    # Without a reference there is no match to show, so the speakers get colours.
    assert picture_rows(Picture(0, 10, [], hyp))[0].colour == SPEAKER_COLOURS[0]


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [(0, 10, 1), (100, 400, 1), (0, 600, 2), (0, 602, 2), (0, 3600, 6), (0, 5400, 6), (0, 2e5, 6)],
)
def test_strips_cover_the_recording_and_are_few(start, end, count):
    strips = strip_bounds(start, end)
    assert len(strips) == count
    assert (strips[0][0], strips[-1][1]) == (start, pytest.approx(end))
    assert all(a[1] == pytest.approx(b[0]) for a, b in itertools.pairwise(strips))


def test_time_text():
    assert [format_time(t, 0.5) for t in (-0.0, 1.5)] == ["0.0", "1.5"]
    assert format_time(59.6, 1) == "1:00"
    assert format_time(7200, 600) == "2:00:00"


def test_the_picture_shows_what_it_is_given(tmp_path):
    ref = [Segment("r", 0, 5, "ann"), Segment("r", 5, 10, "bob")]
    hyp = [Segment("r", 0, 5, "x")]
    errors = [ErrorSpan(5, 7.5, 1, 0, 0), ErrorSpan(7.5, 10, 0, 0, 2)]
    draw_picture(
        Picture(0, 10, ref, hyp, {"x": "ann"}, errors, [(0, 10)], "title"), tmp_path / "a.png"
    )
    image = pixels(tmp_path / "a.png")
    ann, bob = (count_colour(image, SPEAKER_COLOURS[i]) for i in (0, 1))
    assert ann == pytest.approx(2 * bob, rel=0.02)  # ann twice: in REF and HYP
    missed, false_alarm, confused = (count_colour(image, ERROR_COLOURS[k]) for k in ERROR_COLOURS)
    assert missed > 1000
    assert confused == pytest.approx(missed, rel=0.05)
    assert false_alarm < 200  # the label at most


@pytest.mark.parametrize(
    "view",
    [
        Picture(0, 10, [], [], title="nothing"),
        Picture(0, 10, [Segment("r", 1, 2, "a")], [], {}, [], [(0, 10)]),
        Picture(0, 10, [], [Segment("r", 1, 2, "a")], {}, [ErrorSpan(1, 2, 0, 1, 0)], [(0, 10)]),
        Picture(30, 31.5, [Segment("r", 30, 31, "a" * 80)], [], waveform=(np.zeros((0, 2)), 0, 0)),
        Picture(
            0, 3600, [Segment("r", i * 60, i * 60 + 0.1, f"s{i % 30}") for i in range(60)], []
        ),
    ],
    ids=["empty", "no-hypothesis", "no-reference", "long-name", "an-hour-of-30"],
)
def test_unusual_recordings_can_be_drawn(view, tmp_path):
    draw_picture(view, tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").shape[1] == 1820


def test_a_turn_far_below_a_pixel_is_still_seen(tmp_path):
    ref = [Segment("r", 1000, 1000.01, "ann")]
    draw_picture(Picture(0, 3600, ref, [], title=""), tmp_path / "a.png")
    blank = Picture(0, 3600, [ref[0]._replace(start=4000, end=4001)], [], title="")
    draw_picture(blank, tmp_path / "b.png")
    seen, without = (
        count_colour(pixels(tmp_path / name), SPEAKER_COLOURS[0]) for name in ("a.png", "b.png")
    )
    assert seen - without >= 10
