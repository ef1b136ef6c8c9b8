"""Groups of options: one argument for several of them, and `--help` under titles."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

__all__ = ["GroupedCommand", "gathered"]

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def gathered(argument: str, make: Callable[..., Any], *options: _Decorator) -> _Decorator:
    """A decorator that adds options to a command and passes them on as one argument.

    Args:
        argument: the argument's name.
        make: makes the argument of the options' values, given by their names; a `click.UsageError` of it is the user's.
        options: decorators such as `click.option` returns, in the order of ``--help``.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        names = _names(options)

        @functools.wraps(function)
        def call(*positional: Any, **values: Any) -> Any:
            own = {name: values.pop(name) for name in names}
            return function(*positional, **{argument: make(**own)}, **values)

        result: Callable[..., Any] = call
        for option in reversed(options):
            result = option(result)
        return result

    return decorate


def _names(options: Sequence[_Decorator]) -> list[str]:
    """The names under which click passes the options."""

    @click.command()
    def bare() -> None:
        pass

    for option in options:
        option(bare)
    return [parameter.name for parameter in bare.params if parameter.name is not None]


class GroupedCommand(click.Command):
    """A command whose help lists options under titles.

    Args:
        groups: title -> names of the parameters, in this order; options in no group are listed in the last one.
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
