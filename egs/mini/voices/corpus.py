"""From random speakers to utterances on disk: choice of voices, plan, synthesis in parallel."""

import bisect
import ctypes
import math
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from diarize.errors import DiarizeError
from diarize.io.atomic import atomic_write
from diarize.io.audio import write_wav
from voices.espeak import Espeak, Speech, isolated, private_data
from voices.voices import Voice, distance, random_voice, voice_print

SAMPLE_RATE = 16000
MIN_DISTANCE = 3.0  # of voice prints; the same voice with other words is about 2 from itself
_CHOICE_PROMPTS = (
    "The young captain showed his brother a yellow map of the harbour",
    "We thought the noisy children would choose five pears and a cake",
)
_LEVEL = -27.0  # dB relative to full scale, RMS of an utterance
_FLOOR = -40.0  # dB relative to the loudest 10 ms: softer ends are cut off
_FADE = 80  # samples
_PR_SET_PDEATHSIG = 1  # of Linux: the signal that a process gets when its parent dies
_library: list[Espeak] = []  # the one of this worker process


@dataclass(frozen=True)
class Utterance:
    """An utterance to be made: speaker, text, manner of speaking, and file."""

    path: str
    text: str
    voice: str  # language+variant
    rate: int  # words a minute
    pitch: int  # 50 is the voice's own
    level: float  # dB relative to the corpus level


@dataclass(frozen=True)
class Speaker:
    """A chosen voice, its language, and its rate in characters per second."""

    voice: Voice
    language: str
    letter_rate: float


def choose_speakers(count: int, languages: Sequence[str], seed: int, jobs: int) -> list[Speaker]:
    """Return ``count`` speakers that are all at least MIN_DISTANCE apart from one another.

    Candidates are drawn one after the other, their languages in turn, and one too near to an
    earlier speaker is left out, so that a shorter list is the beginning of a longer one.
    Raises DiarizeError if not enough distinct voices are found.
    """
    chosen: list[Speaker] = []
    prints: list[np.ndarray] = []
    tried = 0
    for _ in range(8):
        size = min(200, 10 + 2 * (count - len(chosen)))
        numbers = range(tried, tried + size)
        voices = [random_voice(f"c{n:04d}", np.random.default_rng((seed, n))) for n in numbers]
        names = [languages[n % len(languages)] for n in numbers]
        tasks = [(v, f"{language}+{v.name}") for v, language in zip(voices, names, strict=True)]
        variants = {voice.name: voice.variant for voice in voices}
        with private_data(languages, variants) as home:
            heard = list(_parallel(_hear, tasks, home, jobs))
        for voice, language, (sound, letter_rate) in zip(voices, names, heard, strict=True):
            if all(distance(sound, other) >= MIN_DISTANCE for other in prints):
                chosen.append(Speaker(voice, language, letter_rate))
                prints.append(sound)
                if len(chosen) == count:
                    return chosen
        tried += size
    raise DiarizeError(
        f"only {len(chosen)} of {tried} random voices are distinct, {count} wanted: ask for fewer"
    )


def synthesise(
    speakers: Iterable[Speaker],
    utterances: Sequence[Utterance],
    jobs: int,
    languages: Sequence[str] = (),
    timed: bool = False,
) -> Iterator[str]:
    """Write each utterance that is not there yet; yield its path as soon as it is.

    16 kHz, 16 bit, mono; speech from the first sample to the last.  The samples depend on
    the utterance and its voice alone, neither on ``jobs`` nor on earlier output.
    ``languages`` are those that voices speak beside their own.  With ``timed``, the times of
    the words go beside each file, see `timed_words`, and an utterance that its voice cannot
    say is left out: its path is yielded all the same.
    """
    speakers = list(speakers)
    variants = {speaker.voice.name: speaker.voice.variant for speaker in speakers}
    for directory in {os.path.dirname(utterance.path) for utterance in utterances}:
        Path(directory).mkdir(parents=True, exist_ok=True)
    wanted = [utterance for utterance in utterances if not os.path.exists(utterance.path)]
    with private_data(sorted({s.language for s in speakers} | set(languages)), variants) as home:
        yield from _parallel(_write_timed if timed else _write, wanted, home, jobs)


def measure_pace(prompts: Mapping[str, Sequence[str]], jobs: int) -> dict[str, float]:
    """Return the characters of ``prompts`` that an even voice speaks in a second, by language."""
    voice = random_voice("even", np.random.default_rng(0))
    tasks = [(f"{language}+even", " ".join(texts)) for language, texts in prompts.items()]
    with private_data(list(prompts), {"even": voice.variant}) as home:
        return dict(zip(prompts, _parallel(_pace, tasks, home, jobs), strict=True))


def loud_span(samples: np.ndarray, sample_rate: int) -> tuple[int, int]:
    """Return between which samples anything is louder than _FLOOR."""
    hop = sample_rate // 100
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    energy = np.mean(frames**2, axis=1)
    if not len(energy) or energy.max() == 0:
        return 0, 0
    loud = np.flatnonzero(energy > energy.max() * 10 ** (_FLOOR / 10))
    return int(loud[0]) * hop, (int(loud[-1]) + 1) * hop


def finish(samples: np.ndarray, from_rate: int, level: float) -> np.ndarray:
    """Return float64 at 16 kHz: trimmed, ends faded, at ``level`` dB and never over 0.9."""
    return _finish(samples, from_rate, level)[0]


