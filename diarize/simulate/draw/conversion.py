"""Voice conversion by a plug-in; converted utterances are kept as files.

A plug-in is a command with the words ``{wav}``, ``{reference}`` and ``{out}``, or a Python
function ``module:name`` called with these three paths.  It reads an utterance and a reference of
the target voice, and writes the converted utterance, of the same length, to ``out``.  No plug-in
is included.
"""

import importlib
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.atomic import make_directory
from diarize.io.audio import AudioSource, read_audio, write_wav
from diarize.io.filename import file_name
from diarize.simulate.draw.utterances import Corpus, Spoken

Convert = Callable[[str, str, str], object]

_RATE = 16000
_PLACES = ("{wav}", "{reference}", "{out}")
_PLACE = re.compile("|".join(map(re.escape, _PLACES)))
_LENGTH_SLACK = 0.1  # permitted difference in length, in seconds and as a share


def load_converter(text: str) -> Convert:
    """Return the plug-in of ``text``, a command or ``module:function``.

    Raises DiarizeError for a command without its placeholders, or a missing function.
    """
    if any(place in text for place in _PLACES):
        missing = [place for place in _PLACES if place not in text]
        if missing:
            raise DiarizeError(f"voice conversion '{text}': {' and '.join(missing)} is missing")
        return partial(_run_command, shlex.split(text))
    module, _, name = text.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError) as err:
        raise DiarizeError(
            f"voice conversion '{text}' is neither a command with {{wav}} {{reference}} {{out}} "
            f"nor a function module:name: {err}"
        ) from err
    return function


def _run_command(words: list[str], wav: str, reference: str, out: str) -> None:
    paths = dict(zip(_PLACES, (wav, reference, out), strict=True))
    words = [_PLACE.sub(lambda found: paths[found[0]], word) for word in words]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as err:
        raise DiarizeError(f"voice conversion: cannot run {words[0]}: {err.strerror}") from err
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise DiarizeError(
            f"voice conversion: {shlex.join(words)} ended with {done.returncode}: {last[0]}"
        )


class Conversions:
    """Converted utterances in ``directory``; each is converted once."""

    def __init__(self, corpus: Corpus, directory: str | os.PathLike, convert: Convert) -> None:
        self.corpus, self.directory, self.convert = corpus, Path(directory), convert
        self._references: dict[str, str] = {}

    def file(self, spoken: Spoken, voice: str) -> str:
        """Return the file of ``spoken`` converted to ``voice``, made if it does not exist.

        Raises DiarizeError if the plug-in fails or changes the length.
        """
        path = self.directory / file_name(voice) / file_name(spoken.id, ".wav")
        if not path.is_file():
            make_directory(path.parent)
            fresh = path.with_name(f".new.{path.name}")
            self.convert(self._source(spoken), self._reference(voice), os.fspath(fresh))
            if not fresh.is_file():
                raise DiarizeError(f"voice conversion wrote no {fresh}")
            seconds = AudioSource(os.fspath(fresh)).info().duration
            if abs(seconds - spoken.seconds) > _LENGTH_SLACK * (1 + spoken.seconds):
                raise DiarizeError(
                    f"voice conversion of {spoken.id}: {seconds:.2f} s instead of "
                    f"{spoken.seconds:.2f} s, so that its words cannot be found; use one that "
                    "keeps the timing"
                )
            os.replace(fresh, path)
        return os.fspath(path)

    def _reference(self, voice: str) -> str:
        """Return the longest utterance of ``voice`` as a file."""
        if voice not in self._references:
            own = [s for (_, v), pool in self.corpus.spoken.items() if v == voice for s in pool]
            self._references[voice] = self._source(max(own, key=lambda s: (s.seconds, s.id)))
        return self._references[voice]

    def _source(self, spoken: Spoken) -> str:
        """Return a WAV file that contains the utterance only."""
        if spoken.whole and spoken.file.endswith(".wav"):
            return spoken.file
        path = self.directory / "sources" / file_name(spoken.id, ".wav")
        if not path.is_file():
            make_directory(path.parent)
            first, last = round(spoken.start * _RATE), round(spoken.end * _RATE)
            wave = read_audio(spoken.file, first, None if spoken.whole else last, _RATE)
            write_wav(path, wave, _RATE)
        return os.fspath(path)
