"""Data directories by language: the parts of a language diarization, as input of recognisers."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.rttm import read_rttm
from diarize.kaldi.datadir import DataDir, Utterance
from diarize.kaldi.tables import DirTables
from diarize.kaldi.validate import validate_data_dir
from diarize.segments import Segment, merge_segments

_ANONYMOUS = re.compile(r"L\d+")


def split_by_language(
    data: DataDir, rttm: str | os.PathLike, out: str | os.PathLike, shortest: float = 0.0
) -> tuple[dict[str, int], list[str]]:
    """Return the number of utterances of each language, and notices of omissions.

    Writes ``out/<label>`` for each label of ``rttm``: wav.scp, reco2dur, segments, utt2lang,
    utt2spk and spk2utt, checked.  Segments of a label that overlap or abut are one utterance,
    of the speaker with most of it by ``data`` (its utterances with utt2spk), else with the
    recording as speaker.  Parts beyond the end of a recording or shorter than ``shortest``
    seconds are left out.  Raises DiarizeError for a recording that ``data`` does not have, a
    label that cannot name a directory, and an RTTM without segments.
    """
    segments = read_rttm(rttm)
    if not segments:
        raise DiarizeError(f"{rttm}: no segments in it, so there is nothing to split")
    known = set(data.recordings)
    for segment in segments:
        if segment.recording not in known:
            raise DiarizeError(f"{rttm}: recording {segment.recording} is not in {data.path}")
        if "/" in segment.label or segment.label.startswith("."):
            raise DiarizeError(f"{rttm}: label {segment.label} cannot be the name of a directory")
    lengths = {name: data.duration(name) for name in {s.recording for s in segments}}
    speakers = _speakers(data)
    audio = DirTables.read(data.path).tables["wav.scp"]  # with paths that hold elsewhere, too
    wanted: dict[str, list[Segment]] = {label: [] for label in sorted({s.label for s in segments})}
    lost, lost_seconds = 0, 0.0
    for segment in merge_segments(segments):
        cut = segment._replace(end=min(segment.end, lengths[segment.recording]))
        if cut.duration >= max(shortest, 0.001):
            wanted[segment.label].append(cut)
        else:
            lost, lost_seconds = lost + 1, lost_seconds + segment.duration
    notices = []
    if lost:
        notices.append(f"{lost} segments ({lost_seconds:.2f} s) too short or beyond the end")
    anonymous = [label for label in wanted if _ANONYMOUS.fullmatch(label)]
    if anonymous:
        notices.append(f"{', '.join(anonymous)}: different languages in each recording")
    counts = {}
    for label, found in wanted.items():
        if not found:
            notices.append(f"{label}: nothing is left of it")
            continue
        counts[label] = len(found)
        _write(Path(out) / label, found, audio, speakers, lengths)
    return counts, notices


def _write(
    path: Path,
    segments: list[Segment],
    audio: dict[str, str],
    speakers: dict[str, list[Utterance]],
    lengths: dict[str, float],
) -> None:
    raw = DirTables(path)
    names = ("wav.scp", "reco2dur", "segments", "utt2lang", "utt2spk")
    raw.tables = {name: {} for name in names}
    for segment in segments:
        recording = segment.recording
        speaker = _speaker_of(segment, speakers.get(recording, []))
        first, last = (round(1000 * time) for time in (segment.start, segment.end))
        utterance = f"{speaker}-{recording}-{first:08d}-{last:08d}"
        raw.tables["wav.scp"][recording] = audio[recording]
        raw.tables["reco2dur"][recording] = f"{lengths[recording]:.3f}"
        raw.tables["segments"][utterance] = f"{recording} {segment.start:.3f} {segment.end:.3f}"
        raw.tables["utt2lang"][utterance] = segment.label
        raw.tables["utt2spk"][utterance] = speaker
    raw.write(path)
    faults = validate_data_dir(path, feats=False, text=False, spk_sort=False)
    if faults:
        raise DiarizeError(f"{path} has {len(faults)} faults: {faults[0]}")


def _speakers(data: DataDir) -> dict[str, list[Utterance]]:
    out: dict[str, list[Utterance]] = {}
    for utt in data.utterances:
        if utt.speaker:
            out.setdefault(utt.recording, []).append(utt)
    return out


def _speaker_of(segment: Segment, utterances: Iterable[Utterance]) -> str:
    """Return the speaker of most of ``segment``; the recording where there is none."""
    spoken: dict[str, float] = {}
    for utt in utterances:
        end = segment.end if utt.end is None else utt.end
        shared = min(segment.end, end) - max(segment.start, utt.start)
        if shared > 0:
            spoken[utt.speaker] = spoken.get(utt.speaker, 0.0) + shared
    return max(sorted(spoken), key=spoken.__getitem__, default=segment.recording)
