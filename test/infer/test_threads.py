"""What runs beside the network keeps its order, its bounds and its errors."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from diarize.infer.threads import BackgroundWriter, Prefetcher


def test_ahead_keeps_the_order_and_begins_no_more_than_asked():
    begun = []

    def load(item):
        begun.append(item)
        time.sleep(0.01 * (3 - item % 3))  # later items are ready first
        return item * item

    with ThreadPoolExecutor(4) as pool:
        ahead = Prefetcher(pool, load, range(10), 3)
        assert next(ahead) == 0
        time.sleep(0.1)
        assert sorted(begun) == [0, 1, 2, 3]
        assert list(ahead) == [i * i for i in range(1, 10)]
        assert list(ahead) == []


def test_ahead_raises_where_the_result_is_asked_for():
    def load(item):
        if item == 2:
            raise ValueError("item 2")
        return item

    with ThreadPoolExecutor(2) as pool:
        ahead = Prefetcher(pool, load, range(5), 4)
        assert [next(ahead), next(ahead)] == [0, 1]
        with pytest.raises(ValueError, match="item 2"):
            next(ahead)
        ahead.close()
        assert list(ahead) == []


def test_behind_does_everything_in_order_in_one_other_thread():
    done = []

    def work(item):
        done.append((item, threading.current_thread()))

    with BackgroundWriter(work, depth=2) as behind:
        for item in range(20):
            behind.put(item)
    assert [item for item, _ in done] == list(range(20))
    assert {thread for _, thread in done} != {threading.current_thread()}
    assert len({thread for _, thread in done}) == 1


def test_an_error_behind_is_raised_in_front():
    def work(item):
        raise OSError(f"no space for {item}")

    def put(count):
        with BackgroundWriter(work, depth=1) as behind:
            for item in range(count):
                behind.put(item)

    for count in (1, 100):
        with pytest.raises(OSError, match="no space for 0"):
            put(count)


def test_an_error_in_front_ends_the_work_behind():
    done = []

    def work(item):
        time.sleep(0.05)
        done.append(item)

    def put():
        with BackgroundWriter(work) as behind:
            for item in range(3):
                behind.put(item)
            raise KeyError

    with pytest.raises(KeyError):
        put()
    assert len(done) <= 1
