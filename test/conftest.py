"""Fixtures that several parts of the suite share."""

import contextlib
import importlib.util
import os
import random
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


@pytest.fixture
def chance() -> random.Random:
    """Random numbers whose seed a failing test prints; ``DIARIZE_TEST_SEED`` repeats it."""
    seed = int(os.environ.get("DIARIZE_TEST_SEED") or random.randrange(2**32))
    print(f"DIARIZE_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The shared reference data (``DIARIZE_SHARED``, else ``../shared``); a skip without it."""
    base = Path(os.environ.get("DIARIZE_SHARED") or ROOT.parent / "shared")
    if not (base / "data").is_dir():
        pytest.skip(f"shared reference data not found: {base}/data (set DIARIZE_SHARED)")
    return base / "data"


@pytest.fixture(scope="session")
def with_cluster():
    """Start a batch system by ``tools/with_cluster.py``, a context; a skip where there is none."""
    spec = importlib.util.spec_from_file_location("with_cluster", ROOT / "tools/with_cluster.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    @contextlib.contextmanager
    def start(name, **size):
        try:
            with module.running(name, **size) as cluster:
                yield cluster
        except module.Unavailable as err:
            pytest.skip(f"{name}: {err}")

    return start


@pytest.fixture(scope="session")
def slurm(with_cluster):
    """A Slurm of two nodes on this machine."""
    with with_cluster("slurm", cpus=4, nodes=2) as cluster:
        yield cluster
