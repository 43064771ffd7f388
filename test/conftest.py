"""Fixtures that several parts of the suite share."""

import importlib.util
import os
from pathlib import Path

import pytest

# Before torch is imported: threads of several test processes on few cores only wait for each
# other, and a test that takes seconds takes minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The shared reference data (``DIARIZE_SHARED``, else ``../shared``); a skip without it."""
    base = Path(os.environ.get("DIARIZE_SHARED") or ROOT.parent / "shared")
    if not (base / "data").is_dir():
        pytest.skip(f"shared reference data not found: {base}/data (set DIARIZE_SHARED)")
    return base / "data"


@pytest.fixture(scope="session")
def slurm():
    """A Slurm of two nodes on this machine, from ``tools/with_slurm.py``; a skip without one."""
    spec = importlib.util.spec_from_file_location("with_slurm", ROOT / "tools/with_slurm.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        with module.running(cpus=4, nodes=2) as slurm:
            yield slurm
    except module.Unavailable as err:
        pytest.skip(str(err))
