"""Learning rates against their formulas and torch, options, seeds."""

import copy

import pytest
import torch

from diarize.config import from_dict
from diarize.errors import DiarizeError
from diarize.train.checkpoint import TrainingProgress, load_training, save_training
from diarize.train.optim import learning_rate, make_optimizer, seed_torch
from diarize.train.options import OptimizerOptions, ScheduleOptions, TrainOptions, fingerprint


def rates(steps, **schedule):
    options = TrainOptions(
        steps=steps, optimizer=OptimizerOptions(lr=1e-4), schedule=ScheduleOptions(**schedule)
    )
    return [learning_rate(options, s) for s in range(steps)]


@pytest.mark.parametrize(("steps", "pct_start"), [(100, 0.3), (37, 0.1), (10, 0.5)])
def test_onecycle_is_that_of_torch(steps, pct_start):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1e-4, total_steps=steps, pct_start=pct_start, div_factor=10,
        final_div_factor=100, cycle_momentum=False,
    )
    ours = rates(steps, pct_start=pct_start, div_factor=10, final_div_factor=100)
    for step in range(steps):
        assert ours[step] == pytest.approx(schedule.get_last_lr()[0], rel=1e-9, abs=1e-15)
        optimizer.step()
        if step + 1 < steps:
            schedule.step()


def test_constant_with_and_without_warmup():
    assert rates(5, name="constant") == [1e-4] * 5
    assert rates(6, name="constant", warmup_steps=4) == pytest.approx(
        [0.25e-4, 0.5e-4, 0.75e-4, 1e-4, 1e-4, 1e-4])


def test_threephase_goes_up_holds_and_comes_down():
    lr = rates(101, name="threephase")
    assert lr[0] == pytest.approx(5e-6)
    assert lr[5] == pytest.approx((5e-6 + 1e-4) / 2)
    assert lr[10] == pytest.approx(1e-4)
    assert lr[70] == pytest.approx(1e-4)
    assert lr[85] == pytest.approx((5e-6 + 1e-4) / 2)
    assert lr[100] == pytest.approx(5e-6)


def test_noam_is_that_of_the_transformer_paper():
    """Equation (3) of Vaswani et al. 2017 for 256 units and 5 steps of warm-up."""
    peak = 256**-0.5 * 5**-0.5
    options = TrainOptions(steps=40, optimizer=OptimizerOptions(lr=peak),
                           schedule=ScheduleOptions(name="noam", warmup_steps=5))  # fmt: skip
    found = [learning_rate(options, step) for step in range(40)]
    wanted = [256**-0.5 * min(n**-0.5, n * 5**-1.5) for n in range(1, 41)]
    assert found == pytest.approx(wanted)
    with pytest.raises(DiarizeError, match="warmup_steps"):
        TrainOptions(schedule=ScheduleOptions(name="noam"))


@pytest.mark.parametrize("name", ["onecycle", "constant", "threephase"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_very_short_trainings_have_a_rate(name, steps):
    assert all(0 < lr <= 1e-4 for lr in rates(steps, name=name))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"steps": 0}, "steps must be 1 or more, not 0"),
        ({"batch_size": 2, "accumulation": 3}, "batch_size must be accumulation"),
        ({"precision": "fp16"}, "precision must be one of auto, fp32, bf16, not 'fp16'"),
        ({"schedule": {"name": "cosine"}}, "schedule: name must be one of"),
        ({"schedule": {"warmup_part": 0.8}}, r"warmup_part \+ hold_part must be between 0 and 1"),
        ({"optimizer": {"betas": [0.9, 1.0]}}, "optimizer: betas must be two numbers"),
        ({"optimizer": {"name": "sgd"}}, "optimizer: name must be one of adamw, muon"),
        ({"optimizer": {"muon_ratio": 0}}, "optimizer: muon_ratio must be above 0"),
        ({"max_seconds": 0}, "max_seconds must be above 0"),
        ({"stepz": 3}, "did you mean 'steps'"),
    ],
)
def test_options_that_make_no_sense_are_refused(section, message):
    with pytest.raises(DiarizeError, match=message):
        from_dict(TrainOptions, section, "conf/train.yaml: train")


def test_fingerprint_holds_what_changes_the_weights():
    base = fingerprint(TrainOptions(), {"model": {"width": 4}})
    assert base["model.width"] == 4
    assert base["train.optimizer.betas"] == [0.9, 0.999]
    free = TrainOptions(steps=5, num_workers=3, log_interval=1, threads=2, max_seconds=1.0)
    assert fingerprint(free, {"model": {"width": 4}}) == base
    assert fingerprint(TrainOptions(seed=1), {"model": {"width": 4}}) != base


def test_adamw_without_weight_decay_on_trainable_weights_only():
    model = torch.nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    optimizer = make_optimizer(model, OptimizerOptions(), torch.device("cpu"))
    assert isinstance(optimizer, torch.optim.AdamW)
    (group,) = optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(model.weight)]
    assert group["weight_decay"] == 0.0
    model.weight.requires_grad_(False)
    with pytest.raises(DiarizeError, match="no trainable parameter"):
        make_optimizer(model, OptimizerOptions(), torch.device("cpu"))


