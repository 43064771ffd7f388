"""The subcommands ``statistics`` and ``conversations`` of diarize-simulate."""

import argparse
import sys
from collections.abc import Callable

from diarize import checks
from diarize.bin.common import plain_text


def add_statistics(parser: argparse.ArgumentParser, prog: str) -> None:
    """Add the options of ``statistics`` and its function to ``parser``."""
    add = parser.add_argument
    add("--rttm", required=True, nargs="+", metavar="FILE", help="reference of conversations")
    add("-o", "--out", required=True, metavar="FILE", help="statistics to write, as JSON")
    add("--num-speakers", type=checks.number_range(checks.integer, 1), default=(1, 10**6),
        metavar="K[-K]",
        help="use only recordings with this number of speakers (default: all)")  # fmt: skip
    parser.set_defaults(run=lambda args: _run_statistics(args, prog))


def add_conversations(
    parser: argparse.ArgumentParser, prog: str, numbers: Callable[[str], tuple[float, ...]]
) -> None:
    """Add the options of ``conversations`` and its function; ``numbers`` parses --snrs."""
    add = parser.add_argument
    add("--data", required=True, metavar="DIR", help="data directory of single speakers")
    add("--stats", required=True, metavar="FILE",
        help="turn-taking statistics of diarize-simulate statistics")
    add("-o", "--out", required=True, metavar="FILE", help="manifest to write: '<id> <json>' lines")
    add("--num-mixtures", required=True, type=checks.count, metavar="N", help="mixtures to draw")
    add("--num-speakers", required=True, type=checks.number_range(checks.integer, 1),
        metavar="K[-K]",
        help="speakers of a conversation; of a range each number in turn")  # fmt: skip
    add("--noise-data", metavar="DIR", help="data directory of noises (default: none)")
    add("--rir-data", metavar="DIR", help="data directory of impulse responses (default: none)")
    add("--rir-prob", type=checks.probability, default=0.5, metavar="P",
        help="probability that a speaker is in a room (default %(default)s)")
    add_placing(parser)
    add("--snrs", type=numbers, default="5,10,15,20", metavar="DB,DB,...",
        help="SNRs of the noise (default %(default)s)")  # fmt: skip
    add("--min-utts", type=checks.count, default=10, metavar="N",
        help="fewest turns of a speaker (default %(default)s)")
    add("--max-utts", type=checks.count, default=20, metavar="N",
        help="most turns of a speaker (default %(default)s)")
    add("--seed", type=checks.natural, default=0, metavar="N",
        help="random seed (default %(default)s)")
    add("--prefix", type=plain_text, default="conv_", metavar="TEXT",
        help="prefix of the mixtures\' ids (default %(default)s)")
    parser.set_defaults(run=lambda args: _run_conversations(args, prog))


def add_placing(parser: argparse.ArgumentParser) -> None:
    """Add the options of persons, rooms and levels that mixtures and conversations share."""
    add = parser.add_argument
    add("--spk2person", metavar="FILE",
        help="table: speaker, person; no two voices of one person in a mixture (default: none)")
    add("--one-room", type=checks.probability, default=0.0, metavar="P",
        help="probability that all speakers are in one room, which is the speaker in utt2spk of "
        "--rir-data (default %(default)s)")  # fmt: skip
    add("--level-spread", type=checks.amount, default=0.0, metavar="DB",
        help="standard deviation of the speakers' levels (default %(default)s)")


def _run_statistics(args: argparse.Namespace, prog: str) -> None:
    from diarize.io.rttm import read_rttm
    from diarize.simulate.draw.turn_taking import learn_statistics, write_statistics

    segments = (segment for path in args.rttm for segment in read_rttm(path))
    found = learn_statistics(segments, args.num_speakers, " ".join(args.rttm))
    write_statistics(args.out, found)
    print(
        f"{prog}: {args.out}: {found.recordings} recordings, {found.turns} turns; hold "
        f"probability {found.turn_hold:.3f}, overlap probability "
        f"{found.overlap:.3f}",
        file=sys.stderr,
    )


def _run_conversations(args: argparse.Namespace, prog: str) -> None:
    from diarize.kaldi.datadir import DataDir
    from diarize.simulate.draw.common import audio_files, persons_of, rooms_of
    from diarize.simulate.draw.conversations import ConversationOptions, make_conversations
    from diarize.simulate.draw.turn_taking import read_statistics
    from diarize.simulate.manifest import write_manifest

    options = ConversationOptions(
        args.num_mixtures,
        args.num_speakers,
        min_utts=args.min_utts,
        max_utts=args.max_utts,
        rir_prob=args.rir_prob,
        snrs=args.snrs,
        one_room=args.one_room,
        level_spread=args.level_spread,
        persons=persons_of(args.spk2person),
        seed=args.seed,
        prefix=args.prefix,
    )
    noises, rirs = audio_files(args.noise_data), audio_files(args.rir_data)
    statistics = read_statistics(args.stats)
    rooms = rooms_of(args.rir_data) if args.one_room else []
    data = DataDir.load(args.data)
    mixtures = make_conversations(data, statistics, options, noises, rirs, rooms)
    count = write_manifest(args.out, mixtures)
    low, high = options.speakers
    what = f"{low}" if low == high else f"{low} to {high}"
    print(f"{prog}: {count} conversations of {what} speakers in {args.out}", file=sys.stderr)
