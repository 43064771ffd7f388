"""The terms of SAGE-LD against loops, and its criterion against brute force."""

import itertools
import math

import pytest
import torch
from plain import sigmoid, slow_mask_logits

from diarize.errors import DiarizeError
from diarize.losses import terms
from diarize.losses.language import (
    LanguageCriterion,
    LanguageCriterionOptions,
    frame_ids,
)
from diarize.nn.attention import length_mask
from diarize.nn.outputs import QueryPredictions

T, N, S = 9, 5, 3
LENGTHS = (9, 7, 4)
SLOTS = ((1.0, 0.5, 0.5), (1.0, 0.5, 0.5), (3.0, 0.3, 0.7))  # weight, FP, FN: VAD, matrix, embedded


def slow_focal(logits, targets, length, gamma, alpha=None):
    """Sum over frames of -alpha_t (1 - p_t)^gamma log p_t."""
    total = 0.0
    for t in range(length):
        p = sigmoid(logits[t])
        p_t = p if targets[t] > 0.5 else 1 - p
        weight = 1.0 if alpha is None else alpha if targets[t] > 0.5 else 1 - alpha
        total += -weight * (1 - p_t) ** gamma * math.log(p_t)
    return total


def slow_tversky(logits, targets, length, false_alarm, miss, exponent=0.75, smooth=1.0):
    tp = sum(sigmoid(logits[t]) * float(targets[t]) for t in range(length))
    fp = sum(sigmoid(logits[t]) * (1 - float(targets[t])) for t in range(length))
    fn = sum((1 - sigmoid(logits[t])) * float(targets[t]) for t in range(length))
    index = (tp + smooth) / (tp + false_alarm * fp + miss * fn + smooth)
    return (1 - index) ** exponent


def predictions(layers=2, dim=6, labels=None):
    torch.manual_seed(0)
    return QueryPredictions(
        frames=torch.randn(3, T, dim),
        mask_embeddings=torch.randn(layers, 3, N, dim),
        activity_logits=torch.randn(layers, 3, N),
        lengths=torch.tensor(LENGTHS),
        label_logits=None if labels is None else torch.randn(layers, 3, N, labels),
    )


def slots(counts=(3, 2, 1)):
    """VAD and ``counts`` - 1 languages that take turns; a single slot is silence."""
    targets = torch.zeros(3, T, S)
    for b, (count, length) in enumerate(zip(counts, LENGTHS, strict=True)):
        for t in range(length):
            if count > 1 and t % 4 < 3:
                targets[b, t, 0] = 1.0
                targets[b, t, 1 + (t % 3 == 1) * (count > 2)] = 1.0
    return targets, list(counts)


