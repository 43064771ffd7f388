"""Inference for a set of recordings; audio is decoded in advance."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing

import numpy as np

from diarize.errors import DiarizeError
from diarize.infer.predictor import Posteriors, Predictor
from diarize.infer.recording import Recording
from diarize.infer.threads import Prefetcher
from diarize.io.audio import AudioSource

# For a GPU, which is faster than the decoding in one thread.
_GPU_BATCH_SECONDS = 1200.0
_GPU_THREADS = 4
_GPU_AHEAD, _CPU_AHEAD = 3600.0, 300.0


def plan_batches(seconds: Sequence[float], limit: float) -> list[list[int]]:
    """Return batches of recordings as lists of indices, shortest recording first.

    The padded length of a batch is at most ``limit`` seconds; a longer recording is alone.

    >>> plan_batches([5.0, 2.0, 30.0, 4.0], 10.0)
    [[1, 3], [0], [2]]
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(seconds)), key=seconds.__getitem__):
        if batches and (len(batches[-1]) + 1) * seconds[index] <= limit:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


# Called with the name of a recording and its fault, instead of an end with the first fault.
Failed = Callable[[str, DiarizeError], None]
AudioInput = AudioSource | np.ndarray


def predict_all(
    predictor: Predictor, sources: Mapping[str, AudioInput], failed: Failed | None = None
) -> Iterator[tuple[Recording, Posteriors]]:
    """Yield each recording with its posteriors; in input order unless they are batched.

    ``sources`` are audio sources, or samples (n,) at the rate of the model.  The DiarizeError of
    a recording, as in `Recording` and `Predictor`, is passed to ``failed``, and the others
    follow; it is raised without ``failed``.
    """
    with ThreadPoolExecutor(_GPU_THREADS if predictor.device.type == "cuda" else 2) as pool:
        yield from _predict_all(predictor, sources, failed or _raise, pool)


def _raise(name: str, err: DiarizeError) -> None:
    raise err


def _predict_all(
    predictor: Predictor, sources: Mapping[str, AudioInput], failed: Failed, pool: Executor
) -> Iterator[tuple[Recording, Posteriors]]:
    on_gpu = predictor.device.type == "cuda"
    names = list(sources)

    def load(batch: list[int]) -> tuple[list[Recording], list[tuple[str, DiarizeError]]]:
        opened, faults = [], []
        for name in (names[i] for i in batch):
            try:
                if len(batch) == 1:
                    ahead = _GPU_AHEAD if on_gpu else _CPU_AHEAD
                    opened.append(Recording(name, sources[name], predictor.grid, pool, ahead))
                else:
                    whole = Recording(name, sources[name], predictor.grid).all_samples()
                    opened.append(Recording(name, whole, predictor.grid))
            except DiarizeError as err:
                faults.append((name, err))
        return opened, faults

    with closing(Prefetcher(pool, load, _batches(predictor, sources), 2)) as loaded:
        for recordings, faults in loaded:
            for fault in faults:
                failed(*fault)
            with ExitStack() as stack:
                for recording in recordings:
                    stack.callback(recording.close)
                yield from _predict(predictor, recordings, failed)


def _predict(
    predictor: Predictor, recordings: list[Recording], failed: Failed
) -> Iterator[tuple[Recording, Posteriors]]:
    """Yield the recordings of a batch; if it fails, they are computed one by one."""
    if not recordings:
        return
    try:
        found = predictor.predict_batch(recordings)
    except DiarizeError as err:
        if len(recordings) == 1:
            failed(recordings[0].name, err)
            return
        for recording in recordings:
            yield from _predict(predictor, [recording], failed)
        return
    yield from zip(recordings, found, strict=True)


def _batches(predictor: Predictor, sources: Mapping[str, AudioInput]) -> list[list[int]]:
    """Return the batches of recordings as lists of indices."""
    limit = predictor.options.batch_seconds
    if limit is None:
        limit = _GPU_BATCH_SECONDS if predictor.device.type == "cuda" else 0.0
    rate = predictor.grid.sample_rate
    lengths = [_known_seconds(source, rate) for source in sources.values()] if limit > 0 else []
    if not lengths or any(map(math.isnan, lengths)):
        return [[i] for i in range(len(sources))]
    return plan_batches(lengths, min(limit, _seconds_that_fit(predictor)))


def _known_seconds(source: AudioInput, rate: int) -> float:
    """Return the length in seconds: NaN of a pipe, inf if it cannot be read (it is alone)."""
    if isinstance(source, np.ndarray):
        return len(source) / rate
    if source.is_pipe:
        return math.nan
    try:
        return source.info().duration
    except DiarizeError:
        return math.inf


def _seconds_that_fit(predictor: Predictor) -> float:
    """Return the seconds of recordings in a batch that fits into the memory limit."""
    free = predictor.limit - predictor.base_bytes
    minute = predictor.grid.to_frame(60.0)
    return 60.0 * max(0, free) / predictor.sizes.whole(minute)
