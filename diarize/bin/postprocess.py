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

from diarize import checks
from diarize.bin.common import command_parser, run_command
from diarize.errors import DiarizeError
from diarize.infer.best import write_best
from diarize.infer.confidence import fit_calibration
from diarize.infer.config import InferenceConfig, load_inference_config, override
from diarize.infer.limits import (
    add_limits,
    given_limits,
    own_options,
    warn_of_exhausted_queries,
)
from diarize.infer.postprocess import Decision, PostprocessOptions, PostProcessor
from diarize.infer.pretrained import model_files
from diarize.infer.stored import PosteriorDir, read_counts, some_names, write_kaldi_files
from diarize.infer.tune import (
    GRID_NAMES,
    TuneRecording,
    best_point,
    grid_options,
    tune_postprocessing,
    values_at_edge,
)
from diarize.io.destination import Destination
from diarize.io.formats import FORMATS
from diarize.io.rttm import read_rttm
from diarize.io.uem import read_uem
from diarize.score.hypotheses import score_hypotheses
from diarize.score.reliability import score_turns
from diarize.segments import Regions, Segment, Turn, by_recording, clip_segments
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
    counts = _oracle_counts(args.reco2num_spk, source, processor.num_fixed)
    points = grid_options(base, grid, vary_query_threshold=not counts)
    recordings = (
        TuneRecording(r, *source.load(r), reference.get(r, []), regions[r], counts.get(r))
        for r in source.recordings
    )
    results = tune_postprocessing(recordings, points, source.grid, _score, processor)
    best = best_point(results, base)
    line = _calibration(source, reference, regions, counts, best.options, processor)
    best = replace(best, options=replace(best.options, confidence=line))
    files = {
        "posteriors": str(args.posteriors), "reference": str(args.ref), "uem": str(args.uem)
    }  # fmt: skip
    write_best(args.out, config.network, results, best, files, oracle=bool(args.reco2num_spk))
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
    """Write the segments to ``args.out``; returns 0."""
    place = Destination.parse(args.out, args.format)
    kaldi = place.folder and not args.format
    source = PosteriorDir(args.posteriors)
    processor = postprocessor(source.task, f"{args.posteriors}/task")
    place.check(None if kaldi else len(source.recordings))
    given = {name: getattr(args, name) for name in _THRESHOLDS} | given_limits(args)
    given = own_options(given, source.task, source.model_queries)
    options = override(_config(args, source).postprocess, given)
    regions = read_uem(args.uem) if args.uem else None
    if regions is not None:
        missing = [r for r in source.recordings if r not in regions]
        if missing:
            raise DiarizeError(f"{args.uem}: no line for recording {some_names(missing)}")
    counts = _oracle_counts(args.reco2num_spk, source, processor.num_fixed)
    turns: list[Turn] = []
    silent = []
    for recording in source.recordings:
        found, queries = _decide(source, recording, options, counts, processor)
        if source.model_queries and options.num_speakers is None and recording not in counts:
            warn_of_exhausted_queries(recording, queries, source.model_queries, source.task)
        if regions is not None:
            found = [s for a, b in regions[recording] for s in clip_segments(found, a, b)]
        turns += found
        if not found:
            silent.append(recording)
    if kaldi:
        write_kaldi_files(place.path, turns, source.recordings, source.task)
    else:
        place.write(turns)
    where = f"{args.out}/rttm" if kaldi else args.out
    print(f"{where}: {len(turns)} segments in {len(source.recordings)} recordings", file=sys.stderr)
    if silent:
        print(
            f"{PROG}: notice: {len(silent)} of {len(source.recordings)} recordings have no "
            f"segment: {some_names(silent)}",
            file=sys.stderr,
        )
    return 0


def _config(args: argparse.Namespace, source: PosteriorDir) -> InferenceConfig:
    """Return the configuration of ``args``, else the one beside the model of the posteriors."""
    if args.config or not source.model or not Path(source.model).exists():
        return load_inference_config(args.config)
    with model_files(source.model) as (_, tuned):
        return load_inference_config(tuned)


