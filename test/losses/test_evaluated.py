"""Losses of partly annotated recordings: those of their annotated frames alone."""

from dataclasses import replace

import pytest
import torch

from diarize.losses.criterion import Criterion, CriterionOptions
from diarize.losses.language import LanguageCriterion, LanguageCriterionOptions
from diarize.nn.outputs import QueryPredictions

T, N, S, D = 24, 5, 3, 6
LENGTHS = (24, 17, 20, 9)


def predictions(seed, languages=None):
    torch.manual_seed(seed)
    batch = len(LENGTHS)
    return QueryPredictions(
        frames=torch.randn(batch, T, D, requires_grad=True),
        mask_embeddings=torch.randn(3, batch, N, D),
        activity_logits=torch.randn(3, batch, N),
        lengths=torch.tensor(LENGTHS),
        label_logits=None if languages is None else torch.randn(3, batch, N, languages),
        frame_label_logits=None if languages is None else torch.randn(batch, T, languages),
    )


def known_frames(seed):
    """Stretches of each recording, nothing of the last; False at padding."""
    torch.manual_seed(seed + 100)
    known = (torch.rand(len(LENGTHS), T // 3) > 0.5).repeat_interleave(3, 1)
    known[:, 3:5] = True
    known[-1] = False
    return known & (torch.arange(T) < torch.tensor(LENGTHS)[:, None])


def cut_out(p, b, known):
    """The predictions of recording b in its annotated frames alone."""
    return replace(
        p,
        frames=p.frames[b : b + 1, known[b]],
        mask_embeddings=p.mask_embeddings[:, b : b + 1],
        activity_logits=p.activity_logits[:, b : b + 1],
        lengths=known[b : b + 1].sum(1),
        label_logits=None if p.label_logits is None else p.label_logits[:, b : b + 1],
        frame_label_logits=(
            None if p.frame_label_logits is None else p.frame_label_logits[b : b + 1, known[b]]
        ),
    )


def speakers(seed, known):
    torch.manual_seed(seed + 200)
    counts = [3, 1, 2, 0]
    targets = (torch.rand(len(LENGTHS), T, S) > 0.5) & known[..., None]
    for b, count in enumerate(counts):
        targets[b, :, count:] = False
    return targets.float(), counts, None


def languages(seed, known):
    """VAD and languages that take turns, of which some have a number."""
    torch.manual_seed(seed + 300)
    counts = [3, 2, 1, 1]
    targets = torch.zeros(len(LENGTHS), T, S)
    for b, count in enumerate(counts):
        slot = torch.randint(1, count, (T,)) if count > 1 else torch.zeros(T, dtype=torch.long)
        spoken = (torch.rand(T) > 0.2) & known[b] & (slot > 0)
        targets[b, :, 0] = spoken.float()
        targets[b, spoken, slot[spoken]] = 1.0
    ids = torch.tensor([[-1, 2, 0], [-1, -1, -1], [-1, -1, -1], [-1, -1, -1]])
    ids[1, 1] = 1
    return targets, counts, ids


SPEAKER = [
    CriterionOptions(label_smoothing=0.1, mask_label_smoothing=0.05),
    CriterionOptions(dice=0.0),
    CriterionOptions(bce=0.0),
]
LANGUAGE = [
    LanguageCriterionOptions(frame_language_id=2.0, focal_alpha=0.3, focal_gamma=2.0),
    LanguageCriterionOptions(tversky=0.0),
    LanguageCriterionOptions(focal=0.0),
]


@pytest.mark.parametrize("options", [*SPEAKER, *LANGUAGE])
@pytest.mark.parametrize("seed", range(4))
def test_the_loss_is_that_of_the_annotated_frames_cut_out(options, seed):
    """Every term; a recording without any counts in none, as if it were not in the batch."""
    known = known_frames(seed)
    if isinstance(options, CriterionOptions):
        criterion, p, more = Criterion(options), predictions(seed), {}
        targets, counts, ids = speakers(seed, known)
    else:
        criterion, p = LanguageCriterion(options), predictions(seed, 4)
        targets, counts, ids = languages(seed, known)
        more = {"label_ids": ids}

    def denominators(rows, lengths, own):
        extra = () if ids is None else (ids[rows], own)
        return criterion.normalizers(lengths, [counts[b] for b in rows], N, *extra)

    parts = [b for b in range(len(LENGTHS)) if known[b].any()]
    assert len(parts) == 3
    normalizers = sum(
        denominators([b], known[b : b + 1].sum(1), targets[b : b + 1, known[b]]) for b in parts
    )
    everything = list(range(len(LENGTHS)))
    whole = denominators(everything, known.sum(1), targets)
    torch.testing.assert_close(whole, normalizers, rtol=0, atol=1e-12)

    loss, stats = criterion.loss(p, targets, counts, whole, evaluated=known, **more)
    (gradient,) = torch.autograd.grad(loss, p.frames)
    total, terms = 0.0, dict.fromkeys(stats, 0.0)
    for b in parts:
        extra = {} if ids is None else {"label_ids": ids[b : b + 1]}
        part, found = criterion.loss(
            cut_out(p, b, known), targets[b : b + 1, known[b]], counts[b : b + 1], normalizers,
            **extra,
        )
        total += part
        terms = {name: terms[name] + found[name] for name in terms}
    torch.testing.assert_close(loss, total, rtol=1e-5, atol=1e-5)
    for name, value in stats.items():
        torch.testing.assert_close(value, torch.as_tensor(terms[name]), rtol=1e-5, atol=1e-5)
    assert gradient[~known].abs().max() == 0
    assert gradient[known].abs().max() > 0


@pytest.mark.parametrize("seed", range(3))
def test_masks_over_all_frames_change_no_bit(seed):
    p = predictions(seed)
    inside = torch.arange(T) < torch.tensor(LENGTHS)[:, None]
    targets, counts, _ = speakers(seed, inside)
    criterion = Criterion(CriterionOptions())
    normalizers = criterion.normalizers(p.lengths, counts, N)
    assert torch.equal(normalizers, criterion.normalizers(inside.sum(1), counts, N))
    plain, _ = criterion.loss(p, targets, counts, normalizers)
    masked, _ = criterion.loss(p, targets, counts, normalizers, evaluated=inside)
    assert torch.equal(plain, masked)


def test_a_batch_without_an_annotated_frame_has_no_loss():
    for criterion, count in (
        (Criterion(CriterionOptions()), 0),
        (LanguageCriterion(LanguageCriterionOptions()), 1),
    ):
        p = predictions(0)
        nothing = torch.zeros(len(LENGTHS), T, dtype=torch.bool)
        counts = [count] * len(LENGTHS)
        normalizers = criterion.normalizers(nothing.sum(1), counts, N)
        assert normalizers.abs().max() == 0
        targets = torch.zeros(len(LENGTHS), T, count)
        loss, _ = criterion.loss(p, targets, counts, normalizers, evaluated=nothing)
        assert loss == 0
