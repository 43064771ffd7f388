"""Your own data: a directory of audio and a directory of RTTM, split without leakage.

``--audio`` and ``--rttm`` are one or more directories, searched recursively and through links, or
files.  Audio files are those that libsndfile reads and, with ffmpeg installed, m4a, mp4, webm and
others.  The recording id is the name of the audio file without suffix.  Recordings that share a
speaker or a group are in one set.  Writes the non-empty ones of {train,dev,test}, and
``split.list``, an input of ``--split``.
"""

import argparse
import difflib
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from diarize import checks
from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource
from diarize.io.audio_ffmpeg import AUDIO_SUFFIXES, FFMPEG_SUFFIXES
from diarize.io.folders import files_below
from diarize.io.names import normal_name
from diarize.io.rttm import read_turns
from diarize.io.table import read_table
from diarize.io.uem import read_uem
from diarize.prepare.channels import channel_id, choose_channels, split_files
from diarize.prepare.groups import (
    SETS,
    groups_of,
    shared_speakers,
    speakers_of,
    split_groups,
)
from diarize.prepare.part import CorpusPart, CorpusRecording, make_part
from diarize.prepare.recipe import write_sets
from diarize.prepare.splits import read_split, write_split
from diarize.segments import Segment

_SHOWN = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of own data."""
    add = parser.add_argument
    add("--audio", nargs="+", required=True, metavar="PATH", help="directories or files")
    add("--rttm", nargs="+", required=True, metavar="PATH", help="directories or files")
    add("-u", "--uem", nargs="*", default=[], metavar="PATH",
        help="directories or files: the annotated regions; default: the whole recordings")
    add("--channel", default="mix", metavar="N|each|mix",
        help="for files with several channels: the number of one, from 1, their mean, or one "
        "recording <name>_ch<N> for each, with the RTTM lines of its channel (default mix)")
    add("--names", choices=("lines", "files"), default="lines",
        help="recording id of an RTTM or UEM: from its lines (default), or its file name")
    add("--speakers", choices=("shared", "local"), default="shared",
        help="equal labels in two recordings are one person (default), or different persons")
    add("--groups", metavar="FILE", help="lines '<recording> <group>': a group is kept in one set")
    add("--split", metavar="FILE",
        help="lines '<recording> train|dev|test'; other recordings are split by the rule")
    add("--dev-share", type=checks.probability, default=0.1, metavar="SHARE",
        help="share of the audio in this set (default %(default)s)")
    add("--test-share", type=checks.probability, default=0.1, metavar="SHARE",
        help="share of the audio in this set (default %(default)s)")
    add("--seed", type=checks.natural, default=1, metavar="N",
        help="seed of the split (default %(default)s)")
    add("--incomplete", choices=("error", "skip"), default="error",
        help="audio without RTTM, and RTTM without audio: an error, or omitted with a warning")


def prepare(args: argparse.Namespace) -> None:
    """Write the sets."""
    for name in ("dev_share", "test_share"):
        checks.require(getattr(args, name) < 1, f"--{name.replace('_', '-')}", getattr(args, name),
                       "below 1")
    part, channels = read_folders(args)
    split, rule = split_of(part, args, channels)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    write_split(out / "split.list", split, rule)
    names = {place: [key for key in part.ids if split[key] == place] for place in SETS}
    options = {"split": rule, "speakers": args.speakers}
    sets = {place: part.subset(ids, f"own data, {place}") for place, ids in names.items() if ids}
    write_sets(args.out, sets, options)


def read_folders(
    args: argparse.Namespace,
) -> tuple[CorpusPart, Mapping[str, Sequence[str]]]:
    """Return all recordings that have both audio and a reference.

    Also returns file -> its recordings for the files of which each channel is one.
    """
    files = audio_files(args.audio)
    for path in files.values():
        if path.suffix.lower() in FFMPEG_SUFFIXES:
            AudioSource(str(path)).check()  # before anything is decoded
    audio = choose_channels(files, args.channel)
    channels = split_files(audio)
    segments, labelled = references(args.rttm, args.names, channels)
    silent = sorted(audio.keys() - labelled.keys())
    mute = sorted(labelled.keys() - audio.keys())
    if mute and args.incomplete == "error":
        raise DiarizeError(_no_audio(mute, labelled, audio))
    if silent and args.incomplete == "error":
        raise DiarizeError(
            f"{_some(silent)}: audio ({audio[silent[0]]}), but no RTTM. Write an empty RTTM of "
            "that name if nobody speaks; --incomplete skip leaves such recordings out"
        )
    if not audio.keys() & labelled.keys():
        text = _no_audio(mute, labelled, audio)
        raise DiarizeError(f"no recording has both audio and RTTM: {text}")
    for names, lack in ((silent, "RTTM"), (mute, "audio")):
        if names:
            print(f"WARNING: left out, no {lack}: {_some(names)}", file=sys.stderr)
    left_out = dict.fromkeys([*silent, *mute], "no RTTM or no audio")
    regions = evaluated(args.uem, args.names, audio, channels)
    folder = Path(args.out).absolute() / "wav"
    recordings = [
        CorpusRecording(
            key,
            str(file.path if key in left_out else file.mono(folder, key)),
            None,
            tuple(regions.get(key, ())),
        )
        for key, file in audio.items()
    ]
    return make_part("own data", recordings, segments, left_out), channels


def audio_files(paths: Iterable[str]) -> dict[str, Path]:
    """Return recording -> file; DiarizeError for no file, a name with blanks, or a duplicate.

    One file under several paths counts once.  Where a file that requires ffmpeg, such as a video,
    lies beside one of the same name that does not, the latter is used.
    """
    found: dict[str, Path] = {}
    for path in _files(paths, AUDIO_SUFFIXES, "audio"):
        if path.stem.split() != [path.stem]:
            raise DiarizeError(f"{path}: a recording's name must not have blanks; rename the file")
        key = normal_name(path.stem)
        other = found.get(key)
        if other is not None and not path.samefile(other):
            foreign = [p for p in (path, other) if p.suffix.lower() in FFMPEG_SUFFIXES]
            if len(foreign) != 1:
                raise DiarizeError(f"recording {key} occurs twice: {other} and {path}; rename one")
            found[key] = other if foreign == [path] else path
            print(f"WARNING: {foreign[0]}: left out, in favour of {found[key]}", file=sys.stderr)
        elif other is None:
            found[key] = path
    return dict(sorted(found.items()))


def references(
    paths: Iterable[str], names: str, channels: Mapping[str, Sequence[str]]
) -> tuple[list[Segment], dict[str, Path]]:
    """Return the segments, and recording -> RTTM.

    An RTTM without lines is the reference of the recording of its name, without speech.  Lines of
    a file in ``channels`` are those of one of its recordings, by their channel.
    """
    segments: list[Segment] = []
    labelled: dict[str, Path] = {}
    for path in _files(paths, (".rttm",), "RTTM"):
        turns = read_turns(path)
        found = turns.segments()
        if names == "files":
            found = [segment._replace(recording=normal_name(path.stem)) for segment in found]
        keys = {segment.recording for segment in found} or {normal_name(path.stem)}
        for file in keys & channels.keys():
            keys = keys - {file} | set(channels[file])
        if channels:
            found = [
                segment._replace(recording=channel_id(segment.recording, channel))
                if segment.recording in channels else segment
                for segment, channel in zip(found, turns.channel, strict=True)
            ]
        for segment in found:
            if segment.recording not in keys:
                raise DiarizeError(
                    f"{path}: {segment.label} at {segment.start:.3f} s: there is no channel of "
                    f"the audio that is recording {segment.recording}; correct the third field"
                )
        for key in sorted(keys):
            if key in labelled:
                raise DiarizeError(
                    f"recording {key} is labelled twice: in {labelled[key]} and in {path}; "
                    "keep one of the two"
                )
            labelled[key] = path
        segments += found
    return segments, labelled


def evaluated(
    paths: Iterable[str],
    names: str,
    audio: Collection[str],
    channels: Mapping[str, Sequence[str]],
) -> dict[str, list[tuple[float, float]]]:
    """Return the regions of each recording that has any; DiarizeError for one without audio.

    The regions of a file in ``channels`` are those of all its recordings.
    """
    regions: dict[str, list[tuple[float, float]]] = {}
    for path in _files(paths, (".uem",), "UEM") if paths else []:
        for key, found in read_uem(path).items():
            name = normal_name(path.stem) if names == "files" else key
            for recording in channels.get(name, (name,)):
                if recording not in audio:
                    raise DiarizeError(f"{path}: regions of {name}, but there is no audio of it")
                if recording in regions:
                    raise DiarizeError(f"{path}: regions of {name}, which another file has, too")
                regions[recording] = found
    return regions


def split_of(
    part: CorpusPart, args: argparse.Namespace, channels: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str], str]:
    """Return recording -> set, and the rule in words; the ``channels`` of a file are together."""
    links = [(key, f"file {file}") for file, keys in channels.items() for key in keys]
    links = [(key, file) for key, file in links if key in part.ids]
    if args.speakers == "shared":
        own = speakers_of(part.segments)
        links += [(key, f"speaker {label}") for key in own for label in sorted(own[key])]
    if args.groups:
        listed = read_table(args.groups, fields=2)
        absent = [key for key in part.ids if key not in listed]
        if absent:
            raise DiarizeError(f"{args.groups}: no line for recording {_some(absent)}")
        links += [(key, f"group {listed[key]}") for key in part.ids]
    fixed = _fixed(args.split, part) if args.split else {}
    shares = {"dev": args.dev_share, "test": args.test_share}
    seconds = {recording.id: recording.duration for recording in part.recordings}
    split = split_groups(groups_of(part.ids, links), seconds, shares, args.seed, fixed)
    same = shared_speakers(part, split)
    if same:
        print(f"WARNING: {len(same)} labels are in more than one set, such as {min(same)}; by "
              "--speakers local they are different persons", file=sys.stderr)
    rule = f"seed {args.seed}, dev {args.dev_share:g}, test {args.test_share:g} of the audio"
    if fixed:
        rule += f", {len(fixed)} recordings by {Path(args.split).name}"
    return split, f"{rule}, speakers {args.speakers}" + (", groups" if args.groups else "")


def _fixed(path: str, part: CorpusPart) -> dict[str, str]:
    """Return recording -> set of the list ``path``, for the recordings of ``part``."""
    with_head = Path(path).is_file() and Path(path).read_text("utf-8").startswith("# split")
    listed = read_split(path) if with_head else read_table(path, fields=2)
    for key, place in listed.items():
        if place not in SETS:
            raise DiarizeError(f"{path}: {key}: the set is train, dev or test, not '{place}'")
        if key not in part.ids and key not in part.left_out:
            raise DiarizeError(f"{path}: there is no recording {key}")
    return {key: place for key, place in listed.items() if key in part.ids}


def _files(paths: Iterable[str], suffixes: tuple[str, ...], what: str) -> list[Path]:
    """Return the files of these suffixes in all directories, and the files among ``paths``."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = files_below(path, suffixes)
            if not inside:
                raise DiarizeError(f"{path}: no {what} in it ({', '.join(suffixes)})")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise DiarizeError(f"{path}: no such file or directory of {what}")
    return found


def _no_audio(mute: list[str], labelled: Mapping[str, Path], audio: Collection[str]) -> str:
    """Return the message for RTTM without audio, with the nearest name of audio."""
    path = labelled[mute[0]]
    text = f"{_some(mute)}: an RTTM ({path}), but no audio"
    near = difflib.get_close_matches(mute[0], audio, n=1)
    if path.stem in audio and path.stem not in labelled:
        return f"{text}; there is audio of the file's name, {path.stem}: --names files takes that"
    hint = f" (the nearest name is {near[0]});" if near else ";"
    return f"{text} of that name{hint} --incomplete skip leaves such recordings out"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"recording{'s' * (len(names) > 1)} {', '.join(names[:_SHOWN])}{more}"
