"""Threads beside the network: input is loaded ahead of it, output written behind it."""

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
    """The results of ``load`` for each of ``items``, in order, ``depth`` of them begun early.

    The first ones are handed to ``pool`` at once, each further one when a result is taken.
    An error is raised where its result is asked for.
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
        """Begin nothing more."""
        self._items = iter(())
        while self._begun:
            self._begun.popleft().cancel()


class BackgroundWriter(Generic[T]):
    """Calls ``work`` with each item that is put, in order, in a thread of its own.

    At most ``depth`` items wait.  In a ``with`` block; at its end everything is done, and
    an error of ``work`` is raised there or at the next ``put``, whichever is first.  Where
    the block ends by an error, what still waits is dropped.
    """

    def __init__(self, work: Callable[[T], None], depth: int = 4) -> None:
        self._work = work
        self._queue: queue.Queue[T | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._dropped = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def put(self, item: T) -> None:
        """Hand over ``item``; waits where too many are under way."""
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
