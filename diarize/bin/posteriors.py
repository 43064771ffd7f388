"""diarize-posteriors: posteriors of a data directory, computed by the network, on disk."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from diarize import checks
from diarize.bin.common import add_allow_pipes, command_parser, run_command

if TYPE_CHECKING:
    from diarize.infer.batch import Failures
    from diarize.infer.finished import FinishedRecordings
    from diarize.infer.predictor import Predictor

PROG = "diarize-posteriors"

NAMES = ("posteriors", "activities")
# Only for models with a language head.
LANGUAGE_ID = "language_id"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(
        PROG,
        "Write mask probabilities (posteriors.scp, T x N) and query probabilities "
        "(activities.scp, N) of every recording; thresholds are applied later.",
    )
    add = parser.add_argument
    add("-o", "--out", type=Path, required=True, metavar="DIR", help="directory for the posteriors")
    add("--model", type=Path, metavar="FILE", help="model file, or an experiment's directory")
    add("--data", type=Path, metavar="DIR", help="Kaldi data directory")
    add("--config", type=Path, metavar="YAML", help="inference configuration (section network)")
    add("--job", type=checks.count, metavar="J",
        help="compute part J (from 1) of --num-jobs; --merge joins the parts")
    add("--num-jobs", type=checks.count, default=1, metavar="N",
        help="number of parts (default: %(default)s)")
    add("--merge", type=checks.count, metavar="N", help="join the output of N jobs")
    add_allow_pipes(parser)
    add("--device", metavar="NAME", help="overrides network.device: auto, cpu, cuda, cuda:N")
    add("--max-memory", type=checks.amount, metavar="GB", help="overrides network.max_memory")
    add("--window", type=checks.size, metavar="SECONDS",
        help="longer recordings are processed in windows of this length")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.merge is None and not (args.model and args.data):
        parser.error("--model and --data are required (but for --merge)")
    if args.job is None and args.num_jobs > 1:
        parser.error("--num-jobs needs --job")
    if args.job is not None and args.job > args.num_jobs:
        parser.error(f"--job {args.job} is above --num-jobs {args.num_jobs}")
    return run_command(lambda: compute(args) if args.merge is None else merge(args), parser.prog)


def merge(args: argparse.Namespace) -> None:
    """Join the lists of all jobs."""
    from diarize.io.ark import merge_scp

    with_head = (args.out / "labels").exists()
    for name in (*NAMES, LANGUAGE_ID) if with_head else NAMES:
        merge_scp(args.out, name, args.merge)


def compute(args: argparse.Namespace) -> int:
    """Run the network over this job's recordings; returns 1 if one of them has failed."""
    from dataclasses import asdict

    from diarize.infer.batch import Failures
    from diarize.infer.config import load_inference_config, override_network
    from diarize.infer.finished import FinishedRecordings
    from diarize.infer.loader import make_predictor
    from diarize.infer.pretrained import model_files
    from diarize.infer.stored import write_layout
    from diarize.io.formats import make_folder
    from diarize.kaldi.datadir import DataDir
    from diarize.tasks.registry import load_task

    data = DataDir.load(args.data, allow_pipes=args.allow_pipes)
    recordings = data.recordings[(args.job or 1) - 1 :: args.num_jobs]
    sources = {name: data.source(name) for name in recordings}
    failures = Failures(PROG, len(recordings))
    with model_files(args.model) as (weights, tuned):
        options = override_network(
            load_inference_config(args.config or tuned).network,
            args.device, args.max_memory, args.window,
        )  # fmt: skip
        task = load_task(weights)
        made_with = {"model": digest(weights), "network": asdict(options)}
    predictor = make_predictor(task.model, task.grid, options)
    make_folder(args.out)
    made_with["device"] = str(predictor.device)
    labels = getattr(task.model, "labels", [])
    names = [*NAMES, LANGUAGE_ID] if labels else list(NAMES)
    arks = [name if args.job is None else f"{name}.{args.job}" for name in names]
    finished = FinishedRecordings(args.out / f"{arks[0]}.finished", arks, made_with, sources)
    queries = predictor.sizes.queries - predictor.fixed_queries
    write_layout(args.out, task.grid, task.name, labels, args.model, queries)
    if finished.names:
        print(f"{len(finished.names)} of {len(recordings)} recordings are finished already",
              file=sys.stderr)
    write_arks(args, predictor, finished, failures)
    status = failures.report(f"{args.out}, where the next run finds them")
    if status == 0:
        finished.remove()
    print(predictor.memory_line(), file=sys.stderr)
    return status


def write_arks(
    args: argparse.Namespace,
    predictor: "Predictor",
    finished: "FinishedRecordings",
    failures: "Failures",
) -> None:
    """Compute the recordings that are not finished; the scp is written if none has failed."""
    from contextlib import ExitStack

    from diarize.infer.predictor import Posteriors
    from diarize.infer.progress import inference_progress
    from diarize.infer.run import predict_all
    from diarize.infer.threads import BackgroundWriter
    from diarize.io.ark import ArkWriter

    sources = {
        name: source for name, source in finished.sources.items() if name not in finished.names
    }
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                ArkWriter(args.out, ark.split(".")[0], args.job, finished.kept(ark))
            )
            for ark in finished.arks
        ]

        def write(item: tuple[str, Posteriors]) -> None:
            name, found = item
            writers[0].write_rows(name, found.masks, predictor.options.storage == "int16")
            arrays = (found.activities, found.language_probs)
            for writer, array in zip(writers[1:], arrays, strict=False):
                writer.write(name, array)
            finished.add(name, writers)

        progress = stack.enter_context(inference_progress(len(sources), PROG))
        predictor.on_pass = progress.start
        with BackgroundWriter(write, depth=1) as behind:
            for recording, found in predict_all(predictor, sources, failures.add):
                behind.put((recording.name, found))
                progress.add(recording.seconds)
        if failures.faults:
            for writer in writers:
                writer.withhold()


def digest(path: Path) -> str:
    """Return the BLAKE2 digest of a file."""
    import hashlib

    found = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            found.update(block)
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
