"""Sentences in many languages: dates, amounts and lists from Babel (CLDR), or running text.

As in `voices.text`, nothing makes a speaker pause: no punctuation, and no sign that is read out.
"""

import datetime
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diarize.errors import DiarizeError


@dataclass(frozen=True)
class Language:
    """What a language is called by eSpeak NG, by Babel, and as a file of the UDHR."""

    espeak: str
    locale: str
    udhr: str
    spaced: bool = True


LANGUAGES = {
    "hi": Language("hi", "hi", "hin"),
    "bn": Language("bn", "bn", "ben"),
    "ta": Language("ta", "ta", "tam"),
    "te": Language("te", "te", ""),
    "kn": Language("kn", "kn", "kan"),
    "ml": Language("ml", "ml", "mal"),
    "mr": Language("mr", "mr", "mar"),
    "gu": Language("gu", "gu", "guj"),
    "pa": Language("pa", "pa", "pan"),
    "ur": Language("ur", "ur", "urd"),
    "sw": Language("sw", "sw", "swh"),
    "tn": Language("tn", "tn", "tsn"),
    "en": Language("en-us", "en", "eng"),
    "fr": Language("fr", "fr", "fra"),
    "de": Language("de", "de", "deu"),
    "es": Language("es", "es", "spa"),
    "it": Language("it", "it", "ita"),
    "pt": Language("pt", "pt", "por_BR"),
    "ru": Language("ru", "ru", "rus"),
    "pl": Language("pl", "pl", "pol"),
    "tr": Language("tr", "tr", "tur"),
    "cmn": Language("cmn", "zh", "cmn_hans", spaced=False),
}

_UNITS = (
    "length-kilometer length-meter mass-kilogram volume-liter duration-hour duration-minute "
    "duration-week duration-month duration-year length-centimeter temperature-celsius "
    "mass-gram area-hectare length-mile"
).split()
_MONEY = "USD EUR INR GBP JPY CNY BRL ZAR KES TRY RUB CHF CAD AUD MXN".split()
_FORMATS = ("full", "long")
_NUMERALS = "零一二三四五六七八九"
_MIN_NAMES = 40  # a language with fewer names has no lists of them


