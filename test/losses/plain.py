"""The paper's loss terms as loops over frames, in Python floats: slow references of the tests."""

import math


def sigmoid(x):
    return 1 / (1 + math.exp(-float(x)))


def h(p, q):
    """H(p, q) under eq. (9)."""
    return -q * math.log(p) - (1 - q) * math.log(1 - p)


def slow_bce(logits, targets, n, s, length, smoothing=0.0):
    """Sum of H over the frames, of query n and speaker s; logits (T, N), targets (T, S)."""
    return sum(
        h(sigmoid(logits[t, n]), float(targets[t, s]) * (1 - smoothing) + smoothing / 2)
        for t in range(length)
    )


def slow_dice(logits, targets, n, s, length):
    """The summand of eq. (10)."""
    both = sum(sigmoid(logits[t, n]) * float(targets[t, s]) for t in range(length))
    total = sum(sigmoid(logits[t, n]) + float(targets[t, s]) for t in range(length))
    return 1 - 2 * both / total


def slow_mask_logits(frames, embeddings):
    """The mask logits of eq. (2), nested lists (T, N) as a dictionary of (t, n)."""
    return {
        (t, n): sum(float(x) * float(y) for x, y in zip(frame, embedding, strict=True))
        for t, frame in enumerate(frames)
        for n, embedding in enumerate(embeddings)
    }
