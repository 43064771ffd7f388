"""diarize-report: a page to look at and listen to a diarization; an index of an experiment.

diarize-report meeting.wav --hyp meeting.rttm --ref ref.rttm --out meeting.html
diarize-report --data data/test --hyp exp/train/infer_test/rttm --recording a b --out pages/
diarize-report --exp exp/train
"""

import argparse
import sys
from pathlib import Path

from diarize import checks
from diarize.bin.common import add_allow_pipes, command_parser, run_command
from diarize.errors import DiarizeError
from diarize.tasks.postprocessors import POSTPROCESSORS, postprocessor

PROG = "diarize-report"
MODES = ("embed", "link", "none")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(PROG, __doc__)
    add = parser.add_argument
    add("audio", nargs="?", metavar="AUDIO", help="audio file; its name is the recording id")
    add("-s", "--sys", "--hyp", dest="hyp", metavar="FILE",
        help="output of the system: RTTM, or another format by suffix")
    add("-r", "--ref", metavar="FILE", help="reference; errors are shown and scored")
    add("-u", "--uem", metavar="FILE", help="evaluated regions")
    add("--posteriors", metavar="DIR", help="output of diarize-posteriors, shown as strips")
    add(
        "--data",
        metavar="DIR",
        help="Kaldi data directory with wav.scp, rttm and uem, in place of AUDIO, --ref and --uem",
    )
    add(
        "--recording",
        nargs="+",
        metavar="ID",
        help="recordings of --data (default: all), or the id of AUDIO in the other files",
    )
    add(
        "-c",
        "--collar",
        type=checks.amount,
        default=0.0,
        metavar="SECONDS",
        help="around reference boundaries, where no error is shown (default: %(default)s)",
    )
    add(
        "--audio",
        dest="mode",
        choices=MODES,
        default="embed",
        help="contain the audio as Opus, link to its file, or neither (default: %(default)s)",
    )
    add(
        "--task",
        choices=tuple(POSTPROCESSORS),
        help="the labels are speakers or languages (default: as --posteriors, else speaker)",
    )
    add_allow_pipes(parser)
    add("--exp", metavar="DIR", help="write the index page of an experiment instead")
    add(
        "-o",
        "--out",
        metavar="PATH",
        help="HTML file, or a directory for <recording>.html (default: <recording>.html here; "
        "DIR/report.html of an experiment)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.exp:
        if args.audio or args.data or args.hyp:
            parser.error("--exp excludes AUDIO, --data and --hyp")
        return run_command(lambda: index(args), PROG)
    if not args.hyp:
        parser.error("--hyp is required (but for --exp)")
    if args.data and args.audio:
        parser.error("AUDIO and --data exclude one another")
    if not args.data and args.recording and len(args.recording) > 1:
        parser.error("several recordings require --data")
    return run_command(lambda: pages(args), PROG)


def index(args: argparse.Namespace) -> None:
    """Write the index page of an experiment."""
    from diarize.io.atomic import atomic_write
    from diarize.report.page.experiment import experiment_page

    exp = Path(args.exp)
    out = Path(args.out) if args.out else exp / "report.html"
    text = experiment_page(exp, out)
    with atomic_write(out) as handle:
        handle.write(text)
    print(out)


def pages(args: argparse.Namespace) -> None:
    """Write the pages of recordings."""
    from diarize.io.atomic import atomic_write
    from diarize.report.page.content import LabelKind
    from diarize.report.page.html import recording_page
    from diarize.report.page.sources import PageSources

    sources = PageSources(
        args.hyp, args.ref, args.uem, data=args.data, audio=args.audio,
        recording=args.recording[0] if args.recording else None, allow_pipes=args.allow_pipes,
    )  # fmt: skip
    wanted = list(dict.fromkeys(args.recording or sources.recordings()))
    sources.check(wanted)
    places = page_paths(args.out, wanted)
    stored = open_posteriors(args.posteriors, wanted)
    task = args.task or (stored.task if stored else "speaker")
    processor = postprocessor(task, "--task" if args.task else f"{args.posteriors}/task")
    labels = LabelKind(task, processor.named)
    for recording, path in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        content, sound = sources.content(
            recording, path, args.mode, args.collar, labels,
            posteriors_of(stored, recording, vad_slot=processor.num_fixed > 0),
        )  # fmt: skip
        text = recording_page(content, sound, sources.files)
        with atomic_write(path) as handle:
            handle.write(text)
        print(path)


def page_paths(out: str | None, recordings: list[str]) -> dict[str, Path]:
    """Return the file of each recording; raises DiarizeError if they do not fit into ``out``."""
    from diarize.io.filename import file_name

    path = Path(out or ".")
    if path.suffix.lower() in (".html", ".htm") and not path.is_dir():
        if len(recordings) > 1:
            raise DiarizeError(
                f"{len(recordings)} recordings do not fit in {path}; use a directory, "
                "or one --recording"
            )
        return {recordings[0]: path}
    if path.suffix and not path.is_dir():
        raise DiarizeError(f"{path}: a page is HTML; use the suffix .html, or a directory")
    return {recording: path / file_name(recording, ".html") for recording in recordings}


def open_posteriors(path: str | None, recordings: list[str]):
    """Return the stored posteriors; raises DiarizeError if they lack a recording."""
    from diarize.infer.stored import PosteriorDir

    if not path:
        return None
    stored = PosteriorDir(path)
    missing = sorted(set(recordings) - set(stored.recordings))
    if missing:
        raise DiarizeError(f"{path}: no posteriors of recording {missing[0]}")
    return stored


def posteriors_of(stored, recording: str, vad_slot: bool):
    """Return the posteriors of a recording as a page needs them, None without any."""
    from diarize.report.page.heat import Posteriors

    if stored is None:
        return None
    masks, activities = stored.load(recording)
    return Posteriors(masks, activities, stored.grid.frame_seconds, vad_slot)


if __name__ == "__main__":
    sys.exit(main())
