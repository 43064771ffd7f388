"""diarize-datadir: validate, complete, fix, split, subset, copy, combine Kaldi data directories."""

import argparse
import os
import sys
from pathlib import Path

from diarize import checks
from diarize.bin.common import add_allow_pipes, command_parser, plain_text, run_command
from diarize.errors import DiarizeError
from diarize.io.numbers import parse_integer
from diarize.io.table import line_numbers, read_table
from diarize.kaldi import ops
from diarize.kaldi.schema import SPEAKER, UTTERANCE, spk2utt_of, utt2spk_of
from diarize.kaldi.tables import DirTables
from diarize.kaldi.validate import PURPOSES, validate_data_dir

MOST_FAULTS = 100
_AFFIXES = ("utt-prefix", "utt-suffix", "spk-prefix", "spk-suffix")
_TEXT_OPTIONS = {f"--{name}" for name in (*_AFFIXES, "validate-opts")}


def main(argv: list[str] | None = None) -> int:
    """Return the exit status: 0 on success, which for ``validate`` requires no fault."""
    words = list(sys.argv[1:] if argv is None else argv)
    # A value may begin with a dash (--utt-suffix -sp1.1, --validate-opts --non-print).
    for index in range(len(words) - 2, -1, -1):
        if words[index] in _TEXT_OPTIONS:
            words[index : index + 2] = [f"{words[index]}={words[index + 1]}"]
    args = make_parser().parse_args(words)
    return run_command(lambda: args.body(args), f"diarize-datadir {args.command}")


def make_parser() -> argparse.ArgumentParser:
    parser = command_parser("diarize-datadir", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, body, help_text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_text, description=help_text)
        sub.set_defaults(body=body)
        return sub

    sub = command("validate", _validate, "name every fault of a data directory")
    sub.add_argument("--for", dest="purpose", choices=tuple(PURPOSES), default="train",
                     help="purpose: train: wav.scp and a reference (default); "
                     "infer: wav.scp; kaldi: what Kaldi's validate_data_dir.sh requires")
    for flag in ("feats", "text", "wav"):
        sub.add_argument(f"--no-{flag}", action="store_true", help="the file may be missing")
    sub.add_argument("--no-spk-sort", action="store_true", help="speakers need not be prefixes")
    sub.add_argument("--non-print", action="store_true", help="accept unprintable text")
    sub.add_argument("dir")

    sub = command("fix", _fix, "keep what all files have, sorted; originals go to .backup")
    sub.add_argument("--utt-extra-files", default="", metavar="NAMES",
                     help="further tables of utterances")
    sub.add_argument("--spk-extra-files", default="", metavar="NAMES",
                     help="further tables of speakers")
    sub.add_argument("dir")

    sub = command("split", _split, "make dir/splitN/1..N, speakers kept together")
    sub.add_argument("--per-utt", action="store_true", help="make dir/splitNutt, by utterance")
    sub.add_argument("dir")
    sub.add_argument("parts", type=checks.count)

    sub = command("subset", _subset, "a part of a directory: SRC N DST, or SRC DST with a list")
    how = sub.add_mutually_exclusive_group()
    for flag, text in (
        ("first", "keep the first N utterances"),
        ("last", "keep the last N utterances"),
        ("shortest", "keep the N shortest utterances"),
        ("per-spk", "keep N utterances of each speaker"),
        ("speakers", "keep whole speakers, as far as N utterances allow"),
    ):
        how.add_argument(f"--{flag}", dest="how", action="store_const", const=flag, help=text)
    for flag in ("utt-list", "spk-list", "reco-list"):
        how.add_argument(f"--{flag}", metavar="FILE", help="keep the ids in its first fields")
    sub.add_argument("words", nargs="+", metavar="SRC [N] DST")

    sub = command("copy", _copy, "copy a directory, renaming utterances and speakers")
    for flag in _AFFIXES:
        what = "utterance ids" if flag.startswith("utt") else "speaker ids"
        sub.add_argument(f"--{flag}", type=plain_text, default="", metavar="TEXT",
                         help=f"{flag.partition('-')[2]} of the {what} of the copy")
    sub.add_argument("--validate-opts", metavar="OPTIONS",
                     help="validate the copy with these options of 'validate'")
    sub.add_argument("--extra-files", default="", metavar="NAMES",
                     help="further tables to copy; each must exist")
    sub.add_argument("source")
    sub.add_argument("target")

    sub = command("split-by-language", _by_language, "one directory per label of an RTTM")
    sub.add_argument("--min-duration", type=checks.amount, default=0.0, metavar="SECONDS",
                     help="drop shorter turns (default %(default)s)")
    add_allow_pipes(sub)
    sub.add_argument("source")
    sub.add_argument("rttm")
    sub.add_argument("target")

    sub = command("combine", _combine, "one directory of several: DST SRC1 SRC2 ...")
    sub.add_argument("--extra-files", default="", metavar="NAMES",
                     help="further tables to combine; each source must have them")
    sub.add_argument("--skip-fix", choices=("true", "false"), default="false",
                     help="no effect: sources whose tables disagree are refused in any case")
    sub.add_argument("target")
    sub.add_argument("sources", nargs="+")

    sub = command("reco2dur", _reco2dur, "write reco2dur from the audio's headers")
    add_allow_pipes(sub)
    sub.add_argument("dir")

    sub = command("reference", _reference, "write rttm, segments and uem where they are missing")
    sub.add_argument("--task", choices=("speaker", "language"), default="speaker",
                     help="labels of the reference (default %(default)s)")
    sub.add_argument("dir")

    sub = command("prepare", _prepare, "write the files that are missing, and validate: stage 2")
    sub.add_argument("--reference", action="store_true", help="rttm and uem are required")
    sub.add_argument("--task", choices=("speaker", "language"), default="speaker",
                     help="labels of the reference (default %(default)s)")
    add_allow_pipes(sub)
    sub.add_argument("--skip-bad", type=checks.natural, default=0, metavar="N",
                     help="remove recordings whose audio cannot be read, if there are at most N; "
                     "the original files go to .backup (default: 0)")
    sub.add_argument("dir")

    for name, body in (("utt2spk-to-spk2utt", _spk2utt), ("spk2utt-to-utt2spk", _utt2spk)):
        sub = command(name, body, "turn the table round, to standard output")
        sub.add_argument("file", nargs="?", default="-", help="reference (default: standard input)")
    return parser


