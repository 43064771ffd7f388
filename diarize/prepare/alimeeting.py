"""AliMeeting (SLR 119): far (8 channels mixed to one) or near (sum of the headsets of a session).

``--root`` holds ``{Train,Eval,Test}_Ali...`` as unpacked.  The reference are the intervals of the
TextGrids with a text other than ``(sil)``, which marks noise without speech.  A tier without such
intervals is reported: its speaker is silent.  Writes {train,dev,test}_<condition>.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from diarize.errors import DiarizeError
from diarize.io.names import normal_names
from diarize.io.textgrid import read_textgrid_tiers
from diarize.prepare.archive import corpus_root, files_by_stem, needed, one_of
from diarize.prepare.counts import Expected
from diarize.prepare.mixdown import write_mono
from diarize.prepare.part import CorpusPart, CorpusRecording, make_part
from diarize.prepare.recipe import check_parts, write_sets
from diarize.prepare.registry import channel_choice
from diarize.segments import Segment

SPLITS = {"train": "Train", "dev": "Eval", "test": "Test"}
# Hours of the far archives: 111 h 21 min, 4 h 12 min, 10 h 46 min (FrenchKrab/datasets-pyannote).
# The 104.75 h and 212 sessions of the paper are those of the challenge, not of the archive.
# Seconds: BUTSpeechFIT/DiaPer scores 44840.78 s of both conditions, with equal sessions.
# A session of headsets is as long as its longest one, so near its far recording.
_SECONDS = {"reference_seconds": 44840.8, "seconds_tolerance": 45.0}
EXPECTED = {
    "far": {
        "train": Expected(recordings=209, hours=111.35),
        "dev": Expected(recordings=8, hours=4.2),
        "test": Expected(recordings=20, hours=10.77, **_SECONDS),
    },
    "near": {
        "train": Expected(hours=111.35, hours_tolerance=0.05),
        "dev": Expected(recordings=8, hours=4.2, hours_tolerance=0.05),
        "test": Expected(recordings=20, hours=10.77, hours_tolerance=0.05, **_SECONDS),
    },
}
NOISE = "(sil)"
WITH_NOISE = f"with {NOISE} as speech"
# Far: R0003_M0046_MS002.  Near: R0003_M0046_F_SPK0093 in training, by the sex of the speaker, and
# R8001_M8004_N_SPK8013 in the other archives.
_SESSION = re.compile(r"(R\d+_M\d+)_(MS\d+|[FMN]_(SPK\d+))")
_SPEAKER = re.compile(r"SPK\d+$")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of AliMeeting."""
    parser.add_argument("--root", default="", metavar="DIR",
                        help="directory of the unpacked archives")
    parser.add_argument("--condition", choices=("far", "near"), default="far",
                        help="array or headsets (default %(default)s)")
    parser.add_argument("--channels", type=channel_choice, metavar="HOW",
                        help="mean or sum of the channels (far) or headsets (near), or for far "
                        "the number of one from 0; default: mean for far, sum for near")
    parser.add_argument("--wav-dir", metavar="DIR",
                        help="directory of mixed audio (default <out>/wav); not for far with mean")


def prepare(args: argparse.Namespace) -> None:
    """Write the three sets of one condition."""
    root = corpus_root(args.root, "ALIMEETING", "AliMeeting")
    how = args.channels or {"far": "mean", "near": "sum"}[args.condition]
    if args.condition == "near" and how.isdigit():
        raise DiarizeError(
            f"--channels {how}: near accepts mean or sum, since each headset records one speaker"
        )
    mixed = Path(args.wav_dir or Path(args.out) / "wav").absolute() / f"{args.condition}_{how}"
    reader = read_far if args.condition == "far" else read_near
    parts = {}
    for split, prefix in SPLITS.items():
        name = f"{prefix}_Ali_{args.condition}"
        places = (name, f"{prefix}_Ali/{name}", f"{prefix}_Ali/{prefix}_Ali/{name}")
        part = reader(one_of(root, *places), how, mixed, f"AliMeeting {args.condition} {split}")
        parts[split] = (part, EXPECTED[args.condition][split])
    differs = check_parts(f"AliMeeting {args.condition}", parts, args.allow_counts)
    sets = {f"{split}_{args.condition}": part for split, (part, _) in parts.items()}
    write_sets(args.out, sets, {"condition": args.condition, "channels": how}, differs)


