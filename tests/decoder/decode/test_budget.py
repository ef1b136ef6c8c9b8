"""The memory budget: who is admitted, who waits, and that nobody waits for ever."""

from __future__ import annotations

import threading

import pytest

from nvrc_decoder.decode.budget import Budget, Reservation
from nvrc_decoder.decode.prefetch import Cancelled

PATIENCE = 30.0


class Waiter:
    """A thread that reserves bytes."""

    def __init__(self, budget: Budget, shared: int, own: int) -> None:
        self.reservations: list[Reservation] = []
        self.cancelled = False
        self._thread = threading.Thread(target=self._run, args=(budget, shared, own))
        self._thread.start()

    def _run(self, budget: Budget, shared: int, own: int) -> None:
        try:
            self.reservations.append(budget.reserve(shared, own)[0])
        except Cancelled:
            self.cancelled = True

    def waits(self) -> bool:
        self._thread.join(0.05)
        return self._thread.is_alive()

    def done(self) -> bool:
        self._thread.join(PATIENCE)
        return not self._thread.is_alive()


def test_a_gop_is_admitted_alone_whatever_its_size() -> None:
    reservation, beside = Budget(10).reserve(100, 1000)
    assert (reservation.shared, reservation.own, beside) == (100, 1000, True)


def test_shared_bytes_count_once() -> None:
    budget = Budget(100)
    first, _ = budget.reserve(60, 20)
    assert budget.reserve(50, 20)[1]
    assert len(budget.in_flight) == 2
    waiter = Waiter(budget, 60, 1)
    assert waiter.waits()
    first.release()
    assert waiter.done()


def test_a_gop_that_shrinks_makes_way() -> None:
    budget = Budget(100)
    first, _ = budget.reserve(10, 80)
    waiter = Waiter(budget, 10, 20)
    assert waiter.waits()
    first.change(70)
    assert waiter.done()
    assert waiter.reservations[0] in budget.in_flight


def test_a_gop_that_grows_never_waits() -> None:
    budget = Budget(100)
    first, _ = budget.reserve(10, 40)
    second, _ = budget.reserve(10, 40)
    first.change(1000)
    second.release()
    second.release()
    assert budget.in_flight == {first}


def test_what_synthesis_retains_is_told() -> None:
    budget = Budget(100)
    budget.reserve(90, 5)[0].release()
    reservation, beside = budget.reserve(20, 15)
    assert not beside
    reservation.release()
    assert budget.reserve(20, 80)[1]


def test_closing_ends_all_waiting() -> None:
    budget = Budget(10)
    budget.reserve(0, 10)
    waiter = Waiter(budget, 0, 1)
    assert waiter.waits()
    budget.close()
    assert waiter.done()
    assert waiter.cancelled
    with pytest.raises(Cancelled):
        budget.reserve(0, 0)


def test_a_forked_process_does_not_touch_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(10)
    reservation, _ = budget.reserve(1, 2)
    monkeypatch.setattr("os.getpid", lambda: -1)
    with budget.changed:  # as a thread of the parent may have left it
        done = threading.Thread(target=lambda: (reservation.change(3), reservation.release(), budget.close()))
        done.start()
        done.join(PATIENCE)
        assert not done.is_alive()
    assert reservation.own == 2
