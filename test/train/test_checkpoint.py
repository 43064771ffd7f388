"""Files with weights: what they hold, what is refused, which are kept."""

import resource

import pytest
import torch
from torch import nn

from diarize.errors import DiarizeError
from diarize.train.checkpoint import (
    BestList,
    TrainingProgress,
    load_model,
    load_training,
    load_weights,
    lock_directory,
    save_model,
    save_training,
)


def make_model(width=3):
    return nn.ModuleDict({"backbone": nn.Linear(2, width), "head": nn.Linear(width, 1)})


def test_model_file_round_trip(tmp_path):
    model = make_model()
    save_model(tmp_path / "m.pth", model.state_dict(), {"config": {"a": [1, 2]}})
    state, meta = load_model(tmp_path / "m.pth")
    assert meta["config"] == {"a": [1, 2]}
    assert "version" in meta
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + bytes(100)])
def test_broken_file_is_named(tmp_path, content):
    path = tmp_path / "last.pth"
    path.write_bytes(content)
    with pytest.raises(DiarizeError, match=r"last\.pth is damaged"):
        load_model(path)


def test_cut_file_is_named(tmp_path):
    path = tmp_path / "m.pth"
    save_model(path, make_model().state_dict(), {})
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DiarizeError, match=r"m\.pth is damaged"):
        load_model(path)


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(DiarizeError, match=r"cannot read .*no\.pth: No such file"):
        load_model(tmp_path / "no.pth")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(DiarizeError, match=r"other\.pth is no model file of this package"):
        load_model(tmp_path / "other.pth")


def test_load_weights_of_one_module_leaves_the_rest(tmp_path):
    source, target = make_model(), make_model()
    head = target["head"].weight.clone()
    save_model(tmp_path / "m.pth", source.state_dict(), {})
    load_weights(tmp_path / "m.pth", target, ["backbone"])
    assert torch.equal(target["backbone"].weight, source["backbone"].weight)
    assert torch.equal(target["head"].weight, head)
    load_weights(tmp_path / "m.pth", target)
    assert torch.equal(target["head"].weight, source["head"].weight)


def test_load_weights_lists_what_differs(tmp_path):
    source = make_model().state_dict()
    source["backbone.scale"] = source.pop("backbone.bias")
    save_model(tmp_path / "m.pth", source, {})
    with pytest.raises(DiarizeError) as caught:
        load_weights(tmp_path / "m.pth", make_model(4), ["backbone"])
    text = str(caught.value)
    assert "missing backbone.bias (4)" in text
    assert "unexpected backbone.scale (3)" in text
    assert "backbone.weight is (3, 2), the model needs (4, 2)" in text
    assert "head" not in text
    with pytest.raises(DiarizeError, match=r"no module 'back'; it has backbone, head"):
        load_weights(tmp_path / "m.pth", make_model(), ["back"])


def test_training_does_not_go_on_from_bare_weights(tmp_path):
    model = make_model()
    save_model(tmp_path / "m.pth", model.state_dict(), {})
    with pytest.raises(DiarizeError, match="contains weights only"):
        load_training(tmp_path / "m.pth", model, torch.optim.AdamW(model.parameters()), {})


def test_training_state_round_trip(tmp_path):
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model["head"](model["backbone"](torch.ones(1, 2))).sum().backward()
    optimizer.step()
    progress = TrainingProgress(7, [{"step": 5, "der": 12.5}], 3.5, 2.5, True, {"train.seed": 1})
    save_training(tmp_path / "last.pth", model.state_dict(), optimizer, progress, {})
    other = make_model()
    again = torch.optim.AdamW(other.parameters(), lr=0.2)
    assert load_training(tmp_path / "last.pth", other, again, {"train.seed": 1}) == progress
    assert again.param_groups[0]["lr"] == 0.2, "settings are those of this run"
    mine, theirs = optimizer.state_dict()["state"], again.state_dict()["state"]
    assert all(torch.equal(mine[i]["exp_avg"], theirs[i]["exp_avg"]) for i in mine)


def test_best_list_keeps_the_lowest_and_the_later_of_equals(tmp_path):
    best = BestList(tmp_path, 2, [])
    state = make_model().state_dict()
    kept = [best.add(step, der, state, {}) for step, der in
            [(1, 30.0), (2, 20.0), (3, 25.0), (4, 40.0), (5, 20.0), (6, float("nan"))]]
    assert kept == [True, True, True, False, True, False]
    assert [e["step"] for e in best.entries] == [5, 2]
    assert len(list(tmp_path.iterdir())) == 4, "nothing is removed before the list is saved"
    best.prune()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "valid_step00000002.pth", "valid_step00000005.pth"]


def test_file_too_large_is_a_clear_error_and_the_old_file_stays(tmp_path):
    path = tmp_path / "m.pth"
    save_model(path, make_model().state_dict(), {"n": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(DiarizeError, match=r"cannot write .*m\.pth: File too large"):
            save_model(path, {"w": torch.zeros(100_000)}, {"n": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert load_model(path)[1]["n"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["m.pth"]


def test_lock_is_given_back(tmp_path):
    with lock_directory(tmp_path / "exp"):
        pass
    with lock_directory(tmp_path / "exp"):
        pass
