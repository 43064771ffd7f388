"""Small corpora and mixtures that the tests of the simulation share."""

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

from diarize.io.audio import write_wav
from diarize.io.table import write_table
from diarize.kaldi.datadir import DataDir
from diarize.segments import Segment
from diarize.simulate.manifest import Manifest
from diarize.simulate.mix.layout import open_layout
from diarize.simulate.mix.mixer import Mixer
from diarize.simulate.mix.store import StoreOptions

sys.path.insert(0, str(Path(__file__).parent))  # for reference.py

RATE = 16000


@pytest.fixture
def make_corpus(tmp_path: Path) -> Callable[..., DataDir]:
    """A function that writes a data directory of short noise bursts and loads it."""

    def make(
        name: str = "data",
        num_speakers: int = 4,
        num_utts: int = 3,
        segments: bool = False,
        rate: int = RATE,
        level: float = 0.1,
    ) -> DataDir:
        folder = tmp_path / name
        (folder / "wav").mkdir(parents=True)
        rng = np.random.default_rng(len(name))
        wav, utt2spk, spans = {}, {}, {}
        for i in range(num_speakers):
            speaker = f"spk{i}"
            keys = [f"{speaker}-{j}" for j in range(num_utts)]
            utt2spk.update(dict.fromkeys(keys, speaker))
            bursts = [level * rng.standard_normal(int(rate * rng.uniform(0.3, 0.9))) for _ in keys]
            if not segments:
                for key, burst in zip(keys, bursts, strict=True):
                    write_wav(folder / "wav" / f"{key}.wav", burst.astype(np.float32), rate)
                    wav[key] = str(folder / "wav" / f"{key}.wav")
                continue
            path = folder / "wav" / f"{speaker}.wav"
            write_wav(path, np.concatenate(bursts).astype(np.float32), rate)
            wav[f"rec-{speaker}"] = str(path)
            at = 0
            for key, burst in zip(keys, bursts, strict=True):
                spans[key] = f"rec-{speaker} {at / rate:.6f} {(at + len(burst)) / rate:.6f}"
                at += len(burst)
        write_table(folder / "wav.scp", wav)
        write_table(folder / "utt2spk", utt2spk)
        if segments:
            write_table(folder / "segments", spans)
        return DataDir.load(folder)

    return make


class Mixture(NamedTuple):
    waveform: np.ndarray
    segments: list[Segment]


@pytest.fixture
def render(tmp_path: Path) -> Callable[..., Mixture]:
    """A function that mixes samples [start, stop) of one mixture, by default all of them."""
    numbers = itertools.count()

    def make(
        mixture: dict,
        start: int = 0,
        stop: int | None = None,
        sample_rate: int = RATE,
        allow_pipes: bool = False,
    ) -> Mixture:
        folder = tmp_path / f"render{next(numbers)}"
        folder.mkdir()
        path = folder / "mixture.scp"
        path.write_text(f"{mixture['recid']} {json.dumps(mixture)}\n")
        options = StoreOptions(sample_rate, allow_pipes)
        mixer = Mixer(*open_layout(Manifest(path), folder / "store", options))
        stop = mixer.layout.num_samples(0) if stop is None else stop
        return Mixture(mixer.window(0, start, stop), mixer.layout.segments(0, start, stop))

    return make


class Waves(dict):
    """Waveforms by name, in files: `room...` as float32, all others rounded to 16 bits."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __setitem__(self, name: str, wave: np.ndarray) -> None:
        path = self.path(name)
        if name.startswith("room"):
            wave = np.asarray(wave, np.float32)
            soundfile.write(path, wave, RATE, subtype="FLOAT")
        else:
            wave = (np.clip(np.rint(np.asarray(wave) * 32768), -32768, 32767) / 32768).astype("f4")
            write_wav(path, wave, RATE)
        super().__setitem__(name, wave)

    def add(self, **waves: np.ndarray) -> "Waves":
        for name, wave in waves.items():
            self[name] = wave
        return self

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}.wav"

    def speaker(
        self, name: str, utts: list, intervals: list[float], rir: str | None = None
    ) -> dict:
        """A speaker entry whose files are given by their names here."""
        utts = [[self.path(u[0]), *u[1:]] if isinstance(u, list) else self.path(u) for u in utts]
        rir = rir and self.path(rir)
        return {"spkid": name, "rir": rir, "utts": utts, "intervals": intervals}

    def mixture(self, *speakers: dict, noise: str | None = None, snr: float | None = None) -> dict:
        noise = noise and self.path(noise)
        return {"speakers": list(speakers), "noise": noise, "snr": snr, "recid": "mix"}


@pytest.fixture
def waves(tmp_path: Path) -> Waves:
    (tmp_path / "waves").mkdir()
    return Waves(tmp_path / "waves")
