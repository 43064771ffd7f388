"""Code-switched speech from monolingual utterances: the language changes and the voice does not.

After UniCoM, the simulation that SAGE-LD (arXiv 2510.00582, section 3.2) is pretrained on:

* between sentences (inter): whole utterances of two or more languages in turn;
* within a sentence (intra): words of a sentence in the first language, the matrix language, are
  replaced by words of an embedded language.  These are taken from the parallel sentence if it
  is known, and have the same part of speech if tags are known; otherwise they are taken from
  about the same position in another sentence.

A mixture has one voice, that of a speaker of all its languages.  If there is no such speaker,
voices are converted; without conversion, the sentences keep their own voices, with a warning.
Every utterance is band-passed (80 to 7000 Hz) and scaled to one level.  Noise and reverberation
are added to the mixture as a whole.

A mixture is a manifest entry like that of speaker mixtures (:mod:`diarize.simulate.draw.mixtures`)
with one row of utterances whose labels are languages (:mod:`diarize.simulate.manifest`).
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import combinations, cycle
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from diarize.checks import at_least, fraction, non_negative, one_of, require
from diarize.errors import DiarizeError
from diarize.simulate.draw.common import DECIMALS, DrawOptions
from diarize.simulate.draw.splice import Fragment, mixed_sentence
from diarize.simulate.draw.utterances import Corpus, Spoken

if TYPE_CHECKING:
    from diarize.simulate.draw.conversion import Conversions

_LOG = logging.getLogger(__name__)
VOICES = ("one", "differ")
_MIN_LEVEL = -70.0  # dB: an utterance below is not amplified, which would only raise its noise


@dataclass(frozen=True)
class CodeSwitchOptions(DrawOptions):
    """Options of the code-switching simulation.

    ``groups`` are the languages of a mixture, the matrix language first; () means all groups of
    ``num_languages`` languages that the data allow.  ``seconds`` (low, high): range of the
    length.  ``intra``: probability of a switch within a sentence; ``embedded``: share of the
    other sentences that are not in the matrix language; ``pause``: mean silence between
    sentences.  ``voices``: "one" for a single voice, "differ" for one voice per language
    (naive concatenation), or, with one language, for two voices in turn.  ``decoys``: share of
    sentences with words of the same language spliced in, so that a splice does not imply a
    switch.  ``augment``: probability of noise, and that of reverberation; ``snrs`` (low, high)
    in dB.  ``level``: dB re full scale, None: unchanged.
    """

    num_languages: int = 2
    groups: tuple[tuple[str, ...], ...] = ()
    seconds: tuple[float, float] = (10.0, 20.0)
    intra: float = 0.5
    embedded: float = 0.4
    decoys: float = 0.0
    pause: float = 0.3
    voices: str = "one"
    augment: float = 0.5
    snrs: tuple[float, float] = (5.0, 20.0)
    band: tuple[float, float] | None = (80.0, 7000.0)
    level: float | None = -27.0
    fade: float = 0.005
    _: KW_ONLY
    prefix: str = "cs_"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, num_languages=self.num_languages)
        groups = all(len(g) == self.num_languages == len(set(g)) for g in self.groups)
        allowed = f"groups of {self.num_languages} different languages"
        require(groups, "groups", self.groups, allowed)
        low, high = self.seconds
        require(0 < low <= high < math.inf, "seconds", self.seconds, "a range (low, high) above 0")
        fraction(intra=self.intra, embedded=self.embedded)
        fraction(decoys=self.decoys, augment=self.augment)
        non_negative(pause=self.pause)
        one_of(VOICES, voices=self.voices)
        require(self.snrs[0] <= self.snrs[1], "snrs", self.snrs, "a range (low, high) in dB")


class Stream(NamedTuple):
    """Utterances of a mixture's language that one voice speaks."""

    language: str
    voice: str
    pool: list[Spoken]


