"""``diarize-datadir``: validate, fix, split, subset, copy, combine Kaldi data directories."""

import argparse
import os
import sys
from pathlib import Path

from diarize.bin.common import run_command
from diarize.errors import DiarizeError
from diarize.io.table import read_table, write_table
from diarize.kaldi import ops as dirops
from diarize.kaldi.tables import RawDir, spk2utt_of, utt2spk_of
from diarize.kaldi.validate import validate_data_dir

MOST_FAULTS = 100


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 if all went well and, for ``validate``, no fault was found."""
    args = _parser().parse_args(argv)
    return run_command(lambda: args.body(args), f"diarize-datadir {args.command}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="diarize-datadir", description=__doc__, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, body, help_text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        sub.set_defaults(body=body)
        return sub

    sub = command("validate", _validate, "name every fault of a data directory")
    for flag in ("feats", "text", "wav"):
        sub.add_argument(f"--no-{flag}", action="store_true", help="the file may be missing")
    sub.add_argument("--no-spk-sort", action="store_true", help="speakers need not be prefixes")
    sub.add_argument("--non-print", action="store_true", help="take unprintable text")
    sub.add_argument("dir")

    sub = command("fix", _fix, "keep what all files have, sorted; originals go to .backup")
    sub.add_argument("dir")

    sub = command("split", _split, "make dir/splitN/1..N, speakers kept together")
    sub.add_argument("--per-utt", action="store_true", help="make dir/splitNutt, by utterance")
    sub.add_argument("dir")
    sub.add_argument("parts", type=int)

    sub = command("subset", _subset, "a part of a directory: SRC N DST, or SRC DST with a list")
    how = sub.add_mutually_exclusive_group()
    for flag in ("first", "last", "shortest", "per-spk", "speakers"):
        how.add_argument(f"--{flag}", dest="how", action="store_const", const=flag)
    for flag in ("utt-list", "spk-list", "reco-list"):
        how.add_argument(f"--{flag}", metavar="FILE", help="keep what the first fields name")
    sub.add_argument("words", nargs="+", metavar="SRC [N] DST")

    sub = command("copy", _copy, "copy a directory, renaming utterances and speakers")
    for flag in ("utt-prefix", "utt-suffix", "spk-prefix", "spk-suffix"):
        sub.add_argument(f"--{flag}", default="", metavar="TEXT")
    sub.add_argument("source")
    sub.add_argument("target")

    sub = command("split-by-language", _by_language, "one directory per label of an RTTM")
    sub.add_argument("--shortest", type=float, default=0.0, metavar="SECONDS", help="default 0")
    sub.add_argument("--allow-pipes", action="store_true", help="where there is no reco2dur")
    sub.add_argument("source")
    sub.add_argument("rttm")
    sub.add_argument("target")

    sub = command("combine", _combine, "one directory of several: DST SRC1 SRC2 ...")
    sub.add_argument("target")
    sub.add_argument("sources", nargs="+")

    sub = command("reco2dur", _reco2dur, "write reco2dur from the audio's headers")
    sub.add_argument("--allow-pipes", action="store_true", help="run the commands of wav.scp")
    sub.add_argument("dir")

    sub = command("reference", _reference, "write rttm (from segments) and uem where missing")
    sub.add_argument("--labels", choices=("speaker", "language"), default="speaker")
    sub.add_argument("dir")

    for name, body in (("utt2spk-to-spk2utt", _spk2utt), ("spk2utt-to-utt2spk", _utt2spk)):
        sub = command(name, body, "turn the table round, to standard output")
        sub.add_argument("file", nargs="?", default="-", help="standard input if not given")
    return parser


def _validate(args: argparse.Namespace) -> int:
    faults = validate_data_dir(
        args.dir,
        feats=not args.no_feats,
        text=not args.no_text,
        wav=not args.no_wav,
        spk_sort=not args.no_spk_sort,
        non_print=args.non_print,
    )
    for fault in faults[:MOST_FAULTS]:
        print(fault, file=sys.stderr)
    if faults:
        print(f"{args.dir}: {len(faults)} fault{'s'[: len(faults) > 1]}", file=sys.stderr)
        return 1
    print(f"{args.dir}: validated", file=sys.stderr)
    return 0


def _fix(args: argparse.Namespace) -> None:
    print(dirops.fix_data_dir(args.dir), file=sys.stderr)


def _split(args: argparse.Namespace) -> None:
    if args.parts < 1:
        raise DiarizeError(f"the number of parts must be at least 1, not {args.parts}")
    dirops.split_data_dir(args.dir, args.parts, args.per_utt)


def _subset(args: argparse.Namespace) -> None:
    lists = (args.utt_list, args.spk_list, args.reco_list)
    with_list = any(lists)
    if len(args.words) != (2 if with_list else 3):
        raise DiarizeError("SRC N DST are needed, or SRC DST together with a list")
    raw = RawDir.read(args.words[0])
    if with_list:
        wanted = _first_fields(next(path for path in lists if path))
        utterances = [utt for utt in raw.utterances if _list_key(args, raw, utt) in wanted]
        known = {_list_key(args, raw, utt) for utt in raw.utterances}
        missing = sorted(wanted - known)
        if missing:
            print(
                f"{args.words[0]}: {len(missing)} names of the list are not there, "
                f"such as {missing[0]}",
                file=sys.stderr,
            )
        if not utterances:
            raise DiarizeError(f"{args.words[0]}: nothing of the list is there")
    else:
        if not args.words[1].isdigit():
            raise DiarizeError(f"a number of utterances is needed, not '{args.words[1]}'")
        utterances = dirops.choose_utterances(raw, int(args.words[1]), args.how or "spread")
    raw.restrict(utterances).write(args.words[-1])


def _list_key(args: argparse.Namespace, raw: RawDir, utterance: str) -> str:
    if args.spk_list:
        return raw.tables.get("utt2spk", {}).get(utterance, "")
    return raw.recording_of(utterance) if args.reco_list else utterance


def _first_fields(path: str) -> set[str]:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return {line.split()[0] for line in lines if line.strip()}


def _copy(args: argparse.Namespace) -> None:
    if os.path.realpath(args.source) == os.path.realpath(args.target):
        raise DiarizeError(f"source and target are the same directory: {args.source}")
    dirops.copy_data_dir(
        args.source,
        args.target,
        lambda utt: f"{args.utt_prefix}{utt}{args.utt_suffix}",
        lambda spk: f"{args.spk_prefix}{spk}{args.spk_suffix}",
    )


def _combine(args: argparse.Namespace) -> None:
    for notice in dirops.combine_data_dirs(args.target, args.sources):
        print(f"{args.target}: {notice}", file=sys.stderr)


def _by_language(args: argparse.Namespace) -> None:
    from diarize.kaldi.bylanguage import split_by_language
    from diarize.kaldi.datadir import DataDir

    data = DataDir.load(args.source, allow_pipes=args.allow_pipes)
    counts, notices = split_by_language(data, args.rttm, args.target, args.shortest)
    for notice in notices:
        print(f"{args.rttm}: {notice}", file=sys.stderr)
    for label, number in counts.items():
        print(f"{args.target}/{label}: {number} utterances", file=sys.stderr)


def _reco2dur(args: argparse.Namespace) -> None:
    from diarize.kaldi.datadir import DataDir

    target = Path(args.dir) / "reco2dur"
    wav_scp = Path(args.dir) / "wav.scp"
    if target.exists() and wav_scp.exists():
        fresh = target.stat().st_mtime_ns >= wav_scp.stat().st_mtime_ns
        if fresh and read_table(target, fields=2).keys() == read_table(wav_scp).keys():
            return
    # An old reco2dur is neither needed nor trusted here.
    data = DataDir(Path(args.dir), read_table(wav_scp), allow_pipes=args.allow_pipes)
    if not data.recordings:
        raise DiarizeError(f"{wav_scp}: an empty file; fill it or remove it")
    write_table(target, {key: f"{data.duration(key):.3f}" for key in data.recordings})


def _reference(args: argparse.Namespace) -> None:
    from diarize.io.rttm import write_rttm
    from diarize.io.uem import write_uem
    from diarize.kaldi.datadir import DataDir

    data = DataDir.load(args.dir, need_reference=True)
    if data.rttm is None:
        segments = data.reference(args.labels)
        write_rttm(data.path / "rttm", (s for found in segments.values() for s in found))
    if data.uem is None:
        write_uem(data.path / "uem", {r: [(0.0, data.duration(r))] for r in data.recordings})


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
