"""FLEURS: a folder of audio and a table without a head for each language and set."""

from pathlib import Path

from layouts.common import audio, text

SENTENCES = {"train": range(1, 9), "dev": range(9, 12), "test": range(12, 16)}
LANGUAGES = ("en_us", "hi_in", "cmn_hans_cn")
SECONDS = 1.2


def make(root: Path) -> dict[str, str]:
    """Every sentence by a woman and a man in three languages, one of them without blanks."""
    for place, language in enumerate(LANGUAGES, 1):
        for part, sentences in SENTENCES.items():
            lines = []
            for sentence in sentences:
                for gender in ("FEMALE", "MALE"):
                    name = f"{1000 * place + 10 * sentence + (gender == 'MALE')}.wav"
                    audio(root / language / part / name, SECONDS)
                    lines.append(line(sentence, name, words(language, sentence), gender))
            text(root / language / f"{part}.tsv", "".join(lines))
    return {"FLEURS": str(root)}


def words(language: str, sentence: int) -> str:
    """The normalised transcription of a sentence."""
    if language.startswith("cmn"):
        return "你好我是中国人"[: 3 + sentence % 4]
    return f"{language[:2]} sentence number {sentence}"


def line(sentence: int, name: str, said: str, gender: str, samples: int = 19200) -> str:
    """One line of a table."""
    return f"{sentence}\t{name}\tRaw: {said}.\t{said}\t{' '.join(said)}\t{samples}\t{gender}\n"


def a_file(root: Path) -> Path:
    """A file that must not be missing."""
    return root / "hi_in/dev/2101.wav"


def duplicate(root: Path) -> str:
    """Name a file twice, with another transcription; return it."""
    table = root / "hi_in/train.tsv"
    table.write_text(table.read_text() + line(3, "2010.wav", "something else", "MALE"))
    return "2010.wav"
