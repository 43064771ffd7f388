"""Recordings as input of the inference: audio files, samples, or a Kaldi data directory."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource
from diarize.io.filename import recording_id
from diarize.io.numbers import parse_integer
from diarize.io.resample import resample
from diarize.kaldi.datadir import DataDir
from diarize.segments import Regions

# A channel number from 1, the mean of all channels, or each channel on its own.
MIX, EACH = "mix", "each"


@dataclass(frozen=True)
class Input:
    """One recording.

    sources: the audio by channel of RTTM; with several channels each is diarized on its own
    path: the audio file, "" for samples and commands
    file_name: the name of output files, without suffix
    num_speakers: the known number of speakers (or languages)
    regions: stretches (start, end) in seconds outside of which there is no output
    """

    recording: str
    sources: Mapping[str, AudioSource | np.ndarray]
    path: str = ""
    file_name: str = ""
    num_speakers: int | None = None
    regions: Regions | None = None

    def check(self) -> None:
        """Raise DiarizeError if the audio cannot be opened, as far as its header shows."""
        for source in self.sources.values():
            if isinstance(source, AudioSource):
                source.check()


def file_input(path: str | os.PathLike, channel: str = MIX, recording: str | None = None) -> Input:
    """Return the input of an audio file; ``-`` is standard input, with the id ``stdin``.

    The id is that of the name of the file (`recording_id`).  ``channel`` is a number from 1,
    ``mix`` or ``each``.  Raises DiarizeError for a channel that the file does not have; of a
    file with several channels that are mixed there is a notice.
    """
    name = "stdin" if str(path) == "-" else Path(path).stem
    recording = recording or recording_id(name)
    source = AudioSource(os.fspath(path))
    return Input(
        recording, channel_sources(source, channel),
        "" if str(path) == "-" else os.fspath(path), name,
    )  # fmt: skip


def channel_sources(source: AudioSource, channel: str = MIX) -> dict[str, AudioSource]:
    """Return the audio of ``source`` by channel of RTTM; see `file_input`."""
    if channel == EACH:
        return {str(one.channel): one for one in source.each_channel()}
    if channel != MIX:
        return {channel: replace(source, channel=int(channel))}
    return {"1": source}


def parse_channel(text: str) -> str:
    """Return ``text`` if it is ``mix``, ``each`` or a number from 1; DiarizeError otherwise."""
    if text in (MIX, EACH) or parse_integer(text):
        return text
    raise DiarizeError(f"channel '{text}' is not a number from 1, mix or each")


def sample_input(
    audio: np.ndarray, from_rate: int | None, to_rate: int, recording: str, channel: str = MIX
) -> Input:
    """Return the input of samples: (n,), or (C, n) or (n, C), where the longer axis is time.

    Integers are scaled to [-1, 1).  Raises DiarizeError without a sample rate, and for another
    shape, no samples, NaN or infinite values, and a channel that is not there.
    """
    if from_rate is None or from_rate <= 0:
        raise DiarizeError(f"recording {recording}: samples need their sample_rate in Hz")
    samples = np.asarray(audio)
    if samples.ndim not in (1, 2) or not samples.size:
        raise DiarizeError(
            f"recording {recording}: samples of shape {samples.shape}; use (n,), (C, n) or (n, C)"
        )
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / -float(np.iinfo(samples.dtype).min)
    samples = samples.astype(np.float32)
    if not np.isfinite(samples).all():
        raise DiarizeError(f"recording {recording}: the samples have NaN or infinite values")
    channels = samples[None] if samples.ndim == 1 else samples
    if channels.shape[0] > channels.shape[1]:
        channels = channels.T
    if channel == MIX:
        chosen = {"1": channels.mean(axis=0, dtype=np.float32)}
    elif channel == EACH:
        chosen = {str(i): row for i, row in enumerate(channels, 1)}
    elif int(channel) <= len(channels):
        chosen = {channel: channels[int(channel) - 1]}
    else:
        raise DiarizeError(f"recording {recording}: no channel {channel}, only {len(channels)}")
    return Input(
        recording, {name: resample(row, from_rate, to_rate) for name, row in chosen.items()}
    )


def kaldi_input(
    data: DataDir,
    recording: str,
    channel: str = MIX,
    regions: Mapping[str, Regions] | None = None,
    counts: Mapping[str, str] | None = None,
) -> Input:
    """Return the input of one recording of a data directory.

    ``regions`` (`segment_regions`) restrict the output: a recording without any has none.
    ``counts`` are numbers of speakers as in ``reco2num_spk``.
    """
    source = data.source(recording)
    count = (counts or {}).get(recording)
    return Input(
        recording, channel_sources(source, channel),
        "" if source.is_pipe else source.rxfilename,
        num_speakers=None if count is None else int(count),
        regions=None if regions is None else regions.get(recording, []),
    )  # fmt: skip


def segment_regions(data: DataDir) -> dict[str, list[tuple[float, float]]] | None:
    """Return the union of the ``segments`` of each recording; None without the file."""
    if data.segments is None:
        return None
    out: dict[str, list[tuple[float, float]]] = {}
    for utterance in data.utterances:
        out.setdefault(utterance.recording, []).append((utterance.start, utterance.end))
    return {recording: joined(spans) for recording, spans in out.items()}


def joined(regions: Regions) -> list[tuple[float, float]]:
    """Return the union of stretches, sorted.

    >>> joined([(5, 6), (0, 2), (1, 3)])
    [(0, 3), (5, 6)]
    """
    out: list[tuple[float, float]] = []
    for start, end in sorted(regions):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out
