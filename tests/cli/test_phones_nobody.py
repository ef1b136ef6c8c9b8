"""Nothing is asked of the network, and nothing is written but what the user named: seen by its system calls."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from case_choice import full_except

from nvrc_decoder.errors import MissingExtraError
from nvrc_decoder.system.packages import load_package

ROOT = Path(__file__).resolve().parents[2]
STREAM = ROOT / "conformance" / "streams" / "trained-nano.nvrc"
CLIP = b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420\n" + 2 * (b"FRAME\n" + bytes(range(128)) * 3)
CALLS = "socket,connect,sendto,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
COMMANDS = {
    "info": ["info", STREAM],
    "decode": ["decode", STREAM, "-o", "a.y4m"],
    "PNG": ["decode", STREAM, "-o", "pictures", "--frames", "1"],
    "mp4": ["decode", STREAM, "-o", "a.mp4", "--frames", "1"],
    "export": ["export", STREAM, "-o", "a.onnx"],
    "encode": ["encode", "a.y4m", "-o", "b.nvrc", "--preset", "draft", "--iterations", "1", "--threads", "1"],
}


def has_strace() -> bool:
    """Whether system calls can be traced here."""
    command = ["strace", "-f", "-o", os.devnull, "true"]
    return shutil.which("strace") is not None and subprocess.run(command, capture_output=True).returncode == 0


def written(trace: str) -> set[Path]:
    """What was opened for writing, made or renamed, as far as that went well."""
    found = set()
    for line in trace.splitlines():
        if " = -1 " in line or not re.search(
            r"O_WRONLY|O_RDWR|O_CREAT|\b(?:mkdir|rename|link|symlink|creat)\w*\(", line
        ):
            continue
        found.update(Path(name) for name in re.findall(r'"((?:[^"\\]|\\.)*)"', line))
    return found


@pytest.mark.skipif(not has_strace(), reason="there is no strace here, or it may not trace")
@pytest.mark.parametrize("name", full_except(COMMANDS, "decode", "info"))
def test_no_network_and_no_file_of_others(name: str, tmp_path: Path) -> None:
    if name == "encode":
        pytest.importorskip("torch")
        (tmp_path / "a.y4m").write_bytes(CLIP)
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    words = [str(word) for word in COMMANDS[name]]
    trace = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", str(tmp_path / "calls"), "-e", f"trace={CALLS}"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "ORT_"))}
    environment.update(HOME=str(home), TMPDIR=str(temporary), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(
        [*trace, sys.executable, "-m", "nvrc_ref", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text(errors="replace")
    assert "openat(" in calls
    assert re.findall(r".*AF_INET.*", calls) == []
    assert list(home.iterdir()) == []
    # PyTorch makes an empty folder.
    assert [path for path in temporary.rglob("*") if not path.is_dir()] == []
    elsewhere = {path for path in written(calls) if path.is_absolute() and not path.is_relative_to(tmp_path)}
    assert {path for path in elsewhere if path.parts[1] not in ("dev", "proc")} == set()


def test_ray_reports_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)  # it is off before Ray is imported
    with pytest.raises(MissingExtraError):
        load_package("ray", "this")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_onnxruntime_is_imported_in_one_place() -> None:
    """There the telemetry is switched off first; the programs of docs/export.md do that themselves."""
    packages = ("bench", "cli", "conformance", "decoder", "encoder", "graphs", "output")
    folders = (*packages, "demo", "docs", "spec", "tests", "tools")
    sources = [path for name in folders for path in (ROOT / name).rglob("*") if path.suffix in (".py", ".md")]
    assert len(sources) > 200
    for path in sources:
        text = path.read_text(encoding="utf-8")
        found = re.search(r"^\s*(?:import onnxruntime|from onnxruntime)\b", text, re.MULTILINE)
        if found:
            assert "ORT_DISABLE_TELEMETRY" in text[: found.start()], path
