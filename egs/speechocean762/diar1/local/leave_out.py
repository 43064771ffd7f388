"""Manifest without one ingredient of the long training, for local/ablations.sh.

The mixtures keep speakers, utterances and times, so that the trainings differ in that ingredient
alone.  A kind of sound (babble, breath, ...) is left out by another scene, without that kind.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from diarize.bin.common import run_command
from diarize.errors import DiarizeError
from diarize.io.table import read_table
from diarize.kaldi.datadir import DataDir
from diarize.simulate.manifest import Manifest, write_manifest

WHOLE = ("scenes", "noise", "rooms", "levels", "pauses")
_LONG = 15.0  # s, of mean silence: a mixture with more has long pauses


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("manifest", type=Path, help="mixture.scp of the long training")
    add("out", type=Path, help="manifest to write")
    add("--scenes", type=Path, required=True, help="data directory of the scenes")
    add("--without", required=True, metavar="WHAT",
        help=f"{', '.join(WHOLE)}, or a kind of sound in utt2kinds of the scenes")
    return parser


def mean_silence(mixture: dict) -> float:
    """Return the mean silence before the utterances of a mixture in seconds."""
    silences = [value for speaker in mixture["speakers"] for value in speaker["intervals"]]
    return sum(silences) / len(silences)


def change(mixture: dict, what: str, other: dict[str, str]) -> dict | None:
    """Return ``mixture`` without ``what``; None if it is left out as a whole.

    ``other`` is the scene that replaces one with the kind of sound ``what``.
    """
    noise = mixture["noise"]
    if what == "noise" or (what == "scenes" and noise in other):
        return {**mixture, "noise": None, "snr": None}
    if what == "pauses":
        return None if mean_silence(mixture) > _LONG else mixture
    if what in ("rooms", "levels"):
        speakers = [dict(speaker) for speaker in mixture["speakers"]]
        for speaker in speakers:
            if what == "rooms":
                speaker["rir"] = None
            else:
                speaker["utts"] = [
                    {**utt, "gain": 0.0} if isinstance(utt, dict) else utt
                    for utt in speaker["utts"]
                ]
        return {**mixture, "speakers": speakers}
    return {**mixture, "noise": other.get(noise, noise)}


def replacements(scenes: Path, what: str) -> dict[str, str]:
    """Return scene -> scene: itself, or the next without the kind of sound ``what``."""
    data, kinds = DataDir.load(scenes), read_table(scenes / "utt2kinds")
    files = {name: data.source(name).resolved() for name in data.recordings}
    if what in WHOLE:
        return {file: file for file in files.values()}
    if not any(what in kinds[name].split() for name in files):
        raise DiarizeError(f"--without {what}: neither {', '.join(WHOLE)} nor a kind in {scenes}")
    free = [name for name in files if what not in kinds[name].split()]
    if not free:
        raise DiarizeError(f"{scenes}: no scene without {what}")
    place = {name: number for number, name in enumerate(files)}
    return {
        file: files[name if name in free else free[place[name] % len(free)]]
        for name, file in files.items()
    }


def leave_out(args: argparse.Namespace) -> None:
    """Write the manifest."""
    manifest, other = Manifest(args.manifest), replacements(args.scenes, args.without)

    def changed() -> Iterator[tuple[str, dict]]:
        for name, mixture in manifest:
            found = change(mixture, args.without, other)
            if found is not None:
                yield name, found

    count = write_manifest(args.out, changed())
    if not count:
        raise DiarizeError(f"{args.out}: no mixture without {args.without}")
    print(f"{args.out}: {count} of {len(manifest)} mixtures", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Return the exit status of the command."""
    args = get_parser().parse_args(argv)
    return run_command(lambda: leave_out(args), "leave_out.py")


if __name__ == "__main__":
    sys.exit(main())
