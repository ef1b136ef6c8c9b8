"""Text of others, which messages quote."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """The text with ``?`` for each character that could control a terminal, or that UTF-8 does not have."""
    return "".join(char if char.isprintable() else "?" for char in text)
