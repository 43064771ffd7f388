"""diarize-infer: checks before the work, failures of single recordings, data directories."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from diarize.bin import infer, posteriors
from diarize.io.ark import read_scp
from diarize.io.audio import write_wav
from diarize.io.formats import read_annotated_turns, read_annotation
from diarize.kaldi.datadir import DataDir

ALL = ("--query-threshold", "0", "--mask-threshold", "0")  # each query is always active


@pytest.fixture
def command(world):
    """The options that every run of the command needs."""
    return ["--model", str(world / "exp"), "--device", "cpu", *ALL]


def run(*words, env=None):
    return subprocess.run(
        [sys.executable, "-m", "diarize.bin.infer", *map(str, words)],
        check=False, capture_output=True, env={**os.environ, **(env or {})},
    )  # fmt: skip


@pytest.fixture
def no_model(monkeypatch):
    """The model must not be loaded."""

    def fail(*args):
        raise AssertionError("the model was loaded before the checks")

    monkeypatch.setattr("diarize.api.load_task", fail)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("out.xyz", "out.xyz: unknown format"),
        ("none/out.rttm", "cannot write"),
        ("file/out/", "cannot write"),
        ("two.TextGrid", "a .TextGrid file contains one recording, not 2"),
    ],
)
def test_outputs_are_checked_before_the_model_is_loaded(
    world, command, capsys, tmp_path, monkeypatch, no_model, out, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    files = [str(world / f"r{i}.wav") for i in range(2)]
    assert infer.main([*files, *command, "--out", out]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_inputs_are_checked_before_the_model_is_loaded(world, command, capsys, tmp_path, no_model):
    (tmp_path / "r0.wav").write_text("no audio")
    assert infer.main([str(tmp_path / "r0.wav"), *command]) == 1
    assert f"{tmp_path}/r0.wav: " in capsys.readouterr().err
    assert infer.main([str(tmp_path / "r0.wav"), str(world / "r0.wav"), *command]) == 1
    assert "would both be recording 'r0'" in capsys.readouterr().err
    assert infer.main([str(world / "r0.wav"), *command, "--channel", "left"]) == 1
    assert "channel 'left'" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["out.rttm", "out.json", "turns", "-"])
def test_one_bad_file_of_several_costs_only_itself(
    world, command, capsys, tmp_path, monkeypatch, out
):
    """One that is no audio, found at once, and one with a sample that is NaN, found on the way."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.wav").write_text("no audio")
    samples = np.zeros(32000, np.float32)
    samples[30000] = np.nan
    import soundfile

    soundfile.write(tmp_path / "nan.wav", samples, 16000, "FLOAT")
    files = ["bad.wav", str(world / "r0.wav"), "nan.wav", str(world / "r1.wav")]
    assert infer.main([*files, *command, "--out", out]) == 1
    got = capsys.readouterr()
    assert "error: bad.wav: " in got.err
    assert "sample 30000" in got.err
    assert got.err.splitlines()[-1].startswith(
        "diarize-infer: error: 2 of 4 recordings failed: bad, nan; 2 written to"
    )
    if out == "turns":
        assert sorted(p.name for p in (tmp_path / out).iterdir()) == ["r0.rttm", "r1.rttm"]
        segments = [s for p in sorted((tmp_path / out).iterdir()) for s in read_annotation(p)]
    elif out == "-":
        (tmp_path / "x.rttm").write_text(got.out)
        segments = read_annotation(tmp_path / "x.rttm")
    else:
        segments = read_annotation(tmp_path / out)
    assert {s.recording for s in segments} == {"r0", "r1"}
    assert len(segments) == 10  # five queries each
    assert not list(tmp_path.glob("*.partial"))


