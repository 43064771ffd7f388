"""Word times: reading, writing, and what does not fit the audio."""

import numpy as np
import pytest

from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.io.ctm import Word, read_ctm, write_ctm
from diarize.kaldi.datadir import DataDir
from diarize.kaldi.words import read_utterance_words


@pytest.fixture
def data(tmp_path) -> DataDir:
    """Two utterances of 2 s, each a recording."""
    for key in ("u1", "u2"):
        write_wav(tmp_path / f"{key}.wav", np.zeros(32000, np.float32), 16000)
    (tmp_path / "wav.scp").write_text("u1 u1.wav\nu2 u2.wav\n")
    return DataDir.load(tmp_path)


def test_written_is_read_back(tmp_path):
    words = {"u1": [Word(0.0, 0.5, "नमस्ते"), Word(0.5, 1.25, "ok")], "u2": [Word(1.0, 1.1, "x")]}
    write_ctm(tmp_path / "ctm", words)
    assert (tmp_path / "ctm").read_text().splitlines()[1] == "u1 1 0.500 0.750 ok"
    found = read_ctm(tmp_path / "ctm")
    assert {key: [w.text for w in said] for key, said in found.items()} == {
        "u1": ["नमस्ते", "ok"],
        "u2": ["x"],
    }
    assert found["u1"][1][:2] == pytest.approx((0.5, 1.25))
    with pytest.raises(DiarizeError, match="a blank"):
        write_ctm(tmp_path / "bad", {"u": [Word(0, 1, "a b")]})


def test_confidence_comments_and_order(tmp_path):
    (tmp_path / "ctm").write_text(";; by someone\nu1 A 1.0 0.5 two 0.9\nu1 A 0.0 0.5 one 0.8\n")
    assert [word.text for word in read_ctm(tmp_path / "ctm")["u1"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("u1 1 0.0 0.5", "4 fields where CTM has 5 or 6"),
        ("u1 1 x 0.5 a", "field 3"),
        ("u1 1 0.0 -0.5 a", "negative time"),
        ("u3 1 0.0 0.5 a", "u3 is not an utterance"),
        ("u1 1 1.9 0.5 a", "word a ends at 2.400 s, but the audio is 2.000 s long"),
        ("u1 1 2.0 0.05 a", "ends at 2.050 s"),
    ],
)
def test_faults_name_file_and_line(tmp_path, data, line, message):
    (tmp_path / "ctm").write_text(f"u2 1 0.0 0.5 fine\n{line}\n")
    with pytest.raises(DiarizeError, match=rf"ctm:2: .*{message}"):
        read_utterance_words(tmp_path / "ctm", data)


def test_a_frame_too_late_is_cut(tmp_path, data):
    (tmp_path / "ctm").write_text("u1 1 1.5 0.54 a\n")
    assert read_utterance_words(tmp_path / "ctm", data) == {"u1": [Word(1.5, 2.0, "a")]}


def test_times_of_recordings_go_to_the_utterance_of_the_middle(tmp_path, data):
    (tmp_path / "segments").write_text("a r1 0.0 1.0\nb r1 1.2 2.0\n")
    (tmp_path / "wav.scp").write_text("r1 u1.wav\n")
    (tmp_path / "ctm").write_text("r1 1 0.2 0.5 one\nr1 1 1.05 0.1 lost\nr1 1 1.1 0.6 two\n")
    found = read_utterance_words(tmp_path / "ctm", DataDir.load(tmp_path))
    assert {key: [w.text for w in said] for key, said in found.items()} == {
        "a": ["one"],
        "b": ["two"],
    }
    assert found["b"][0][:2] == pytest.approx((0.0, 0.5))
    (tmp_path / "ctm").write_text("r1 1 5.0 0.5 far\n")
    with pytest.raises(DiarizeError, match=r"ctm:1: r1: word far ends at 5.500 s"):
        read_utterance_words(tmp_path / "ctm", DataDir.load(tmp_path))