def make_code_switch_manifest(
    corpus: Corpus,
    options: CodeSwitchOptions,
    noises: Sequence[str] = (),
    rirs: Sequence[str] = (),
    conversions: "Conversions | None" = None,
) -> Iterator[tuple[str, dict]]:
    """Yield (id, mixture) for each mixture, ids ``<prefix>0000001``... in C order.

    Mixture i depends on ``options.seed`` and i alone; the groups of languages are used in turn.
    ``noises`` and ``rirs`` are audio files, which do not change the speech.  ``conversions``
    converts utterances to one voice if no speaker has all languages of a mixture; without it,
    the utterances keep their voices, with one warning.  Raises DiarizeError for languages that
    the data lack, and for missing word times if switches within sentences are requested.
    """
    groups = _groups(corpus, options, conversions)
    intra = max(options.intra, options.decoys)
    if intra > 0 and not any(s.words for pool in corpus.spoken.values() for s in pool):
        raise DiarizeError(
            f"{corpus.path}: to mix within sentences the times of words must be known: give a "
            "CTM (diarize-align makes one), or an intra-sentential share of 0"
        )
    return _draw_all(_Drawer(corpus, options, groups, conversions), noises, rirs)


def _groups(
    corpus: Corpus, options: CodeSwitchOptions, conversions: object
) -> list[tuple[str, ...]]:
    if options.groups:
        for group in options.groups:
            corpus.check_languages(group)
        groups = list(options.groups)
    else:
        # Each matrix language with every set of embedded ones.
        groups = [
            (matrix, *rest)
            for matrix in corpus.languages
            for rest in combinations(corpus.languages, options.num_languages - 1)
            if matrix not in rest
        ]
        if options.voices == "one" and conversions is None:
            groups = [g for g in groups if corpus.voices_of_all(g)] or groups
    if not groups:
        raise DiarizeError(
            f"{corpus.path}: {len(corpus.languages)} languages, but {options.num_languages} are "
            "wanted in each mixture"
        )
    return groups


def _draw_all(
    drawer: "_Drawer", noises: Sequence[str], rirs: Sequence[str]
) -> Iterator[tuple[str, dict]]:
    options = drawer.options
    for index, name, rng in options.mixtures():
        row = drawer.row(drawer.groups[index % len(drawer.groups)], rng)
        coins, picks = rng.random(2), rng.random(2)
        snr = round(float(rng.uniform(*options.snrs)), 2)
        noisy = bool(noises) and coins[0] < options.augment
        wet = bool(rirs) and coins[1] < options.augment
        row["rir"] = rirs[int(picks[1] * len(rirs))] if wet else None
        mixture = {
            "speakers": [row],
            "noise": noises[int(picks[0] * len(noises))] if noisy else None,
            "snr": snr if noisy else None,
            "recid": name,
        }
        if options.band is not None:
            mixture["band"] = list(options.band)
        if options.fade:
            mixture["fade"] = options.fade
        yield name, mixture


