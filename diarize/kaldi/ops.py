"""Operations on data directories: fix, split, subset, copy, combine."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_directory
from diarize.io.table import line_of
from diarize.kaldi.schema import RECORDING, SCHEMA, SPEAKER, UTTERANCE, spk2utt_of
from diarize.kaldi.tables import DirTables, LineFile
from diarize.kaldi.validate import frame_shift_faults, table_faults


def read_consistent(path: str | os.PathLike) -> DirTables:
    """Return the files of a directory; DiarizeError, with file and line, where tables disagree."""
    raw = DirTables.read(path)
    for faults in (table_faults(raw), frame_shift_faults(raw.path), _line_file_faults(raw)):
        for fault in faults:
            raise DiarizeError(fault)
    return raw


def _line_file_faults(raw: DirTables) -> Iterator[str]:
    """Yield recordings of rttm and uem that the directory does not have, and lacking ones."""
    known = set(raw.tables.get("wav.scp", ())) or raw.ids(raw.utterances)[RECORDING]
    for name in sorted({"rttm", "uem"} & raw.lines.keys()):
        listed = raw.lines[name].places.keys() - {""}
        for recording in sorted(listed - known):
            yield f"{raw.path / name}: recording {recording} is not in wav.scp"
        for recording in sorted(known - listed) if name == "uem" else ():
            yield f"{raw.at('wav.scp', recording)}: {recording} is not in uem"


def fix_data_dir(path: str | os.PathLike, kinds: Mapping[str, str] | None = None) -> str:
    """Return what was kept, in one line, after making the directory consistent.

    Kept are the utterances that all tables have, of recordings and speakers that all their
    tables have, sorted; the original files go to ``.backup``.  Segments that end before they
    begin are left out, and an end of -1 becomes the length by reco2dur.  ``kinds`` says of tables
    that are not in the schema what their keys are.  Raises DiarizeError, with nothing changed,
    where nothing would be kept, or a line cannot be fixed without a guess.
    """
    path = Path(path)

    def report(fault: str, ambiguous: bool) -> None:
        if ambiguous:
            raise DiarizeError(f"{fault}; correct it by hand")

    raw = DirTables.read(path, report, relocate=False, kinds=kinds)
    tables = raw.tables
    before = raw.utterances
    if "segments" in tables:
        tables["segments"] = _with_ends(tables["segments"], tables.get("reco2dur", {}))
    common = {}
    for kind in (UTTERANCE, RECORDING, SPEAKER):
        keys = [set(table) for name, table in tables.items()
                if SCHEMA[name].keys == kind and name != "spk2utt"]  # fmt: skip
        common[kind] = set.intersection(*keys) if keys else None
    utt2spk = tables.get("utt2spk", {})
    kept = [
        utt for utt in before
        if (common[UTTERANCE] is None or utt in common[UTTERANCE])
        and (common[RECORDING] is None or raw.recording_of(utt) in common[RECORDING])
        and (common[SPEAKER] is None or utt2spk.get(utt) in common[SPEAKER])
    ]  # fmt: skip
    if not kept:
        empty = ", ".join(name for name, table in tables.items() if not table)
        raise DiarizeError(
            f"{path}: its files have no utterance in common; nothing was changed"
            + (f"; empty: {empty}" if empty else "")
        )
    _backup(raw)
    raw.restrict(kept).write(path)
    return f"{path}: kept {len(kept)} of {len(before)} utterances; the original files: .backup"


def _with_ends(segments: Mapping[str, str], reco2dur: Mapping[str, str]) -> dict[str, str]:
    """Return the segments, with the lengths of known recordings in the place of -1."""
    out = {}
    for key, value in segments.items():
        recording, start, end = value.split()
        if float(end) == -1:
            end = reco2dur.get(recording, end)
        if float(start) < float(end) or float(end) == -1:
            out[key] = f"{recording} {start} {end}"
    return out


def _backup(raw: DirTables) -> None:
    backup = raw.path / ".backup"
    backup.mkdir(exist_ok=True)
    for name in (*raw.tables, "spk2utt", *raw.lines, *raw.whole):
        if (raw.path / name).is_file():
            shutil.copy2(raw.path / name, backup / name)


def split_data_dir(path: str | os.PathLike, parts: int, per_utt: bool = False) -> list[Path]:
    """Return the directories ``splitN/1..N`` (``splitNutt`` for ``per_utt``), made if needed.

    Speakers stay together, unless ``per_utt``; the parts have about equal numbers of utterances.
    They are made again only where a file of ``path`` is newer or missing.
    """
    path = Path(path)
    target = path / f"split{parts}{'utt' if per_utt else ''}"
    out = [target / str(i + 1) for i in range(parts)]
    names = sorted(file.name for file in path.iterdir() if file.is_file()) if path.is_dir() else []
    stamp = target / ".done"
    if stamp.is_file() and stamp.read_text(encoding="utf-8").split("\n") == names:
        made = stamp.stat().st_mtime_ns
        newest = max(path.joinpath(name).stat().st_mtime_ns for name in names)
        if newest <= made and all((part / "utt2spk").is_file() for part in out):
            return out
    raw = read_consistent(path)
    if "utt2spk" not in raw.tables:
        raise DiarizeError(f"{path}: there is no utt2spk to split by")
    groups = _groups(raw.tables["utt2spk"], per_utt)
    if len(groups) < parts:
        what = "utterances" if per_utt else "speakers (see --per-utt)"
        raise DiarizeError(f"{path}: cannot be split in {parts}: it has {len(groups)} {what}")
    with atomic_directory(target) as fresh:
        for i, part in enumerate(_balanced(groups, parts)):
            raw.restrict(utt for group in part for utt in group).write(fresh / str(i + 1))
        (fresh / ".done").write_text("\n".join(names), encoding="utf-8")
    return out


def choose_utterances(raw: DirTables, count: int, how: str) -> list[str]:
    """Return ``count`` utterances of a directory.

    ``how`` is ``spread`` (evenly over the list), ``first``, ``last``, ``shortest`` (by utt2dur,
    utt2num_frames or segments), ``per-spk`` (up to ``count`` of each speaker) or ``speakers`` (all
    utterances of as many speakers, evenly spread, as ``count`` needs).  Raises DiarizeError for
    a directory with fewer.
    """
    utterances = raw.utterances
    if count < 1 or (how != "per-spk" and count > len(utterances)):
        raise DiarizeError(f"{raw.path}: {count} utterances asked for, it has {len(utterances)}")
    if how in ("per-spk", "speakers") and "utt2spk" not in raw.tables:
        raise DiarizeError(f"{raw.path}: there is no utt2spk to choose speakers by")
    speakers = spk2utt_of(raw.tables.get("utt2spk", {}))
    if how == "first":
        return utterances[:count]
    if how == "last":
        return utterances[-count:]
    if how == "shortest":
        return sorted(sorted(utterances, key=lambda utt: _length(raw, utt))[:count])
    if how == "per-spk":
        return [utt for utts in speakers.values() for utt in _spread(utts.split(), count)]
    if how == "speakers":
        names = list(speakers)
        low, high = 1, len(names)  # the fewest speakers that have ``count`` utterances
        while low < high:
            middle = (low + high) // 2
            enough = _of_speakers(speakers, _spread(names, middle))
            low, high = (low, middle) if len(enough) >= count else (middle + 1, high)
        return _of_speakers(speakers, _spread(names, low))
    return _spread(utterances, count)


def _of_speakers(speakers: Mapping[str, str], names: Iterable[str]) -> list[str]:
    return [utterance for name in names for utterance in speakers[name].split()]


def _spread(items: list[str], count: int) -> list[str]:
    if count >= len(items):
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def _length(raw: DirTables, utterance: str) -> float:
    for name in ("utt2dur", "utt2num_frames"):
        if name in raw.tables:
            return float(raw.tables[name][utterance])
    recording, start, end = utterance, "0", "-1"
    if "segments" in raw.tables:
        recording, start, end = raw.tables["segments"][utterance].split()
    if float(end) == -1:
        end = raw.tables.get("reco2dur", {}).get(recording, "")
    if not end:
        raise DiarizeError(
            f"{raw.path}: no length of {utterance}; utt2dur, utt2num_frames or reco2dur is needed"
        )
    return float(end) - float(start)


def copy_data_dir(
    source: str | os.PathLike,
    target: str | os.PathLike,
    utterance: Callable[[str], str] = str,
    speaker: Callable[[str], str] = str,
    recording: Callable[[str], str] | None = None,
) -> list[str]:
    """Return a notice of files left out, if any, after writing ``source`` to ``target``.

    Utterances, speakers and recordings are renamed.  By default recordings keep their names,
    unless they are the utterances (no segments).  Files without ids of ``source`` are left out.
    """
    raw = read_consistent(source)
    if "segments" not in raw.tables:
        recording = utterance
    rename = {UTTERANCE: utterance, SPEAKER: speaker, RECORDING: recording or str}
    out = DirTables(Path(target), whole=raw.whole)
    for name, table in raw.tables.items():
        change = rename[SCHEMA[name].keys]
        out.tables[name] = {change(key): value for key, value in table.items()}
    if "utt2spk" in out.tables:
        out.tables["utt2spk"] = {k: speaker(v) for k, v in out.tables["utt2spk"].items()}
    if "segments" in out.tables and recording is not None:
        for key, value in out.tables["segments"].items():
            name, times = value.split(None, 1)
            out.tables["segments"][key] = f"{recording(name)} {times}"
    for name, file in raw.lines.items():
        known = raw.ids(raw.utterances)[RECORDING]

        def change_any(key: str, known: set[str] = known) -> str:
            return rename[RECORDING](key) if key in known else key

        out.lines[name] = file.renamed(rename.get(file.keys, change_any))
    for name, table in out.tables.items():
        if len(table) != len(raw.tables[name]):
            raise DiarizeError(f"{source}/{name}: two keys get the same new name")
    out.write(target)
    return [left_out(raw)] if raw.unknown else []


def left_out(raw: DirTables) -> str:
    """Return the notice about the files of a directory that have none of its ids."""
    return f"left out: {', '.join(raw.unknown)}: no utterance, recording or speaker of {raw.path}"


def combine_data_dirs(
    target: str | os.PathLike,
    sources: Iterable[str | os.PathLike],
    extra_files: Sequence[str] = (),
) -> list[str]:
    """Return notices (files left out), after writing all of ``sources`` as one directory.

    Only files that every source has are kept, but for segments (whole recordings get a line by
    utt2dur or reco2dur) and utt2uniq, which are completed.  Raises DiarizeError for a key with
    two values, a source whose tables disagree, one of ``extra_files`` that no source has, and
    features with different frame shifts.
    """
    raws = [read_consistent(source) for source in sources]
    for raw in raws:
        if "utt2spk" not in raw.tables:
            raise DiarizeError(f"{raw.path}: there is no utt2spk")
    _check_frame_shift(raws)
    if any("segments" in raw.tables for raw in raws):
        for raw in raws:
            _add_segments(raw)
    if any("utt2uniq" in raw.tables for raw in raws):
        for raw in raws:
            raw.tables.setdefault("utt2uniq", {utt: utt for utt in raw.utterances})
    out = DirTables(Path(target), whole=dict(raws[0].whole))
    notices = [left_out(raw) for raw in raws if raw.unknown]
    names = dict.fromkeys(name for raw in raws for name in (*raw.tables, *raw.lines))
    missing = sorted(set(extra_files) - names.keys())
    if missing:
        raise DiarizeError(f"{target}: --extra-files: no source has a table {missing[0]}")
    for name in names:
        if name == "spk2utt":
            continue
        having = [raw for raw in raws if name in raw.tables or name in raw.lines]
        if len(having) < len(raws):
            lacking = next(raw.path for raw in raws if raw not in having)
            notices.append(f"{name} is left out: {lacking} has none")
        elif name in SCHEMA:
            out.tables[name] = _joined(name, raws)
        else:
            files = [raw.lines[name] for raw in raws]
            lines = list(dict.fromkeys(line for file in files for line in file.lines))
            if all(file.place == 0 and list(file.places) == sorted(file.places) for file in files):
                lines.sort(key=lambda line: line.split(None, 1)[:1])
            out.lines[name] = LineFile(files[0].place, files[0].keys, lines)
    out.write(target)
    return notices


def _check_frame_shift(raws: list[DirTables]) -> None:
    shifts = {raw.whole["frame_shift"].strip(): raw.path for raw in raws
              if "feats.scp" in raw.tables and "frame_shift" in raw.whole}  # fmt: skip
    if len(shifts) > 1:
        (one, first), (two, second) = list(shifts.items())[:2]
        raise DiarizeError(
            f"{second}/frame_shift: {two}, but {one} in {first}: features of different frame shifts"
        )


def _joined(name: str, raws: list[DirTables]) -> dict[str, str]:
    option = "--spk-prefix" if SCHEMA[name].keys == SPEAKER else "--utt-prefix"
    out: dict[str, str] = {}
    for raw in raws:
        for key, value in raw.tables[name].items():
            if out.setdefault(key, value) != value:
                raise DiarizeError(
                    f"{line_of(raw.path / name, key)}: {key} is also in another directory, with "
                    f"another value; rename by utils/copy_data_dir.sh {option}"
                )
    return out


def _add_segments(raw: DirTables) -> None:
    if "segments" in raw.tables:
        return
    table = {}
    for utterance in raw.utterances:
        lengths = (raw.tables.get(name, {}).get(utterance) for name in ("utt2dur", "reco2dur"))
        length = next(filter(None, lengths), None)
        if length is None:
            raise DiarizeError(
                f"{raw.path}: it has no segments and no length of {utterance}; "
                "make reco2dur by utils/get_reco2dur.sh first"
            )
        table[utterance] = f"{utterance} 0.000 {length}"
    raw.tables["segments"] = table


def _groups(utt2spk: Mapping[str, str], per_utt: bool) -> list[list[str]]:
    if per_utt:
        return [[utterance] for utterance in sorted(utt2spk)]
    return [utts.split() for utts in spk2utt_of(utt2spk).values()]


def _balanced(groups: list[list[str]], parts: int) -> list[list[list[str]]]:
    """Return consecutive groups in parts: none empty, sizes near the mean of the remainder."""
    out = []
    start = 0
    left = sum(map(len, groups))
    for remaining in range(parts, 0, -1):
        size, stop = 0, start
        while stop < len(groups) - (remaining - 1):
            step = len(groups[stop])
            if stop > start and size + step / 2 > left / remaining:
                break
            size += step
            stop += 1
        if remaining == 1:
            stop = len(groups)
        out.append(groups[start:stop])
        left -= size
        start = stop
    return out
