"""Work in a few threads: every item once, results in order, errors, and no thread that outlives it."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pytest

from nvrc_decoder.system.threads import each, run_in_order

PATIENCE = 30.0


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def results(work: Callable[[int], object], items: Iterable[int], workers: int) -> Iterator[object]:
    return run_in_order((partial(work, item) for item in items), workers)


def test_each_item_is_worked_on_once() -> None:
    for threads in (1, 2, 5):
        done: list[int] = []
        each(done.append, range(100), threads)
        assert sorted(done) == list(range(100))
    each(done.append, [], 3)


def test_the_first_error_is_raised_after_all_work() -> None:
    working = threading.Semaphore(0)

    def work(item: int) -> None:
        if item == 0:
            raise KeyError(item)
        working.release()

    before = threading.active_count()
    with pytest.raises(KeyError):
        each(work, range(1000), 4)
    assert threading.active_count() == before


def test_work_is_done_where_no_thread_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    each(done.append, range(9), 4)
    assert done == list(range(9))
    assert list(results(str, range(9), 4)) == list("012345678")


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_have_the_order_of_their_jobs(workers: int, count: int) -> None:
    ends = [threading.Event() for _ in range(count + 1)]

    def work(item: int) -> int:
        # With several workers, the second of a pair ends first.
        if workers > 1 and item % 2 == 0 and item + 1 < count:
            assert ends[item + 1].wait(PATIENCE)
        ends[item].set()
        return 10 * item

    assert list(results(work, range(count), workers)) == [10 * item for item in range(count)]


@pytest.mark.parametrize("workers", [1, 3])
def test_one_job_is_taken_ahead_of_the_workers(workers: int) -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(9):
            taken.append(item)
            yield item

    made = results(lambda item: item, items(), workers)
    assert taken == []
    for item in range(9):
        assert next(made) == item
        assert taken == list(range(min(item + (workers + 1 if workers > 1 else 1), 9)))
    assert list(made) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_has_the_place_of_its_result(workers: int) -> None:
    made = results(lambda item: 6 // (3 - item), range(9), workers)
    assert [next(made) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(made)
    assert list(made) == []


@pytest.mark.parametrize("workers", [1, 4])
def test_a_job_that_cannot_be_taken_is_an_error(workers: int) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise KeyError("the sixth")

    with pytest.raises(KeyError, match="the sixth"):
        list(results(str, items(), workers))


def test_closing_waits_for_running_jobs() -> None:
    begun, ended = [], []

    def work(item: int) -> int:
        begun.append(item)
        if item:
            may_end.wait(PATIENCE)
        ended.append(item)
        return item

    may_end = threading.Event()
    made = results(work, range(9), 3)
    assert next(made) == 0
    threading.Timer(0.05, may_end.set).start()
    made.close()  # type: ignore[attr-defined]
    assert sorted(ended) == sorted(begun) == [0, 1, 2, 3]
    assert list(made) == []


def test_garbage_may_be_collected_in_a_worker() -> None:
    class Cycle:
        """Keeps the results, and is kept by them."""

    def work(item: int) -> int:
        if item == 2:
            assert may_collect.wait(PATIENCE)
            gc.collect()
        return item

    def items(kept: Cycle) -> Iterator[int]:
        try:
            yield from range(9)
        finally:
            assert kept
            ended.set()

    may_collect, ended = threading.Event(), threading.Event()
    cycle = Cycle()
    cycle.results = results(work, items(cycle), 3)  # type: ignore[attr-defined]
    assert next(cycle.results) == 0  # type: ignore[attr-defined]
    unraisable: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda found: unraisable.append(found.exc_value)
    try:
        del cycle
        may_collect.set()
        assert ended.wait(PATIENCE)
        for thread in threading.enumerate():
            if thread.name == "nvrc-frame":
                thread.join(PATIENCE)
    finally:
        sys.unraisablehook = before
    assert unraisable == []
