"""Evaluated stretches: a UEM in samples, cut to the audio; nothing left is an error."""

import numpy as np
import pytest

from diarize.data.examples import collate
from diarize.data.sources import open_source
from diarize.data.stretches import crop_bounds, to_stretches
from diarize.errors import DiarizeError
from diarize.io.audio import write_wav


@pytest.fixture
def folder(tmp_path):
    """Three recordings of 5 s, in which A speaks all the time."""
    for name in "abc":
        write_wav(tmp_path / f"{name}.wav", np.zeros(80000, np.float32), 16000)
    (tmp_path / "wav.scp").write_text("".join(f"{n} {tmp_path}/{n}.wav\n" for n in "abc"))
    (tmp_path / "rttm").write_text(
        "".join(f"SPEAKER {n} 1 0 5 <NA> <NA> A <NA> <NA>\n" for n in "abc")
    )
    return tmp_path


def open_with(folder, uem):
    (folder / "uem").write_text(uem)
    return open_source(folder, 16000)


def test_regions_are_cut_to_the_audio_and_joined_where_they_touch(folder):
    source = open_with(folder, "a 1 0 2\na 1 2 3\na 1 4.5 99\na 1 100 200\nb 1 0 5\nc 1 1 5.01\n")
    assert source.evaluated(0) == [(0, 48000), (72000, 80000)]
    assert source.evaluated(1) == [(0, 80000)]
    assert source.evaluated(2) == [(16000, 80000)]
    assert source.notice() == (
        f"{folder}: 0.00 of 0.00 h are annotated, as {folder}/uem says; nothing is learnt from "
        "the rest"
    )


def test_of_other_rates_and_gaps_below_a_sample():
    assert to_stretches([(0.0, 1.00001), (1.00002, 2.0)], 10**6, 8000) == [(0, 16000)]
    assert to_stretches([(0.0, 1e-6), (3.0, 4.0)], 2 * 8000, 8000) == []


def test_without_a_uem_everything_counts_and_is_said(folder):
    source = open_source(folder, 16000)
    assert source.evaluated(0) is None
    assert source.notice().startswith(f"{folder}: no uem: ")
    assert open_with(folder, "a 1 0 5\nb 1 0 5\nc 1 0 5.000\n").notice() == ""


@pytest.mark.parametrize(
    ("uem", "message"),
    [
        ("a 1 0 5\n", r"uem: no line of recording b and 1 more, .*subset_data_dir"),
        ("a 1 0 5\nb 1 5 9\nc 1 0 5\n", r"uem: no region within the 5\.00 s of recording b, "),
        ("a 1 0 5\nb 1 0 5\nC 1 0 5\n", r"uem: no line of recording c, "),
        ("a 1 0 5\nb 1 0 5\nc 1 0 x\n", r"uem:3: "),
    ],
)
def test_recordings_without_annotation_are_refused_by_name(folder, uem, message):
    with pytest.raises(DiarizeError, match=message):
        open_with(folder, uem)


def test_bounds_of_a_crop_by_going_through_all_starts():
    rng = np.random.default_rng(0)
    for _ in range(300):
        total = int(rng.integers(2, 40))
        a, b = sorted(rng.choice(total + 1, 2, replace=False).tolist())
        wanted = int(rng.integers(1, 45))
        good = [
            s for s in range(max(1, total - wanted + 1))
            if (a <= s and s + wanted <= b) or (s <= a and b <= s + wanted)
        ]  # fmt: skip
        assert crop_bounds((a, b), total, wanted) == (good[0], good[-1])
        assert good == list(range(good[0], good[-1] + 1))


def test_a_batch_marks_padding_and_what_is_not_annotated():
    from diarize.data.examples import Example

    def example(frames, known=None):
        active = np.ones((frames, 1), bool)
        return Example("r", np.zeros(160 * frames, np.float32), active, ("A",), known)

    batch = collate([example(3), example(4, np.array([True, False, True, True]))], 16000)
    assert batch.evaluated.tolist() == [[True] * 3 + [False], [True, False, True, True]]
    assert batch.num_evaluated.tolist() == [3, 3]
    assert batch.to("meta").evaluated.device.type == "meta"
    plain = collate([example(3), example(4)], 16000)
    assert plain.evaluated is None
    assert plain.num_evaluated.tolist() == [3, 4]
    assert plain.evaluated_frames().tolist() == [[True] * 3 + [False], [True] * 4]
