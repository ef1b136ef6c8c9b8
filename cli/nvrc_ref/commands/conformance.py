"""`nvrc-ref conformance`: the streams of the suite, and how a decoder does on them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvrc_decoder.errors import MismatchError
from nvrc_decoder.system.threads import cores
from nvrc_output.files import atomic_directory, atomic_file, prove_writable, spare_inputs
from nvrc_output.standard_streams import require_stdout
from nvrc_output.text import counted, emit_json, note, summary, table
from nvrc_ref.options.shared import json_option, quiet_option
from nvrc_ref.terminal import Terminal, is_smart

if TYPE_CHECKING:
    from nvrc_conformance.harness.run import Report
    from nvrc_conformance.harness.score import Result

__all__ = ["command"]


@click.group("conformance")
def command() -> None:
    """Run any decoder on the conformance suite, and say which streams it passes.

    conformance/README.md says how to describe a decoder in a few lines of TOML.
    """


_suite_option = click.option(
    "--suite",
    metavar="PLACE",
    help="Folder with manifest.json, or an archive of `make suite`.  [default: conformance/ of this checkout]",
)
_filter_option = click.option(
    "--filter", "patterns", multiple=True, metavar="GLOB", help="Only ids that match; may be repeated."
)


@command.command("list", short_help="List the streams of the suite.")
@_suite_option
@_filter_option
@json_option
def list_streams(suite: str | None, patterns: tuple[str, ...], as_json: bool) -> None:
    """List the streams: id, how a decoder must end on it, profile, frames, what it is there for."""
    from nvrc_conformance.harness.cases import load_cases, select_cases
    from nvrc_conformance.harness.suites import open_suite

    with open_suite(suite) as folder:
        cases = select_cases(load_cases(folder), patterns)
        files = [case.path.relative_to(folder).as_posix() for case in cases]
    if as_json:
        rows = [
            {
                "id": case.id,
                "expect": case.expect,
                "profile": case.profile,
                "frames": len(case.frame_md5),
                "file": file,
                "description": case.description,
            }
            for case, file in zip(cases, files, strict=True)
        ]
        emit_json(rows)
        return
    lines = [(case.id, case.expect, case.profile, len(case.frame_md5), case.description) for case in cases]
    summary(table(lines, header=("id", "expect", "profile", "frames", "description"), right={3}))


@command.command("run", short_help="Run a decoder on each stream.")
@click.argument("adapter_path", metavar="ADAPTER")
@_suite_option
@_filter_option
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
    from nvrc_conformance.harness.adapter import load_adapter
    from nvrc_conformance.harness.cases import load_cases, select_cases
    from nvrc_conformance.harness.run import check_known_failures, run_cases
    from nvrc_conformance.harness.suites import open_suite

    targets = (json_path, junit_path, markdown_path)
    _check_targets(targets, adapter_path, suite)
    adapter = load_adapter(Path(adapter_path))
    with open_suite(suite) as folder:
        every = load_cases(folder)
        check_known_failures(adapter, every)
        cases = select_cases(every, patterns)
        spare_inputs(targets, [str(path) for path in (folder / "manifest.json", *(case.path for case in every))])
        progress = (lambda result: None) if quiet else _progress(len(cases))
        report = run_cases(adapter, cases, jobs=jobs or cores(), fail_fast=fail_fast, on_result=progress)
    _write_reports(report, targets)
    if not report.ok:
        bad = sum(not result.ok for result in report.results)
        message = f"{adapter.name} does not conform: {counted(bad, 'stream')} of {len(cases)} went wrong"
        raise MismatchError("E_CONFORMANCE", message)


def _write_reports(report: Report, targets: tuple[str | None, ...]) -> None:
    from nvrc_conformance.harness import reports

    renderers = (reports.json_report, reports.junit_report, reports.markdown_report)
    for target, render in zip(targets, renderers, strict=True):
        if target is not None:
            with atomic_file(target) as file:
                file.write(render(report).encode())
    if "-" not in targets:
        click.echo(reports.text_report(report), nl=False)


def _check_targets(targets: tuple[str | None, ...], adapter: str, suite: str | None) -> None:
    """Refuse reports that cannot be written, before the decoder runs.

    Raises:
        click.UsageError: two reports would go to the standard output.
        OutputError: E_OUTPUT or E_IO.
    """
    if targets.count("-") > 1:
        raise click.UsageError("only one report can go to the standard output: give the others a FILE")
    require_stdout()
    spare_inputs(targets, [adapter] if suite is None else [adapter, suite])
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


@command.command("lint", short_help="Look for faults of the suite itself.")
@_suite_option
@click.option("--quick", is_flag=True, help="Do not decode the streams: check the manifest and the files.")
@quiet_option
def lint(suite: str | None, quick: bool, quiet: bool) -> None:
    """Look for faults of the suite itself: a sentence for each on the standard output, and exit code 1.

    Every requirement of annex B has a stream that breaks it; the manifest follows its JSON schema, and says of each
    stream what is so: size, SHA-256, fields of SEQUENCE, features, MD5s, stage digests; no file is left over. It needs
    the extra `conformance`, and the specification beside the suite, as a checkout and an archive have it.
    """
    from nvrc_conformance.harness.lint import lint_suite
    from nvrc_conformance.harness.stale import stale_digests
    from nvrc_conformance.harness.suites import open_suite

    with open_suite(suite) as folder:
        found = _print_faults(lint_suite(folder))
        if not found and not quick:
            found = _print_faults(stale_digests(folder))
    if found:
        raise MismatchError("E_LINT", f"the suite has {counted(found, 'fault')}")
    if not quiet:
        note("the suite has no faults" + (", as far as can be told without decoding" if quick else ""))


def _print_faults(faults: Iterable[str]) -> int:
    """Print each; how many there are."""
    from nvrc_conformance.text import printable

    count = 0
    for fault in faults:
        click.echo(printable(fault))
        count += 1
    return count


@command.command("export", short_help="Write the valid streams in another harness's format.")
@_suite_option
@click.option("--fluster", required=True, metavar="FOLDER", help="Folder to make; it must not exist, or be empty.")
def export(suite: str | None, fluster: str) -> None:
    """Write the valid streams as test suites of fluster, one for each profile.

    The folder gets test_suites and resources, which fluster takes as its options -tsd and -r.
    conformance/adapters/fluster_nvrc.py has the decoders for fluster.
    """
    from nvrc_conformance.harness.cases import load_cases
    from nvrc_conformance.harness.fluster import export_suites
    from nvrc_conformance.harness.suites import open_suite
    from nvrc_conformance.manifest import load_manifest

    with open_suite(suite) as folder:
        load_cases(folder)  # checks the files
        with atomic_directory(Path(fluster), merge=False) as target:
            written = export_suites(load_manifest(folder), target)
    summary(f"{fluster}: " + ", ".join(f"{name} with {counted(count, 'stream')}" for name, count in written.items()))
