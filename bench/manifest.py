"""Time to draw and to read the manifest of the paper's 400,000 mixtures, and its size.

    python bench/manifest.py --mixtures 100000 --speakers 4
    python bench/manifest.py --mixtures 100000 --speakers 4 --conversations STATS

No corpus is needed: the data directory is as large as LibriSpeech's (2338 speakers, 281,241
files, cut into 2.3 stretches of speech each), but no audio is behind it, and none is read.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from diarize.kaldi.datadir import DataDir
from diarize.simulate.draw.conversations import ConversationOptions, make_conversations
from diarize.simulate.draw.mixtures import MixtureOptions, make_manifest
from diarize.simulate.draw.turn_taking import read_statistics
from diarize.simulate.manifest import Manifest, write_manifest

SPEAKERS, FILES, STRETCHES = 2338, 281_241, 2.3
ROOT = "/corpora/LibriSpeech/train-clean-360"
BETA = {1: 2.0, 2: 2.0, 3: 5.0, 4: 9.0}


def write_corpus(path: Path) -> None:
    """Write the tables of a corpus of LibriSpeech's size."""
    rng = np.random.default_rng(0)
    wav, segments, utt2spk = [], [], []
    for number in range(FILES):
        speaker = f"{number % SPEAKERS + 1:04d}"
        key = f"{speaker}-{number // 70 % 9000:06d}-{number // SPEAKERS:04d}"
        wav.append(f"{key} {ROOT}/{speaker}/{key.split('-')[1]}/{key}.flac\n")
        at = 0.3
        for _ in range(1 + rng.poisson(STRETCHES - 1)):
            end = at + rng.uniform(2, 8)
            utt = f"{key}-{round(at * 1000):07d}-{round(end * 1000):07d}"
            segments.append(f"{utt} {key} {at:.3f} {end:.3f}\n")
            utt2spk.append(f"{utt} {speaker}\n")
            at = end + rng.uniform(0.5, 1)
    for name, lines in (("wav.scp", wav), ("segments", segments), ("utt2spk", utt2spk)):
        (path / name).write_text("".join(sorted(lines)))


def main() -> None:
    """Print seconds, lines per second, bytes and the memory of the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mixtures", type=int, default=100_000)
    parser.add_argument("--speakers", type=int, default=4)
    parser.add_argument("--conversations", metavar="STATS")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        write_corpus(path)
        begin = time.perf_counter()
        data = DataDir.load(path)
        loaded = time.perf_counter()
        if args.conversations:
            options = ConversationOptions(args.mixtures, (args.speakers, args.speakers))
            mixtures = make_conversations(data, read_statistics(args.conversations), options)
        else:
            plan = MixtureOptions(args.mixtures, args.speakers, BETA.get(args.speakers, 9.0))
            mixtures = make_manifest(data, plan)
        out = path / "mixture.scp"
        write_manifest(out, mixtures)
        written = time.perf_counter()
        manifest = Manifest(out)
        opened = time.perf_counter()
        for index in range(0, len(manifest), max(1, len(manifest) // 1000)):
            manifest[index]
        read = time.perf_counter()
        print(
            f"{len(data.utterances)} utterances loaded in {loaded - begin:.1f} s; "
            f"{args.mixtures} mixtures of {args.speakers} speakers in {written - loaded:.1f} s "
            f"({args.mixtures / (written - loaded):.0f} lines/s), "
            f"{out.stat().st_size / 1e6:.0f} MB; opened in {opened - written:.1f} s, "
            f"{(read - opened) * 1e3 / min(1000, len(manifest)):.2f} ms to read one; "
            f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
        )


if __name__ == "__main__":
    sys.exit(main())
