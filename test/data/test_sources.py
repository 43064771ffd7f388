"""Training examples: crops, labels, determinism, silent speakers."""

import json

import numpy as np
import pytest
import soundfile

from diarize.data.crops import CropOptions, RandomCrops, change_speed, make_example
from diarize.data.examples import Example, collate
from diarize.data.sources import open_source
from diarize.errors import DiarizeError
from diarize.io.audio import write_wav
from diarize.timebase import FrameGrid

GRID = FrameGrid()


def sine(seconds, level=0.3):
    return (level * np.sin(np.arange(round(seconds * 16000)) * 0.1)).astype(np.float32)


@pytest.fixture
def data_dir(tmp_path):
    """Two recordings; in `a` speaker A speaks in [1, 2) and B in [3, 4.5)."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, seconds in (("a", 6.0), ("b", 2.0)):
        write_wav(tmp_path / f"{name}.wav", sine(seconds), 16000)
    (folder / "wav.scp").write_text(f"a {tmp_path}/a.wav\nb {tmp_path}/b.wav\n")
    rows = [("a", 1, 1, "A"), ("a", 3, 1.5, "B"), ("b", 0, 2, "A")]
    (folder / "rttm").write_text(
        "".join(f"SPEAKER {r} 1 {s} {d} <NA> <NA> {n} <NA> <NA>\n" for r, s, d, n in rows)
    )
    return folder


@pytest.fixture
def manifest(tmp_path):
    write_wav(tmp_path / "u1.wav", sine(1.0), 16000)
    write_wav(tmp_path / "u2.wav", sine(0.5), 16000)
    mixture = {
        "speakers": [
            {"spkid": "s1", "rir": None, "utts": [f"{tmp_path}/u1.wav"], "intervals": [0.25]},
            {"spkid": "s2", "rir": None, "utts": [f"{tmp_path}/u2.wav"], "intervals": [1.0]},
        ],
        "noise": None, "snr": None, "recid": "m1",
    }
    path = tmp_path / "mixture.scp"
    path.write_text(f"m1 {json.dumps(mixture)}\n")
    return path


def test_labels_of_a_crop_are_those_of_the_reference(data_dir):
    source = open_source(data_dir, 16000)
    waveform, segments = source.read(0, 24000, 56000)  # seconds 1.5 to 3.5
    assert len(waveform) == 32000
    example = make_example("a", waveform, segments, GRID)
    assert example.activity.shape == (200, 2)
    assert np.flatnonzero(example.activity[:, 0]).tolist() == list(range(50))
    assert np.flatnonzero(example.activity[:, 1]).tolist() == list(range(150, 200))


def test_a_speaker_silent_in_the_crop_is_no_target(data_dir):
    source = open_source(data_dir, 16000)
    example = make_example("a", *source.read(0, 0, 40000), GRID)
    assert example.activity.shape == (250, 1)
    silent = make_example("a", *source.read(0, 0, 8000), GRID)
    assert silent.activity.shape == (50, 0)


def test_a_manifest_is_rendered_on_the_fly(manifest):
    source = open_source(manifest, 16000)
    assert source.num_samples(0) == 24000
    waveform, segments = source.read(0, 0, 24000)
    assert [(s.label, s.start, s.end) for s in segments] == [("s1", 0.25, 1.25), ("s2", 1.0, 1.5)]
    np.testing.assert_allclose(waveform[4000:16000], sine(1.0)[:12000], atol=2e-5)
    whole = make_example("m1", waveform, segments, GRID)
    part = make_example("m1", *source.read(0, 8000, 20000), GRID)
    np.testing.assert_array_equal(part.activity, whole.activity[50:125])
    np.testing.assert_allclose(part.waveform, whole.waveform[8000:20000], atol=1e-6)


def test_crops_are_a_function_of_seed_and_index(data_dir):
    def make(seed):
        return RandomCrops([open_source(data_dir, 16000)], CropOptions(1.0), GRID, seed)

    one, again, other = make(1), make(1), make(2)
    for index in (5, 0, 17):
        a, b = one[index], again[index]
        assert a.name == b.name
        np.testing.assert_array_equal(a.waveform, b.waveform)
        np.testing.assert_array_equal(a.activity, b.activity)
    assert any(not np.array_equal(one[i].activity, other[i].activity) for i in range(20))


def test_each_epoch_takes_every_recording_once(data_dir, manifest):
    sources = [open_source(data_dir, 16000), open_source(manifest, 16000)]
    crops = RandomCrops(sources, CropOptions(1.0, sampling="recording"), GRID, 0)
    assert len(crops) == 3
    for epoch in range(4):
        names = {crops[3 * epoch + i].name for i in range(3)}
        assert names == {"a", "b", "m1"}
    assert all(len(crops[i].waveform) == 16000 for i in range(6))


def test_speed_moves_pitch_and_labels_together(manifest):
    source = open_source(manifest, 16000)
    waveform, segments = source.read(0, 0, 24000)
    fast, moved = change_speed(waveform, segments, 125)
    assert len(fast) == 19200
    assert moved[0].start == pytest.approx(0.2)
    assert moved[0].end == pytest.approx(1.0)
    spectrum = np.abs(np.fft.rfft(fast[3300:11000]))
    assert np.argmax(spectrum) * 2 * np.pi / 7700 == pytest.approx(0.125, abs=1e-3)
    crops = RandomCrops([source], CropOptions(0.8, speed=(0.9, 1.1)), GRID, 0)
    lengths = {len(crops[i].waveform) for i in range(20)}
    assert lengths == {12800}
    assert all(len(crops[i].activity) == 80 for i in range(20))


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """A data directory: mono 16 bits, 8 channels, another rate, a pipe, a path beside wav.scp."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "real"
    (folder / "wav").mkdir(parents=True)
    wave = 0.1 * rng.standard_normal((80000, 8))
    soundfile.write(tmp_path / "mono.flac", wave[:, 0], 16000, subtype="PCM_16")
    soundfile.write(tmp_path / "array.flac", wave, 16000, subtype="PCM_16")
    soundfile.write(tmp_path / "phone.wav", wave[:40000, 0], 8000, subtype="PCM_16")
    soundfile.write(folder / "wav" / "near.wav", wave[:, 1], 16000, subtype="PCM_16")
    count = tmp_path / "count"
    pipe = f"echo x >> {count}; cat {tmp_path}/mono.flac |"
    names = {
        "array": f"{tmp_path}/array.flac",
        "mono": f"{tmp_path}/mono.flac",
        "near": "wav/near.wav",
        "phone": f"{tmp_path}/phone.wav",
        "piped": pipe,
    }
    (folder / "wav.scp").write_text("".join(f"{n} {p}\n" for n, p in names.items()))
    (folder / "reco2dur").write_text("".join(f"{n} 5.00\n" for n in names))
    (folder / "rttm").write_text(
        "".join(f"SPEAKER {n} 1 1 2 <NA> <NA> A <NA> <NA>\n" for n in names)
    )
    return folder, count


