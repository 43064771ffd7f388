"""Audio store: decoded once, whole or not there, made again where its sources changed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from diarize.errors import DiarizeError
from diarize.io.audio import read_audio, write_wav
from diarize.simulate.band_pass import band_pass
from diarize.simulate.mix import store as store_module
from diarize.simulate.mix.store import (
    FLOAT32,
    AudioKey,
    StoreOptions,
    open_store,
)


@pytest.fixture
def waves(tmp_path):
    """Five 16-bit files of noise; their names."""
    rng = np.random.default_rng(0)
    names = []
    for i in range(5):
        write_wav(tmp_path / f"w{i}.wav", 0.1 * rng.standard_normal(3000 + i), 16000)
        names.append(f"{tmp_path}/w{i}.wav")
    return names


def shards(folder):
    return {p.stem: p.stat().st_mtime_ns for p in folder.glob("*.samples")}


def damaged_shards(folder):
    """The shards whose samples differ from the checksums in their indices."""
    out = []
    for path in folder.glob("*.json"):
        samples = np.fromfile(path.with_suffix(".samples"), path.stem.partition("-")[0])
        places = json.loads(path.read_text())["places"]
        if any(zlib.crc32(samples[at : at + n]) != crc32 for at, n, _, crc32 in places):
            out.append(path.stem)
    return out


def test_samples_of_16_bits_are_kept_exactly(waves, tmp_path):
    store = open_store(tmp_path / "store", [AudioKey(name) for name in waves])
    for name in waves:
        np.testing.assert_array_equal(store.read(AudioKey(name)), read_audio(name))
    assert len(shards(tmp_path / "store")) == 1
    (samples,) = (tmp_path / "store").glob("*.samples")
    assert samples.stat().st_size == 2 * sum(3000 + i for i in range(5))


def test_other_samples_are_rounded_at_their_peak_and_rooms_not_at_all(tmp_path):
    wave = (1.7 * np.sin(np.arange(4000))).astype(np.float32)
    path = f"{tmp_path}/loud.wav"
    soundfile.write(path, wave, 16000, subtype="FLOAT")
    store = open_store(tmp_path / "store", [AudioKey(path), AudioKey(path, FLOAT32)])
    np.testing.assert_allclose(store.read(AudioKey(path)), wave, atol=1.7 / 32767 / 2 * 1.01)
    np.testing.assert_array_equal(store.read(AudioKey(path, FLOAT32)), wave)


def test_a_band_is_that_of_the_whole_file(waves, tmp_path):
    source = AudioKey(waves[0], band=(300.0, 3400.0))
    store = open_store(tmp_path / "store", [source])
    expected = band_pass(read_audio(waves[0]), (300.0, 3400.0), 16000)
    np.testing.assert_allclose(store.read(source), expected, atol=2e-5)


def test_what_is_there_stays_and_what_is_new_comes_behind(waves, tmp_path):
    folder = tmp_path / "store"
    open_store(folder, [AudioKey(name) for name in waves[:3]])
    before = shards(folder)
    store = open_store(folder, [AudioKey(name) for name in waves[1:]])
    after = shards(folder)
    assert len(after) == 2
    assert before.items() <= after.items()
    np.testing.assert_array_equal(store.read(AudioKey(waves[4])), read_audio(waves[4]))


def test_changed_sources_are_decoded_again_and_lost_ones_are_kept(waves, tmp_path):
    folder, options = tmp_path / "store", StoreOptions(shard_bytes=7000)
    sources = [AudioKey(name) for name in waves]
    open_store(folder, sources, options)
    before = shards(folder)
    assert len(before) == 5
    kept = read_audio(waves[3])
    os.unlink(waves[3])
    write_wav(waves[1], np.full(5000, 0.5), 16000)
    store = open_store(folder, sources, options)
    assert np.all(store.read(sources[1]) == 0.5)
    np.testing.assert_array_equal(store.read(sources[3]), kept)
    changed = {name for name, time in shards(folder).items() if before[name] != time}
    assert changed == {store.entries[sources[1]].shard}


@pytest.mark.parametrize("damage", ["flip", "cut", "index"])
def test_damage_is_found_and_mended(waves, tmp_path, damage, caplog):
    folder, sources = tmp_path / "store", [AudioKey(name) for name in waves]
    shard = open_store(folder, sources).entries[sources[0]].shard
    assert damaged_shards(folder) == []
    path = folder / f"{shard}.samples"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[777] ^= 1
        path.write_bytes(data)
        assert damaged_shards(folder) == [shard]
    elif damage == "cut":
        path.write_bytes(data[:-2])
    else:
        (folder / f"{shard}.json").write_text("{")
    store = open_store(folder, sources)
    assert damaged_shards(folder) == []
    np.testing.assert_array_equal(store.read(sources[2]), read_audio(waves[2]))


def test_a_killed_build_continues_with_the_missing_shards(waves, tmp_path, monkeypatch):
    folder, keys = tmp_path / "store", [AudioKey(name) for name in waves]
    shard = open_store(folder, keys, StoreOptions(shard_bytes=7000)).entries[keys[2]].shard
    before = shards(folder)
    (folder / f"{shard}.json").unlink()  # its index comes last
    (folder / f".{shard}.samples.x.diarize.tmp").write_bytes(b"half")
    monkeypatch.setattr("diarize.io.atomic._cleaned", set())  # as in the process of the next run
    open_store(folder, keys, StoreOptions(shard_bytes=7000))
    changed = {name for name, time in shards(folder).items() if before[name] != time}
    assert changed == {shard}
    assert not list(folder.glob("*.tmp")) + list(folder.glob(".*.tmp"))


def test_processes_that_open_one_store_share_the_decoding(waves, tmp_path):
    code = (
        "import sys, time\n"
        "from diarize.simulate.mix import store\n"
        "real, made = store.read_blocks, []\n"
        "def slow(source, rate):\n"
        "    made.append(source.rxfilename)\n"
        "    time.sleep(0.3)\n"
        "    return real(source, rate)\n"
        "store.read_blocks = slow\n"
        "found = store.open_store(sys.argv[1], [store.AudioKey(n) for n in sys.argv[2:]],"
        " store.StoreOptions(shard_bytes=7000))\n"
        "assert len(found.entries) == 5\n"
        "print(*made)\n"
    )
    folder = tmp_path / "store"
    command = [sys.executable, "-c", code, str(folder), *waves]
    jobs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    made = [job.communicate(timeout=60)[0].split() for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0]
    assert sorted(name for names in made for name in names) == sorted(waves)
    assert sum(map(bool, made)) >= 2


def test_long_recordings_pass_through_in_blocks(tmp_path):
    """More than one block, in the file's own scale and in one of its peak, at another rate."""
    rng = np.random.default_rng(1)
    exact = (rng.integers(-3000, 3000, 8000 * 1300) / 32768).astype(np.float32)
    soundfile.write(tmp_path / "exact.flac", exact, 8000, subtype="PCM_16")
    two = np.stack([exact[: 8000 * 700], np.roll(exact, 5)[: 8000 * 700]], axis=1)
    soundfile.write(tmp_path / "two.flac", two, 8000, subtype="PCM_16")
    keys = [AudioKey(f"{tmp_path}/{name}.flac") for name in ("exact", "two")]
    store = open_store(tmp_path / "store8", keys, StoreOptions(sample_rate=8000))
    np.testing.assert_array_equal(store.read(keys[0]), exact)
    step = store.entries[keys[1]].scale
    expected = read_audio(keys[1].name, sample_rate=8000)
    assert step == pytest.approx(np.abs(expected).max() / 32767)
    np.testing.assert_allclose(store.read(keys[1]), expected, atol=0.51 * step, rtol=0)
    store = open_store(tmp_path / "store11", keys[1:], StoreOptions(sample_rate=11025))
    expected = read_audio(keys[1].name, sample_rate=11025)
    step = store.entries[keys[1]].scale
    np.testing.assert_allclose(store.read(keys[1]), expected, atol=0.51 * step, rtol=0)
    assert not list((tmp_path / "store8").glob("*.tmp"))


