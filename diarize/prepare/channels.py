"""Recordings of one channel, from files of several."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource
from diarize.io.filename import file_name
from diarize.io.numbers import parse_integer
from diarize.prepare.mixdown import write_mono


class ChannelFile(NamedTuple):
    """A channel of a file, from 1; None: the file as it is.

    ``file`` is the name of a file of which each channel is a recording, else ''.
    """

    path: Path
    channel: int | None = None
    file: str = ""

    def __str__(self) -> str:
        return f"{self.path}, channel {self.channel}" if self.channel else str(self.path)

    def mono(self, folder: Path, recording: str) -> Path:
        """Return the file, or ``folder/ch<N>/recording.wav`` with the channel, which is written."""
        if self.channel is None:
            return self.path.resolve()
        place = folder / f"ch{self.channel}" / file_name(recording, ".wav")
        if place.exists() and place.stat().st_mtime < self.path.stat().st_mtime:
            place.unlink()  # of an older file
        write_mono(place, [self.path], str(self.channel - 1))
        return place


def channel_id(recording: str, channel: int | str) -> str:
    """Return the name of a channel, from 1, as a recording.

    >>> channel_id("call", 2)
    'call_ch2'
    """
    return f"{recording}_ch{channel}"


def choose_channels(audio: Mapping[str, Path], choice: str) -> dict[str, ChannelFile]:
    """Return recording -> channel for the ``choice`` mix, each, or a number from 1.

    "each": the channels of a file are recordings, named by `channel_id`.  Raises DiarizeError for
    another choice and for a file without that channel.
    """
    if choice == "mix":
        return {key: ChannelFile(path) for key, path in audio.items()}
    chosen = parse_integer(choice)
    if choice != "each" and not chosen:
        raise DiarizeError(f"--channel {choice}: must be a number from 1, mix or each")
    found = {}
    for key, path in audio.items():
        channels = AudioSource(str(path), recording=key).info().channels
        if choice == "each" and channels > 1:
            for number in range(1, channels + 1):
                found[channel_id(key, number)] = ChannelFile(path, number, key)
        elif choice != "each" and chosen > channels:
            raise DiarizeError(f"{path}: no channel {choice}: it has {channels}, numbered from 1")
        else:
            found[key] = ChannelFile(path, chosen if channels > 1 else None)
    return dict(sorted(found.items()))


def split_files(audio: Mapping[str, ChannelFile]) -> dict[str, list[str]]:
    """Return file -> its recordings for the files of which each channel is one."""
    out: dict[str, list[str]] = {}
    for key, chosen in audio.items():
        if chosen.file:
            out.setdefault(chosen.file, []).append(key)
    return out