def test_recordings_are_decoded_once_into_the_store(recordings):
    folder, count = recordings
    plain = open_source(folder, 16000, allow_pipes=True, store=False)
    stored = open_source(folder, 16000, allow_pipes=True)
    assert len(list((folder / "store").glob("int16-*.json"))) == 1
    again = open_source(folder, 16000, allow_pipes=True)
    # The pipe ran once for the check of the one, and once for the store of the other.
    assert count.read_text().count("x") == 2
    rng = np.random.default_rng(1)
    for index in range(5):
        name = stored.name(index)
        assert stored.num_samples(index) == plain.num_samples(index) == 80000
        for _ in range(5):
            start, stop = np.sort(rng.integers(0, 80000, 2)).tolist()
            stop += 1
            expected, labels = plain.read(index, start, stop)
            got, found = stored.read(index, start, stop)
            assert found == labels
            step = 0.51 * stored.store.entries[stored.keys[name]].scale
            exact = name in ("mono", "near", "piped")
            np.testing.assert_allclose(got, expected, atol=0 if exact else step, rtol=0)
            np.testing.assert_array_equal(got, again.read(index, start, stop)[0])
        assert step < 0.51 / 32767


def test_store_of_recordings_can_lie_elsewhere_or_be_switched_off(data_dir, tmp_path):
    open_source(data_dir, 16000, store_dir=tmp_path / "fast")
    (samples,) = (tmp_path / "fast").glob("int16-*.samples")
    assert samples.stat().st_size == 2 * 8 * 16000
    source = open_source(data_dir, 16000, store=False)
    assert source.store is None
    # Only the note of what has been decoded.
    assert [p.name for p in (data_dir / "store").iterdir() if p.name != ".lock"] == ["decoded.json"]