@pytest.mark.parametrize(("gamma", "alpha"), [(0.25, None), (2.0, 0.25), (0.0, None)])
def test_focal_is_lin_et_al_eq_5(gamma, alpha):
    logits, (targets, _) = predictions().mask_logits()[0], slots()
    valid = torch.stack([(torch.arange(T) < n).float() for n in LENGTHS])
    got = terms.pairwise_focal(logits, targets, valid, gamma, alpha)
    summed = 0.0
    weights = torch.tensor([[1.0, 1.0, 3.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    for b, length in enumerate(LENGTHS):
        for n, s in itertools.product(range(N), range(S)):
            slow = slow_focal(logits[b, :, n], targets[b, :, s], length, gamma, alpha)
            assert got[b, n, s].item() == pytest.approx(slow / length, abs=1e-5)
            summed += weights[b, s].item() * slow if n == s else 0.0
    matched = terms.matched_focal(logits[..., :S], targets, valid, weights, gamma, alpha)
    assert matched.item() == pytest.approx(summed, rel=1e-5)
    if gamma == 0.0:
        torch.testing.assert_close(got, terms.pairwise_bce(logits, targets, valid))


def test_focal_tversky_is_one_minus_the_index_to_the_exponent():
    logits, (targets, _) = predictions().mask_logits()[0], slots()
    valid = torch.stack([(torch.arange(T) < n).float() for n in LENGTHS])
    tversky = LanguageCriterion(LanguageCriterionOptions()).index(targets)
    got = terms.pairwise_focal_tversky(logits, targets, valid, tversky)
    summed = 0.0
    weights = torch.tensor([[1.0, 1.0, 3.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    for b, length in enumerate(LENGTHS):
        for n, s in itertools.product(range(N), range(S)):
            slow = slow_tversky(logits[b, :, n], targets[b, :, s], length, *SLOTS[s][1:])
            assert got[b, n, s].item() == pytest.approx(slow, abs=1e-5)
            summed += weights[b, s].item() * slow if n == s else 0.0
    matched = terms.matched_focal_tversky(logits[..., :S], targets, valid, weights, tversky)
    assert matched.item() == pytest.approx(summed, rel=1e-5)


def test_without_smoothing_exponent_and_bias_tversky_is_dice():
    logits, (targets, _) = predictions().mask_logits()[0], slots()
    valid = torch.ones(3, T)
    half = torch.full((S,), 0.5)
    dice = terms.pairwise_dice(logits, targets, valid)
    got = terms.pairwise_focal_tversky(
        logits, targets, valid, terms.Tversky(half, half, exponent=1.0, smooth=1e-12)
    )
    torch.testing.assert_close(got, dice, atol=1e-5, rtol=0)


def slow_loss(p, targets, counts, o, ids=None):
    """The criterion by loops over layers, recordings and all assignments of languages."""
    total = 0.0
    for layer in range(p.activity_logits.shape[0]):
        sums = dict.fromkeys(("focal", "tversky", "activity", "language_id"), 0.0)
        frames = slot_count = query_weight = named = 0.0
        for b, (count, length) in enumerate(zip(counts, LENGTHS, strict=True)):
            activity = p.activity_logits[layer, b]
            found = slow_mask_logits(p.frames[b], p.mask_embeddings[layer, b])
            logits = [[found[t, n] for t in range(length)] for n in range(N)]

            def focal(n, s, b=b, length=length, logits=logits):
                return SLOTS[s][0] * slow_focal(
                    logits[n], targets[b, :, s], length, o.focal_gamma
                )

            def tversky(n, s, b=b, length=length, logits=logits):
                loss = slow_tversky(logits[n], targets[b, :, s], length, *SLOTS[s][1:])
                return SLOTS[s][0] * loss

            def cost(phi, length=length, activity=activity, focal=focal, tversky=tversky):
                return sum(
                    o.focal * focal(n, s) / length
                    + o.tversky * tversky(n, s)
                    - o.activity * sigmoid(activity[n])
                    for s, n in enumerate(phi, 1)
                )

            phi = (0, *min(itertools.permutations(range(1, N), count - 1), key=cost))
            sums["focal"] += sum(focal(n, s) for s, n in enumerate(phi))
            sums["tversky"] += sum(tversky(n, s) for s, n in enumerate(phi))
            on = set(phi) if count > 1 else set()
            for n in range(N):
                p_n = sigmoid(activity[n])
                weight = 1.0 if n in on else 0.2
                sums["activity"] -= weight * math.log(p_n if n in on else 1 - p_n)
                query_weight += weight
            frames += length * count
            slot_count += count
            for s, n in enumerate(phi):
                if ids is not None and ids[b][s] >= 0:
                    scores = p.label_logits[layer, b, n].log_softmax(-1)
                    sums["language_id"] -= float(scores[ids[b][s]])
                    named += 1
        total += o.focal * sums["focal"] / frames + o.tversky * sums["tversky"] / slot_count
        total += o.activity * sums["activity"] / query_weight
        total += o.language_id * sums["language_id"] / max(named, 1.0)
    return total


@pytest.mark.parametrize(
    "options",
    [
        LanguageCriterionOptions(),
        LanguageCriterionOptions(tversky=0.0, focal_gamma=2.0),
        LanguageCriterionOptions(focal=0.0),
    ],
    ids=["both", "focal only", "tversky only"],
)
def test_loss_equals_brute_force(options):
    p, (targets, counts) = predictions(), slots()
    criterion = LanguageCriterion(options)
    normalizers = criterion.normalizers(p.lengths, counts, N)
    loss, stats = criterion.loss(p, targets, counts, normalizers)
    assert loss.item() == pytest.approx(slow_loss(p, targets, counts, options), rel=1e-5)
    assert set(stats) == {"focal", "tversky", "activity", "language_id", "frame_language_id"}
    assert stats["language_id"] == stats["frame_language_id"] == 0


def test_names_are_learnt_where_they_are_known():
    p, (targets, counts) = predictions(labels=4), slots()
    ids = torch.tensor([[-1, 2, -1], [-1, 0, -1], [-1, -1, -1]])
    options = LanguageCriterionOptions(language_id=2.0)
    criterion = LanguageCriterion(options)
    normalizers = criterion.normalizers(p.lengths, counts, N, ids)
    assert normalizers[3] == 2
    loss, _ = criterion.loss(p, targets, counts, normalizers, label_ids=ids)
    expected = slow_loss(p, targets, counts, options, ids.tolist())
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    p.label_logits.requires_grad_()
    loss, _ = criterion.loss(p, targets, counts, normalizers, label_ids=None)
    loss.backward()
    assert p.label_logits.grad.abs().sum() == 0  # no name known: the head only gets zeros


def test_frames_are_named_where_their_language_is_known():
    """The term against a loop; one prediction for all layers, so it counts once."""
    p, (targets, counts) = predictions(labels=4), slots()
    p.frame_label_logits = torch.randn(3, T, 4)
    ids = torch.tensor([[-1, 2, -1], [-1, 0, -1], [-1, -1, -1]])
    total, known = 0.0, 0
    for b, t, s in itertools.product(range(3), range(T), range(S)):
        if targets[b, t, s] > 0.5 and ids[b, s] >= 0:
            total -= float(p.frame_label_logits[b, t].log_softmax(-1)[ids[b, s]])
            known += 1
    assert known == int((frame_ids(targets, ids) >= 0).sum()) > 0

    def loss(weight):
        criterion = LanguageCriterion(LanguageCriterionOptions(frame_language_id=weight))
        normalizers = criterion.normalizers(p.lengths, counts, N, ids, targets)
        assert normalizers[4] == known
        return criterion.loss(p, targets, counts, normalizers, label_ids=ids)

    (without, _), (with_names, stats) = loss(0.0), loss(3.0)
    assert stats["frame_language_id"].item() == pytest.approx(total / known, rel=1e-5)
    assert (with_names - without).item() == pytest.approx(3 * total / known, rel=1e-4)


def test_vad_is_never_matched_otherwise():
    """However much better another query fits speech, query 0 is the one that is trained."""
    p, (targets, counts) = predictions(), slots()
    criterion = LanguageCriterion(LanguageCriterionOptions())
    cost = criterion.cost(p, p.mask_logits(), targets, length_mask(p.lengths, T)[None].float())
    matching = criterion.assign(cost, counts, None)
    assert (matching[..., 0] == 0).all()
    assert (matching[..., 1:] > 0).all()


def test_padding_batch_and_order_of_the_other_queries_do_not_change_the_loss():
    p, (targets, counts) = predictions(labels=3), slots()
    ids = torch.tensor([[-1, 2, 1], [-1, 0, -1], [-1, -1, -1]])
    criterion = LanguageCriterion(LanguageCriterionOptions())
    normalizers = criterion.normalizers(p.lengths, counts, N, ids)
    whole, _ = criterion.loss(p, targets, counts, normalizers, label_ids=ids)
    parts = 0.0
    for b, length in enumerate(LENGTHS):
        part = QueryPredictions(
            p.frames[b : b + 1, :length], p.mask_embeddings[:, b : b + 1],
            p.activity_logits[:, b : b + 1], p.lengths[b : b + 1],
            label_logits=p.label_logits[:, b : b + 1],
        )  # fmt: skip
        own, own_ids = targets[b : b + 1, :length, : counts[b]], ids[b : b + 1, : counts[b]]
        parts += criterion.loss(part, own, counts[b : b + 1], normalizers, label_ids=own_ids)[0]
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)

    def shuffled(order):
        return QueryPredictions(
            p.frames, p.mask_embeddings[:, :, order], p.activity_logits[:, :, order], p.lengths,
            label_logits=p.label_logits[:, :, order],
        )  # fmt: skip

    again, _ = criterion.loss(
        shuffled([0, 3, 1, 4, 2]), targets, counts, normalizers, label_ids=ids
    )
    torch.testing.assert_close(again, whole, rtol=0, atol=1e-5)
    other, _ = criterion.loss(
        shuffled([1, 0, 2, 3, 4]), targets, counts, normalizers, label_ids=ids
    )
    assert abs(other - whole) > 1e-3  # the place of the VAD query does matter


@pytest.mark.parametrize("case", ["embedded absent", "all silence", "one fills everything", "sure"])
def test_gradients_are_finite_in_degenerate_cases(case):
    p = predictions(labels=2)
    targets, counts = slots((2, 2, 2))
    if case == "all silence":
        targets, counts = torch.zeros(3, T, 1), [1, 1, 1]
    elif case == "one fills everything":
        targets, counts = torch.ones(3, T, 2), [2, 2, 2]
    scale = 300.0 if case == "sure" else 1.0
    p.mask_embeddings = (scale * p.mask_embeddings).requires_grad_()
    p.activity_logits = (scale * p.activity_logits).requires_grad_()
    p.frames.requires_grad_()
    p.label_logits.requires_grad_()
    p.frame_label_logits = torch.randn(3, T, 2, requires_grad=True)
    criterion = LanguageCriterion(LanguageCriterionOptions(frame_language_id=5.0))
    ids = torch.full((3, targets.shape[-1]), -1)
    normalizers = criterion.normalizers(p.lengths, counts, N, ids, targets)
    loss, stats = criterion.loss(p, targets, counts, normalizers, label_ids=ids)
    loss.backward()
    assert torch.isfinite(loss)
    heads = (p.label_logits, p.frame_label_logits)
    for tensor in (p.frames, p.mask_embeddings, p.activity_logits, *heads):
        assert torch.isfinite(tensor.grad).all()
    assert all(torch.isfinite(v) for v in stats.values())
    if case == "all silence":  # only the VAD's mask is drawn to 0, and no query is active
        assert p.mask_embeddings.grad[:, :, 0].abs().sum() > 0
        assert p.mask_embeddings.grad[:, :, 1:].abs().sum() == 0
        assert (p.activity_logits.grad > 0).all()


def test_perfect_masks_stay_finite():
    targets = torch.tensor([[[1.0], [0.0], [1.0]]])
    logits = (400.0 * (2 * targets - 1)).requires_grad_()
    one, half = torch.ones(1, 1), torch.tensor([0.5])
    valid = torch.ones(1, 3)
    loss = terms.matched_focal_tversky(logits, targets, valid, one, terms.Tversky(half, half))
    loss = loss + terms.matched_focal(logits, targets, valid, one, 0.25)
    loss.backward()
    assert loss < 1e-3
    assert torch.isfinite(logits.grad).all()


def test_too_many_languages_are_named():
    p = predictions()
    targets = torch.zeros(3, T, 6)
    criterion = LanguageCriterion(LanguageCriterionOptions())
    normalizers = criterion.normalizers(p.lengths, [6, 1, 1], N)
    message = r"recording a has 5 languages .* the model has 4 queries; raise decoder.queries"
    with pytest.raises(DiarizeError, match=message):
        criterion.loss(p, targets, [6, 1, 1], normalizers, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedded": -1.0}, "embedded must be 0 or more"),
        ({"focal": 0.0, "tversky": 0.0}, "both be 0"),
        ({"tversky_smooth": 0.0}, "must be above 0"),
        ({"focal_alpha": 1.5}, "focal_alpha"),
    ],
)
def test_options_refuse_nonsense(options, message):
    with pytest.raises(DiarizeError, match=message):
        LanguageCriterionOptions(**options)
