"""`--keep-going`: report damaged GOPs, a line each, and the error that the command ends with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nvrc_decoder.errors import InvalidStreamError, LimitError, NvrcError
from nvrc_output.text import counted, note

if TYPE_CHECKING:
    from nvrc_decoder import Damage

__all__ = ["DamageReport", "keep_going_option"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def keep_going_option(function: _Function) -> _Function:
    """``--keep-going``."""
    option = click.option(
        "--keep-going",
        is_flag=True,
        help="Report damaged GOPs, leave out their frames and decode the others; the exit code is 65 all the same.",
    )
    return option(function)


class DamageReport:
    """Collects damage, and writes a line for each as it is found.

    Attributes:
        write: prints a line.
    """

    def __init__(self) -> None:
        self.write: Callable[[str], None] = note
        self._damages: list[Damage] = []

    def __call__(self, damage: Damage) -> None:
        self._damages.append(damage)
        self.write(" ".join(str(damage).split()))

    def document(self) -> list[dict[str, Any]]:
        """All damage, for JSON."""
        return [
            {
                "gop": damage.gop,
                "first_frame": damage.first_frame,
                "frames": damage.frame_count,
                "code": damage.error.code,
                "error": str(damage.error),
            }
            for damage in self._damages
        ]

    def error(self) -> NvrcError | None:
        """The error that the command ends with after decoding all it can; None if nothing was damaged."""
        if not self._damages:
            return None
        lost = sum(damage.first_frame is not None for damage in self._damages)
        places = f"the stream is damaged in {counted(len(self._damages), 'place')}"
        message = f"{places}; frames were lost in {lost}" if lost else f"{places}; no frame was lost"
        if all(isinstance(damage.error, LimitError) for damage in self._damages):
            return LimitError("E_DAMAGED", message)
        return InvalidStreamError("E_DAMAGED", message)

    def raise_any(self) -> None:
        """End the command with `error`, if there is one.

        Raises:
            InvalidStreamError, LimitError: E_DAMAGED.
        """
        error = self.error()
        if error is not None:
            raise error