def test_finished_recordings_are_in_the_partial_file_of_a_run_that_breaks_off(
    world, command, tmp_path, monkeypatch
):
    from diarize.infer.predictor import Predictor

    whole, calls = Predictor.predict, []

    def breaks(self, recording):
        calls.append(recording.name)
        if recording.name == "r2":
            raise MemoryError
        return whole(self, recording)

    monkeypatch.setattr(Predictor, "predict", breaks)
    files = [str(world / f"r{i}.wav") for i in range(3)]
    with pytest.raises(MemoryError):
        infer.main([*files, *command, "--out", str(tmp_path / "all.csv")])
    assert not (tmp_path / "all.csv").exists()
    (tmp_path / "all.csv.partial").rename(tmp_path / "x.rttm")
    assert {s.recording for s in read_annotation(tmp_path / "x.rttm")} == {"r0", "r1"}


STRANGE = ["tab\tname", "narrow\u202fspace", "wide\u3000space", "two words", "#1;", "line\nend",
           "Zoë 会议"]  # fmt: skip


def test_ids_of_strange_names_are_percent_encoded(world, command, tmp_path):
    for name in STRANGE:
        shutil.copy(world / "r0.wav", tmp_path / f"{name}.wav")
    files = [tmp_path / f"{name}.wav" for name in STRANGE]
    assert infer.main([*map(str, files), *command, "--out", str(tmp_path / "o.rttm")]) == 0
    assert [*dict.fromkeys(s.recording for s in read_annotation(tmp_path / "o.rttm"))] == [
        "tab%09name", "narrow%E2%80%AFspace", "wide%E3%80%80space", "two%20words", "%231;",
        "line%0Aend", "Zoë%20会议",
    ]  # fmt: skip
    # In a directory each file is named as its audio.
    assert infer.main([*map(str, files), *command, "--out", f"{tmp_path}/o/"]) == 0
    assert {p.name for p in (tmp_path / "o").iterdir()} == {f"{name}.rttm" for name in STRANGE}


def test_names_and_outputs_in_any_locale_and_a_closed_output(world, command, tmp_path):
    strange = os.fsencode(tmp_path) + b"/caf\xe9 \xe4\xbc\x9a.wav"
    shutil.copy(world / "r0.wav", strange)
    latin = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}
    got = run(os.fsdecode(strange), *command, env=latin)
    assert (got.returncode, b"Traceback" in got.stderr) == (0, False)
    assert len(got.stdout.decode().splitlines()) == 5
    assert got.stdout.startswith("SPEAKER caf%E9%20会 1 0.000 ".encode())
    missing = run(os.fsdecode(strange).replace("caf", "none"), *command, env=latin)
    assert missing.returncode == 1
    assert b"Traceback" not in missing.stderr
    words = " ".join([sys.executable, "-m", "diarize.bin.infer", str(world / "r0.wav"), *command])
    closed = subprocess.run(f"{words} >&-", shell=True, capture_output=True, check=False)
    assert closed.returncode == 1
    [line] = closed.stderr.decode().splitlines()
    assert "standard output is closed" in line
    # Buffered, as usual: Python flushes once more at its exit.
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    full = subprocess.run(f"{words} > /dev/full", shell=True, capture_output=True, check=False,
                          env=buffered)  # fmt: skip
    assert full.returncode == 1
    assert full.stderr.decode().splitlines()[-1].startswith("diarize-infer: error: ")
    early = subprocess.run(f"{words} | true", shell=True, capture_output=True, check=False)
    assert b"error" not in early.stderr


def test_numbers_of_speakers_are_checked_before_the_pass(world, command, capsys, monkeypatch):
    from diarize.infer.predictor import Predictor

    monkeypatch.setattr(Predictor, "predict", None)
    for words, message in (
        (["--num-speakers", "20"], "num_speakers is 20, but the model has 5 queries"),
        (["--min-speakers", "6"], "min_speakers is 6"),
        (["--num-languages", "2"], "--num-speakers"),
    ):
        assert infer.main([str(world / "r0.wav"), *command, *words]) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert message in line