class Phrases:
    """Endless phrases in one language, from Babel alone, or half of them from running text.

    ``text`` is a file of running text.  Raises DiarizeError where Babel is missing or the
    language is not known.
    """

    def __init__(self, name: str, text: Path | None = None) -> None:
        try:
            from babel import Locale
        except ImportError as err:
            raise DiarizeError(
                "the mini recipe of languages needs Babel, which is not installed: run "
                "`pip install .[mini]` in the root of the repository"
            ) from err
        if name not in LANGUAGES:
            raise DiarizeError(f"no language {name}: there are {', '.join(LANGUAGES)}")
        self.language = LANGUAGES[name]
        self.locale = Locale.parse(self.language.locale)
        script = _script(self.locale.display_name or "")
        self.places = _names(self.locale.territories.values(), script)
        self.tongues = _names(self.locale.languages.values(), script)
        if len(self.places) < _MIN_NAMES:
            # Hardly translated: the English remainder is no text of the language.
            english = set(Locale.parse("en").languages.values())
            self.tongues = [tongue for tongue in self.tongues if tongue not in english]
        self.money = _names(self.locale.currencies.values(), script)
        self.clauses = _clauses(text, self.language.spaced) if text is not None else []
        self.kinds: list[Callable[[np.random.Generator], str]] = [self._date, self._date]
        for names in (self.places, self.tongues, self.money):
            if len(names) >= _MIN_NAMES:
                self.kinds.append(lambda rng, names=names: self._list(rng, names))
        if len(self.places) >= _MIN_NAMES:
            self.kinds += [self._amount, self._amount, self._price]
        else:
            self.kinds.append(lambda rng: self._list(rng, self.tongues + self.places))

    def sentence(self, rng: np.random.Generator, letters: int) -> str:
        """Return phrases of about ``letters`` characters together, without punctuation."""
        if self.clauses and rng.random() < 0.5:
            return self._running(rng, letters)
        space = " " if self.language.spaced else ""
        sentence = self._phrase(rng)
        while True:
            more = self._phrase(rng)
            if len(sentence) + len(more) / 2 > letters:
                return sentence
            sentence = f"{sentence}{space}{more}"

    def _phrase(self, rng: np.random.Generator) -> str:
        return self._clean(self.kinds[rng.integers(len(self.kinds))](rng))

    def _running(self, rng: np.random.Generator, letters: int) -> str:
        """Return words of a clause, from a random place on, and of those after it."""
        space = " " if self.language.spaced else ""
        at = int(rng.integers(len(self.clauses)))
        sentence = self.clauses[at]
        while len(sentence) < letters:
            at = (at + 1) % len(self.clauses)
            sentence = f"{sentence}{space}{self.clauses[at]}"
        if not space:
            return sentence[:letters]
        words = sentence.split()
        while len(words) > 2 and len(" ".join(words)) > letters:
            words.pop()
        return " ".join(words)

    def _date(self, rng: np.random.Generator) -> str:
        from babel.dates import format_date

        day = datetime.date(1900, 1, 1) + datetime.timedelta(days=int(rng.integers(50000)))
        style = _FORMATS[rng.integers(len(_FORMATS))]
        return format_date(day, style, locale=self.locale)

    def _amount(self, rng: np.random.Generator) -> str:
        from babel.units import format_unit

        number = int(rng.choice([rng.integers(2, 100), rng.integers(100, 10000)]))
        unit = _UNITS[rng.integers(len(_UNITS))]
        found = format_unit(number, unit, "long", locale=self.locale, format="0")
        if unit in found or "°" in found:  # not translated
            return self._list(rng, self.places)
        return found

    def _price(self, rng: np.random.Generator) -> str:
        from babel.numbers import get_currency_name

        number = int(rng.integers(2, 5000))
        code = _MONEY[rng.integers(len(_MONEY))]
        return f"{number} {get_currency_name(code, number, locale=self.locale)}"

    def _list(self, rng: np.random.Generator, names: list[str]) -> str:
        from babel.lists import format_list

        chosen = rng.choice(len(names), size=int(rng.integers(2, 5)), replace=False)
        return format_list([names[i] for i in chosen], locale=self.locale)

    def _clean(self, phrase: str) -> str:
        if self.language.spaced:
            return _plain(phrase)
        digits = re.sub(r"\d", lambda found: _NUMERALS[int(found[0])], phrase)
        return _plain(digits).replace(" ", "")


def _plain(text: str) -> str:
    """Return ``text`` with letters, marks and digits only, one blank between words."""
    kept = []
    for sign in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(sign)
        if kind[0] in "LM" or kind == "Nd" or sign in "'’":
            kept.append(sign)
        elif kind != "Cf":  # joiners and marks of direction are not heard, and not printable
            kept.append(" ")
    return " ".join("".join(kept).split())


def _script(text: str) -> str:
    """Return the first word of the Unicode names of most letters: LATIN, TAMIL, CJK."""
    words = [unicodedata.name(sign, "").split(" ")[0] for sign in text if sign.isalpha()]
    return max(set(words), key=words.count) if words else "LATIN"


def _names(values, script: str) -> list[str]:
    """Return the names that are letters of ``script`` alone, sorted."""
    out = set()
    for name in values:
        letters = [sign for sign in name if sign.isalpha()]
        plain = all(sign == " " or unicodedata.category(sign)[0] in "LM" for sign in name)
        if len(letters) > 2 and plain and _script("".join(letters)) == script:
            out.add(name)
    return sorted(out)


def _clauses(path: Path, spaced: bool) -> list[str]:
    """Return the phrases between punctuation in a file of running text, without digits."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise DiarizeError(f"{path}: cannot be read as text: {err}") from err
    pieces = re.split(r"[^\w\s'’\u200c\u200d\u0300-\u036f\u0900-\u0dff-]|\d", text)
    clauses = [_plain(piece) for piece in pieces]
    if not spaced:
        clauses = [clause.replace(" ", "") for clause in clauses]
    return [clause for clause in clauses if len(clause) >= (8 if spaced else 4)]
