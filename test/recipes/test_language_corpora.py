"""The language corpora from their archives' layout to valid data directories; what is refused."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from layouts.common import audio

from diarize.bin import prepare, simulate
from diarize.io.table import read_table
from diarize.kaldi.datadir import DataDir
from diarize.kaldi.validate import validate_data_dir
from diarize.prepare.splits import read_split

ROOTS = {"displace": "DISPLACE", "soapies": "SOAPIES", "fleurs": "FLEURS"}
RECIPES = {"displace": "displace", "soapies": "sa_soap", "fleurs": "fleurs_cs"}
LOOSE = {"feats": False, "text": False, "spk_sort": False}


def layout(name: str) -> ModuleType:
    return importlib.import_module(f"layouts.{name}")


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> dict[str, Path]:
    """All three corpora, never written to."""
    base = tmp_path_factory.mktemp("archives")
    for name in ROOTS:
        layout(name).make(base / name)
    return {name: base / name for name in ROOTS}


@pytest.fixture
def own(archives, tmp_path):
    """Return a function that copies a corpus, to break it."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(archives[name], tmp_path / name))

    return copy


def run(name: str, root: Path, out: Path, *options: str) -> int:
    counts = ["--allow-counts", "recordings,hours,languages"] if name != "displace" else []
    return prepare.main([name, "--root", str(root), "--out", str(out), *counts, *options])


def labels(folder: Path) -> dict[str, list[tuple[float, float, str]]]:
    return {
        key: [(round(s.start, 3), round(s.end, 3), s.label) for s in found]
        for key, found in DataDir.load(folder).reference("language").items()
    }


def report(folder: Path) -> dict:
    return json.loads((folder / "prepare.json").read_text())


# ---- DISPLACE


def test_displace(archives, tmp_path, capsys):
    assert run("displace", archives["displace"], tmp_path) == 0
    assert "dev: 6 recordings, 3 languages" in capsys.readouterr().err
    names = {part: set(labels(tmp_path / part)) for part in ("train", "dev", "test")}
    assert [len(names[part]) for part in ("train", "dev", "test")] == [22, 6, 7]
    assert set.union(*names.values()) == set(layout("displace").NAMES)
    assert read_split(tmp_path / "split.txt")["B005"] == "test"
    assert labels(tmp_path / "test")["B005"] == [(0.1, 1.0, "L1"), (1.0, 1.75, "L3")]
    # Labels that go on after the audio end with it, and are counted.
    part = read_split(tmp_path / "split.txt")["B035"]
    assert labels(tmp_path / part)["B035"][-1] == (1.0, 2.0, "L3")
    beyond = report(tmp_path / part)["beyond_the_audio"]
    assert (beyond["turns_cut"], beyond["recordings"]) == (1, ["B035"])
    for part in names:
        assert validate_data_dir(tmp_path / part, **LOOSE) == []


def test_displace_2023_needs_globs(own, tmp_path, capsys):
    root, out = own("displace"), tmp_path / "out"
    assert run("displace", root, out, "--edition", "2023") == 1
    assert "use --audio and --rttm" in capsys.readouterr().err
    assert not out.exists()
    (root / "wav").mkdir()
    (root / "ref").mkdir()
    for name in ("B001", "B002", "B003"):
        shutil.copy(root / layout("displace").AUDIO / f"{name}.wav", root / "wav")
        source = root / layout("displace").LABELS / f"Track2_LD/{name}_LANGUAGE.rttm"
        shutil.copy(source, root / f"ref/{name}.rttm")
    globs = ["--audio", "wav/*.wav", "--rttm", "ref/*.rttm"]
    assert run("displace", root, out, "--edition", "2023", *globs) == 0
    assert sorted(read_split(out / "split.txt").values()) == ["dev", "test", "train"]


