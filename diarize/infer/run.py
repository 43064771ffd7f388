"""Inference for a set of recordings; audio is decoded in advance."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing

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


def predict_all(
    predictor: Predictor, sources: Mapping[str, AudioSource]
) -> Iterator[tuple[Recording, Posteriors]]:
    """Yield each recording with its posteriors; in input order unless they are batched.

    Raises DiarizeError, naming the recording, as `Recording` and `Predictor` do.
    """
    with ThreadPoolExecutor(_GPU_THREADS if predictor.device.type == "cuda" else 2) as pool:
        yield from _predict_all(predictor, sources, pool)


def _predict_all(
    predictor: Predictor, sources: Mapping[str, AudioSource], pool: Executor
) -> Iterator[tuple[Recording, Posteriors]]:
    on_gpu = predictor.device.type == "cuda"
    limit = predictor.options.batch_seconds
    if limit is None:
        limit = _GPU_BATCH_SECONDS if on_gpu else 0.0
    names = list(sources)
    batches = [[i] for i in range(len(names))]
    if limit > 0 and not any(source.is_pipe for source in sources.values()):
        lengths = [source.info().duration for source in sources.values()]
        batches = plan_batches(lengths, min(limit, _seconds_that_fit(predictor)))

    def load(batch: list[int]) -> list[Recording]:
        if len(batch) == 1:
            ahead = _GPU_AHEAD if on_gpu else _CPU_AHEAD
            name = names[batch[0]]
            return [Recording(name, sources[name], predictor.grid, pool, ahead)]
        chosen = [names[i] for i in batch]
        opened = [Recording(name, sources[name], predictor.grid) for name in chosen]
        return [Recording(r.name, r.all_samples(), predictor.grid) for r in opened]

    with closing(Prefetcher(pool, load, batches, 2)) as loaded:
        for recordings in loaded:
            with ExitStack() as stack:
                for recording in recordings:
                    stack.callback(recording.close)
                found = predictor.predict_batch(recordings)
                yield from zip(recordings, found, strict=True)


def _seconds_that_fit(predictor: Predictor) -> float:
    """Return the seconds of recordings in a batch that fits into the memory limit."""
    free = predictor.limit - predictor.base_bytes
    minute = predictor.grid.to_frame(60.0)
    return 60.0 * max(0, free) / predictor.sizes.whole(minute)
