"""`nvrc-ref bench`: measurements on this machine."""

from __future__ import annotations

import click

from nvrc_ref.commands.bench_decode import decode
from nvrc_ref.commands.bench_rd import rd

__all__ = ["command"]


class _BenchGroup(click.Group):
    """A group whose sub-command `rd` need not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["rd", *args]
        return super().parse_args(ctx, args)


@click.group("bench", cls=_BenchGroup)
def command() -> None:
    """Measure on this machine: rate-distortion against other codecs, or the time of decoding.

    `nvrc-ref bench` with clips or options is `nvrc-ref bench rd`: see `nvrc-ref bench rd --help`.
    """


command.add_command(rd)
command.add_command(decode)
