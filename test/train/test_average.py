"""The mean of the best checkpoints."""

import pytest
import torch

from diarize.bin.average import main
from diarize.train.checkpoint import load_model, save_model


def write(directory, step, der, value, count, **meta):
    directory.mkdir(exist_ok=True)
    state = {"w": torch.full((2,), value), "n": torch.tensor(count)}
    save_model(directory / f"valid_step{step:08d}.pth", state, {"step": step, "der": der, **meta})


def test_mean_of_the_best_by_der(tmp_path, capsys):
    write(tmp_path / "best", 1, 30.0, 100.0, 1)
    write(tmp_path / "best", 2, 10.0, 1.0, 2, config={"task": "speaker"}, valid={"der": 10.0})
    write(tmp_path / "best", 3, 20.0, 2.0, 3)
    assert main(["--exp", str(tmp_path), "--num", "2"]) == 0
    state, meta = load_model(tmp_path / "final.pth")
    assert state["w"].tolist() == [1.5, 1.5]
    assert state["w"].dtype == torch.float32
    assert state["n"] == 2, "counters are those of the best"
    assert meta["averaged"] == [{"step": 2, "der": 10.0}, {"step": 3, "der": 20.0}]
    assert meta["config"] == {"task": "speaker"}
    assert "step" not in meta
    assert "step 2  validation DER 10.00 %" in capsys.readouterr().out


def test_the_sum_is_taken_in_float64(tmp_path):
    for step, value in enumerate((1.0, 2.0**-24, 2.0**-24, 2.0**-24), 1):
        write(tmp_path / "best", step, float(step), value, 0)
    assert main(["--exp", str(tmp_path), "--out", str(tmp_path / "mean.pth")]) == 0
    state, _ = load_model(tmp_path / "mean.pth")
    assert state["w"][0].item() == torch.tensor((1 + 3 * 2.0**-24) / 4).item()
    assert state["w"][0].item() > 0.25


@pytest.mark.parametrize("case", ["none", "size"])
def test_nothing_to_average_is_a_clear_error(tmp_path, capsys, case):
    if case == "size":
        write(tmp_path / "best", 1, 30.0, 1.0, 1)
        save_model(tmp_path / "best" / "valid_step00000002.pth",
                   {"w": torch.zeros(3), "n": torch.tensor(0)}, {"step": 2, "der": 1.0})
    assert main(["--exp", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert ("train first" if case == "none" else "w is (2), the model needs (3)") in err
    assert err.count("\n") == 1
