"""md-eval: speaker diarization scored and reported as NIST's md-eval.pl version 22 does.

md-eval [-1] [-c collar] [-af] [-u uem] -r ref.rttm -s sys.rttm
"""

import ctypes
import gc
import sys

from diarize.bin.common import run_command
from diarize.io.nist import RefusedError
from diarize.score.mdeval.options import PROG, parse
from diarize.score.mdeval.run import evaluate

# Of <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


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


if __name__ == "__main__":
    sys.exit(main())