def test_all_queries_active_is_said_with_the_recording(world, command, caplog):
    assert infer.main([str(world / "r0.wav"), *command]) == 0
    assert "recording r0: 5 of the model's 5 queries are active" in caplog.text
    caplog.clear()
    for words in (["--num-speakers", "5"], ["--max-speakers", "2"]):
        assert infer.main([str(world / "r0.wav"), *command, *words]) == 0
        assert "queries are active" not in caplog.text


@pytest.fixture
def kaldi(world, tmp_path):
    """A data directory with segments and numbers of speakers, for the model of ``world``."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(world / "data/wav.scp", data)
    lines = ["r0-1 r0 0.2 0.7", "r0-2 r0 0.5 1.0", "r0-3 r0 1.5 1.75", "r1-1 r1 0 1"]
    (data / "segments").write_text("".join(f"{line}\n" for line in lines))
    (data / "utt2spk").write_text("r0-1 r0\nr0-2 r0\nr0-3 r0\nr1-1 r1\n")
    (data / "reco2num_spk").write_text("r0 2\nr1 1\nr2 3\n")
    return data


def test_a_data_directory_becomes_a_data_directory(kaldi, command, capsys, tmp_path):
    """Restricted to its segments, with its numbers of speakers; r2 has no segment."""
    assert infer.main(["--data", str(kaldi), *command, "--out", str(tmp_path / "out")]) == 0
    err = capsys.readouterr().err
    assert f"{kaldi}/segments: the output is restricted to 4 segments" in err
    assert f"{kaldi}/reco2num_spk: the numbers of speakers are those of 3 recordings" in err
    found = read_annotation(tmp_path / "out/rttm")
    assert sorted({(s.recording, s.start, s.end) for s in found}) == [
        ("r0", 0.2, 1.0), ("r0", 1.5, 1.75), ("r1", 0.0, 1.0),
    ]  # fmt: skip
    assert {s.label for s in found if s.recording == "r0"} == {"spk1", "spk2"}
    assert (tmp_path / "out/reco2num_spk").read_text() == "r0 2\nr1 1\nr2 0\n"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "reco2num_spk", "rttm", "segments", "spk2utt", "utt2spk",
    ]  # fmt: skip


def test_segments_and_numbers_are_ignored_on_request(kaldi, command, capsys, tmp_path):
    words = ["--data", str(kaldi), *command, "--out", str(tmp_path / "o.json")]
    assert infer.main([*words, "--ignore", "segments", "reco2num_spk"]) == 0
    assert "restricted" not in capsys.readouterr().err
    rows = json.loads((tmp_path / "o.json").read_text())
    assert [(r["recording"], r["end"]) for r in rows[::5]] == [("r0", 2), ("r1", 2.5), ("r2", 3)]
    assert len(rows) == 15


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rttm", "SPEAKER r0 1 0.2 0.5 <NA> <NA> ann <NA> <NA>\n"),
        ("utt2spk", "r0-1 ann\nr0-2 bob\nr0-3 ann\nr1-1 ann\n"),
        ("utt2lang", "r0-1 eng\nr0-2 fra\nr0-3 eng\nr1-1 eng\n"),
    ],
)
def test_bounds_and_numbers_beside_a_reference_need_a_choice(
    kaldi, command, capsys, tmp_path, name, text
):
    """They may be those of the annotation, and the output would be an oracle's by accident."""
    (kaldi / name).write_text(text)
    words = ["--data", str(kaldi), *command, "--out", str(tmp_path / "o.json")]
    assert infer.main(words) == 1
    err = capsys.readouterr().err
    assert f"{kaldi}: a reference ({name})" in err
    assert "--ignore segments reco2num_spk" in err
    assert infer.main([*words, "--use", "segments"]) == 1
    assert "--use reco2num_spk" in capsys.readouterr().err
    assert not (tmp_path / "o.json").exists()
    assert infer.main([*words, "--use", "segments", "--ignore", "reco2num_spk"]) == 0
    err = capsys.readouterr().err
    assert "restricted to 4 segments" in err
    assert "numbers of speakers" not in err


