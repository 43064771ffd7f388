"""Layout of the mixtures of a manifest: positions of all utterances in samples, and the labels.

A row is an utterance; the rows of a mixture are in the manifest's order, speaker by speaker.
Each speaker is a sequence of silences and utterances.  Silences and the edges of utterances
[file, start, end] are rounded to samples, and the labels are exactly these samples.  A mixture
ends with the last utterance of all speakers.  Digital silence at the edges of an utterance is cut
off, so that it is not labelled (:mod:`diarize.simulate.mix.silence`); the times do not change.

The arrays are made once and mapped into memory afterwards.  Two of them are filled in later: the
gain that preserves an utterance's energy under reverberation, and the noise gain for the SNR of
the whole mixture (:mod:`diarize.simulate.mix.mixer`).  Both depend on the mixture alone, so that
any process may compute them; unknown gains are NaN.
"""

import itertools
import json
import os
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_directory, atomic_write
from diarize.io.json_text import parse_json
from diarize.io.npy import load_array
from diarize.kaldi.reference import MAX_OVERSHOOT
from diarize.segments import Segment
from diarize.simulate.manifest import LONGEST, Manifest, parse_utterance
from diarize.simulate.mix.silence import silent_edges
from diarize.simulate.mix.store import (
    FLOAT32,
    AudioKey,
    AudioStore,
    Entry,
    StoreOptions,
    key_of,
    locked,
    open_store,
)
from diarize.timebase import FrameGrid

_FORMAT = 3
_MIXTURE_ARRAYS = ("pointer", "num_samples", "noise", "snr", "fade", "ids")
_GAINS = ("wet_gain", "noise_gain")
_FLOATS = ("snr", "level", *_GAINS)
_CHECKED = 1 << 16  # mixtures that are checked at once


class Rows(NamedTuple):
    """Utterances of one mixture: arrays with one value per utterance.

    ``begin`` is the first sample in the mixture, ``first`` that in the source; ``source`` and
    ``room`` (-1: none) are indices of the layout's sources, ``speaker`` of the mixture's
    speakers, ``label`` of the layout's labels; ``own`` marks a label of the utterance rather
    than of the speaker; ``level`` is the linear gain of the utterance.  ``fade``, one number, is
    the length of the fade at both ends of each utterance in samples.
    """

    begin: np.ndarray
    first: np.ndarray
    length: np.ndarray
    source: np.ndarray
    speaker: np.ndarray
    room: np.ndarray
    level: np.ndarray
    label: np.ndarray
    own: np.ndarray
    fade: int


_ROW_ARRAYS = Rows._fields[:-1]


