import json

import pytest

from diarize.errors import DiarizeError
from diarize.report.plots.curves import PANELS, draw_curves, read_log


def write_log(path, *entries, tail=""):
    path.write_text("".join(json.dumps(e) + "\n" for e in entries) + tail)
    return path


def test_figures_go_to_their_panels(tmp_path):
    log = write_log(
        tmp_path / "log",
        {"kind": "event", "step": 0, "text": "started"},
        {"kind": "train", "step": 10, "loss": 4.5, "dice": 0.7, "lr": 1e-3, "elapsed": 3.0},
        {"kind": "train", "step": 20, "loss": None, "dice": 0.6, "lr": 2e-3, "grad_norm": 9},
        {"kind": "valid", "step": 20, "der": 30.5, "miss": 10, "count_acc": 70, "kept": True},
        {"kind": "train", "step": 20, "dice": 0.5},
        tail='{"kind": "train", "ste',
    )
    panels = dict(zip(PANELS, read_log(log), strict=True))
    assert panels == {
        "loss": {"loss": [(10, 4.5)]},
        "terms (last layer)": {"dice": [(10, 0.7), (20, 0.5)]},
        "validation error (%)": {"der": [(20, 30.5)], "miss": [(20, 10.0)]},
        "speaker count right (%)": {"count_acc": [(20, 70.0)]},
        "learning rate": {"lr": [(10, 1e-3), (20, 2e-3)]},
    }


def test_bad_logs_name_the_line(tmp_path):
    good = {"kind": "train", "step": 1, "loss": 1.0}
    broken = write_log(tmp_path / "a", good, tail='{"cut\n' + json.dumps(good) + "\n")
    with pytest.raises(DiarizeError, match="a:2: .*JSON"):
        read_log(broken)
    with pytest.raises(DiarizeError, match="b:1: expected a JSON object"):
        read_log(write_log(tmp_path / "b", [1, 2]))
    with pytest.raises(DiarizeError, match="nothing|no line"):
        read_log(write_log(tmp_path / "c", {"kind": "event", "step": 1}))
    with pytest.raises(DiarizeError, match="cannot read the log"):
        read_log(tmp_path / "none")


def test_a_picture_is_drawn_of_few_panels_too(tmp_path):
    image = pytest.importorskip("matplotlib.image")
    full = [{"loss": [(1, 2.0), (2, 1.0)]}, {"a": [(1, 0.0)]}, {"der": [(2, 9.0)]}, {}, {}]
    draw_curves(full, tmp_path / "a.png", "title")
    draw_curves([*full[:1], {}, {}, {}, {}], tmp_path / "b.png")
    tall, low = (image.imread(tmp_path / name).shape for name in ("a.png", "b.png"))
    assert tall[1] == low[1] == 1300
    assert tall[0] > 2 * low[0]
