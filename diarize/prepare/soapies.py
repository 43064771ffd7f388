"""South African soap operas (SADiLaR, 20.500.12185/545): code-switched speech, by language.

Four balanced corpora of English with isiZulu, isiXhosa, Setswana and Sesotho, with one WAV (32 kHz)
per utterance and one XML per corpus.  The XML scheme is not published.  Assumed, and checked:

    <episode> <ep_number/> ...
      <utterance> <audio>NAME.wav</audio> <speaker_id/>
        <utterance_segment> <lang_id>zul</lang_id> <transcription/> <duration>MS</duration>

The segments of an utterance follow one another from its start, durations are milliseconds, and one
without a transcription is no speech.  Fields may be elements or attributes; other elements are
passed over.
"""

import argparse
import filecmp
import os
import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from diarize import checks
from diarize.errors import DiarizeError
from diarize.io.folders import files_below, files_like
from diarize.io.markup import parse_xml
from diarize.io.rttm import read_data
from diarize.io.table import read_text
from diarize.prepare.archive import corpus_root
from diarize.prepare.counts import Expected
from diarize.prepare.part import CorpusPart, CorpusRecording, join_parts, make_part
from diarize.prepare.recipe import check_parts, write_sets
from diarize.prepare.splits import DEFAULT_SEED, describe_rule, seeded_split, write_split
from diarize.segments import Segment, merge_segments

PAIRS = ("engzul", "engxho", "engtsn", "engsot")
EXPECTED = Expected(hours=14.3)
# Shares of the audio that segments fill: far from it, the durations are not milliseconds.
_FILLED = (0.5, 1.1)
_LANGUAGE = re.compile(r"[a-z]{2,5}")
_SETS = ("train", "dev", "test")


