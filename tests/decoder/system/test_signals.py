"""Signals that go to a function for a while."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

import pytest

from nvrc_decoder.system.signals import ENDING, signals_to


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in ENDING]


def test_a_function_takes_signals_for_a_while() -> None:
    before, taken = handlers(), []

    def take(number: int, frame: FrameType | None) -> None:
        taken.append(number)

    def fail() -> None:
        with signals_to(take, lambda own: True):
            for number in ENDING:
                os.kill(os.getpid(), number)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert taken == list(ENDING)
    assert handlers() == before


def test_handlers_that_are_not_meant_stay() -> None:
    before = handlers()
    with signals_to(lambda number, frame: None, lambda own: own is signal.default_int_handler):
        meant = [own is signal.default_int_handler for own in before]
        assert [now is not own for now, own in zip(handlers(), before, strict=True)] == meant
    assert any(meant)


def test_other_threads_leave_handlers_alone() -> None:
    before, seen = handlers(), []

    def body() -> None:
        with signals_to(lambda number, frame: None, lambda own: True):
            seen.append(handlers())

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [before]
