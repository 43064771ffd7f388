"""What the sets of all mini recipes share: the plan on record, progress, the data directories."""

import hashlib
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path

import soundfile

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.table import write_table
from voices.corpus import Speaker, Utterance


def check_same_plan(
    path: Path, version: int, speakers: list[Speaker], plans: dict[str, dict[str, Utterance]]
) -> None:
    """Record the contents of the directory of ``path``; raise if they differ from the present ones.

    ``version`` is that of the making: older audio is not mixed with newer.
    """
    parts = [astuple(speaker.voice) for speaker in speakers]
    parts += [(name, k, *astuple(u)[1:]) for name, plan in plans.items() for k, u in plan.items()]
    digest = hashlib.sha256(repr((version, parts)).encode()).hexdigest()
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")).get("plan") != digest:
            raise DiarizeError(
                f"{path.parent} contains voices made with other options: remove that directory, "
                "or use another one"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as handle:
        json.dump({"plan": digest}, handle)


def show_progress(paths: Iterable[str], start: float) -> None:
    """Print a line every few seconds while ``paths`` are made."""
    shown = time.monotonic()
    for number, _ in enumerate(paths, 1):
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"{number} utterances in {shown - start:.0f} s", file=sys.stderr)


def write_data_dir(
    path: Path, plan: dict[str, Utterance], utt2lang: dict[str, str] | None = None
) -> float:
    """Write the tables of one set; return its seconds of speech."""
    path.mkdir(parents=True, exist_ok=True)
    utt2spk = {utterance: utterance.split("-")[0] for utterance in plan}
    spk2utt: dict[str, list[str]] = {}
    for utterance in sorted(plan):
        spk2utt.setdefault(utt2spk[utterance], []).append(utterance)
    seconds = {key: soundfile.info(item.path).frames / 16000 for key, item in plan.items()}
    durations = {key: f"{value:.3f}" for key, value in seconds.items()}
    write_table(path / "wav.scp", {key: item.path for key, item in plan.items()})
    write_table(path / "utt2spk", utt2spk)
    write_table(path / "spk2utt", {key: " ".join(value) for key, value in spk2utt.items()})
    write_table(path / "text", {key: item.text for key, item in plan.items()})
    write_table(path / "reco2dur", durations)
    write_table(path / "utt2dur", durations)
    if utt2lang is not None:
        write_table(path / "utt2lang", utt2lang)
    return sum(seconds.values())