class Said(NamedTuple):
    """One utterance: its spans [start, end) in seconds by language."""

    name: str
    episode: str
    spans: tuple[tuple[float, float, str], ...]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the soap operas."""
    add = parser.add_argument
    add("--root", default="", metavar="DIR",
        help="directory of the unpacked archives: SOAPIES of db.sh")
    add("--pairs", default=",".join(PAIRS), metavar="NAME,...",
        help="pairs of languages (default %(default)s)")
    add("--split-by", default="official", choices=("official", "episode"),
        help="official: the authors' lists of ids, in which episodes are on several sides; "
        "episode: 60/20/20 by whole episodes (default %(default)s)")
    add("--split-seed", type=checks.natural, default=DEFAULT_SEED, metavar="N",
        help="seed of --split-by episode (default %(default)s)")


def prepare(args: argparse.Namespace) -> None:
    """Write train, dev and test of all pairs together."""
    root = corpus_root(args.root, "SOAPIES", "South African soap operas")
    pairs = [name for name in args.pairs.split(",") if name]
    audio, xmls = files_below(root, (".wav",)), files_below(root, (".xml",))
    files = {pair: _of_pair(xmls, pair, root) for pair in pairs}
    said = {pair: list(read_utterances(path)) for pair, path in files.items()}
    by_name: dict[str, list[Path]] = {}
    parts: dict[str, CorpusPart] = {}
    for wav in audio:
        by_name.setdefault(wav.stem, []).append(wav)
    for pair in pairs:
        choose = partial(one_file, pair=pair, xml=files[pair], root=root)
        chosen = {one.name: choose(by_name.get(one.name, ()), one.name) for one in said[pair]}
        parts[pair] = pair_part(pair, said[pair], chosen, files[pair])
    if args.split_by == "official":
        sides = {pair: _official(root, pair, said[pair]) for pair in pairs}
    else:
        sides = _by_episode(said, args.split_seed)
    _tell_episodes(said, sides)
    split = {f"{pair}-{name}": side for pair in pairs for name, side in sides[pair].items()}
    whole = join_parts("soap operas", parts.values())
    expected = EXPECTED if set(pairs) == set(PAIRS) else Expected()
    checked = {"balanced": (whole, expected)}
    differs = check_parts("South African soap operas", checked, args.allow_counts)
    dropped = drop_shared(split)
    rule = "the authors' lists of ids"
    if args.split_by == "episode":
        rule = f"by episode, test and then dev: {describe_rule(args.split_seed)}"
    Path(args.out).mkdir(parents=True, exist_ok=True)
    write_split(Path(args.out) / "split.txt", split, rule)
    sets = {
        name: whole.subset([key for key, side in split.items() if side == name], name)
        for name in _SETS
    }
    write_sets(args.out, sets, {
        "pairs": " ".join(pairs), "split": rule, "labels": "languages",
        "left_out_as_in_another_set": dropped,
    }, differs)  # fmt: skip


def read_utterances(path: Path) -> Iterator[Said]:
    """Yield the utterances of an XML; DiarizeError, naming it, for one of another scheme."""
    root = parse_xml(read_data(path), path)
    episodes = _all(root, "episode") or [root]
    number = 0
    for place, episode in enumerate(episodes, 1):
        name = _field(episode, "ep_number") or str(place)
        date = _field(episode, "broadcast_date")
        for element in _all(episode, "utterance"):
            number += 1
            file = _field(element, "audio")
            where = f"{path}: utterance {number}{f' ({file})' if file else ''}"
            if not file:
                raise DiarizeError(f"{where}: no <audio>: the scheme is another than assumed")
            yield Said(Path(file).stem, f"{name} {date}".strip(), _spans(element, where))
    if not number:
        raise DiarizeError(f"{path}: no <utterance>: the scheme is another than assumed")


def _spans(utterance: ET.Element, where: str) -> tuple[tuple[float, float, str], ...]:
    spans, at = [], 0.0
    segments = _all(utterance, "utterance_segment")
    if not segments:
        raise DiarizeError(f"{where}: no <utterance_segment>")
    for segment in segments:
        text = _field(segment, "duration")
        try:
            seconds = float(text) / 1000
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < 3600:
            raise DiarizeError(f"{where}: duration '{text}' is not a number of milliseconds")
        language = _field(segment, "lang_id").lower()
        if _field(segment, "transcription"):
            if not _LANGUAGE.fullmatch(language):
                raise DiarizeError(f"{where}: lang_id '{language}' is not the code of a language")
            spans.append((round(at, 3), round(at + seconds, 3), language))
        at += seconds
    return tuple(spans)


def one_file(found: Sequence[Path], name: str, pair: str, xml: Path, root: Path) -> Path:
    """Return the audio of the utterance ``name`` among its copies ``found`` below ``root``.

    An utterance that several pairs list is in the archive of each.  Preferred are files below a
    directory named after the pair, then those nearest to its XML; copies of the same content are
    one file.  Raises DiarizeError if there is none, or several of different content.
    """
    if not found:
        raise DiarizeError(f"{xml}: no WAV of {name} below {root}; unpack the archive again")
    found = [p for p in found if pair in str(p.parent.relative_to(root))] or found
    shared = [len(os.path.commonpath([path, xml])) for path in found]
    found = [path for path, length in zip(found, shared, strict=True) if length == max(shared)]
    other = [path for path in found[1:] if not filecmp.cmp(found[0], path, shallow=False)]
    if other:
        raise DiarizeError(
            f"{xml}: two different WAV of {name}: {found[0]} and {other[0]}; remove one of them"
        )
    return found[0]


def pair_part(pair: str, said: Sequence[Said], audio: Mapping[str, Path], xml: Path) -> CorpusPart:
    """Return the utterances of a pair as recordings ``<pair>-<name>``, labelled by language.

    ``audio`` maps utterances to files.  Raises DiarizeError if the segments are much shorter or
    longer than the audio in all.
    """
    recordings, segments = [], []
    for utterance in said:
        key = f"{pair}-{utterance.name}"
        recordings.append(CorpusRecording(key, str(audio[utterance.name])))
        segments += [Segment(key, *span) for span in utterance.spans if span[1] > span[0]]
    # Before anything is cut: the XML of all utterances is compared with the audio.
    annotated = sum(s.duration for s in segments)
    part = make_part(pair, recordings, merge_segments(segments))
    heard = sum(recording.duration for recording in part.recordings)
    if not _FILLED[0] * heard <= annotated <= _FILLED[1] * heard:
        raise DiarizeError(
            f"{xml}: its segments last {annotated:.0f} s, the audio {heard:.0f} s: the durations "
            "are not milliseconds, or the audio is that of another corpus"
        )
    languages = Counter(segment.label for segment in part.segments)
    shown = " ".join(f"{name}:{count}" for name, count in sorted(languages.items()))
    print(f"{xml.name}: {len(said)} utterances, spans by language: {shown}", file=sys.stderr)
    return part


def drop_shared(split: dict[str, str]) -> int:
    """Remove from ``split`` utterances that another pair has in a set nearer to the test set.

    The balanced corpora draw on the same recordings.  Returns the number of removed recordings.
    """
    best: dict[str, int] = {}
    for key, side in split.items():
        name = key.partition("-")[2]
        best[name] = max(best.get(name, 0), _SETS.index(side))
    shared = [k for k, side in split.items() if _SETS.index(side) < best[k.partition("-")[2]]]
    for key in shared:
        del split[key]
    if shared:
        print(
            f"{len(shared)} utterances are left out, like {shared[0]}: another pair has them in "
            "its validation or test set",
            file=sys.stderr,
        )
    return len(shared)


def _official(root: Path, pair: str, said: Sequence[Said]) -> dict[str, str]:
    """Return utterance -> set by the authors' lists; those on none of them are for training."""
    sides = {utterance.name: "train" for utterance in said}
    for side, word in (("dev", "dev"), ("test", "tst")):
        name = f"{pair}_{word}_set_utterance_ids.txt"
        path = next(iter(files_like(root, f"**/{name}")), None)
        if path is None:
            raise DiarizeError(
                f"{root}: no {name} below it (soapies_dev_and_test_set_utterance_ids.zip); unpack "
                "it here, or split by episodes: --split episode"
            )
        for key in read_text(path).split():
            if sides.get(key, "train") not in ("train", side):
                raise DiarizeError(f"{path}: {key} is in the validation set already")
            if key not in sides:
                raise DiarizeError(f"{path}: {key} is not in the XML of {pair}")
            sides[key] = side
    return sides


