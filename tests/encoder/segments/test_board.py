"""What jobs of a cluster and the process that waits for them tell each other."""

from __future__ import annotations

from nvrc_encoder.segments.board import END, GO, STOP, Board


def test_a_job_that_tells_its_share_gets_the_order() -> None:
    board = Board()
    assert board.tell(3, 1, 0.25) == GO
    assert board.shares() == {3: 0.25}
    assert board.give(STOP) == {3: 1}
    assert board.tell(3, 1, 0.5) == STOP
    assert board.tell(4, 2, 0.0) == STOP


def test_an_attempt_that_was_taken_for_lost_ends() -> None:
    board = Board()
    assert board.tell(3, 1, 0.75) == GO
    assert board.tell(3, 2, 0.0) == GO
    assert board.tell(3, 1, 0.8) == END
    assert board.shares() == {3: 0.0}
    assert board.give(GO) == {3: 2}
