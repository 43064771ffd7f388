"""The log, the progress line and TensorBoard."""

import io
import json

import pytest

from diarize.train.reporter import Reporter, clock, progress_line


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_after_the_checkpoint_and_cut_lines_are_dropped(tmp_path):
    log = tmp_path / "train_log.jsonl"
    lines = [json.dumps({"kind": "train", "step": s}) + "\n" for s in (5, 10, 15, 20)]
    log.write_text("".join(lines) + '{"kind": "tra')
    Reporter(tmp_path, 30, 15, tensorboard=False, stream=io.StringIO())
    assert [json.loads(x)["step"] for x in log.read_text().splitlines()] == [5, 10, 15]
    Reporter(tmp_path, 30, 0, tensorboard=False, stream=io.StringIO())
    assert log.read_text() == ""


def test_numbers_that_json_lacks_become_null(tmp_path):
    reporter = Reporter(tmp_path, 30, 0, tensorboard=False, stream=io.StringIO())
    reporter.valid(3, {"der": float("nan"), "miss": 1.0}, best=False)
    record = json.loads((tmp_path / "train_log.jsonl").read_text())
    assert (record["der"], record["miss"], record["kept"]) == (None, 1.0, False)


def test_terminal_has_one_line_that_changes(tmp_path):
    screen = Terminal()
    reporter = Reporter(tmp_path, 30, 0, tensorboard=False, stream=screen)
    reporter.train(1, {"loss": 2.0}, 10)
    reporter.train(2, {"loss": 1.0}, 9)
    reporter.valid(2, {"der": 50.0}, best=True)
    reporter.close()
    assert screen.getvalue().count("\n") == 1
    assert screen.getvalue().endswith("step 2/30  validation  der 50  (kept)\n")


def test_file_has_a_line_per_report(tmp_path):
    out = io.StringIO()
    reporter = Reporter(tmp_path, 30, 0, tensorboard=False, stream=out)
    reporter.train(1, {"loss": 2.0}, 10)
    reporter.train(2, {"loss": 1.0}, 9)
    reporter.close()
    assert out.getvalue() == ("step 1/30  loss 2  left 0:00:10\nstep 2/30  loss 1  left 0:00:09\n")


def test_progress_line_has_the_terms_in_order():
    figures = {"lr": 1e-3, "grad_norm": 0.5, "loss": 3.0, "dice": 1.0, "bce": 2.0,
               "example_rate": 12.345, "audio_rate": 12345.6, "elapsed": 3.0, "data_share": 0.1}
    assert progress_line(7, 70, figures, 3600) == (
        "step 7/70  loss 3  bce 2  dice 1  lr 0.001  grad_norm 0.5  12.3 examples/s  "
        "12,346 x real time  left 1:00:00")
    assert clock(-3) == "0:00:00"


def test_tensorboard_hides_what_a_kill_has_undone(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for start, steps in ((0, (1, 2, 3)), (2, (3, 4))):
        reporter = Reporter(tmp_path, 4, start, stream=io.StringIO())
        for step in steps:
            reporter.train(step, {"loss": float(step + start)}, 0)
        reporter.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [
        (1, 1.0), (2, 2.0), (3, 5.0), (4, 6.0)]