def test_displace_with_a_list_that_was_changed(own, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("displace", own("displace"), out) == 0
    listed = tmp_path / "list.txt"
    listed.write_text((out / "split.txt").read_text().replace("B001 train", "B001 test"))
    assert run("displace", tmp_path / "displace", out, "--split-list", str(listed)) == 1
    assert "checksum" in capsys.readouterr().err


# ---- South African soap operas


def test_soap_operas(archives, tmp_path, capsys):
    assert run("soapies", archives["soapies"], tmp_path) == 0
    err = capsys.readouterr().err
    assert "engzul.xml: 10 utterances, spans by language: eng:10 zul:10" in err
    assert "WARNING" in err
    assert "14.3" in err
    sets = {part: labels(tmp_path / part) for part in ("train", "dev", "test")}
    # A segment without words is no speech; times follow from the durations.
    assert sets["dev"]["engsot-engsot_spk0_0000"] == [(0.0, 0.5, "eng"), (1.0, 1.5, "sot")]
    # The utterance that is in two pairs is in the test set of one, so not in the other's training.
    assert [len(sets[part]) for part in ("train", "dev", "test")] == [23, 8, 8]
    assert "engxho-engzul_spk2_0002" not in sets["train"]
    assert report(tmp_path / "train")["options"]["left_out_as_in_another_set"] == 1


def test_soap_operas_unpacked_by_language(own, archives, tmp_path):
    """An utterance of two pairs was said to be there twice: once in the folder of each."""
    root = own("soapies")
    layout("soapies").by_language(root)
    assert run("soapies", root, tmp_path / "moved") == 0
    assert run("soapies", archives["soapies"], tmp_path / "plain") == 0
    for part in ("train", "dev", "test"):
        assert labels(tmp_path / "moved" / part) == labels(tmp_path / "plain" / part)
        assert read_table(tmp_path / f"moved/{part}/wav.scp").keys() == read_table(
            tmp_path / f"plain/{part}/wav.scp").keys()
    shared = layout("soapies").names_of("engzul")[2]
    wavs = read_table(tmp_path / "moved/test/wav.scp")
    assert wavs[f"engzul-{shared}"] == str(root / f"isiZulu/audio/{shared}.wav")


def test_soap_operas_of_pairs_that_share_one_folder_of_audio(own, tmp_path):
    """Copies of equal content are one file; others are an error that names both."""
    root, module = own("soapies"), layout("soapies")
    shared = module.names_of("engzul")[2]
    for pair, folder in (("engzul", "a"), ("engxho", "b")):
        (root / f"data/audio/balanced_{pair}").rename(root / f"data/audio/{folder}")
    assert run("soapies", root, tmp_path / "out") == 0
    audio(root / f"data/audio/b/{shared}.wav", 1.4, rate=32000)
    assert run("soapies", root, tmp_path / "again") == 1


def test_soap_operas_by_episode(archives, tmp_path, capsys):
    assert run("soapies", archives["soapies"], tmp_path, "--split-by", "episode") == 0
    assert "several sides" not in capsys.readouterr().err
    split = read_split(tmp_path / "split.txt")
    for pair in layout("soapies").LANGUAGE_OF:
        names = layout("soapies").names_of(pair)
        sides = [split.get(f"{pair}-{name}") for name in names]
        assert sides[0:2] == [sides[0]] * 2  # two utterances to an episode
        assert sides[4:6] == [sides[4]] * 2
    assert set(split.values()) == {"train", "dev", "test"}


@pytest.mark.parametrize(
    ("said", "ending", "message"),
    [
        (((500, "a"), ("half", "b")), "</corpus>", "duration 'half' is not a number of millisec"),
        (((0.5, "a"), (0.5, "b")), "</corpus>", "not milliseconds"),
        (((500, "a"), (500, "b")), "", "not XML"),
        ((), "</corpus>", "no <utterance_segment>"),
    ],
)
def test_soap_opera_xml_that_is_not_as_assumed(own, tmp_path, said, ending, message, capsys):
    root, module = own("soapies"), layout("soapies")
    module.xml(root, "engzul", module.names_of("engzul"), "zul", said, ending)
    assert run("soapies", root, tmp_path / "out") == 1
    err = capsys.readouterr().err
    assert message in err
    assert "balanced_engzul.xml" in err
    assert not (tmp_path / "out").exists()


def test_soap_opera_language_that_is_no_code(own, tmp_path, capsys):
    root, module = own("soapies"), layout("soapies")
    module.xml(root, "engzul", module.names_of("engzul"), "???")
    assert run("soapies", root, tmp_path / "out") == 1
    assert "utterance 1 (engzul_spk0_0000.wav): lang_id '???'" in capsys.readouterr().err


def test_soap_opera_segments_longer_than_the_audio(own, tmp_path):
    root, module = own("soapies"), layout("soapies")
    module.xml(root, "engsot", module.names_of("engsot"), "sot", ((700, "a"), (900, "b")))
    assert run("soapies", root, tmp_path / "out") == 0
    beyond = report(tmp_path / "out/dev")["beyond_the_audio"]
    assert (beyond["turns_cut"], beyond["seconds"]) == (2, 0.2)
    assert labels(tmp_path / "out/dev")["engsot-engsot_spk0_0000"][-1] == (0.7, 1.5, "sot")


def test_soap_operas_without_the_lists(own, tmp_path, capsys):
    root = own("soapies")
    shutil.rmtree(root / "ids")
    assert run("soapies", root, tmp_path / "out") == 1
    assert "--split episode" in capsys.readouterr().err


# ---- FLEURS


def test_fleurs(archives, tmp_path):
    assert run("fleurs", archives["fleurs"], tmp_path) == 0
    data = DataDir.load(tmp_path / "test_utts")
    assert len(data.recordings) == 4 * 2 * 3
    assert sorted(set(data.utt2lang.values())) == ["cmn", "en", "hi"]
    assert data.utt2spk["hi-female-00012-2120"] == "hi-female"
    assert data.text["en-male-00013-1131"] == "en sentence number 13"
    sentences = dict(line.split() for line in (data.path / "utt2sentence").read_text().splitlines())
    assert {key for key, value in sentences.items() if value == "14"} == {
        f"{lang}-{sex}-00014-{place}14{number}"
        for place, lang in ((1, "en"), (2, "hi"), (3, "cmn"))
        for number, sex in enumerate(("female", "male"))
    }
    assert validate_data_dir(data.path, feats=False) == []


def test_fleurs_sentence_in_two_sets_is_no_training(own, tmp_path, capsys):
    root, module = own("fleurs"), layout("fleurs")
    table = root / "hi_in/test.tsv"
    shutil.copy(root / "hi_in/train/2030.wav", root / "hi_in/test")
    table.write_text(table.read_text() + module.line(3, "2030.wav", "hi sentence", "FEMALE"))
    assert run("fleurs", root, tmp_path / "out") == 0
    assert "1 sentences are left out, like 3" in capsys.readouterr().err
    train = (tmp_path / "out/train_utts/utt2sentence").read_text()
    assert " 3\n" not in train
    assert report(tmp_path / "out/train_utts")["options"][
        "sentences_left_out_as_in_another_set"] == 1  # fmt: skip


def test_fleurs_lines_that_repeat_and_lengths_that_differ(own, tmp_path, capsys):
    root, module = own("fleurs"), layout("fleurs")
    table = root / "en_us/dev.tsv"
    first = table.read_text().splitlines(keepends=True)[0]
    longer = module.line(11, "1111.wav", "en sentence number 11", "MALE", samples=99999)
    usual = module.line(11, "1111.wav", "en sentence number 11", "MALE")
    table.write_text(table.read_text().replace(usual, longer) + first)
    assert run("fleurs", root, tmp_path / "out") == 0
    err = capsys.readouterr().err
    assert "1 lines repeat another; left out" in err
    assert "1 files have another length than in the tsv" in err
    assert DataDir.load(tmp_path / "out/dev_utts").reco2dur["en-male-00011-1111"] == "1.200"


def test_fleurs_table_with_other_fields(own, tmp_path, capsys):
    root = own("fleurs")
    table = root / "en_us/dev.tsv"
    table.write_text("id\tfile\n" + table.read_text())
    assert run("fleurs", root, tmp_path / "out") == 1
    assert "en_us/dev.tsv:1: not the seven fields" in capsys.readouterr().err


# ---- what all refuse


@pytest.mark.parametrize("name", ROOTS)
def test_a_missing_file(own, tmp_path, name, capsys):
    root = own(name)
    file = layout(name).a_file(root)
    file.unlink()
    assert run(name, root, tmp_path / "out") == 1
    assert file.stem in capsys.readouterr().err
    assert not (tmp_path / "out/test").exists()


@pytest.mark.parametrize("name", ROOTS)
def test_a_recording_that_is_there_twice(own, tmp_path, name, capsys):
    root = own(name)
    twice = layout(name).duplicate(root)
    assert run(name, root, tmp_path / "out") == 1
    assert twice in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("displace", "recordings: got 34, expected 35"),
        ("soapies", "hours: got 0.017, expected 14.3"),
        ("fleurs", "languages: got 3, expected 102"),
    ],
)
def test_counts_that_are_not_the_published_ones(own, tmp_path, name, message, capsys):
    root, out = own(name), tmp_path / "out"
    if name == "displace":
        layout(name).a_file(root).unlink()
        next(root.rglob("B007_LANGUAGE.rttm")).unlink()
    assert prepare.main([name, "--root", str(root), "--out", str(out)]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("name", ROOTS)
def test_nothing_says_where_it_lies(tmp_path, name, capsys):
    assert prepare.main([name, "--root", "", "--out", str(tmp_path / "out")]) == 1
    assert f"set {ROOTS[name]} in db.sh" in capsys.readouterr().err


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", ROOTS)
def test_twice_is_once(archives, tmp_path, name):
    assert run(name, archives[name], tmp_path) == 0
    before = files_of(tmp_path)
    assert run(name, archives[name], tmp_path) == 0
    after = files_of(tmp_path)
    after.pop("split.txt", None), before.pop("split.txt", None)
    assert after == before


# ---- the recipes


def checkout(repo_root: Path, base: Path, name: str) -> Path:
    """Return the directory of a recipe in a checkout of its own."""
    for part in ("TEMPLATE", RECIPES[name]):
        ignored = shutil.ignore_patterns("data", "exp")
        source, target = repo_root / "egs" / part, base / "egs" / part
        shutil.copytree(source, target, symlinks=True, ignore=ignored)
    for part in ("utils", "diarize"):
        (base / part).symlink_to(repo_root / part)
    return base / "egs" / RECIPES[name] / "langdiar1"


def call(recipe: Path, root: str, place: Path, *args: str):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["./run.sh", *args], cwd=recipe, capture_output=True, text=True, check=False,
        env={**os.environ, root: str(place), "PATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("name", ["displace", "soapies"])
def test_recipe_to_data_directories(repo_root, archives, tmp_path, name):
    recipe = checkout(repo_root, tmp_path, name)
    options = [] if name == "displace" else ["--local-data-opts", "--allow-counts hours"]
    done = call(recipe, ROOTS[name], archives[name], "--stop-stage", "1", *options)
    assert done.returncode == 0, done.stderr
    for part in ("train", "dev", "test"):
        assert validate_data_dir(recipe / f"data/{part}", **LOOSE) == []


CONVERTER = """import shutil


def copy(wav, reference, out):
    shutil.copyfile(wav, out)
"""


def write_ctm(root: Path, folder: Path) -> None:
    """Write times of words, evenly over the utterances; of characters where there are no blanks."""
    folder.mkdir()
    assert run("fleurs", root, folder / "data") == 0
    for part in ("train", "dev", "test"):
        lines = []
        for key, text in DataDir.load(folder / f"data/{part}_utts").text.items():
            words = list(text) if key.startswith("cmn") else text.split()
            step = layout("fleurs").SECONDS / len(words)
            lines += [f"{key} 1 {i * step:.3f} {step:.3f} {w}\n" for i, w in enumerate(words)]
        (folder / f"{part}.ctm").write_text("".join(lines))


def test_fleurs_recipe_to_mixtures_of_one_voice(repo_root, archives, tmp_path, monkeypatch):
    recipe = checkout(repo_root, tmp_path, "fleurs")
    write_ctm(archives["fleurs"], recipe / "words")
    (recipe / "converter.py").write_text(CONVERTER)
    (recipe / "conf/data.conf").write_text(
        "allow_counts=languages\nlanguages=en_us,hi_in,cmn_hans_cn\nnum_voices=2\nunit_size=30\n"
        "convert=converter:copy\nctm=words\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(recipe))
    options = ["--local-data-opts", "--config conf/data.conf"]
    done = call(recipe, "FLEURS", archives["fleurs"], "--stop-stage", "1", *options)
    assert done.returncode == 0, done.stderr
    assert "no voice conversion" not in done.stderr
    data = DataDir.load(recipe / "data/train_voices")
    assert set(data.utt2spk.values()) == {"v000", "v001"}
    # One sentence is said by one voice in all languages.
    voices: dict[str, set[str]] = {}
    for line in (data.path / "utt2sentence").read_text().splitlines():
        key, sentence = line.split()
        voices.setdefault(sentence, set()).add(data.utt2spk[key])
    assert all(len(found) == 1 for found in voices.values())
    assert (recipe / "data/units.cmn.model").is_file()
    out = tmp_path / "manifest"
    words = ["--num-mixtures", "6", "--languages", "hi:en,cmn:en", "--seconds", "3"]
    units = ["--units", f"cmn={recipe}/data/units.cmn.model", "--intra", "1"]
    assert simulate.main(["code-switch", "--data", str(data.path), *words, *units,
                          "--out", str(out)]) == 0  # fmt: skip
    for line in out.read_text().splitlines():
        mixture = json.loads(line.split(None, 1)[1])
        pieces = mixture["speakers"][0]["utts"]
        assert len({piece["label"] for piece in pieces}) == 2
        assert not any("speaker" in piece for piece in pieces)  # no change of voice
        assert all("/wav/train_2/v00" in piece["file"] for piece in pieces)


def test_simulated_languages_of_fleurs_are_prepared(repo_root):
    recipe = repo_root / "egs/fleurs_cs/langdiar1"
    names = re.search("^languages=(.*)$", (recipe / "local/data.sh").read_text(), re.MULTILINE)[1]
    prepared = {name.partition("_")[0] for name in names.split(",")}
    assert len(prepared) == 25
    for conf in ("simulate.conf", "simulate_inter.conf"):
        used: dict[str, set[str]] = {}
        for line in (recipe / "conf" / conf).read_text().splitlines():
            if line.startswith(("manifest", "write")):
                languages = re.search(r"--languages (\S+)", line)[1]
                used.setdefault(line.split()[1], set()).update(re.split("[:,]", languages))
        assert set.union(*used.values()) == prepared
        assert used["train"] == used["test_seen"] == used["test_confound"]
        assert used["train"] & used["test_unseen"] == {"en"}
