"""Trivial baselines: their output, their scores, the command's table."""

import pytest

from diarize.bin.baselines import main
from diarize.report.baselines import baselines, one_speaker, speech_as
from diarize.score.der import ScoreOptions
from diarize.segments import Segment

UEM = {"r": [(0.0, 10.0)], "s": [(0.0, 5.0)]}
# r: a alone 4 s, a and b together 2 s; s: nobody.
REFERENCE = [Segment("r", 0, 6, "a"), Segment("r", 4, 6, "b")]


def rows(reference, uem=None, collar=0.0):
    return {one.name: scores.total for one, scores in baselines(reference, uem or UEM, collar)}


def test_one_speaker_is_wrong_wherever_nobody_or_two_talk():
    times = rows(REFERENCE)["one speaker all the time"]
    assert (times.scored_speech, times.miss, times.confusion) == (8.0, 2.0, 0.0)
    assert times.false_alarm == 4.0 + 5.0  # the recording without speech counts, too


def test_oracle_speech_has_no_false_alarm():
    times = rows(REFERENCE)["oracle speech as 1 speaker"]
    assert (times.miss, times.false_alarm, times.confusion) == (2.0, 0.0, 0.0)


def test_best_constant_number_takes_what_errs_least():
    assert "best constant number, oracle speech as 1 speaker" in rows(REFERENCE)
    dense = [Segment("r", 0, 10, name) for name in "abc"] + [Segment("r", 0, 2, "d")]
    found = rows(dense, {"r": [(0.0, 10.0)]})
    times = found["best constant number, oracle speech as 3 speakers"]
    assert (times.miss, times.false_alarm, times.confusion) == (2.0, 0.0, 0.0)
    assert found["oracle speech as 1 speaker"].miss == 22.0


def test_speech_of_several_regions():
    assert one_speaker({"r": [(0.0, 1.0), (2.0, 3.0)]})[1] == Segment("r", 2.0, 3.0, "1")
    assert [seg.label for seg in speech_as(REFERENCE, 2)] == ["1", "2"]
    assert baselines(REFERENCE, UEM, ScoreOptions(0.25).collar)[1][1].total.scored_speech < 8.0


def write(path, reference):
    lines = (f"SPEAKER {s.recording} 1 {s.start} {s.duration} <NA> <NA> {s.label} <NA> <NA>"
             for s in reference)
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_table_of_the_command(tmp_path, capsys):
    ref = write(tmp_path / "ref.rttm", REFERENCE)
    uem = tmp_path / "uem"
    uem.write_text("r 1 0 10\ns 1 0 5\n")
    same = ["--ref", f"mine={ref}", "--uem", str(uem), "--collar", "0"]
    assert main([*same, "--systems", f"perfect={ref}", "--title", "Set"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("## Set\n\nAgainst `mine`, collar 0.00 s: 2 recordings, 8.0 s of speech")
    assert "| one speaker all the time | 137.50 | 25.00 | 112.50 | 0.00 |" in out
    assert "| perfect | 0.00 | 0.00 | 0.00 | 0.00 |" in out
    assert main([*same, "--out", str(tmp_path / "table.md")]) == 0
    assert (tmp_path / "table.md").read_text().startswith("Against `mine`")


@pytest.mark.parametrize(("text", "uem", "message"), [
    (";; nothing\n", "r 1 0 10\n", "no speech in the reference"),
    (None, "q 1 0 10\n", "no line for recording r"),
    (None, "r 1 90 91\n", "ref.rttm: 0 s of speech"),
])  # fmt: skip
def test_user_mistakes(tmp_path, capsys, text, uem, message):
    ref = tmp_path / "ref.rttm"
    write(ref, REFERENCE) if text is None else ref.write_text(text)
    (tmp_path / "uem").write_text(uem)
    assert main(["--ref", str(ref), "--uem", str(tmp_path / "uem")]) == 1
    assert message in capsys.readouterr().err
    assert main(["--ref", str(ref), "--uem", str(tmp_path / "uem"), "--systems", "x"]) == 1
