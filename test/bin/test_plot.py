import json

import numpy as np
import pytest

from diarize.bin.plot import main
from diarize.io.audio import write_wav
from diarize.io.rttm import write_rttm
from diarize.io.uem import write_uem
from diarize.report.plots.recording import PlotSources
from diarize.segments import Segment

pytest.importorskip("matplotlib")


@pytest.fixture
def files(tmp_path):
    ref = [
        Segment("one", 0, 4, "ann"), Segment("one", 4, 8, "bob"), Segment("two", 1, 2, "ann"),
    ]  # fmt: skip
    hyp = [Segment("one", 0, 3, "s1"), Segment("one", 4, 9, "s2"), Segment("three", 0, 1, "s1")]
    write_rttm(tmp_path / "ref", ref)
    write_rttm(tmp_path / "hyp", hyp)
    write_uem(tmp_path / "uem", {"one": [(0, 10)], "two": [(0, 5)], "three": [(0, 5)]})
    return tmp_path


def sources(files, **options):
    given = {"ref": files / "ref", "hyp": files / "hyp", "uem": files / "uem"}
    return PlotSources(**{**given, **options})


def test_title_and_errors_are_the_der_of_the_uem(files):
    view = sources(files).picture("one", None, None)
    assert view.title == "one    DER 25.00 %"
    assert view.subtitle == (
        "missed 12.50 %, false alarm 12.50 %, confusion 0.00 %; collar 0; 2 speakers, 2 found"
    )
    assert (view.start, view.end, view.mapping) == (0, 10, {"s1": "ann", "s2": "bob"})


def test_without_a_uem_the_region_is_the_extent_of_the_reference(files):
    view = sources(files, uem=None).picture("one", 2, 20)
    assert view.title == "one    DER 12.50 %"
    assert view.regions == [(0, 8)]
    assert view.subtitle.endswith("figures of the whole recording; shaded: not scored")


def test_recordings_without_one_of_the_sides(files):
    silent = sources(files).picture("two", None, None)
    assert silent.title == "two    DER 100.00 %"
    assert silent.subtitle.endswith("1 speaker, 0 found")
    stranger = sources(files).picture("three", None, None)
    assert stranger.title == "three    no reference speech"
    assert stranger.subtitle.startswith("missed 0.00 s, false alarm 1.00 s")
    alone = sources(files, hyp=None).picture("one", None, None)
    assert (alone.title, alone.subtitle, list(alone.errors)) == ("one", "2 speakers", [])


def test_waveform_comes_with_its_own_times(files):
    ramp = np.linspace(0, 0.5, 8000 * 6, dtype=np.float32)
    write_wav(files / "one.wav", ramp, 8000)
    (files / "wav.scp").write_text("one one.wav\n")
    view = sources(files, audio_scp=files / "wav.scp").picture("one", 1.0, 3.0)
    peaks, start, end = view.waveform
    assert (start, end) == (1.0, pytest.approx(3.0, abs=0.01))
    assert peaks[0] == pytest.approx([0.5 / 6, 0.5 / 6], abs=1e-3)
    assert peaks[-1] == pytest.approx([0.25, 0.25], abs=1e-3)


def test_all_recordings_go_to_a_directory(files, capsys):
    out = files / "images"
    words = ["--ref", files / "ref", "--hyp", files / "hyp", "--uem", files / "uem"]
    assert main([str(w) for w in [*words, "--out", out]]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["one.png", "three.png", "two.png"]
    assert capsys.readouterr().out.split() == [
        str(out / f"{r}.png") for r in ("one", "three", "two")
    ]
    assert (out / "one.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "x.png"], "--hyp"),
        (["--ref", "ref", "--out", "x.png"], "2 recordings do not fit in x.png"),
        (["--ref", "ref", "--recording", "four", "--out", "x.png"], "four is in none of the files"),
        (["--ref", "none", "--out", "x.png"], "cannot read none"),
        (
            ["--ref", "ref", "--recording", "one", "--start", "9", "--out", "x.png"],
            "recording one: nothing to draw from 9 to 8 s",
        ),
        (
            ["--ref", "ref", "--recording", "one", "--audio-scp", "scp", "--out", "x.png"],
            "scp: no line for recording one",
        ),
        (["curves", "--log", "none", "--out", "x.png"], "cannot read the log none"),
    ],
)
def test_mistakes_are_one_line_and_status_1(files, monkeypatch, capsys, words, message):
    monkeypatch.chdir(files)
    (files / "scp").write_text("two two.wav\n")
    assert main(words) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (files / "x.png").exists()


def test_curves(tmp_path, capsys):
    lines = [{"kind": "train", "step": s, "loss": 1 / s, "lr": 0.1} for s in (1, 2, 3)]
    (tmp_path / "log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "new" / "curves.png"
    assert main(["curves", "--log", str(tmp_path / "log"), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.read_bytes()[:4] == b"\x89PNG"


def test_a_dollar_in_a_name_begins_no_formula(tmp_path, capsys):
    name = r"$\frac{1}$"
    write_rttm(tmp_path / "ref", [Segment(name, 0, 1, name)])
    write_rttm(tmp_path / "hyp", [Segment(name, 0, 2, name + "x")])
    words = ["--ref", "ref", "--hyp", "hyp", "--out", "x.png"]
    assert main([w if w.startswith("--") else str(tmp_path / w) for w in words]) == 0
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"
    lines = [{"kind": "train", "step": s, name: 1 / s, "b": 2.0} for s in (1, 2)]
    (tmp_path / "log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["--log", str(tmp_path / "log"), "--out", str(tmp_path / "c.png"), "--title", name]
    assert main(["curves", *words]) == 0
