"""Fix, copy, subset, split, combine: every table is carried along, and what disagrees is named."""

import shutil
from pathlib import Path

import pytest

from diarize.bin import datadir
from diarize.errors import DiarizeError
from diarize.io.table import read_table, write_table
from diarize.kaldi import tables
from diarize.kaldi.ops import combine_data_dirs, copy_data_dir
from diarize.kaldi.schema import SCHEMA
from diarize.kaldi.validate import validate_data_dir

BY_SPEAKER = ("cmvn.scp", "spk2gender", "spk2warp", "spk2age", "spk2utt")
BY_UTTERANCE = (*(name for name, table in SCHEMA.items() if table.keys == "utterance"), "utt2snr")
BY_RECORDING = tuple(name for name, table in SCHEMA.items() if table.keys == "recording")


def keys_of(path, names):
    return {name: set(read_table(path / name)) for name in names}


def check_consistent(path, utterances, speakers, recordings):
    assert validate_data_dir(path) == []
    assert all(keys == utterances for keys in keys_of(path, BY_UTTERANCE).values())
    assert all(keys == speakers for keys in keys_of(path, BY_SPEAKER).values())
    assert all(keys == recordings for keys in keys_of(path, BY_RECORDING).values())
    rttm = {line.split()[1] for line in (path / "rttm").read_text().splitlines()}
    assert rttm == recordings
    stm = (path / "stm").read_text().splitlines()
    assert stm[0] == ";; comment"
    assert {line.split()[0] for line in stm[1:]} == {f"file{rec[-1]}" for rec in recordings}
    assert (path / "frame_shift").read_text() == "0.01\n"


def test_fix_filters_every_table(script, data):
    """Tables of speakers and stm were left as they were, and Kaldi refused the directory."""
    for name in ("feats.scp", "vad.scp"):
        lines = (data / name).read_text().splitlines(keepends=True)
        (data / name).write_text("".join(line for line in lines if "cat" not in line.split()[0]))
    wav_scp = (data / "wav.scp").read_text().splitlines(keepends=True)
    (data / "wav.scp").write_text("".join(wav_scp[:2]))
    (data / "spk2age").write_text((data / "spk2age").read_text() + "zoe 7\n")
    done = script("fix_data_dir.sh", data)
    assert done.returncode == 0, done.stderr
    assert "kept 4 of 9" in done.stderr
    kept = {"ann-1", "ann-2", "bob-1", "bob-2"}
    check_consistent(data, kept, {"ann", "bob"}, {"rec1", "rec2"})
    assert "zoe" in (data / ".backup/spk2age").read_text()
    assert "cat" in (data / ".backup/cmvn.scp").read_text()


def test_fix_drops_speakers_that_a_table_of_speakers_lacks(script, data):
    (data / "spk2gender").write_text("ann f\ncat m\n")
    assert script("fix_data_dir.sh", data).returncode == 0
    assert set(read_table(data / "spk2utt")) == {"ann", "cat"}
    assert validate_data_dir(data) == []


def test_fix_of_the_case_with_leftover_speakers(script, tmp_path):
    """cmvn.scp, vad.scp and spk2gender with entries that segments does not have."""
    path = tmp_path / "kfix"
    path.mkdir()
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    for name, text in {
        "wav.scp": f"a {tmp_path}/a.wav\n", "segments": "a-0 a 0 2\n",
        "utt2spk": "a-0 a\nb-0 b\n", "spk2utt": "a a-0\nb b-0\n", "spk2gender": "a m\nb m\n",
        "cmvn.scp": "a x.ark:1\nb x.ark:2\n", "vad.scp": "a-0 x.ark:1\nb-0 x.ark:2\n",
    }.items():  # fmt: skip
        (path / name).write_text(text)
    assert script("fix_data_dir.sh", path).returncode == 0
    assert validate_data_dir(path, feats=False, text=False) == []
    assert (path / "spk2gender").read_text() == "a m\n"
    assert (path / "vad.scp").read_text() == "a-0 x.ark:1\n"


