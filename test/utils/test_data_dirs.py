"""The scripts around data directories: validate, fix, split, subset, copy, combine."""

import os
import subprocess
import wave
from pathlib import Path

import pytest

from diarize.kaldi.validate import validate_data_dir

TABLES = {
    "segments": "a-1 rec1 0.0 1.0\na-2 rec2 0.5 1.5\nb-1 rec1 1.0 2.0\nc-1 rec2 0.0 1.0\n",
    "utt2spk": "a-1 a\na-2 a\nb-1 b\nc-1 c\n",
    "spk2utt": "a a-1 a-2\nb b-1\nc c-1\n",
    "utt2lang": "a-1 hi\na-2 hi\nb-1 en\nc-1 ta\n",
    "text": "a-1 one\na-2 two words\nb-1 three\nc-1 नमस्ते\n",
    "reco2dur": "rec1 2.000\nrec2 2.000\n",
    "reco2num_spk": "rec1 2\nrec2 2\n",
    "rttm": "SPEAKER rec1 1 0.000 1.000 <NA> <NA> a <NA> <NA>\n"
    "SPEAKER rec2 1 0.000 1.000 <NA> <NA> c <NA> <NA>\n",
    "uem": "rec1 1 0.000 2.000\nrec2 1 0.000 2.000\n",
}


def write_wav(path: Path, seconds: float) -> None:
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", "NONE"))
        out.writeframes(b"\1\0" * int(8000 * seconds))


@pytest.fixture
def data(tmp_path) -> Path:
    """A sound data directory of two recordings, three speakers, four utterances."""
    path = tmp_path / "data"
    path.mkdir()
    for name in ("rec1", "rec2"):
        write_wav(tmp_path / f"{name}.wav", 2.0)
    (path / "wav.scp").write_text(f"rec1 {tmp_path}/rec1.wav\nrec2 {tmp_path}/rec2.wav\n")
    for name, text in TABLES.items():
        (path / name).write_text(text)
    return path


