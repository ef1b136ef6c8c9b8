"""Options of the commands that show the player."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["page_options"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def page_options(function: _Function) -> _Function:
    """``--compare`` and ``--report``, as the arguments `compared` and `reports`."""
    compare = click.option("--compare", "compared", metavar="FILE", help="Show FILE right of a split of the picture.")
    report = click.option(
        "--report", "reports", metavar="FILE", multiple=True, help="Show figures of a report; may be repeated."
    )
    return compare(report(function))
