"""Reference of a data directory: turns of an RTTM inside the audio, and turns as utterances."""

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.rttm import data_lines, parse_rttm_fields, read_turns
from diarize.io.table import Report, raise_fault
from diarize.kaldi.schema import LABEL_TABLES
from diarize.kaldi.tables import DirTables
from diarize.segments import Segment, annotation_fault, merge_segments

# Kaldi's extract-segments takes segments that end up to half a second late, and cuts them.
MAX_OVERSHOOT = 0.5
# Times are written in milliseconds.
RESOLUTION = 0.001


class Overshoot(NamedTuple):
    """Turns cut at an end of the audio, turns dropped beyond it, and the seconds lost."""

    cut: int = 0
    dropped: int = 0
    seconds: float = 0.0


def read_reference(
    path: Path,
    recordings: Collection[str] | None,
    length_of: Callable[[str], float | None],
    report: Report = raise_fault,
) -> tuple[list[Segment], Overshoot]:
    """Return the turns of the RTTM ``path`` inside the audio, and what was cut.

    A turn up to `MAX_OVERSHOOT` seconds beyond the audio is cut or dropped.  Faults, which go
    to ``report`` with file and line: a turn further beyond, and a recording that is not among
    ``recordings`` (None: any); with the file: an `annotation_fault`.  ``length_of`` returns the
    seconds of a recording, None where unknown.  Turns with a fault are left out.
    """
    try:
        turns = read_turns(path)
    except DiarizeError as err:
        report(str(err), True)
        return [], Overshoot()
    names = turns.recording.names
    known = np.array([recordings is None or name in recordings for name in names], bool)
    found = [length_of(name) for name in names]
    lengths = np.array([np.inf if length is None else length for length in found], float)
    code = turns.recording.code
    length = lengths[code]
    beyond = (turns.end > length + MAX_OVERSHOOT) | (turns.start < -MAX_OVERSHOOT)
    faulty = beyond | ~known[code]
    if faulty.any():
        _report_turns(path, dict(zip(names, found, strict=True)), recordings, report)
    start, end = np.maximum(turns.start, 0.0), np.minimum(turns.end, length)
    outside = ~faulty & (end - start < RESOLUTION) & (turns.end - turns.start >= RESOLUTION)
    lost = np.where(outside, turns.end - turns.start, (turns.end - turns.start) - (end - start))
    cut = ~faulty & ~outside & (lost >= RESOLUTION)
    total, lacking, wrong = (
        np.bincount(code, values, len(names)).tolist()
        for values in (turns.end - turns.start, lost, faulty)
    )
    for k, name in enumerate(names):
        fault = annotation_fault(name, total[k], lacking[k], found[k])
        if fault and not wrong[k]:
            report(f"{path}: {fault}", True)
    kept = np.flatnonzero(~faulty & ~outside).tolist()
    labels, reco = list(turns.label), list(turns.recording)
    begins, ends = start.tolist(), np.maximum(end, start).tolist()
    segments = [Segment(reco[i], begins[i], ends[i], labels[i]) for i in kept]
    seconds = float(lost[cut | outside].sum())
    return segments, Overshoot(int(cut.sum()), int(outside.sum()), seconds)


def _report_turns(
    path: Path,
    lengths: Mapping[str, float | None],
    recordings: Collection[str] | None,
    report: Report,
) -> None:
    rows = [(number, parse_rttm_fields(words, f"{path}:{number}"))
            for number, words in data_lines(path)]  # fmt: skip
    turns = [(number, turn) for number, turn in rows if turn is not None]

    def is_beyond(turn: Segment) -> bool:
        length = lengths[turn.recording]
        late = length is not None and turn.end > length + MAX_OVERSHOOT
        return late or turn.start < -MAX_OVERSHOOT

    beyond = [(number, turn) for number, turn in turns if is_beyond(turn)]
    strange: dict[str, int] = {}
    for number, turn in turns:
        if recordings is not None and turn.recording not in recordings:
            strange.setdefault(turn.recording, number)
    for recording, number in strange.items():
        report(
            f"{path}:{number}: recording {recording} is not in wav.scp; remove its lines, or add "
            "the recording",
            True,
        )
    for number, turn in beyond:
        length = lengths[turn.recording]
        audio = "" if length is None else f" of {length:g} s"
        report(
            f"{path}:{number}: turn [{turn.start:g}, {turn.end:g}) s of {turn.label} is beyond the "
            f"audio of {turn.recording}{audio} ({len(beyond)} of {len(turns)} turns are); times "
            "must be in seconds, of this audio",
            True,
        )