@pytest.fixture
def script(repo_root, tmp_path):
    """Run one of the scripts of utils/: the finished process."""

    def runner(name: str, *args: object, stdin: str | None = None):
        return subprocess.run(
            [str(repo_root / "utils" / name), *map(str, args)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            input=stdin,
            env={**os.environ, "DIARIZE_ROOT": str(repo_root)},
            check=False,
        )

    return runner


def faults_of(data: Path, **options: bool) -> list[str]:
    return validate_data_dir(data, feats=False, **options)


def test_a_sound_directory_has_no_fault(data):
    assert faults_of(data) == []


def test_script_says_so_and_exits_with_zero(script, data):
    done = script("validate_data_dir.sh", "--no-feats", data)
    assert (done.returncode, done.stdout) == (0, "")


def test_script_names_the_fault_and_fails(script, data):
    (data / "utt2spk").write_text("a-1 a\na-2 a x\nb-1 b\nc-1 c\n")
    done = script("validate_data_dir.sh", "--no-feats", data)
    assert done.returncode == 1
    assert f"{data}/utt2spk:2: 3 fields instead of 2: 'a-2 a x'" in done.stderr


@pytest.mark.parametrize(
    ("name", "option"),
    [("feats.scp", "feats"), ("text", "text"), ("wav.scp", "wav")],
)
def test_needed_files_and_the_options_without_them(data, name, option):
    (data / name).unlink(missing_ok=True)
    for optional in ("reco2dur", "reco2num_spk", "rttm", "uem"):
        (data / optional).unlink()
    wanted = {"feats": False, "text": False, "wav": False}
    assert validate_data_dir(data, **wanted) == []
    assert validate_data_dir(data, **{**wanted, option: True}) == [
        f"{data}/{name}: the file is missing"
    ]


FAULTS = [
    ("utt2spk", "a-1 a\nb-1 b\na-2 a\nc-1 c\n", "utt2spk:3: a-2 after b-1: not sorted"),
    ("utt2spk", "a-1 a\na-1 a\nb-1 b\nc-1 c\n", "utt2spk:2: key a-1 is already on line 1"),
    ("utt2spk", "a-1 a\na-2 a\nb-1 b\nc-1 c", "utt2spk:4: no newline at the end"),
    ("utt2spk", "a-1 a\na-2 a\n\nb-1 b\nc-1 c\n", "utt2spk:3: empty line"),
    ("utt2spk", "a-1 a\r\na-2 a\nb-1 b\nc-1 c\n", "utt2spk:1: carriage return"),
    ("utt2spk", "a-1 a\na-2 a\nb-1 x\nc-1 c\n", "utt2spk:3: speaker x is no prefix of b-1"),
    ("utt2spk", "a-1 a\na-2 a\nb-1 b\n", "segments:4: c-1 is not in utt2spk"),
    ("utt2spk", "", "utt2spk: the file is empty"),
    ("segments", TABLES["segments"].replace("1.0 2.0", "2.0 1.0"), "segments:3: b-1: 'rec1 2.0"),
    ("segments", TABLES["segments"].replace("1.0 2.0", "1.0 1.0"), "segments:3: b-1: 'rec1 1.0"),
    ("segments", TABLES["segments"].replace("1.0 2.0", "1.0 nan"), "b-1: 'rec1 1.0 nan'"),
    ("segments", TABLES["segments"].replace("1.0 2.0", "x 2.0"), "segments:3: b-1: 'rec1 x"),
    ("segments", TABLES["segments"].replace("1.0 2.0", "-1 2.0"), "segments:3: b-1: 'rec1 -1"),
    ("segments", TABLES["segments"].replace("1.0 2.0", "1.0 3.0"), "segments:3: b-1: [1.0, 3.0) s"),
    ("segments", TABLES["segments"].replace("a-2 rec2", "a-2 rec9"), "recording rec9 is not in"),
    ("segments", TABLES["segments"].replace("rec2", "rec1"), "wav.scp:2: rec2 has no line"),
    ("segments", TABLES["segments"].replace("b-1 rec1 1.0 2.0", "b-1 rec1 1.0"), "3 fields"),
    ("spk2utt", "a a-1 a-2\nb b-1 c-1\n", "spk2utt:2: b: utterance c-1 is not of this speaker"),
    ("spk2utt", "a a-1\nb b-1\nc c-1\n", "utt2spk:2: utterance a-2 of speaker a is not in spk2utt"),
    ("utt2lang", "a-1 hi\na-2 hi\nb-1 en\nz-1 ta\n", "utt2lang:4: z-1 is not in segments"),
    ("text", "a-1 one\na-2 \x07\nb-1 three\nc-1 x\n", "text:2: a-2: word '\\x07'"),
    ("text", "a-1 <s>\na-2 b\nb-1 three\nc-1 x\n", "text:1: a-1: word '<s>'"),
    ("reco2dur", "rec1 2.0\nrec2 0\n", "reco2dur:2: rec2: '0' is not a positive number"),
    ("reco2dur", "rec1 2.0\n", "wav.scp:2: rec2 is not in reco2dur"),
    ("reco2num_spk", "rec1 2\nrec2 two\n", "reco2num_spk:2: rec2: 'two'"),
    ("reco2file_and_channel", "rec1 x A\nrec2 x\n", "reco2file_and_channel:2: 2 fields"),
    ("frame_shift", "0.01 s\n", "frame_shift:1: '0.01 s'"),
    ("rttm", TABLES["rttm"].replace("rec2", "rec3"), "rttm:2: recording rec3 is not in wav.scp"),
    ("rttm", "SPEAKER rec1 1 x 1.0 <NA> <NA> a <NA> <NA>\n", "rttm:1"),
    ("uem", "rec1 1 0.0 2.0\nrec7 1 0.0 1.0\n", "uem:2: recording rec7"),
    ("wav.scp", "rec1 nowhere.wav\nrec2 cat x |\n", "wav.scp:1: rec1: no such audio file: nowhere"),
    ("wav.scp", "rec1\nrec2 cat x |\n", "wav.scp:1: no value after the key rec1"),
]


@pytest.mark.parametrize(("name", "text", "fault"), FAULTS)
def test_each_fault_is_named_with_file_line_and_value(data, name, text, fault):
    (data / name).write_text(text, newline="")
    assert any(fault in found for found in faults_of(data)), faults_of(data)


def test_not_utf8_is_a_fault(data):
    (data / "text").write_bytes(b"a-1 \xff\n")
    assert any("text:1: not UTF-8" in fault for fault in faults_of(data))


def test_all_faults_are_named_at_once(data):
    (data / "reco2dur").write_text("rec1 x\nrec2 y\n")
    (data / "utt2lang").write_text("a-1\n")
    assert len(faults_of(data)) >= 4


def test_speaker_order_and_unprintable_text_by_option(data):
    (data / "utt2spk").write_text(TABLES["utt2spk"].replace("a-1 a", "a-1 z"))
    (data / "spk2utt").write_text("a a-2\nb b-1\nc c-1\nz a-1\n")
    assert faults_of(data)
    assert faults_of(data, spk_sort=False) == []
    (data / "text").write_text("a-1 \x07\na-2 b\nb-1 c\nc-1 d\n")
    assert faults_of(data, spk_sort=False)
    assert faults_of(data, spk_sort=False, non_print=True) == []


def test_without_segments_the_recording_is_the_utterance(data):
    (data / "segments").unlink()
    faults = faults_of(data)
    assert any(fault.startswith(f"{data}/utt2spk:1: a-1 is not in wav.scp") for fault in faults)
    assert any(fault.startswith(f"{data}/wav.scp:1: rec1 is not in utt2spk") for fault in faults)


def test_audio_by_offset_and_beside_the_tables(data):
    write_wav(data / "near.wav", 1.0)
    (data / "wav.scp").write_text(f"rec1 near.wav\nrec2 {data.parent}/rec2.wav:17\n")
    assert faults_of(data) == []


def test_fix_keeps_the_intersection_sorted(script, data):
    (data / "utt2spk").write_text("c-1 c\nb-1 b\na-2 a\na-1 a\n")
    (data / "text").write_text("b-1 three\na-1 one\nq-1 x\n")
    (data / "rttm").write_text(TABLES["rttm"])
    assert script("fix_data_dir.sh", data).returncode == 0
    assert (data / "utt2spk").read_text() == "a-1 a\nb-1 b\n"
    assert (data / "spk2utt").read_text() == "a a-1\nb b-1\n"
    assert (data / "text").read_text() == "a-1 one\nb-1 three\n"
    assert (data / "wav.scp").read_text().split()[::2] == ["rec1"]
    assert (data / "reco2dur").read_text() == "rec1 2.000\n"
    assert (data / "rttm").read_text() == TABLES["rttm"].splitlines(True)[0]
    assert (data / "uem").read_text() == "rec1 1 0.000 2.000\n"
    assert (data / ".backup/text").read_text() == "b-1 three\na-1 one\nq-1 x\n"
    assert faults_of(data) == []


def test_fix_refuses_an_empty_result(script, data):
    (data / "text").write_text("q-1 x\n")
    before = {p.name: p.read_bytes() for p in data.iterdir()}
    done = script("fix_data_dir.sh", data)
    assert done.returncode == 1
    assert "no utterance in common" in done.stderr
    assert {p.name: p.read_bytes() for p in data.iterdir()} == before


def test_fix_refuses_two_values_of_one_key(script, data):
    (data / "utt2spk").write_text(TABLES["utt2spk"] + "c-1 d\n")
    done = script("fix_data_dir.sh", data)
    assert done.returncode == 1
    assert "utt2spk:5" in done.stderr
    assert (data / "utt2spk").read_text() == TABLES["utt2spk"] + "c-1 d\n"


def test_split_keeps_speakers_together(script, data):
    assert script("split_data.sh", data, 2).returncode == 0
    parts = [(data / f"split2/{i}/utt2spk").read_text() for i in (1, 2)]
    assert parts == ["a-1 a\na-2 a\n", "b-1 b\nc-1 c\n"]
    for i in (1, 2):
        assert faults_of(data / f"split2/{i}") == []


def test_split_by_utterance(script, data):
    assert script("split_data.sh", "--per-utt", data, 4).returncode == 0
    parts = [(data / f"split4utt/{i}/utt2spk").read_text() for i in range(1, 5)]
    assert parts == ["a-1 a\n", "a-2 a\n", "b-1 b\n", "c-1 c\n"]


def test_split_fails_with_too_many_parts(script, data):
    done = script("split_data.sh", data, 4)
    assert done.returncode == 1
    assert "3 speakers" in done.stderr
    assert not (data / "split4").exists()


def test_split_is_only_redone_if_the_inputs_are_newer(script, data):
    script("split_data.sh", data, 2)
    part = data / "split2/1/utt2spk"
    first = part.stat().st_mtime_ns
    script("split_data.sh", data, 2)
    assert part.stat().st_mtime_ns == first
    newer = (data / "split2/.done").stat().st_mtime_ns + 10**9
    os.utime(data / "text", ns=(newer, newer))
    script("split_data.sh", data, 2)
    assert part.stat().st_mtime_ns > first


def test_split_is_redone_if_a_part_or_an_input_is_gone(script, data):
    script("split_data.sh", data, 2)
    (data / "split2/2/utt2spk").unlink()
    script("split_data.sh", data, 2)
    assert (data / "split2/2/utt2spk").exists()
    (data / "text").unlink()
    script("split_data.sh", data, 2)
    assert not (data / "split2/1/text").exists()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--first", 2], ["a-1", "a-2"]),
        (["--last", 1], ["c-1"]),
        (["--per-spk", 1], ["a-1", "b-1", "c-1"]),
        (["--speakers", 3], ["a-1", "a-2", "b-1"]),
        ([2], ["a-1", "b-1"]),
    ],
)
def test_subset(script, data, tmp_path, args, expected):
    *flags, count = args
    done = script("subset_data_dir.sh", *flags, data, count, tmp_path / "sub")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sub/utt2spk").read_text().split()[::2] == expected
    assert faults_of(tmp_path / "sub") == []


