"""Mixing of several files or channels to one channel, written as 16-bit WAV."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.audio import AudioInfo, AudioSource, read_channels

_BLOCK = 1 << 18


def write_mono(path: Path, sources: Sequence[Path], how: str) -> float:
    """Write ``path`` from ``sources``; return the factor applied to the samples.

    ``how`` is ``sum`` or ``mean`` over all channels of all files, or the number of a channel of
    one file, from 0.  Shorter files are padded with zeros.  A sum beyond [-1, 1] is scaled as a
    whole by the returned factor, which is 1 otherwise.  An existing file of the right length is
    kept, and 1 is returned.  Raises DiarizeError for other sample rates
    in one recording, no such channel, and the errors of `AudioSource.info`.
    """
    infos = [AudioSource(str(source)).info() for source in sources]
    rates = {info.sample_rate for info in infos}
    if len(rates) > 1:
        raise DiarizeError(f"{path.stem}: files of {sorted(rates)} Hz cannot be mixed")
    length = max(info.num_samples for info in infos)
    if how.isdigit() and int(how) >= infos[0].channels:
        raise DiarizeError(f"{sources[0]}: no channel {how}: it has {infos[0].channels}, from 0")
    if _is_there(path, length):
        return 1.0
    factor = 1.0
    if how == "sum":
        peak = max(float(np.abs(block).max()) for block in _blocks(sources, infos, how))
        factor = min(1.0, 32767 / 32768 / peak) if peak > 0 else 1.0
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        atomic_write(path, "wb") as handle,
        soundfile.SoundFile(handle, "w", rates.pop(), 1, "PCM_16", format="WAV") as out,
    ):
        for block in _blocks(sources, infos, how):
            out.write(np.clip(block * factor, -1, 32767 / 32768))
    return factor


def _is_there(path: Path, length: int) -> bool:
    try:
        return soundfile.info(str(path)).frames == length
    except soundfile.LibsndfileError:
        return False


def _blocks(
    sources: Sequence[Path], infos: Sequence[AudioInfo], how: str
) -> Iterator[np.ndarray]:
    """Yield the mixture (n,) block by block: a meeting of an hour and 8 channels stays small."""
    total = sum(info.channels for info in infos)
    longest = max(info.num_samples for info in infos)
    files = [read_channels(AudioSource(str(source)), _BLOCK) for source in sources]
    for start in range(0, longest, _BLOCK):
        mix = np.zeros(min(_BLOCK, longest - start))
        for file in files:
            block = next(file, None)
            if block is not None:
                block = block.astype(np.float64)
                part = block[:, int(how)] if how.isdigit() else block.sum(axis=1)
                mix[: len(part)] += part
        yield mix / total if how == "mean" else mix
