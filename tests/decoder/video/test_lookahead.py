"""One item ahead: order, errors, and how the thread ends."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from nvrc_decoder.decode.lookahead import Cancelled, Inline, Lookahead, Pace
from nvrc_decoder.errors import InvalidStreamError

PATIENCE = 30.0


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "nvrc-lookahead"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert threads() == []


def test_items_come_in_order_and_end() -> None:
    lookahead = Lookahead(lambda pace: iter(range(100)))
    assert list(lookahead) == list(range(100))
    assert list(lookahead) == []
    lookahead.stop()


def test_one_item_ahead_and_no_more() -> None:
    begun: list[int] = []
    third = threading.Event()

    def produce(pace: Pace) -> Iterator[int]:
        for i in range(5):
            begun.append(i)
            if i == 2:
                third.set()
            yield i

    lookahead = Lookahead(produce)
    assert next(lookahead) == 0
    assert not third.wait(0.05)
    assert begun in ([0], [0, 1])
    assert next(lookahead) == 1
    assert third.wait(PATIENCE)
    assert begun == [0, 1, 2]
    lookahead.stop()


def test_an_item_that_is_there_can_be_taken_without_waiting() -> None:
    may_go = threading.Event()
    offered = threading.Semaphore(0)

    def produce(pace: Pace) -> Iterator[int]:
        yield 0
        assert may_go.wait(PATIENCE)
        offered.release()
        yield 1
        offered.release()
        raise InvalidStreamError("E_CRC", "made for this test")

    lookahead = Lookahead(produce)
    assert next(lookahead) == 0
    assert lookahead.take() is None
    may_go.set()
    assert offered.acquire(timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while (item := lookahead.take()) is None:
        assert time.monotonic() < deadline
    assert item == 1
    # The thread goes on with the item after it. What is no item is left for where it belongs.
    assert offered.acquire(timeout=PATIENCE)
    lookahead._thread.join(PATIENCE)
    assert lookahead.take() is None
    with pytest.raises(InvalidStreamError):
        next(lookahead)
    assert lookahead.take() is None
    lookahead.stop()


def test_who_waits_for_idleness_is_not_deceived_by_taking() -> None:
    idle = threading.Event()

    def produce(pace: Pace) -> Iterator[int]:
        yield 0
        yield 1
        pace.wait_idle()
        idle.set()
        yield 2

    lookahead = Lookahead(produce)
    assert next(lookahead) == 0
    deadline = time.monotonic() + PATIENCE
    while lookahead.take() is None:
        assert time.monotonic() < deadline
    assert lookahead.take() is None
    assert not idle.wait(0.05)
    assert next(lookahead) == 2
    assert idle.is_set()
    lookahead.stop()


def test_an_error_comes_where_the_item_would_have_come() -> None:
    def produce(pace: Pace) -> Iterator[int]:
        yield 1
        raise InvalidStreamError("E_CRC", "made for this test", unit="GOP 1")

    lookahead = Lookahead(produce)
    assert next(lookahead) == 1
    with pytest.raises(InvalidStreamError) as caught:
        next(lookahead)
    assert (caught.value.code, caught.value.unit) == ("E_CRC", "GOP 1")
    with pytest.raises(StopIteration):
        next(lookahead)
    lookahead.stop()


def test_any_exception_comes_out() -> None:
    class Panic(BaseException):
        pass

    def produce(pace: Pace) -> Iterator[int]:
        raise Panic
        yield

    lookahead = Lookahead(produce)
    with pytest.raises(Panic):
        next(lookahead)
    lookahead.stop()


def test_stop_while_an_item_waits_and_while_one_is_made() -> None:
    Lookahead(lambda pace: iter(range(5))).stop()
    started = threading.Event()

    def produce(pace: Pace) -> Iterator[int]:
        while True:
            pace.check()
            started.set()
        yield

    lookahead = Lookahead(produce)
    assert started.wait(PATIENCE)
    lookahead.stop()
    lookahead.stop()
    assert threads() == []
    with pytest.raises(StopIteration):
        next(lookahead)


def test_waiting_until_the_last_item_is_done_with() -> None:
    ready = threading.Event()

    def produce(pace: Pace) -> Iterator[str]:
        yield "first"
        pace.wait_idle()
        ready.set()
        yield "second"

    lookahead = Lookahead(produce)
    assert next(lookahead) == "first"
    assert not ready.wait(0.05)
    assert next(lookahead) == "second"
    assert ready.is_set()
    lookahead.stop()


def test_stop_while_it_waits_for_the_last_item() -> None:
    def produce(pace: Pace) -> Iterator[int]:
        yield 1
        pace.wait_idle()
        yield 2

    lookahead = Lookahead(produce)
    assert next(lookahead) == 1
    lookahead.stop()


def test_the_thread_rests_when_it_is_told_to() -> None:
    rounds = 0

    def produce(pace: Pace) -> Iterator[int]:
        nonlocal rounds
        while True:
            pace.check()
            rounds += 1
            time.sleep(0)
        yield 0

    def wait_for(more: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while rounds < more:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    lookahead = Lookahead(produce)
    for _ in range(3):
        wait_for(rounds + 5)
        with lookahead.resting():
            before = rounds
            time.sleep(0.02)
            # One may have been under way.
            assert rounds <= before + 1
    with pytest.raises(KeyError), lookahead.resting():
        raise KeyError
    wait_for(rounds + 5)
    with lookahead.resting():
        lookahead.stop()
        assert threads() == []


def test_taken_items_are_let_go() -> None:
    class Grid:
        pass

    def produce(pace: Pace) -> Iterator[Grid]:
        for _ in range(3):
            yield Grid()

    lookahead = Lookahead(produce)
    first = weakref.ref(next(lookahead))
    next(lookahead)
    gc.collect()
    assert first() is None
    lookahead.stop()


def test_inline_never_waits() -> None:
    Inline().check()
    Inline().wait_idle()
    assert not issubclass(Cancelled, Exception)
