"""`nvrc-ref export`: a model or a folder that is whole, or nothing; faults and limits."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from export_cases import MANIFEST, call, export, path_of

import nvrc_decoder
from nvrc_conformance.faults.describe import refusal
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.decode.plan import make_plan
from nvrc_decoder.errors import LimitError, NvrcError
from nvrc_decoder.export import export_split, export_video
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits

STREAM = "lite-networks"


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "nano-400"
    target = tmp_path / "out.onnx"
    assert call("export", path_of(name), "-o", target, "--json", "--engine", "reference") == 0
    document = json.loads(capsys.readouterr().out)
    stream = MANIFEST.stream(name)
    assert (document["md5"], document["frames"]) == (stream.md5, len(stream.frame_md5))
    assert document["bytes"] == target.stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["out.onnx"]
    assert call("export", path_of(name), "-o", tmp_path / "out", "--split") == 0
    assert f"md5 {stream.md5}" in capsys.readouterr().out
    assert (tmp_path / "out" / "manifest.json").exists()


def test_through_pipes() -> None:
    words = [sys.executable, "-m", "nvrc_ref", "export", "-", "-o", "-"]
    result = subprocess.run(words, input=MANIFEST.read("nano-400"), capture_output=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == export("nano-400")[0]


def test_bad_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "keep").write_text("x")
    (tmp_path / "file").write_text("x")
    for words in (["full"], ["none/out"], ["full", "--split"], ["file", "--split"]):
        assert call("export", path_of(STREAM), "-o", tmp_path / words[0], *words[1:]) == 74
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error[E_OUTPUT]")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "keep"]
    for options in (["--split"], ["--json"]):
        assert call("export", path_of(STREAM), "-o", "-", *options) == 2
    assert call("export", path_of(STREAM), "-o", tmp_path / "out", "--split", "--start", "1") == 2
    assert call("export", path_of(STREAM), "-o", tmp_path / "out", "--engine", "reference", "--provider", "cuda") == 2
    assert call("export", tmp_path / "none.nvrc", "-o", tmp_path / "out") == 66


def test_faulty_streams_are_refused_as_by_decode() -> None:
    for fault in MANIFEST.faults:
        data, output = MANIFEST.file(fault).read_bytes(), io.BytesIO()
        expected = refusal(data)
        with pytest.raises(NvrcError) as refused:
            export_video(io.BytesIO(data), output, engine="reference")
        assert (refused.value.code, refused.value.offset) == (expected.code, expected.offset), fault.id
        assert output.getvalue() == b""


@pytest.mark.parametrize("form", [[], ["--split"]], ids=["whole", "split"])
def test_a_damaged_stream_leaves_nothing(form: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = MANIFEST.read("nano-two-gops")
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for number, bad in enumerate((data[:-20], data[: len(data) // 2], bytes(flipped))):
        source = tmp_path / f"{number}.nvrc"
        source.write_bytes(bad)
        assert call("export", source, "-o", tmp_path / "out", *form) == 65
        assert capsys.readouterr().err.startswith("error[E_")
        source.unlink()
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_digest_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvrc_decoder.picture.planes.GopDigest.digest", lambda self: bytes(16))
    assert call("export", path_of("nano-two-gops"), "-o", tmp_path / "out") == 65
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    places = {"nvrc_decoder.export.tables.GridRows.add": [], "nvrc_decoder.export.tables.GridRows.chunks": []}
    for place, form in {**places, "numpy.savez_compressed": ["--split"]}.items():
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            assert call("export", path_of("nano-400"), "-o", tmp_path / "out", *form) == 74
        assert "No space left" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []


def test_exporting_imports_neither_torch_nor_onnx(tmp_path: Path) -> None:
    code = (
        "import sys; from nvrc_ref.main import run; "
        f"run(['export', {str(path_of('nano-400'))!r}, '-o', {str(tmp_path / 'out')!r}, '--engine', 'reference']); "
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'cv2', 'av'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_a_model_has_a_largest_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    size = export("nano-400")[1].bytes
    for limit, works in ((size, True), (size - 1, False), (10, False)):
        monkeypatch.setattr("nvrc_decoder.export.model_file.MODEL_BYTES_MAX", limit)
        if works:
            export("nano-400")
            continue
        with pytest.raises(LimitError, match="--start and --frames"):
            export("nano-400")
        assert call("export", path_of("nano-400"), "-o", tmp_path / "a.onnx") == 77
    assert list(tmp_path.iterdir()) == []


def test_local_limits_hold() -> None:
    with pytest.raises(LimitError):
        export("nano-400", limits=Limits(max_memory_bytes=1000))


@pytest.mark.parametrize("export_any", [export_video, export_split])
def test_what_is_kept_of_all_gops_has_a_limit(export_any: Any, tmp_path: Path) -> None:
    data = MANIFEST.read("nano-many-gops")
    table = RandomAccess(io.BytesIO(data))
    gops = [table.gop(k) for k in range(table.gop_count)]
    alone = max(make_plan(table.sequence, gop.network, gop.gop, DEFAULT_LIMITS).estimate for gop in gops)
    for more, works in ((100, False), (10_000_000, True)):
        limits = Limits(max_memory_bytes=alone + more)
        with nvrc_decoder.open(io.BytesIO(data), limits=limits, engine="reference") as video:
            assert len(list(video)) == table.frame_count
        target = io.BytesIO() if export_any is export_video else tmp_path / str(works)
        if isinstance(target, Path):
            target.mkdir()
        with nullcontext() if works else pytest.raises(LimitError, match="max_memory_bytes"):
            export_any(io.BytesIO(data), target, limits=limits, engine="reference")
