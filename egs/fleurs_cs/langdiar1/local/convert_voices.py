"""Conversion of utterances to a few voices, each of which then speaks all languages of a set.

Every sentence (utt2sentence) goes to one of --num-voices voices, in all languages: the parallel
sentences that the simulation mixes are in one voice, and each utterance is converted once.  A
voice is the voice of the longest utterance of its part of the sentences in --reference-language.
Without --convert nothing is converted: the utterances are linked to as they are, and the voice
changes with the language, so that a model learns speakers; a warning is printed.
"""

import argparse
import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from diarize import checks
from diarize.bin.common import run_command
from diarize.errors import DiarizeError
from diarize.io.audio import AudioSource
from diarize.io.table import read_table, write_table
from diarize.kaldi.datadir import DataDir
from diarize.simulate.draw.conversion import Conversions, load_converter
from diarize.simulate.draw.utterances import Corpus, Spoken, load_corpus

_KEPT = ("text", "utt2lang", "utt2sentence", "ctm")


def convert(args: argparse.Namespace) -> None:
    """Write the data directory ``args.out``."""
    data = DataDir.load(args.data)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.convert:
        wav_scp, utt2spk = converted_tables(data, args)
    else:
        print(
            f"WARNING: {args.out}: no voice conversion (--convert): the voice changes with the "
            "language, and a model may learn speakers instead of languages",
            file=sys.stderr,
        )
        wav_scp, utt2spk = data.wav_scp, data.utt2spk
    write_table(args.out / "wav.scp", wav_scp)
    write_table(args.out / "utt2spk", utt2spk)
    for name in _KEPT:
        target = args.out / name
        if (data.path / name).is_file():
            shutil.copyfile(data.path / name, target)
        else:
            target.unlink(missing_ok=True)
    lengths = {key: AudioSource(path).info().duration for key, path in wav_scp.items()}
    for name in ("reco2dur", "utt2dur"):
        write_table(args.out / name, {key: f"{value:.3f}" for key, value in lengths.items()})
    print(f"{args.out}: {len(wav_scp)} utterances, {len(set(utt2spk.values()))} voices",
          file=sys.stderr)  # fmt: skip


def converted_tables(
    data: DataDir, args: argparse.Namespace
) -> tuple[dict[str, str], dict[str, str]]:
    """Return wav.scp and utt2spk of the converted utterances, made unless they exist."""
    sentences = read_table(data.path / "utt2sentence", fields=2)
    corpus = load_corpus(data)
    everything = [spoken for pool in corpus.spoken.values() for spoken in pool]
    voice_of = {key: voice_number(value, args.num_voices) for key, value in sentences.items()}
    targets: dict[int, Spoken] = {}
    for spoken in everything:
        if args.reference_language in ("", spoken.language):
            best = targets.setdefault(voice_of[spoken.id], spoken)
            if (spoken.seconds, spoken.id) > (best.seconds, best.id):
                targets[voice_of[spoken.id]] = spoken
    lacking = set(voice_of.values()) - targets.keys()
    if lacking:
        raise DiarizeError(
            f"{data.path}: no utterance in '{args.reference_language}' for {len(lacking)} of "
            f"{args.num_voices} voices; use fewer, or another --reference-language"
        )
    references = {f"v{number:03d}": spoken for number, spoken in targets.items()}
    made = Conversions(
        Corpus(data.path, {("", name): [spoken] for name, spoken in references.items()}),
        args.wav, load_converter(args.convert),
    )  # fmt: skip
    wav_scp, utt2spk = {}, {}
    for done, spoken in enumerate(sorted(everything, key=lambda one: one.id), 1):
        voice = f"v{voice_of[spoken.id]:03d}"
        wav_scp[spoken.id] = os.path.abspath(made.file(spoken, voice))
        utt2spk[spoken.id] = voice
        if done % 1000 == 0:
            print(f"{done} of {len(everything)} utterances converted", file=sys.stderr)
    return wav_scp, utt2spk


def voice_number(sentence: str, voices: int) -> int:
    """Return the voice of a sentence, 0 to ``voices`` - 1, by a checksum of its id."""
    return int(hashlib.sha256(sentence.encode()).hexdigest(), 16) % voices


def main(argv: Iterable[str] | None = None) -> int:
    """Return the exit status of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="utterances with utt2lang and utt2sentence")
    parser.add_argument("out", type=Path, help="data directory to write")
    parser.add_argument("--convert", default="", metavar="PLUGIN",
                        help="a command with {wav} {reference} {out}, or module:function")
    parser.add_argument("--num-voices", type=checks.count, default=20, metavar="N")
    parser.add_argument("--reference-language", default="en", metavar="LANG",
                        help="language of the speakers whose voices are used; '': any "
                        "(default %(default)s)")
    parser.add_argument("--wav", type=Path, required=True, help="directory of the converted audio")
    args = parser.parse_args(argv)
    return run_command(lambda: convert(args), "convert_voices.py")


if __name__ == "__main__":
    sys.exit(main())