def _validate(args: argparse.Namespace) -> int:
    changes = {
        name: False for name in ("feats", "text", "wav", "spk_sort") if getattr(args, f"no_{name}")
    }
    if args.non_print:
        changes["non_print"] = True
    return _print_faults(
        args.dir,
        validate_data_dir(args.dir, args.purpose, **changes),
    )


def _print_faults(path: str, faults: list[str]) -> int:
    for fault in faults[:MOST_FAULTS]:
        print(fault, file=sys.stderr)
    if faults:
        print(f"{path}: {len(faults)} fault{'s'[: len(faults) > 1]}", file=sys.stderr)
        return 1
    print(f"{path}: validated", file=sys.stderr)
    return 0


def _fix(args: argparse.Namespace) -> None:
    kinds = dict.fromkeys(args.utt_extra_files.split(), UTTERANCE)
    kinds |= dict.fromkeys(args.spk_extra_files.split(), SPEAKER)
    print(ops.fix_data_dir(args.dir, kinds), file=sys.stderr)


def _split(args: argparse.Namespace) -> None:
    ops.split_data_dir(args.dir, args.parts, args.per_utt)


def _subset(args: argparse.Namespace) -> None:
    lists = (args.utt_list, args.spk_list, args.reco_list)
    with_list = any(lists)
    if len(args.words) != (2 if with_list else 3):
        raise DiarizeError("SRC N DST are needed, or SRC DST together with a list")
    raw = ops.read_consistent(args.words[0])
    if with_list:
        ids = {utt: _list_key(args, raw, utt) for utt in raw.utterances}
        wanted = set(line_numbers(next(path for path in lists if path)))
        missing = sorted(wanted.difference(ids.values()))
        if missing:
            print(
                f"{args.words[0]}: {len(missing)} ids of the list are not in it, such as "
                f"{missing[0]}",
                file=sys.stderr,
            )
        utterances = [utt for utt, key in ids.items() if key in wanted]
        if not utterances:
            raise DiarizeError(f"{args.words[0]}: it has none of the ids of the list")
    else:
        count = parse_integer(args.words[1])
        if count is None:
            raise DiarizeError(f"a number of utterances is needed, not '{args.words[1]}'")
        utterances = ops.choose_utterances(raw, count, args.how or "spread")
    raw.restrict(utterances).write(args.words[-1])
    if raw.unknown:
        print(f"{args.words[-1]}: {ops.left_out(raw)}", file=sys.stderr)


