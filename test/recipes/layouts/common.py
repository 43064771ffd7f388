"""Audio and annotation files as archives have them, small: what all layouts are made from.

A layout is a module with ``make(root)``, which lays out a few seconds of a corpus below ``root``
and returns the variables of ``db.sh`` that say where; see the others beside it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

Turn = tuple[float, float, str]


def speech(seconds: float, seed: int, channels: int = 1, rate: int = 16000) -> np.ndarray:
    """Return noise (n, channels) in bursts, int16, the same for a seed."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    envelope = 500 + 4000 * (np.sin(2 * np.pi * time) > 0)
    return (rng.normal(0, 1, (len(time), channels)) * envelope[:, None]).astype(np.int16)


def audio(path: Path, seconds: float, channels: int = 1, rate: int = 16000) -> Path:
    """Write a file in the format of its suffix (wav, flac, sph); return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    form = {".sph": {"format": "NIST", "subtype": "ULAW"}}.get(path.suffix, {})
    seed = sum(path.name.encode())
    soundfile.write(path, speech(seconds, seed, channels, rate), rate, **form)
    return path


def rttm(path: Path, recording: str, turns: Sequence[Turn], channel: int = 1) -> Path:
    """Write an RTTM file of (start, end, speaker); return it."""
    return text(path, "".join(
        f"SPEAKER {recording} {channel} {start:.2f} {end - start:.2f} <NA> <NA> {speaker} "
        "<NA> <NA>\n" for start, end, speaker in turns))


def text(path: Path, content: str, encoding: str = "utf-8") -> Path:
    """Write a text file; return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding=encoding)
    return path


def textgrid(
    path: Path, tiers: Mapping[str, Sequence[Turn]], length: float, short: bool = False,
    encoding: str = "utf-8",
) -> Path:
    """Write a TextGrid, long or short, whose intervals are (start, end, text); return it."""
    out = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    out += ["0", f"{length}", "<exists>", f"{len(tiers)}"] if short else [
        "xmin = 0", f"xmax = {length}", "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for place, (name, intervals) in enumerate(tiers.items(), 1):
        if short:
            out += ['"IntervalTier"', f'"{name}"', "0", f"{length}", f"{len(intervals)}"]
            out += [f'{start}\n{end}\n"{said}"' for start, end, said in intervals]
            continue
        out += [f"    item [{place}]:", '        class = "IntervalTier"',
                f'        name = "{name}"', "        xmin = 0", f"        xmax = {length}",
                f"        intervals: size = {len(intervals)}"]
        for number, (start, end, said) in enumerate(intervals, 1):
            out += [f"        intervals [{number}]:", f"            xmin = {start}",
                    f"            xmax = {end}", f'            text = "{said}"']
    return text(path, "\n".join(out) + "\n", encoding)
