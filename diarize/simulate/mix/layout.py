"""A manifest as arrays: which samples of the arena go where, for every utterance at once.

A row is an utterance; the rows of a mixture are in the manifest's order, speaker by speaker.
The arrays are made once, by the rules of :mod:`diarize.simulate.render`, and mapped into
memory afterwards.  Two of them are filled in while training: the factor that keeps an
utterance's energy in its room, and that which puts the noise at the SNR of the whole mixture.
Both are functions of the mixture alone, so that it does not matter which process finds them;
NaN is what is not known yet.
"""

import hashlib
import json
import os
import shutil
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from diarize.errors import DiarizeError
from diarize.kaldi.reference import MAX_OVERSHOOT
from diarize.segments import Segment
from diarize.simulate.cache import FileReader
from diarize.simulate.manifest import Manifest
from diarize.simulate.mix.store import FLOAT32, AudioStore, Source, StoreOptions, locked, open_store
from diarize.simulate.pieces import parse_piece
from diarize.simulate.render import place
from diarize.timebase import FrameGrid

_FORMAT = 1
_BLOCK = 1 << 24
_MIXTURE_ARRAYS = ("pointer", "num_samples", "noise", "snr", "fade", "ids")
_ROW_ARRAYS = ("begin", "first", "length", "source", "speaker", "room", "level", "label", "own")
_FOUND = ("wet_gain", "noise_gain")


class Rows(NamedTuple):
    """The rows of one mixture; arrays of one value each.

    ``begin`` is the place in the mixture, ``first`` that in the source, both in samples;
    ``source`` and ``room`` (-1: none) number the plan's sources, ``speaker`` the mixture's
    speakers, ``label`` the plan's labels; ``own`` is whether the label is the utterance's own;
    ``level`` is the factor of its gain in dB.
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
    """The mixtures of a manifest; can be sent to worker processes, which map it anew.

    ``sources`` are the arena's sources by number, ``labels`` those of the reference.
    """

    path: Path
    sample_rate: int
    sources: list[Source]
    labels: list[str]

    def __post_init__(self) -> None:
        for name in (*_MIXTURE_ARRAYS, *_ROW_ARRAYS, *_FOUND):
            mode = "r+" if name in _FOUND else "r"
            try:
                held = np.load(self.path / f"{name}.npy", mmap_mode=mode, allow_pickle=False)
            except (OSError, ValueError) as err:
                raise DiarizeError(f"{self.path} is damaged ({err}): remove it") from err
            setattr(self, f"_{name}", held if name in _FOUND else np.asarray(held))

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
        """Return the length of a mixture."""
        return int(self._num_samples[index])

    def fade(self, index: int) -> int:
        """Return over how many samples a mixture's utterances are faded at both ends."""
        return int(self._fade[index])

    def noise(self, index: int) -> tuple[int, float]:
        """Return a mixture's noise, by its number among the sources (-1: none), and its SNR."""
        return int(self._noise[index]), float(self._snr[index])

    def rows(self, index: int) -> Rows:
        """Return the utterances of a mixture."""
        part = slice(*self._pointer[index : index + 2])
        return Rows(*(getattr(self, f"_{name}")[part] for name in _ROW_ARRAYS))

    def gains(self, index: int) -> tuple[np.ndarray, float] | None:
        """Return the rows' factors in their rooms, and that of the noise; None if not known."""
        part = slice(*self._pointer[index : index + 2])
        wet, noise = np.array(self._wet_gain[part]), float(self._noise_gain[index])
        return None if np.isnan(noise) or np.isnan(wet).any() else (wet, noise)

    def keep_gains(self, index: int, wet: np.ndarray, noise: float) -> None:
        """Remember what `gains` shall return, for all processes."""
        self._wet_gain[slice(*self._pointer[index : index + 2])] = wet
        self._noise_gain[index] = noise

    def flush(self) -> None:
        """Have what was found written to disk now."""
        for name in _FOUND:
            getattr(self, f"_{name}").flush()

    def segments(self, index: int, start: int, stop: int) -> list[Segment]:
        """Return the labels of samples [start, stop), as ``labels.segments_of`` does."""
        rows, name = self.rows(index), self.name(index)
        low = np.maximum(rows.begin, start)
        high = np.minimum(rows.begin + rows.length, stop)
        here = np.flatnonzero(high > low)
        columns = (low, high, rows.speaker, rows.label, rows.own)
        runs: list[list[int]] = []
        for lo, hi, speaker, label, own in zip(*(c[here].tolist() for c in columns), strict=True):
            if own and runs and runs[-1][1:] == [lo, speaker, label]:
                runs[-1][1] = hi
            else:
                runs.append([lo, hi, speaker, label])
        rate = self.sample_rate
        return sorted(
            Segment(name, (lo - start) / rate, (hi - start) / rate, self.labels[label])
            for lo, hi, _, label in runs
        )