def test_fix_resolves_the_end_minus_one(script, data):
    (data / "segments").write_text(
        (data / "segments").read_text().replace("cat-3 rec3 1.00 2.50", "cat-3 rec3 1.00 -1"))
    assert validate_data_dir(data) == []
    assert script("fix_data_dir.sh", data).returncode == 0
    assert read_table(data / "segments")["cat-3"] == "rec3 1.00 4.000"


def test_extra_tables_by_name_as_in_kaldi(script, data):
    (data / "scores").write_text("ann-1 1\nx 1\ny 1\nz 1\n")
    assert script("fix_data_dir.sh", "--utt-extra-files", "scores", data).returncode == 0
    assert (data / "scores").read_text() == "ann-1 1\n"


def test_copy_renames_every_table(script, data, tmp_path):
    args = ["--utt-prefix", "x-", "--spk-prefix", "x-", "--validate-opts", "--non-print"]
    done = script("copy_data_dir.sh", *args, data, "copy")
    assert done.returncode == 0, done.stderr
    utts = {f"x-{utt}" for utt in read_table(data / "utt2spk")}
    check_consistent(tmp_path / "copy", utts, {"x-ann", "x-bob", "x-cat"}, {"rec1", "rec2", "rec3"})


def test_copy_with_suffixes_is_sorted(script, data, tmp_path):
    (data / "spk2utt").unlink()
    done = script("copy_data_dir.sh", "--utt-suffix", "-y", "--spk-suffix", "-y", data, "copy")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "copy/utt2snr").read_text().splitlines()
    assert lines == sorted(lines)
    assert lines[0].startswith("ann-1-y ")


def test_copies_of_one_recording_by_two_microphones_can_be_combined(data, tmp_path):
    """With segments, the recordings kept their names, and the two copies clashed."""
    for name in ("far", "near"):
        copy_data_dir(data, tmp_path / name, *[f"{name}-{{}}".format] * 3)
    assert combine_data_dirs(tmp_path / "both", [tmp_path / "far", tmp_path / "near"]) == []
    assert validate_data_dir(tmp_path / "both") == []
    assert len(read_table(tmp_path / "both/wav.scp")) == 6
    assert read_table(tmp_path / "both/segments")["near-cat-3"] == "near-rec3 1.00 2.50"
    lines = (tmp_path / "both/rttm").read_text().splitlines()
    assert {line.split()[1] for line in lines} == set(read_table(tmp_path / "both/wav.scp"))


def test_copy_says_which_extra_file_is_missing(script, data):
    done = script("copy_data_dir.sh", "--extra-files", "nothing", data, "copy")
    assert done.returncode == 1
    assert f"{data}/nothing" in done.stderr


@pytest.mark.parametrize(
    ("args", "speakers"),
    [
        (["--per-spk", 2], {"ann", "bob", "cat"}),
        (["--first", 4], {"ann", "bob"}),
        (["--last", 3], {"cat"}),
        (["--shortest", 3], {"ann"}),
        (["--speakers", 5], {"ann", "bob"}),
    ],
)
def test_subset_takes_all_tables_along(script, data, tmp_path, args, speakers):
    done = script("subset_data_dir.sh", args[0], data, args[1], "sub")
    assert done.returncode == 0, done.stderr
    sub = tmp_path / "sub"
    recordings = {value.split()[0] for value in read_table(sub / "segments").values()}
    check_consistent(sub, set(read_table(sub / "utt2spk")), speakers, recordings)


@pytest.mark.parametrize(
    ("option", "ids"), [("--utt-list", "bob-2"), ("--spk-list", "bob"), ("--reco-list", "rec2")]
)
def test_subset_by_lists(script, data, tmp_path, option, ids):
    (tmp_path / "list").write_text(f"{ids}\nnobody\n")
    done = script("subset_data_dir.sh", option, "list", data, "sub")
    assert done.returncode == 0
    assert "nobody" in done.stderr
    assert validate_data_dir(tmp_path / "sub") == []
    assert "bob-2" in read_table(tmp_path / "sub/utt2spk")


