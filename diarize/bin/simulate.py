"""diarize-simulate: mixtures of speakers or of languages, as a manifest and on disk.

    diarize-simulate manifest --data DIR --num-speakers K --beta B --num-mixtures N --out FILE
    diarize-simulate statistics --rttm FILE --out STATS
    diarize-simulate conversations --data DIR --stats STATS --num-speakers K --num-mixtures N \
      --out FILE
    diarize-simulate code-switch --data DIR --num-mixtures N --out FILE
    diarize-simulate check --manifest FILE
    diarize-simulate store --manifest FILE [--levels] [--job J --num-jobs N]
    diarize-simulate write --manifest FILE --out DATADIR --job J --num-jobs N
    diarize-simulate finish --manifest FILE --out DATADIR --num-jobs N

Training reads the manifest; ``store`` decodes its audio beforehand.  ``write`` and ``finish`` make
a data directory, such as a test set.  ``write`` decodes into the same audio store, by default the
directory ``store`` beside the manifest, which its jobs share and which may be removed afterwards
(115 MB for an hour of source audio).  A killed job is run again with the same command.
"""

import argparse
import sys

from diarize import checks
from diarize.bin.common import add_allow_pipes, command_parser, plain_text, run_command
from diarize.bin.simulate_code_switch import add_code_switch, add_units
from diarize.bin.simulate_conversations import add_conversations, add_placing, add_statistics
from diarize.bin.simulate_store import add_store
from diarize.errors import DiarizeError

PROG = "diarize-simulate"


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command line ``argv``."""
    args = make_parser().parse_args(argv)
    return run_command(lambda: args.run(args), PROG)


def make_parser() -> argparse.ArgumentParser:
    parser = command_parser(PROG, __doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_manifest(commands.add_parser("manifest", help="draw mixtures (Fujita 2019, Alg. 1)"))
    add_statistics(commands.add_parser("statistics", help="estimate turn-taking statistics"), PROG)
    add_conversations(
        commands.add_parser("conversations", help="draw conversations (Landini 2022)"),
        PROG,
        _numbers,
    )
    add_code_switch(
        commands.add_parser("code-switch", help="draw mixtures of languages (UniCoM)"), PROG
    )
    add_units(commands.add_parser("units", help="train units for text without spaces"), PROG)
    _add_check(commands.add_parser("check", help="read a manifest and the headers of its files"))
    add_store(commands.add_parser("store", help="decode the audio of a manifest"), PROG)
    _add_write(commands.add_parser("write", help="write one job's share of the WAV files"))
    _add_finish(commands.add_parser("finish", help="make one data directory of all jobs"))
    return parser


def _add_manifest(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", required=True, metavar="DIR", help="data directory of single speakers")
    add("-o", "--out", required=True, metavar="FILE", help="manifest to write: '<id> <json>' lines")
    add("--num-mixtures", required=True, type=checks.count, metavar="N", help="mixtures to draw")
    add("--num-speakers", required=True, type=checks.count, metavar="K",
        help="speakers per mixture")
    add("--beta", required=True, type=checks.amount, metavar="SECONDS",
        help="mean silence before an utterance")
    add("--noise-data", metavar="DIR", help="data directory of noises (default: none)")
    add("--rir-data", metavar="DIR", help="data directory of impulse responses (default: none)")
    add("--rir-prob", type=checks.probability, default=0.5, metavar="P",
        help="probability that a speaker is in a room (default %(default)s)")
    add_placing(parser)
    add(
        "--snrs",
        type=_numbers,
        default="5,10,15,20",
        metavar="DB,DB,...",
        help="SNRs of the noise (default %(default)s)",
    )
    add("--min-utts", type=checks.count, default=10, metavar="N",
        help="fewest utterances of a speaker (default %(default)s)")
    add("--max-utts", type=checks.count, default=20, metavar="N",
        help="most utterances of a speaker (default %(default)s)")
    add("--seed", type=checks.natural, default=0, metavar="N",
        help="random seed (default %(default)s)")
    add("--prefix", type=plain_text, default="mix_", metavar="TEXT",
        help="prefix of the mixtures\' ids (default %(default)s)")
    parser.set_defaults(run=_run_manifest)


def _add_check(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--manifest", required=True, metavar="FILE",
        help="manifest of mixtures: '<id> <json>' lines")
    parser.set_defaults(run=_run_check)


def _add_write(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_common(parser)
    add("--job", type=checks.count, default=1, metavar="J",
        help="number of this job, from 1 (default)")
    add("--sample-rate", type=checks.sample_rate, default=16000, metavar="HZ",
        help="sampling rate (default %(default)s)")
    add("--max-duration", type=checks.size, metavar="SECONDS", help="cut mixtures to this length")
    add("--store", metavar="DIR", help="audio store (default: store beside the manifest)")
    add_allow_pipes(parser)
    parser.set_defaults(run=_run_write)


def _add_finish(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    parser.set_defaults(run=_run_finish)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--manifest", required=True, metavar="FILE", help="manifest of mixtures")
    add("-o", "--out", required=True, metavar="DIR", help="data directory to make")
    add("--num-jobs", type=checks.count, default=1, metavar="N",
        help="number of jobs (default %(default)s)")


def _run_manifest(args: argparse.Namespace) -> None:
    from diarize.kaldi.datadir import DataDir
    from diarize.simulate.draw.common import audio_files, persons_of, rooms_of
    from diarize.simulate.draw.mixtures import MixtureOptions, make_manifest
    from diarize.simulate.manifest import write_manifest

    options = MixtureOptions(
        args.num_mixtures,
        args.num_speakers,
        args.beta,
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
    rooms = rooms_of(args.rir_data) if args.one_room else []
    mixtures = make_manifest(DataDir.load(args.data), options, noises, rirs, rooms)
    count = write_manifest(args.out, mixtures)
    print(
        f"{PROG}: {count} mixtures of {args.num_speakers} speakers in {args.out}", file=sys.stderr
    )


def _run_check(args: argparse.Namespace) -> None:
    from diarize.io.audio import AudioSource
    from diarize.simulate.manifest import Manifest
    from diarize.simulate.mix.layout import sources_of

    manifest = Manifest(args.manifest)
    sources = {source.name for source in sources_of(manifest)}
    for name in sorted(sources):
        source = AudioSource(name)
        try:
            if not source.is_pipe:
                source.info()
        except DiarizeError as err:
            raise DiarizeError(f"{args.manifest}: {err}") from err
    print(f"{PROG}: {args.manifest}: {len(manifest)} mixtures of {len(sources)} files",
          file=sys.stderr)


def _run_write(args: argparse.Namespace) -> None:
    import torch

    from diarize.progress import audio_progress
    from diarize.simulate.disk import WriteOptions, job_share, write_job
    from diarize.simulate.manifest import Manifest

    torch.set_num_threads(1)  # the jobs are the parallelism
    options = WriteOptions(args.sample_rate, args.max_duration, args.allow_pipes, args.store)
    manifest = Manifest(args.manifest)
    share = len(job_share(len(manifest), args.job, args.num_jobs))
    with audio_progress(share, "mixtures", PROG) as progress:
        write_job(manifest, args.out, args.job, args.num_jobs, options, progress)


def _run_finish(args: argparse.Namespace) -> None:
    from diarize.simulate.disk import finish
    from diarize.simulate.manifest import Manifest

    count = finish(Manifest(args.manifest), args.out, args.num_jobs)
    print(f"{PROG}: {count} mixtures in {args.out}", file=sys.stderr)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(checks.finite(field) for field in text.replace(":", ",").split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers with commas") from None


if __name__ == "__main__":
    sys.exit(main())
