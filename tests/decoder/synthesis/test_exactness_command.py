"""The exactness command on the CPU: it passes where all is well, and each kind of fault makes it fail."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools" / "exactness"))

import cases  # noqa: E402
import run  # noqa: E402
import speed  # noqa: E402
import variants  # noqa: E402

from nvrc_decoder.errors import InternalError  # noqa: E402
from nvrc_decoder.picture.planes import Planes  # noqa: E402
from nvrc_decoder.profiles import PROFILES  # noqa: E402
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer  # noqa: E402

SMALL = ["--provider", "cpu", "--sizes", "9x7", "--gops", "3,2", "--no-golden", "--threads", "1", "--profiles", "nano"]


def outcome(tmp_path: Path, *more: str) -> tuple[int, dict[str, Any]]:
    report = tmp_path / "report.json"
    code = run.main([*SMALL, *more, "--json", str(report)])
    return code, json.loads(report.read_text())


@pytest.mark.full
def test_all_is_equal_here(tmp_path):
    code, report = outcome(tmp_path, "--options", "--swept-sizes", "5x4")
    assert code == 0
    assert report["breaking"] == []
    rows = report["runs"]
    assert {row["frames_in_a_call"] for row in rows} == {1, 3}
    assert all(row["gops"] == [3, 2] and row["against"] == "NumPy" for row in rows)
    assert {row["case"].split()[0] for row in rows} == {"lively", "bound", "aligned"}
    assert all(row["samples"] > 0 for row in rows)
    assert {row["variant"] for row in report["options"]} == {v.name for v in variants.swept_variants("cpu")}


class Wrong(OrtSynthesizer):
    """One sample of the last frame of a call is off by one, unless ONNX Runtime may not optimise; or calls fail."""

    fails = False

    def __init__(self, *arguments: Any, optimization: bool = True, **options: Any) -> None:
        super().__init__(*arguments, optimization=optimization, **options)
        self.optimized = optimization

    def synthesise(self, grids: Any, frame_count: int, frames: range) -> list[Planes]:
        if self.fails:
            raise InternalError("E_RUNTIME", "ONNX Runtime failed: full")
        decoded = super().synthesise(grids, frame_count, frames)
        if self.optimized:
            decoded[-1].y[-1, -1] ^= 1
        return decoded


@pytest.mark.full
def test_one_wrong_sample_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "OrtSynthesizer", Wrong)
    code, report = outcome(tmp_path, "--options", "--swept-sizes", "5x4")
    assert code == 1
    assert all(row["differing"] == 2 and row["largest"] == 1 for row in report["runs"])
    assert "no graph optimisation" not in report["breaking"]
    assert "all graph optimisation" in report["breaking"]
    assert "not equal: " in capsys.readouterr().out


def test_a_failing_call_is_no_success(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "OrtSynthesizer", Wrong)
    monkeypatch.setattr(Wrong, "fails", True)
    code, report = outcome(tmp_path)
    assert code == 1
    assert all("full" in row["error"] for row in report["runs"])


def test_falling_back_to_the_cpu_is_no_success(monkeypatch):
    class Fallen:
        provider = "cpu"

        def __enter__(self) -> Fallen:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def __iter__(self) -> Iterator[Planes]:
            return iter(())

    monkeypatch.setattr(run.nvrc_decoder, "open", lambda *arguments, **options: Fallen(), raising=False)
    rows = list(run.through_the_decoder("cuda", None))
    assert rows
    assert all(run.failed(row) and row["error"] == "fell back to cpu" for row in rows)


def test_without_a_gpu_the_exit_code_says_so(capsys):
    if "CUDAExecutionProvider" in pytest.importorskip("onnxruntime").get_available_providers():
        pytest.skip("this ONNX Runtime may have a GPU")
    assert run.main(["--provider", "cuda"]) == 69
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("sizes", ["0x4", "4", "4x", "ax4"])
def test_sizes_that_are_none(sizes, capsys):
    with pytest.raises(SystemExit) as caught:
        run.main(["--sizes", sizes])
    assert caught.value.code == 2
    assert "WIDTHxHEIGHT" in capsys.readouterr().err


def test_tf32_is_forced_on_cuda_only():
    assert [dict(v.cuda) for v in variants.decoder_variants("cuda", "both")] == [{}, {"use_tf32": "1"}]
    assert [dict(v.cuda) for v in variants.decoder_variants("cpu", "both")] == [{}, {}, {}]
    swept = [dict(v.cuda) for v in variants.swept_variants("cuda")]
    for name in ("use_tf32", "fuse_conv_bias", "prefer_nhwc", "cudnn_conv_algo_search"):
        assert [name] in [list(options) for options in swept]


def test_wrong_shapes_and_missing_frames_count_as_different():
    plane = np.zeros((4, 6), np.uint8)
    right = [Planes(plane), Planes(plane)]
    assert cases.differing_samples(right, right) == (0, 0, 48)
    assert cases.differing_samples([Planes(plane)], right)[0] == 24
    assert cases.differing_samples([Planes(plane[:, :5]), Planes(plane)], right)[0] == 24
    assert cases.differing_samples([Planes(plane.astype(np.uint16)), Planes(plane)], right)[0] == 24


@pytest.mark.full
def test_speed_and_bound(tmp_path, monkeypatch, capsys):
    arguments = ["--speed", "--speed-profile", "nano", "--speed-size", "32x16", "--speed-frames", "2"]
    code, report = outcome(tmp_path, *arguments, "--speed-gops", "2,1", "--bandwidth-tbs", "1")
    assert code == 0
    measured = report["speed"]
    assert measured["end_to_end"]["frames"] == 3
    assert measured["end_to_end"]["provider"] == "cpu"
    assert measured["operator_bytes"]["all"] >= measured["operator_bytes"]["half"] > measured["layer_bytes"]
    assert "Conv" in " ".join(measured["operator_bytes"]["operators"])
    assert measured["bound, each layer once"] == pytest.approx(1e12 / measured["layer_bytes"])


def test_layer_traffic_by_hand():
    # nano at 2x2: one sample at half resolution; 4 grid channels, 8 activations, 1 block, 12 rows.
    values = 8 + (4 + 8) + (2 + 8) + 24 + (16 + 16 + 24) + 4 * (16 + 8 + 12) + 3 * 36 + 24
    assert speed.layer_traffic(PROFILES[0], 2, 2) == 4 * values
    assert speed.layer_traffic(PROFILES[0], 3, 5) == 6 * 4 * values
