"""The subcommand ``store`` of diarize-simulate: decodes the audio of a manifest before training.

    diarize-simulate store --manifest FILE
    diarize-simulate store --manifest FILE --levels --job J --num-jobs N

A training decodes the audio itself if necessary.  For large corpora, start this command on several
machines, which share the decoding.  With ``--levels``, job J of N then computes the levels of its
share of the mixtures.  A killed job continues when it is run again.
"""

import argparse
import sys
from pathlib import Path

from diarize import checks
from diarize.bin.common import add_allow_pipes


def add_store(parser: argparse.ArgumentParser, prog: str) -> None:
    """Add the options of ``store`` and its function to ``parser``."""
    add = parser.add_argument
    add("--manifest", required=True, type=Path, metavar="FILE", help="manifest of the training")
    add("--store", type=Path, metavar="DIR", help="audio store (default: beside the manifest)")
    add("--levels", action="store_true", help="compute the levels of noise and reverberant speech")
    add("--job", type=checks.count, default=1, metavar="J",
        help="with --levels: number of this job, from 1 (default)")
    add("--num-jobs", type=checks.count, default=1, metavar="N",
        help="with --levels: number of jobs (default %(default)s)")
    add("--sample-rate", type=checks.sample_rate, default=16000, metavar="HZ",
        help="sampling rate (default %(default)s)")
    add_allow_pipes(parser)
    parser.set_defaults(run=lambda args: _run(args, prog))


def _run(args: argparse.Namespace, prog: str) -> None:
    import torch

    from diarize.simulate.disk import job_share
    from diarize.simulate.manifest import Manifest
    from diarize.simulate.mix.layout import open_layout
    from diarize.simulate.mix.mixer import Mixer
    from diarize.simulate.mix.store import StoreOptions

    folder = args.store or args.manifest.parent / "store"
    manifest = Manifest(args.manifest)
    share = job_share(len(manifest), args.job, args.num_jobs)
    options = StoreOptions(args.sample_rate, args.allow_pipes)
    layout, store = open_layout(manifest, folder, options)
    print(f"{prog}: {folder}: {len(store.entries)} files", file=sys.stderr)
    if args.levels:
        torch.set_num_threads(1)
        mixer = Mixer(layout, store)
        for index in share:
            mixer.gains(index)
        print(f"{prog}: computed the levels of {len(share)} mixtures", file=sys.stderr)