def test_a_file_that_use_names_must_be_there(kaldi, command, capsys, tmp_path):
    (kaldi / "reco2num_spk").unlink()
    words = ["--data", str(kaldi), *command, "--out", str(tmp_path / "o.json")]
    assert infer.main([*words, "--use", "segments", "reco2num_spk"]) == 1
    assert f"{kaldi}: no reco2num_spk" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("speakers", "languages"),
    [("r0-1 r0\nr0-2 r0\n", ""), ("r0-1 r0-1\nr0-2 r0-2\n", "r0-1 eng\nr0-2 eng\n")],
)
def test_utterances_without_speakers_are_no_reference(tmp_path, speakers, languages):
    """Kaldi's diarization recipes write the recording, others the utterance as speaker."""
    (tmp_path / "wav.scp").write_text("r0 r0.wav\n")
    (tmp_path / "segments").write_text("r0-1 r0 0 1\nr0-2 r0 1 -1\n")
    (tmp_path / "utt2spk").write_text(speakers)
    if languages:
        (tmp_path / "utt2lang").write_text(languages)
    assert DataDir.load(tmp_path).reference_file is None


def test_more_known_speakers_than_queries_are_said(kaldi, command, caplog, tmp_path):
    (kaldi / "reco2num_spk").write_text("r0 9\nr1 1\nr2 1\n")
    assert infer.main(["--data", str(kaldi), *command, "--out", str(tmp_path / "out")]) == 0
    assert "recording r0: 9 speakers are known, but the model has 5 queries" in caplog.text


def test_channels_are_those_of_the_rttm(world, command, tmp_path):
    import soundfile

    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "two.wav", 0.1 * rng.standard_normal((32000, 2)), 16000)
    for channel, wanted in (("2", {"2"}), ("each", {"1", "2"}), ("mix", {"1"})):
        words = [str(tmp_path / "two.wav"), *command, "--num-speakers", "1", "--channel", channel]
        assert infer.main([*words, "--out", str(tmp_path / "o.rttm")]) == 0
        turns = read_annotated_turns(tmp_path / "o.rttm")
        assert {t.channel for t in turns} == wanted
        assert len({t.label for t in turns}) == len(wanted)
    assert infer.main([str(world / "r0.wav"), *command, "--channel", "2"]) == 1


def test_the_wrong_mix_of_inputs_is_a_usage_error(world, command, capsys):
    for words in ([], [str(world / "r0.wav"), "--data", str(world / "data")],
                  [str(world / "r0.wav"), "--ignore", "segments"],
                  ["--data", str(world), "--use", "segments", "--ignore", "segments"]):  # fmt: skip
        with pytest.raises(SystemExit) as found:
            infer.main([*words, *command])
        assert found.value.code == 2


def test_help_names_languages(capsys):
    with pytest.raises(SystemExit):
        infer.main(["--help"])
    text = capsys.readouterr().out
    assert "--num-languages" in text
    assert "which language when" in text


