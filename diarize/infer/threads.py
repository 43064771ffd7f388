"""Threads that load input in advance and write output while the network runs."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Prefetcher(Generic[R]):
    """Results of ``load`` for each of ``items``, in order, with ``depth`` calls in advance.

    The first calls are submitted to ``pool`` at once, each further one when a result is read.
    An error of ``load`` is raised when its result is read.
    """

    def __init__(
        self, pool: Executor, load: Callable[[T], R], items: Iterable[T], depth: int
    ) -> None:
        self._pool, self._load, self._items = pool, load, iter(items)
        self._begun: deque[Future[R]] = deque()
        for _ in range(max(1, depth)):
            self._begin()

    def _begin(self) -> None:
        for item in self._items:
            self._begun.append(self._pool.submit(self._load, item))
            return

    def __iter__(self) -> Iterator[R]:
        return self

    def __next__(self) -> R:
        if not self._begun:
            raise StopIteration
        result = self._begun.popleft().result()
        self._begin()
        return result

    def close(self) -> None:
        """Submit no further calls."""
        self._items = iter(())
        while self._begun:
            self._begun.popleft().cancel()


class BackgroundWriter(Generic[T]):
    """Queue whose items are passed to ``work``, in order, in a separate thread.

    At most ``depth`` items wait.  Used in a ``with`` block, whose end waits for all items.  An
    error of ``work`` is raised there or at the next ``put``, whichever is first.  If the block
    ends by an error, waiting items are dropped.
    """

    def __init__(self, work: Callable[[T], None], depth: int = 4) -> None:
        self._work = work
        self._queue: queue.Queue[T | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._dropped = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def put(self, item: T) -> None:
        """Add ``item``; blocks while the queue is full."""
        self._raise()
        self._queue.put(item)

    def __enter__(self) -> "BackgroundWriter[T]":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dropped = kind is not None
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is None and not self._dropped:
                try:
                    self._work(item)
                except BaseException as err:  # raised in the thread that puts
                    self._error = err