def _list_key(args: argparse.Namespace, raw: DirTables, utterance: str) -> str:
    if args.spk_list:
        return raw.tables.get("utt2spk", {}).get(utterance, "")
    return raw.recording_of(utterance) if args.reco_list else utterance


def _copy(args: argparse.Namespace) -> int:
    if os.path.realpath(args.source) == os.path.realpath(args.target):
        raise DiarizeError(f"source and target are the same directory: {args.source}")
    for name in args.extra_files.split():
        if not (Path(args.source) / name).is_file():
            raise DiarizeError(f"{args.source}/{name}: no such file (--extra-files)")
    notices = ops.copy_data_dir(
        args.source,
        args.target,
        lambda utt: f"{args.utt_prefix}{utt}{args.utt_suffix}",
        lambda spk: f"{args.spk_prefix}{spk}{args.spk_suffix}",
    )
    for notice in notices:
        print(f"{args.target}: {notice}", file=sys.stderr)
    if args.validate_opts is None:
        return 0
    options = args.validate_opts.split()
    for name in ("feats.scp", "text"):
        if not (Path(args.source) / name).exists():
            options.append(f"--no-{name.split('.')[0]}")
    if "--for" not in options:
        options += ["--for", "kaldi"]
    return _validate(make_parser().parse_args(["validate", *options, args.target]))


def _combine(args: argparse.Namespace) -> None:
    for notice in ops.combine_data_dirs(args.target, args.sources, args.extra_files.split()):
        print(f"{args.target}: {notice}", file=sys.stderr)


def _by_language(args: argparse.Namespace) -> None:
    from diarize.kaldi.bylanguage import split_by_language
    from diarize.kaldi.datadir import DataDir

    data = DataDir.load(args.source, allow_pipes=args.allow_pipes)
    counts, notices = split_by_language(data, args.rttm, args.target, args.min_duration)
    for notice in notices:
        print(f"{args.rttm}: {notice}", file=sys.stderr)
    for label, number in counts.items():
        print(f"{args.target}/{label}: {number} utterances", file=sys.stderr)


def _reco2dur(args: argparse.Namespace) -> None:
    from diarize.kaldi.complete import write_reco2dur

    write_reco2dur(args.dir, args.allow_pipes)


def _reference(args: argparse.Namespace) -> None:
    from diarize.kaldi.complete import write_reference, write_segments

    for notice in [*write_reference(args.dir, args.task), *write_segments(args.dir, args.task)]:
        print(notice, file=sys.stderr)


def _prepare(args: argparse.Namespace) -> int:
    from diarize.kaldi.complete import write_reco2dur, write_segments, write_spk2utt

    if not (Path(args.dir) / "wav.scp").exists():
        raise DiarizeError(f"{args.dir}/wav.scp is missing; stage 1 (local/data.sh) must write it")
    for fault in write_reco2dur(args.dir, args.allow_pipes, args.skip_bad).values():
        print(f"REMOVED from {args.dir} (original files: .backup): {fault}", file=sys.stderr)
    write_spk2utt(args.dir)
    if args.reference:
        _reference(args)
    else:
        for notice in write_segments(args.dir, args.task):
            print(notice, file=sys.stderr)
    faults = validate_data_dir(args.dir, "train" if args.reference else "infer", speakers=True)
    return _print_faults(args.dir, faults)


def _table_of(path: str) -> dict[str, str]:
    return read_table("/dev/stdin" if path == "-" else path)


def _spk2utt(args: argparse.Namespace) -> None:
    for speaker, utterances in spk2utt_of(_table_of(args.file)).items():
        print(speaker, utterances)


def _utt2spk(args: argparse.Namespace) -> None:
    for utterance, speaker in utt2spk_of(_table_of(args.file)).items():
        print(utterance, speaker)


if __name__ == "__main__":
    sys.exit(main())
