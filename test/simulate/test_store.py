"""The arena: decoded once, whole or not there, made again where its sources changed."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from diarize.errors import DiarizeError
from diarize.io.audio import read_audio, write_wav
from diarize.simulate.mix import store as store_module
from diarize.simulate.mix.store import FLOAT32, Source, StoreOptions, open_store, to_int16, verify
from diarize.simulate.pieces import band_pass


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
    return {p.name: p.stat().st_mtime_ns for p in folder.glob("shard-*.samples")}


def test_samples_of_16_bits_are_kept_exactly(waves, tmp_path):
    arena = open_store(tmp_path / "arena", [Source(name) for name in waves])
    for name in waves:
        np.testing.assert_array_equal(arena.read(Source(name)), read_audio(name))
    assert len(shards(tmp_path / "arena")) == 1
    assert arena.num_bytes == 2 * sum(3000 + i for i in range(5))


def test_other_samples_are_rounded_at_their_peak_and_rooms_not_at_all(tmp_path):
    wave = (1.7 * np.sin(np.arange(4000))).astype(np.float32)
    path = f"{tmp_path}/loud.wav"
    soundfile.write(path, wave, 16000, subtype="FLOAT")
    arena = open_store(tmp_path / "arena", [Source(path), Source(path, FLOAT32)])
    np.testing.assert_allclose(arena.read(Source(path)), wave, atol=1.7 / 32767 / 2 * 1.01)
    np.testing.assert_array_equal(arena.read(Source(path, FLOAT32)), wave)
    assert to_int16(np.zeros(3, np.float32)) [1] == 1 / 32768


def test_a_band_is_that_of_the_whole_file(waves, tmp_path):
    source = Source(waves[0], band=(300.0, 3400.0))
    arena = open_store(tmp_path / "arena", [source])
    expected = band_pass(read_audio(waves[0]), (300.0, 3400.0), 16000)
    np.testing.assert_allclose(arena.read(source), expected, atol=2e-5)


def test_what_is_there_stays_and_what_is_new_comes_behind(waves, tmp_path):
    folder = tmp_path / "arena"
    open_store(folder, [Source(name) for name in waves[:3]])
    before = shards(folder)
    arena = open_store(folder, [Source(name) for name in waves[1:]])
    after = shards(folder)
    assert len(after) == 2
    assert before.items() <= after.items()
    np.testing.assert_array_equal(arena.read(Source(waves[4])), read_audio(waves[4]))


def test_changed_sources_are_decoded_again_and_lost_ones_are_kept(waves, tmp_path):
    folder, options = tmp_path / "arena", StoreOptions(shard_bytes=7000)
    sources = [Source(name) for name in waves]
    open_store(folder, sources, options)
    before = shards(folder)
    assert len(before) == 5
    kept = read_audio(waves[3])
    os.unlink(waves[3])
    write_wav(waves[1], np.full(5000, 0.5), 16000)
    arena = open_store(folder, sources, options)
    assert np.all(arena.read(sources[1]) == 0.5)
    np.testing.assert_array_equal(arena.read(sources[3]), kept)
    changed = {name for name, time in shards(folder).items() if before[name] != time}
    assert changed == {"shard-00001.samples"}


@pytest.mark.parametrize("damage", ["flip", "cut", "index"])
def test_damage_is_found_and_mended(waves, tmp_path, damage, caplog):
    folder, sources = tmp_path / "arena", [Source(name) for name in waves]
    open_store(folder, sources)
    assert verify(folder) == []
    path = folder / "shard-00000.samples"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[777] ^= 1
        path.write_bytes(data)
        assert verify(folder) == [0]
    elif damage == "cut":
        path.write_bytes(data[:-2])
    else:
        (folder / "shard-00000.json").write_text("{")
    arena = open_store(folder, sources)
    assert verify(folder) == []
    np.testing.assert_array_equal(arena.read(sources[2]), read_audio(waves[2]))


def test_jobs_build_their_shards_and_one_that_is_killed_goes_on(waves, tmp_path):
    folder, sources = tmp_path / "arena", [Source(name) for name in waves]
    for job in range(2):
        part = StoreOptions(job=job, num_jobs=2, shard_bytes=7000)
        arena = open_store(folder, sources, part)
        assert len(arena.entries) == (3, 5)[job]
    before = shards(folder)
    (folder / "shard-00002.json").unlink()  # its index comes last
    (folder / ".shard-00004.samples.x.tmp").write_bytes(b"half")
    open_store(folder, sources, StoreOptions(shard_bytes=7000))
    changed = {name for name, time in shards(folder).items() if before[name] != time}
    assert changed == {"shard-00002.samples"}
    assert not list(folder.glob("*.tmp")) + list(folder.glob(".*.tmp"))


def test_kill_9_of_a_build_leaves_whole_shards_only(waves, tmp_path):
    code = (
        "import sys, time\n"
        "from diarize.simulate.mix import store\n"
        "real = store.read_audio\n"
        "store.read_audio = lambda *a: (time.sleep(0.2), real(*a))[1]\n"
        "store.open_store(sys.argv[1], [store.Source(n) for n in sys.argv[2:]],"
        " store.StoreOptions(shard_bytes=7000))\n"
    )
    folder = tmp_path / "arena"
    child = subprocess.Popen([sys.executable, "-c", code, str(folder), *waves])
    deadline = time.monotonic() + 30
    while len(list(folder.glob("shard-*.json"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait(30)
    kept = shards(folder)
    sources = [Source(name) for name in waves]
    arena = open_store(folder, sources, StoreOptions(shard_bytes=7000))
    assert all(shards(folder)[f"shard-{i:05d}.samples"] == kept[f"shard-{i:05d}.samples"]
               for i in range(2))  # fmt: skip
    for source in sources:
        np.testing.assert_array_equal(arena.read(source), read_audio(source.name))


def test_faults_name_the_file(waves, tmp_path):
    folder = tmp_path / "arena"
    with pytest.raises(DiarizeError, match=r"gone\.wav"):
        open_store(folder, [Source("gone.wav")])
    with pytest.raises(DiarizeError, match="not run unless allowed"):
        open_store(tmp_path / "piped", [Source(f"cat {waves[0]} |")])
    piped = Source(f"cat {waves[0]} |")
    arena = open_store(tmp_path / "piped", [piped], StoreOptions(allow_pipes=True))
    np.testing.assert_array_equal(arena.read(piped), read_audio(waves[0]))
    open_store(tmp_path / "good", [Source(waves[0])])
    with pytest.raises(DiarizeError, match="holds audio of 16000 Hz, not 8000"):
        open_store(tmp_path / "good", [Source(waves[0])], StoreOptions(sample_rate=8000))
    (tmp_path / "file").write_text("")
    with pytest.raises(DiarizeError, match=r"data\.arena_dir"):
        open_store(tmp_path / "file", [Source(waves[0])])


def test_the_index_says_what_is_where(waves, tmp_path):
    open_store(tmp_path / "arena", [Source(name) for name in waves[:2]])
    index = json.loads((tmp_path / "arena" / "shard-00000.json").read_text())
    assert [row[0] for row in index["sources"]] == waves[:2]
    assert [place[:2] for place in index["places"]] == [[0, 3000], [3000, 3001]]
    assert store_module.verify(tmp_path / "arena") == []
