"""A small run of bench/damaged_audio.py: no traceback, no hang, no loss without a word."""

import subprocess
import sys
from pathlib import Path

import pytest

from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource, read_audio

SCRIPT = Path(__file__).parents[2] / "bench/damaged_audio.py"


def test_damaged_files_are_decoded_whole_or_named():
    command = [sys.executable, SCRIPT, "--files", "52", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "seed 7, 52 files"
    total = next(line.split() for line in lines if line.startswith("all"))
    assert sum(map(int, total[1:])) == 52
    assert int(total[-1]) == 0
    assert int(total[4]) > 20  # refused


@pytest.mark.parametrize("place", [10, 12, 18])
def test_sphere_without_the_end_of_its_header_is_refused(tmp_path, place):
    """Another file behind the beginning of a SPHERE header was read as noise."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"NIST_1A\n   1024\nsample_rate -i 16000\n" + bytes(range(256)) * place)
    for act in (AudioSource.info, read_audio):
        with pytest.raises(DiarizeError, match=r"a\.wav: .*end_head"):
            act(AudioSource(str(path)))


@pytest.mark.parametrize("rate", [0, 24, 1_000_000])
def test_an_impossible_sample_rate_is_refused(tmp_path, rate):
    path = tmp_path / "a.au"
    head = b".snd" + b"".join(x.to_bytes(4, "big") for x in (24, 32000, 3, rate, 1))
    path.write_bytes(head + bytes(32000))
    with pytest.raises(DiarizeError, match=r"a\.au: "):
        read_audio(path)
