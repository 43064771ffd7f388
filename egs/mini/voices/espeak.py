"""The eSpeak NG library of the wheel ``espeakng-loader``, through ctypes.

The output of a call depends on the calls before it: the library's state is never wholly reset,
not even by ``espeak_Terminate``.  `isolated` therefore runs each utterance in a forked process
of its own, and then the samples depend on the arguments alone.
"""

import ctypes
import os
import pickle
import sys
import tempfile
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diarize.errors import DiarizeError

MAX_VOICES = 349  # the library lists no more voices, languages and variants together
MAX_PATH = 120  # its buffer for the data path has 160 bytes, file names included
_SYNCHRONOUS, _PHONEME_EVENTS, _DONT_EXIT = 2, 1, 0x8000
_UTF8, _POS_CHARACTER = 1, 1
_EVENT_END, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_RATE, _VOLUME, _PITCH = 1, 2, 3
_QUIET = 40  # of 100: at 100 most voices clip
_SHARED_FILES = ("phontab", "phonindex", "phondata", "intonations")


class Speech(NamedTuple):
    """Mono ``samples`` (int16) at ``sample_rate``; words and phonemes as (seconds, text).

    ``places`` are where in the text each of ``words`` begins; a number may have several.
    """

    samples: np.ndarray
    sample_rate: int
    words: list[tuple[float, str]]
    phonemes: list[tuple[float, str]]
    places: list[int]

    @property
    def switched_language(self) -> bool:
        """True where part of the text was read in another language, as some foreign script is.

        Only a language that `private_data` was given can be switched to; what no language
        can read is spelt or left out.
        """
        return any("(" in phoneme for _, phoneme in self.phonemes)


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@contextmanager
def private_data(languages: Iterable[str], variants: Mapping[str, str]) -> Iterator[Path]:
    """Give a temporary data path with these ``languages`` and own ``variants`` only, for `Espeak`.

    ``languages`` are file names of the wheel's data (``en-us``; ``en`` is British English);
    ``variants`` maps a name to the text of its voice file.  Raises DiarizeError where the
    wheel is missing, a language is unknown, or there are more voices than the library lists.
    """
    _, data = find_wheel()
    with tempfile.TemporaryDirectory(prefix="voices.") as directory:
        if len(os.fsencode(directory)) > MAX_PATH:
            raise DiarizeError(
                f"{directory}: path too long for eSpeak NG (over {MAX_PATH} bytes): "
                "set TMPDIR to a shorter one"
            )
        home = Path(directory)
        _fill_home(home / "espeak-ng-data", data, list(dict.fromkeys(languages)), variants)
        yield home


class Espeak:
    """eSpeak NG, initialised with the data of `private_data`.

    The library's state is global to the process: one instance per process, for good.
    """

    def __init__(self, home: Path):
        library, _ = find_wheel()
        self._lib = ctypes.CDLL(str(library))
        self._lib.espeak_Initialize.argtypes = [
            ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        self._lib.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint,
            ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p]
        self.sample_rate = self._lib.espeak_Initialize(
            _SYNCHRONOUS, 0, os.fsencode(home), _PHONEME_EVENTS | _DONT_EXIT)
        if self.sample_rate <= 0:
            raise DiarizeError(f"{library}: eSpeak NG did not start: reinstall espeakng-loader")
        self._lib.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]

    def speak(self, text: str, voice: str, rate: int = 175, pitch: int = 50) -> Speech:
        """Return ``text`` spoken by ``voice`` (``language+variant``) at ``rate`` words a minute.

        ``pitch`` is 0 to 100, 50 being the voice's own.  See `isolated` about repeatability.
        """
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise DiarizeError(f"eSpeak NG has no voice {voice}")
        # Breath is noise, and the start-up has seeded its source with the time of day.
        self._lib.espeak_ng_SetRandSeed(zlib.crc32(f"{voice} {text}".encode()))
        self._lib.espeak_SetParameter(_RATE, int(rate), 0)
        self._lib.espeak_SetParameter(_VOLUME, _QUIET, 0)
        self._lib.espeak_SetParameter(_PITCH, int(pitch), 0)
        chunks: list[np.ndarray] = []
        words: list[tuple[float, str]] = []
        phonemes: list[tuple[float, str]] = []
        places: list[int] = []

        def collect(wave: Any, count: int, events: Any) -> int:
            if wave and count > 0:
                chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
            for event in events:
                if event.type == _EVENT_END:
                    break
                seconds = event.audio_position / 1000.0
                if event.type == _EVENT_WORD:
                    start = event.text_position - 1
                    words.append((seconds, text[start : start + event.length]))
                    places.append(start)
                elif event.type == _EVENT_PHONEME:
                    phonemes.append((seconds, event.id.string.decode("utf-8", "replace")))
            return 0

        callback = _Callback(collect)
        self._lib.espeak_SetSynthCallback(callback)
        raw = text.encode("utf-8") + b"\0"
        if self._lib.espeak_Synth(raw, len(raw), 0, _POS_CHARACTER, 0, _UTF8, None, None) != 0:
            raise DiarizeError(f"eSpeak NG could not speak {text!r} with {voice}")
        samples = np.concatenate(chunks) if chunks else np.zeros(0, np.int16)
        return Speech(samples, self.sample_rate, words, phonemes, places)


def isolated(body: Callable[[], Any]) -> Any:
    """Return what ``body()`` returns in a forked child, so that it leaves no trace here.

    The result travels by pickle through a pipe.  A DiarizeError is raised again here; any
    other failure is printed by the child and becomes a DiarizeError.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _run_child(body, read_end, write_end)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise DiarizeError(f"a synthesis process died (wait status {status}): run the step again")
    good, value = pickle.loads(answer)
    if not good:
        raise DiarizeError(value)
    return value


def _run_child(body: Callable[[], Any], read_end: int, write_end: int) -> None:
    """Run ``body`` and leave the process at once, without the parent's clean-up handlers."""
    try:
        os.close(read_end)
        try:
            answer = (True, body())
        except DiarizeError as err:
            answer = (False, str(err))
        with os.fdopen(write_end, "wb") as pipe:
            pickle.dump(answer, pipe, protocol=pickle.HIGHEST_PROTOCOL)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def find_wheel() -> tuple[Path, Path]:
    """Return (library, data directory) of the installed wheel."""
    try:
        import espeakng_loader
    except ImportError as err:
        raise DiarizeError(
            "the mini recipes need eSpeak NG from the package espeakng-loader, which is not "
            "installed: run `pip install .[mini]` in the root of the repository"
        ) from err
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


def _fill_home(
    home: Path, data: Path, languages: list[str], variants: Mapping[str, str]
) -> None:
    """Link the phoneme data, the languages' rules and dictionaries; write the voice files."""
    if len(languages) + len(variants) > MAX_VOICES:
        raise DiarizeError(
            f"{len(languages)} languages and {len(variants)} voices: eSpeak NG lists "
            f"{MAX_VOICES} together at most"
        )
    (home / "lang").mkdir(parents=True)
    (home / "voices" / "!v").mkdir(parents=True)
    for name in _SHARED_FILES:
        (home / name).symlink_to(data / name)
    for dictionary in data.glob("*_dict"):
        (home / dictionary.name).symlink_to(dictionary)
    files = {path.name.lower(): path for path in (data / "lang").rglob("*") if path.is_file()}
    for language in languages:
        if language.lower() not in files:
            raise DiarizeError(f"eSpeak NG has no language {language}")
        (home / "lang" / language.lower()).symlink_to(files[language.lower()])
    for name, text in variants.items():
        (home / "voices" / "!v" / name).write_text(text, encoding="utf-8")
