"""The paper's corpora, from archives as they are unpacked to data directories."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from diarize.bin.prepare import main
from diarize.io.table import read_table
from diarize.kaldi.datadir import DataDir
from diarize.kaldi.validate import validate_data_dir
from diarize.prepare.splits import read_split
from diarize.segments import Segment

# Corpus -> options of diarize-prepare, after those that all have; {VARIABLE} is of db.sh.
COMMANDS = {
    "ami": "--root {AMI} --setup {AMI_SETUP}",
    "alimeeting": "--root {ALIMEETING}",
    "aishell4": "--root {AISHELL4}",
    "ramc": "--root {RAMC}",
    "voxconverse": "--root {VOXCONVERSE} --references {VOXCONVERSE_REFERENCES}",
    "dihard3": "--dev {DIHARD3_DEV} --eval {DIHARD3_EVAL}",
    "callhome": "--root {CALLHOME} --key {CALLHOME_KEY} --parts {CONF}/parts.txt",
}
CORPORA = tuple(COMMANDS)
# Not as published in the layouts, which have a few recordings only.
PART = ("--allow-counts", "recordings,speakers,speakers-per-recording,hours,reference-seconds")
FIRST_FAULT = {
    "ami": "train: recordings: got 3, expected 136, reference seconds: ",
    "alimeeting": "train: recordings: got 2, expected 209, hours: ",
    "aishell4": "train: recordings: got 7, expected 191, hours: ",
    "ramc": "train: recordings: got 2, expected 289, hours: ",
    "voxconverse": "dev: recordings: got 5, expected 216, ",
    "dihard3": "dev: recordings: got 5, expected 254; eval: recordings: got 2, expected 259, ",
}


def prepare(corpus: str, variables: dict[str, str], out: Path, *options: str) -> int:
    """Run the command in this process; return its exit status."""
    root = Path(__file__).resolve().parents[2]
    conf = root / f"egs/{corpus}/diar1/conf"
    words = COMMANDS[corpus].format(**variables, CONF=conf).split()
    return main([corpus, "--out", str(out), *words, *options])


def allowed(corpus: str) -> tuple[str, ...]:
    """Options of a layout with a few recordings: all of its figures differ."""
    return () if corpus == "callhome" else PART


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*")) if path.is_file()
    }


def reference(data: Path) -> dict[str, list[tuple[float, float, str]]]:
    found = DataDir.load(data, need_reference=True).reference()
    return {name: [(s.start, pytest.approx(s.end), s.label) for s in segments]
            for name, segments in found.items()}


def run_recipe(
    repo_root: Path, corpus: str, variables: dict[str, str], data: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [repo_root / f"egs/{corpus}/diar1/run.sh", "--stop-stage", "2", "--datadir", data,
         "--local-data-opts", " ".join(["--data", str(data), *allowed(corpus)]), *options],
        env={**os.environ, "PATH": path, **variables}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("corpus", CORPORA)
def test_stages_1_and_2_make_valid_data_directories(corpus, laid_out, repo_root, tmp_path):
    _, variables = laid_out(corpus)
    data = tmp_path / "data"
    # AMI: one of the two choices; AliMeeting: both are prepared, the first is tested on.
    chosen = ("--mic", "sdm") if corpus == "ami" else ()
    done = run_recipe(repo_root, corpus, variables, data, *chosen)
    assert done.returncode == 0, done.stderr
    suffix = {"ami": "_sdm", "alimeeting": "_far"}.get(corpus, "")
    other = {"ami": "_mix", "alimeeting": "_near"}.get(corpus, "")
    assert (data / f"test{other}").exists() == (corpus != "ami")
    for name in ("train", "dev", "test"):
        found = data / f"{name}{suffix}"
        assert validate_data_dir(found, feats=False, text=False) == []
        loaded = DataDir.load(found, need_reference=True)
        assert set(loaded.evaluated()) == set(loaded.recordings) == set(loaded.reco2dur)
        assert f"{found}: {len(loaded.recordings)} recordings" in done.stderr
        report = json.loads((found / "prepare.json").read_text())
        assert report["options"]
        assert bool(report["differs_from_published"]) == (corpus != "callhome")
    assert ("WARNING: " in done.stderr) == (corpus != "callhome")


@pytest.mark.parametrize("corpus", CORPORA)
def test_twice_is_once(corpus, laid_out, tmp_path, capsys):
    _, variables = laid_out(corpus)
    assert prepare(corpus, variables, tmp_path / "data", *allowed(corpus)) == 0
    before = contents(tmp_path)
    said = capsys.readouterr().err
    assert prepare(corpus, variables, tmp_path / "data", *allowed(corpus)) == 0
    after = contents(tmp_path)
    assert {k: v[0] for k, v in after.items()} == {k: v[0] for k, v in before.items()}
    tables = [name for name in before if "/" in name.removeprefix("data/")]
    assert [after[name][1] for name in tables] == [before[name][1] for name in tables]
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("corpus", FIRST_FAULT)
def test_a_wrong_count_is_named_and_nothing_is_written(corpus, laid_out, tmp_path, capsys):
    _, variables = laid_out(corpus)
    assert prepare(corpus, variables, tmp_path / "data") == 1
    said = capsys.readouterr().err
    assert re.search(f"diarize-prepare {corpus}: error: .*{re.escape(FIRST_FAULT[corpus])}", said)
    assert re.search("--allow-counts recordings.*reference-seconds$", said.strip())
    assert not list(tmp_path.glob("data/*/wav.scp"))


def test_the_table_of_speakers_of_callhome_is_asserted(laid_out, tmp_path, capsys):
    root, variables = laid_out("callhome", tmp_path / "corpus")
    key = root / "sre2000-key/fullref.rttm"
    lines = key.read_text().splitlines(keepends=True)
    key.write_text("".join(line for line in lines if " iaaa 0" not in line or " B " not in line))
    assert prepare("callhome", variables, tmp_path / "data") == 1
    said = capsys.readouterr().err
    assert "got 1:1 2:154 3:61 4:23 5:5 6:3 7:2, expected 2:155 3:61 4:23 5:5 6:3 7:2" in said


@pytest.mark.parametrize("corpus", CORPORA)
def test_a_missing_file_is_named(corpus, laid_out, tmp_path, capsys):
    root, variables = laid_out(corpus, tmp_path / "corpus")
    gone = importlib.import_module(f"layouts.{corpus}").a_file(root)
    gone.unlink()
    assert prepare(corpus, variables, tmp_path / "data") == 1
    said = capsys.readouterr().err
    assert gone.name in said
    assert "missing" in said
    assert not list(tmp_path.glob("data/*/wav.scp"))


@pytest.mark.parametrize("corpus", CORPORA)
def test_a_duplicate_recording_is_an_error(corpus, laid_out, tmp_path, capsys):
    root, variables = laid_out(corpus, tmp_path / "corpus")
    name = importlib.import_module(f"layouts.{corpus}").duplicate(root)
    assert prepare(corpus, variables, tmp_path / "data", *allowed(corpus)) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert name in said
    assert re.search("twice|two different|names recording", said)


def test_two_files_of_one_name_matter_only_among_the_500_calls(laid_out, tmp_path):
    root, variables = laid_out("callhome", tmp_path / "corpus")
    for folder in ("a", "b"):  # other calls of the discs, as of other evaluations
        place = root / f"LDC2001S97/{folder}/en_4077.sph"
        place.parent.mkdir()
        place.write_text("not read")
    assert prepare("callhome", variables, tmp_path / "data") == 0


@pytest.mark.parametrize("corpus", CORPORA)
def test_an_unset_root_names_its_variable(corpus, laid_out, tmp_path, capsys):
    _, variables = laid_out(corpus)
    name = next(iter(variables))
    assert prepare(corpus, variables | {name: str(tmp_path / "none")}, tmp_path / "data") == 1
    assert f"correct {name} in db.sh" in capsys.readouterr().err


# ---- what each corpus is to come out as


def test_ami_by_microphone(laid_out, tmp_path, capsys):
    _, variables = laid_out("ami")
    out = tmp_path / "data"
    assert prepare("ami", variables, out, "--mic", "sdm", *PART) == 0
    said = capsys.readouterr().err
    assert "IS1003b is left out: the corpus has no Array1-01 of this meeting" in said
    wavs = read_table(out / "train_sdm/wav.scp")
    assert list(wavs) == ["ES2002a"]
    assert wavs["ES2002a"].endswith("/ES2002a/audio/ES2002a.Array1-01.wav")
    # Half a second shorter than the headsets': the last turn and the regions are cut.
    assert reference(out / "test_sdm")["ES2004a"][-1] == (2.0, 2.5, "FEE001")
    assert (out / "test_sdm/uem").read_text() == "ES2004a 1 0.000 2.500\n"
    assert "ES2004a: 1 turns cut and 0 dropped that reach beyond the audio (0.250 s)" in said
    report = json.loads((out / "train_sdm/prepare.json").read_text())
    assert report["options"] == {"mic": "sdm", "reference": "only_words", "uem": "setup"}
    assert report["counts"]["recordings"] == 1
    assert sorted(report["left_out"]) == ["IS1003b", "IS1007d"]


def test_alimeeting_far_from_every_form_of_textgrid(laid_out, tmp_path, capsys):
    root, variables = laid_out("alimeeting")
    out = tmp_path / "data"
    assert prepare("alimeeting", variables, out, *PART) == 0
    said = capsys.readouterr().err
    assert reference(out / "dev_far") == {
        "R8001_M8004_MS801": [(0.2, 1.5, "SPK8013"), (1.2, 2.8, "SPK8014")]}
    assert reference(out / "test_far") == {
        "R8002_M8002_MS802": [(0.2, 1.5, "SPK8005"), (1.2, 2.8, "SPK8006")]}
    assert reference(out / "train_far") == {
        "R0003_M0046_MS002": [(0.2, 1.5, "SPK0093"), (1.2, 2.8, "SPK0094")],
        "R1021_M1947_MS116": [(0.2, 1.5, "SPK1021"), (1.2, 3.0, "SPK1022")]}
    assert "R1021_M1947_MS116: 1 turns cut and 0 dropped" in said
    grid = root / "Eval_Ali/Eval_Ali_far/textgrid_dir/R8001_M8004.TextGrid"
    lines = grid.read_text().splitlines()
    for item, message in ((3, "SPK8015 does not speak: only (sil)"),
                          (4, "SPK8016 does not speak: an empty tier")):
        assert f"{grid}:{lines.index(f'    item [{item}]:') + 2}: {message}" in said
    # (sil) marks noise: 0.2 s of the first speaker, 2 s of the third, in either session.
    counts = json.loads((out / "test_far/prepare.json").read_text())["counts"]
    assert counts["reference_seconds"] == pytest.approx(2.9)
    assert counts["reference_seconds_by_other_readings"] == {
        "with (sil) as speech": pytest.approx(5.1)}


def test_alimeeting_channel_and_sum_of_headsets(laid_out, tmp_path):
    root, variables = laid_out("alimeeting")
    options = (*PART, "--condition")
    far = (*options, "far", "--channels", "5")
    assert prepare("alimeeting", variables, tmp_path / "far", *far) == 0
    assert prepare("alimeeting", variables, tmp_path / "near", *options, "near") == 0
    far, rate = soundfile.read(
        read_table(tmp_path / "far/dev_far/wav.scp")["R8001_M8004_MS801"], dtype="int16")
    whole, _ = soundfile.read(
        root / "Eval_Ali/Eval_Ali_far/audio_dir/R8001_M8004_MS801.wav", dtype="int16")
    assert (rate, whole.shape[1]) == (16000, 8)
    np.testing.assert_array_equal(far, whole[:, 5])
    near, _ = soundfile.read(read_table(tmp_path / "near/dev_near/wav.scp")["R8001_M8004"])
    folder = root / "Eval_Ali/Eval_Ali_near/audio_dir"
    heads = [soundfile.read(path)[0] for path in sorted(folder.glob("*.wav"))]
    assert len(heads) == 4
    total = sum(np.pad(head, (0, len(heads[0]) - len(head))) for head in heads)
    factor = min(1.0, 32767 / 32768 / np.abs(total).max())
    np.testing.assert_allclose(near, total * factor, atol=1 / 32768)
    assert reference(tmp_path / "near/dev_near")["R8001_M8004"] == [
        (0.2, 1.5, "SPK8013"), (1.2, 2.8, "SPK8014")]
    options_of = json.loads((tmp_path / "near/dev_near/prepare.json").read_text())["options"]
    assert options_of == {"channels": "sum", "condition": "near"}


def test_alimeeting_near_training_files_carry_the_sex(laid_out, tmp_path):
    """R0003_M0046_F_SPK0093.wav was refused: only ``_N_`` was known."""
    _, variables = laid_out("alimeeting")
    assert prepare("alimeeting", variables, tmp_path, *PART, "--condition", "near") == 0
    assert reference(tmp_path / "train_near") == {
        "R0003_M0046": [(0.2, 1.5, "SPK0093"), (1.2, 2.8, "SPK0094")],
        "R1021_M1947": [(0.2, 1.5, "SPK1021"), (1.2, 3.0, "SPK1022")]}


def test_textgrids_without_speech_or_cut_off_are_errors(laid_out, tmp_path, capsys):
    from layouts import alimeeting

    root, variables = laid_out("alimeeting", tmp_path / "corpus")
    silent = alimeeting.empty_tiers(root)
    assert prepare("alimeeting", variables, tmp_path / "data", *PART) == 1
    assert f"{silent}: no speech" in capsys.readouterr().err
    damaged = alimeeting.damage(root)
    assert prepare("alimeeting", variables, tmp_path / "data", *PART) == 1
    assert re.search(f"{damaged}:[0-9]+: .*cut off", capsys.readouterr().err)


def test_aishell4_splits_what_it_has(laid_out, tmp_path):
    _, variables = laid_out("aishell4")
    out = tmp_path / "data"
    assert prepare("aishell4", variables, out, *PART) == 0
    names = [set(read_table(out / name / "wav.scp")) for name in ("train", "dev", "test")]
    assert [len(each) for each in names] == [6, 1, 2]
    assert {k for k, v in read_split(out / "split.txt").items() if v == "dev"} == names[1]
    assert reference(out / "test")["L_R003S01C02"] == [(0.1, 1.2, "001-M"), (1.0, 2.9, "002-F")]


def test_ramc_without_nobody(laid_out, tmp_path):
    _, variables = laid_out("ramc")
    assert prepare("ramc", variables, tmp_path / "data", *PART) == 0
    assert reference(tmp_path / "data/dev") == {
        "CTS-CN-F2F-2019-11-15-1423": [(0.35, 1.5, "G00000571"), (1.25, 2.75, "G00000577")]}


@pytest.mark.parametrize(
    "line", ["[0.5,1.5] G00000571\n", "0.5,1.5\tG1\tx\n", "[2,1]\tG1\tx\tx\n", "[a,1]\tG1\tx\tx\n"])
def test_a_bad_line_of_ramc_is_named(laid_out, tmp_path, capsys, line):
    root, variables = laid_out("ramc", tmp_path / "corpus")
    place = root / "MDT2021S003/TXT/CTS-CN-F2F-2019-11-15-3.txt"
    place.write_text("[0.0,1.0]\tG1\tm,x\ty\n\n" + line)
    assert prepare("ramc", variables, tmp_path / "data", *PART) == 1
    assert f"{place}:3: " in capsys.readouterr().err


def test_voxconverse_by_the_committed_split(laid_out, repo_root, tmp_path, capsys):
    _, variables = laid_out("voxconverse")
    listed = repo_root / "egs/voxconverse/diar1/conf/split.txt"
    split = read_split(listed)
    assert sorted(split.values()) == ["dev"] * 43 + ["train"] * 173
    out = tmp_path / "data"
    options = (*PART, "--split-list", str(listed))
    assert prepare("voxconverse", variables, out, *options) == 0
    for name in ("train", "dev"):
        assert {split[key] for key in read_table(out / name / "wav.scp")} == {name}
    assert "aggyz: 1 turns cut and 0 dropped that reach beyond the audio (2.000 s)" in (
        capsys.readouterr().err)
    assert prepare("voxconverse", variables, out, *options, "--split-seed", "7") == 0
    assert "sha256('7:' + id)" in (out / "split.txt").read_text()


def test_voxconverse_has_the_published_counts(shared_data, tmp_path, capsys):
    """The published references whole, beside silent audio of their lengths."""
    ends: dict[str, float] = {}
    for split, folder in (("dev", "audio"), ("test", "voxconverse_test_wav")):
        turns: dict[str, list[str]] = {}
        for line in (shared_data / f"voxconverse_scoring/ref.{split}.rttm").open():
            _, name, _, start, length, *_ = line.split()
            turns.setdefault(name, []).append(line)
            ends[name] = max(ends.get(name, 0), float(start) + float(length))
        (tmp_path / "references" / split).mkdir(parents=True)
        (tmp_path / "wav" / folder).mkdir(parents=True)
        for name, lines in turns.items():
            (tmp_path / f"references/{split}/{name}.rttm").write_text("".join(lines))
            soundfile.write(tmp_path / f"wav/{folder}/{name}.wav",
                            np.zeros(int(ends[name] * 100) + 1), 100, subtype="PCM_U8")
    variables = {"VOXCONVERSE": str(tmp_path / "wav"),
                 "VOXCONVERSE_REFERENCES": str(tmp_path / "references")}
    assert prepare("voxconverse", variables, tmp_path / "data") == 0
    assert "WARNING" not in capsys.readouterr().err
    reports = [json.loads((tmp_path / f"data/{name}/prepare.json").read_text())["counts"]
               for name in ("train", "dev", "test")]
    assert [report["recordings"] for report in reports] == [173, 43, 232]
    assert reports[0]["reference_seconds"] + reports[1]["reference_seconds"] == (
        pytest.approx(70733.3, abs=0.05))
    assert reports[2]["reference_seconds"] == pytest.approx(144793, abs=0.5)


def test_dihard3_is_scored_in_its_regions(laid_out, tmp_path):
    _, variables = laid_out("dihard3")
    assert prepare("dihard3", variables, tmp_path / "data", *PART) == 0
    assert (tmp_path / "data/test/uem").read_text() == (
        "DH_EVAL_0001 1 0.000 3.000\nDH_EVAL_0002 1 0.500 3.000\n")
    assert prepare("dihard3", variables, tmp_path / "core", "--partition", "core") == 0
    numbers = [len(read_table(tmp_path / f"core/{name}/wav.scp")) for name in ("train", "dev")]
    assert numbers == [1, 1]


def test_callhome_by_kaldis_parts(laid_out, tmp_path, capsys):
    _, variables = laid_out("callhome")
    out = tmp_path / "data"
    assert prepare("callhome", variables, out) == 0
    assert "iaeu is left out: fullref.rttm has no line" in capsys.readouterr().err
    numbers = [len(read_table(out / name / "wav.scp")) for name in ("train", "dev", "test")]
    assert numbers == [199, 50, 250]
    loaded = DataDir.load(out / "test", need_reference=True)
    assert loaded.source("iaab").info().sample_rate == 8000
    assert loaded.reference()["iaab"] == [
        Segment("iaab", 0.0, 0.1, "A"), Segment("iaab", 0.02, pytest.approx(0.12), "B")]


def test_compressed_sphere_goes_through_sph2pipe(tmp_path):
    from diarize.prepare.callhome import rxfilename

    path = tmp_path / "it's.sph"
    path.write_bytes(b"NIST_1A\n   1024\nsample_coding -s26 ulaw,embedded-shorten-v2.00\n")
    assert rxfilename(path, "auto") == f"sph2pipe -f wav -p '{tmp_path}/it'\"'\"'s.sph' |"
    assert rxfilename(path, "never") == str(path)
