"""speechocean762: from a layout like OpenSLR 101's to data directories of single speakers."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from diarize.io.audio import read_audio, write_wav
from diarize.kaldi.datadir import DataDir
from diarize.prepare.splits import read_split

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs/speechocean762/diar1"
TRAIN, TEST = ("0001", "0005", "0006", "0008"), ("0003", "0009")


def burst(seed, quiet=0.5, loud=0.8):
    """Silence, a loud stretch, silence, another one, silence."""
    rng = np.random.default_rng(seed)
    parts = [0.001 if i % 2 == 0 else 0.2 for i in range(5)]
    sizes = [quiet if i % 2 == 0 else loud for i in range(5)]
    return np.concatenate([
        a * rng.standard_normal(round(16000 * s)) for a, s in zip(parts, sizes, strict=True)
    ]).astype(np.float32).clip(-1, 1)  # fmt: skip


def write_part(root, part, speakers):
    tables = {name: [] for name in ("wav.scp", "utt2spk", "text")}
    for speaker in speakers:
        folder = root / "WAVE" / f"SPEAKER{speaker}"
        folder.mkdir(parents=True)
        for number in ("0011", "0035"):
            utt = f"{speaker}{number}"
            write_wav(folder / f"{utt}.WAV", burst(int(utt)), 16000)
            tables["wav.scp"].append(f"{utt}\tWAVE/SPEAKER{speaker}/{utt}.WAV\n")
            tables["utt2spk"].append(f"{utt}\t{speaker}\n")
            tables["text"].append(f"{utt}\tWE CALL IT BEAR\n")
    place = root / part
    place.mkdir()
    for name, lines in tables.items():
        (place / name).write_text("".join(lines))
    (place / "spk2utt").write_text("".join(f"{s}\t{s}0011 {s}0035\n" for s in speakers))
    (place / "spk2age").write_text("".join(f"{s}\t6\n" for s in speakers))
    (place / "spk2gender").write_text("".join(f"{s}\tm\n" for s in speakers))


@pytest.fixture
def root(tmp_path):
    """The unpacked archive, with two utterances of each of six speakers."""
    root = tmp_path / "speechocean762"
    root.mkdir()
    (root / "resource").mkdir()
    (root / "resource/scores.json").write_text("{}")
    write_part(root, "train", TRAIN)
    write_part(root, "test", TEST)
    return root


@pytest.fixture
def libri(tmp_path):
    """Three speakers of LibriSpeech."""
    for speaker in ("19", "26", "27"):
        place = tmp_path / "libri/LibriSpeech/train-clean-100" / speaker / "198"
        place.mkdir(parents=True)
        soundfile.write(place / f"{speaker}-198-0000.flac", burst(int(speaker)), 16000)
    return tmp_path / "libri"


@pytest.fixture(scope="module")
def prepare_voices():
    """The recipe's own module."""
    sys.path.insert(0, str(RECIPE / "local"))
    try:
        import prepare_voices
    finally:
        sys.path.pop(0)
    return prepare_voices


@pytest.fixture
def prepare(prepare_voices, capsys):
    """A call of its command: exit status and standard error."""

    def call(root, data, *more):
        argv = [data, "--root", root, "--allow-counts", "recordings,speakers,utterances"]
        argv += ["--dev", "1", "--test", "1"]
        status = prepare_voices.main([str(word) for word in (*argv, "--nj", "1", *more)])
        return status, capsys.readouterr().err

    return call


def voices(data, name):
    return set(DataDir.load(data / f"{name}_voices").utt2spk.values())


def test_sets_share_no_person(prepare, root, libri, tmp_path):
    data = tmp_path / "data"
    assert prepare(root, data, "--librispeech-root", libri, "--librispeech-test", "1")[0] == 0
    persons = {name: {v.split("_")[0] for v in voices(data, name)}
               for name in ("train", "libri_train", "dev", "test", "libri_test")}
    assert persons["test"] == {"so0003", "so0009"}
    sizes = [len(persons[name]) for name in ("train", "libri_train", "dev", "libri_test")]
    assert sizes == [3, 2, 1, 1]
    assert sum(map(len, persons.values())) == len(set().union(*persons.values())) == 9
    assert len(voices(data, "train")) == 5 * 3  # five speeds
    assert sorted(set(read_split(data / "split.list").values())) == ["dev", "test", "train"]
    report = json.loads((data / "train_voices/prepare.json").read_text())
    assert report["options"]["persons"] == 3
    assert report["options"]["test"] == "the corpus' own"


def test_silence_is_trimmed_and_levels_are_put_right(prepare, root, tmp_path):
    assert prepare(root, tmp_path / "data")[0] == 0
    data = DataDir.load(tmp_path / "data/test_voices")
    assert len(data.recordings) == 2 * 2 * 2  # speakers, utterances, stretches
    lengths = [data.duration(name) for name in data.recordings]
    assert min(lengths) > 0.8
    assert max(lengths) < 1.0  # of 3.1 s
    waves = [read_audio(data.source(name)) for name in data.recordings if "so0003" in name]
    level = 10 * np.log10(np.mean(np.concatenate(waves) ** 2))
    assert abs(level + 26) < 12
    train = DataDir.load(tmp_path / "data/train_voices")
    plain = next(name for name in train.recordings if "_" not in name)
    voice, _, rest = plain.partition("-")
    for speed in (85, 108):
        ratio = train.duration(f"{voice}_{speed}-{rest}") / train.duration(plain)
        assert ratio == pytest.approx(100 / speed, rel=1e-3)