@dataclass
class MixtureLayout:
    """Layout of the mixtures of a manifest; worker processes that receive it map the arrays.

    ``sources`` are keys of the audio store by index, ``labels`` those of the reference.
    """

    path: Path
    sample_rate: int
    sources: list[AudioKey]
    labels: list[str]

    def __post_init__(self) -> None:
        for name in (*_MIXTURE_ARRAYS, *_ROW_ARRAYS, *_GAINS):
            mode = "r+" if name in _GAINS else "r"
            held = load_array(self.path / f"{name}.npy", mode)
            setattr(self, f"_{name}", held if name in _GAINS else np.asarray(held))

    def __reduce__(self) -> tuple:
        return MixtureLayout, (self.path, self.sample_rate, self.sources, self.labels)

    def __len__(self) -> int:
        return len(self._num_samples)

    def name(self, index: int) -> str:
        """Return the id of a mixture."""
        return self._ids[index].decode()

    def num_samples(self, index: int) -> int:
        """Return the length of a mixture in samples."""
        return int(self._num_samples[index])

    def noise(self, index: int) -> tuple[int, float]:
        """Return the source index of a mixture's noise (-1: none), and its SNR in dB."""
        return int(self._noise[index]), float(self._snr[index])

    def rows(self, index: int) -> Rows:
        """Return the utterances of a mixture."""
        part = slice(*self._pointer[index : index + 2])
        columns = (getattr(self, f"_{name}")[part] for name in _ROW_ARRAYS)
        return Rows(*columns, fade=int(self._fade[index]))

    def gains(self, index: int) -> tuple[np.ndarray, float] | None:
        """Return the gains of the reverberated rows and of the noise; None if unknown."""
        part = slice(*self._pointer[index : index + 2])
        wet, noise = np.array(self._wet_gain[part]), float(self._noise_gain[index])
        return None if np.isnan(noise) or np.isnan(wet).any() else (wet, noise)

    def keep_gains(self, index: int, wet: np.ndarray, noise: float) -> None:
        """Store the gains of a mixture, for all processes."""
        self._wet_gain[slice(*self._pointer[index : index + 2])] = wet
        self._noise_gain[index] = noise

    def using(self, sources: Sequence[int]) -> np.ndarray:
        """Return the indices of the mixtures with audio of any of the ``sources``, sorted."""
        rows = np.isin(self._source, sources) | np.isin(self._room, sources)
        found = np.searchsorted(self._pointer, np.flatnonzero(rows), "right") - 1
        return np.union1d(found, np.flatnonzero(np.isin(self._noise, sources)))

    def label_counts(self) -> np.ndarray:
        """Return the number of different labels of each mixture, int64 (n,)."""
        ends = itertools.pairwise(self._pointer.tolist())
        counts = (len(set(self._label[first:last].tolist())) for first, last in ends)
        return np.fromiter(counts, np.int64, len(self))

    def check(self, lengths: np.ndarray) -> None:
        """Raise DiarizeError unless the arrays agree with one another and with their sources.

        ``lengths`` are those of the sources in samples, (n,), 0 for an unreadable one.  In a
        damaged layout, positions would lie outside of the store.
        """
        num, rows = len(self), len(self._begin)
        good = len(lengths) == len(self.sources) and num > 0
        for name in (*_MIXTURE_ARRAYS, *_ROW_ARRAYS, *_GAINS):
            held = getattr(self, f"_{name}")
            size = num if name in (*_MIXTURE_ARRAYS, "noise_gain") else rows
            kind = {"ids": "S", "own": "b"}.get(name, "f" if name in _FLOATS else "i")
            good = good and held.shape == (size + (name == "pointer"),) and held.dtype.kind == kind
        good = good and (self._pointer[0], self._pointer[-1]) == (0, rows)
        if not (good and all(self._is_sound(i, lengths) for i in range(0, num, _CHECKED))):
            raise DiarizeError(f"{self.path} is damaged: remove it")

    def _is_sound(self, first: int, lengths: np.ndarray) -> bool:
        """Return whether the values of up to 2^16 mixtures from ``first`` on are possible."""
        pointer = self._pointer[first : first + _CHECKED + 1]
        count = np.diff(pointer)
        if (count <= 0).any() or pointer[0] < 0 or pointer[-1] > len(self._begin):
            return False
        row = {name: getattr(self, f"_{name}")[pointer[0] : pointer[-1]] for name in _ROW_ARRAYS}
        total, noise, fade, ids = (
            getattr(self, f"_{name}")[first : first + _CHECKED]
            for name in ("num_samples", "noise", "fade", "ids")
        )
        for index, low in ((row["source"], 0), (row["room"], -1), (noise, -1)):
            if ((index < low) | (index >= len(lengths))).any():
                return False
        size = lengths[row["source"]]
        bad = (row["begin"] < 0) | (row["first"] < 0) | (row["length"] < 0) | (row["speaker"] < 0)
        bad |= row["begin"] + row["length"] > np.repeat(total, count)
        bad |= (row["first"] + row["length"] > size) & (size > 0)
        bad |= (row["label"] < 0) | (row["label"] >= len(self.labels)) | ~np.isfinite(row["level"])
        try:
            b" ".join(ids.tolist()).decode()
        except UnicodeDecodeError:
            return False
        return not bad.any() and bool((fade >= 0).all())

    def segments(
        self, index: int, start: int, stop: int, labels: Sequence[str] | None = None
    ) -> list[Segment]:
        """Return the labels of samples [start, stop), sorted; times in seconds from ``start``.

        Adjacent utterances of one speaker with the same label of their own form one segment.
        ``labels``, one for each row, replaces those of the reference.
        """
        rows, name = self.rows(index), self.name(index)
        if labels is None:
            labels = [self.labels[number] for number in rows.label.tolist()]
        low = np.maximum(rows.begin, start)
        high = np.minimum(rows.begin + rows.length, stop)
        runs: list[list] = []
        here = np.flatnonzero(high > low)
        columns = (column[here].tolist() for column in (low, high, rows.speaker, rows.own))
        for row, lo, hi, speaker, own in zip(here.tolist(), *columns, strict=True):
            if own and runs and runs[-1][1:] == [lo, speaker, labels[row]]:
                runs[-1][1] = hi
            else:
                runs.append([lo, hi, speaker, labels[row]])
        rate = self.sample_rate
        return sorted(
            Segment(name, (lo - start) / rate, (hi - start) / rate, label)
            for lo, hi, _, label in runs
        )


