"""Scenes of sounds that are not speech, and models with more queries: speechocean762's recipe."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from diarize.io.audio import read_audio, write_wav
from diarize.io.table import read_table, write_table
from diarize.kaldi.datadir import DataDir
from diarize.simulate.draw.common import audio_files
from diarize.tasks.registry import load_task
from diarize.train.checkpoint import load_model

LOCAL = Path(__file__).parents[2] / "egs/speechocean762/diar1/local"
RATE = 16000


@pytest.fixture(scope="module")
def local():
    """A function that imports one of the recipe's modules."""
    sys.path.insert(0, str(LOCAL))
    try:
        yield __import__
    finally:
        sys.path.remove(str(LOCAL))


def test_every_sound_has_its_power_and_no_two_are_the_same(local):
    nonspeech = local("nonspeech")
    long = {"room": nonspeech.room_noise, "hum": nonspeech.hum, "music": nonspeech.music}
    makers = nonspeech.EVENTS | {kind: partial(make, count=RATE) for kind, make in long.items()}
    for kind, make in makers.items():
        one, again, other = (make(np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert np.mean(one**2) == pytest.approx(1.0), kind
        assert np.isfinite(one).all(), kind
        np.testing.assert_array_equal(one, again)
        assert len(one) != len(other) or not np.allclose(one, other), kind


def test_hum_is_at_the_harmonics_of_the_mains(local):
    wave = local("nonspeech").hum(np.random.default_rng(4), 8 * RATE)
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    frequency = np.fft.rfftfreq(len(wave), 1 / RATE)
    near = [np.abs(frequency / base - np.round(frequency / base)) < 0.04 for base in (50, 60)]
    assert max(power[mask].sum() for mask in near) > 0.95 * power.sum()


def test_laughter_is_bursts_several_times_a_second(local):
    for seed in range(10):
        wave = local("nonspeech").laughter(np.random.default_rng(seed))
        envelope = np.sqrt(np.convolve(wave**2, np.ones(800) / 800, "same"))
        spectrum = np.abs(np.fft.rfft(envelope - envelope.mean()))
        rate = np.fft.rfftfreq(len(envelope), 1 / RATE)
        high = spectrum[(rate > 3.2) & (rate < 7.5)].max()
        assert high > 3 * spectrum[rate > 20].max()


def noise_dir(path, names, seconds=1.0):
    """A data directory of noise, a file of ``seconds`` for each name."""
    (path / "wav").mkdir(parents=True)
    rng = np.random.default_rng(len(names))
    for name in names:
        write_wav(path / f"wav/{name}.wav", 0.1 * rng.standard_normal(round(seconds * RATE)), RATE)
    write_table(path / "wav.scp", {name: str(path / f"wav/{name}.wav") for name in names})
    write_table(path / "utt2spk", {name: name for name in names})
    return str(path)


@pytest.fixture
def make(local, tmp_path, capsys):
    """A call of make_nonspeech.py with small inputs: status, standard error."""
    voices = noise_dir(tmp_path / "voices", [f"v{k}" for k in range(9)])
    clips = noise_dir(tmp_path / "clips", ["rain-1-2-A", "rain-5-3-A", "dog-2-4-B"])
    inputs = ["--voices", voices, "--clips", clips, "--seconds", "4", "--count", "6"]

    def call(name, *more):
        argv = [str(tmp_path / name), *inputs, *more]
        return local("make_nonspeech").main(argv), capsys.readouterr().err

    return call


def test_scenes_are_a_data_directory_of_the_seed_for_any_number_of_jobs(make, tmp_path):
    assert make("a", "--nj", "1")[0] == 0
    assert make("b", "--nj", "3")[0] == 0
    data = DataDir.load(tmp_path / "a")
    assert len(audio_files(tmp_path / "a")) == 6
    assert read_table(tmp_path / "a/utt2kinds") == read_table(tmp_path / "b/utt2kinds")
    for name in data.recordings:
        one, other = (read_audio(str(tmp_path / f"{d}/wav/{name}.wav")) for d in "ab")
        np.testing.assert_array_equal(one, other)
        assert len(one) == 4 * RATE
        assert 10 * np.log10(np.mean(one**2)) == pytest.approx(-30, abs=6)
    assert make("c", "--seed", "2", "--nj", "1")[0] == 0
    assert read_table(tmp_path / "c/utt2kinds") != read_table(tmp_path / "a/utt2kinds")


def test_kinds_are_those_wanted_and_no_clip_is_in_both_parts(make, local, tmp_path):
    assert make("a", "--kinds", "hum,breath", "--nj", "1", "--count", "12")[0] == 0
    kinds = {kind for row in read_table(tmp_path / "a/utt2kinds").values() for kind in row.split()}
    assert kinds == {"room", "hum", "breath"}
    load, parser = local("make_nonspeech").load, local("make_nonspeech").get_parser()
    parts = [load(parser.parse_args(["x", "--clips", str(tmp_path / "clips"), "--clips-part", p]))
             for p in ("train", "dev")]  # fmt: skip
    assert [len(part.clips) for part in parts] == [2, 1]
    assert not any(np.array_equal(parts[1].clips[0], clip) for clip in parts[0].clips)


@pytest.mark.parametrize(
    ("more", "token"),
    [(["--kinds", "hum,applause"], "applause"), (["--count", "0"], "--count"),
     (["--voices", "nowhere"], "nowhere")],
)  # fmt: skip
def test_what_is_wrong_is_named(make, more, token):
    status, err = make("a", *more, "--nj", "1")
    assert status == 1
    assert token in err
    assert "Traceback" not in err


def test_more_queries_come_after_those_of_the_model(local, tmp_path):
    model, out = LOCAL.parent / "model/final.pth", tmp_path / "more.pth"
    have = len(load_model(model)[0]["decoder.queries"])
    more = local("more_queries").main
    assert more([str(model), str(out), "--queries", str(have + 4)]) == 0
    (old, _), (new, meta) = load_model(model), load_model(out)
    for name, tensor in old.items():
        if name in ("decoder.queries", "decoder.position"):
            assert new[name].shape == (have + 4, tensor.shape[1])
            torch.testing.assert_close(new[name][:have], tensor)
        else:
            torch.testing.assert_close(new[name], tensor)
    assert meta["config"]["model"]["decoder"]["queries"] == have + 4
    assert load_task(out).capacity == have + 4
    assert more([str(model), str(out), "--queries", "1"]) == 1