@pytest.mark.parametrize(("option", "number"), [((), 3), (("--per-utt",), 9)])
def test_split_takes_all_tables_along(script, data, option, number):
    done = script("split_data.sh", *option, data, number)
    assert done.returncode == 0, done.stderr
    found = set()
    for part in (data / f"split{number}{'utt' if option else ''}").glob("[0-9]*"):
        utterances = set(read_table(part / "utt2spk"))
        recordings = {value.split()[0] for value in read_table(part / "segments").values()}
        check_consistent(part, utterances, set(read_table(part / "spk2utt")), recordings)
        found |= utterances
    assert found == set(read_table(data / "utt2spk"))


def test_combine_takes_all_tables_along(script, data, more, tmp_path):
    (more / "utt2uniq").unlink()
    done = script("combine_data.sh", "--extra-files", "utt2snr spk2age", "--skip-fix", "true",
                  "both", data, "more")  # fmt: skip
    assert done.returncode == 0, done.stderr
    both = tmp_path / "both"
    assert validate_data_dir(both) == []
    assert len(read_table(both / "utt2snr", check_sorted=True)) == 18
    assert read_table(both / "utt2uniq")["zann-1"] == "zann-1"
    assert len(read_table(both / "cmvn.scp")) == 6
    missing = script("combine_data.sh", "--extra-files", "utt2nothing", "both", data, "more")
    assert missing.returncode == 1
    assert "utt2nothing" in missing.stderr


def test_combine_refuses_features_of_different_frame_shifts(script, data, more):
    (more / "frame_shift").write_text("0.02\n")
    done = script("combine_data.sh", "both", data, "more")
    assert done.returncode == 1
    assert "more/frame_shift" in done.stderr


OPERATIONS = {
    "split": "split {} 2",
    "subset": "subset --first {} 9 out",
    "subset --shortest": "subset --shortest {} 2 out",
    "subset --per-spk": "subset --per-spk {} 2 out",
    "subset --spk-list": "subset --spk-list list {} out",
    "copy": "copy --utt-prefix x- --spk-prefix x- {} out",
    "combine": "combine out {} more",
    "prepare": "prepare --reference {}",
    "validate": "validate {}",
}
# A line of something that no other file has; utterances, recordings and speakers by default.
STRANGERS = {
    "rttm": "SPEAKER zzz 1 0 1 <NA> <NA> ann <NA> <NA>\n",
    "uem": "zzz 1 0.000 4.000\n", "segments": "zzz rec1 0.00 1.00\n",
    "utt2spk": "zzz zed\n", "spk2utt": "zed zzz\n", "frame_shift": "zzz\n",
}  # fmt: skip
# Made again by stage 2.
MENDED = {(name, "prepare") for name in ("reco2dur", "spk2utt")}


FAULTS = [(name, fault) for name in (*SCHEMA, "frame_shift", "uem")
          for fault in ("lacks a line", "has a stranger", "empty")]  # fmt: skip


