"""Work in a few threads: every item once, results in order, errors, and no thread that outlives it."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from nvrc_decoder.system.threads import InOrder, each

PATIENCE = 30.0


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_each_item_is_worked_on_once() -> None:
    for threads in (1, 2, 5):
        done: list[int] = []
        each(done.append, range(100), threads)
        assert sorted(done) == list(range(100))
    each(done.append, [], 3)


def test_the_first_error_comes_out_when_nobody_works_any_more() -> None:
    working = threading.Semaphore(0)

    def work(item: int) -> None:
        if item == 0:
            raise KeyError(item)
        working.release()

    before = threading.active_count()
    with pytest.raises(KeyError):
        each(work, range(1000), 4)
    assert threading.active_count() == before


def test_fewer_threads_than_wanted_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    each(done.append, range(9), 4)
    assert done == list(range(9))
    assert list(InOrder(str, range(9), 4)) == list("012345678")


@pytest.mark.parametrize("at_once", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_come_in_the_order_of_their_items(at_once: int, count: int) -> None:
    ends = [threading.Event() for _ in range(count + 1)]

    def work(item: int) -> int:
        # With several at once, the second of a pair ends first.
        if at_once > 1 and item % 2 == 0 and item + 1 < count:
            assert ends[item + 1].wait(PATIENCE)
        ends[item].set()
        return 10 * item

    assert list(InOrder(work, range(count), at_once)) == [10 * item for item in range(count)]


def test_one_more_item_is_asked_for_than_are_worked_on() -> None:
    asked = []

    def items() -> Iterator[int]:
        for item in range(9):
            asked.append(item)
            yield item

    results = InOrder(lambda item: item, items(), 3)
    assert asked == []
    for item in range(9):
        assert next(results) == item
        # One is ready for the thread that is free next.
        assert asked == list(range(min(item + 4, 9)))
    assert list(results) == []


def test_items_can_be_begun_before_a_result_is_asked_for() -> None:
    asked = []

    def items() -> Iterator[int]:
        for item in range(5):
            asked.append(item)
            yield item

    results = InOrder(str, items(), 3)
    for most, begun in ((0, 0), (1, 1), (1, 1), (2, 2), (9, 3), (9, 3)):
        results.begin(most)
        assert asked == list(range(begun + 1))
        assert len(results._begun) == begun
    assert list(results) == list("01234")
    results.begin(3)
    assert list(results) == []
    alone = InOrder(str, items(), 1)
    asked.clear()
    alone.begin(1)
    assert asked == []
    assert list(alone) == list("01234")
    empty = InOrder(str, iter(()), 2)
    empty.begin(2)
    assert list(empty) == []


@pytest.mark.parametrize("at_once", [1, 3])
def test_what_is_entered_to_ask_for_an_item_is_left_before_it_is_worked_on(at_once: int) -> None:
    asking = threading.Lock()

    def items() -> Iterator[int]:
        for item in range(5):
            assert asking.locked()
            yield item
        assert asking.locked()

    def work(item: int) -> int:
        # Another item may be asked for meanwhile, but not by whoever waits for this one.
        assert asking.acquire(timeout=PATIENCE)
        asking.release()
        return item

    @contextlib.contextmanager
    def entered() -> Iterator[None]:
        with asking:
            yield

    results = InOrder(work, items(), at_once)
    results.asking = entered
    assert list(results) == list(range(5))
    assert not asking.locked()


@pytest.mark.parametrize("at_once", [1, 3])
def test_after_closing_there_is_nothing_more(at_once: int) -> None:
    results = InOrder(str, range(9), at_once)
    results.begin(2)
    results.close()
    results.begin(2)
    assert list(results) == []


def test_an_error_comes_in_the_place_of_its_result() -> None:
    results = InOrder(lambda item: 6 // (3 - item), range(9), 2)
    assert [next(results) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_closing_waits_for_what_was_begun() -> None:
    begun, ended = [], []

    def work(item: int) -> int:
        begun.append(item)
        if item:
            may_end.wait(PATIENCE)
        ended.append(item)
        return item

    may_end = threading.Event()
    results = InOrder(work, range(9), 3)
    assert next(results) == 0
    threading.Timer(0.05, may_end.set).start()
    results.close()
    assert sorted(ended) == sorted(begun) == [0, 1, 2, 3]


@pytest.mark.parametrize("at_once", [1, 4])
def test_an_item_that_cannot_be_had_is_an_error_in_its_place(at_once: int) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise KeyError("the sixth")

    results = InOrder(str, items(), at_once)
    assert [next(results) for _ in range(5)] == list("01234")
    with pytest.raises(KeyError, match="the sixth"):
        next(results)


def test_garbage_may_be_collected_by_a_thread_that_it_waits_for() -> None:
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
    cycle.results = InOrder(work, items(cycle), 3)  # type: ignore[attr-defined]
    assert next(cycle.results) == 0  # type: ignore[attr-defined]
    unraisable: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda found: unraisable.append(found.exc_value)
    try:
        del cycle
        may_collect.set()
        assert ended.wait(PATIENCE)
        while any(thread.name == "nvrc-frame" for thread in threading.enumerate()):
            time.sleep(0.01)
    finally:
        sys.unraisablehook = before
    assert unraisable == []