def _by_episode(said: Mapping[str, Sequence[Said]], seed: int) -> dict[str, dict[str, str]]:
    """Return pair -> utterance -> set; an episode is on the same side in all pairs."""
    outer = seeded_split({one.episode for found in said.values() for one in found}, seed)
    inner = seeded_split([name for name, side in outer.items() if side == "train"], seed + 1)
    return {
        pair: {one.name: inner.get(one.episode, "test") for one in found}
        for pair, found in said.items()
    }


def _tell_episodes(
    said: Mapping[str, Sequence[Said]], sides: Mapping[str, Mapping[str, str]]
) -> None:
    of: dict[str, set[str]] = {}
    for pair, found in said.items():
        for one in found:
            of.setdefault(one.episode, set()).add(sides[pair][one.name])
    shared = sum(len(found) > 1 for found in of.values())
    if shared:
        print(
            f"WARNING: {shared} of {len(of)} episodes are on several sides of the official "
            "split, and so are their speakers; --split episode keeps them apart",
            file=sys.stderr,
        )


def _of_pair(files: Sequence[Path], pair: str, root: Path) -> Path:
    found = [path for path in files if pair in path.stem]
    if len(found) != 1:
        what = "no XML" if not found else f"{len(found)} XML files, like {found[0]} and {found[1]},"
        raise DiarizeError(f"{root}: {what} of {pair} (balanced_{pair}.xml) below it")
    return found[0]


def _all(element: ET.Element, name: str) -> list[ET.Element]:
    return [child for child in element.iter() if _plain(child.tag) == name and child is not element]


def _field(element: ET.Element, name: str) -> str:
    """The text of the child or the attribute ``name``, '' where there is none."""
    for child in element:
        if _plain(child.tag) == name:
            return " ".join((child.text or "").split())
    return " ".join(element.get(name, "").split())


def _plain(tag: object) -> str:
    return str(tag).rpartition("}")[2].lower()