def test_subset_by_list_and_too_many(script, data, tmp_path):
    (tmp_path / "list").write_text("b-1\nc-1\n")
    assert script("subset_data_dir.sh", "--utt-list", "list", data, "sub").returncode == 0
    assert (tmp_path / "sub/utt2spk").read_text() == "b-1 b\nc-1 c\n"
    done = script("subset_data_dir.sh", data, 9, "more")
    assert done.returncode == 1
    assert "it has 4" in done.stderr


def test_copy_renames(script, data, tmp_path):
    args = ["--utt-prefix", "x-", "--spk-prefix", "x-", data, tmp_path / "copy"]
    assert script("copy_data_dir.sh", *args).returncode == 0
    assert (tmp_path / "copy/utt2spk").read_text() == "x-a-1 x-a\nx-a-2 x-a\nx-b-1 x-b\nx-c-1 x-c\n"
    assert (tmp_path / "copy/wav.scp").read_text() == (data / "wav.scp").read_text()
    assert faults_of(tmp_path / "copy") == []


def test_combine(script, data, tmp_path):
    script("copy_data_dir.sh", "--utt-prefix", "x-", "--spk-prefix", "x-", data, "copy")
    (tmp_path / "copy/utt2lang").unlink()
    done = script("combine_data.sh", "both", data, "copy")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "both/utt2spk").read_text().splitlines()) == 8
    assert "utt2lang is left out" in done.stderr
    assert faults_of(tmp_path / "both") == []


