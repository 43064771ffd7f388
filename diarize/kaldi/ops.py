"""Data directories made from data directories: fix, split, subset, copy, combine."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.table import line_of
from diarize.kaldi.tables import LINE_FILES, RawDir, spk2utt_of
from diarize.kaldi.validate import RECORDING_TABLES, UTTERANCE_TABLES


def fix_data_dir(path: str | os.PathLike) -> str:
    """Return what was kept, in one line, after making the directory consistent.

    What all files have in common stays, sorted; the files as they were go to ``.backup``.
    Raises DiarizeError, with nothing changed, where nothing would stay or a key has two values.
    """
    path = Path(path)
    raw = RawDir.read(path, loose=True)
    tables = raw.tables
    if "segments" in tables:
        broken = [key for key, value in tables["segments"].items() if len(value.split()) != 3]
        if broken:
            raise DiarizeError(f"{line_of(path / 'segments', broken[0])}: not 4 fields")
    utterances = set(raw.utterances)
    for name in UTTERANCE_TABLES:
        if name in tables:
            utterances &= tables[name].keys()
    recordings = {raw.recording_of(utt) for utt in utterances if utt in tables.get("segments", {})}
    if "segments" not in tables:
        recordings = set(utterances)
    for name in RECORDING_TABLES:
        if name in tables:
            recordings &= tables[name].keys()
    kept = [utt for utt in utterances if raw.recording_of(utt) in recordings]
    if not kept:
        raise DiarizeError(f"{path}: its files have no utterance in common; nothing was changed")
    _backup(path)
    raw.restrict(kept).write(path)
    return f"{path}: kept {len(kept)} of {len(raw.utterances)} utterances; old files in .backup"


def split_data_dir(path: str | os.PathLike, parts: int, per_utt: bool = False) -> list[Path]:
    """Return the directories ``splitN/1..N`` (``splitNutt`` for ``per_utt``), made if need be.

    Speakers stay together, unless ``per_utt``; the parts are of about equal numbers of
    utterances.  They are made again only where a file of ``path`` is newer, or is gone.
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
    raw = RawDir.read(path)
    if "utt2spk" not in raw.tables:
        raise DiarizeError(f"{path}: there is no utt2spk to split by")
    groups = _groups(raw.tables["utt2spk"], per_utt)
    if len(groups) < parts:
        what = "utterances" if per_utt else "speakers (see --per-utt)"
        raise DiarizeError(f"{path}: cannot be split in {parts}: it has {len(groups)} {what}")
    fresh = path / f".{target.name}.tmp"
    shutil.rmtree(fresh, ignore_errors=True)
    for i, part in enumerate(_balanced(groups, parts)):
        raw.restrict(utt for group in part for utt in group).write(fresh / str(i + 1))
    (fresh / ".done").write_text("\n".join(names), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    os.replace(fresh, target)
    return out


def choose_utterances(raw: RawDir, count: int, how: str) -> list[str]:
    """Return ``count`` utterances of a directory.

    ``how`` is ``spread`` (evenly over the list), ``first``, ``last``, ``shortest`` (by utt2dur or
    segments), ``per-spk`` (up to ``count`` of each speaker) or ``speakers`` (all utterances of
    enough speakers, spread evenly, to have ``count``).  Raises DiarizeError if there are fewer.
    """
    utterances = raw.utterances
    if count < 1 or (how != "per-spk" and count > len(utterances)):
        raise DiarizeError(f"{raw.path}: {count} utterances asked for, it has {len(utterances)}")
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
        for number in range(1, len(names) + 1):
            chosen = [u for name in _spread(names, number) for u in speakers[name].split()]
            if len(chosen) >= count:
                return chosen
    return _spread(utterances, count)


def _spread(items: list[str], count: int) -> list[str]:
    if count >= len(items):
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def _length(raw: RawDir, utterance: str) -> float:
    if "utt2dur" in raw.tables:
        return float(raw.tables["utt2dur"][utterance])
    if "segments" in raw.tables:
        _, start, end = raw.tables["segments"][utterance].split()
        return float(end) - float(start)
    if utterance in raw.tables.get("reco2dur", {}):
        return float(raw.tables["reco2dur"][utterance])
    raise DiarizeError(f"{raw.path}: no length of {utterance}; there must be utt2dur or reco2dur")


def copy_data_dir(
    source: str | os.PathLike,
    target: str | os.PathLike,
    utterance: Callable[[str], str],
    speaker: Callable[[str], str],
) -> None:
    """Write ``source`` to ``target`` with utterances and speakers renamed by two functions.

    Recordings keep their names, unless they are the utterances (no segments).
    """
    raw = RawDir.read(source)
    same = "segments" not in raw.tables
    out = RawDir(Path(target), frame_shift=raw.frame_shift)
    for name, table in raw.tables.items():
        rename = utterance if same or name in UTTERANCE_TABLES else str
        out.tables[name] = {rename(key): value for key, value in table.items()}
    if "utt2spk" in out.tables:
        out.tables["utt2spk"] = {k: speaker(v) for k, v in out.tables["utt2spk"].items()}
    for name, lines in raw.lines.items():
        out.lines[name] = [_rename_line(line, LINE_FILES[name], utterance, same) for line in lines]
    out.write(target)


def combine_data_dirs(target: str | os.PathLike, sources: Iterable[str | os.PathLike]) -> list[str]:
    """Return notices (files left out), after writing all of ``sources`` as one directory.

    Only files that every source has are kept; where some have segments, whole recordings get
    one line of segments each from utt2dur or reco2dur.  A key with two values is an error.
    """
    raws = [RawDir.read(source) for source in sources]
    notices = []
    if any("segments" in raw.tables for raw in raws):
        for raw in raws:
            _add_segments(raw)
    out = RawDir(Path(target), frame_shift=raws[0].frame_shift)
    for name in (*RECORDING_TABLES, *UTTERANCE_TABLES, *LINE_FILES):
        having = [raw for raw in raws if name in raw.tables or name in raw.lines]
        if not having:
            continue
        if len(having) < len(raws):
            lacking = next(raw.path for raw in raws if raw not in having)
            notices.append(f"{name} is left out: {lacking} has none")
        elif name in LINE_FILES:
            out.lines[name] = list(dict.fromkeys(line for raw in raws for line in raw.lines[name]))
        else:
            out.tables[name] = _joined(name, raws)
    if not out.tables.get("utt2spk"):
        raise DiarizeError(f"{target}: not every source has utt2spk")
    out.write(target)
    return notices


def _joined(name: str, raws: list[RawDir]) -> dict[str, str]:
    out: dict[str, str] = {}
    for raw in raws:
        for key, value in raw.tables[name].items():
            if out.setdefault(key, value) != value:
                raise DiarizeError(
                    f"{line_of(raw.path / name, key)}: {key} is also in another directory; "
                    "rename with utils/copy_data_dir.sh --utt-prefix"
                )
    return out


def _add_segments(raw: RawDir) -> None:
    if "segments" in raw.tables:
        return
    table = {}
    for utterance in raw.utterances:
        for name in ("utt2dur", "reco2dur"):
            if utterance in raw.tables.get(name, {}):
                table[utterance] = f"{utterance} 0.000 {raw.tables[name][utterance]}"
                break
        else:
            raise DiarizeError(
                f"{raw.path}: it has no segments and no length for {utterance}; "
                "make reco2dur with utils/get_reco2dur.sh first"
            )
    raw.tables["segments"] = table


def _rename_line(line: str, place: int, rename: Callable[[str], str], same: bool) -> str:
    words = line.split()
    if not same or line.startswith(";") or len(words) <= place:
        return line
    words[place] = rename(words[place])
    return " ".join(words)


def _groups(utt2spk: Mapping[str, str], per_utt: bool) -> list[list[str]]:
    if per_utt:
        return [[utterance] for utterance in sorted(utt2spk)]
    return [utts.split() for utts in spk2utt_of(utt2spk).values()]


def _balanced(groups: list[list[str]], parts: int) -> list[list[list[str]]]:
    """Consecutive groups dealt to parts: none empty, sizes near the mean of what is left."""
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


def _backup(path: Path) -> None:
    backup = path / ".backup"
    backup.mkdir(exist_ok=True)
    for name in (*RECORDING_TABLES, *UTTERANCE_TABLES, "spk2utt", *LINE_FILES, "frame_shift"):
        if (path / name).is_file():
            shutil.copy2(path / name, backup / name)