def test_members_of_an_ark_share_a_shard(waves, tmp_path):
    ark, names = b"", []
    for i, name in enumerate(waves):
        ark += f"w{i} ".encode()
        names.append(f"{tmp_path}/wav.ark:{len(ark)}")
        ark += Path(name).read_bytes()
    (tmp_path / "wav.ark").write_bytes(ark)
    store = open_store(tmp_path / "store", map(AudioKey, names), StoreOptions(shard_bytes=1 << 24))
    assert len(shards(tmp_path / "store")) == 1
    for name, member in zip(waves, names, strict=True):
        np.testing.assert_array_equal(store.read(AudioKey(member)), read_audio(name))


def test_need_is_printed_before_decoding_and_a_full_disk_refused(
    waves, tmp_path, capsys, monkeypatch
):
    keys = [AudioKey(name) for name in waves]
    open_store(tmp_path / "quiet", keys)
    assert capsys.readouterr().err == ""  # too little to be worth a line
    monkeypatch.setattr(store_module, "_QUIET_BYTES", 0)
    open_store(tmp_path / "store", keys)
    assert "decoding 5 files: 0.00 h take 0.03 MB" in capsys.readouterr().err
    open_store(tmp_path / "store", keys)
    assert capsys.readouterr().err == ""
    usage = shutil.disk_usage(tmp_path)._replace(free=29000)
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiarizeError, match=r"other: .*0\.03 MB.* are free.*data\.store_dir"):
        open_store(tmp_path / "other", keys)
    monkeypatch.undo()
    os.unlink(waves[4])
    (tmp_path / "third").mkdir()
    with pytest.raises(DiarizeError, match=r"w4\.wav"):
        open_store(tmp_path / "third", keys, StoreOptions(shard_bytes=7000))
    assert shards(tmp_path / "third") == {}  # the missing file was named before any decoding


