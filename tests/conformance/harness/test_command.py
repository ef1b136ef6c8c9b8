"""`nvrc-ref conformance list` and `run`: exit codes, reports, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tiny_suite import IDS, VALID, Tiny
from waiting import PATIENCE, wait_until

from nvrc_ref.main import run

# A command in which the first signal comes while a thread is being started, at a place where an exception would leave
# a lock locked.
EARLY_SIGNAL = """
import signal, sys, threading
from nvrc_ref.main import run
enter = threading.Condition.__enter__
came = []
def enter_with_a_signal(condition):
    entered = enter(condition)
    if sys._getframe(2).f_code is threading.Thread.start.__code__ and not came:
        came.append(condition)
        signal.raise_signal(signal.SIGINT)
    return entered
threading.Condition.__enter__ = enter_with_a_signal
sys.exit(run(sys.argv[1:]))
"""


def call(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


def call_run(tiny: Tiny, place: Path, behaviour: str, *more: object, **keys: object) -> int:
    adapter = tiny.write_adapter(place / f"{behaviour}.toml", behaviour, **keys)
    return call("conformance", "run", adapter, "--suite", tiny.folder, *more)


def test_list_names_every_stream(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("conformance", "list", "--suite", tiny.folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["id", *IDS]
    assert [line.split()[1] for line in lines[1:]] == [*["valid"] * 3, "reject", "reject", "unsupported", "limit"]
    assert call("conformance", "list", "--suite", tiny.folder, "--filter", "nano-sp*", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["expect"], row["frames"]) == ("nano-sparse", "valid", 3)


def test_the_suite_of_the_checkout_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("conformance", "list") == 0
    assert "nano-two-gops" in capsys.readouterr().out


def test_a_perfect_decoder_ends_with_0(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call_run(tiny, tmp_path, "perfect") == 0
    said = capsys.readouterr()
    assert said.out.startswith("perfect: 7 streams, 7 pass, ")
    assert sorted(line.split()[1:] for line in said.err.splitlines()) == sorted(["PASS", name] for name in IDS)
    assert call_run(tiny, tmp_path, "perfect", "--quiet", "--filter", "unit", "--jobs", 1) == 0
    assert capsys.readouterr().err == ""


def test_a_wrong_decoder_ends_with_1(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call_run(tiny, tmp_path, "extra-bytes", "--quiet") == 1
    said = capsys.readouterr()
    assert said.out.startswith("FAIL nano-sparse: the output is 1 byte too long: 4138 bytes, must be 4137\n")
    assert "extra-bytes: 7 streams, 4 pass, 3 fail, " in said.out
    assert said.err == "error[E_CONFORMANCE] extra-bytes does not conform: 3 streams of 7 went wrong\n"


def test_known_failures_end_with_0(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call_run(tiny, tmp_path, "extra-bytes", known_failures=list(VALID)) == 0
    assert "KNOWN FAILURE nano-sparse: fail: the output is 1 byte too long" in capsys.readouterr().out
    assert call_run(tiny, tmp_path, "perfect", known_failures=["unit"]) == 1
    assert "UNEXPECTED PASS unit: it passes: remove it from known_failures\n" in capsys.readouterr().out


def test_fail_fast_leaves_streams_out(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call_run(tiny, tmp_path, "extra-bytes", "--fail-fast", "--jobs", 1, "--junit", tmp_path / "j.xml") == 1
    assert "extra-bytes: 7 streams, 1 fail, 6 not run, " in capsys.readouterr().out
    assert len(ElementTree.parse(tmp_path / "j.xml").findall(".//skipped")) == 6


def test_reports_say_the_same(tiny: Tiny, tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("a.json", "a.xml", "a.md")]
    options = [word for pair in zip(("--json", "--junit", "--markdown"), names, strict=True) for word in pair]
    assert (
        call_run(tiny, tmp_path, "always-rejects", *options, name="acme | <1>", limit_codes=[65], reject_codes=[]) == 1
    )
    document = json.loads(names[0].read_text())
    assert (document["decoder"], document["ok"], document["not_run"]) == ("acme | <1>", False, [])
    assert [result["id"] for result in document["results"]] == list(IDS)
    assert {state: count for state, count in document["counts"].items() if count} == {"pass": 1, "fail": 6}
    (suite,) = ElementTree.parse(names[1]).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("7", "6", "0")
    bad = {case.get("name") for case in suite if case.find("failure") is not None}
    assert bad == {result["id"] for result in document["results"] if not result["ok"]}
    page = names[2].read_text()
    assert page.startswith("# Conformance of acme \\| \\<1\\>\n")
    assert page.count("| **fail** |") == 6
    assert "| large | limit | pass |" in page


def test_errors_are_errors_in_junit(tiny: Tiny, tmp_path: Path) -> None:
    assert call_run(tiny, tmp_path, "segfault", "--quiet", "--junit", tmp_path / "a.xml") == 1
    (suite,) = ElementTree.parse(tmp_path / "a.xml").getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("0", "7")


def test_a_report_can_go_to_stdout(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call_run(tiny, tmp_path, "perfect", "--filter", "unit", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert call_run(tiny, tmp_path, "perfect", "--json", "-", "--junit", "-") == 2
    assert "only one report can go to the standard output" in capsys.readouterr().err


def test_outputs_are_checked_before_the_run(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = tmp_path / "perfect.toml", tiny.folder / "faults" / "unit.nvrc", tiny.folder / "manifest.json"
    for target in (*inputs, tmp_path / "no" / "a.json"):
        assert call_run(tiny, tmp_path, "perfect", "--json", target) == 74
        assert capsys.readouterr().err.startswith("error[E_OUTPUT] ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_kills_the_decoders(tiny: Tiny, tmp_path: Path, number: int) -> None:
    adapter = tiny.write_adapter(tmp_path / "a.toml", "hang", timeout=600)
    (tmp_path / "temporary").mkdir()
    words = [sys.executable, "-m", "nvrc_ref", "conformance", "run", adapter, "--suite", tiny.folder, "--jobs", "2"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    before = signal.signal(number, signal.SIG_DFL)  # a child inherits what is ignored, as in the background of a shell
    try:
        process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(number, before)
    with process:
        try:
            # Both decoders run, and so nothing is being started.
            wait_until(lambda: sum(log.stat().st_size > 0 for log in (tmp_path / "temporary").glob("*/*/log")) == 2)
            process.send_signal(number)
            _, said = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert said in ("interrupted\n", "terminated\n")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_signal_is_not_lost_while_threads_start(tiny: Tiny, tmp_path: Path) -> None:
    adapter = tiny.write_adapter(tmp_path / "a.toml", "hang", timeout=600)
    (tmp_path / "temporary").mkdir()
    words = [sys.executable, "-c", EARLY_SIGNAL, "conformance", "run", adapter, "--suite", tiny.folder, "--jobs", "2"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    done = subprocess.run(words, env=environment, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert list((tmp_path / "temporary").iterdir()) == []
