"""diarize-infer: RTTM of audio files."""

import argparse
import sys
from pathlib import Path

from diarize.bin.common import command_parser, run_command


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser("diarize-infer", "Print who spoke when in an audio file, as RTTM.")
    add = parser.add_argument
    add("audio", nargs="+", help="audio files (WAV, FLAC, OGG, SPHERE; any rate and channels)")
    add("--model", type=Path, required=True, metavar="PATH",
        help="experiment or packed model (directory), or a model file")
    add("--config", type=Path, metavar="YAML",
        help="thresholds (default: best.yaml beside the model)")
    add("--out", type=Path, metavar="FILE", help="write the RTTM there instead of printing it")
    add("--device", help="auto, cpu, cuda, cuda:N (default: auto)")
    add("--max-memory", type=float, metavar="GB", help="memory that may be used (default: 4)")
    add("--window", type=float, metavar="S", help="what is longer is taken in windows of S s")
    add("--query-threshold", type=float, metavar="P",
        help="activity above which a query is a speaker")
    add("--mask-threshold", type=float, metavar="P", help="mask probability of an active frame")
    add("--num-speakers", type=int, metavar="N", help="exactly so many speakers")
    add("--min-speakers", type=int, metavar="N",
        help="at least so many, regardless of --query-threshold")
    add("--max-speakers", type=int, metavar="N", help="at most so many")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    parser = make_parser()
    args = parser.parse_args(argv)
    return run_command(lambda: infer(args), parser.prog)


def infer(args: argparse.Namespace) -> None:
    """Diarize the files of ``args`` one after the other."""
    from diarize.errors import DiarizeError
    from diarize.infer.config import load_inference_config, override, override_network
    from diarize.infer.loader import find_model, make_predictor
    from diarize.infer.predictor import Posteriors
    from diarize.infer.run import predict_all
    from diarize.infer.threads import BackgroundWriter
    from diarize.io.audio import AudioSource
    from diarize.io.rttm import write_rttm
    from diarize.tasks.registry import load_task

    model, tuned = find_model(args.model)
    config = load_inference_config(args.config or tuned)
    names = ("query_threshold", "mask_threshold", "num_speakers", "min_speakers", "max_speakers")
    options = override(config.postprocess, {name: getattr(args, name) for name in names})
    network = override_network(config.network, args.device, args.max_memory, args.window)
    recordings: dict[str, str] = {}
    for path in args.audio:
        name = Path(path).stem.replace(" ", "_")
        if name in recordings:
            raise DiarizeError(
                f"{path} and {recordings[name]} would both be recording '{name}'; rename one"
            )
        recordings[name] = path
    task = load_task(model)
    predictor = make_predictor(task.model, task.grid, network)
    sources = {name: AudioSource(path) for name, path in recordings.items()}
    by_name = {}

    def segment(item: tuple[str, Posteriors]) -> None:
        name, found = item
        labels = getattr(task.model, "labels", [])
        by_name[name] = task.postprocessor.process(
            found.masks, found.activities, name, options, task.grid,
            (found.language_probs, labels) if labels else None,
        )
        if not by_name[name]:
            print(f"{recordings[name]}: no speech found", file=sys.stderr)

    with BackgroundWriter(segment, depth=1) as behind:
        for recording, found in predict_all(predictor, sources):
            behind.put((recording.name, found))
    segments = [one for name in recordings for one in by_name[name]]
    write_rttm(args.out or sys.stdout, segments)


if __name__ == "__main__":
    sys.exit(main())
