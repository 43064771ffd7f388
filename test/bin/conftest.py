"""A corpus of noise and a model that has seen it for three steps."""

import numpy as np
import pytest

from diarize.bin import average, train
from diarize.io.audio import write_wav

CONFIG = """
task: speaker
model:
  backbone: {dim: 16, layers: 1, heads: 2, ff_dim: 32, kernel: 7, dropout: 0.0}
  decoder: {queries: 5, layers: 1, heads: 2, ff_dim: 32}
data: {crop_seconds: 1.5}
train:
  steps: 3
  batch_size: 2
  valid_interval: 1
  optimizer: {lr: 1e-3}
  device: cpu
  tensorboard: false
"""


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A data directory, a configuration and a model trained for three steps."""
    root = tmp_path_factory.mktemp("world")
    data = root / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    scp, rttm = [], []
    for i in range(3):
        name = f"r{i}"
        write_wav(root / f"{name}.wav", 0.1 * rng.standard_normal(32000 + 8000 * i), 16000)
        scp.append(f"{name} {root}/{name}.wav\n")
        rttm.append(f"SPEAKER {name} 1 0.100 1.000 <NA> <NA> A <NA> <NA>\n")
        rttm.append(f"SPEAKER {name} 1 0.800 1.000 <NA> <NA> B <NA> <NA>\n")
    (data / "wav.scp").write_text("".join(scp))
    (data / "rttm").write_text("".join(rttm))
    (data / "uem").write_text("".join(f"r{i} 1 0.000 {2 + i / 2:.3f}\n" for i in range(3)))
    (root / "train.yaml").write_text(CONFIG)
    exp = root / "exp"
    command = ["--config", str(root / "train.yaml"), "--train", str(data), "--valid", str(data)]
    assert train.main([*command, "--out", str(exp)]) == 0
    assert average.main(["--exp", str(exp)]) == 0
    return root
