"""Adapters: what is in them, and what is said of wrong ones."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from tiny_suite import Tiny

from nvrc_conformance.harness.adapter import load_adapter
from nvrc_conformance.harness.cases import load_cases, select_cases
from nvrc_conformance.harness.run import check_known_failures, run_cases
from nvrc_conformance.manifest import MANIFEST_PATH
from nvrc_decoder.errors import InputError

ADAPTERS = MANIFEST_PATH.parent / "adapters"
COMMAND = 'command = ["true", "{input}", "{output}"]\n'


def refusal(path: Path, text: str) -> str:
    """What is said of an adapter."""
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_adapter(path)
    assert caught.value.code == "E_ADAPTER"
    return caught.value.message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the key 'command' is missing: give a list of words, such as"),
        ("command = ", "this is not TOML: "),
        ('command = "true {input} {output}"', "command must be a list of words, such as"),
        ("command = []", "command must be a list of words, such as"),
        ('command = ["true", 1]', "command must be a list of words, such as"),
        ('command = ["true", "{input}"]', "command has no {output}: put it where the name of the output file belongs"),
        ('command = ["true", "{output}"]', "command has no {input}: put it where"),
        (
            'command = ["true", "{input}", "{out}"]',
            "command has the placeholder {out}, which nothing replaces: use {in",
        ),
        ('command = ["true\\u0000", "{input}", "{output}"]', "command has a NUL character: remove it"),
        (
            'command = ["no-such-decoder", "{input}", "{output}"]',
            "there is no program no-such-decoder: install it, or give its path",
        ),
        (COMMAND + "reject_code = [65]", "there is no key 'reject_code': use name, command, reject_codes, "),
        (COMMAND + "reject_codes = 65", "reject_codes must be a list of exit codes from 1 to 255, such as [65]"),
        (COMMAND + "reject_codes = [0]", "reject_codes must be a list of exit codes from 1 to 255"),
        (COMMAND + "limit_codes = [true]", "limit_codes must be a list of exit codes from 1 to 255"),
        (COMMAND + "limit_codes = [256]", "limit_codes must be a list of exit codes from 1 to 255"),
        (COMMAND + "reject_codes = [3]\nlimit_codes = [3]", "exit code 3 is in two lists: a code can mean one thing"),
        (COMMAND + 'timeout = "60"', "timeout must be a number of seconds above 0, at most 1000000, such as 60"),
        (COMMAND + "timeout = 0", "timeout must be a number of seconds above 0"),
        pytest.param(COMMAND + "timeout = 1" + "0" * 400, "timeout must be a number of seconds", id="400 digits"),
        pytest.param(COMMAND + "timeout = 1" + "0" * 5000, "this is not TOML: ", id="5000 digits"),
        (COMMAND + "timeout = inf", "timeout must be a number of seconds above 0"),
        pytest.param("command = " + "[" * 5000, "this is not TOML: ", id="5000 brackets"),
        (COMMAND + "timeout = nan", "timeout must be a number of seconds above 0"),
        (COMMAND + "timeout = true", "timeout must be a number of seconds above 0"),
        (COMMAND + "memory = 100", "memory must be a number of bytes from 1048576 to 2^62, such as"),
        (COMMAND + f"memory = {1 << 63}", "memory must be a number of bytes from 1048576 to 2^62"),
        (COMMAND + "memory = 1e9", "memory must be a number of bytes"),
        (COMMAND + 'profiles = ["mini"]', "profiles must be a list of profiles out of nano, lite, main"),
        (COMMAND + "profiles = [[]]", "profiles must be a list of profiles"),
        (COMMAND + 'known_failures = "nano"', "known_failures must be a list of ids of streams, such as"),
        (COMMAND + 'name = ""', "name must be a name, such as"),
        (COMMAND + "stages = []", "stages must be a list of words, such as"),
        (COMMAND + 'stages = ["true", "{stages}"]', "stages has no {input}: put it where the name of the input file"),
        (COMMAND + 'stages = ["true", "{input}", "{output}"]', "stages has the placeholder {output}, which nothing"),
        (COMMAND + 'stages = ["no-such-decoder", "{input}", "{stages}"]', "there is no program no-such-decoder: ins"),
    ],
)
def test_a_wrong_adapter_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path / "a.toml", text).startswith(message)


def test_an_absent_adapter_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the adapter .*: No such file") as caught:
        load_adapter(tmp_path / "a.toml")
    assert caught.value.code == "E_NO_INPUT"


def test_a_program_with_a_slash_is_beside_the_adapter(tmp_path: Path) -> None:
    text = 'command = ["./acme", "-i={input}", "{output}", "{python}"]'
    assert refusal(tmp_path / "a.toml", text).endswith("/acme: build it, or correct `command`")
    (tmp_path / "acme").write_text("")
    assert refusal(tmp_path / "a.toml", text).endswith("/acme is not executable: run chmod +x on it")
    (tmp_path / "acme").chmod(0o755)
    words = load_adapter(tmp_path / "a.toml").words(Path("/a {output}"), Path("/b"))
    assert words == [f"{tmp_path}/acme", "-i=/a {output}", "/b", sys.executable]


def test_a_file_that_is_no_program_ends_the_run(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "acme").write_text("this is no program")
    (tmp_path / "acme").chmod(0o755)
    (tmp_path / "a.toml").write_text('command = ["./acme", "{input}", "{output}"]')
    with pytest.raises(InputError, match=r"cannot start .*/acme: Exec format error"):
        run_cases(load_adapter(tmp_path / "a.toml"), tiny.cases)


def test_defaults_of_an_adapter(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(COMMAND)
    adapter = load_adapter(tmp_path / "acme.toml")
    assert (adapter.name, adapter.timeout, adapter.memory, dict(adapter.codes)) == ("acme", 60, None, {0: "valid"})
    assert adapter.profiles == {"nano", "lite", "main"}


def test_a_name_can_be_written_in_reports(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"a\xff\x1b.toml")
    path.write_text(COMMAND)
    assert load_adapter(path).name == "a??"


def test_the_adapter_in_c_starts_what_make_builds(tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    copy = shutil.copy(ADAPTERS / "c.toml", tmp_path / "adapters")
    with pytest.raises(InputError, match=r"/decoders/c/build/nvrc-c: build it, or correct `command`"):
        load_adapter(Path(copy))
    makefile = (ADAPTERS.parent / "decoders" / "c" / "Makefile").read_text()
    assert "BUILD = build\n" in makefile
    assert "$(BUILD)/nvrc-c:" in makefile
    program = tmp_path / "decoders" / "c" / "build" / "nvrc-c"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    assert load_adapter(Path(copy)).name == "nvrc-c"


@pytest.mark.parametrize("name", ["onnxruntime", "numpy"])
def test_our_decoders_pass_the_tiny_suite(tiny: Tiny, name: str) -> None:
    report = run_cases(load_adapter(ADAPTERS / f"{name}.toml"), tiny.cases, jobs=2)
    assert report.ok, report
    assert len(report.results) == 7


@pytest.mark.full
@pytest.mark.parametrize("name", ["onnxruntime", "numpy"])
def test_our_decoders_pass_the_suite(name: str) -> None:
    report = run_cases(load_adapter(ADAPTERS / f"{name}.toml"), load_cases(MANIFEST_PATH.parent), jobs=2)
    assert report.ok, [result for result in report.results if not result.ok]


def test_a_known_failure_has_to_be_a_stream(tiny: Tiny, tmp_path: Path) -> None:
    adapter = tiny.adapter(tmp_path, "perfect", known_failures=["nano-spars"])
    with pytest.raises(InputError, match="known_failures has 'nano-spars', but no stream"):
        check_known_failures(adapter, tiny.cases)


def test_patterns_select_streams(tiny: Tiny) -> None:
    def select(*patterns: str) -> list[str]:
        return [case.id for case in select_cases(tiny.cases, patterns)]

    assert select("nano-*", "unit") == ["nano-sparse", "nano-400-10", "unit"]
    assert len(select()) == 7
    with pytest.raises(InputError, match=r"no stream matches 'Nano-\*'"):
        select("nano-*", "Nano-*")