@pytest.mark.parametrize("store", [False, True])
def test_a_recording_shorter_than_reco2dur_is_named(data_dir, store):
    (data_dir / "reco2dur").write_text("a 60.0\nb 2.0\n")
    with pytest.raises(DiarizeError, match=r"recording a: .*reco2dur .*60\.00 s.* 6\.00 s"):
        open_source(data_dir, 16000, store=store)
    (data_dir / "reco2dur").write_text("a 6.4\nb 2.0\n")
    source = open_source(data_dir, 16000, store=store)
    assert len(source.read(0, 90000, 100000)[0]) == 6000  # up to the end


def test_annotation_beyond_the_audio_of_a_command_is_refused(data_dir, tmp_path):
    """Its length is known when the command has run; in milliseconds nobody would speak."""
    (data_dir / "wav.scp").write_text(f"a {tmp_path}/a.wav\nb cat {tmp_path}/b.wav |\n")
    open_source(data_dir, 16000, allow_pipes=True)
    with open(data_dir / "rttm", "a") as handle:
        handle.write("SPEAKER b 1 500 1000 <NA> <NA> B <NA> <NA>\n")
    with pytest.raises(DiarizeError, match=r"rttm: recording b: 1000.0 of 1002.0 s"):
        open_source(data_dir, 16000, allow_pipes=True)


def test_collate_pads_with_zeros():
    one = Example("a", np.ones(320, np.float32), np.ones((2, 1), bool))
    two = Example("b", np.ones(160, np.float32), np.ones((1, 2), bool))
    batch = collate([one, two], 16000)
    assert batch.waveforms.sum(1).tolist() == [320, 160]
    assert batch.num_samples.tolist() == [320, 160]
    assert batch.targets[0].tolist() == [[1, 0], [1, 0]]
    assert batch.targets[1].tolist() == [[1, 1], [0, 0]]
    assert batch.num_speakers == [1, 2]
    assert batch.seconds == pytest.approx(0.03)


def test_faults_are_named(tmp_path, data_dir):
    with pytest.raises(DiarizeError, match="no training data at nowhere"):
        open_source("nowhere", 16000)
    with pytest.raises(DiarizeError, match="no training recordings"):
        RandomCrops([], CropOptions(1.0), GRID, 0)
    (data_dir / "rttm").unlink()
    with pytest.raises(DiarizeError, match=r"rttm|segments"):
        open_source(data_dir, 16000)
    with pytest.raises(DiarizeError, match="recording x: 79 samples are less than one frame"):
        make_example("x", np.zeros(79, np.float32), [], GRID)


def test_buckets_are_of_one_length_and_a_round_is_still_all(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    lengths = np.random.default_rng(0).permutation(40) * 800 + 1600
    names = [f"r{i:02d}" for i in range(40)]
    for name, length in zip(names, lengths, strict=True):
        write_wav(folder / f"{name}.wav", sine(length / 16000), 16000)
    (folder / "wav.scp").write_text("".join(f"{n} {folder}/{n}.wav\n" for n in names))
    (folder / "rttm").write_text(
        "".join(f"SPEAKER {n} 1 0 0.1 <NA> <NA> A <NA> <NA>\n" for n in names)
    )
    source = open_source(folder, 16000)

    def round_of(bucket, epoch):
        options = CropOptions(3.0, bucket=bucket, sampling="recording")
        crops = RandomCrops([source], options, GRID, 5)
        return [crops[40 * epoch + i] for i in range(40)]

    def padding(examples):
        sizes = np.array([len(e.waveform) for e in examples]).reshape(-1, 4)
        return 1 - sizes.sum() / (4 * sizes.max(1).sum())

    for epoch in (0, 1):
        bucketed = round_of(4, epoch)
        assert sorted(e.name for e in bucketed) == names
        assert padding(bucketed) < 0.1
        assert padding(round_of(0, epoch)) > 0.2
    assert [e.name for e in round_of(4, 0)] != [e.name for e in round_of(4, 1)]
    assert [e.name for e in round_of(4, 0)] == [e.name for e in round_of(4, 0)]


def test_durations_of_pipes_are_found_once(data_dir, tmp_path):
    """Each look at a duration ran the command again where there was more than one pipe."""
    lines = (f"{r} cat {tmp_path}/{r}.wav; echo {r} >> {tmp_path}/runs |\n" for r in "ab")
    (data_dir / "wav.scp").write_text("".join(lines))
    source = open_source(data_dir, 16000, allow_pipes=True, store=False)
    RandomCrops([source], CropOptions(crop_seconds=1.0, sampling="duration"), GRID, seed=0)
    assert [source.num_samples(i) for i in (0, 1, 0, 1)] == [96000, 32000] * 2
    assert sorted((tmp_path / "runs").read_text().split()) == ["a", "b"]
