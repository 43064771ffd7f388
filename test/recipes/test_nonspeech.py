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
from diarize.simulate.manifest import Manifest, write_manifest
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


@pytest.fixture
def manifest(tmp_path):
    """Three mixtures in two scenes, the second without babble, and one with coloured noise."""
    scenes = Path(noise_dir(tmp_path / "scenes", ["s1", "s2"]))
    write_table(scenes / "utt2kinds", {"s1": "room babble", "s2": "room"})
    files = audio_files(scenes)
    mixtures = []
    for number, (noise, silence) in enumerate([(files[0], 1), (files[1], 40), ("pink.wav", 2)]):
        utts = [{"file": "a.wav", "gain": 2.0}, {"file": "b.wav", "gain": 2.0}]
        speaker = {"spkid": "a", "rir": "room.wav", "utts": utts, "intervals": [silence, silence]}
        name = f"mix_{number}"
        mixtures.append(
            (name, {"speakers": [speaker], "noise": noise, "snr": 10, "recid": name})
        )
    write_manifest(tmp_path / "mixture.scp", mixtures)
    return dict(mixtures)


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("babble", {"mix_0": ("noise", "s2.wav")}),
        ("scenes", {"mix_0": ("noise", None), "mix_1": ("noise", None)}),
        ("noise", {"mix_0": ("noise", None), "mix_1": ("noise", None), "mix_2": ("noise", None)}),
        ("pauses", {}),
    ],
)
def test_a_manifest_without_an_ingredient_differs_in_it_alone(
    local, manifest, tmp_path, what, changed
):
    argv = [tmp_path / "mixture.scp", tmp_path / "out.scp", "--scenes", tmp_path / "scenes"]
    assert local("leave_out").main([*map(str, argv), "--without", what]) == 0
    found = dict(Manifest(tmp_path / "out.scp"))
    assert found.keys() == manifest.keys() - ({"mix_1"} if what == "pauses" else set())
    for name, mixture in found.items():
        before = manifest[name]
        if name not in changed:
            assert mixture == before
            continue
        assert mixture["speakers"] == before["speakers"]
        noise = changed[name][1]
        assert (mixture["noise"] or "").endswith(noise or "")
        assert mixture["noise"] != before["noise"]


@pytest.mark.parametrize(("what", "key"), [("rooms", "rir"), ("levels", "utts")])
def test_a_manifest_without_rooms_or_levels(local, manifest, tmp_path, what, key):
    argv = [tmp_path / "mixture.scp", tmp_path / "out.scp", "--scenes", tmp_path / "scenes"]
    assert local("leave_out").main([*map(str, argv), "--without", what]) == 0
    for name, mixture in Manifest(tmp_path / "out.scp"):
        [now], [before] = mixture["speakers"], manifest[name]["speakers"]
        assert {k: v for k, v in now.items() if k != key} == {
            k: v for k, v in before.items() if k != key
        }
        assert now["rir"] is None if key == "rir" else {u["gain"] for u in now["utts"]} == {0.0}


def test_an_unknown_ingredient_is_named(local, manifest, tmp_path, capsys):
    argv = [tmp_path / "mixture.scp", tmp_path / "out.scp", "--scenes", tmp_path / "scenes"]
    assert local("leave_out").main([*map(str, argv), "--without", "applause"]) == 1
    assert "applause" in capsys.readouterr().err
    assert not (tmp_path / "out.scp").exists()


def test_the_test_set_without_speech_is_of_three_kinds_and_its_seed(local, tmp_path):
    main = local("quiet_test").main
    for name in "ab":
        assert main([str(tmp_path / name), "--count", "7", "--seconds", "2"]) == 0
    data = DataDir.load(tmp_path / "a")
    kinds = [name.split("-")[0] for name in data.recordings]
    assert {kind: kinds.count(kind) for kind in kinds} == {"hum": 2, "music": 2, "silence": 3}
    for name in data.recordings:
        one, other = (read_audio(str(tmp_path / f"{d}/wav/{name}.wav")) for d in "ab")
        np.testing.assert_array_equal(one, other)
        loud = 10 * np.log10(np.mean(one**2) + 1e-12)
        assert loud < -45 if name.startswith("silence") else -45 < loud < -10
    assert main([str(tmp_path / "c"), "--count", "0"]) == 1
