"""`join` names the input at fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from nvrc_ref.main import run

STREAMS = Path(__file__).resolve().parents[2] / "conformance" / "streams"
GOOD = (STREAMS / "nano-two-gops.nvrc").read_bytes()
OTHER = (STREAMS / "nano-444.nvrc").read_bytes()
BROKEN = {
    "empty": (b"", 65),
    "no stream": (b"hello, this is no stream", 65),
    "another version": (GOOD[:8] + b"\x09" + GOOD[9:], 69),
    "cut off": (GOOD[:-60], 65),
    "cut off in its header": (GOOD[:9], 65),
    "one wrong bit": (GOOD[:200] + bytes([GOOD[200] ^ 1]) + GOOD[201:], 65),
    "more than its end": (GOOD + b"x", 65),
    "another format": (OTHER, 69),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("first.nvrc", "last.nvrc"):
        Path(name).write_bytes(GOOD)


@pytest.mark.parametrize("fault", BROKEN)
def test_the_input_at_fault_is_named(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    data, code = BROKEN[fault]
    Path("middle.nvrc").write_bytes(data)
    assert run(["join", "first.nvrc", "middle.nvrc", "last.nvrc", "-o", "out.nvrc"]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert "middle.nvrc" in line
    assert "first.nvrc" not in line
    assert "last.nvrc" not in line
    assert not Path("out.nvrc").exists()


def test_a_missing_input_and_a_folder_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder").mkdir()
    for name in ("missing.nvrc", "folder"):
        assert run(["join", "first.nvrc", name, "-o", "out.nvrc"]) == 66
        assert name in capsys.readouterr().err


def test_a_limit_names_the_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["join", "first.nvrc", "last.nvrc", "-o", "out.nvrc", "--limit", "max_width=1"]) == 77
    assert "first.nvrc" in capsys.readouterr().err