@pytest.fixture
def words(tmp_path):
    """A data directory of two speakers with six single words each, in one file per speaker."""
    place = tmp_path / "words"
    place.mkdir()
    lines = []
    for number, name in enumerate(("aa01", "bb02")):
        parts = [burst(10 * number + k, loud=0.35) for k in range(3)]
        write_wav(place / f"{name}.wav", np.concatenate(parts), 16000)
        lines.append(f"{name} {place}/{name}.wav\n")
    (place / "wav.scp").write_text("".join(lines))
    (place / "utt2spk").write_text("aa01 aa01\nbb02 bb02\n")
    return place


def test_mixed_voices_are_of_all_corpora_with_channels_of_their_own(
    prepare, root, libri, words, tmp_path
):
    data = tmp_path / "data"
    more = ("--librispeech-root", libri, "--librispeech-test", "1", "--words-root", words)
    assert prepare(root, data, *more)[0] == 0
    assert not (data / "mixed_voices").exists()
    assert prepare(root, data, *more, "--mixed", "true")[0] == 0
    persons = {voice.split("_")[0] for voice in voices(data, "mixed")}
    train = {voice.split("_")[0] for voice in voices(data, "train") | voices(data, "libri_train")}
    assert persons == train | {"scaa01", "scbb02"}
    mixed = DataDir.load(data / "mixed_voices")
    strung = [name for name in mixed.recordings if name.startswith("scaa01_96-")]
    # Six words of 0.45 s with their margins: stretches of two to five of them.
    assert 2 <= len(strung) <= 3
    assert sum(mixed.duration(name) for name in strung) > 6 * 0.35 / 0.96
    spectra = []
    for person in sorted(persons & {f"so{speaker}" for speaker in TRAIN})[:2]:
        names = [name for name in mixed.recordings if name.startswith(f"{person}_96-")]
        waves = [read_audio(mixed.source(name)) for name in names]
        assert all(np.abs(wave).max() < 1 for wave in waves)
        bands = [np.abs(np.fft.rfft(wave, 32000)).reshape(-1)[:16000].reshape(16, -1).mean(1)
                 for wave in waves]  # fmt: skip
        spectra.append([20 * np.log10(band / band.mean()) for band in bands])
    within = np.abs(spectra[0][0] - spectra[0][1]).mean()
    between = np.abs(spectra[0][0] - spectra[1][0]).mean()
    assert within < 1  # white noise through one response
    assert between > 2 * within


def test_twice_changes_nothing(prepare, root, tmp_path):
    data = tmp_path / "data"
    assert prepare(root, data)[0] == 0
    before = {p: p.stat().st_mtime_ns for p in data.rglob("*")
              if p.is_file() and p.name != "split.list"}
    assert prepare(root, data)[0] == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_training_part_alone_holds_out_its_own_test_speakers(prepare, root, libri, tmp_path):
    data = tmp_path / "data"
    more = ("--librispeech-root", libri, "--librispeech-test", "1", "--librispeech-train", "false")
    status, err = prepare(root / "train", data, *more)
    assert status == 1
    assert "no file" in err  # its paths begin above
    for name in ("wav.scp", "utt2spk"):
        (root / "train" / name).rename(root / name)
    subprocess.run(["rm", "-r", root / "train", root / "test"], check=True)
    assert prepare(root, data, *more)[0] == 0
    assert [len(voices(data, name)) for name in ("train", "dev", "test")] == [5 * 2, 1, 1]
    assert all(voice.startswith("so") for voice in voices(data, "train"))
    assert len(voices(data, "libri_test")) == 1


def missing_audio(root):
    (root / "WAVE/SPEAKER0005/00050035.WAV").unlink()


def no_speaker(root):
    lines = (root / "train/utt2spk").read_text().splitlines(keepends=True)
    (root / "train/utt2spk").write_text("".join(lines[1:]))


def in_both(root):
    for name in ("wav.scp", "utt2spk"):
        text = (root / "train" / name).read_text() + (root / "test" / name).read_text()
        (root / "test" / name).write_text("".join(sorted(text.splitlines(keepends=True))))


def silent(root):
    for number in ("0011", "0035"):
        write_wav(root / f"WAVE/SPEAKER0005/0005{number}.WAV", np.zeros(16000), 16000)


def not_it(root):
    for name in ("train", "test"):
        (root / name).rename(root / f"x{name}")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing_audio, "utterance 00050035: no file"),
        (no_speaker, "utt2spk: utterance 00010011 of wav.scp is missing"),
        (in_both, "speaker so0001 is in train and in test"),
        (silent, "speaker so0005: no stretch of 0.5 s of speech"),
        (not_it, "is this speechocean762?"),
    ],
)
def test_what_is_wrong_is_named(prepare, root, tmp_path, spoil, message):
    spoil(root)
    status, err = prepare(root, tmp_path / "data")
    assert status == 1
    assert message in err


def test_other_counts_than_published_are_refused(prepare, root, tmp_path):
    status, err = prepare(root, tmp_path / "data", "--allow-counts", "")
    assert status == 1
    assert "recordings: got 8, expected 2500" in err
    assert not (tmp_path / "data/train_voices").exists()


def test_data_sh_asks_for_the_corpus(tmp_path):
    done = subprocess.run(
        [RECIPE / "local/data.sh", "--data", tmp_path / "data"], cwd=tmp_path, check=False,
        capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "SPEECHOCEAN762 in db.sh" in done.stderr


def test_committed_split_is_the_rule_s_and_of_the_real_speakers(
    prepare_voices, shared_data, tmp_path
):
    argv = [str(tmp_path), "--root", str(shared_data / "speechocean762_train")]
    chosen = prepare_voices.choose(prepare_voices.get_parser().parse_args(argv))
    assert [len(chosen.sets[name]) for name in ("train", "dev", "test")] == [93, 12, 20]
    listed = read_split(RECIPE / "conf/split.list")
    assert prepare_voices.hold_out(listed, {"dev": 12, "test": 20}, 1) == listed
