"""The loop in one process: accumulation, stopping, going on, and what goes wrong."""

import json
import os
import signal

import pytest
import torch

from diarize.errors import DiarizeError
from diarize.train.average import average_best
from diarize.train.checkpoint import load_model
from diarize.train.options import ScheduleOptions
from diarize.train.trainer import Trainer


def log_of(directory, kind):
    lines = (directory / "train_log.jsonl").read_text().splitlines()
    return [r for r in map(json.loads, lines) if r["kind"] == kind]


def assert_same(one, two, atol=0.0):
    assert one.keys() == two.keys()
    for key in one:
        assert torch.allclose(one[key], two[key], rtol=0, atol=atol), key


def test_it_learns_and_writes_what_it_says(toy, options, tmp_path):
    torch.manual_seed(0)
    trainer = Trainer(toy.ToyTask(), options(steps=60, valid_interval=20, keep_best=2), tmp_path,
                      meta={"config": {"task": "toy"}})
    assert trainer.run() == 0
    losses = [r["loss"] for r in log_of(tmp_path, "train")]
    assert len(losses) == 15
    assert losses[-1] < 0.7 * losses[0]
    first = log_of(tmp_path, "train")[0]
    assert first["step"] == 4
    assert first["loss"] == pytest.approx(first["mse"])
    assert 0 < first["der"] < 1
    assert first["audio_rate"] == pytest.approx(first["example_rate"])
    ders = {r["step"]: r["der"] for r in log_of(tmp_path, "valid")}
    assert list(ders) == [20, 40, 60]
    assert trainer.progress.step == 60
    kept = sorted(ders, key=ders.get)[:2]
    assert [e["step"] for e in trainer.progress.best] == kept
    names = sorted(p.name for p in (tmp_path / "best").iterdir())
    assert names == sorted(f"valid_step{s:08d}.pth" for s in kept)
    state, meta = load_model(tmp_path / "best" / names[0])
    assert meta["config"] == {"task": "toy"}
    assert meta["der"] == pytest.approx(ders[meta["step"]])
    assert state["0.weight"].shape == (8, 4)
    assert average_best(tmp_path / "best", 5, tmp_path / "final.pth")[0]["step"] == kept[0]


@pytest.mark.parametrize("clip_norm", [0.0, 0.1])
def test_accumulation_is_one_large_batch(toy, options, weights, tmp_path, clip_norm):
    for parts in (1, 3):
        Trainer(toy.ToyTask(), options(accumulation=parts, clip_norm=clip_norm),
                tmp_path / str(parts)).run()
    assert_same(weights(tmp_path / "1"), weights(tmp_path / "3"), atol=1e-6)
    one, three = (log_of(tmp_path / d, "train")[-1] for d in ("1", "3"))
    for key in ("loss", "mse", "der", "grad_norm"):
        assert one[key] == pytest.approx(three[key], rel=1e-4), key


def test_workers_change_nothing(toy, options, weights, tmp_path):
    for count in (0, 2):
        Trainer(toy.ToyTask(dropout=0.5), options(num_workers=count), tmp_path / str(count)).run()
    assert_same(weights(tmp_path / "0"), weights(tmp_path / "2"))


def test_sigterm_finishes_the_step_and_the_same_command_goes_on(toy, options, weights, tmp_path):
    task = toy.ToyTask(dropout=0.5)
    loss = task.loss

    def interrupted(*args):
        task.calls += 1
        if task.calls == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(*args)

    task.loss = interrupted
    plan = options(valid_interval=3)
    before = signal.getsignal(signal.SIGTERM)
    trainer = Trainer(task, plan, tmp_path / "cut")
    assert trainer.run() == 143
    assert signal.getsignal(signal.SIGTERM) == before
    assert trainer.progress.step == 6
    assert trainer.progress.pending_validation
    assert Trainer(toy.ToyTask(dropout=0.5), plan, tmp_path / "cut").run() == 0
    assert Trainer(toy.ToyTask(dropout=0.5), plan, tmp_path / "whole").run() == 0
    assert_same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    cut, whole = (log_of(tmp_path / d, "valid") for d in ("cut", "whole"))
    assert [(r["step"], r["der"]) for r in cut] == [(r["step"], r["der"]) for r in whole]


