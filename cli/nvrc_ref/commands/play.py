"""`nvrc-ref play`: a stream in the browser."""

from __future__ import annotations

import threading
import webbrowser
from contextlib import suppress
from pathlib import Path

import click

from nvrc_output.text import summary
from nvrc_ref.playing.compared import check_compared
from nvrc_ref.playing.options import page_options
from nvrc_ref.playing.reports import read_report
from nvrc_ref.playing.server import PlayerServer

__all__ = ["command"]


@click.command("play")
@click.argument("input_path", metavar="INPUT")
@page_options
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def command(input_path: str, compared: str | None, reports: tuple[str, ...], no_browser: bool) -> None:
    """Play INPUT in the browser, from a server on this machine that nobody else can reach. Ctrl-C ends it.

    --compare shows another stream or a y4m file beside it, --report figures of `encode --report` or `compare --json`.
    """
    if "-" in (input_path, compared):
        raise click.UsageError("the player seeks in its input: it must be a file, not the standard input")
    if compared is not None:
        check_compared(compared)
    read = [read_report(report) for report in reports]
    beside = None if compared is None else Path(compared)
    with PlayerServer(Path(input_path), beside, read) as server, suppress(KeyboardInterrupt):
        for report in read:
            report.check(bytes=Path(input_path).stat().st_size)
        summary(f"{input_path}: {server.url} (Ctrl-C ends)")
        if not no_browser:
            threading.Thread(target=_show, args=(server.url,), name="browser", daemon=True).start()
        server.serve_forever()


def _show(url: str) -> None:
    """Open the browser. In a terminal it returns when it ends, and needs the server meanwhile."""
    if not webbrowser.open(url):
        summary("no browser was found: open the address above")
