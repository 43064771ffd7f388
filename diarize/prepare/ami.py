"""AMI meetings, headset mixtures or the first distant microphone, full-corpus-ASR partition.

``--root`` holds ``<meeting>/audio/<meeting>.{Mix-Headset,Array1-01}.wav``, ``--setup`` is a clone
of BUTSpeechFIT/AMI-diarization-setup: lists, references, UEM.  Writes {train,dev,test}_<mic>.
"""

import argparse
from pathlib import Path

from diarize.errors import DiarizeError
from diarize.io.uem import read_uem
from diarize.prepare.archive import corpus_root, needed, read_reference, unique_names
from diarize.prepare.counts import Expected
from diarize.prepare.part import CorpusPart, CorpusRecording, make_part
from diarize.prepare.recipe import check_parts, write_sets

FILES = {"mix": "{0}/audio/{0}.Mix-Headset.wav", "sdm": "{0}/audio/{0}.Array1-01.wav"}
NO_ARRAY = "the corpus has no Array1-01 of this meeting"
MISSING = {"mix": {}, "sdm": {"IS1003b": NO_ARRAY, "IS1007d": NO_ARRAY}}
# Meetings and, for only_words, reference seconds as published; these to a tenth of a percent,
# since nobody has run this on the corpus yet.
MEETINGS = {"train": 136, "dev": 18, "test": 16}
WORD_SECONDS = {"train": 272748.0, "dev": 31558.7, "test": 30713.9}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of AMI."""
    parser.add_argument("--root", default="", metavar="DIR",
                        help="the corpus: <meeting>/audio/*.wav")
    parser.add_argument("--setup", default="", metavar="DIR", help="clone of AMI-diarization-setup")
    parser.add_argument("--mic", choices=sorted(FILES), default="mix",
                        help="microphone (default %(default)s)")
    parser.add_argument("--flavour", choices=("only_words", "word_and_vocalsounds"),
                        default="only_words",
                            help="version of the reference; that of the paper: only_words")
    parser.add_argument("--regions", choices=("setup", "full"), default="setup",
                        help="the setup's regions (whole recordings), or the audio's length")


def prepare(args: argparse.Namespace) -> None:
    """Write the three sets of one microphone."""
    root = corpus_root(args.root, "AMI", "the AMI corpus")
    setup = corpus_root(args.setup, "AMI_SETUP", "AMI-diarization-setup")
    parts = {}
    for split in MEETINGS:
        part = read_split(root, setup, split, args)
        parts[split] = (part, expected_counts(setup, split, part, args.flavour))
    differs = check_parts(f"AMI {args.mic}", parts, args.allow_counts)
    sets = {f"{split}_{args.mic}": part for split, (part, _) in parts.items()}
    options = {"mic": args.mic, "reference": args.flavour, "uem": args.regions}
    write_sets(args.out, sets, options, differs)


def read_split(root: Path, setup: Path, split: str, args: argparse.Namespace) -> CorpusPart:
    """Return one split with its references and regions."""
    listed = needed(setup / f"lists/{split}.meetings.txt", "the list of meetings")
    meetings = unique_names(listed.read_text(encoding="utf-8").split(), listed)
    broken = {m: why for m, why in MISSING[args.mic].items() if m in meetings}
    recordings, segments = [], []
    for meeting in meetings:
        audio = root / FILES[args.mic].format(meeting)
        if meeting not in broken:
            needed(audio, f"the audio of {meeting} (of one microphone only: --mic)")
        regions: list[tuple[float, float]] = []
        if args.regions == "setup":
            uem = needed(setup / f"uems/{split}/{meeting}.uem", f"the regions of {meeting}")
            regions = read_uem(uem).get(meeting, [])
            if not regions:
                raise DiarizeError(f"{uem}: no region of {meeting}")
        recordings.append(CorpusRecording(meeting, str(audio), None, tuple(regions)))
        rttm = setup / args.flavour / "rttms" / split / f"{meeting}.rttm"
        segments += read_reference(rttm, meeting)
    return make_part(f"AMI {args.mic} {split}", recordings, segments, broken)


def expected_counts(setup: Path, split: str, part: CorpusPart, flavour: str) -> Expected:
    """Return the published counts; the number of speakers is that of the list in the setup."""
    seconds = WORD_SECONDS[split]
    if flavour != "only_words" or part.left_out:
        return Expected(recordings=MEETINGS[split] - len(part.left_out))
    listed = setup / f"lists/{split}.speakers.txt"
    speakers = len(listed.read_text(encoding="utf-8").split()) if listed.is_file() else None
    return Expected(recordings=MEETINGS[split], speakers=speakers, reference_seconds=seconds,
                    seconds_tolerance=0.001 * seconds)