def test_time_budget_validates_saves_and_counts_over_runs(toy, options, tmp_path):
    plan = options(steps=100_000, max_seconds=0.5)
    trainer = Trainer(toy.ToyTask(delay=0.005), plan, tmp_path)
    assert trainer.run() == 0
    assert 1 <= trainer.progress.step < 100
    assert trainer.progress.elapsed >= 0.5
    assert len(log_of(tmp_path, "valid")) == 1
    again = Trainer(toy.ToyTask(), plan, tmp_path)
    assert again.run() == 0
    assert again.progress.step == trainer.progress.step


def test_processor_time_is_a_budget_of_its_own(toy, options, tmp_path):
    """It counts neither waiting nor validation, and goes on from what was saved."""
    plan = options(steps=100_000, max_cpu_seconds=0.3, log_interval=1)
    trainer = Trainer(toy.ToyTask(delay=0.005), plan, tmp_path)
    assert trainer.run() == 0
    assert trainer.progress.cpu_elapsed >= 0.3
    lines = [r["cpu_elapsed"] for r in log_of(tmp_path, "train")]
    assert lines == sorted(lines)
    assert lines[-2] < 0.3 <= lines[-1] < trainer.progress.elapsed
    again = Trainer(toy.ToyTask(), plan, tmp_path)
    assert again.run() == 0
    assert again.progress.step == trainer.progress.step
    more = Trainer(toy.ToyTask(), options(steps=100_000, max_cpu_seconds=0.4), tmp_path)
    assert more.run() == 0
    assert more.progress.step > trainer.progress.step
    assert more.progress.cpu_elapsed >= 0.4


def test_more_steps_go_on_from_the_end(toy, options, tmp_path):
    plan = ScheduleOptions(name="constant")
    Trainer(toy.ToyTask(), options(schedule=plan), tmp_path).run()
    longer = Trainer(toy.ToyTask(), options(schedule=plan, steps=20), tmp_path)
    assert longer.run() == 0
    assert longer.progress.step == 20
    assert [r["step"] for r in log_of(tmp_path, "train")] == [4, 8, 12, 16, 20]


def test_other_settings_are_refused_with_their_names(toy, options, tmp_path):
    Trainer(toy.ToyTask(), options(), tmp_path, identity={"model": {"layers": 2}}).run()
    other = options(batch_size=4, num_workers=1, log_interval=1)
    with pytest.raises(DiarizeError, match=r"model\.layers: 2 -> 3; train\.batch_size: 8 -> 4\)"):
        Trainer(toy.ToyTask(), other, tmp_path, identity={"model": {"layers": 3}}).run()


def test_checkpoint_of_another_model_is_refused(toy, options, tmp_path):
    Trainer(toy.ToyTask(), options(), tmp_path).run()
    with pytest.raises(DiarizeError, match=r"last\.pth .*0\.weight is \(8, 4\), .* \(6, 4\)"):
        Trainer(toy.ToyTask(width=6), options(), tmp_path).run()


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_recording_is_one_line(toy, options, tmp_path, workers):
    task = toy.ToyTask(bad=41)
    with pytest.raises(DiarizeError) as caught:
        Trainer(task, options(num_workers=workers), tmp_path).run()
    assert str(caught.value) == "recording rec41: the file is truncated"


