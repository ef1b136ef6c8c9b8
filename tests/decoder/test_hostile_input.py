"""Hostile input: truncations, mutations, and hostile streams, in this process and through the command line.

`make fuzz` runs more of the same (`tools/fuzz/run_cases.py`).
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile_streams import Case, hostile_cases

import nvrc_decoder
from fuzz.mutations import mutations, truncations, unit_spans
from fuzz.run_cases import SECONDS_A_CASE
from nvrc_conformance.faults.describe import OUTCOMES
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.errors import NvrcError
from nvrc_ref.main import run as run_cli

MANIFEST = load_manifest()
STREAM = "nano-two-gops"
MUTATIONS = 5000
FEW_MUTATIONS = 100
SEED = 20250101
RUNNER = Path(__file__).resolve().parents[2] / "tools" / "fuzz" / "run_cases.py"
GIGABYTE_IN_KILOBYTES = 1_000_000_000 // 1024

HOSTILE = hostile_cases(MANIFEST.read(STREAM))
hostile = pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name.replace(" ", "-"))


def run_cases(*arguments: str) -> dict[str, Any]:
    """Run the cases in a process with a memory limit; its report."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    stream = MANIFEST.file(MANIFEST.stream(STREAM))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(RUNNER), str(stream), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_the_fuzzed_stream_has_gops_and_an_index() -> None:
    stream = MANIFEST.stream(STREAM)
    assert {"several GOPs", "INDEX"} <= set(stream.features)
    assert (stream.width, stream.height) == (48, 32)
    data = MANIFEST.read(STREAM)
    units = list(UnitReader(io.BytesIO(data)))
    assert unit_spans(data) == [(unit.offset, unit.offset + unit.size) for unit in units]


@pytest.mark.full
def test_truncations_at_every_byte_are_refused() -> None:
    report = run_cases("--truncations")["truncations"]
    assert report["faults"] == []
    assert report["outcomes"] == {"E_TRUNCATED": MANIFEST.stream(STREAM).bytes}


def test_a_few_mutations_end_in_typed_errors() -> None:
    report = run_cases("--mutations", str(FEW_MUTATIONS), "--seed", str(SEED))["mutations"]
    assert report["faults"] == []
    assert sum(report["outcomes"].values()) == report["cases"] == FEW_MUTATIONS
    assert set(report["outcomes"]) >= {"E_TRUNCATED", "E_CRC", "E_RANGE", "E_ENTROPY", "E_DIGEST", "decoded"}


@pytest.mark.full
def test_mutations_end_in_typed_errors() -> None:
    report = run_cases("--mutations", str(MUTATIONS), "--seed", str(SEED))
    assert report["mutations"]["faults"] == []
    outcomes = report["mutations"]["outcomes"]
    assert sum(outcomes.values()) == report["mutations"]["cases"] == MUTATIONS
    assert report["mutations"]["slowest_seconds"] < SECONDS_A_CASE
    assert report["peak_kilobytes"] < GIGABYTE_IN_KILOBYTES
    # The damage must reach every layer of the decoder.
    assert set(outcomes) >= {
        *("E_MAGIC", "E_VERSION", "E_TRUNCATED", "E_CRC", "E_LENGTH", "E_ORDER", "E_UNSUPPORTED", "E_INDEX"),
        *("E_FOOTER", "E_TRAILING", "E_TOTALS", "E_RANGE", "E_RESERVED", "E_SCHEDULE", "E_LIMIT"),
        *("E_ENTROPY", "E_ESCAPE", "E_DIGEST", "decoded"),
    }


def test_the_runner_reports_faults(tmp_path: Path) -> None:
    """The runner must report cases whose exit code is not that of a bad stream."""
    source = (
        "import io, json, runpy, sys\n"
        f"sys.argv = ['run_cases', {str(MANIFEST.file(MANIFEST.stream(STREAM)))!r}, '--mutations', '0']\n"
        f"module = runpy.run_path({str(RUNNER)!r})\n"
        "from nvrc_decoder.errors import InternalError, InvalidStreamError\n"
        "import signal, time\n"
        "signal.signal(signal.SIGALRM, module['_alarm'])\n"
        "signal.signal(signal.SIGPROF, module['_alarm'])\n"
        "module['outcome'].__globals__.update(SECONDS_A_CASE=0.2, STALL_SECONDS=0.5)\n"
        "def crash(data): raise ValueError('boom')\n"
        "def internal(data): raise InternalError('E_INTERNAL', 'boom')\n"
        "def stall(data): time.sleep(3)\n"
        "def hang(data):\n"
        "    while time.process_time() < 60: pass\n"
        "def reject(data): raise InvalidStreamError('E_CRC', 'boom')\n"
        "found = [module['outcome'](b'', read) for read in (crash, internal, stall, hang, reject, len)]\n"
        "print(json.dumps([[name, fault is not None] for name, fault in found]))\n"
    )
    script = tmp_path / "faults.py"
    script.write_text(source)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [
        ["crash", True],
        ["E_INTERNAL", True],
        ["hang", True],
        ["hang", True],
        ["E_CRC", False],
        ["decoded", False],
    ]