def test_combine_refuses_two_values_of_one_key(script, data, tmp_path):
    script("copy_data_dir.sh", data, "copy")
    (tmp_path / "copy/reco2dur").write_text("rec1 1.9\nrec2 2.0\n")
    done = script("combine_data.sh", "both", data, "copy")
    assert done.returncode == 1
    assert "rec1" in done.stderr


def test_tables_are_turned_round(script, data):
    assert script("utt2spk_to_spk2utt", data / "utt2spk").stdout == TABLES["spk2utt"]
    assert script("spk2utt_to_utt2spk.pl", stdin=TABLES["spk2utt"]).stdout == TABLES["utt2spk"]


def test_reco2dur_from_headers(script, data):
    (data / "reco2dur").unlink()
    assert script("get_reco2dur.sh", data).returncode == 0
    assert (data / "reco2dur").read_text() == "rec1 2.000\nrec2 2.000\n"
    write_wav(data.parent / "rec1.wav", 1.0)
    (data / "reco2dur").write_text("rec1 9\n")
    assert script("get_reco2dur.sh", data).returncode == 0
    assert (data / "reco2dur").read_text() == "rec1 1.000\nrec2 2.000\n"


def test_reference_from_segments_and_uem_over_the_recordings(script, data):
    for name in ("rttm", "uem"):
        (data / name).unlink()
    assert script("datadir.sh", "reference", data).returncode == 0
    assert (data / "rttm").read_text().splitlines()[0] == (
        "SPEAKER rec1 1 0.000 1.000 <NA> <NA> a <NA> <NA>"
    )
    assert (data / "uem").read_text() == TABLES["uem"]
    (data / "rttm").unlink()
    assert script("datadir.sh", "reference", "--task", "language", data).returncode == 0
    assert " hi <NA> <NA>" in (data / "rttm").read_text()


def test_reference_leaves_what_is_there(script, data):
    (data / "rttm").write_text(TABLES["rttm"])
    assert script("datadir.sh", "reference", data).returncode == 0
    assert (data / "rttm").read_text() == TABLES["rttm"]


def test_show_result_lists_the_best_first(script, tmp_path):
    for tag, der in (("a", "12.30"), ("b", "7.10"), ("c", "na")):
        place = tmp_path / "exp" / tag
        place.mkdir(parents=True)
        (place / "result_lines.txt").write_text(f"RESULT task=speaker set=test der={der}\n")
    lines = script("show_result.sh").stdout.splitlines()
    assert [line.split()[0] for line in lines][-2:] == ["exp/b", "exp/a"]
    assert lines[-2] == "exp/b task=speaker set=test der=7.10"
    empty = script("show_result.sh", tmp_path / "nothing")
    assert empty.returncode == 1


def test_score_der_writes_text_and_json(script, data, tmp_path):
    hyp = TABLES["rttm"].replace("0.000 1.000 <NA> <NA> c", "0.000 0.500 <NA> <NA> c")
    (tmp_path / "hyp.rttm").write_text(hyp)
    args = ["--collars", "0", "--uem", data / "uem", data / "rttm", "hyp.rttm", "scoring"]
    done = script("score_der.sh", *args)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:3] == ["OVERALL", "2.00", "25.00"]
    assert "rec2" in (tmp_path / "scoring/result.txt").read_text()
    assert (tmp_path / "scoring/result.json").exists()
    missing = script("score_der.sh", data / "rttm", "no.rttm", "scoring")
    assert missing.returncode == 1
    assert "no.rttm" in missing.stderr
