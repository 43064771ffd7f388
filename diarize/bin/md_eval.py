"""md-eval: speaker diarization scored and reported as NIST's md-eval.pl version 22 does.

md-eval [-1] [-c collar] [-af] [-u uem] -r ref.rttm -s sys.rttm
"""

import ctypes
import gc
import io
import os
import sys
import time
from dataclasses import dataclass, field

from diarize.bin.common import run_command
from diarize.io.atomic import atomic_write
from diarize.io.nist import (
    STATUS_OTHER,
    RefusedError,
    check_uem,
    perl_number,
    read_list,
    read_nist_rttm,
    read_nist_uem,
)
from diarize.score.mdeval import Setting
from diarize.score.mdeval_report import (
    Block,
    block_text,
    blocks,
    dscore_text,
    header,
    mapping_csv,
    mapping_lines,
    piece_lines,
)

PROG = "md-eval"
CONVENTION = "diarize's md-eval, convention of NIST md-eval.pl"

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
  -v           print each scored piece of each file
  -d, -D, -e   accepted; they show words and other metadata, of which there is none
  --dscore-format  six decimals, no padding: for dscore, SpeechBrain, 3D-Speaker
  --version    print version and convention
"""

# Of <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
WITH_VALUE = "cRrSstTgpPaAulyYzZM"
FLAGS = "nhdDwWox1mve"
# Parts of md-eval.pl that are not about speakers.
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
    """The command line: values by letter, flags, and what md-eval.pl does not know."""

    values: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    dscore: bool = False
    version: bool = False
    unknown: list[str] = field(default_factory=list)


def parse(argv: list[str]) -> Options:
    """Return the options, merged letters (``-1c0.25``) and all, as Perl's Getopt::Std takes them.

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


def main(argv: list[str] | None = None) -> int:
    """Run md-eval; 0 when done, else md-eval.pl's status (255, 25 or 2)."""
    if argv is None:
        # The process ends with this call: looking for cycles in many thousand rows is in vain.
        gc.disable()
        _keep_memory()
        argv = sys.argv[1:]

    def body() -> int:
        try:
            return evaluate(parse(argv), argv)
        except RefusedError as err:
            sys.stdout.flush()
            print(err, file=sys.stderr)
            return err.status

    return run_command(body, PROG)


def _keep_memory() -> None:
    """Have the C library keep freed memory: else each large array gets new pages, zeroed first.

    That is a tenth of the time for thousands of files.  Other C libraries than GNU's do as ever.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for option, value in ((_M_MMAP_THRESHOLD, 1 << 25), (_M_TRIM_THRESHOLD, 1 << 30)):
        mallopt(option, value)


def usage_error(message: str) -> RefusedError:
    """Return the refusal of a command line."""
    return RefusedError(
        f"\nCOMMAND LINE ERROR:  {message}\n{USAGE.format(prog=PROG)}", STATUS_OTHER
    )


def evaluate(options: Options, argv: list[str]) -> int:
    """Read, score and print; raises RefusedError for what md-eval.pl would die of."""
    out = (
        io.TextIOWrapper(
            sys.stdout.buffer, encoding="utf-8", errors="surrogateescape", write_through=True
        )
        if hasattr(sys.stdout, "buffer")
        else sys.stdout
    )
    try:
        return _evaluate(options, argv, out)
    finally:
        if out is not sys.stdout:
            out.flush()
            out.detach()


def _evaluate(options: Options, argv: list[str], out) -> int:
    from diarize import __version__

    when = time.strftime("%Y %b %e at %H:%M:%S")
    if options.version:
        print(f"{PROG} {__version__}: {CONVENTION} version 22", file=out)
        return 0
    print(
        f"command line (run on {when}) Version: 22 ({CONVENTION}, {__version__})"
        f"  {' '.join([PROG, *argv])}",
        file=out,
    )
    for letter in options.unknown:
        print(f"Unknown option: {letter}", file=sys.stderr)
    if "h" in options.flags:
        print(USAGE.format(prog=PROG), file=sys.stderr)
        return STATUS_OTHER
    values = options.values
    collar = check(options)
    skip_overlap = "1" in options.flags
    print(header(values.get("c") or "0", values.get("T") or "1"), file=out)
    uem = read_nist_uem(values["u"], "n" in options.flags) if values.get("u") else None
    ref = read_nist_rttm([values["r"]] if values.get("r") else read_list(values["R"]))
    system = read_nist_rttm([values["s"]] if values.get("s") else read_list(values["S"]))
    if uem is not None:
        check_uem(uem, values["u"])
    for note in (*ref.notes, *system.notes):
        print(note, file=sys.stderr)
    setting = Setting(ref, system, uem, collar)
    # One write: standard error is not buffered.
    sys.stderr.write(
        "".join(
            f"WARNING:  speaker {speaker} speaking more than once at time {at:.15g}\n"
            for speaker, at in setting.speaks_twice()
        )
    )
    show_details(options, setting, collar, skip_overlap, out)
    results = setting.results(collar, skip_overlap)
    conditions = values.get("a", "")
    text = dscore_text if options.dscore else block_text
    shown: list[str] = []
    for condition, part in blocks(results, "f" in conditions, "c" in conditions):
        block = Block(condition, part)
        if not block.times["scored_speech"] > 0:
            out.write("".join(shown))
            shown.clear()
            print(
                f"WARNING:  no speech is scored for {condition}; md-eval.pl would die here",
                file=sys.stderr,
            )
        shown.append(f"\n{text(block)}\n")
    out.write("".join(shown))
    return 0


def show_details(
    options: Options, setting: Setting, collar: float, skip_overlap: bool, out
) -> None:
    """Print what -m and -v ask for, file by file, and write the file of -M."""
    if options.values.get("M"):
        with atomic_write(options.values["M"]) as handle:
            handle.write(mapping_csv(setting))
    mapped = mapping_lines(setting) if "m" in options.flags else {}
    pieces = piece_lines(setting, collar, skip_overlap) if "v" in options.flags else {}
    for group in sorted({*mapped, *pieces}):
        print("\n".join([*mapped.get(group, []), *pieces.get(group, [])]), file=out)


def check(options: Options) -> float:
    """Return the collar; raises RefusedError for a command line that cannot be scored."""
    values = options.values
    for letter in [*options.flags, *values]:
        if letter in REFUSED:
            raise usage_error(
                f"option -{letter} ({REFUSED[letter]}) is not about speakers,"
                " which are all that is scored here"
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


if __name__ == "__main__":
    sys.exit(main())