@pytest.mark.parametrize("where", ["example", "loss"])
def test_an_error_saves_the_last_finished_step_and_the_rerun_goes_on(
    toy, options, weights, tmp_path, where
):
    """Nothing was saved, and the rerun computed the same steps again."""
    task = toy.ToyTask(dropout=0.5, bad=41 if where == "example" else None)
    if where == "loss":
        loss = task.loss

        def failing(forward, batch, normalizers):
            if "rec41" in batch.names:
                raise RuntimeError("no kernel image")
            return loss(forward, batch, normalizers)

        task.loss = failing
    with pytest.raises((DiarizeError, RuntimeError)):
        Trainer(task, options(), tmp_path / "cut").run()
    assert load_model(tmp_path / "cut/last.pth")[1]["step"] == 5
    assert "after 5 steps" in log_of(tmp_path / "cut", "event")[-1]["text"]
    assert Trainer(toy.ToyTask(dropout=0.5), options(), tmp_path / "cut").run() == 0
    assert Trainer(toy.ToyTask(dropout=0.5), options(), tmp_path / "whole").run() == 0
    assert_same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_an_error_amid_an_update_saves_nothing(toy, options, tmp_path):
    task = toy.ToyTask()
    trainer = Trainer(task, options(save_interval=3), tmp_path)

    def torn(*_):
        raise RuntimeError("a device error")

    loss = task.loss

    def late(*args):
        task.calls += 1
        if task.calls == 5:
            torch.optim.AdamW.step = torn
        return loss(*args)

    task.loss, step = late, torch.optim.AdamW.step
    try:
        with pytest.raises(RuntimeError, match="device error"):
            trainer.run()
    finally:
        torch.optim.AdamW.step = step
    assert load_model(tmp_path / "last.pth")[1]["step"] == 3


def test_a_full_disk_at_the_rescue_does_not_hide_the_error(toy, options, tmp_path, monkeypatch):
    def full(*_):
        raise DiarizeError("cannot write last.pth: No space left on device")

    monkeypatch.setattr("diarize.train.trainer.save_training", full)
    with pytest.raises(DiarizeError, match="rec41"):
        Trainer(toy.ToyTask(bad=41), options(), tmp_path).run()
    assert "No space left" in log_of(tmp_path, "event")[-1]["text"]


def test_sigterm_ends_a_validation_at_its_next_batch(toy, options, weights, tmp_path):
    """It was waited for, and may take longer than a batch system does."""
    task = toy.ToyTask(dropout=0.5)
    validate, batches = task.validate, []

    def interrupted(forward, *args):
        def counted(x):
            batches.append(len(x))
            if len(batches) == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return forward(x)

        return validate(counted, *args)

    task.validate = interrupted
    plan = options(valid_interval=6)
    assert Trainer(task, plan, tmp_path / "cut").run() == 143
    assert len(batches) == 3
    assert log_of(tmp_path / "cut", "valid") == []
    for name in ("cut", "whole"):
        assert Trainer(toy.ToyTask(dropout=0.5), plan, tmp_path / name).run() == 0
    assert_same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    cut, whole = (log_of(tmp_path / d, "valid") for d in ("cut", "whole"))
    assert [(r["step"], r["der"]) for r in cut] == [(r["step"], r["der"]) for r in whole]


def test_loss_that_is_not_finite_names_the_recording_and_writes_nothing(toy, options, tmp_path):
    task = toy.ToyTask(nan=42)
    plan = options(accumulation=2, save_interval=1)
    with pytest.raises(DiarizeError, match=r"step 6: .* not finite for rec42;"):
        Trainer(task, plan, tmp_path).run()
    state, meta = load_model(tmp_path / "last.pth")
    assert meta["step"] == 5
    assert all(torch.isfinite(v).all() for v in state.values())
    for key, value in task.model.state_dict().items():
        assert torch.equal(value, state[key]), "the bad step must leave the weights alone"


def test_divergence_without_a_guilty_recording_names_the_batch(toy, options, tmp_path):
    task = toy.ToyTask()
    loss = task.loss

    def huge(forward, batch, normalizers):
        value, stats = loss(forward, batch, normalizers)
        return (value * float("inf"), stats) if len(batch.names) > 1 else (value, stats)

    task.loss = huge
    with pytest.raises(DiarizeError, match=r"batch of rec0, rec1, .*though it is for each alone"):
        Trainer(task, options(), tmp_path).run()
    assert not (tmp_path / "last.pth").exists()


def test_error_of_the_task_tells_the_step(toy, options, tmp_path):
    task = toy.ToyTask()

    def failing(*_):
        raise DiarizeError("recording rec3: the matching cost is not finite")

    task.loss = failing
    with pytest.raises(DiarizeError, match="training step 1: recording rec3"):
        Trainer(task, options(), tmp_path).run()


