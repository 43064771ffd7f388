"""Units of text without blanks: characters joined to sentencepiece units."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.ctm import Word

_SPACE = "\u2581"  # a blank in sentencepiece


def train_units(sentences: Iterable[str], out: str | os.PathLike, size: int = 1000) -> int:
    """Train a unigram model on ``sentences`` and write it to ``out``; return its size.

    The vocabulary is smaller than ``size`` if the text has fewer units.
    Raises DiarizeError without text.
    """
    import sentencepiece

    from diarize.io.atomic import atomic_write

    lines = [line for line in sentences if line.strip()]
    if not lines:
        raise DiarizeError(f"{out}: no text to train units on")
    with atomic_write(out, "wb") as handle:
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=handle,
                vocab_size=size,
                hard_vocab_limit=False,
                character_coverage=1.0,
                minloglevel=2,
                num_threads=1,
            )
        except RuntimeError as err:
            reason = str(err).splitlines()[-1] if str(err) else "no reason given"
            raise DiarizeError(f"{out}: sentencepiece cannot be trained: {reason}") from err
    return load_units(out).get_piece_size()


def load_units(path: str | os.PathLike):
    """Return the sentencepiece model of ``path``; raises DiarizeError for any other file."""
    import sentencepiece

    if not Path(path).is_file():
        raise DiarizeError(f"{path}: no such sentencepiece model; train one, or correct the path")
    try:
        return sentencepiece.SentencePieceProcessor(model_file=os.fspath(path))
    except (RuntimeError, OSError) as err:
        raise DiarizeError(f"{path}: not a sentencepiece model") from err


def join_to_units(words: Sequence[Word], model) -> list[Word]:
    """Return the words joined to the units that ``model`` finds in their text, blanks left out.

    A word that lies across units goes with the unit that it begins in.
    """
    text = "".join(word.text for word in words)
    unit_of: list[int] = []
    for number, piece in enumerate(model.encode(text, out_type=str)):
        unit_of += [number] * len(piece.replace(_SPACE, ""))
    if len(unit_of) != len(text):  # normalisation has changed the text
        return list(words)
    out: list[Word] = []
    last = None
    place = 0
    for word in words:
        if out and unit_of[place] == last:
            before = out.pop()
            out.append(Word(before.start, word.end, before.text + word.text))
        else:
            out.append(word)
        last = unit_of[place]
        place += len(word.text)
    return out


def apply_units(
    words: Mapping[str, Sequence[Word]], languages: Mapping[str, str], models: Mapping[str, object]
) -> dict[str, Sequence[Word]]:
    """Return the words of each utterance, those in a language of ``models`` joined to units."""
    return {
        key: join_to_units(said, models[languages[key]]) if languages.get(key) in models else said
        for key, said in words.items()
    }
