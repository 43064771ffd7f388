"""English sentences without end, of a length to order: templates over word lists.

Nothing in a sentence makes a speaker pause (no commas, no digits), since an utterance is
labelled as speech from its first sample to its last.
"""

import re
import zlib

import numpy as np

# One class of words to a paragraph; an underscore is a blank.
_LEXICON = """
name: Anna Boris Clara David Emma Frank Grace Henry Irene Jacob Karen Louis Maria Nathan Olivia
  Peter Rachel Samuel Teresa Victor Wendy Yusuf Zelda Arthur Bianca Cedric Daphne Edgar
role: sailor teacher farmer doctor painter baker singer lawyer driver gardener pilot nurse tailor
  fisherman student carpenter librarian judge engineer dancer shepherd captain neighbour cook
  beekeeper postman plumber astronomer
adj: old young quiet cheerful tired famous clever lonely patient stubborn friendly careful tall
  gentle nervous brave lazy polite curious honest
col: red green yellow purple grey brown orange golden silver broken heavy tiny wooden wet dusty
  shiny empty narrow woollen expensive
thing: basket letter violin ladder bicycle lantern blanket kettle mirror umbrella hammer carpet
  window suitcase engine puppet bottle pillow telescope drawer candle piano jacket barrel notebook
  teapot wheel scarf chimney ticket
goods: apples onions pencils carrots oranges stamps flowers cabbages eggs cherries potatoes books
  shoes tomatoes coins buttons ropes walnuts feathers maps biscuits mushrooms
past: found painted carried repaired lost admired sold borrowed forgot cleaned moved dropped
  covered polished washed hid opened watched measured followed
place: market harbour village station bridge river garden castle mountain forest library bakery
  museum theatre lighthouse island airport stable valley cathedral hospital school orchard tavern
  factory
prep: near behind outside beside close_to in_front_of far_from
month: January February March April May June July August September October November December
day: Monday Tuesday Wednesday Thursday Friday Saturday Sunday
num: two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
  seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
units: miles metres kilograms pounds litres gallons yards dollars hours minutes weeks
weather: rain snow thunder fog sunshine wind frost hail storms clouds
adverb: slowly quickly quietly happily carefully suddenly proudly often never rarely
"""

# Each is a clause; {word class} is filled with one word of the class.
_CLAUSES = (
    "the {adj} {role} {past} a {col} {thing}",
    "{name} {past} {num} {col} {goods}",
    "we expect {weather} over the {place} on {day}",
    "my {adj} {role} lives {prep} the {place}",
    "there are {num} {goods} {prep} the {col} {thing}",
    "{name} {adverb} {past} the {thing} of the {role}",
    "it is about {num} {units} from the {place} to the {place}",
    "nobody {prep} the {place} {past} the {col} {goods}",
    "could you bring {num} {goods} and a {col} {thing}",
    "the {place} opens at {num} on {day}",
    "{name} was born in {month} {prep} a {adj} {place}",
    "every {role} in the {place} knows {name} and {name}",
    "please put the {col} {thing} {prep} the {place}",
    "why has {name} {past} the {adj} {role}",
    "this {thing} costs {num} {units} in {month}",
)
_TAILS = (
    "{prep} the {place}",
    "before {month}",
    "on {day} morning",
    "with {num} {goods}",
    "because of the {weather}",
    "after {num} {units}",
    "for the {adj} {role}",
    "while {name} was asleep",
    "and {name} {past} the {goods}",
    "without a {col} {thing}",
    "although the {role} was {adj}",
)


def english_sentence(rng: np.random.Generator, letters: int) -> str:
    """Return a sentence of about ``letters`` characters: a clause, then tails until long enough.

    A clause has 25 characters at least; the rest comes within about 10 of the wish.
    """
    sentence = _fill(rng, _CLAUSES)
    while True:
        tail = _fill(rng, _TAILS)
        if len(sentence) + len(tail) / 2 > letters:
            return sentence[0].upper() + sentence[1:]
        sentence = f"{sentence} {tail}"


def share_of(sentence: str, parts: int) -> int:
    """Return which of ``parts`` equal shares of all sentences this one belongs to, from 0.

    A checksum of the text decides, so that sets drawn from different shares never have a
    sentence in common, in whatever order they are made.
    """
    return zlib.crc32(sentence.lower().encode("utf-8")) % parts


def _read_lexicon(text: str) -> dict[str, list[str]]:
    words: dict[str, list[str]] = {}
    for word in text.split():
        if word.endswith(":"):
            members = words.setdefault(word[:-1], [])
        else:
            members.append(word.replace("_", " "))
    return words


def _fill(rng: np.random.Generator, patterns: tuple[str, ...]) -> str:
    words = []
    for slot in patterns[rng.integers(len(patterns))].split():
        choices = _WORDS[slot.strip("{}")] if slot.startswith("{") else [slot]
        words.append(choices[rng.integers(len(choices))] if len(choices) > 1 else slot)
    return re.sub(r"\ba (?=[aeiou])", "an ", " ".join(words))


_WORDS = _read_lexicon(_LEXICON)