def open_layout(
    manifest: Manifest, store_path: str | os.PathLike, options: StoreOptions
) -> tuple[MixtureLayout, AudioStore]:
    """Return the layout of ``manifest`` and its audio store; both are made if necessary.

    Several processes may call this at once: one reads the manifest, all decode.  Raises
    DiarizeError for an unreadable file, a silent room impulse response, and, naming mixture
    and speaker, for a segment without samples or more than half a second beyond the end of its
    file; a shorter excess is cut, as by Kaldi's ``extract-segments``.  With ``max_faults``,
    mixtures of unreadable files (`MixtureLayout.using`) are in the layout, but cannot be mixed.
    """
    folder = Path(store_path) / "layouts" / f"{manifest.digest()}-{options.sample_rate}-{_FORMAT}"
    names, draft = folder.with_suffix(".json"), None
    with locked(folder.parent):
        if not names.exists():
            draft = _Draft(manifest, options.sample_rate)
            held = {"sources": list(draft.sources), "labels": list(draft.labels)}
            with atomic_write(names) as handle:
                json.dump(held, handle, ensure_ascii=False)
    try:
        held = parse_json(names.read_bytes(), names)
        sources, labels = [key_of(row) for row in held["sources"]], held["labels"]
        if not (isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
            raise ValueError("labels")
    except (DiarizeError, OSError, ValueError, LookupError, TypeError) as err:
        raise DiarizeError(f"{names} is damaged ({err}): remove it") from err
    store = open_store(store_path, sources, options)
    entries = [store.entries[source] for source in sources]
    # Lengths and checksums: the arrays are made again when these change.
    facts = np.array([(entry.length, entry.crc32) for entry in entries], dtype=np.int64)
    with locked(folder.parent):
        if not np.array_equal(facts, _facts(folder)):
            arrays = (draft or _Draft(manifest, options.sample_rate)).arrays(store, entries)
            with atomic_directory(folder) as fresh:
                for name, values in (arrays | {"facts": facts}).items():
                    np.save(fresh / f"{name}.npy", values)
    for source, entry in zip(sources, entries, strict=True):
        if source.kind != FLOAT32 or source in store.faults:
            continue
        if not np.any(store.samples(entry)):
            raise DiarizeError(f"{source.name}: the impulse response is silent")
    layout = MixtureLayout(folder, options.sample_rate, sources, labels)
    layout.check(facts[:, 0])
    return layout, store


def _facts(folder: Path) -> np.ndarray | None:
    """Return the lengths and checksums of the sources of a layout; None for a damaged file."""
    try:
        return load_array(folder / "facts.npy")
    except DiarizeError:
        return None


def sources_of(manifest: Manifest, sample_rate: int = 16000) -> list[AudioKey]:
    """Return the audio of all mixtures of ``manifest``, each source once."""
    return list(_Draft(manifest, sample_rate).sources)


class _Draft:
    """Content of a manifest, before the lengths of the files are known.

    ``sources`` and ``labels`` are numbered in the order of first use.
    """

    def __init__(self, manifest: Manifest, sample_rate: int) -> None:
        self.manifest, self.sample_rate = manifest, sample_rate
        self.sources: dict[AudioKey, int] = defaultdict(itertools.count().__next__)
        self.labels: dict[str, int] = defaultdict(itertools.count().__next__)
        self.ids: list[str] = []
        integers = ("source", "label", "own", "room", "speaker", "count", "rows", "noise", "fade")
        self.columns = {name: array("i") for name in integers}
        self.columns |= {name: array("d") for name in ("start", "end", "silence", "level", "snr")}
        for index in range(len(manifest)):
            self._add(*manifest[index])

    def _add(self, name: str, mixture: dict) -> None:
        self.ids.append(name)
        band = mixture.get("band")
        band = None if band is None else tuple(float(edge) for edge in band)
        rows = 0
        for number, speaker in enumerate(mixture["speakers"]):
            room = speaker["rir"]
            room = -1 if room is None else self.sources[AudioKey(room, FLOAT32)]
            for utt, silence in zip(speaker["utts"], speaker["intervals"], strict=True):
                entry = parse_utterance(utt)
                self._append(
                    source=self.sources[AudioKey(entry.file, band=band)],
                    label=self.labels[entry.label or speaker["spkid"]],
                    own=entry.label is not None,
                    room=room,
                    speaker=number,
                    start=np.nan if entry.start is None else entry.start,
                    end=np.nan if entry.end is None else entry.end,
                    silence=silence,
                    level=10 ** (entry.gain / 20),
                )
            self._append(count=len(speaker["utts"]))
            rows += len(speaker["utts"])
        noise = mixture["noise"]
        self._append(
            rows=rows,
            noise=-1 if noise is None else self.sources[AudioKey(noise)],
            snr=0.0 if noise is None else mixture["snr"],
            fade=round(mixture.get("fade", 0.0) * self.sample_rate),
        )

    def _append(self, **values: float) -> None:
        for name, value in values.items():
            self.columns[name].append(value)

    def arrays(self, store: AudioStore, entries: list[Entry]) -> dict[str, np.ndarray]:
        """Return the layout's arrays; ``entries`` are the places of the sources in ``store``."""
        lengths = np.array([entry.length for entry in entries])
        given = {name: np.asarray(values) for name, values in self.columns.items()}
        grid = FrameGrid(sample_rate=self.sample_rate)
        total = lengths[given["source"]]
        lost = total == 0  # unreadable: such a mixture is never mixed
        first = np.where(lost, 0, grid.to_samples_all(given["start"]))
        last = np.where(np.isnan(given["end"]), total, grid.to_samples_all(given["end"]))
        late = ~lost & ((last - total) / self.sample_rate > MAX_OVERSHOOT)
        length = np.where(lost, 1, np.minimum(last, total) - first)
        pointer = np.concatenate([[0], np.cumsum(given["rows"])])
        self._check(late | (length <= 0), pointer, total)
        # Ends of utterances if the speakers followed one another; base: where each speaker begins.
        flow = np.cumsum(grid.to_samples_all(given["silence"]) + length)
        base = np.concatenate([[0], flow[np.cumsum(given["count"])[:-1] - 1]])
        begin = flow - length - np.repeat(base, given["count"])
        totals = np.maximum.reduceat(begin + length, pointer[:-1])
        if totals.max() > LONGEST * self.sample_rate:
            raise DiarizeError(
                f"mixture {self.ids[totals.argmax()]}: {totals.max() / self.sample_rate:.0f} s "
                f"long; at most {LONGEST:g}: check the intervals in {self.manifest.path}"
            )
        rows = np.stack([given["source"], first, length], axis=1)
        lead, trail = np.zeros_like(length), np.zeros_like(length)
        lead[~lost], trail[~lost] = silent_edges(store, entries, rows[~lost], self.manifest.path)
        kept = ("noise", "snr", "fade", "source", "speaker", "room", "label")
        return {name: given[name] for name in kept} | {
            "pointer": pointer,
            "num_samples": totals,
            "ids": np.array([name.encode() for name in self.ids]),
            "begin": begin + lead,
            "first": first + lead,
            "length": length - lead - trail,
            "level": given["level"].astype(np.float32),
            "own": given["own"].astype(bool),
            "wet_gain": np.where(given["room"] < 0, 1.0, np.nan).astype(np.float32),
            "noise_gain": np.where(given["noise"] < 0, 0.0, np.nan),
        }

    def _check(self, bad: np.ndarray, pointer: np.ndarray, totals: np.ndarray) -> None:
        """Raise DiarizeError for the first utterance that is ``bad``."""
        if not bad.any():
            return
        row = int(np.argmax(bad))
        index = int(np.searchsorted(pointer, row, "right")) - 1
        name, mixture = self.manifest[index]
        owners = [(s, utt) for s in mixture["speakers"] for utt in s["utts"]]
        speaker, utt = owners[row - int(pointer[index])]
        entry = parse_utterance(utt)
        where = f"mixture {name}, speaker {speaker['spkid']}: {entry.file}"
        if entry.end is None:
            raise DiarizeError(f"{where}: the file holds no samples")
        over = entry.end - int(totals[row]) / self.sample_rate
        span = f"segment {entry.start} to {entry.end} s"
        if over > MAX_OVERSHOOT:
            raise DiarizeError(f"{where}: {span} ends {over:.2f} s after the recording")
        raise DiarizeError(f"{where}: {span} holds no samples")