def open_layout(
    manifest: Manifest, arena_path: str | os.PathLike, options: StoreOptions
) -> tuple[MixtureLayout, AudioStore]:
    """Return the arrays of ``manifest`` and its arena, made where they are not there yet.

    Raises DiarizeError for what ``render`` raises it for, but for all mixtures at once.
    """
    folder = Path(arena_path) / "plans" / _digest(manifest, options)
    with locked(folder.parent):
        known = _read_sources(folder)
        draft = _Draft(manifest, options.sample_rate) if known is None else None
        known = known or (draft.sources, draft.labels)
        arena = open_store(arena_path, known[0], options)
        facts = _facts(arena, known[0])
        if draft is not None or not np.array_equal(facts, np.load(folder / "facts.npy")):
            _write(folder, draft or _Draft(manifest, options.sample_rate), facts)
    plan = MixtureLayout(folder, options.sample_rate, *known)
    _check_rooms(plan, arena)
    return plan, arena


def sources_of(manifest: Manifest, sample_rate: int = 16000) -> list[Source]:
    """Return everything that the mixtures of ``manifest`` are made of, each source once."""
    return _Draft(manifest, sample_rate).sources


def _facts(arena: AudioStore, sources: Sequence[Source]) -> np.ndarray:
    """Return length and checksum of each source, int64 (n, 2)."""
    entries = [arena.entries[source] for source in sources]
    return np.array([(entry.length, entry.crc32) for entry in entries], dtype=np.int64)


class _Numbers(dict):
    """Numbers things in the order in which they come."""

    def __missing__(self, key: object) -> int:
        self[key] = number = len(self)
        return number


