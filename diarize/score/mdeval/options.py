"""Command line of md-eval: the options of md-eval.pl as Perl reads them."""

import os
import sys
from dataclasses import dataclass, field

from diarize.io.nist import STATUS_OTHER, RefusedError, perl_number

PROG = "md-eval"

USAGE = """
Usage: {prog} [-h] -r <ref_file> -s <src_file>

Description:  md-eval scores speaker diarization as NIST's md-eval.pl version 22 does.
INPUT:
  -r <file>    reference RTTM, - for standard input; or -R <list of files>
  -s <file>    system output RTTM, - for standard input; or -S <list of files>
  -u <file>    evaluated regions, UEM; a file that it lacks, or lists under another
               channel, is evaluated over the extent of its reference
  -n           keep the directory of the names in the UEM
  -c <collar>  seconds not scored around reference speaker boundaries (default 0)
  -1           score only where at most one reference turn is active
  -a <cfst>    also by c channel, f file (s and t change nothing)
  -z, -Z <name>  exclusion zones; DEFAULT is the only set
  -T <gap>     named in the report
  -x           accepted without effect on speakers
OUTPUT:
  -m           print the mapping of speakers;  -M <file>  the same as CSV
  -v           print each scored interval of each file
  -d, -D, -e   accepted; they show words and other metadata, of which there is none
  --dscore-format  six decimals, no padding: for dscore, SpeechBrain, 3D-Speaker
  --version    print version and convention
"""

WITH_VALUE = "cRrSstTgpPaAulyYzZM"
FLAGS = "nhdDwWox1mve"
# Options of the parts of md-eval.pl that do not score speakers.
REFUSED = {
    "w": "word-mediated alignment",
    "W": "word-optimised mapping",
    "o": "overlapping speech in word recognition",
    "g": "word transformations",
    "p": "word-based parameters",
    "P": "word-based parameters",
    "t": "gaps between words",
    "l": "the extent of SUs",
    "A": "conditions of word coverage",
    "y": "no-eval conditions for metadata",
    "Y": "no-score conditions for metadata",
}
ZONES = """    for "DEFAULT":      type    subtype
{rows}
"""
NO_EVAL = (("NOSCORE", "<na>"),)
NO_SCORE = (
    *(("NON-LEX", name) for name in ("breath", "cough", "laugh", "lipsmack", "other", "sneeze")),
    ("NOSCORE", "<na>"),
)


@dataclass
class Options:
    """Parsed command line: values by letter, flags, and unknown letters."""

    values: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    dscore: bool = False
    version: bool = False
    unknown: list[str] = field(default_factory=list)


def parse(argv: list[str]) -> Options:
    """Return the options, parsed as by Perl's Getopt::Std, including merged letters (``-1c0.25``).

    >>> parse(["-1c0.25", "-afc", "-r", "x"]).values
    {'c': '0.25', 'a': 'fc', 'r': 'x'}
    """
    out = Options()
    rest = list(argv)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        if word == "--dscore-format":
            out.dscore = True
        elif word == "--version":
            out.version = True
        elif word == "--help":
            out.flags.add("h")
        else:
            _letters(word[1:], rest, out)
    return out


def _letters(letters: str, rest: list[str], out: Options) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in WITH_VALUE:
            out.values[letter] = letters or (rest.pop(0) if rest else "")
            return
        if letter in FLAGS:
            out.flags.add(letter)
        else:
            out.unknown.append(letter)


def usage_error(message: str) -> RefusedError:
    """Return the error for a bad command line."""
    return RefusedError(
        f"\nCOMMAND LINE ERROR:  {message}\n{USAGE.format(prog=PROG)}", STATUS_OTHER
    )


def check(options: Options) -> float:
    """Return the collar; raises RefusedError for an incomplete or unsupported command line."""
    values = options.values
    for letter in [*options.flags, *values]:
        if letter in REFUSED:
            raise usage_error(
                f"option -{letter} ({REFUSED[letter]}) does not concern speakers,"
                " and only speakers are scored here"
            )
    for one, many, what in (("r", "R", "reference"), ("s", "S", "system output")):
        if values.get(one) and values.get(many):
            raise usage_error(f"both {what} file list and {what} file specified")
        if not values.get(one) and not values.get(many):
            raise usage_error(f"no {what} data specified")
    for letter, rows in (("z", NO_EVAL), ("Z", NO_SCORE)):
        name = values.get(letter) or "DEFAULT"
        if name != "DEFAULT":
            shown = "\n".join(f"{kind:>28}    {subtype}" for kind, subtype in rows)
            raise usage_error(
                f"unknown name ({name}) of no-score conditions for speaker diarization\n"
                "    available no-score conditions for speaker diarization are:\n\n"
                + ZONES.format(rows=shown)
            )
    text = values.get("c") or "0"
    collar, whole = perl_number(os.fsencode(text))
    if collar < 0:
        raise usage_error(f"Speaker Diarization scoring collar ('{text}') must be non-negative")
    if not whole:
        print(f"WARNING:  collar '{text}' is not a number, taken for {collar:g}", file=sys.stderr)
    return collar
