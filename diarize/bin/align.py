"""diarize-align: word times (CTM) of the utterances of a data directory, by forced alignment.

    diarize-align --data DIR --cache DIR --out DIR/ctm

The model is torchaudio's MMS_FA, whose alphabet is Latin.  Other scripts require ``--spelling``: a
table like text, each word romanised (by uroman, for example).  A word that cannot be spelled is
aligned as any sound, which is inaccurate.
"""

import argparse
import sys

from diarize.bin.common import add_allow_pipes, command_parser, run_command
from diarize.errors import DiarizeError

PROG = "diarize-align"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = command_parser(PROG, __doc__)
    add = out.add_argument
    add("--data", required=True, metavar="DIR", help="data directory with text")
    add("-o", "--out", required=True, metavar="FILE",
        help="CTM to write; times are within utterances")
    add("--cache", required=True, metavar="DIR", help="directory of the model's weights")
    add("--download", action="store_true", help="download the weights if they are missing")
    add("--spelling", metavar="FILE",
        help="romanised text, with the same number of words in each utterance")
    add("--characters", action="store_true", help="every character is a word (unspaced scripts)")
    add("--device", default="cpu", metavar="NAME",
        help="cpu, cuda or cuda:N (default %(default)s)")
    add_allow_pipes(out)
    return out


def align(args: argparse.Namespace) -> None:
    """Align all utterances and write the CTM."""
    import torch

    from diarize.io.audio import read_audio
    from diarize.io.ctm import write_ctm
    from diarize.kaldi.datadir import DataDir
    from diarize.prepare.align import SAMPLE_RATE, STAR, MmsAligner, align_words, spell

    data = DataDir.load(args.data, allow_pipes=args.allow_pipes)
    words, spelled = transcripts(data, args.spelling, args.characters)
    aligner = MmsAligner(args.cache, args.download, args.device)
    star = list(aligner.labels).index(STAR)
    times, unspelled, total = {}, 0, 0
    for utt in data.utterances:
        if not words[utt.id]:
            continue
        first = round(utt.start * SAMPLE_RATE)
        last = None if utt.end is None else round(utt.end * SAMPLE_RATE)
        wave = read_audio(data.source(utt.recording), first, last, SAMPLE_RATE, args.allow_pipes)
        spellings = [spell(word, aligner.labels) for word in spelled[utt.id]]
        total += len(spellings)
        unspelled += sum(spelling == [star] for spelling in spellings)
        try:
            log_probs = aligner(torch.from_numpy(wave))
            times[utt.id] = align_words(
                log_probs, words[utt.id], spellings, len(wave) / SAMPLE_RATE
            )
        except DiarizeError as err:
            raise DiarizeError(f"{args.data}: utterance {utt.id}: {err}") from err
    write_ctm(args.out, times)
    print(f"{PROG}: {total} words of {len(times)} utterances in {args.out}", file=sys.stderr)
    if unspelled:
        print(
            f"{PROG}: warning: {unspelled} words have letters unknown to the model and were "
            "aligned as any sound; add --spelling",
            file=sys.stderr,
        )


def transcripts(data, spelling: str | None, characters: bool) -> tuple[dict, dict]:
    """Return the words of each utterance, and the spelling of each word.

    Raises DiarizeError if there is no text, or words and spellings do not match.
    """
    from diarize.io.table import line_of, read_table

    if not data.text:
        raise DiarizeError(f"{data.path}: no text to align")
    split = (lambda text: list("".join(text.split()))) if characters else str.split
    words = {key: split(text) for key, text in data.text.items()}
    if spelling is None:
        return words, words
    table = read_table(spelling)
    for key, own in words.items():
        number = len(table.get(key, "").split())
        if number != len(own):
            raise DiarizeError(
                f"{line_of(spelling, key)}: {key}: {number} words, but {len(own)} in the text"
            )
    return words, {key: table[key].split() if key in table else [] for key in words}


def main(argv: list[str] | None = None) -> int:
    """Run diarize-align; returns 0, or 1 for an error."""
    args = make_parser().parse_args(argv)
    return run_command(lambda: align(args), PROG)


if __name__ == "__main__":
    raise SystemExit(main())