def error_of(data: bytes) -> NvrcError | None:
    try:
        with nvrc_decoder.open(io.BytesIO(data), engine="reference") as video:
            for _ in video:
                pass
    except NvrcError as error:
        return error
    return None


@hostile
def test_a_hostile_stream_is_refused_by_name(case: Case) -> None:
    error = error_of(case.data)
    assert error is not None
    assert error.code in case.codes, error
    assert error.exit_code in OUTCOMES
    assert error.section
    assert error.unit or error.code in ("E_MAGIC", "E_VERSION", "E_TRAILING"), error


@pytest.mark.full
def test_hostile_streams_take_little_memory(tmp_path: Path) -> None:
    """The same in a process with a memory limit, also by random access."""
    files = []
    for number, case in enumerate(HOSTILE):
        files.append(tmp_path / f"{number}.nvrc")
        files[-1].write_bytes(case.data)
    report = run_cases("--files", *map(str, files))
    assert report["files"]["faults"] == []
    assert report["files"]["cases"] == len(HOSTILE)
    assert "decoded" not in report["files"]["outcomes"]
    assert report["peak_kilobytes"] < GIGABYTE_IN_KILOBYTES // 4


def cli_cases() -> list[bytes]:
    stream = MANIFEST.read(STREAM)
    cut = random.Random(SEED).sample(list(truncations(stream)), 4)
    return [*mutations([stream], 46, SEED + 1), *cut]


def check_command_line(data: bytes, folder: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """`decode` and `verify` end with the decoder's exit code, one line on stderr and no output."""
    path, output = folder / "damaged.nvrc", folder / "out.y4m"
    path.write_bytes(data)
    error = error_of(data)
    expected = 0 if error is None else error.exit_code
    for arguments in (["decode", str(path), "-o", str(output)], ["verify", str(path)]):
        assert run_cli([*arguments, "--engine", "reference"]) == expected
        captured = capsys.readouterr()
        assert {file.name for file in folder.iterdir()} <= {path.name, output.name}
        assert output.exists() == (error is None)
        if error is not None:
            assert captured.out == ""
            assert captured.err.startswith(f"error[{error.code}] ")
            assert captured.err.count("\n") == 1
    output.unlink(missing_ok=True)
    return expected


@pytest.mark.full
def test_mutations_through_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = cli_cases()
    assert len(cases) == 50
    assert {check_command_line(data, tmp_path, capsys) for data in cases} <= {0, *OUTCOMES}


@pytest.mark.parametrize(
    ("name", "code"), [("a wrong DIGEST", 65), ("unknown critical unit 0x7f", 69), ("65535x65535 at level 6", 77)]
)
def test_hostile_streams_have_exit_codes(
    name: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (case,) = (case for case in HOSTILE if case.name == name)
    assert check_command_line(case.data, tmp_path, capsys) == code


@pytest.mark.full
def test_mutations_through_a_separate_process(tmp_path: Path) -> None:
    path = tmp_path / "damaged.nvrc"
    for data in cli_cases()[1:46:11]:
        path.write_bytes(data)
        error = error_of(data)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "nvrc_ref", "verify", str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == (0 if error is None else error.exit_code), done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("bytearray(2 * module['ADDRESS_SPACE'])", "crash: MemoryError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise ValueError('boom')", "crash: ValueError"),
    ],
)
def test_the_runner_ends_with_1_on_a_fault(body: str, said: str) -> None:
    """Under its limit on memory, and at once where a user interrupts it."""
    source = (
        "import runpy, sys\n"
        f"sys.argv = ['run_cases', {str(MANIFEST.file(MANIFEST.stream(STREAM)))!r}, '--mutations', '1']\n"
        f"module = runpy.run_path({str(RUNNER)!r})\n"
        f"def seek_to_last(data): {body}\n"
        "module['main'].__globals__['seek_to_last'] = seek_to_last\n"
        "module['main']()\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False)
    if said == "KeyboardInterrupt":
        assert (done.returncode, done.stdout) == (-signal.SIGINT, "")
        return
    assert done.returncode == 1, done.stderr
    (fault,) = json.loads(done.stdout)["mutations"]["faults"]
    assert f"crash: {fault['fault']}".startswith(said)
