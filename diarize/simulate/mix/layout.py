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

import json
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_directory, atomic_write
from diarize.kaldi.reference import MAX_OVERSHOOT
from diarize.segments import Segment
from diarize.simulate.manifest import Manifest, parse_utterance
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
_MIXTURES = 1 << 16  # counted at once
_MIXTURE_ARRAYS = ("pointer", "num_samples", "noise", "snr", "fade", "ids")
_ROW_ARRAYS = ("begin", "first", "length", "source", "speaker", "room", "level", "label", "own")
_GAINS = ("wet_gain", "noise_gain")


class Rows(NamedTuple):
    """Utterances of one mixture: arrays with one value per utterance.

    ``begin`` is the first sample in the mixture, ``first`` that in the source; ``source`` and
    ``room`` (-1: none) are indices of the layout's sources, ``speaker`` of the mixture's
    speakers, ``label`` of the layout's labels; ``own`` marks a label of the utterance rather
    than of the speaker; ``level`` is the linear gain of the utterance.
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
            try:
                held = np.load(self.path / f"{name}.npy", mmap_mode=mode, allow_pickle=False)
            except (OSError, ValueError) as err:
                raise DiarizeError(f"{self.path} is damaged ({err}): remove it") from err
            setattr(self, f"_{name}", held if name in _GAINS else np.asarray(held))

    def __getstate__(self) -> dict:
        keys = ("path", "sample_rate", "sources", "labels")
        return {key: getattr(self, key) for key in keys}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def __len__(self) -> int:
        return len(self._num_samples)

    def name(self, index: int) -> str:
        """Return the id of a mixture."""
        return self._ids[index].decode()

    def num_samples(self, index: int) -> int:
        """Return the length of a mixture in samples."""
        return int(self._num_samples[index])

    def fade(self, index: int) -> int:
        """Return the length of the fade at both ends of an utterance in samples."""
        return int(self._fade[index])

    def noise(self, index: int) -> tuple[int, float]:
        """Return the source index of a mixture's noise (-1: none), and its SNR in dB."""
        return int(self._noise[index]), float(self._snr[index])

    def rows(self, index: int) -> Rows:
        """Return the utterances of a mixture."""
        part = slice(*self._pointer[index : index + 2])
        return Rows(*(getattr(self, f"_{name}")[part] for name in _ROW_ARRAYS))

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
        counts = np.zeros(len(self), np.int64)
        for first in range(0, len(self), _MIXTURES):
            ends = self._pointer[first : first + _MIXTURES + 1]
            mixture = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
            labels = self._label[ends[0] : ends[-1]]
            pairs = np.unique(mixture * np.int64(len(self.labels)) + labels)
            counts[first : first + len(ends) - 1] = np.bincount(
                pairs // len(self.labels), minlength=len(ends) - 1
            )
        return counts

    def flush(self) -> None:
        """Write stored gains to disk."""
        for name in _GAINS:
            getattr(self, f"_{name}").flush()

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
        held = json.loads(names.read_text(encoding="utf-8"))
        sources = [key_of(row) for row in held["sources"]]
    except (OSError, ValueError, KeyError, IndexError) as err:
        raise DiarizeError(f"{names} is damaged ({err}): remove it") from err
    store = open_store(store_path, sources, options)
    entries = [store.entries[source] for source in sources]
    # Lengths and checksums: the arrays are made again when these change.
    facts = np.array([(entry.length, entry.crc32) for entry in entries], dtype=np.int64)
    with locked(folder.parent):
        written = folder / "facts.npy"
        if not (written.exists() and np.array_equal(facts, np.load(written, allow_pickle=False))):
            arrays = (draft or _Draft(manifest, options.sample_rate)).arrays(store, entries)
            with atomic_directory(folder) as fresh:
                for name, values in (arrays | {"facts": facts}).items():
                    np.save(fresh / f"{name}.npy", values)
    for source, entry in zip(sources, entries, strict=True):
        if source.kind != FLOAT32 or source in store.faults:
            continue
        if not np.any(store.samples(entry)):
            raise DiarizeError(f"{source.name}: the impulse response is silent")
    return MixtureLayout(folder, options.sample_rate, sources, held["labels"]), store


def sources_of(manifest: Manifest, sample_rate: int = 16000) -> list[AudioKey]:
    """Return the audio of all mixtures of ``manifest``, each source once."""
    return list(_Draft(manifest, sample_rate).sources)


class _Numbers(dict):
    """Indices of keys in the order of first use."""

    def __missing__(self, key: object) -> int:
        self[key] = number = len(self)
        return number


