"""`--keep-going`: what of a stream was lost, one line each, and how the command ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from nvrc_decoder.bitstream.salvage import Damage
from nvrc_decoder.errors import InvalidStreamError, LimitError, NvrcError
from nvrc_output.text import note

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
    """Takes each damage as it is found.

    Attributes:
        write: what is given a line for each.
    """

    def __init__(self) -> None:
        self.write: Callable[[str], None] = note
        self._damages: list[Damage] = []

    def __call__(self, damage: Damage) -> None:
        self._damages.append(damage)
        self.write(" ".join(str(damage).split()))

    def document(self) -> list[dict[str, Any]]:
        """For JSON."""
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
        """What the command ends with when all that could be decoded was; None if that was everything."""
        if not self._damages:
            return None
        lost = sum(damage.first_frame is not None for damage in self._damages)
        places = f"the stream is damaged in {len(self._damages)} place{'s' * (len(self._damages) > 1)}"
        message = f"{places}; frames were lost in {lost}" if lost else f"{places}; no frame was lost"
        if all(isinstance(damage.error, LimitError) for damage in self._damages):
            return LimitError("E_DAMAGED", message)
        return InvalidStreamError("E_DAMAGED", message)