def single_speaker_fault(
    raw: DirTables, reference: Mapping[str, Iterable[Segment]], from_rttm: bool
) -> str | None:
    """Return the fault of a reference that has the recording in the place of the speakers.

    Kaldi's diarization recipes write such directories (AMI s5c, CALLHOME): utt2spk has the
    recording as speaker, since who speaks is to be found.  A recording with one speaker is
    accepted where that speaker has a name of its own or reco2num_spk says 1.  ``from_rttm``: an
    RTTM is contradicted only by reco2num_spk, and only where its label is the recording.
    """
    path, counts = raw.path, raw.tables.get("reco2num_spk", {})
    found = []
    for recording, segments in reference.items():
        labels = {segment.label for segment in segments}
        if len(labels) != 1:
            continue
        several = int(counts.get(recording, "0")) > 1
        same = labels == {recording}
        if (several and same) if from_rttm else (several or (same and recording not in counts)):
            found.append(recording)
    if not found:
        return None
    name = found[0]
    source, said = path / ("rttm" if from_rttm else "utt2spk"), ""
    where = str(source)
    if name in counts:
        where, said = raw.at("reco2num_spk", name), f", reco2num_spk says {counts[name]}"
    others = sorted(
        file.name for file in path.iterdir()
        if file.name.startswith("rttm.") or (file.suffix == ".rttm" and file.is_file())
    )  # fmt: skip
    hint = f"; {others[0]} may be the reference: copy it to {path}/rttm" if others else ""
    return (
        f"{where}: recording {name}: one speaker by {source.name}{said} ({len(found)} such "
        f"recordings); needed is an rttm, or utt2spk with the real speakers{hint}; recordings of "
        "one speaker are accepted with 1 in reco2num_spk"
    )


def turn_tables(segments: Iterable[Segment], labels: str = "speaker") -> dict[str, dict[str, str]]:
    """Return ``segments`` and ``utt2spk`` (for languages also ``utt2lang``) of the turns.

    A turn becomes the utterance ``<speaker>-<start>-<end>`` (milliseconds, 8 digits); turns of one
    label that overlap or abut become one.  The speaker is ``<recording>-<label>``, because labels
    such as A and B name other people in each recording; a language counts as a speaker of its
    recording.  Turns below a millisecond are left out.  Utterances are sorted by speaker, as Kaldi
    requires.

    >>> turn_tables([Segment("r", 0, 1.5, "ann")])["segments"]
    {'r-ann-00000000-00001500': 'r 0.000 1.500'}
    """
    turns = [(turn, *_milliseconds(turn)) for turn in merge_segments(segments)]
    # The lower separator sorts by speaker where one speaker's id continues another's.
    for separator in "-!":
        tables: dict[str, dict[str, str]] = {"segments": {}, "utt2spk": {}}
        tables.setdefault(LABEL_TABLES[labels], {})
        for turn, first, last in turns:
            if last <= first:
                continue
            speaker = f"{turn.recording}-{turn.label}"
            utterance = f"{speaker}{separator}{first:08d}-{last:08d}"
            times = f"{first / 1000:.3f} {last / 1000:.3f}"
            tables["segments"][utterance] = f"{turn.recording} {times}"
            tables[LABEL_TABLES[labels]][utterance] = turn.label
            tables["utt2spk"][utterance] = speaker
        ordered = [tables["utt2spk"][utterance] for utterance in sorted(tables["utt2spk"])]
        if ordered == sorted(ordered):
            break
    return tables


def is_made_of_turns(segments: Mapping[str, str]) -> bool:
    """Whether all utterance ids are those of `turn_tables`."""
    for utterance, value in segments.items():
        recording, start, end = value.split()
        first, last = round(1000 * float(start)), round(1000 * float(end))
        ends = (f"-{first:08d}-{last:08d}", f"!{first:08d}-{last:08d}")
        if not (utterance.startswith(f"{recording}-") and utterance.endswith(ends)):
            return False
    return True


def _milliseconds(turn: Segment) -> tuple[int, int]:
    return round(1000 * turn.start), round(1000 * turn.end)