class _Draft:
    """Content of a manifest, before the lengths of the files are known."""

    def __init__(self, manifest: Manifest, sample_rate: int) -> None:
        self.manifest, self.sample_rate = manifest, sample_rate
        self.sources, self.labels = _Numbers(), _Numbers()
        self.utts = {name: array("i") for name in ("source", "label", "own")}
        self.utts |= {name: array("d") for name in ("start", "end", "silence", "level")}
        self.voices = {name: array("i") for name in ("count", "room")}
        self.mixtures = {name: array("i") for name in ("speakers", "noise", "fade")}
        self.mixtures["snr"] = array("d")
        self.ids: list[str] = []
        for index in range(len(manifest)):
            self._add(*manifest[index])

    def _add(self, name: str, mixture: dict) -> None:
        self.ids.append(name)
        band = mixture.get("band")
        band = None if band is None else tuple(float(edge) for edge in band)
        for speaker in mixture["speakers"]:
            room = speaker["rir"]
            room = -1 if room is None else self.sources[AudioKey(room, FLOAT32)]
            self.voices["room"].append(room)
            self.voices["count"].append(len(speaker["utts"]))
            self.utts["silence"].extend(speaker["intervals"])
            for utt in speaker["utts"]:
                self._add_utterance(utt, speaker["spkid"], band)
        noise = mixture["noise"]
        self.mixtures["noise"].append(-1 if noise is None else self.sources[AudioKey(noise)])
        self.mixtures["snr"].append(0.0 if noise is None else mixture["snr"])
        self.mixtures["speakers"].append(len(mixture["speakers"]))
        self.mixtures["fade"].append(round(mixture.get("fade", 0.0) * self.sample_rate))

    def _add_utterance(self, utt: str | list | dict, speaker: str, band: tuple | None) -> None:
        entry = parse_utterance(utt)
        values = {
            "source": self.sources[AudioKey(entry.file, band=band)],
            "label": self.labels[entry.label or speaker],
            "own": entry.label is not None,
            "start": np.nan if entry.start is None else entry.start,
            "end": np.nan if entry.end is None else entry.end,
            "level": 10 ** (entry.gain / 20),
        }
        for key, value in values.items():
            self.utts[key].append(value)

    def arrays(self, store: AudioStore, entries: list[Entry]) -> dict[str, np.ndarray]:
        """Return the layout's arrays; ``entries`` are the places of the sources in ``store``."""
        lengths = np.array([entry.length for entry in entries])
        utt = {key: np.asarray(value) for key, value in self.utts.items()}
        count, room = (np.asarray(self.voices[key]) for key in ("count", "room"))
        speakers = np.asarray(self.mixtures["speakers"])
        grid = FrameGrid(sample_rate=self.sample_rate)
        total = lengths[utt["source"]]
        lost = total == 0  # unreadable: such a mixture is never mixed
        first = np.where(lost, 0, grid.to_samples_all(utt["start"]))
        last = np.where(np.isnan(utt["end"]), total, grid.to_samples_all(utt["end"]))
        bad = (last - total) / self.sample_rate > MAX_OVERSHOOT
        length = np.where(lost, 1, np.minimum(last, total) - first)
        bad &= ~lost
        ends = np.cumsum(count)  # rows up to the end of each speaker
        pointer = np.concatenate([[0], ends[np.cumsum(speakers) - 1]])
        self._check(bad | (length <= 0), pointer, total)
        # Ends of utterances if the speakers followed one another; base: where each speaker begins.
        flow = np.cumsum(grid.to_samples_all(utt["silence"]) + length)
        base = np.concatenate([[0], flow[ends[:-1] - 1]])
        begin = flow - length - np.repeat(base, count)
        heads = np.concatenate([[0], np.cumsum(speakers)[:-1]])
        turn = np.arange(len(count)) - np.repeat(heads, speakers)
        totals = np.maximum.reduceat(begin + length, pointer[:-1])
        rows = np.stack([utt["source"], first, length], axis=1)
        lead, trail = np.zeros_like(length), np.zeros_like(length)
        lead[~lost], trail[~lost] = silent_edges(store, entries, rows[~lost], self.manifest.path)
        noise = np.asarray(self.mixtures["noise"])
        rooms = np.repeat(room, count)
        return {
            "pointer": pointer,
            "num_samples": totals,
            "noise": noise,
            "snr": np.asarray(self.mixtures["snr"]),
            "fade": np.asarray(self.mixtures["fade"]),
            "ids": np.array([name.encode() for name in self.ids]),
            "begin": begin + lead,
            "first": first + lead,
            "length": length - lead - trail,
            "source": utt["source"],
            "speaker": np.repeat(turn, count).astype(np.int32),
            "room": rooms,
            "level": utt["level"].astype(np.float32),
            "label": utt["label"],
            "own": utt["own"].astype(bool),
            "wet_gain": np.where(rooms < 0, 1.0, np.nan).astype(np.float32),
            "noise_gain": np.where(noise < 0, 0.0, np.nan),
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
