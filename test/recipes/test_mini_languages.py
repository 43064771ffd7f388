"""The synthetic voices of the mini recipe of languages: what they say, and that it is timed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diarize.io.table import read_table
from diarize.kaldi.datadir import DataDir
from diarize.kaldi.validate import validate_data_dir
from diarize.kaldi.words import read_utterance_words

SETS = ("train", "dev", "test")


@pytest.fixture(autouse=True)
def voices_on_path(monkeypatch, repo_root):
    monkeypatch.syspath_prepend(str(repo_root / "egs" / "mini"))


def data_sh(repo_root: Path, cwd: Path, *options: str):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = repo_root / "egs/mini/langdiar1/local/data.sh"
    return subprocess.run(
        [script, *options], cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True,
        text=True, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory, repo_root) -> Path:
    """The data of a tiny run."""
    pytest.importorskip("espeakng_loader", reason="espeakng-loader not installed: .[mini]")
    pytest.importorskip("babel", reason="Babel not installed: .[mini]")
    cwd = tmp_path_factory.mktemp("languages")
    done = data_sh(
        repo_root, cwd, "--num-voices", "2 1 1", "--num-utts", "3 1 2", "--languages",
        "en,hi,tn,cmn", "--unseen", "sw", "--nj", "1")
    assert done.returncode == 0, done.stderr
    return cwd / "data"


def test_every_voice_speaks_every_language_of_its_set(made, monkeypatch):
    monkeypatch.chdir(made.parent)  # wav.scp counts from there
    voices = {}
    for name in SETS:
        data = made / f"{name}_voices"
        utt2lang = read_table(data / "utt2lang")
        languages = {"en", "hi", "tn", "cmn"} | ({"sw"} if name == "test" else set())
        assert set(utt2lang.values()) == languages
        voices[name] = set(read_table(data / "utt2spk").values())
        for voice in voices[name]:
            assert {utt2lang[u] for u in utt2lang if u.startswith(f"{voice}-")} == languages
        assert validate_data_dir(data, feats=False) == []
    assert sum(map(len, voices.values())) == len(set.union(*voices.values())) == 4


def test_sets_share_no_sentence(made):
    texts = [set(read_table(made / f"{name}_voices/text").values()) for name in SETS]
    assert sum(map(len, texts)) == len(set.union(*texts))


def test_words_cover_the_utterances(made):
    data = DataDir.load(made / "train_voices")
    words = read_utterance_words(made / "train_voices/ctm", data)
    assert words.keys() == set(data.recordings)
    for key, said in words.items():
        joint = "" if data.utt2lang[key] == "cmn" else " "
        assert joint.join(w.text for w in said).replace("_", " ") == data.text[key]
        assert said[0].start == pytest.approx(0.0, abs=0.1)
        assert said[-1].end == pytest.approx(data.duration(key), abs=0.15)
        ends = [word.end for word in said[:-1]]
        assert ends == pytest.approx([word.start for word in said[1:]])


def test_units_of_the_unspaced_script(made):
    from diarize.prepare.units import load_units

    assert load_units(made / "units.cmn.model").get_piece_size() > 10


def test_phrases_are_in_their_script():
    pytest.importorskip("babel", reason="Babel not installed: .[mini]")
    from voices.phrases import LANGUAGES, Phrases

    scripts = {"hi": "DEVANAGARI", "ta": "TAMIL", "ur": "ARABIC", "ru": "CYRILLIC", "cmn": "CJK",
               "kn": "KANNADA", "sw": "LATIN", "tn": "LATIN"}
    assert len(LANGUAGES) >= 20
    import unicodedata

    for name, script in scripts.items():
        source = Phrases(name)
        rng = np.random.default_rng(0)
        sentences = [source.sentence(rng, 40) for _ in range(200)]
        assert len(set(sentences)) > 150
        signs = "".join(sentences)
        letters = [unicodedata.name(s).split()[0] for s in signs if unicodedata.category(s) == "Lo"
                   or unicodedata.category(s) in ("Ll", "Lu")]  # fmt: skip
        assert np.mean([found == script for found in letters]) > 0.99
        assert not re.search(r"[,.;()%°/]", signs)
        lengths = [len(sentence) for sentence in sentences]
        assert 20 < np.mean(lengths) < 60


def test_running_text_is_used_where_it_is_given(tmp_path):
    pytest.importorskip("babel", reason="Babel not installed: .[mini]")
    from voices.phrases import Phrases

    text = "सभी मनुष्यों को गौरव, और अधिकारों के मामले में 1948 जन्मजात।"
    (tmp_path / "hin.txt").write_text(text)
    source = Phrases("hi", tmp_path / "hin.txt")
    running = ["सभी मनुष्यों को गौरव", "और अधिकारों के मामले में", "जन्मजात"]
    assert source.clauses == running[:2] + [clause for clause in running[2:] if len(clause) > 7]
    rng = np.random.default_rng(0)
    sentences = [source.sentence(rng, 30) for _ in range(40)]
    share = np.mean([any(w in s for w in ("मनुष्यों", "अधिकारों")) for s in sentences])
    assert 0.25 < share < 0.75


def test_unknown_language_and_missing_wheel(repo_root, tmp_path):
    pytest.importorskip("babel", reason="Babel not installed: .[mini]")
    done = data_sh(repo_root, tmp_path, "--languages", "en,tlh")
    assert done.returncode == 1
    assert "no language tlh: there are hi, bn" in done.stderr
    assert "Traceback" not in done.stderr


def test_words_without_a_time_go_with_the_one_before():
    pytest.importorskip("espeakng_loader", reason="espeakng-loader not installed: .[mini]")
    from voices.corpus import timed_words
    from voices.espeak import Speech

    def speech(words, places):
        return Speech(np.zeros(16000, np.int16), 16000, words, [(0.9, "_")], places)

    found = timed_words(speech([(0.1, "a"), (0.5, "23"), (0.7, "3")], [0, 5, 6]), "a in 23")
    assert found == [(0.1, 0.5, "a_in"), (0.5, 1.0, "23")]
    found = timed_words(speech([(0.0, "巴"), (0.6, "和")], [0, 2]), "巴西和")
    assert found == [(0.0, 0.6, "巴西"), (0.6, 1.0, "和")]
