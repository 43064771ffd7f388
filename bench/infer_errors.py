"""Errors and cost of trained systems on data directories: see bench/infer.py --data.

Every recording of a data directory is written as WAV (16 kHz, 16 bits, one channel), which each
system reads, all recordings in one process.  Its output is scored whole against ``rttm`` within
``uem``, collar 0, overlap scored.  CPU seconds are those of the process and its children, with
the start of Python and the loading of the model, and ``started`` without both.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import infer_peers

ROOT = Path(__file__).resolve().parent.parent
RATE = 16000
OURS = "ours"


@dataclass(frozen=True)
class Data:
    """Recordings of a data directory: ``audio`` (WAV), ``seconds`` of it, and the reference."""

    name: str
    audio: list[Path]
    seconds: float
    reference: dict
    uem: dict | None


def prepare(directory: Path, folder: Path) -> Data:
    """Return the data of ``directory``, its audio written to ``folder``."""
    from diarize.io.audio import read_audio, write_wav
    from diarize.kaldi.datadir import DataDir

    loaded = DataDir.load(directory, need_reference=True)
    folder.mkdir(parents=True, exist_ok=True)
    audio, total = [], 0
    for recording in loaded.recordings:
        samples = read_audio(loaded.source(recording), sample_rate=RATE)
        write_wav(folder / f"{recording}.wav", samples, RATE)
        audio.append(folder / f"{recording}.wav")
        total += len(samples)
    name = directory.resolve().name
    return Data(name, audio, total / RATE, loaded.reference(), loaded.evaluated())


def run_ours(args: argparse.Namespace, data: Data, folder: Path) -> dict[str, float]:
    """Return the figures of one run of diarize-infer; its RTTM is ``folder``/ours.rttm."""
    from infer import RUN

    out = folder / "ours.json"
    command = [sys.executable, "-c", RUN, str(out), *map(str, data.audio), "--model",
               str(args.model), "--device", args.device, "--out", str(folder / "ours.rttm")]
    env = {**os.environ, "OMP_NUM_THREADS": str(args.cores), "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, env=env, stderr=subprocess.DEVNULL)
    return json.loads(out.read_text())


def errors(data: Data, hypothesis: Path) -> dict[str, float]:
    """Return the parts of the DER of an RTTM and its count accuracy, in percent."""
    from diarize.io.rttm import read_rttm
    from diarize.score.annotations import score_annotations

    found = read_rttm(hypothesis)
    labels: dict[str, set[str]] = {}
    for segment in found:
        labels.setdefault(segment.recording, set()).add(segment.label)
    total = score_annotations(data.reference, found, data.uem).total
    right = sum(
        len({turn.label for turn in turns}) == len(labels.get(recording, ()))
        for recording, turns in data.reference.items()
    )
    return {
        "miss": 100 * total.rate(total.miss),
        "false alarm": 100 * total.rate(total.false_alarm),
        "confusion": 100 * total.rate(total.confusion),
        "DER": 100 * total.der,
        "count right": 100 * right / len(data.reference),
    }


def compare(root: Path, args: argparse.Namespace) -> None:
    """Print one table for each directory of ``args.data``, and a BENCH line for each system."""
    for directory in args.data:
        data = prepare(directory, root / directory.resolve().name)
        folder = data.audio[0].parent
        print(f"{data.name}: {len(data.audio)} recordings, {data.seconds / 60:.1f} min")
        lines = []
        for side in (OURS, *(args.peers or ())):
            if side == OURS:
                cost = run_ours(args, data, folder)
            else:
                cost = infer_peers.run_peer(
                    side, args.peer_python, folder, data.audio, args.device, args.cores)
            row = errors(data, folder / f"{side}.rttm")
            row |= {"CPU s": cost["cpu"], "started": cost["cpu_run"], "peak GB": cost["peak"]}
            if not lines:
                print(" " * 16 + "".join(f"{head:>12}" for head in row))
            print(f"{side:16}" + "".join(f"{value:12.2f}" for value in row.values()), flush=True)
            lines.append(f"BENCH name=der_{data.name}_{side} value={row['DER']:.2f} unit=percent "
                         f"cpu_s={row['CPU s']:.1f} cpu_s_started={row['started']:.1f}")
        print("\n".join(lines))
