"""The error tree of the decoder (spec chapter 9).

NvrcError
|- InvalidStreamError   65  the stream breaks a numbered requirement of the specification
|- UnsupportedError     69  the stream is valid but uses what this build does not know
|- MissingExtraError    69  a package is missing or half installed; the message holds the command that mends it
|- LimitError           77  the stream is over a local limit (`Limits`), not over the format's, or over the memory here
|- InputError           66  the input does not exist or cannot be opened, or not used in this way
|  `- UnknownLengthError    the number of frames cannot be told; a TypeError, too
|- OutputError          74  reading or writing failed in the operating system
|- MismatchError         1  a comparison that the caller asked for failed
`- InternalError        70  a fault of this program
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "InputError",
    "InternalError",
    "InvalidStreamError",
    "LimitError",
    "MismatchError",
    "MissingExtraError",
    "NvrcError",
    "OutputError",
    "UnknownLengthError",
    "UnsupportedError",
]


class NvrcError(Exception):
    """Base of every error that this project raises on purpose.

    Args:
        code: stable identifier, such as ``"E_TRUNCATED"``; never reused for another cause.
        message: one sentence that says what is wrong and, where it helps, what to do.
        offset: absolute byte offset in the stream, or None where there is none.
        unit: the unit at fault, such as ``"GOP 3"``, or None.
        section: section of the specification, such as ``"6.4"``, or None.
        file: name of the file at fault, where there are several; or None.
    """

    exit_code: ClassVar[int] = 70

    def __init__(
        self,
        code: str,
        message: str,
        *,
        offset: int | None = None,
        unit: str | None = None,
        section: str | None = None,
        file: str | None = None,
    ) -> None:
        super().__init__(code, message)  # what pickle makes it of, on the way between processes
        self.code = code
        self.message = message
        self.offset = offset
        self.unit = unit
        self.section = section
        self.file = file

    def __str__(self) -> str:
        place = ", ".join(name for name in (self.file, self.unit) if name)
        if self.offset is not None:
            place = f"{place} at byte {self.offset:#x}".strip()
        head = f"error[{self.code}] {place}: " if place else f"error[{self.code}] "
        tail = f" (spec {self.section})" if self.section else ""
        return f"{head}{self.message}{tail}"


class InvalidStreamError(NvrcError):
    """The stream breaks a requirement of the specification."""

    exit_code = 65


class UnsupportedError(NvrcError):
    """The stream is valid but needs what this build does not have."""

    exit_code = 69


class MissingExtraError(NvrcError):
    """A package is missing or half installed; the message says how to mend that."""

    exit_code = 69


class LimitError(NvrcError):
    """The stream asks for more than the local `Limits` allow, or the work for more memory than there is."""

    exit_code = 77


class InputError(NvrcError):
    """The input does not exist or cannot be opened, or cannot be used in the way that was asked for."""

    exit_code = 66


class UnknownLengthError(InputError, TypeError):
    """The number of frames cannot be told. As a `TypeError`, it does not keep `list` from reading the frames."""


class OutputError(NvrcError):
    """Reading or writing failed."""

    exit_code = 74


class MismatchError(NvrcError):
    """A comparison that the caller asked for failed."""

    exit_code = 1


class InternalError(NvrcError):
    """A fault of this program."""

    exit_code = 70
