"""Forced alignment on emissions whose best path is known; the weights are not needed."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchaudio")

from diarize.bin.align import main, transcripts  # noqa: E402
from diarize.errors import DiarizeError  # noqa: E402
from diarize.kaldi.datadir import DataDir  # noqa: E402
from diarize.prepare.align import align_words, spell  # noqa: E402

LABELS = ["-", "a", "b", "c", "*"]


def emission(path: str) -> "torch.Tensor":
    scores = torch.full((len(path), len(LABELS)), -5.0)
    for frame, sign in enumerate(path):
        scores[frame, LABELS.index(sign)] = 5.0
    return scores.log_softmax(-1)


def test_words_begin_and_end_with_their_letters():
    words = ["ab", "b", "ca"]
    spellings = [spell(word, LABELS) for word in words]
    found = align_words(emission("--aab---bb-cca-----"), words, spellings, 1.9)
    assert [word.text for word in found] == words
    times = [time for word in found for time in word[:2]]
    assert times == pytest.approx([0.2, 0.5, 0.8, 1.0, 1.1, 1.4])


def test_letters_that_do_not_fit():
    with pytest.raises(DiarizeError, match="6 letters do not fit into 0.50 s"):
        align_words(emission("aabbc"), ["abcabc"], [spell("abcabc", LABELS)], 0.5)


def test_spelling_keeps_letters_and_stars_other_scripts():
    assert spell("Àb,", LABELS) == [1, 2]
    assert spell("नमस्ते", LABELS) == [4]
    assert spell("axb", LABELS) == [4]


def data_dir(tmp_path, text: str) -> DataDir:
    (tmp_path / "wav.scp").write_text("u1 u1.wav\nu2 u2.wav\n")
    (tmp_path / "text").write_text(text)
    return DataDir.load(tmp_path)


def test_transcripts_and_their_spelling(tmp_path):
    data = data_dir(tmp_path, "u1 नमस्ते जी\nu2\n")
    (tmp_path / "roman").write_text("u1 namaste ji\n")
    words, spelled = transcripts(data, tmp_path / "roman", False)
    assert words == {"u1": ["नमस्ते", "जी"], "u2": []}
    assert spelled == {"u1": ["namaste", "ji"], "u2": []}
    unspaced = data_dir(tmp_path, "u1 一 二三\nu2\n")
    assert transcripts(unspaced, None, True)[0]["u1"] == list("一二三")
    with pytest.raises(DiarizeError, match=r"roman:1: u1: 2 words, but 1 in the text"):
        transcripts(data_dir(tmp_path, "u1 नमस्ते\nu2\n"), tmp_path / "roman", False)


def test_nothing_is_fetched_without_being_asked(tmp_path, capsys):
    data_dir(tmp_path, "u1 a\nu2 b\n")
    args = ["--data", str(tmp_path), "--out", str(tmp_path / "ctm"), "--cache", str(tmp_path)]
    assert main(args) == 1
    told = capsys.readouterr().err
    assert "no weights of MMS_FA: use --download" in told
    assert len(told.splitlines()) == 1
