"""Python blocks of the documents: they run as they are written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def documents() -> list[Path]:
    """Return the documents with a Python block."""
    paths = [*ROOT.glob("*.md"), *ROOT.glob("doc/*.md"), *ROOT.glob("egs/**/*.md")]
    return sorted(path for path in paths if BLOCK.search(path.read_text(encoding="utf-8")))


def test_the_first_page_shows_python():
    assert ROOT / "README.md" in documents()


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_python_blocks_run(path, tmp_path):
    """Run the blocks of a document as one program, beside a recording and its reference."""
    import soundfile

    rng = np.random.default_rng(3)
    soundfile.write(tmp_path / "meeting.wav", rng.normal(0, 0.05, 16000 * 4), 16000)
    for name in ("reference", "meeting"):
        (tmp_path / f"{name}.rttm").write_text(
            "SPEAKER meeting 1 0.50 2.00 <NA> <NA> ann <NA> <NA>\n"
        )
    (tmp_path / "egs").symlink_to(ROOT / "egs")
    program = "\n".join(BLOCK.findall(path.read_text(encoding="utf-8")))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
