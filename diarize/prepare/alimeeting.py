"""AliMeeting (SLR 119): far (8 channels mixed to one) or near (the sum of a session's headsets).

``--root`` holds ``{Train,Eval,Test}_Ali...`` as unpacked.  Non-empty intervals of the TextGrids are
the reference; a tier without any is a speaker who says nothing, and is reported.  Writes
{train,dev,test}_<condition>.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.textgrid import read_textgrid_tiers
from diarize.prepare.archive import corpus_root, files_by_stem, needed, one_of
from diarize.prepare.counts import Expected
from diarize.prepare.mixdown import write_mono
from diarize.prepare.part import Part, Recording, make_part
from diarize.prepare.recipe import check_parts, write_sets
from diarize.prepare.registry import channel_choice
from diarize.segments import Segment

SPLITS = {"train": "Train", "dev": "Eval", "test": "Test"}
# Published hours are those of 212 training sessions, and whole hours of the others.
EXPECTED = {
    "far": {
        "train": Expected(recordings=209, hours=104.75, hours_tolerance=0.05),
        "dev": Expected(recordings=8, hours=4.0, hours_tolerance=0.15),
        "test": Expected(recordings=20, hours=10.0, hours_tolerance=0.1,
                         reference_seconds=44840.8, seconds_tolerance=45.0),
    },
    "near": {
        "train": Expected(hours=104.75, hours_tolerance=0.05),
        "dev": Expected(recordings=8, hours=4.0, hours_tolerance=0.15),
        "test": Expected(recordings=20, hours=10.0, hours_tolerance=0.1),
    },
}
_SESSION = re.compile(r"(R\d+_M\d+)_(MS\d+|N_(SPK\d+))")
_SPEAKER = re.compile(r"SPK\d+$")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add where AliMeeting lies, and how its channels become one."""
    parser.add_argument("--root", metavar="DIR", help="the unpacked archives")
    parser.add_argument("--condition", choices=("far", "near"), default="far")
    parser.add_argument("--channels", type=channel_choice, metavar="HOW",
                        help="mean or sum of the channels (far) or headsets (near), or for far "
                        "the number of one from 0; default: mean for far, sum for near")
    parser.add_argument("--audio", metavar="DIR",
                        help="where mixed audio goes (default <out>/wav); far with mean needs none")


def prepare(args: argparse.Namespace) -> None:
    """Write the three sets of one condition."""
    root = corpus_root(args.root, "ALIMEETING", "AliMeeting")
    how = args.channels or {"far": "mean", "near": "sum"}[args.condition]
    if args.condition == "near" and how.isdigit():
        raise DiarizeError("--channels: mean or sum for near: every headset is one speaker's")
    mixed = Path(args.audio or Path(args.out) / "wav").absolute() / f"{args.condition}_{how}"
    reader = read_far if args.condition == "far" else read_near
    parts = {}
    for split, prefix in SPLITS.items():
        name = f"{prefix}_Ali_{args.condition}"
        places = (name, f"{prefix}_Ali/{name}", f"{prefix}_Ali/{prefix}_Ali/{name}")
        part = reader(one_of(root, *places), how, mixed, f"AliMeeting {args.condition} {split}")
        parts[split] = (part, EXPECTED[args.condition][split])
    differs = check_parts(f"AliMeeting {args.condition}", parts, args.any_counts)
    sets = {f"{split}_{args.condition}": part for split, (part, _) in parts.items()}
    write_sets(args.out, sets, {"condition": args.condition, "channels": how}, differs)


def read_far(folder: Path, how: str, mixed: Path, name: str) -> Part:
    """Return the recordings of the array; recordings keep the names of their files."""
    recordings, segments = [], []
    seen: dict[str, Path] = {}
    for stem, audio in files_by_stem(folder / "audio_dir", "*.wav").items():
        session = session_of(audio)[0]
        if session in seen:
            raise DiarizeError(
                f"{name}: recording {session} is there twice: {seen[session]} and {audio}; "
                "remove one")
        seen[session] = audio
        place = audio
        if how != "mean":  # the mean is what reading gives
            place = mixed / f"{stem}.wav"
            write_mono(place, [audio], how)
        recordings.append(Recording(stem, str(place)))
        grid = needed(folder / f"textgrid_dir/{session}.TextGrid", f"the reference of {stem}")
        found = [segment for _, part in turns(grid, stem) for segment in part]
        if not found:
            raise DiarizeError(f"{grid}: nobody speaks in it: all of its tiers are empty")
        segments += found
    return make_part(name, recordings, segments)


def read_near(folder: Path, how: str, mixed: Path, name: str) -> Part:
    """Return one recording per session, its headsets mixed; a headset's speaker is in its name."""
    sessions: dict[str, dict[str, Path]] = {}
    for audio in files_by_stem(folder / "audio_dir", "*.wav").values():
        session, speaker = session_of(audio)
        headsets = sessions.setdefault(session, {})
        if speaker is None or speaker in headsets:
            raise DiarizeError(f"{audio}: not <session>_N_<speaker>.wav, or a speaker's second")
        headsets[speaker] = audio
    recordings, segments = [], []
    for session, headsets in sorted(sessions.items()):
        place = mixed / f"{session}.wav"
        factor = write_mono(place, list(headsets.values()), how)
        if factor < 1:
            print(f"{name}: {session}: the sum is too loud: times {factor:.3f}", file=sys.stderr)
        recordings.append(Recording(session, str(place)))
        for speaker, audio in headsets.items():
            grid = needed(folder / f"textgrid_dir/{audio.stem}.TextGrid",
                          f"the reference of {audio.stem}")
            for _, part in turns(grid, session):
                segments += [segment._replace(label=speaker) for segment in part]
    return make_part(name, recordings, segments)


def turns(grid: Path, recording: str) -> Iterator[tuple[str, list[Segment]]]:
    """Yield (speaker, turns) of each tier: the intervals with a text; an empty tier is reported."""
    for tier in read_textgrid_tiers(grid):
        found = _SPEAKER.search(tier.name)
        label = found[0] if found else "_".join(tier.name.split()) or "unnamed"
        spoken = [Segment(recording, i.start, i.end, label)
                  for i in tier.intervals if i.text.strip()]
        if not spoken:
            print(f"{grid}:{tier.line}: {label} says nothing: an empty tier", file=sys.stderr)
        yield label, spoken


def session_of(audio: Path) -> tuple[str, str | None]:
    """Return the session of a file's name and, of a headset, the speaker."""
    found = _SESSION.fullmatch(audio.stem)
    if found is None:
        raise DiarizeError(f"{audio}: not named <R>_<M>_<MS> or <R>_<M>_N_<SPK> as AliMeeting is")
    return found[1], found[3]
