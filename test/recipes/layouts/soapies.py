"""South African soap operas: WAV files of 32 kHz, an XML for each pair, the authors' lists."""

from collections.abc import Sequence
from pathlib import Path

from layouts.common import audio, text

LANGUAGE_OF = {"engzul": "zul", "engxho": "xho", "engtsn": "tsn", "engsot": "sot"}
UTTERANCES = 10
# English, a pause without words, the other language: milliseconds and words.
SAID = ((500, "you know"), (500, ""), (500, "yebo"))


def make(root: Path) -> dict[str, str]:
    """Ten utterances of 1.5 s for each pair, two to an episode; one of English is in two pairs."""
    for pair, language in LANGUAGE_OF.items():
        names = names_of(pair)
        for name in names:
            audio(root / f"data/audio/balanced_{pair}/{name}.wav", 1.5, rate=32000)
        xml(root, pair, names, language)
        lists = root / f"ids/cs_{pair}_balanced/transcriptions"
        text(lists / f"{pair}_dev_set_utterance_ids.txt", "".join(f"{n}\n" for n in names[:2]))
        text(lists / f"{pair}_tst_set_utterance_ids.txt", "".join(f"{n}\n" for n in names[2:4]))
    return {"SOAPIES": str(root)}


def names_of(pair: str) -> list[str]:
    """The utterances of a pair: the last of engxho is one of engzul's test set."""
    names = [f"{pair}_spk{number % 3}_{number:04d}" for number in range(UTTERANCES)]
    return [*names[:-1], names_of("engzul")[2]] if pair == "engxho" else names


def xml(
    root: Path, pair: str, names: Sequence[str], language: str, said=SAID, ending: str = "</corpus>"
) -> Path:
    """Write the XML of a pair; return it."""
    out = ['<?xml version="1.0" encoding="UTF-8"?>', "<corpus>"]
    for number in range(0, len(names), 2):
        out.append(f"<episode><ep_number>{number // 2 + 1}</ep_number>")
        out.append("<broadcast_date>2012-03-01</broadcast_date>")
        for name in names[number : number + 2]:
            out.append(f"<utterance><audio>{name}.wav</audio><speaker_id>{name}</speaker_id>")
            for place, (length, words) in enumerate(said):
                spoken = language if place == len(said) - 1 else "eng"
                out.append(
                    f"<utterance_segment><lang_id>{spoken}</lang_id><duration>{length}</duration>"
                    f"<transcription>{words}</transcription></utterance_segment>"
                )
            out.append("</utterance>")
        out.append("</episode>")
    return text(root / f"data/XML/balanced_{pair}.xml", "\n".join([*out, ending]) + "\n")


def a_file(root: Path) -> Path:
    """A file that must not be missing."""
    return root / f"data/audio/balanced_engtsn/{names_of('engtsn')[5]}.wav"


def duplicate(root: Path) -> str:
    """Add another recording of the same name; return its name."""
    name = names_of("engsot")[5]
    audio(root / f"data/audio/balanced_engsot/again/{name}.wav", 1.6, rate=32000)
    return name


def by_language(root: Path) -> None:
    """Move the files of each pair to a folder called by its language, as some unpack archives.

    Of the utterance that two pairs list, each folder has a copy.
    """
    folders = {"engzul": "isiZulu", "engxho": "isiXhosa", "engtsn": "Setswana", "engsot": "Sesotho"}
    for pair, folder in folders.items():
        place = root / folder
        place.mkdir()
        (root / f"data/audio/balanced_{pair}").rename(place / "audio")
        (root / f"data/XML/balanced_{pair}.xml").rename(place / f"balanced_{pair}.xml")