def _finish(samples: np.ndarray, from_rate: int, level: float) -> tuple[np.ndarray, float]:
    """Return the same, and how many seconds were cut off at its beginning."""
    common = math.gcd(from_rate, SAMPLE_RATE)
    wave = resample_poly(samples / 32768.0, SAMPLE_RATE // common, from_rate // common)
    first, last = loud_span(wave, SAMPLE_RATE)
    wave = wave[first:last]
    if not len(wave):
        return wave, 0.0
    ramp = np.linspace(0.0, 1.0, _FADE)
    wave[:_FADE] *= ramp
    wave[-_FADE:] *= ramp[::-1]
    wave *= 10 ** ((_LEVEL + level) / 20) / np.sqrt(np.mean(wave**2))
    return wave * min(1.0, 0.9 / np.abs(wave).max()), first / SAMPLE_RATE


def timed_words(speech: Speech, text: str) -> list[tuple[float, float, str]]:
    """Return (start, end, word) seconds of the words of ``text`` in ``speech``.

    Words are separated by blanks; in text without blanks each character is one.  One that has no
    time of its own, as eSpeak NG joins some, belongs to the word before it.
    """
    tokens = [(found.start(), found[0]) for found in re.finditer(r"\S+", text)]
    joint = "_"
    if len(tokens) == 1:
        tokens, joint = list(enumerate(text)), ""
    starts: dict[int, float] = {}
    first_of = [place for place, _ in tokens]
    for (seconds, _), place in zip(speech.words, speech.places, strict=True):
        number = bisect.bisect_right(first_of, place) - 1
        if number >= 0:
            starts.setdefault(number, seconds)
    sounds = [seconds for seconds, name in speech.phonemes if name != "_"]
    end = max([*starts.values(), *sounds, len(speech.samples) / speech.sample_rate])
    words: list[tuple[float, float, str]] = []
    for number, (_, token) in enumerate(tokens):
        if number in starts or not words:
            words.append((starts.get(number, 0.0), end, token))
        else:
            words[-1] = (*words[-1][:2], f"{words[-1][2]}{joint}{token}")
    for number in range(len(words) - 1):
        words[number] = (words[number][0], words[number + 1][0], words[number][2])
    return words


def _parallel(
    work: Callable[[Any], Any], tasks: Sequence[Any], home: Path, jobs: int
) -> Iterator[Any]:
    """Yield ``work(task)`` in the order of ``tasks``, from ``jobs`` forked processes."""
    if not tasks:
        return
    context = get_context("fork")
    chunk = max(1, min(20, len(tasks) // (4 * jobs)))
    try:
        with ProcessPoolExecutor(jobs, context, _start_worker, (home,)) as pool:
            try:
                yield from pool.map(work, tasks, chunksize=chunk)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool as err:
        raise DiarizeError("a synthesis process was killed: run the step again") from err


def _start_worker(home: Path) -> None:
    """Start eSpeak NG in this process, which leaves Ctrl-C to its parent and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _library[:] = [Espeak(home)]


def _hear(task: tuple[Voice, str]) -> tuple[np.ndarray, float]:
    """Return the voice print and the characters per second of a candidate."""
    voice, name = task
    spoken = [_speak(prompt, name, voice.rate) for prompt in _CHOICE_PROMPTS]
    wave = np.concatenate([finish(speech.samples, speech.sample_rate, 0.0) for speech in spoken])
    if len(wave) < SAMPLE_RATE:
        raise DiarizeError(f"voice {name} is silent: its voice file must be wrong")
    return voice_print(wave), sum(map(len, _CHOICE_PROMPTS)) * SAMPLE_RATE / len(wave)


def _write(utterance: Utterance) -> str:
    """Make one utterance and return its path."""
    speech = _speak(utterance.text, utterance.voice, utterance.rate, utterance.pitch)
    wave = finish(speech.samples, speech.sample_rate, utterance.level)
    if speech.switched_language or len(wave) < SAMPLE_RATE // 2:
        raise DiarizeError(f"{utterance.path}: {utterance.voice} cannot say {utterance.text!r}")
    write_wav(utterance.path, wave, SAMPLE_RATE)
    return utterance.path


def _write_timed(utterance: Utterance) -> str:
    """Make one utterance and the file of its words; return its path, made or not."""
    speech = _speak(utterance.text, utterance.voice, utterance.rate, utterance.pitch)
    wave, cut = _finish(speech.samples, speech.sample_rate, utterance.level)
    if speech.switched_language or len(wave) < SAMPLE_RATE // 2:
        return utterance.path
    seconds = len(wave) / SAMPLE_RATE
    path = Path(utterance.path)
    lines = []
    for start, end, word in timed_words(speech, utterance.text):
        first, last = min(max(start - cut, 0.0), seconds), min(max(end - cut, 0.0), seconds)
        if last > first:
            lines.append(f"{path.stem} 1 {first:.3f} {last - first:.3f} {word}\n")
    with atomic_write(path.with_suffix(".ctm")) as handle:
        handle.writelines(lines)
    write_wav(utterance.path, wave, SAMPLE_RATE)
    return utterance.path


def _pace(task: tuple[str, str]) -> float:
    voice, text = task
    speech = _speak(text, voice)
    return len(text) * SAMPLE_RATE / len(finish(speech.samples, speech.sample_rate, 0.0))


def _speak(text: str, voice: str, rate: int = 175, pitch: int = 50) -> Speech:
    return isolated(partial(_library[0].speak, text, voice, rate, pitch))