def _decide(
    source: PosteriorDir,
    recording: str,
    options: PostprocessOptions,
    counts: Mapping[str, int],
    processor: PostProcessor,
) -> Decision:
    """Return the turns of a recording; ``counts`` are known numbers of speakers."""
    if recording in counts:
        limits = {"min_speakers": None, "max_speakers": None}
        options = replace(options, num_speakers=counts[recording], **limits)
    named = options.language_id_threshold is not None
    language_id = source.language_id(recording) if named else None
    arrays = source.load(recording)
    return processor.decide(*arrays, recording, options, source.grid, language_id)


def _calibration(
    source: PosteriorDir,
    reference: Mapping[str, list[Segment]],
    regions: Mapping[str, Regions],
    counts: Mapping[str, int],
    options: PostprocessOptions,
    processor: PostProcessor,
) -> tuple[float, float] | None:
    """Return the calibration of confidences at the tuned ``options``, rounded for best.yaml."""
    raw = replace(options, confidence=None)
    turns = [
        turn
        for recording in source.recordings
        for turn in _decide(source, recording, raw, counts, processor).turns
    ]
    segments = [segment for own in reference.values() for segment in own]
    found = [s for s in score_turns(segments, turns, regions) if s.seconds > 0]
    line = fit_calibration(
        [s.confidence for s in found],
        [s.correct / s.seconds for s in found],
        [s.seconds for s in found],
    )
    return line and (round(line[0], 4), round(line[1], 4))


_THRESHOLDS = ("query_threshold", "mask_threshold", "median", "min_duration")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of both subcommands."""
    parser = command_parser(PROG, __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    tune = commands.add_parser("tune", help="choose thresholds on a validation set")
    add = tune.add_argument
    add("-r", "--ref", required=True, metavar="PATH", help="reference of the validation set")
    add("-u", "--uem", required=True, metavar="PATH",
        help="evaluated regions of the validation set")
    add("-o", "--out", required=True, metavar="FILE", help="best.yaml to write")
    apply = commands.add_parser("apply", help="write RTTM and Kaldi files, or another format")
    apply.add_argument("--format", choices=sorted(FORMATS),
                       help="format (default: by the suffix)")
    add = apply.add_argument
    add("-u", "--uem", metavar="PATH", help="keep only the output within these regions")
    add("-o", "--out", required=True, metavar="PATH",
        help="directory for RTTM and Kaldi files, or a file")
    add("--query-threshold", type=checks.probability, metavar="P",
        help="activity above which a query is a speaker")
    add("--mask-threshold", type=checks.probability, metavar="P",
        help="mask probability of an active frame")
    add("--median", type=checks.count, metavar="N",
        help="length of the median filter in frames, odd; 1: no filter")
    add("--min-duration", type=checks.amount, metavar="SECONDS",
        help="drop shorter turns")
    add_limits(apply)
    for command in (tune, apply):
        command.add_argument(
            "--posteriors", required=True, metavar="DIR",
            help="directory with posteriors.scp and activities.scp",
        )
        command.add_argument(
            "--reco2num-spk", metavar="FILE",
            help="known numbers of speakers, instead of a query threshold",
        )
        command.add_argument("--config", metavar="YAML",
                             help="inference configuration, or best.yaml of a search "
                             "(default of apply: that of the model)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = make_parser().parse_args(argv)
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


def _oracle_counts(path: str | None, source: PosteriorDir, num_fixed: int) -> dict[str, int]:
    """Return the numbers of speakers in ``path``, limited to the stored queries with a notice.

    The first ``num_fixed`` queries are slots that are not speakers.
    """
    if path is None:
        return {}
    counts = read_counts(path, source.recordings)
    limits = {recording: source.num_queries(recording) - num_fixed for recording in counts}
    beyond = [recording for recording in counts if counts[recording] > limits[recording]]
    if beyond:
        print(
            f"{PROG}: notice: more speakers in {path} than queries stored for "
            f"{some_names(beyond)}; all queries are used",
            file=sys.stderr,
        )
    return {recording: min(count, limits[recording]) for recording, count in counts.items()}


if __name__ == "__main__":
    sys.exit(main())
