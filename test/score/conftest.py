"""How the tests of the scorer run the commands, and the real md-eval.pl where there is one."""

import contextlib
import io
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from diarize.bin import md_eval

PLACES = (os.environ.get("MD_EVAL_PL"), "/usr/lib/sctk/bin/md-eval.pl", shutil.which("md-eval.pl"))
NUMBER = r"([-\d.]+|inf)"
FIELDS = {
    "eval": "    EVAL TIME =",
    "scoredT": "  SCORED TIME =",
    "SPKT": "SCORED SPEAKER TIME =",
    "miss": "MISSED SPEAKER TIME =",
    "fa": "FALARM SPEAKER TIME =",
    "err": " SPEAKER ERROR TIME =",
    "DER": " OVERALL SPEAKER DIARIZATION ERROR =",
}


@dataclass
class Answer:
    """Exit status and the two outputs; ``lines`` leaves out the first, with date and command."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.split("\n")[1:]

    @property
    def blocks(self) -> dict[str, dict[str, str]]:
        """The printed numbers by condition (``f=a``, ``ALL``)."""
        found = {}
        for part in re.split(r"(?m)^\*\*\* .* for ", self.out)[1:]:
            name, text = part.split(" ***\n", 1)
            values = {k: re.search(rf"(?m)^{v} *{NUMBER}", text) for k, v in FIELDS.items()}
            found[name] = {k: m[1] for k, m in values.items() if m}
        return found


def run_ours(args: list[str], stdin: bytes = b"") -> Answer:
    """Return what our md-eval answers, run in this process."""
    out, err = io.BytesIO(), io.StringIO()
    stdout = io.TextIOWrapper(out, encoding="utf-8", errors="surrogateescape", write_through=True)
    source = io.TextIOWrapper(io.BytesIO(stdin))
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(err):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", source)
            status = md_eval.main(args)
        stdout.flush()
    return Answer(status, out.getvalue().decode("utf-8", "surrogateescape"), err.getvalue())


@pytest.fixture(scope="session")
def ours() -> Callable[..., Answer]:
    """Our md-eval."""
    return run_ours


@pytest.fixture(scope="session")
def real() -> Callable[..., Answer]:
    """NIST's own md-eval.pl; a skip, by name, where it is not installed."""
    script = next((p for p in PLACES if p and Path(p).is_file()), None)
    perl = shutil.which("perl")
    if not script or not perl:
        pytest.skip("md-eval.pl not found: apt-get install sctk, or set MD_EVAL_PL")

    def run(args: list[str], stdin: bytes = b"") -> Answer:
        env = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(
            [perl, script, *args],
            input=stdin,
            capture_output=True,
            timeout=60,
            env=env,
            check=False,
        )
        decode = ("utf-8", "surrogateescape")
        return Answer(done.returncode, done.stdout.decode(*decode), done.stderr.decode(*decode))

    return run
