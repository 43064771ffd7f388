"""LibriSpeech, MUSAN, RIRS_NOISES: from the archives to data that can be simulated with."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diarize.bin.prepare import main
from diarize.io.rttm import read_rttm
from diarize.io.table import read_table
from diarize.kaldi.datadir import DataDir
from diarize.kaldi.validate import validate_data_dir
from diarize.prepare.librispeech import PUBLISHED, TRAIN
from diarize.prepare.splits import read_split
from diarize.simulate.draw.turn_taking import learn_statistics, read_statistics, write_statistics
from diarize.simulate.manifest import Manifest

PARTS = ("--allow-counts", "recordings,speakers")


@pytest.fixture
def corpus(laid_out) -> Path:
    """The three corpora, laid out below one directory, only to be read."""
    return laid_out("librispeech")[0]


@pytest.fixture
def own(laid_out, tmp_path) -> Path:
    """The same as a copy that a test may damage."""
    return laid_out("librispeech", tmp_path / "corpus")[0]


def prepare(name: str, root: Path, out: Path, *options: str) -> int:
    return main([name, "--root", str(root), "--out", str(out), *options])


def speakers(data: Path) -> set[str]:
    return set(read_table(data / "utt2spk").values())


def test_sets_of_the_parts(corpus, tmp_path, capsys):
    assert prepare("librispeech", corpus, tmp_path, *PARTS) == 0
    assert "speakers: got 20, expected 251" in capsys.readouterr().err
    sizes = {"train": 24, "dev": 4, "test": 4}
    for name, size in sizes.items():
        data = tmp_path / f"{name}_read"
        assert validate_data_dir(data, feats=False, text=False) == []
        assert len(speakers(data)) == size
    loaded = DataDir.load(tmp_path / "dev_read")
    path = corpus / "LibriSpeech/dev-clean/400/1/400-1-0000.flac"
    assert loaded.wav_scp["400-1-0000"] == str(path)
    assert loaded.utt2spk["400-1-0000"] == "400"
    report = json.loads((tmp_path / "train_read/prepare.json").read_text())
    assert report["options"]["train_parts"] == TRAIN
    assert report["counts"]["utterances"] == 48


def test_published_counts_are_those_of_the_paper():
    assert sum(PUBLISHED[part].speakers for part in TRAIN.split(",")) == 2338
    assert PUBLISHED["dev-clean"].speakers == 40
    assert sum(PUBLISHED[part].recordings for part in TRAIN.split(",")) == 281241


def test_twice_is_once(corpus, tmp_path):
    assert prepare("librispeech", corpus, tmp_path, *PARTS) == 0
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.rglob("*.scp")}
    assert prepare("librispeech", corpus, tmp_path, *PARTS) == 0
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.rglob("*.scp")} == before


def test_a_part_of_the_corpus_is_an_error_unless_it_is_said(corpus, tmp_path, capsys):
    assert prepare("librispeech", corpus, tmp_path) == 1
    said = capsys.readouterr().err
    assert "LibriSpeech train-clean-100: not the published corpus: recordings: got 40" in said
    assert "--allow-counts" in said
    assert not list(tmp_path.rglob("wav.scp"))


def test_held_out_speakers(corpus, tmp_path):
    options = ("--train-parts", "train-clean-100", "--hold-out", "0.1")
    assert prepare("librispeech", corpus, tmp_path, *PARTS, *options) == 0
    sets = [speakers(tmp_path / f"{name}_read") for name in ("train", "dev", "test")]
    assert list(map(len, sets)) == [16, 2, 2]
    assert len(set.union(*sets)) == 20
    listed = read_split(tmp_path / "split_speakers.txt")
    assert {s for s, which in listed.items() if which == "test"} == sets[2]
    other = tmp_path / "other"
    assert prepare("librispeech", corpus, other, *PARTS, *options, "--split-seed", "2") == 0
    assert speakers(other / "test_read") != sets[2]


def test_one_part_for_dev_and_test_is_split_by_speakers(corpus, tmp_path):
    options = ("--train-parts", "train-clean-360", "--test-parts", "dev-clean")
    assert prepare("librispeech", corpus, tmp_path, *PARTS, *options) == 0
    dev, test = speakers(tmp_path / "dev_read"), speakers(tmp_path / "test_read")
    assert len(dev) == len(test) == 2
    assert dev | test == {"400", "401", "402", "403"}


def remove_part(root: Path) -> None:
    shutil.rmtree(root / "LibriSpeech/dev-clean")


def misplace(root: Path) -> None:
    folder = root / "LibriSpeech/dev-clean/400/1"
    os.rename(folder / "400-1-0000.flac", folder / "401-1-0000.flac")


def spoil_speakers(root: Path) -> None:
    path = root / "LibriSpeech/SPEAKERS.TXT"
    path.write_text(path.read_text() + "a reader\n")


def share_a_speaker(root: Path) -> None:
    os.rename(root / "LibriSpeech/dev-clean/400", root / "LibriSpeech/dev-clean/100")
    for path in (root / "LibriSpeech/dev-clean/100").rglob("*.flac"):
        path.rename(path.with_name(path.name.replace("400-", "100-")))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_part, "LibriSpeech: no directory dev-clean"),
        (misplace, "a file of another speaker or chapter: expected 400-1-<utterance>.flac"),
        (spoil_speakers, "SPEAKERS.TXT:34: not 'id | sex | part | minutes | name': 'a reader'"),
        (share_a_speaker, "speaker 100 is in the parts of train and of dev"),
    ],
)
def test_what_is_wrong_is_named(own, tmp_path, capsys, damage, message):
    damage(own)
    assert prepare("librispeech", own, tmp_path / "data", *PARTS) == 1
    assert message in capsys.readouterr().err
    assert not list((tmp_path / "data").rglob("wav.scp"))


def test_a_speaker_who_is_not_on_the_disk_is_missed(own, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("diarize.prepare.librispeech.PUBLISHED", {})
    assert prepare("librispeech", own, tmp_path / "data") == 0
    shutil.rmtree(own / "LibriSpeech/test-clean/503")
    capsys.readouterr()
    assert prepare("librispeech", own, tmp_path / "data") == 1
    said = capsys.readouterr().err
    assert "test-clean: not the published corpus: 1 speakers are on the disk or in" in said


def test_no_root(tmp_path, capsys):
    assert main(["librispeech", "--root", "", "--out", str(tmp_path)]) == 1
    assert "set LIBRISPEECH in db.sh" in capsys.readouterr().err


def test_background_noises_only(own, tmp_path, capsys):
    assert prepare("musan", own, tmp_path) == 0
    wav = read_table(tmp_path / "noises/wav.scp")
    assert list(wav) == ["noise-free-sound-0000", "noise-free-sound-0002"]
    assert validate_data_dir(tmp_path / "noises", feats=False, text=False) == []
    Path(wav["noise-free-sound-0002"]).unlink()
    assert prepare("musan", own, tmp_path) == 1
    assert "1 of 2 background noises are missing" in capsys.readouterr().err
    assert prepare("musan", own, tmp_path, *PARTS) == 0
    assert list(read_table(tmp_path / "noises/wav.scp")) == ["noise-free-sound-0000"]
    listed = own / "musan/noise/free-sound/ANNOTATIONS"
    listed.write_text(listed.read_text() + "a dog\n")
    assert prepare("musan", own, tmp_path) == 1
    assert "ANNOTATIONS:4: not the id of a noise: 'a dog'" in capsys.readouterr().err


def test_rooms_with_the_same_names(own, tmp_path, capsys):
    assert prepare("rirs-noises", own, tmp_path, *PARTS) == 0
    wav = read_table(tmp_path / "rirs/wav.scp")
    assert len(wav) == 12
    assert wav["mediumroom-Room002-00001"].endswith("mediumroom/Room002/Room002-00001.wav")
    assert validate_data_dir(tmp_path / "rirs", feats=False, text=False) == []
    assert prepare("rirs-noises", own, tmp_path, *PARTS, "--rooms", "smallroom,largeroom") == 0
    assert len(read_table(tmp_path / "rirs/wav.scp")) == 8
    assert prepare("rirs-noises", own, tmp_path) == 1
    assert "smallroom: not the published corpus: recordings: got 4" in capsys.readouterr().err
    Path(wav["largeroom-Room001-00002"]).unlink()
    assert prepare("rirs-noises", own, tmp_path, *PARTS) == 1
    assert "1 responses of rir_list are missing, such as largeroom-Room001-00002" in (
        capsys.readouterr().err
    )


def run(recipe: Path, *args: str, **variables: str) -> subprocess.CompletedProcess:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(args, cwd=recipe, env=env, capture_output=True, text=True, check=False)


def test_the_recipe_from_archives_to_mixtures(corpus, repo_root, tmp_path):
    """Stages 1 to 3: speech bounds, noises and rooms, both simulators."""
    recipe = repo_root / "egs/librispeech/diar1"
    data = tmp_path / "data"
    conf = tmp_path / "simulate.conf"
    more = "--noise-data {data}/noises --rir-data {data}/rirs --min-utts 2 --max-utts 3"
    conf.write_text(
        f"manifest train train_voices 2 3 2 {more}\n"
        f"manifest train train_voices 1-4 4 {recipe}/conf/turns.json {more}\n"
        f"write dev dev_voices 2 2 1 {more}\n"
        f"write test test_voices 3 1 {recipe}/conf/turns.json {more}\n"
    )
    done = run(
        recipe, "./run.sh", "--stop-stage", "3", "--datadir", str(data), "--nj", "1",
        "--simulate-config", str(conf), "--librispeech", str(corpus), "--musan", str(corpus),
        "--rirs-noises", str(corpus),
        "--local-data-opts", f"--data {data} --allow-counts recordings,speakers --nj 1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    spans = [row.split() for row in read_table(data / "dev_voices/segments").values()]
    for _, start, end in spans:  # speech is [0.3, 1.1), and 0.05 s are added
        assert (float(start), float(end)) == pytest.approx((0.25, 1.15), abs=0.02)
    manifest = Manifest(data / "train/mixture.scp")
    counts = [len(mixture["speakers"]) for _, mixture in manifest]
    assert sorted(counts) == [1, 2, 2, 2, 2, 3, 4]
    assert all("noise-free-sound" in mixture["noise"] for _, mixture in manifest)
    assert len({segment.label for segment in read_rttm(data / "test/rttm")}) == 3
    assert len(read_table(data / "dev/wav.scp")) == 2


def test_whole_files_and_made_rooms(corpus, repo_root, tmp_path):
    recipe = repo_root / "egs/mini_librispeech/diar1"
    done = run(
        recipe, "local/data.sh", "--data", str(tmp_path), "--allow-counts", "recordings,speakers",
        "--train-parts", "train-clean-360", "--dev-parts", "dev-clean", "--test-parts",
        "dev-clean", "--musan", "synthetic", "--rirs-noises", "synthetic",
        "--speech-bounds", "none", LIBRISPEECH=str(corpus),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "train_voices/segments").exists()
    assert len(read_table(tmp_path / "train_voices/wav.scp")) == 4
    assert len(read_table(tmp_path / "noises/wav.scp")) == 18
    assert len(read_table(tmp_path / "rirs/wav.scp")) == 40
    done = run(recipe, "local/data.sh", "--speech-bounds", "some")
    assert done.returncode == 1
    assert "--speech-bounds is split, trim or none, not 'some'" in done.stderr


def test_the_comparison_with_hitachi_reads_our_figure(repo_root, tmp_path):
    (tmp_path / "result_lines.txt").write_text(
        "RESULT task=speaker set=test collar=0.25 der=12.34 miss=1 fa=1 conf=1\n"
        "RESULT task=speaker set=test collar=0.00 der=15.00 miss=1 fa=1 conf=1\n"
    )
    script = repo_root / "egs/mini_librispeech/diar1/local/beside_hitachi.sh"
    done = run(tmp_path, str(script), str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines()[1:]] == ["29.96", "12.34"]
    assert run(tmp_path, str(script), str(tmp_path / "none")).returncode == 1


def test_the_committed_turn_taking_is_what_the_reference_gives(repo_root, shared_data, tmp_path):
    committed = repo_root / "egs/librispeech/diar1/conf/turns.json"
    segments = read_rttm(shared_data / "voxconverse_scoring/ref.dev.rttm")
    source = read_statistics(committed).source
    write_statistics(tmp_path / "turns.json", learn_statistics(segments, source=source))
    assert (tmp_path / "turns.json").read_bytes() == committed.read_bytes()


def test_real_librispeech_with_one_utterance_per_speaker(shared_data, tmp_path, capsys):
    options = ("--train-parts", "train-clean-100", "--hold-out", "0.1")
    assert prepare("librispeech", shared_data / "libri_small", tmp_path, *PARTS, *options) == 0
    said = capsys.readouterr().err
    assert "recordings: got 252, expected 28539" in said
    assert "speakers: got" not in said  # all 251 are there
    sizes = [len(speakers(tmp_path / f"{name}_read")) for name in ("train", "dev", "test")]
    assert sizes == [201, 25, 25]