def test_bf16_autocast(toy, options, tmp_path):
    task = toy.ToyTask()
    kinds = set()
    task.model[0].register_forward_hook(lambda *args: kinds.add(args[-1].dtype))
    assert Trainer(task, options(precision="bf16"), tmp_path).run() == 0
    assert kinds == {torch.bfloat16}
    assert all(v.dtype == torch.float32 for v in task.model.state_dict().values())
    losses = [r["loss"] for r in log_of(tmp_path, "train")]
    assert losses[-1] < losses[0]


def test_compiled_training_is_the_same_and_validation_is_not_compiled(
    toy, options, weights, tmp_path, monkeypatch
):
    compiled = []

    def backend(graph, inputs):
        compiled.append(torch.is_grad_enabled())
        return graph.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: real(model, backend=backend))
    for name in ("plain", "compiled"):
        options_ = options(compile=name == "compiled", valid_interval=6)
        Trainer(toy.ToyTask(), options_, tmp_path / name).run()
    torch.compiler.reset()
    assert_same(weights(tmp_path / "plain"), weights(tmp_path / "compiled"), atol=1e-6)
    # Recordings to validate on have all lengths: each would be a compilation.
    assert compiled
    assert all(compiled)


def test_unwritable_directory(toy, options, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DiarizeError, match=r"cannot write .*file"):
        Trainer(toy.ToyTask(), options(), blocked / "exp").run()


def test_full_disk_leaves_the_last_checkpoint(toy, options, weights, tmp_path, monkeypatch):
    from diarize.train import checkpoint

    plan = options(save_interval=4, steps=8)
    Trainer(toy.ToyTask(), plan, tmp_path).run()
    before = weights(tmp_path)

    class Full:
        def __init__(self, handle):
            self.error = None

        def write(self, data):
            self.error = OSError(28, "No space left on device")
            raise self.error

        def flush(self):
            pass

    monkeypatch.setattr(checkpoint, "_Writer", Full)
    with pytest.raises(DiarizeError, match=r"cannot write .*No space left on device"):
        Trainer(toy.ToyTask(), options(save_interval=4), tmp_path).run()
    assert_same(weights(tmp_path), before)
    assert not list(tmp_path.glob(".last*"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_task_computes_outside_of_autocast(toy, options, tmp_path, precision):
    """In steps, in validation, and where a loss that is not finite is looked into."""
    task, seen = toy.ToyTask(nan=42), set()

    def watch(name):
        real = getattr(task, name)

        def watched(*args):
            seen.add((name, torch.is_autocast_enabled("cpu")))
            return real(*args)

        setattr(task, name, watched)

    for name in ("loss", "validate", "normalizers"):
        watch(name)
    with pytest.raises(DiarizeError, match="not finite for rec42"):
        Trainer(task, options(precision=precision, valid_interval=2), tmp_path).run()
    assert seen == {(name, False) for name in ("loss", "validate", "normalizers")}


@pytest.mark.parametrize("valid_interval", [0, 3], ids=["last step", "on the way"])
def test_a_validation_that_fails_loses_no_training(
    toy, options, weights, tmp_path, valid_interval
):
    """The same command validates first and goes on; it does not train again from step 0."""
    plan = options(valid_interval=valid_interval)
    task = toy.ToyTask(dropout=0.5)

    def failing(*_):
        raise TypeError("Got unsupported ScalarType BFloat16")

    validate, task.validate = task.validate, failing
    with pytest.raises(TypeError):
        Trainer(task, plan, tmp_path / "cut").run()
    stopped = valid_interval or plan.steps
    assert load_model(tmp_path / "cut/last.pth")[1]["step"] == stopped
    again = toy.ToyTask(dropout=0.5)
    steps, order = again.loss, []
    again.loss = lambda *args: order.append("step") or steps(*args)
    again.validate = lambda *args: order.append("validation") or validate(*args)
    assert Trainer(again, plan, tmp_path / "cut").run() == 0
    assert order[0] == "validation"
    assert order.count("step") == plan.steps - stopped
    assert Trainer(toy.ToyTask(dropout=0.5), plan, tmp_path / "whole").run() == 0
    assert_same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    cut, whole = (log_of(tmp_path / d, "valid") for d in ("cut", "whole"))
    assert [(r["step"], r["der"]) for r in cut] == [(r["step"], r["der"]) for r in whole]
