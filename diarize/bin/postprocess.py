"""diarize-postprocess: RTTM and Kaldi files from stored posteriors; grid search of thresholds.

    diarize-postprocess tune --posteriors exp/m/infer_dev --ref data/dev/rttm \\
        --uem data/dev/uem --config conf/infer.yaml --out exp/m/best.yaml
    diarize-postprocess apply --posteriors exp/m/infer_test --config exp/m/best.yaml \\
        --uem data/test/uem --out exp/m/infer_test
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from diarize.bin.common import command_parser, run_command
from diarize.config import dump_yaml, write_yaml
from diarize.errors import DiarizeError
from diarize.infer.config import InferenceConfig, load_inference_config, override
from diarize.infer.postprocess import PostprocessOptions, PostProcessor
from diarize.infer.stored import PosteriorDir, read_counts, some_names, write_kaldi_files
from diarize.infer.tune import (
    GRID_NAMES,
    TunePoint,
    TuneRecording,
    best_point,
    grid_options,
    tune_postprocessing,
    values_at_edge,
)
from diarize.io.rttm import read_rttm
from diarize.io.uem import read_uem
from diarize.score.hypotheses import score_hypotheses
from diarize.segments import Regions, Segment, by_recording, clip_segments
from diarize.tasks.postprocessors import postprocessor

PROG = "diarize-postprocess"


def run_tune(args: argparse.Namespace) -> int:
    """Search the grid and write ``args.out``; returns 0."""
    config = load_inference_config(args.config)
    source = PosteriorDir(args.posteriors)
    reference = by_recording(read_rttm(args.ref))
    regions = read_uem(args.uem)
    _check_same_recordings(source, reference, regions, args)
    base, grid = config.postprocess, config.tune
    processor = postprocessor(source.task, f"{args.posteriors}/task")
    counts = {}
    if args.reco2num_spk:
        counts = _oracle_counts(args.reco2num_spk, source, processor.num_fixed)
    points = grid_options(base, grid, vary_query_threshold=not counts)
    recordings = (
        TuneRecording(r, *source.load(r), reference.get(r, []), regions[r], counts.get(r))
        for r in source.recordings
    )
    results = tune_postprocessing(recordings, points, source.grid, _score, processor)
    best = best_point(results, base)
    _write_best(args, config, results, best)
    edge = [
        n for n in values_at_edge(best.options, grid) if len({getattr(p, n) for p in points}) > 1
    ]
    if edge:
        print(
            f"{PROG}: notice: best {', '.join(edge)} at the end of the values tried; "
            "more values under tune: may do better",
            file=sys.stderr,
        )
    chosen = "  ".join(f"{name} {getattr(best.options, name):g}" for name in GRID_NAMES)
    print(f"{chosen}  DER {100 * best.der:.2f} %  ({best.recordings} recordings, {args.out})")
    return 0


def run_apply(args: argparse.Namespace) -> int:
    """Write RTTM and Kaldi files into ``args.out``; returns 0."""
    config = load_inference_config(args.config)
    options = override(config.postprocess, {name: getattr(args, name) for name in _OVERRIDES})
    source = PosteriorDir(args.posteriors)
    regions = read_uem(args.uem) if args.uem else None
    if regions is not None:
        missing = [r for r in source.recordings if r not in regions]
        if missing:
            raise DiarizeError(f"{args.uem}: no line for recording {some_names(missing)}")
    processor = postprocessor(source.task, f"{args.posteriors}/task")
    counts = {}
    if args.reco2num_spk:
        counts = _oracle_counts(args.reco2num_spk, source, processor.num_fixed)
    segments = []
    silent = []
    for recording in source.recordings:
        own = options
        if recording in counts:
            limits = {"min_speakers": None, "max_speakers": None}
            own = replace(options, num_speakers=counts[recording], **limits)
        found = _segments(source, recording, own, processor)
        if regions is not None:
            found = [s for a, b in regions[recording] for s in clip_segments(found, a, b)]
        segments += found
        if not found:
            silent.append(recording)
    write_kaldi_files(Path(args.out), segments, source.recordings, source.task)
    print(f"{args.out}/rttm: {len(segments)} segments in {len(source.recordings)} recordings")
    if silent:
        print(
            f"{PROG}: notice: {len(silent)} of {len(source.recordings)} recordings have no "
            f"segment: {some_names(silent)}",
            file=sys.stderr,
        )
    return 0


def _segments(
    source: PosteriorDir, recording: str, options: PostprocessOptions, processor: PostProcessor
) -> list[Segment]:
    named = options.language_id_threshold is not None
    language_id = source.language_id(recording) if named else None
    arrays = source.load(recording)
    return processor.process(*arrays, recording, options, source.grid, language_id)


_OVERRIDES = (
    "query_threshold", "mask_threshold", "median", "min_duration",
    "num_speakers", "min_speakers", "max_speakers",
)  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of both subcommands."""
    parser = command_parser(PROG, __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    tune = commands.add_parser("tune", help="choose thresholds on a validation set")
    tune.add_argument("--ref", required=True, help="reference RTTM of the validation set")
    tune.add_argument("--uem", required=True, help="scored regions of the validation set")
    tune.add_argument("--out", required=True, help="best.yaml to write")
    apply = commands.add_parser("apply", help="write RTTM and Kaldi files")
    apply.add_argument("--uem", help="keep only what lies inside these regions")
    apply.add_argument("--out", required=True, help="directory to write to")
    add = apply.add_argument
    add("--query-threshold", type=float, metavar="P",
        help="activity above which a query is a speaker")
    add("--mask-threshold", type=float, metavar="P", help="mask probability of an active frame")
    add("--median", type=int, metavar="N", help="frames of the median filter, odd; 1 is off")
    add("--min-duration", type=float, metavar="S", help="seconds of the shortest turn kept")
    add("--num-speakers", type=int, metavar="N", help="exactly so many speakers")
    add("--min-speakers", type=int, metavar="N",
        help="at least so many, regardless of --query-threshold")
    add("--max-speakers", type=int, metavar="N", help="at most so many")
    for command in (tune, apply):
        command.add_argument(
            "--posteriors", required=True, help="directory with posteriors.scp, activities.scp"
        )
        command.add_argument(
            "--reco2num-spk", help="known numbers of speakers, instead of a query threshold"
        )
        command.add_argument("--config", help="YAML with postprocess: and tune:, or a best.yaml")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = build_parser().parse_args(argv)
    body = {"tune": run_tune, "apply": run_apply}[args.command]
    return run_command(lambda: body(args), PROG)


def _check_same_recordings(
    source: PosteriorDir,
    reference: Mapping[str, list[Segment]],
    regions: Mapping[str, Regions],
    args: argparse.Namespace,
) -> None:
    here = set(source.recordings)
    for path, there in ((args.ref, reference), (args.uem, regions)):
        missing = sorted(set(there) - here)
        if missing:
            raise DiarizeError(
                f"{source.path}/posteriors.scp: nothing for {some_names(missing)} of {path}; "
                "run inference on the whole validation set"
            )
    missing = sorted(here - set(regions))
    if missing:
        raise DiarizeError(f"{args.uem}: no line for recording {some_names(missing)}")


def _score(
    reference: Sequence[Segment], hypotheses: Sequence[list[Segment]], regions: Regions
) -> list[tuple[float, float, float, float]]:
    return [
        (times.miss, times.false_alarm, times.confusion, times.scored_speech)
        for times in score_hypotheses(reference, hypotheses, regions)
    ]


def _oracle_counts(path: str, source: PosteriorDir, num_fixed: int) -> dict[str, int]:
    """Return the given numbers of speakers, limited to the stored queries with a notice.

    The first ``num_fixed`` queries are slots that are not speakers.
    """
    counts = read_counts(path, source.recordings)
    limits = {recording: source.num_queries(recording) - num_fixed for recording in counts}
    beyond = [recording for recording in counts if counts[recording] > limits[recording]]
    if beyond:
        print(
            f"{PROG}: notice: more speakers in {path} than queries stored for "
            f"{some_names(beyond)}; all queries are taken",
            file=sys.stderr,
        )
    return {recording: min(count, limits[recording]) for recording, count in counts.items()}


def _write_best(
    args: argparse.Namespace, config: InferenceConfig, results: list[TunePoint], best: TunePoint
) -> None:
    """Write the chosen values, their provenance, and the whole table, best first."""
    head = {
        "postprocess": best.options,
        "network": config.network,
        "chosen": {
            "posteriors": str(args.posteriors),
            "reference": str(args.ref),
            "uem": str(args.uem),
            "recordings": best.recordings,
            "speakers": "oracle" if args.reco2num_spk else "query threshold",
            "collar": 0.0,
            **_figures(best),
        },
    }
    names = (*GRID_NAMES, *_figures(best))
    rows = sorted(results, key=lambda point: round(point.der, 9))
    lines = ["table:\n"]
    for point in rows:
        values = {n: getattr(point.options, n) for n in GRID_NAMES} | _figures(point)
        lines.append("- {" + ", ".join(f"{n}: {values[n]}" for n in names) + "}\n")
    write_yaml(
        args.out, dump_yaml(head) + "".join(lines),
        "Chosen by diarize-postprocess tune; errors in percent.",
    )


def _figures(point: TunePoint) -> dict[str, float]:
    def percent(seconds: float) -> float:
        return round(100 * seconds / point.speech, 3)

    return {
        "der": round(100 * point.der, 3),
        "miss": percent(point.miss),
        "fa": percent(point.false_alarm),
        "conf": percent(point.confusion),
        "count_acc": round(100 * point.counts_right / point.recordings, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