# An RTTM without a turn of a recording is valid.
@pytest.mark.parametrize(("name", "fault"), [*FAULTS, ("rttm", "has a stranger")])
def test_tables_that_disagree_are_named_by_every_operation(
    data, more, tmp_path, capsys, monkeypatch, name, fault
):
    """A KeyError for a lacking line, a directory without segments for an empty file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list").write_text("ann\n")
    lines = (data / name).read_text().splitlines(keepends=True)
    extra = STRANGERS.get(name, " ".join(["zzz", *lines[-1].split()[1:]]) + "\n")
    text = {"lacks a line": lines[1:], "has a stranger": [*lines, extra], "empty": []}[fault]
    for operation, command in OPERATIONS.items():
        if (name, operation) in MENDED:
            continue
        shutil.rmtree("bad", ignore_errors=True)
        shutil.copytree(data, "bad")
        Path("bad", name).write_text("".join(text))
        assert datadir.main(command.format("bad").split()) == 1, operation
        said = capsys.readouterr().err
        assert "bad/" in said, operation
        assert name in said, operation
        assert not Path("out").exists()
        assert not list(Path("bad").glob("split*"))


@pytest.mark.parametrize("name", list(SCHEMA))
def test_fix_removes_what_one_table_lacks_and_names_an_empty_one(data, capsys, name):
    whole = (data / name).read_text()
    (data / name).write_text("")
    status = datadir.main(["fix", str(data)])
    if name == "spk2utt":  # made of utt2spk
        assert status == 0
    else:
        assert status == 1
        assert f"empty: {name}" in capsys.readouterr().err
    (data / name).write_text(whole.split("\n", 1)[1])
    assert datadir.main(["fix", str(data)]) == 0
    assert validate_data_dir(data) == []


def test_a_new_directory_is_complete_or_absent(data, tmp_path, monkeypatch):
    """An interruption left a part of the tables, which is a valid directory."""

    def full(path, table):
        if Path(path).name == "utt2spk":
            raise DiarizeError("disk full")
        write_table(path, table)

    monkeypatch.setattr(tables, "write_table", full)
    for words in (["copy", str(data), "copy"], ["subset", "--first", str(data), "2", "subset"]):
        assert datadir.main([*words[:-1], str(tmp_path / words[-1])]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("option", ["--per-spk", "--speakers"])
def test_speakers_of_a_directory_without_utt2spk_are_not_chosen(tmp_path, capsys, option):
    """An empty directory was written."""
    (tmp_path / "wav.scp").write_text("r /x.wav\n")
    assert datadir.main(["subset", option, str(tmp_path), "1", str(tmp_path / "out")]) == 1
    assert f"{tmp_path}: there is no utt2spk" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# With Kaldi's own scripts


OURS = {
    "fix": (("fix_data_dir.sh", "{}"), "data"),
    "copy": (("copy_data_dir.sh", "--utt-prefix", "x-", "--spk-prefix", "x-", "{}", "out"), "out"),
    "subset": (("subset_data_dir.sh", "--per-spk", "{}", "2", "out"), "out"),
    "split": (("split_data.sh", "{}", "3"), "data/split3/2"),
    "split by utterance": (("split_data.sh", "--per-utt", "{}", "4"), "data/split4utt/3"),
    "combine": (("combine_data.sh", "out", "{}", "more"), "out"),
}


@pytest.mark.parametrize(("command", "made"), OURS.values(), ids=OURS)
def test_kaldi_validates_what_ours_write(script, kaldi, data, more, tmp_path, command, made):
    if command[0] == "fix_data_dir.sh":
        for name in ("feats.scp", "spk2gender", "reco2dur"):
            lines = (data / name).read_text().splitlines(keepends=True)
            (data / name).write_text("".join(reversed(lines[1:])))
    done = script(*(word.format(data) for word in command))
    assert done.returncode == 0, done.stderr
    checked = script("validate_data_dir.sh", tmp_path / made, kaldi=kaldi)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "Successfully validated" in checked.stdout


@pytest.mark.parametrize(("command", "made"), OURS.values(), ids=OURS)
def test_ours_validate_what_kaldi_writes(script, kaldi, data, more, tmp_path, command, made):
    done = script(*(word.format(data) for word in command), kaldi=kaldi)
    assert done.returncode == 0, done.stdout + done.stderr
    left = [fault for fault in validate_data_dir(tmp_path / made)
            # Kaldi does not know these files.
            if not any(name in fault for name in ("reco2num_spk", "rttm", "uem"))]  # fmt: skip
    assert left == []
    assert script("fix_data_dir.sh", tmp_path / made).returncode == 0
    assert validate_data_dir(tmp_path / made) == []


def test_files_without_ids_of_the_directory_are_named_when_left_out(script, data, tmp_path):
    """They were left out without a word."""
    (data / "zoo").write_text("other 1\n")
    for words in (("copy_data_dir.sh", data, tmp_path / "copy"),
                  ("subset_data_dir.sh", "--first", data, "1", tmp_path / "subset"),
                  ("combine_data.sh", tmp_path / "both", data)):  # fmt: skip
        done = script(*words)
        assert done.returncode == 0
        assert "left out: zoo:" in done.stderr