def read_far(folder: Path, how: str, mixed: Path, name: str) -> CorpusPart:
    """Return the recordings of the array, each named by its file."""
    recordings, segments, noise = [], [], {}
    seen: dict[str, Path] = {}
    for stem, audio in files_by_stem(folder / "audio_dir", "*.wav").items():
        session = session_of(audio)[0]
        if session in seen:
            raise DiarizeError(
                f"{name}: recording {session} occurs twice: {seen[session]} and {audio}; "
                "remove one of them")
        seen[session] = audio
        place = audio
        if how != "mean":  # reading already computes the mean
            place = mixed / f"{stem}.wav"
            write_mono(place, [audio], how)
        recordings.append(CorpusRecording(stem, str(place)))
        grid = needed(folder / f"textgrid_dir/{session}.TextGrid", f"the reference of {stem}")
        found = list(tiers(grid, stem))
        if not any(tier.speech for tier in found):
            raise DiarizeError(f"{grid}: no speech: all tiers are empty or {NOISE}; unpack the "
                               "archive again")
        segments += [segment for tier in found for segment in tier.speech]
        noise[stem] = sum(tier.noise for tier in found)
    return make_part(name, recordings, segments, readings={WITH_NOISE: noise})


def read_near(folder: Path, how: str, mixed: Path, name: str) -> CorpusPart:
    """Return one recording per session, the mixture of its headsets."""
    sessions: dict[str, dict[str, Path]] = {}
    for audio in files_by_stem(folder / "audio_dir", "*.wav").values():
        session, speaker = session_of(audio)
        headsets = sessions.setdefault(session, {})
        if speaker is None or speaker in headsets:
            raise DiarizeError(
                f"{audio}: must be <session>_<F, M or N>_<speaker>.wav, one per speaker; remove "
                "it, or unpack the archive again"
            )
        headsets[speaker] = audio
    recordings, segments, noise = [], [], dict.fromkeys(sessions, 0.0)
    for session, headsets in sorted(sessions.items()):
        place = mixed / f"{session}.wav"
        factor = write_mono(place, list(headsets.values()), how)
        if factor < 1:
            print(f"{name}: {session}: scaled by {factor:.3f}: the sum would clip", file=sys.stderr)
        recordings.append(CorpusRecording(session, str(place)))
        for speaker, audio in headsets.items():
            grid = needed(folder / f"textgrid_dir/{audio.stem}.TextGrid",
                          f"the reference of {audio.stem}")
            for tier in tiers(grid, session):
                segments += [segment._replace(label=speaker) for segment in tier.speech]
                noise[session] += tier.noise
    return make_part(name, recordings, segments, readings={WITH_NOISE: noise})


class SpeakerTier(NamedTuple):
    """Turns of one speaker, and the seconds that the tier marks as noise."""

    speech: list[Segment]
    noise: float


def tiers(grid: Path, recording: str) -> Iterator[SpeakerTier]:
    """Yield the tiers of a TextGrid; one without speech is reported.

    Intervals with a text are speech, but for the text ``(sil)`` and those of a tier of that name.
    """
    for tier in read_textgrid_tiers(grid):
        found = _SPEAKER.search(tier.name)
        label = found[0] if found else normal_names([tier.name], grid)[0].strip() or "unnamed"
        speech, noise = [], 0.0
        for interval in tier.intervals:
            if NOISE in (interval.text.strip(), tier.name.strip()):
                noise += interval.end - interval.start
            elif interval.text.strip():
                speech.append(Segment(recording, interval.start, interval.end, label))
        if not speech:
            why = f"only {NOISE}" if noise else "an empty tier"
            print(f"{grid}:{tier.line}: {label} does not speak: {why}", file=sys.stderr)
        yield SpeakerTier(speech, noise)


def session_of(audio: Path) -> tuple[str, str | None]:
    """Return the session in the name of a file and, for a headset, the speaker."""
    found = _SESSION.fullmatch(audio.stem)
    if found is None:
        raise DiarizeError(f"{audio}: not a name of AliMeeting, such as R0003_M0046_MS002 (far), "
                           "R0003_M0046_F_SPK0093 or R8001_M8004_N_SPK8013 (near); remove it")
    return found[1], found[3]
