"""The subcommands ``code-switch`` and ``units`` of diarize-simulate."""

import argparse
import logging
import os
import sys

from diarize import checks
from diarize.bin.common import add_allow_pipes, plain_text
from diarize.errors import DiarizeError


def add_code_switch(parser: argparse.ArgumentParser, prog: str) -> None:
    """Add the options of ``code-switch`` and its function to ``parser``."""
    add = parser.add_argument
    add("--data", required=True, metavar="DIR", help="utterances with utt2lang and utt2spk")
    add("-o", "--out", required=True, metavar="FILE", help="manifest to write: '<id> <json>' lines")
    add("--num-mixtures", required=True, type=checks.count, metavar="N", help="mixtures to draw")
    add("--num-languages", type=checks.count, default=2, metavar="N",
        help="languages of a mixture (default %(default)s)")
    add(
        "--languages",
        type=_groups,
        default=(),
        metavar="M:E,...",
        help="mixtures' languages, matrix first: hi:en,ta:en (default: all that the data allow)",
    )
    add("--seconds", type=checks.number_range(checks.finite, 0), default="10-20", metavar="S-S",
        help="length of a mixture (default %(default)s)")
    add(
        "--intra",
        type=checks.probability,
        default=0.5,
        metavar="P",
        help="share of sentences with a switch inside, which requires word times "
        "(default %(default)s)",
    )
    add("--ctm", metavar="FILE", help="word times (default: DIR/ctm if it exists)")
    add(
        "--units",
        action="append",
        default=[],
        metavar="LANG=MODEL",
        help="join words of LANG to units of a sentencepiece model; may be repeated",
    )
    add(
        "--voices",
        choices=("one", "differ"),
        default="one",
        help="one voice for all languages, or one each (naive concatenation); default %(default)s",
    )
    add(
        "--convert",
        metavar="PLUGIN",
        help="voice conversion if no speaker has all languages: a command with {wav} {reference} "
        "{out}, or a Python function module:name; its output is in OUT.converted",
    )
    add("--decoys", type=checks.probability, default=0.0, metavar="P",
        help="share of sentences with a cut without a switch (default %(default)s)")
    add("--noise-data", metavar="DIR", help="data directory of noises (default: none)")
    add("--rir-data", metavar="DIR", help="data directory of impulse responses (default: none)")
    add("--augment", type=checks.probability, default=0.5, metavar="P",
        help="probability of noise, and of a room (default %(default)s)")
    add("--snr", type=checks.number_range(checks.finite), default="5-20", metavar="DB-DB",
        help="SNR of the noise (default %(default)s)")
    add("--seed", type=checks.natural, default=0, metavar="N",
        help="random seed (default %(default)s)")
    add("--prefix", type=plain_text, default="cs_", metavar="TEXT",
        help="prefix of the mixtures\' ids (default %(default)s)")
    add_allow_pipes(parser)
    parser.set_defaults(run=lambda args: _run(args, prog))


def add_units(parser: argparse.ArgumentParser, prog: str) -> None:
    """Add the options of ``units`` and its function to ``parser``."""
    add = parser.add_argument
    add("--data", required=True, metavar="DIR", help="data directory with text and utt2lang")
    add("--language", required=True, metavar="LANG", help="language of the transcripts")
    add("-o", "--out", required=True, metavar="FILE", help="sentencepiece model to write")
    add("--size", type=checks.count, default=1000, metavar="N",
        help="largest size of the vocabulary (default %(default)s)")
    parser.set_defaults(run=lambda args: _run_units(args, prog))


def _run(args: argparse.Namespace, prog: str) -> None:
    from diarize.kaldi.datadir import DataDir
    from diarize.simulate.draw.code_switch import CodeSwitchOptions, make_code_switch_manifest
    from diarize.simulate.draw.common import audio_files
    from diarize.simulate.draw.conversion import Conversions, load_converter
    from diarize.simulate.draw.utterances import load_corpus
    from diarize.simulate.manifest import write_manifest

    logging.basicConfig(format=f"{prog}: %(levelname)s: %(message)s", level=logging.WARNING)
    options = CodeSwitchOptions(
        args.num_mixtures,
        args.num_languages,
        args.languages,
        args.seconds,
        intra=args.intra,
        decoys=args.decoys,
        voices=args.voices,
        augment=args.augment,
        snrs=args.snr,
        seed=args.seed,
        prefix=args.prefix,
    )
    data = DataDir.load(args.data, allow_pipes=args.allow_pipes)
    corpus = load_corpus(data, _words(args, data))
    conversions = None
    if args.convert:
        folder = f"{args.out}.converted"
        conversions = Conversions(corpus, folder, load_converter(args.convert))
    noises, rirs = audio_files(args.noise_data), audio_files(args.rir_data)
    mixtures = make_code_switch_manifest(corpus, options, noises, rirs, conversions)
    count = write_manifest(args.out, mixtures)
    what = f"{options.num_languages} languages" if options.num_languages > 1 else "one language"
    print(f"{prog}: {count} mixtures of {what} in {args.out}", file=sys.stderr)


def _words(args: argparse.Namespace, data) -> dict:
    """Return the word times of each utterance; {} without a CTM or if it is not required."""
    from diarize.kaldi.words import read_utterance_words
    from diarize.prepare.units import apply_units, load_units

    ctm = args.ctm or os.path.join(args.data, "ctm")
    if (args.intra == 0 and args.decoys == 0) or not (args.ctm or os.path.exists(ctm)):
        return {}
    words = read_utterance_words(ctm, data)
    models = {}
    for entry in args.units:
        language, _, path = entry.partition("=")
        if not path:
            raise DiarizeError(f"--units '{entry}': LANG=MODEL is needed")
        models[language] = load_units(path)
    return apply_units(words, data.utt2lang, models)


def _run_units(args: argparse.Namespace, prog: str) -> None:
    from diarize.kaldi.datadir import DataDir
    from diarize.prepare.units import train_units

    data = DataDir.load(args.data)
    lines = [data.text[u] for u, lang in data.utt2lang.items() if lang == args.language and u in
             data.text]
    if not lines:
        raise DiarizeError(f"{args.data}: no text of utterances in {args.language}")
    size = train_units(lines, args.out, args.size)
    print(f"{prog}: {size} units of {len(lines)} utterances in {args.out}", file=sys.stderr)


def _groups(text: str) -> tuple[tuple[str, ...], ...]:
    groups = tuple(tuple(group.split(":")) for group in text.split(","))
    if not all(all(group) for group in groups):
        raise argparse.ArgumentTypeError(f"{text!r}: languages are joined by ':', groups by ','")
    return groups
