"""The subcommand ``arena`` of diarize-simulate: what a training decodes and finds first, before it.

    diarize-simulate arena --manifest FILE --job J --num-jobs N     decodes a share of the audio
    diarize-simulate arena --manifest FILE --levels --job J --num-jobs N
                            then finds the levels of a share of the mixtures

A training does the same by itself; for large corpora this does it on many machines beforehand.
A job that was killed goes on with the same command.
"""

import argparse
import sys
from pathlib import Path


def add_arena(parser: argparse.ArgumentParser, prog: str) -> None:
    """Give ``parser`` the options of arena, and what runs it."""
    add = parser.add_argument
    add("--manifest", required=True, type=Path, metavar="FILE", help="as training is given it")
    add("--out", type=Path, metavar="DIR", help="the arena (default: arena beside the manifest)")
    add("--levels", action="store_true", help="find how loud noise and voices in rooms have to be")
    add("--verify", action="store_true", help="compare all checksums instead, and change nothing")
    add("--job", type=int, default=1, metavar="J", help="which job this is, from 1 (default)")
    add("--num-jobs", type=int, default=1, metavar="N", help="how many jobs there are, default 1")
    add("--sample-rate", type=int, default=16000, metavar="HZ", help="default 16000")
    add("--allow-pipes", action="store_true", help="run 'command |' entries in the shell")
    parser.set_defaults(run=lambda args: run_arena(args, prog))


def run_arena(args: argparse.Namespace, prog: str) -> int:
    """Return the exit status: 1 where checksums differ."""
    from diarize.errors import DiarizeError
    from diarize.simulate.manifest import Manifest
    from diarize.simulate.mix.layout import open_layout, sources_of
    from diarize.simulate.mix.store import StoreOptions, open_store, verify

    folder = args.out or args.manifest.parent / "arena"
    if not 1 <= args.job <= args.num_jobs:
        raise DiarizeError(f"--job {args.job} of {args.num_jobs}: jobs are numbered from 1")
    if args.verify:
        damaged = verify(folder)
        for number in damaged:
            print(f"{prog}: {folder}: shard {number} is damaged", file=sys.stderr)
        return int(bool(damaged))
    manifest = Manifest(args.manifest)
    if args.levels:
        options = StoreOptions(args.sample_rate, args.allow_pipes)
        return _find_levels(*open_layout(manifest, folder, options), args, prog)
    share = StoreOptions(args.sample_rate, args.allow_pipes, args.job - 1, args.num_jobs)
    if args.num_jobs > 1:
        arena = open_store(folder, sources_of(manifest, args.sample_rate), share)
    else:
        arena = open_layout(manifest, folder, share)[1]
    _say(prog, f"{folder}: {len(arena.entries)} files, {arena.num_bytes / 2**20:.0f} MiB so far")
    return 0


def _find_levels(plan, arena, args: argparse.Namespace, prog: str) -> int:
    import torch

    from diarize.simulate.mix.mixer import Mixer

    torch.set_num_threads(1)
    assembler = Mixer(plan, arena)
    first, last = (len(plan) * j // args.num_jobs for j in (args.job - 1, args.job))
    for index in range(first, last):
        assembler.gains(index)
    plan.flush()
    _say(prog, f"levels of {last - first} mixtures are known")
    return 0


def _say(prog: str, text: str) -> None:
    print(f"{prog}: {text}", file=sys.stderr)
