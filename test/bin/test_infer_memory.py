"""Memory of diarize-infer as a whole: not more than foreseen."""

import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest
import torch

from diarize.tasks.registry import build_task, config_mapping, parse_config
from diarize.train.checkpoint import save_model

# The command, and then what its predictor foresaw beside what the process used.
COMMAND = """
import sys
from diarize.bin import infer
from diarize.infer import loader, predictor
from diarize.infer.memory import peak_bytes
seen = []
class Noted(predictor.Predictor):
    def __init__(self, *args):
        super().__init__(*args)
        seen.append(self)
loader.Predictor = Noted
assert infer.main(sys.argv[1:]) == 0
print(seen[-1].base_bytes, seen[-1].foreseen, peak_bytes(), len(seen[-1].passes))
"""
# The features, 184 MB an hour, are most of the memory.
WIDE = {
    "task": "speaker",
    "model": {
        "features": {"num_mels": 128, "window_ms": 50.0},
        "backbone": {"dim": 16, "layers": 1, "heads": 1, "ff_dim": 16, "kernel": 3},
        "decoder": {"queries": 4, "layers": 1, "heads": 1, "ff_dim": 16},
    },
}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="measured by /proc")
@pytest.mark.parametrize("window", ["3600", "600"])
def test_an_hour_needs_what_is_foreseen(tmp_path, window):
    """A copy of the features in float64, 369 MB, is more than the formula has in reserve."""
    parsed = parse_config(WIDE, "test")
    torch.manual_seed(0)
    state = build_task(parsed).model.state_dict()
    save_model(tmp_path / "m.pth", state, {"config": config_mapping(parsed)})
    with wave.open(str(tmp_path / "hour.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        for _ in range(60):
            out.writeframes(bytes(2 * 960_000))
    words = ["hour.wav", "--model", "m.pth", "--device", "cpu", "--window", window,
             "--max-memory", "8", "--out", "x.rttm"]  # fmt: skip
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", COMMAND, *words], cwd=tmp_path, env=env,
                          check=True, capture_output=True, text=True)  # fmt: skip
    base, foreseen, peak, passes = map(int, done.stdout.splitlines()[-1].split())
    assert (passes == 1) == (window == "3600")
    assert base + 184e6 < peak <= foreseen
