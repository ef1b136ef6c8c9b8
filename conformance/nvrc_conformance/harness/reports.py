"""The report of a run: text for people, JSON, JUnit and Markdown."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

from nvrc_conformance.harness.run import Report
from nvrc_conformance.harness.score import Result, State

__all__ = ["json_report", "junit_report", "markdown_report", "result_line", "text_report", "verdict"]

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def result_line(result: Result) -> str:
    """A result as one line; an error comes with the decoder's last words."""
    words = [f"{result.state.upper()} {result.id}"]
    if result.message:
        words.append(f": {result.message}")
    if result.said and result.state in (State.ERROR, State.TIMEOUT, State.FAIL):
        words.append(f" [it said: {result.said}]")
    return "".join(words)


def verdict(report: Report) -> str:
    """The whole run in one line."""
    parts = [f"{count} {state}" for state, count in report.counts().items() if count]
    if report.not_run:
        parts.append(f"{len(report.not_run)} not run")
    total = len(report.results) + len(report.not_run)
    streams = "stream" if total == 1 else "streams"
    return f"{report.decoder}: {total} {streams}, {', '.join(parts)}, {report.seconds:.1f} s"


def text_report(report: Report) -> str:
    """A line for each stream that does not simply pass, and the verdict."""
    lines = [result_line(result) for result in report.results if result.state is not State.PASS]
    return "\n".join([*lines, verdict(report)]) + "\n"


def json_report(report: Report) -> str:
    """The report for programs; conformance/README.md has the fields."""
    results = [
        {
            "id": result.id,
            "expect": result.expect,
            "state": result.state,
            "ok": result.ok,
            "seconds": result.seconds,
            "message": result.message,
            "said": result.said,
            "stage": result.stage,
        }
        for result in report.results
    ]
    document = {
        "decoder": report.decoder,
        "ok": report.ok,
        "seconds": report.seconds,
        "counts": report.counts(),
        "results": results,
        "not_run": report.not_run,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def junit_report(report: Report) -> str:
    """The report as JUnit XML: what is not ok is a failure or, for state error and timeout, an error."""
    broken = (State.ERROR, State.TIMEOUT)
    bad = [result for result in report.results if not result.ok]
    errors = sum(result.state in broken for result in bad)
    suite = ElementTree.Element(
        "testsuite",
        name=f"nvrc conformance of {_xml(report.decoder)}",
        tests=str(len(report.results) + len(report.not_run)),
        failures=str(len(bad) - errors),
        errors=str(errors),
        skipped=str(len(report.not_run)),
        time=f"{report.seconds:.3f}",
    )
    for result in report.results:
        case = _testcase(suite, report, result.id, result.seconds)
        if not result.ok:
            kind = "error" if result.state in broken else "failure"
            fault = ElementTree.SubElement(case, kind, type=result.state, message=_xml(result.message))
            fault.text = _xml(result.said)
    for name in report.not_run:
        skipped = _testcase(suite, report, name, 0.0)
        ElementTree.SubElement(skipped, "skipped", message="not run after a failure")
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _testcase(suite: ElementTree.Element, report: Report, name: str, seconds: float) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", classname=_xml(report.decoder), name=_xml(name), time=f"{seconds:.3f}"
    )


def _xml(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return _NO_XML.sub("?", text)


def markdown_report(report: Report) -> str:
    """The report as a page: the verdict, and a table of all streams."""
    lines = [f"# Conformance of {_cell(report.decoder)}", "", f"{_cell(verdict(report))}.", ""]
    lines += ["| stream | must be | result | seconds | |", "|---|---|---|--:|---|"]
    for result in report.results:
        state = result.state if result.ok else f"**{result.state}**"
        lines.append(f"| {result.id} | {result.expect} | {state} | {result.seconds:.2f} | {_cell(result.message)} |")
    lines += [f"| {name} | | not run | | |" for name in report.not_run]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text that Markdown leaves as it is, in one cell of a table."""
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", " ".join(text.split()))