class _Drawer:
    """Draws the rows of mixtures from a corpus."""

    def __init__(
        self,
        corpus: Corpus,
        options: CodeSwitchOptions,
        groups: list[tuple[str, ...]],
        conversions: "Conversions | None",
    ) -> None:
        self.corpus, self.options, self.groups = corpus, options, groups
        self.conversions = conversions
        self._warned: set[tuple[str, ...]] = set()

    def row(self, group: tuple[str, ...], rng: np.random.Generator) -> dict:
        """Return the speaker entry of one mixture, without a room."""
        streams, target = self._streams(group, rng)
        sentences = self._sentences(streams, rng)
        utts, intervals = [], []
        for number, fragments in enumerate(sentences):
            silence = round(float(rng.exponential(self.options.pause)), DECIMALS)
            for place, fragment in enumerate(fragments):
                utts.append(self._utterance(fragment, number, streams[0].voice, target))
                intervals.append(0.0 if place else silence)
        return {"spkid": streams[0].voice, "rir": None, "utts": utts, "intervals": intervals}

    def _streams(
        self, group: tuple[str, ...], rng: np.random.Generator
    ) -> tuple[list[Stream], str | None]:
        """Return the streams, matrix language first, and the target voice of conversion or None."""
        corpus, spoken = self.corpus, self.corpus.spoken
        if self.options.voices == "one":
            common = corpus.voices_of_all(group)
            if common:
                voice = common[rng.integers(len(common))]
                return [Stream(lang, voice, spoken[lang, voice]) for lang in group], None
            self._warn(group)
        names = group if len(group) > 1 else group * 2
        chosen: list[str] = []
        for language in names:
            voices = [v for v in corpus.voices(language) if v not in chosen]
            if not voices and self.options.voices == "differ":
                raise DiarizeError(
                    f"{corpus.path}: too few voices in {':'.join(group)} for them to differ"
                )
            voices = voices or corpus.voices(language)
            chosen.append(voices[rng.integers(len(voices))])
        streams = [
            Stream(lang, v, spoken[lang, v]) for lang, v in zip(names, chosen, strict=True)
        ]
        converting = self.options.voices == "one" and self.conversions is not None
        return streams, chosen[0] if converting else None

    def _warn(self, group: tuple[str, ...]) -> None:
        if self.conversions is None and group not in self._warned:
            self._warned.add(group)
            _LOG.warning(
                "%s: no speaker of %s: voices will change with the language, from which a model "
                "learns speakers; give --convert, or speakers of both",
                self.corpus.path,
                " and ".join(group),
            )

    def _sentences(self, streams: list[Stream], rng: np.random.Generator) -> list[list[Fragment]]:
        """Return sentences of about the drawn length; each stream is in at least one of them."""
        options = self.options
        target = float(rng.uniform(*options.seconds))
        pools = [[s.pool[i] for i in rng.permutation(len(s.pool))] for s in streams]
        decks = [cycle(pool) for pool in pools]
        missing = set(range(len(streams)))
        out: list[list[Fragment]] = []
        total = 0.0
        while True:
            number = 0
            if len(streams) > 1 and rng.random() < options.embedded:
                number = int(rng.integers(1, len(streams)))
            mixed, other = rng.random() < options.intra, int(rng.integers(1, max(2, len(streams))))
            decoy = rng.random() < options.decoys
            typical = float(np.mean([s.seconds for s in streams[number].pool[:20]]))
            if missing and target - total < typical * (len(missing) + 0.5):
                number = min(missing)
                mixed = mixed and number > 0
                other = number if number else other
            fragments: list[Fragment] = []
            if mixed and len(streams) > 1:
                fragments = mixed_sentence(next(decks[0]), pools[other], rng)
            elif decoy:
                fragments = mixed_sentence(next(decks[number]), pools[number], rng)
            if not fragments:
                fragments = [Fragment(next(decks[number]))]
            length = sum(fragment.seconds for fragment in fragments) + options.pause
            said = {(f.of.language, f.of.voice) for f in fragments}
            heard = {k for k, s in enumerate(streams) if (s.language, s.voice) in said}
            if out and not missing and total + length / 2 > target:
                return out
            out.append(fragments)
            missing -= heard
            total += length

    def _utterance(
        self, fragment: Fragment, number: int, first_voice: str, target: str | None
    ) -> dict:
        """Return the entry of ``fragment`` in the manifest, said by ``target`` if given."""
        spoken = fragment.of
        file, offset, whole, voice = spoken.file, spoken.start, spoken.whole, spoken.voice
        if target is not None and voice != target:
            file, offset, whole, voice = self.conversions.file(spoken, target), 0.0, True, target
        utt: dict = {"file": file}
        if not (whole and fragment.whole):
            end = spoken.seconds if fragment.end is None else fragment.end
            utt["start"] = round(offset + fragment.start, 4)
            utt["end"] = round(offset + end, 4)
        utt["label"] = spoken.language
        if voice != first_voice:
            utt["speaker"] = voice
        utt["sentence"] = number
        if self.options.level is not None:
            level = self.corpus.level(spoken, self.options.band)
            if level > _MIN_LEVEL:
                utt["gain"] = round(self.options.level - level, 2)
        return utt
