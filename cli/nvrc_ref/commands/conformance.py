"""`nvrc-ref conformance`: the streams of the suite, and how a decoder does on them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from nvrc_decoder.errors import MismatchError
from nvrc_decoder.system.threads import cores
from nvrc_output.files import atomic_file, prove_writable, spare_inputs
from nvrc_output.standard_streams import require_stdout
from nvrc_output.text import counted, emit_json, note, summary, table
from nvrc_ref.options.shared import json_option, quiet_option
from nvrc_ref.terminal import Terminal, is_smart

if TYPE_CHECKING:
    from nvrc_conformance.harness.cases import Case
    from nvrc_conformance.harness.score import Result

__all__ = ["command"]

_Function = TypeVar("_Function", bound=Callable[..., object])


@click.group("conformance")
def command() -> None:
    """Run any decoder on the conformance suite, and say which streams it passes.

    conformance/README.md says how to describe a decoder in a few lines of TOML.
    """


def _suite_options(function: _Function) -> _Function:
    """``--suite`` and ``--filter``."""
    suite = click.option(
        "--suite", metavar="FOLDER", help="Folder with manifest.json.  [default: conformance/ of this checkout]"
    )
    pattern = click.option(
        "--filter", "patterns", multiple=True, metavar="GLOB", help="Only ids that match; may be repeated."
    )
    return suite(pattern(function))


def _load(suite: str | None) -> tuple[Case, ...]:
    from nvrc_conformance.harness.cases import load_cases

    return load_cases(None if suite is None else Path(suite))


@command.command("list", short_help="List the streams of the suite.")
@_suite_options
@json_option
def list_streams(suite: str | None, patterns: tuple[str, ...], as_json: bool) -> None:
    """List the streams: id, how a decoder must end on it, profile, frames, what it is there for."""
    from nvrc_conformance.harness.cases import select_cases

    cases = select_cases(_load(suite), patterns)
    if as_json:
        rows = [
            {
                "id": case.id,
                "expect": case.expect,
                "profile": case.profile,
                "frames": len(case.frame_md5),
                "file": str(case.path),
                "description": case.description,
            }
            for case in cases
        ]
        emit_json(rows)
        return
    lines = [(case.id, case.expect, case.profile or "", len(case.frame_md5), case.description) for case in cases]
    summary(table(lines, header=("id", "expect", "profile", "frames", "description"), right={3}))


@command.command("run", short_help="Run a decoder on each stream.")
@click.argument("adapter_path", metavar="ADAPTER")
@_suite_options
@click.option("--jobs", type=click.IntRange(1, 256), help="Streams to run concurrently.  [default: one for each core]")
@click.option("--fail-fast", is_flag=True, help="Stop at the first stream that is not as it should be.")
@click.option("--json", "json_path", metavar="FILE", help="Write the report as JSON; - for the standard output.")
@click.option("--junit", "junit_path", metavar="FILE", help="Write it as JUnit XML.")
@click.option("--markdown", "markdown_path", metavar="FILE", help="Write it as Markdown.")
@quiet_option
def run_decoder(
    adapter_path: str,
    suite: str | None,
    patterns: tuple[str, ...],
    jobs: int | None,
    fail_fast: bool,
    json_path: str | None,
    junit_path: str | None,
    markdown_path: str | None,
    quiet: bool,
) -> None:
    """Run the decoder that ADAPTER, a TOML file, describes on each stream.

    The report on the standard output has a line for each stream that does not simply pass. The exit code is 0 where
    every stream passes, fails as `known_failures` says, or is of a profile that `profiles` leaves out and reported as
    unsupported; otherwise it is 1.
    """
    from nvrc_conformance.harness import reports
    from nvrc_conformance.harness.adapter import load_adapter
    from nvrc_conformance.harness.cases import select_cases
    from nvrc_conformance.harness.run import check_known_failures, run_cases

    targets = (json_path, junit_path, markdown_path)
    _check_targets(targets, adapter_path)
    adapter, every = load_adapter(Path(adapter_path)), _load(suite)
    check_known_failures(adapter, every)
    cases = select_cases(every, patterns)
    spare_inputs(targets, [str(case.path) for case in every])
    progress = (lambda result: None) if quiet else _progress(len(cases))
    report = run_cases(adapter, cases, jobs=jobs or cores(), fail_fast=fail_fast, on_result=progress)
    renderers = (reports.json_report, reports.junit_report, reports.markdown_report)
    for target, render in zip(targets, renderers, strict=True):
        if target is not None:
            with atomic_file(target) as file:
                file.write(render(report).encode())
    if "-" not in targets:
        click.echo(reports.text_report(report), nl=False)
    if not report.ok:
        bad = sum(not result.ok for result in report.results)
        message = f"{adapter.name} does not conform: {counted(bad, 'stream')} of {len(cases)} went wrong"
        raise MismatchError("E_CONFORMANCE", message)


def _check_targets(targets: tuple[str | None, ...], adapter: str) -> None:
    """Refuse reports that cannot be written, before the decoder runs.

    Raises:
        click.UsageError: two reports would go to the standard output.
        OutputError: E_OUTPUT or E_IO.
    """
    if targets.count("-") > 1:
        raise click.UsageError("only one report can go to the standard output: give the others a FILE")
    require_stdout()
    spare_inputs(targets, [adapter])
    for target in targets:
        if target not in (None, "-"):
            prove_writable(Path(target))


def _progress(total: int) -> Callable[[Result], None]:
    """Prints each result on stderr; on a terminal, the next one overwrites a pass."""
    from nvrc_conformance.harness.reports import result_line

    done = 0
    terminal = Terminal(sys.stderr.fileno()) if is_smart(sys.stderr) else None

    def show(result: Result) -> None:
        nonlocal done
        done += 1
        line = f"[{done}/{total}] {result_line(result)}"
        if terminal is None:
            note(line)
            return
        over = result.ok and done < total
        terminal.write(f"\r\033[K{line[:79] if over else line}" + ("" if over else "\n"))

    return show
