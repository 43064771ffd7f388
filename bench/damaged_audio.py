"""Damaged audio files: each is decoded whole, or one line names the file and the fault.

    bench/damaged_audio.py --files 400 --seed 1

Files of every format are cut at a random place, have bytes changed, a run of zeros, the beginning
of another format, or bytes removed or inserted.  Prints a table of outcomes by format and returns
status 1 if any file gave a traceback, hung, or lost or changed audio without a word:

    same      all samples as before the damage
    noise     all samples in number, with other values or at another rate by the header; only for
              formats without checksums
    warned    another length, with a warning that names the file
    refused   one line that names the file
"""

import argparse
import io
import logging
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource, read_audio

RATE, SECONDS, SLACK, LIMIT = 16000, 3, 0.1, 60
FORMATS = {
    "wav": ("WAV", "PCM_16"), "float.wav": ("WAV", "FLOAT"), "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III"),
    "sph": ("NIST", "PCM_16"), "aiff": ("AIFF", "PCM_16"), "caf": ("CAF", "PCM_16"),
    "w64": ("W64", "PCM_16"), "au": ("AU", "PCM_16"),
}  # fmt: skip
CHECKED = ("flac", "ogg", "opus")  # have checksums
OUTCOMES = ("same", "noise", "warned", "refused")


def sounds() -> dict[str, bytes]:
    """Return suffix -> the same audio in that format."""
    rng = np.random.default_rng(0)
    time = np.arange(SECONDS * RATE)
    wave = 0.1 * rng.normal(0, 1, len(time)) * (np.sin(time / 3000) > 0)
    out = {}
    for suffix, (form, subtype) in FORMATS.items():
        handle = io.BytesIO()
        soundfile.write(handle, wave, RATE, format=form, subtype=subtype)
        out[suffix] = handle.getvalue()
    if shutil.which("ffmpeg"):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "a.wav").write_bytes(out["wav"])
            for name in ("a.m4a", "a.webm"):
                command = ["ffmpeg", "-v", "error", "-i", f"{folder}/a.wav", f"{folder}/{name}"]
                if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                    out[name[2:]] = (Path(folder) / name).read_bytes()
    return out


def cut(data: bytearray, rng: np.random.Generator, _: bytes) -> None:
    """Remove the end."""
    del data[int(rng.integers(0, len(data))) :]


def flip(data: bytearray, rng: np.random.Generator, _: bytes) -> None:
    """Change 1 to 20 bytes, half of the time in the first 100."""
    limit = 100 if rng.random() < 0.5 else len(data)
    for place in rng.integers(0, limit, rng.integers(1, 21)):
        data[place] ^= int(rng.integers(1, 256))


def zero(data: bytearray, rng: np.random.Generator, _: bytes) -> None:
    """Overwrite up to a third by zeros."""
    size = int(rng.integers(1, len(data) // 3))
    place = int(rng.integers(0, len(data) - size))
    data[place : place + size] = bytes(size)


def header(data: bytearray, rng: np.random.Generator, other: bytes) -> None:
    """Put the beginning of another format in place of the beginning."""
    size = int(rng.integers(4, 100))
    data[:size] = other[:size]


def lose(data: bytearray, rng: np.random.Generator, _: bytes) -> None:
    """Remove up to a third anywhere."""
    size = int(rng.integers(1, len(data) // 3))
    place = int(rng.integers(0, len(data) - size))
    del data[place : place + size]


def insert(data: bytearray, rng: np.random.Generator, _: bytes) -> None:
    """Insert random bytes anywhere."""
    place = int(rng.integers(0, len(data)))
    data[place:place] = rng.bytes(int(rng.integers(1, 20000)))


DAMAGES: tuple[Callable, ...] = (cut, flip, zero, header, lose, insert)


class _Heard(logging.Handler):
    """The warnings of the package."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def outcome(path: Path, before: Path, checked: bool, heard: _Heard) -> str:
    """Return one of ``OUTCOMES``, or the description of a fault; ``before``: the whole file."""
    whole, values = read_audio(before), AudioSource(str(before)).info()
    heard.lines.clear()
    signal.alarm(LIMIT)
    try:
        samples = read_audio(path)
        info = AudioSource(str(path)).info()
        counted = info.samples_at(RATE)
    except DiarizeError as err:
        text = str(err)
        return "refused" if path.name in text and "\n" not in text else f"message: {text!r}"
    except TimeoutError:
        return f"hangs for {LIMIT} s"
    except Exception as err:  # any other exception is the fault that is tested
        return f"traceback: {type(err).__name__}: {err}"
    finally:
        signal.alarm(0)
    if counted != len(samples):
        return f"info states {counted} samples, {len(samples)} were read"
    if any(path.name in line for line in heard.lines):
        return "warned"
    lost = values.num_samples - info.num_samples * info.channels
    if abs(lost) > SLACK * values.sample_rate:
        return f"{len(samples) / RATE:.3f} s of {len(whole) / RATE:.3f} s without a word"
    if len(samples) == len(whole) and np.array_equal(samples, whole):
        return "same"
    return "other samples without a word" if checked else "noise"


def campaign(number: int, seed: int, folder: Path) -> tuple[dict[str, Counter], list[str]]:
    """Return format -> outcomes of ``number`` damaged files, and the faults."""

    def stop(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    heard = _Heard()
    logging.getLogger("diarize").addHandler(heard)
    rng = np.random.default_rng(seed)
    files = sounds()
    names = list(files)
    for suffix, data in files.items():
        (folder / f"whole.{suffix}").write_bytes(data)
    table: dict[str, Counter] = {suffix: Counter() for suffix in files}
    faults = []
    for index in range(number):
        suffix = names[index % len(names)]
        damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
        data = bytearray(files[suffix])
        damage(data, rng, files[names[int(rng.integers(len(names)))]])
        path = folder / f"{index:04d}-{damage.__name__}.{suffix}"
        path.write_bytes(data)
        found = outcome(path, folder / f"whole.{suffix}", suffix in CHECKED, heard)
        if found not in OUTCOMES:
            faults.append(f"{path.name}: {found}")
            found = "fault"
        else:
            path.unlink()
        table[suffix][found] += 1
    return table, faults


def main() -> int:
    """Return the exit status of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=400, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default %(default)s")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep files with a fault there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        table, faults = campaign(args.files, args.seed, folder)
    print(f"seed {args.seed}, {args.files} files")
    columns = (*OUTCOMES, "fault")
    print(f"{'':10}" + "".join(f"{name:>9}" for name in columns))
    for suffix, counts in table.items():
        print(f"{suffix:10}" + "".join(f"{counts[name]:9}" for name in columns))
    print(f"{'all':10}" + "".join(f"{sum(c[n] for c in table.values()):9}" for n in columns))
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
