"""diarize-posteriors: a data directory through the network, to posteriors on disk."""

import argparse
import sys
import time
from pathlib import Path

from diarize.bin.common import run_command

NAMES = ("posteriors", "activities")
# Of models with a language head only.
HEAD = "names"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="diarize-posteriors",
        description="Write mask probabilities (posteriors.scp, T x N) and query probabilities "
        "(activities.scp, N) of every recording; thresholds are applied later.",
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="directory for the posteriors")
    add("--model", type=Path, metavar="FILE", help="model file, or an experiment's directory")
    add("--data", type=Path, metavar="DIR", help="Kaldi data directory")
    add("--config", type=Path, metavar="YAML", help="inference configuration (section network)")
    add("--job", type=int, metavar="J", help="do part J (from 1) of --num-jobs; --merge ends it")
    add("--num-jobs", type=int, default=1, metavar="N", help="parts (default: %(default)s)")
    add("--merge", type=int, metavar="N", help="only join what N jobs have written")
    add("--allow-pipes", action="store_true", help="run the commands that wav.scp holds")
    add("--device", help="overrides network.device: auto, cpu, cuda, cuda:N")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.merge is None and not (args.model and args.data):
        parser.error("--model and --data are required (but for --merge)")
    if args.merge is not None and args.merge < 1:
        parser.error(f"--merge must be at least 1, not {args.merge}")
    if args.num_jobs < 1:
        parser.error(f"--num-jobs must be at least 1, not {args.num_jobs}")
    if args.job is None and args.num_jobs > 1:
        parser.error("--num-jobs needs --job")
    if args.job is not None and not 1 <= args.job <= args.num_jobs:
        parser.error(f"--job {args.job} is not between 1 and --num-jobs {args.num_jobs}")
    return run_command(lambda: compute(args) if args.merge is None else merge(args), parser.prog)


def merge(args: argparse.Namespace) -> None:
    """Join the lists of all jobs."""
    from diarize.io.ark import merge_scp

    with_head = (args.out / "labels").exists()
    for name in (*NAMES, HEAD) if with_head else NAMES:
        merge_scp(args.out, name, args.merge)


def compute(args: argparse.Namespace) -> None:
    """Run the network over this job's recordings."""
    from contextlib import ExitStack
    from dataclasses import replace

    from diarize.infer.config import load_inference_config
    from diarize.infer.loader import find_model, make_predictor
    from diarize.infer.stored import write_layout
    from diarize.io.ark import ArkWriter
    from diarize.io.audio import read_audio
    from diarize.io.datadir import DataDir
    from diarize.tasks.registry import load_task

    options = load_inference_config(args.config).network
    options = replace(options, device=args.device or options.device)
    task = load_task(find_model(args.model)[0])
    predictor = make_predictor(task.model, task.grid, options)
    data = DataDir.load(args.data, allow_pipes=args.allow_pipes)
    recordings = data.recordings[(args.job or 1) - 1 :: args.num_jobs]
    started = last = time.monotonic()
    seconds = 0.0
    rate = task.grid.sample_rate
    labels = getattr(task.model, "labels", [])
    with ExitStack() as stack:
        names = (*NAMES, HEAD) if labels else NAMES
        writers = [stack.enter_context(ArkWriter(args.out, n, args.job)) for n in names]
        write_layout(args.out, task.grid, task.name, labels)
        for count, recording in enumerate(recordings, 1):
            waveform = read_audio(data.source(recording), sample_rate=rate)
            posteriors = predictor(waveform, recording)
            arrays = (posteriors.masks, posteriors.activities, posteriors.names)
            for writer, array in zip(writers, arrays, strict=False):
                writer.write(recording, array)
            seconds += len(waveform) / rate
            now = time.monotonic()
            if now - last > 5 or count == len(recordings):
                last, spent = now, now - started
                left = spent / count * (len(recordings) - count)
                print(
                    f"{count}/{len(recordings)} recordings, {seconds / 3600:.2f} h of audio, "
                    f"{seconds / spent:.0f} x real time, {left:.0f} s left",
                    file=sys.stderr,
                )


if __name__ == "__main__":
    sys.exit(main())
