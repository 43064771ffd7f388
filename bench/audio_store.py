"""Random crops from the audio store beside those from a wav.ark that kaldiio writes.

    python bench/audio_store.py [--hours 3] [--crop 50] [--rounds 5] [--recordings 20000]

The same recordings (noise in syllables, 16 bits, 5 minutes each) are read in three ways:

    store     `diarize.simulate.mix.store.AudioStore`, made from WAV files
    ark       wav.ark, mapped into memory once, the samples found by the offsets of wav.scp
    kaldiio   ``kaldiio.load_scp``, which reads a whole recording

Crops are the same for all ways, which take turns crop by crop, and come as float32.  Each way also
opens an index of ``--recordings`` short recordings in a fresh process, of which the peak memory is
taken, and passes it to a worker (pickled; a forked worker receives it at no cost).
Rates are seconds of audio per second of CPU;
ratios are medians over the rounds.  Last comes one line per figure,
``BENCH name=… value=… unit=… ratio=… against=…``.
"""

import argparse
import os
import pickle
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import kaldiio
import numpy as np

from diarize.io.audio import write_wav
from diarize.io.table import read_table
from diarize.simulate.mix.store import AudioKey, AudioStore, open_store

RATE = 16000
LONG = 300  # s, of the recordings that crops are cut from
CROPS = 60  # in each round
SHORT = 0.4  # s, of the recordings that are only opened
Read = Callable[[str, int, int], np.ndarray]


class WavArk:
    """Members of a wav.ark: (ark, byte of the first sample, number of samples) by recording."""

    def __init__(self, scp: Path) -> None:
        self.scp = str(scp)
        self.members = {}
        files: dict[str, int] = {}
        for key, value in read_table(scp).items():
            ark, offset = value.rsplit(":", 1)
            fd = files.setdefault(ark, -1)
            if fd < 0:
                fd = files[ark] = os.open(ark, os.O_RDONLY)
            self.members[key] = ark, *_samples(fd, int(offset))
        for fd in files.values():
            os.close(fd)
        self._maps: dict[str, np.memmap] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_maps": {}}

    def read(self, key: str, start: int, stop: int) -> np.ndarray:
        """Return samples [start, stop), float32 (n,)."""
        ark, first, length = self.members[key]
        if ark not in self._maps:
            self._maps[ark] = np.asarray(np.memmap(ark, np.uint8, "r"))
        count = min(stop, length) - start
        # Members begin at any byte, so that samples may not be aligned.
        samples = np.ndarray(count, "<i2", self._maps[ark], first + 2 * start)
        return np.multiply(samples, np.float32(1 / 32768), dtype=np.float32)


def _samples(fd: int, offset: int) -> tuple[int, int]:
    """Return the place of the first sample of a WAV in an ark, and the number of samples."""
    head = os.pread(fd, 256, offset)
    place = re.search(b"data", head).start() + 4
    return offset + place + 4, struct.unpack_from("<I", head, place)[0] // 2


def make(root: Path, seconds: float, count: int) -> None:
    """Write ``count`` recordings as WAV files, and from these a store and a wav.ark."""
    (root / "wav").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rise = np.abs(np.sin(np.arange(round(seconds * RATE)) * np.pi * 4 / RATE))  # 4 syllables a s
    with kaldiio.WriteHelper(f"ark,scp:{root}/wav.ark,{root}/wav.scp") as ark:
        for number in range(count):
            wave = (0.1 * rise * rng.standard_normal(len(rise), np.float32)).astype(np.float32)
            path = root / "wav" / f"r{number:05d}.wav"
            write_wav(path, wave, RATE)
            values = np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)
            ark(f"r{number:05d}", (RATE, values))
    open_store(root / "store", keys_of(root).values())


def keys_of(root: Path) -> dict[str, AudioKey]:
    """Return the store's key of each recording."""
    return {name: AudioKey(f"{root}/wav/{name}.wav") for name in read_table(root / "wav.scp")}


