"""One data directory for each language of a diarization."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.io.table import read_table
from diarize.kaldi.bylanguage import split_by_language
from diarize.kaldi.datadir import DataDir

RTTM = (
    "SPEAKER r1 1 0.000 1.000 <NA> <NA> hi <NA> <NA>\n"
    "SPEAKER r1 1 1.000 0.500 <NA> <NA> hi <NA> <NA>\n"
    "SPEAKER r1 1 1.500 1.500 <NA> <NA> en <NA> <NA>\n"
    "LANGUAGE r2 1 0.500 0.300 <NA> <NA> en <NA> <NA>\n"
)


@pytest.fixture
def data(tmp_path):
    """Two recordings of 3 s, the first of two speakers."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("r1", "r2"):
        write_wav(folder / f"{name}.wav", np.zeros(48000, np.float32), 16000)
    (folder / "wav.scp").write_text("r1 r1.wav\nr2 r2.wav\n")
    (folder / "segments").write_text("ann-1 r1 0.0 1.4\nbob-1 r1 1.4 3.0\ncat-1 r2 2.0 3.0\n")
    (folder / "utt2spk").write_text("ann-1 ann\nbob-1 bob\ncat-1 cat\n")
    (tmp_path / "rttm").write_text(RTTM)
    return folder


def run(script, *args):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(script), *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path, "DIARIZE_ROOT": str(script.parents[1])},
    )


def test_directories_are_ready_for_a_recogniser(repo_root, data, tmp_path):
    utils = repo_root / "utils"
    done = run(utils / "split_by_language.sh", data, tmp_path / "rttm", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["en", "hi"]
    assert read_table(out / "hi/segments") == {"ann-r1-00000000-00001500": "r1 0.000 1.500"}
    assert read_table(out / "hi/wav.scp") == {"r1": f"{data}/r1.wav"}
    assert read_table(out / "en/utt2spk") == {
        "bob-r1-00001500-00003000": "bob",
        "r2-r2-00000500-00000800": "r2",
    }
    assert set(read_table(out / "en/utt2lang").values()) == {"en"}
    assert read_table(out / "en/reco2dur") == {"r1": "3.000", "r2": "3.000"}
    check = run(utils / "validate_data_dir.sh", "--no-feats", "--no-text", out / "en")
    assert check.returncode == 0, check.stderr
    assert DataDir.load(out / "en").duration("r1") == 3.0


def test_what_is_left_out_is_said(data, tmp_path):
    (tmp_path / "rttm").write_text(RTTM + "SPEAKER r2 1 3.500 1.000 <NA> <NA> ta <NA> <NA>\n")
    counts, notices = split_by_language(DataDir.load(data), tmp_path / "rttm", tmp_path / "o", 0.4)
    assert counts == {"en": 1, "hi": 1}
    assert notices[0] == "2 segments (1.30 s) too short or beyond the end"
    assert notices[1] == "ta: nothing is left of it"


def test_names_of_no_language_are_noticed(data, tmp_path):
    (tmp_path / "rttm").write_text(RTTM.replace(" hi ", " L1 ").replace(" en ", " L2 "))
    _, notices = split_by_language(DataDir.load(data), tmp_path / "rttm", tmp_path / "o")
    assert notices[0] == "L1, L2: different languages in each recording"
    (tmp_path / "rttm").write_text(RTTM.replace(" en ", " L1 "))
    _, notices = split_by_language(DataDir.load(data), tmp_path / "rttm", tmp_path / "named")
    assert notices[0] == "L1: different languages in each recording"


@pytest.mark.parametrize(
    ("rttm", "message"),
    [
        ("", "no segments"),
        (RTTM.replace(" r2 ", " r3 "), "recording r3 is not in"),
        (RTTM.replace(" hi ", " a/b "), "label a/b"),
        (RTTM.replace(" hi ", " .. "), "label .."),
    ],
)
def test_bad_input(data, tmp_path, rttm, message):
    (tmp_path / "rttm").write_text(rttm)
    with pytest.raises(DiarizeError, match=message):
        split_by_language(DataDir.load(data), tmp_path / "rttm", tmp_path / "out")
    assert not (tmp_path / "out").exists()
