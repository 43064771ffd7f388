"""Small corpora and mixtures that the tests of the simulation share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from diarize.io.audio import write_wav
from diarize.io.table import write_table
from diarize.kaldi.datadir import DataDir

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