def test_kill_9_of_a_build_leaves_whole_shards_only(waves, tmp_path):
    code = (
        "import sys, time\n"
        "from diarize.simulate.mix import store\n"
        "real = store.read_blocks\n"
        "store.read_blocks = lambda *a: (time.sleep(0.2), real(*a))[1]\n"
        "store.open_store(sys.argv[1], [store.AudioKey(n) for n in sys.argv[2:]],"
        " store.StoreOptions(shard_bytes=7000))\n"
    )
    folder = tmp_path / "store"
    child = subprocess.Popen([sys.executable, "-c", code, str(folder), *waves])
    deadline = time.monotonic() + 30
    while len(list(folder.glob("*.json"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait(30)
    kept = {p.stem: p.stat().st_mtime_ns for p in folder.glob("*.json")}
    sources = [AudioKey(name) for name in waves]
    store = open_store(folder, sources, StoreOptions(shard_bytes=7000))
    now = {p.stem: p.stat().st_mtime_ns for p in folder.glob("*.json")}
    assert len(kept) >= 2
    assert kept.items() <= now.items()
    assert len(now) == 5
    for source in sources:
        np.testing.assert_array_equal(store.read(source), read_audio(source.name))


def test_faults_name_the_file(waves, tmp_path):
    folder = tmp_path / "store"
    with pytest.raises(DiarizeError, match=r"gone\.wav"):
        open_store(folder, [AudioKey("gone.wav")])
    with pytest.raises(DiarizeError, match="not run unless allowed"):
        open_store(tmp_path / "piped", [AudioKey(f"cat {waves[0]} |")])
    piped = AudioKey(f"cat {waves[0]} |")
    store = open_store(tmp_path / "piped", [piped], StoreOptions(allow_pipes=True))
    np.testing.assert_array_equal(store.read(piped), read_audio(waves[0]))
    open_store(tmp_path / "good", [AudioKey(waves[0])])
    store = open_store(tmp_path / "good", [AudioKey(waves[0])], StoreOptions(sample_rate=8000))
    assert store.entries[AudioKey(waves[0])].length == 1500  # beside that of 16000 Hz
    (tmp_path / "file").write_text("")
    with pytest.raises(DiarizeError, match=r"data\.store_dir"):
        open_store(tmp_path / "file", [AudioKey(waves[0])])


def test_the_index_says_what_is_where(waves, tmp_path):
    store = open_store(tmp_path / "store", [AudioKey(name) for name in waves[:2]])
    shard = store.entries[AudioKey(waves[0])].shard
    index = json.loads((tmp_path / "store" / f"{shard}.json").read_text())
    assert [row[0] for row in index["sources"]] == waves[:2]
    assert [place[:2] for place in index["places"]] == [[0, 3000], [3000, 3001]]
    assert (index["sample_rate"], index["samples"]) == (16000, 6001)


def test_a_source_that_failed_once_does_not_stay_in_the_way(waves, tmp_path):
    """Nothing of a failed opening remains but whole shards: what counts is what is wanted now."""
    folder, options = tmp_path / "store", StoreOptions(shard_bytes=1 << 20)
    keys = [AudioKey(name) for name in waves]
    missing, broken = AudioKey(f"{tmp_path}/a_missing.wav"), AudioKey(f"{tmp_path}/w_broken.flac")
    soundfile.write(broken.name, np.random.default_rng(0).uniform(-0.5, 0.5, 99999), 16000)
    data = Path(broken.name).read_bytes()
    Path(broken.name).write_bytes(data[:60000] + bytes(200) + data[60200:])
    for wrong in (missing, broken):
        with pytest.raises(DiarizeError, match=Path(wrong.name).name):
            open_store(folder, [*keys, wrong], options)
    for subset in (keys, keys[1:3]):
        store = open_store(folder, subset, options)
        for key in subset:
            np.testing.assert_array_equal(store.read(key), read_audio(key.name))
    write_wav(missing.name, np.full(100, 0.5), 16000)
    assert open_store(folder, [*keys, missing], options).entries[missing].length == 100


def test_changed_files_of_a_shard_do_not_hide_the_others(waves, tmp_path, caplog):
    folder, keys = tmp_path / "store", [AudioKey(name) for name in waves]
    open_store(folder, keys)
    write_wav(waves[1], np.full(5000, 0.5), 16000)
    for _ in range(2):
        store = open_store(folder, keys)
        assert np.all(store.read(keys[1]) == 0.5)
    assert len({entry.shard for entry in store.entries.values()}) == 2
    (record,) = caplog.records  # said once, since the second opening finds the new audio
    assert record.getMessage().endswith("w1.wav")
    for name, band in ((waves[2], None), (waves[2], (80.0, 7000.0)), (waves[3], None)):
        keys.append(AudioKey(name, band=band))
    open_store(folder, keys)
    for name in waves[2:4]:
        write_wav(name, np.full(6000, 0.5), 16000)
    open_store(folder, keys)
    assert caplog.records[-1].getMessage().endswith("w2.wav and 1 more")
    assert damaged_shards(folder) == []
