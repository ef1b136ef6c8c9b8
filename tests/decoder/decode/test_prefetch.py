"""One item ahead: order, errors, and how the thread ends."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator

import pytest
from waiting import PATIENCE, wait_until

from nvrc_decoder.decode.prefetch import Cancelled, Check, Prefetch
from nvrc_decoder.errors import InvalidStreamError

pytestmark = pytest.mark.usefixtures("no_thread_left")


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "nvrc-prefetch"]


def test_items_come_in_order_and_end() -> None:
    prefetch = Prefetch(lambda check: iter(range(100)))
    assert list(prefetch) == list(range(100))
    assert list(prefetch) == []
    prefetch.stop()


def test_one_item_ahead_and_no_more() -> None:
    begun: list[int] = []
    third = threading.Event()

    def produce(check: Check) -> Iterator[int]:
        for i in range(5):
            begun.append(i)
            if i == 2:
                third.set()
            yield i

    prefetch = Prefetch(produce)
    assert next(prefetch) == 0
    assert not third.wait(0.05)
    assert begun in ([0], [0, 1])
    assert next(prefetch) == 1
    assert third.wait(PATIENCE)
    assert begun == [0, 1, 2]
    prefetch.stop()


def test_an_error_has_the_place_of_its_item() -> None:
    def produce(check: Check) -> Iterator[int]:
        yield 1
        raise InvalidStreamError("E_CRC", "made for this test", unit="GOP 1")

    prefetch = Prefetch(produce)
    assert next(prefetch) == 1
    with pytest.raises(InvalidStreamError) as caught:
        next(prefetch)
    assert (caught.value.code, caught.value.unit) == ("E_CRC", "GOP 1")
    with pytest.raises(StopIteration):
        next(prefetch)
    prefetch.stop()


def test_any_exception_comes_out() -> None:
    class Panic(BaseException):
        pass

    def produce(check: Check) -> Iterator[int]:
        raise Panic
        yield

    prefetch = Prefetch(produce)
    with pytest.raises(Panic):
        next(prefetch)
    prefetch.stop()


def test_stop_ends_the_thread_at_any_point() -> None:
    Prefetch(lambda check: iter(range(5))).stop()
    started = threading.Event()

    def produce(check: Check) -> Iterator[int]:
        while True:
            check()
            started.set()
        yield

    prefetch = Prefetch(produce)
    assert started.wait(PATIENCE)
    prefetch.stop()
    prefetch.stop()
    assert threads() == []
    with pytest.raises(StopIteration):
        next(prefetch)


def test_the_thread_waits_for_its_turn() -> None:
    rounds = 0

    def produce(check: Check) -> Iterator[int]:
        nonlocal rounds
        while True:
            check()
            rounds += 1
            time.sleep(0)
        yield 0

    prefetch = Prefetch(produce)
    for _ in range(3):
        later = rounds + 5
        wait_until(lambda: rounds >= later)  # noqa: B023
        with prefetch.turn:
            before = rounds
            time.sleep(0.02)
            # One may have been under way.
            assert rounds <= before + 1
    with pytest.raises(KeyError), prefetch.turn:
        raise KeyError
    later = rounds + 5
    wait_until(lambda: rounds >= later)
    prefetch.stop()


def test_taken_items_are_released() -> None:
    class Grid:
        pass

    def produce(check: Check) -> Iterator[Grid]:
        for _ in range(3):
            yield Grid()

    prefetch = Prefetch(produce)
    first = weakref.ref(next(prefetch))
    next(prefetch)
    gc.collect()
    assert first() is None
    prefetch.stop()


@pytest.mark.parametrize("refused", [False, True])
def test_without_a_thread_items_are_made_on_demand(refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def produce(check: Check) -> Iterator[int]:
        for i in range(3):
            check()
            made.append(i)
            yield i

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    prefetch = Prefetch(produce, ahead=refused)
    for i in range(2):
        assert next(prefetch) == i
        assert made == list(range(i + 1))
    prefetch.stop()
    assert list(prefetch) == []
    assert made == [0, 1]


def test_cancelled_is_no_error() -> None:
    assert not issubclass(Cancelled, Exception)


def test_stopping_wakes_what_the_thread_waits_for() -> None:
    woken = threading.Event()

    def produce(check: Check) -> Iterator[int]:
        assert woken.wait(PATIENCE)
        check()
        yield 1

    prefetch = Prefetch(produce, on_stop=woken.set)
    prefetch.stop()
    assert list(prefetch) == []


def test_an_item_made_after_stopping_is_discarded() -> None:
    may_go = threading.Event()

    def produce(check: Check) -> Iterator[int]:
        assert may_go.wait(PATIENCE)
        yield 1

    prefetch = Prefetch(produce)
    prefetch.stop(patience=0.01)
    may_go.set()
    prefetch.stop()
    assert list(prefetch) == []


def test_an_error_keeps_nothing_alive() -> None:
    class User:
        """Who iterates."""

    def produce(check: Check) -> Iterator[int]:
        raise InvalidStreamError("E_CRC", "made for this test")
        yield

    user = User()
    user.prefetch = Prefetch(produce)  # type: ignore[attr-defined]
    alive = weakref.ref(user)
    with pytest.raises(InvalidStreamError):
        next(user.prefetch)  # type: ignore[attr-defined]
    user.prefetch.stop()  # type: ignore[attr-defined]
    gc.disable()
    try:
        del user
        assert alive() is None
    finally:
        gc.enable()