def small_model():
    torch.manual_seed(0)
    return torch.nn.ModuleDict({
        "hidden": torch.nn.Linear(6, 4), "head": torch.nn.Linear(6, 1),
        "queries": torch.nn.Embedding(5, 6), "conv": torch.nn.Conv1d(6, 6, 3),
    })


def set_gradients(model, seed):
    torch.manual_seed(seed)
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight)


MUON = OptimizerOptions(name="muon", lr=0.01, muon_ratio=3.0)


def test_muon_takes_the_matrices_of_linear_layers_and_adamw_the_rest():
    model = small_model()
    optimizer = make_optimizer(model, MUON, torch.device("cpu"))
    matrices, others = optimizer.param_groups
    assert [id(p) for p in matrices["params"]] == [id(model["hidden"].weight)]
    assert len(others["params"]) == 6
    assert (matrices["lr_ratio"], matrices["weight_decay"]) == (3.0, 0.0)

    before = {k: v.clone() for k, v in model.state_dict().items()}
    set_gradients(model, 1)
    gradient = model["hidden"].weight.grad.clone()
    for group in optimizer.param_groups:
        group["lr"] = 0.01 * group.get("lr_ratio", 1.0)
    optimizer.step()
    step = (before["hidden.weight"] - model["hidden"].weight).detach()
    u, _, v = torch.linalg.svd(gradient, full_matrices=False)
    # All singular values near 1, times the rate, times 0.2 sqrt(larger side).
    sizes = torch.diagonal(u.T @ step @ v.T) / (0.03 * 0.2 * 6**0.5)
    assert ((sizes > 0.6) & (sizes < 1.3)).all()
    # AdamW's first step is the rate in every weight.
    moved = (before["conv.weight"] - model["conv"].weight).abs()
    assert torch.allclose(moved, torch.full_like(moved, 0.01), rtol=1e-3)


def test_muon_goes_on_from_its_saved_state_bit_by_bit(tmp_path):
    whole, cut = small_model(), small_model()
    one = make_optimizer(whole, MUON, torch.device("cpu"))
    two = make_optimizer(cut, MUON, torch.device("cpu"))
    for step in range(4):
        if step == 2:
            last = tmp_path / "last.pth"
            save_training(last, cut.state_dict(), two, TrainingProgress(fingerprint={}), {})
            cut = small_model()
            two = make_optimizer(cut, MUON, torch.device("cpu"))
            load_training(last, cut, two, {})
        for model, optimizer in ((whole, one), (cut, two)):
            set_gradients(model, step)
            for group in optimizer.param_groups:
                group["lr"] = 0.01 / (step + 1)
            optimizer.step()
            optimizer.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), cut.parameters(), strict=True))


def test_muon_without_matrices_and_without_anything_else():
    for model in (torch.nn.Conv1d(2, 2, 3), torch.nn.Linear(3, 2, bias=False)):
        optimizer = make_optimizer(model, MUON, torch.device("cpu"))
        set_gradients(model, 0)
        before = model.weight.clone()
        optimizer.step()
        assert not torch.equal(before, model.weight)


def test_seeds_differ_by_every_number_and_stay_the_same():
    drawn = []
    for numbers in ((0, 1, 2), (0, 2, 1), (1, 1, 2), (0, 12), (0, 1, 2)):
        seed_torch(*numbers)
        drawn.append(torch.rand(1).item())
    assert len(set(drawn)) == 4
    assert drawn[0] == drawn[4]


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_nothing_changes_where_found_inf_is_set(name):
    model = small_model()
    options = OptimizerOptions(name=name, lr=0.01, weight_decay=0.1)
    optimizer = make_optimizer(model, options, torch.device("cpu"))
    set_gradients(model, 0)
    optimizer.found_inf = torch.zeros(())
    optimizer.step()
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    kept = copy.deepcopy(optimizer.state_dict()["state"])
    for weight in model.parameters():
        weight.grad.fill_(torch.nan)
    optimizer.found_inf = torch.ones(())
    optimizer.step()
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    for number, state in optimizer.state_dict()["state"].items():
        assert all(torch.equal(v, kept[number][k]) for k, v in state.items())
    set_gradients(model, 1)
    optimizer.found_inf = torch.zeros(())
    optimizer.step()
    assert all(not torch.equal(v, weights[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_pretrained_front_end_has_a_learning_rate_of_its_own(name):
    model = small_model()
    model["features"] = torch.nn.Linear(3, 3)
    model["features"].pretrained = True
    options = OptimizerOptions(name=name, lr=0.01, muon_ratio=3.0, pretrained_ratio=0.1)
    optimizer = make_optimizer(model, options, torch.device("cpu"))
    ratios = {
        id(p): group.get("lr_ratio", 1.0) for group in optimizer.param_groups
        for p in group["params"]
    }  # fmt: skip
    assert len(ratios) == len(list(model.parameters()))
    own = {id(p) for p in model["features"].parameters()}
    assert {ratio for key, ratio in ratios.items() if key in own} == {0.1}
    others = {1.0, 3.0} if name == "muon" else {1.0}
    assert {ratio for key, ratio in ratios.items() if key not in own} == others
