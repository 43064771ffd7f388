"""Names that look alike are one name, in every format that is read."""

import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import soundfile

from diarize.io import names
from diarize.io.ctm import read_ctm
from diarize.io.formats import read_annotation
from diarize.io.names import normal_name, normal_names
from diarize.io.rttm import read_rttm
from diarize.io.table import line_of, read_table
from diarize.io.uem import read_uem
from diarize.kaldi.datadir import DataDir
from diarize.kaldi.validate import validate_data_dir

NFC, NFD = "Zo\u00eb", "Zoe\u0308"
NBSP, ZERO_WIDTH = "An\u00a0Li", "An\u200b_Li"


@pytest.fixture(autouse=True)
def unwarned(monkeypatch):
    monkeypatch.setattr(names, "_warned", set())


def test_normal_form():
    assert [normal_name(x) for x in (NFC, NFD, f"\ufeff{NFD}\u200b")] == [NFC] * 3
    assert {normal_name(x) for x in (NBSP, ZERO_WIDTH, "An_Li", "An Li", "An\u3000Li\u202f")} == {
        "An_Li"
    }
    assert normal_name("\u200b") == "\u200b"
    for name in ("नमस्ते", "李", "\u0627\u0644"):
        assert normal_name(name) == unicodedata.normalize("NFC", name)


def test_a_file_is_warned_of_once_with_the_number_and_an_example(capsys):
    same = ["ann", NFC, "An Li"]
    assert normal_names(same, "x.rttm") == ["ann", NFC, "An_Li"]
    assert capsys.readouterr().err == ""
    for _ in range(2):
        assert normal_names([NBSP, NFD, "ann"], "x.rttm") == ["An_Li", NFC, "ann"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("WARNING: x.rttm: 2 names")
    assert r"'An\xa0Li' as An_Li" in lines[0]


def rttm(*labels, recording="r"):
    return "".join(f"SPEAKER {recording} 1 {i} 1 <NA> <NA> {label} <NA> <NA>\n"
                   for i, label in enumerate(labels))  # fmt: skip


TIER = 'class = "IntervalTier"\nname = "{}"\nxmin = 0\nxmax = 9\nintervals: size = 1\n' \
       'xmin = {}\nxmax = 9\ntext = "x"\n'  # fmt: skip
GRID = ('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 9\n'
        "tiers? <exists>\nsize = {}\nitem []:\n{}")  # fmt: skip
FILES = {
    "a.rttm": rttm(NFC, NFD, f"{NFC}\u200b"),
    "note.rttm": ";; a comment\n" + rttm(NFC, NFD),
    "a.TextGrid": GRID.format(2, TIER.format(NFC, 0) + TIER.format(NFD, 3)),
    "a.txt": f"0\t1\t{NFC}\n1\t2\t{NFD}\n",
    "a.jsonl": f'{{"start": 0, "end": 1, "label": "{NFC}"}}\n'
               f'{{"start": 1, "end": 2, "label": "{NFD}"}}\n',
    "a.csv": f"start,end,label\n0,1,{NFC}\n1,2,{NFD}\n",
    "a.stm": f"r 1 {NFC} 0 1 x\nr 1 {NFD} 1 2 x\n",
    "a.ctm": f"r {NFC} 0 1 x\nr {NFD} 1 1 x\n",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_labels_that_look_alike_are_one(tmp_path, capsys, name):
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    assert {segment.label for segment in read_annotation(str(path))} == {NFC}
    assert capsys.readouterr().err.count(f"WARNING: {path}: ") == 1


def test_recordings_are_alike_in_all_formats(tmp_path):
    for name, text in {
        "a.rttm": rttm("x", recording=NFD), "uem": f"{NFD} 1 0 9\n",
        "ctm": f"{NFD} 1 0 1 a\n{NFC} 1 1 1 b\n", "reco2dur": f"{NFD} 9\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_rttm(tmp_path / "a.rttm")[0].recording == NFC
    assert list(read_uem(tmp_path / "uem")) == [NFC]
    assert [word.text for word in read_ctm(tmp_path / "ctm")[NFC]] == ["a", "b"]
    assert read_table(tmp_path / "reco2dur") == {NFC: "9"}
    assert line_of(tmp_path / "reco2dur", NFC).endswith("reco2dur:1")


def test_tables_of_a_data_directory(tmp_path, repo_root):
    """Times, paths and transcripts stay; the order of Kaldi's tables is that of their bytes."""
    soundfile.write(tmp_path / "a.wav", np.zeros(80000), 8000)
    (tmp_path / f"{NFD}.wav").symlink_to("a.wav")
    speech = f"o\u200bne {NFD}"
    for name, text in {
        "wav.scp": f"{NFD} {tmp_path}/{NFD}.wav\nZoz {tmp_path}/a.wav\n",
        "segments": f"a-1 {NFD} 0.00 1.00\na-2 {NFC} 1.00 2.00\nb-1 Zoz 0 1\n",
        "utt2spk": "a-1 An\u00a0Li\na-2 An\u200b_Li\nb-1 bo\n",
        "text": f"a-1 {speech}\na-2 two\nb-1 three\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text, encoding="utf-8")
    data = DataDir.load(tmp_path)
    assert set(data.utt2spk.values()) == {"An_Li", "bo"}
    assert data.wav_scp[NFC] == f"{tmp_path}/{NFD}.wav"
    assert [u.recording for u in data.utterances] == [NFC, NFC, "Zoz"]
    assert data.text["a-1"] == speech
    assert data.reference()[NFC][0].label == "An_Li"
    loose = {"feats": False, "spk_sort": False, "non_print": True}
    assert validate_data_dir(tmp_path, **loose) == [f"{tmp_path}/spk2utt: the file is missing"]
    done = subprocess.run(
        [sys.executable, "-m", "diarize.bin.datadir", "copy", tmp_path, tmp_path / "out"],
        capture_output=True, text=True, cwd=repo_root, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("/utt2spk: 2 names") == 1
    assert (tmp_path / "out/spk2utt").read_text().startswith("An_Li a-1 a-2\n")
    assert validate_data_dir(tmp_path / "out", **loose) == []


def test_two_spellings_of_one_key_are_named(tmp_path):
    (tmp_path / "utt2spk").write_text(f"{NFD}-1 a\n{NFC}-1 b\n", encoding="utf-8")
    with pytest.raises(Exception, match=rf"utt2spk:2: key {NFC}-1 is already on line 1"):
        read_table(tmp_path / "utt2spk")
