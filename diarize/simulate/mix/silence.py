"""Digital silence in utterances: samples of exactly zero, which are not labelled as speech."""

import logging

import numpy as np

from diarize.simulate.mix.store import AudioStore, Entry

_LOG = logging.getLogger(__name__)
_MIN_SECONDS = 0.5  # shorter runs of zeros occur in speech, and at the edges of its files


def silent_edges(
    store: AudioStore, entries: list[Entry], rows: np.ndarray, where: object
) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples of digital silence at the beginning and the end of utterances, int64 (n,).

    ``rows`` (n, 3) are the number of the source in ``entries``, the first sample, and the length of
    each utterance.  Only runs of at least half a second count, and utterances without any other
    sample, whose beginning is all of them.  If there are any, one warning that begins with
    ``where`` states their number and length.
    """
    unique, index = np.unique(rows, axis=0, return_inverse=True)
    edges = np.zeros((len(unique), 2), dtype=np.int64)
    for edge, (source, first, length) in zip(edges, unique.tolist(), strict=True):
        samples = store.samples(entries[source], first, first + length)
        if samples[0] != 0 and samples[-1] != 0:
            continue
        sounding = np.flatnonzero(samples)
        edge[:] = (sounding[0], length - 1 - sounding[-1]) if len(sounding) else (length, 0)
    rate = store.sample_rate
    edges[(edges < _MIN_SECONDS * rate) & (edges < unique[:, 2:])] = 0
    found = edges.any(axis=1)
    if found.any():
        whole = edges[:, 0] == unique[:, 2]
        _LOG.warning(
            "%s: %d of %d utterances are digital silence and %d begin or end with it: "
            "%.1f s are not labelled as speech", where, whole.sum(), len(unique),
            (found & ~whole).sum(), edges.sum() / rate,
        )  # fmt: skip
    return tuple(edges[index.reshape(-1)].T)
