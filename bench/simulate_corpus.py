"""A corpus to measure the simulation on: voices, rooms and noises made of noise, and a manifest."""

from pathlib import Path

import numpy as np
import soundfile

from diarize.io.table import write_table
from diarize.kaldi.datadir import DataDir
from diarize.simulate.draw.common import audio_files
from diarize.simulate.draw.mixtures import MixtureOptions, make_manifest
from diarize.simulate.manifest import write_manifest

RATE = 16000
# Fujita et al. 2019: mean silence by the number of speakers.
BETAS = {1: 2.0, 2: 2.0, 3: 5.0, 4: 9.0}


def make_voices(root: Path, speakers: int = 40, utterances: int = 20) -> DataDir:
    """Return FLAC utterances of 2 to 16 s (LibriSpeech's are 12 s on the mean)."""
    rng = np.random.default_rng(1)
    waves, owners = {}, {}
    (root / "voices" / "flac").mkdir(parents=True)
    for s in range(speakers):
        for u in range(utterances):
            key = f"s{s:02d}-{u:02d}"
            length = int(RATE * rng.uniform(2, 16))
            # Syllables: noise whose level moves at a few Hz.
            level = np.repeat(rng.random(length // 2000 + 1), 2000)[:length] ** 2
            wave = np.clip(0.1 * level * rng.standard_normal(length), -1, 1)
            path = root / "voices" / "flac" / f"{key}.flac"
            soundfile.write(path, wave, RATE, subtype="PCM_16")
            waves[key], owners[key] = str(path), f"s{s:02d}"
    write_table(root / "voices" / "wav.scp", waves)
    write_table(root / "voices" / "utt2spk", owners)
    return DataDir.load(root / "voices")


def make_rooms(root: Path, count: int = 60) -> DataDir:
    """Return rooms of 0.3 to 1 s (T60 as long), float32, their direct path after some ms."""
    rng = np.random.default_rng(2)
    waves = {}
    (root / "rooms").mkdir()
    for r in range(count):
        length, delay = int(RATE * rng.uniform(0.3, 1.0)), int(rng.integers(20, 200))
        room = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
        room[:delay] *= 1e-3
        room[delay] = 6.0
        path = root / "rooms" / f"r{r:03d}.wav"
        soundfile.write(path, (room / 8).astype(np.float32), RATE, subtype="FLOAT")
        waves[f"r{r:03d}"] = str(path)
    write_table(root / "rooms" / "wav.scp", waves)
    return DataDir.load(root / "rooms")


def make_noises(root: Path, count: int = 30) -> DataDir:
    """Return noises of 5 to 240 s, 16 bit, as MUSAN's are long and short."""
    rng = np.random.default_rng(3)
    waves = {}
    (root / "noises").mkdir()
    for n in range(count):
        noise = np.cumsum(rng.standard_normal(int(RATE * rng.uniform(5, 240))))
        noise = np.diff(noise - np.convolve(noise, np.ones(16) / 16, "same"), prepend=0.0)
        path = root / "noises" / f"n{n:02d}.wav"
        soundfile.write(path, 0.02 * noise, RATE, subtype="PCM_16")
        waves[f"n{n:02d}"] = str(path)
    write_table(root / "noises" / "wav.scp", waves)
    return DataDir.load(root / "noises")


def make_corpus(root: Path, mixtures: int, voices: Path | None = None) -> Path:
    """Return a manifest of ``mixtures`` mixtures, a quarter each of 1, 2, 3 and 4 speakers.

    Half of the speakers are in a room, every mixture has noise at 5 to 20 dB.  Beside it lies
    ``dry.scp``, the same without rooms and noises.  ``voices`` is a data directory to take the
    utterances from.
    """
    data = make_voices(root) if voices is None else DataDir.load(voices)
    rooms, noises = (audio_files(made(root).path) for made in (make_rooms, make_noises))
    drawn, dry = [], []
    for speakers, beta in BETAS.items():
        options = MixtureOptions(
            num_mixtures=mixtures // 4, num_speakers=speakers, beta=beta, prefix=f"m{speakers}_"
        )
        drawn += list(make_manifest(data, options, noises, rooms))
        dry += list(make_manifest(data, options))
    write_manifest(root / "mixture.scp", drawn)
    write_manifest(root / "dry.scp", dry)
    return root / "mixture.scp"