def store_of(root: Path) -> tuple[dict[str, AudioKey], AudioStore]:
    """Return the keys of the recordings and the store."""
    keys = keys_of(root)
    return keys, open_store(root / "store", keys.values())


def readers(root: Path) -> dict[str, Read]:
    """Return the functions that read a crop, by name."""
    keys, store = store_of(root)
    loader = kaldiio.load_scp(f"{root}/wav.scp")

    def decode(key: str, start: int, stop: int) -> np.ndarray:
        return loader[key][1][start:stop].astype(np.float32) / np.float32(32768)

    return {
        "store": lambda key, start, stop: store.read(keys[key], start, stop),
        "ark": WavArk(root / "wav.scp").read,
        "kaldiio": decode,
    }


OPEN = {"store": store_of, "ark": lambda root: WavArk(root / "wav.scp"),
        "kaldiio": lambda root: kaldiio.load_scp(f"{root}/wav.scp")}  # fmt: skip


def crops(args: argparse.Namespace, root: Path) -> dict[str, list[float]]:
    """Return the rates of each way of reading random crops, one for each round."""
    ways = readers(root)
    rng = np.random.default_rng(1)
    names, length = sorted(read_table(root / "wav.scp")), round(args.crop * RATE)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        spent = dict.fromkeys(ways, 0.0)
        for number in range(CROPS):
            key, at = names[rng.integers(len(names))], int(rng.integers(LONG * RATE - length))
            made = []
            for name in list(ways)[:: 1 if number % 2 else -1]:
                begin = time.process_time()
                made.append(ways[name](key, at, at + length))
                spent[name] += time.process_time() - begin
            assert all(np.array_equal(wave, made[0]) for wave in made)
        for name in ways:
            rates[name].append(CROPS * args.crop / spent[name])
    return rates


def opening(root: Path, name: str) -> dict[str, float]:
    """Return seconds, memory and size of the index of a way, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--open", name, str(root)],
        capture_output=True, text=True, check=True,
    )
    values = zip(("s", "MB", "pickle_MB", "worker_ms"), done.stdout.split(), strict=True)
    return {key: float(value) for key, value in values}


def open_one(name: str, root: Path) -> None:
    """Print seconds and peak memory of opening an index, and the cost of passing it on."""
    begin = time.perf_counter()
    opened = OPEN[name](root)
    spent = time.perf_counter() - begin
    # ru_maxrss would be that of the parent process.
    used = int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    begin = time.perf_counter()
    passed = pickle.dumps(opened)
    pickle.loads(passed)
    print(spent, used, len(passed) / 1e6, 1000 * (time.perf_counter() - begin))


def main() -> None:
    """Print the figures of crops and of opening."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--hours", type=float, default=3.0)
    add("--crop", type=float, default=50.0, metavar="SECONDS")
    add("--rounds", type=int, default=5)
    add("--recordings", type=int, default=20_000)
    add("--open", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.open:
        open_one(args.open[0], Path(args.open[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make(root / "long", LONG, round(args.hours * 3600 / LONG))
        make(root / "short", SHORT, args.recordings)
        rates = crops(args, root / "long")
        opened = {name: [opening(root / "short", name) for _ in range(3)] for name in OPEN}
    for name, runs in opened.items():
        found = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(f"{name:8} {statistics.median(rates[name]):9.0f} x real time; {args.recordings} "
              f"recordings open in {found['s']:.2f} s, peak {found['MB']:.0f} MB, and reach a "
              f"worker in {found['worker_ms']:.0f} ms and {found['pickle_MB']:.1f} MB")
    for name in ("ark", "kaldiio"):
        pairs = zip(rates[name], rates["store"], strict=True)
        ratio = statistics.median(one / store for one, store in pairs)
        print(f"BENCH name=audio_{name}_crop value={statistics.median(rates[name]):.0f} "
              f"unit=x_real_time_per_core ratio={ratio:.3f} against=store")


if __name__ == "__main__":
    main()
