"""md-eval: scores and reports of speaker diarization as by NIST's md-eval.pl version 22.

md-eval [-1] [-c collar] [-af] [-u uem] -r ref.rttm -s sys.rttm
"""

import ctypes
import sys

from diarize.bin.common import run_command
from diarize.io.nist import RefusedError
from diarize.score.mdeval.options import PROG, parse
from diarize.score.mdeval.run import evaluate

# Of <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def main(argv: list[str] | None = None) -> int:
    """Run md-eval; returns 0, or for an error md-eval.pl's status (255, 25 or 2)."""
    if argv is None:
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
    """Keep freed memory in the process, if the C library is GNU's.

    Otherwise the system zeroes new pages for each large array: a tenth of the CPU time for 24 h
    with 100,000 turns and for 5,000 files (median of 8 runs, 0.69 s instead of 0.77 s and 0.79 s
    instead of 0.86 s).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for option, value in ((_M_MMAP_THRESHOLD, 1 << 25), (_M_TRIM_THRESHOLD, 1 << 30)):
        mallopt(option, value)


if __name__ == "__main__":
    sys.exit(main())
