"""Seconds that a unit of work takes, from the steps timed so far."""

from __future__ import annotations

__all__ = ["Pace"]


class Pace:
    """Measured seconds per unit of work. Old measurements fade, as the load of the machine may change.

    Args:
        fading: seconds after which a measurement counts half.

    Attributes:
        assumed: pace until something is measured; None if there is none.
    """

    def __init__(self, fading: float) -> None:
        self._fading = fading
        self._seconds = self._work = 0.0
        self.assumed: float | None = None

    def add(self, seconds: float, work: float) -> None:
        """Count a step that did `work` in `seconds`."""
        fading = 0.5 ** (seconds / self._fading)
        self._seconds = self._seconds * fading + seconds
        self._work = self._work * fading + work

    @property
    def value(self) -> float | None:
        """Seconds per unit of work; None where nothing is measured or assumed."""
        return self._seconds / self._work if self._work else self.assumed
