"""What jobs of a cluster and the process that waits for them tell each other; an actor of Ray. Free of PyTorch."""

from __future__ import annotations

__all__ = ["END", "GO", "STOP", "Board"]

GO, STOP, END = "go on", "end with a checkpoint", "end at once"
"""Orders to a job."""


class Board:
    """Shares of jobs in one direction, an order in the other.

    A segment has one attempt at a time that counts, the last one. An earlier one, whose worker was only taken for lost,
    is ended, so that no two write the same files.
    """

    def __init__(self) -> None:
        self._order = GO
        self._begun: dict[int, int] = {}
        self._shares: dict[int, float] = {}

    def tell(self, number: int, attempt: int, share: float) -> str:
        """Note how far an attempt has come; its order.

        Args:
            number: number of the segment.
            attempt: number of the attempt, counted over all segments.
            share: share of its time that has passed, 0..1.
        """
        if attempt < self._begun.get(number, 0):
            return END
        self._begun[number] = attempt
        self._shares[number] = share
        return self._order

    def shares(self) -> dict[int, float]:
        """Number of each segment that has begun -> share of its time that has passed."""
        return self._shares

    def give(self, order: str) -> dict[int, int]:
        """Give an order to all jobs; number of each segment that has begun -> its attempt."""
        self._order = order
        return self._begun
