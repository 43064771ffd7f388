"""How fast mixtures with rooms and noise are made on one core, beside other ways to make them.

    python bench/simulate.py [--data DIR] [--crop 50] [--rounds 3]

All methods use the same manifest, in turn, in every round:

    by hand       soundfile, scipy.signal.fftconvolve and numpy, utterance by utterance
    lhotse        its cuts, mixed and reverberated, where it is installed (bench/requirements.txt)
    mixer         diarize, from its audio store, as for training and for sets on disk

"first" is a mixture's first visit, when the levels of its noise and of its reverberant speech are
computed, which depend on the whole mixture.  Then come parts: without rooms, without noise, the
transforms alone.  Rates are seconds of audio per second of CPU.  Last comes one line per figure,
``BENCH name=… value=… unit=… ratio=… against=…``.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from simulate_corpus import RATE, make_corpus
from simulate_peers import HAS_LHOTSE, WithLhotse, by_hand

from diarize.simulate.manifest import Manifest
from diarize.simulate.mix.layout import MixtureLayout, open_layout
from diarize.simulate.mix.mixer import Mixer, fft_size
from diarize.simulate.mix.store import StoreOptions

WHOLE = ("by hand", "lhotse")
Way = Callable[[int], int]  # number of a mixture -> samples made


class Crops:
    """Windows of the mixtures, the same for all ways: one of every mixture."""

    def __init__(self, layout: MixtureLayout, seconds: float) -> None:
        rng = np.random.default_rng(0)
        length = round(seconds * RATE)
        self.windows = []
        for index in range(len(layout)):
            total = layout.num_samples(index)
            start = int(rng.integers(0, max(1, total - length + 1)))
            self.windows.append((start, min(total, start + length)))


def rate(way: Way, numbers: list[int]) -> float:
    """Return seconds of audio per second of CPU."""
    begin = time.process_time()
    samples = sum(way(index) for index in numbers)
    return samples / RATE / (time.process_time() - begin)


def forget(layout: MixtureLayout, numbers: list[int]) -> None:
    """Make the levels of these mixtures unknown again."""
    for index in numbers:
        rows = layout.rows(index)
        layout.keep_gains(index, np.where(rows.room < 0, 1.0, np.nan).astype(np.float32), np.nan)


def without(mixer: Mixer, part: str) -> Mixer:
    """Return a mixer that leaves out ``_add_wet`` or ``_add_noise``."""
    other = Mixer(mixer.layout, mixer.store)
    setattr(other, part, lambda *args: None)
    return other


def transforms(seconds: float, tail: int) -> float:
    """Return how many seconds of one track a core convolves per second, transforms alone."""
    length = round(seconds * RATE)
    size = fft_size(length, tail)
    count = -(-length // (size - tail))
    blocks = torch.randn(count, size)
    torch.fft.irfft(torch.fft.rfft(blocks), n=size)
    begin, rounds = time.process_time(), 10
    for _ in range(rounds):
        torch.fft.irfft(torch.fft.rfft(blocks), n=size)
    return rounds * seconds / (time.process_time() - begin)


def ways_of(manifest: Manifest, mixer: Mixer, windows: list[tuple[int, int]]) -> dict[str, Way]:
    """Return the functions that make mixtures, by name."""
    mixtures = [mixture for _, mixture in manifest]
    layout = mixer.layout

    def cut(made: Mixer) -> Way:
        return lambda i: len(made.window(i, *windows[i]))

    def first(i: int) -> int:
        forget(layout, [i])
        return len(mixer.window(i, 0, layout.num_samples(i)))

    def first_crop(i: int) -> int:
        forget(layout, [i])
        return len(mixer.window(i, *windows[i]))

    lhotse = WithLhotse()
    peers: dict[str, Way] = {}
    if HAS_LHOTSE:
        peers["lhotse"] = lambda i: len(lhotse(mixtures[i]))
    return {
        "by hand": lambda i: len(by_hand(mixtures[i])),
        **peers,
        "mixer, whole, first": first,
        "mixer, whole": lambda i: len(mixer.window(i, 0, layout.num_samples(i))),
        "mixer, crop, first": first_crop,
        "mixer, crop": cut(mixer),
        "mixer, crop, no rooms": cut(without(mixer, "_add_wet")),
        "mixer, crop, no noise": cut(without(mixer, "_add_noise")),
    }


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = out.add_argument
    add("--data", type=Path, metavar="DIR", help="data directory of the voices (default: made)")
    add("--crop", type=float, default=50.0, metavar="SECONDS")
    add("--mixtures", type=int, default=40, help="a quarter each of 1, 2, 3, 4 speakers")
    add("--rounds", type=int, default=3)
    add("--corpus", type=Path, help="keep the corpus here, to measure again on the same")
    return out


def measure(root: Path, args: argparse.Namespace) -> None:
    """Print the table and the BENCH lines."""
    manifest = Manifest(root / "mixture.scp")
    layout, store = open_layout(manifest, root / "store", StoreOptions())
    windows = Crops(layout, args.crop).windows
    ways = ways_of(manifest, Mixer(layout, store), windows)
    numbers = np.linspace(0, len(layout) - 1, min(args.mixtures, len(layout))).astype(int).tolist()
    rate(ways["mixer, crop"], numbers)  # computes the levels
    if "lhotse" in ways:
        rate(ways["lhotse"], numbers[::4])  # reads headers
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, way in ways.items():
            few = numbers[:: 4 if name in WHOLE else 1]
            rates[name].append(rate(way, few))
    medians = {name: statistics.median(held) for name, held in rates.items()}
    mean = sum(layout.num_samples(i) for i in numbers) / len(numbers) / RATE
    print(f"{len(numbers)} mixtures of {mean:.0f} s, crops of {args.crop:g} s, one core")
    for name, value in medians.items():
        print(f"{name:24}{value:9.0f} x real time{value / medians['by hand']:9.1f} x by hand")
    track = transforms(args.crop, RATE)
    print(f"{'transforms of one track':24}{track:9.0f} x real time")
    wet = 1 - medians["mixer, crop"] / medians["mixer, crop, no rooms"]
    print(f"rooms take {100 * wet:.0f} % of the time of a crop\n")
    for name in ("mixer, crop", "mixer, crop, first", "mixer, whole, first"):
        key = name.replace(", ", "_")
        for peer in [peer for peer in WHOLE if peer in ways]:
            print(f"BENCH name=simulate_{key} value={medians[name]:.0f} unit=x_real_time_per_core "
                  f"ratio={medians[name] / medians[peer]:.2f} against={peer.replace(' ', '_')}")
    print(f"BENCH name=simulate_mixer_crop value={medians['mixer, crop']:.0f} "
          f"unit=x_real_time_per_core ratio={medians['mixer, crop'] / track:.3f} "
          "against=transforms_of_one_track")
    print(f"BENCH name=simulate_mixer_crop value={medians['mixer, crop']:.0f} "
          f"unit=x_real_time_per_core ratio={medians['mixer, crop'] / 3000:.2f} against=3000")


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the benchmark."""
    args = parser().parse_args(argv)
    torch.set_num_threads(1)
    place = nullcontext(args.corpus) if args.corpus else tempfile.TemporaryDirectory()
    with place as folder:
        root = Path(folder)
        root.mkdir(exist_ok=True)
        if not (root / "dry.scp").exists():
            make_corpus(root, max(args.mixtures, 40), args.data)
        measure(root, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