class _Draft:
    """A manifest read once: all that can be said before the lengths of the files are known."""

    def __init__(self, manifest: Manifest, sample_rate: int) -> None:
        self.manifest, self.sample_rate = manifest, sample_rate
        self._sources, self._labels = _Numbers(), _Numbers()
        self.utts = {name: array("i") for name in ("source", "label", "own")}
        self.utts |= {name: array("d") for name in ("start", "end", "silence", "level")}
        self.voices = {name: array("i") for name in ("count", "room")}
        self.mixtures = {name: array("i") for name in ("speakers", "noise", "fade")}
        self.mixtures["snr"] = array("d")
        self.ids: list[str] = []
        for index in range(len(manifest)):
            self._add(*manifest[index])

    @property
    def sources(self) -> list[Source]:
        return list(self._sources)

    @property
    def labels(self) -> list[str]:
        return list(self._labels)

    def _add(self, name: str, mixture: dict) -> None:
        self.ids.append(name)
        band = mixture.get("band")
        band = None if band is None else tuple(float(edge) for edge in band)
        for speaker in mixture["speakers"]:
            room = speaker["rir"]
            room = -1 if room is None else self._sources[Source(room, FLOAT32)]
            self.voices["room"].append(room)
            self.voices["count"].append(len(speaker["utts"]))
            self.utts["silence"].extend(speaker["intervals"])
            for utt in speaker["utts"]:
                self._add_utterance(utt, speaker["spkid"], band)
        noise = mixture["noise"]
        self.mixtures["noise"].append(-1 if noise is None else self._sources[Source(noise)])
        self.mixtures["snr"].append(0.0 if noise is None else mixture["snr"])
        self.mixtures["speakers"].append(len(mixture["speakers"]))
        self.mixtures["fade"].append(round(mixture.get("fade", 0.0) * self.sample_rate))

    def _add_utterance(self, utt: object, speaker: str, band: tuple | None) -> None:
        piece = parse_piece(utt)
        whole = isinstance(piece.source, str)
        name, start, end = (piece.source, np.nan, np.nan) if whole else piece.source
        values = {
            "source": self._sources[Source(name, band=band)],
            "label": self._labels[piece.label or speaker],
            "own": piece.label is not None,
            "start": start,
            "end": end,
            "level": 10 ** (piece.gain / 20),
        }
        for key, value in values.items():
            self.utts[key].append(value)

    def arrays(self, facts: np.ndarray) -> dict[str, np.ndarray]:
        """Return the plan's arrays for sources of these lengths and checksums."""
        lengths = facts[:, 0]
        utt = {key: np.asarray(value) for key, value in self.utts.items()}
        count, room = (np.asarray(self.voices[key]) for key in ("count", "room"))
        speakers = np.asarray(self.mixtures["speakers"])
        grid = FrameGrid(sample_rate=self.sample_rate)
        total = lengths[utt["source"]]
        first = grid.to_samples_all(utt["start"])
        last = np.where(np.isnan(utt["end"]), total, grid.to_samples_all(utt["end"]))
        bad = (last - total) / self.sample_rate > MAX_OVERSHOOT
        length = np.minimum(last, total) - first
        ends = np.cumsum(count)  # rows up to the end of each speaker
        pointer = np.concatenate([[0], ends[np.cumsum(speakers) - 1]])
        self._explain(bad | (length <= 0), pointer, lengths)
        # Where an utterance ends if all speakers followed one another, less where its began.
        flow = np.cumsum(grid.to_samples_all(utt["silence"]) + length)
        base = np.concatenate([[0], flow[ends[:-1] - 1]])
        begin = flow - length - np.repeat(base, count)
        heads = np.concatenate([[0], np.cumsum(speakers)[:-1]])
        turn = np.arange(len(count)) - np.repeat(heads, speakers)
        noise = np.asarray(self.mixtures["noise"])
        rooms = np.repeat(room, count)
        return {
            "pointer": pointer,
            "num_samples": np.maximum.reduceat(begin + length, pointer[:-1]),
            "noise": noise,
            "snr": np.asarray(self.mixtures["snr"]),
            "fade": np.asarray(self.mixtures["fade"]),
            "ids": np.array([name.encode() for name in self.ids]),
            "begin": begin,
            "first": first,
            "length": length,
            "source": utt["source"],
            "speaker": np.repeat(turn, count).astype(np.int32),
            "room": rooms,
            "level": utt["level"].astype(np.float32),
            "label": utt["label"],
            "own": utt["own"].astype(bool),
            "wet_gain": np.where(rooms < 0, 1.0, np.nan).astype(np.float32),
            "noise_gain": np.where(noise < 0, 0.0, np.nan),
            "facts": facts,
        }

    def _explain(self, bad: np.ndarray, pointer: np.ndarray, lengths: np.ndarray) -> None:
        """Raise, as ``render`` does, for the first row that is ``bad``."""
        if not bad.any():
            return
        index = int(np.searchsorted(pointer, np.argmax(bad), "right")) - 1
        known = {source.name: n for source, n in zip(self.sources, lengths.tolist(), strict=True)}
        reader = FileReader()
        reader.num_samples = lambda name, rate: known[name]
        place(self.manifest[index][1], sample_rate=self.sample_rate, reader=reader)
        raise DiarizeError(f"mixture {self.ids[index]}: an utterance holds no samples")


def _write(folder: Path, draft: _Draft, facts: np.ndarray) -> None:
    """Write the arrays to ``folder``, which appears as a whole."""
    arrays = draft.arrays(facts)
    try:
        for stale in folder.parent.glob(f".{folder.name}.*"):
            shutil.rmtree(stale, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        for name, held in arrays.items():
            np.save(fresh / f"{name}.npy", held)
        names = {"sources": draft.sources, "labels": draft.labels}
        (fresh / "names.json").write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")
        os.chmod(fresh, 0o755)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(fresh, folder)
    except OSError as err:
        raise DiarizeError(f"cannot write {folder}: {err.strerror or err}") from err


def _read_sources(folder: Path) -> tuple[list[Source], list[str]] | None:
    try:
        names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        raise DiarizeError(f"{folder} is damaged ({err}): remove it") from err
    rows = names["sources"]
    sources = [Source(a, kind, None if band is None else tuple(band)) for a, kind, band in rows]
    return sources, names["labels"]


def _digest(manifest: Manifest, options: StoreOptions) -> str:
    digest = hashlib.blake2b(f"{_FORMAT} {options.sample_rate}".encode(), digest_size=12)
    with open(manifest.path, "rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _check_rooms(plan: MixtureLayout, arena: AudioStore) -> None:
    for source in _rooms(plan.sources):
        if not np.any(arena.samples(arena.entries[source])):
            raise DiarizeError(f"{source.name}: the impulse response is silent")


def _rooms(sources: Iterable[Source]) -> list[Source]:
    return [source for source in sources if source.kind == FLOAT32]
