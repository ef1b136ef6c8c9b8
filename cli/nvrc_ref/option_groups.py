"""`--help` with its options in groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

__all__ = ["GroupedCommand"]


class GroupedCommand(click.Command):
    """A command whose help lists options under titles.

    Args:
        groups: title -> names of the parameters, in this order; the last group has those that are in none, too.
    """

    def __init__(self, *args: Any, groups: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._groups = groups

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups."""
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        records = {option.name: record for option in options if (record := option.get_help_record(ctx)) is not None}
        found = {title: [records.pop(name) for name in names] for title, names in self._groups.items()}
        found[list(found)[-1]] += records.values()
        for title, rows in found.items():
            with formatter.section(title):
                formatter.write_dl(rows)
