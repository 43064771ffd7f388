"""The criterion of EEND-EDA against a slow reference: all permutations, frame by frame."""

from itertools import permutations

import pytest
import torch
from plain import h, sigmoid, slow_bce

from diarize.errors import DiarizeError
from diarize.losses.eda import EdaCriterion, EdaCriterionOptions
from diarize.nn.outputs import QueryPredictions

COUNTS = [[2, 3, 1], [1, 0, 4], [5, 4, 2], [5, 5, 5]]
ATTRACTORS = 5


def make(counts, seed=0, frames=12, lengths=None):
    """Return predictions of 5 attractors and targets of recordings with ``counts`` speakers."""
    generator = torch.Generator().manual_seed(seed)
    batch = len(counts)
    lengths = torch.tensor(lengths or [frames] * batch)

    def randn(*size):
        return torch.randn(*size, generator=generator)

    targets = (randn(batch, frames, max(counts)) > 0).float()
    for b, count in enumerate(counts):
        targets[b, :, count:] = 0
        targets[b, lengths[b] :] = 0
    attractors, existence = randn(1, batch, ATTRACTORS, 4), randn(1, batch, ATTRACTORS)
    return QueryPredictions(randn(batch, frames, 4), attractors, existence, lengths), targets


def slow_loss(predictions, targets, counts, evaluated=None):
    """The loss of a batch: eq. (4) with the best of all permutations, and that of existence."""
    bce = frames = existence = taught = 0.0
    logits = predictions.mask_logits()[0]
    for b, count in enumerate(counts):
        inside = range(int(predictions.lengths[b]))
        if evaluated is not None:
            inside = [t for t in inside if evaluated[b, t]]
        if not inside:
            continue
        x, y = logits[b, list(inside)], targets[b, list(inside)]
        if count:
            bce += min(
                sum(slow_bce(x, y, n, s, len(inside)) for s, n in enumerate(order)) / count
                for order in permutations(range(count))
            )
            frames += len(inside)
        for n in range(min(count + 1, ATTRACTORS)):
            p = sigmoid(predictions.activity_logits[0, b, n])
            existence += h(p, 1.0 if n < count else 0.0)
            taught += 1
    return bce / frames, existence / taught


def found_loss(predictions, targets, counts, evaluated=None, **options):
    criterion = EdaCriterion(EdaCriterionOptions(**options))
    lengths = predictions.lengths if evaluated is None else evaluated.sum(1)
    normalizers = criterion.normalizers(lengths, counts, ATTRACTORS)
    return criterion.loss(predictions, targets, counts, normalizers, evaluated=evaluated)


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_that_of_the_best_permutation(counts, seed):
    predictions, targets = make(counts, seed, lengths=[12, 5, 9])
    total, stats = found_loss(predictions, targets, counts, existence=0.3)
    bce, existence = slow_loss(predictions, targets, counts)
    assert float(stats["bce"]) == pytest.approx(bce, abs=1e-5)
    assert float(stats["existence"]) == pytest.approx(existence, abs=1e-5)
    assert float(total) == pytest.approx(bce + 0.3 * existence, abs=1e-5)


def test_frames_that_are_not_evaluated_are_in_no_term():
    counts = [2, 3, 1]
    predictions, targets = make(counts, 1)
    evaluated = torch.rand(3, 12, generator=torch.Generator().manual_seed(2)) < 0.6
    evaluated[2] = False
    targets = targets * evaluated[..., None]
    _, stats = found_loss(predictions, targets, counts, evaluated)
    bce, existence = slow_loss(predictions, targets, counts, evaluated)
    assert float(stats["bce"]) == pytest.approx(bce, abs=1e-5)
    assert float(stats["existence"]) == pytest.approx(existence, abs=1e-5)


def test_the_loss_of_a_batch_is_the_sum_of_its_parts():
    """As in accumulation: the denominators of the whole, the loss of each part."""
    counts = [2, 3, 1, 0]
    predictions, targets = make(counts, 4, lengths=[12, 5, 9, 7])
    criterion = EdaCriterion(EdaCriterionOptions())
    normalizers = criterion.normalizers(predictions.lengths, counts, ATTRACTORS)
    whole, _ = criterion.loss(predictions, targets, counts, normalizers)
    total = 0.0
    for rows in ([0, 1], [2, 3]):
        part = QueryPredictions(
            predictions.frames[rows], predictions.mask_embeddings[:, rows],
            predictions.activity_logits[:, rows], predictions.lengths[rows],
        )
        own = [counts[b] for b in rows]
        total += float(criterion.loss(part, targets[rows, :, : max(own)], own, normalizers)[0])
    assert total == pytest.approx(float(whole), abs=1e-5)


def test_only_the_first_attractors_are_speakers():
    """The third one has the mask of the only speaker, and is not matched."""
    predictions, targets = make([1], frames=4)
    predictions.frames[0] = torch.eye(4)
    predictions.mask_embeddings.zero_()
    predictions.mask_embeddings[0, 0, 2] = 20 * (2 * targets[0, :, 0] - 1)
    _, stats = found_loss(predictions, targets, [1])
    assert float(stats["bce"]) == pytest.approx(0.6931, abs=1e-4)


def test_the_gradient_reaches_attractors_that_are_taught_and_no_others():
    predictions, targets = make([2, 3])
    for name in ("mask_embeddings", "activity_logits"):
        getattr(predictions, name).requires_grad_()
    found_loss(predictions, targets, [2, 3])[0].backward()
    masks = predictions.mask_embeddings.grad[0].abs().sum(-1) > 0
    assert masks.tolist() == [[True, True, False, False, False], [True, True, True, False, False]]
    exists = predictions.activity_logits.grad[0] != 0
    assert exists.tolist() == [[True, True, True, False, False], [True, True, True, True, False]]


def test_more_speakers_than_attractors_are_an_error():
    predictions, targets = make([6])
    with pytest.raises(DiarizeError, match=r"recording r has 6 speakers.* model.max_speakers"):
        EdaCriterion(EdaCriterionOptions()).loss(
            predictions, targets, [6], torch.ones(2), ["r"]
        )


def test_a_negative_weight_is_an_error():
    with pytest.raises(DiarizeError, match="existence"):
        EdaCriterionOptions(existence=-1.0)