@pytest.fixture
def three(world, tmp_path):
    """A data directory whose second recording cannot be decoded to its end."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text("".join(f"r{i} {tmp_path}/r{i}.wav\n" for i in range(3)))
    for i in range(3):
        shutil.copy(world / f"r{i}.wav", tmp_path)
    import soundfile

    samples = np.zeros(32000, np.float32)
    samples[30000] = np.nan
    soundfile.write(tmp_path / "r1.wav", samples, 16000, "FLOAT")
    return data


def test_posteriors_keep_what_is_finished_and_go_on_from_there(
    world, three, tmp_path, capsys, monkeypatch
):
    from diarize.infer.predictor import Predictor

    computed, whole = [], Predictor.predict

    def noted(self, recording):
        computed.append(recording.name)
        return whole(self, recording)

    monkeypatch.setattr(Predictor, "predict", noted)
    words = ["--model", str(world / "exp"), "--data", str(three), "--out", str(tmp_path / "p")]
    assert posteriors.main(words) == 1
    err = capsys.readouterr().err
    assert "recording r1" in err
    assert "1 of 3 recordings failed: r1" in err
    assert not (tmp_path / "p/posteriors.scp").exists()
    assert computed == ["r0", "r1", "r2"]
    write_wav(tmp_path / "r1.wav", np.zeros(32000), 16000)
    assert posteriors.main(words) == 0
    assert computed[3:] == ["r1"]
    assert "2 of 3 recordings are finished already" in capsys.readouterr().err
    assert not list((tmp_path / "p").glob("*.finished"))
    assert posteriors.main([*words[:-1], str(tmp_path / "q")]) == 0
    for name in ("posteriors", "activities"):
        one, two = (read_scp(tmp_path / x / f"{name}.scp") for x in "pq")
        assert list(one) == list(two) == ["r0", "r1", "r2"]
        for key in one:
            np.testing.assert_array_equal(one[key], two[key])


@pytest.mark.parametrize("change", ["model", "audio", "option", "ark", "list"])
def test_what_has_changed_is_computed_again(world, three, tmp_path, capsys, change):
    words = ["--model", str(world / "exp"), "--data", str(three), "--out", str(tmp_path / "p")]
    assert posteriors.main(words) == 1
    write_wav(tmp_path / "r1.wav", np.zeros(32000), 16000)
    capsys.readouterr()
    left = 0
    if change == "model":
        (tmp_path / "m").mkdir()
        state = (world / "exp/final.pth").read_bytes()
        (tmp_path / "m/final.pth").write_bytes(state + b"\0")
        words[1] = str(tmp_path / "m")
    elif change == "audio":
        write_wav(tmp_path / "r0.wav", np.ones(32000) / 9, 16000)
        left = 1
    elif change == "option":
        (tmp_path / "infer.yaml").write_text("network: {storage: int16}\n")
        words += ["--config", str(tmp_path / "infer.yaml")]
    elif change == "ark":
        with open(tmp_path / "p/posteriors.ark", "r+b") as handle:
            handle.truncate(os.path.getsize(tmp_path / "p/posteriors.ark") - 1)
        left = 1
    else:
        path = tmp_path / "p/posteriors.finished"
        path.write_bytes(path.read_bytes()[:-3])  # killed while it was written
        left = 1
    assert posteriors.main(words) == 0
    err = capsys.readouterr().err
    assert (f"{left} of 3 recordings are finished already" in err) == (left > 0)
    assert list(read_scp(tmp_path / "p/posteriors.scp")) == ["r0", "r1", "r2"]
    for key, array in read_scp(tmp_path / "p/posteriors.scp").items():
        assert array.shape[0] == {"r0": 200, "r1": 200, "r2": 300}[key]


def test_a_recording_that_takes_long_is_named_meanwhile(capsys, monkeypatch):
    import time

    from diarize import progress
    from diarize.infer.progress import inference_progress

    monkeypatch.setattr(progress, "LOG_SECONDS", 0.05)
    with inference_progress(2, "x") as shown:
        shown.start("day", 10800.0, 1800.0)
        time.sleep(0.4)
    assert "x: day, at 0:30:00 of 3:00:00, after" in capsys.readouterr().err


def test_a_recording_unlike_the_training_data_is_said(world, command, caplog, tmp_path):
    """The training stores level, noise and bandwidth of its crops; inference compares."""
    assert infer.main([str(world / "r0.wav"), *command]) == 0
    assert "unlike" not in caplog.text
    quiet = 0.0005 * np.random.default_rng(1).standard_normal(32000)
    write_wav(tmp_path / "quiet.wav", quiet, 16000)
    assert infer.main([str(world / "r0.wav"), str(tmp_path / "quiet.wav"), *command]) == 0
    [line] = [record.getMessage() for record in caplog.records if "unlike" in record.getMessage()]
    assert "recording quiet" in line
    assert "level" in line
    assert "pauses" not in line
