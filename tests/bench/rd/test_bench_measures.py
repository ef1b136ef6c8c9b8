"""Bytes of elementary streams, qualities of frames, and the time and memory of programs."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from nvrc_bench.rd.bitstreams import annex_b_bytes, ivf_bytes, obu_bytes
from nvrc_bench.rd.process import CommandError, Runner
from nvrc_bench.rd.quality import compare
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.picture.planes import Planes

DELIMITER = b"\x12\x00"


def test_temporal_delimiters_do_not_count() -> None:
    long = b"\x32\x80\x01" + bytes(128)
    extended = b"\x36\x00\x02ab"
    assert obu_bytes(DELIMITER + long + DELIMITER + extended) == len(long) + len(extended)
    assert obu_bytes(b"") == 0


@pytest.mark.parametrize(
    "data", [b"\x32\x05abc", b"\x30\x01a", b"\xb2\x01a", b"\x32", b"\x32" + b"\xff" * 9, b"\x36\x00"]
)
def test_a_damaged_obu_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidStreamError):
        obu_bytes(DELIMITER + data)


def test_headers_of_ivf_do_not_count() -> None:
    header = b"DKIF\0\0\x20\0" + bytes(24)
    frames = [b"12345", b"", b"123"]
    data = header + b"".join(len(frame).to_bytes(4, "little") + bytes(8) + frame for frame in frames)
    assert ivf_bytes(data) == 8
    for wrong in (data[:-1], b"RIFF" + data[4:], data + b"\xff"):
        with pytest.raises(InvalidStreamError):
            ivf_bytes(wrong)


def test_annex_b_counts_all_bytes() -> None:
    assert annex_b_bytes(b"\0\0\0\x01\x67abc") == 8


def picture(value: int, size: tuple[int, int] = (16, 16), kind: type = np.uint8) -> Planes:
    height, width = size
    return Planes(*(np.full(shape, value, kind) for shape in ((height, width), *[(height // 2, width // 2)] * 2)))


def test_psnr_is_the_mean_of_the_frames() -> None:
    source = [picture(100), picture(100)]
    decoded = [picture(101), picture(110)]
    result = compare(source, decoded, (16, 16), 8)
    one = 20 * math.log10(255)
    assert result["psnr"]["y"] == pytest.approx((one + one - 20) / 2)
    assert result["frames"] == 2
    assert result["ms_ssim_y"] is None
    assert "97x97" in result["ms_ssim_reason"]


def test_psnr_uses_the_peak_and_plane_weights() -> None:
    a, b = picture(500, kind=np.uint16), picture(500, kind=np.uint16)
    assert b.u is not None
    b.u[:] = 501
    psnr = compare([a], [b], (16, 16), 10)["psnr"]
    assert psnr["y"] == psnr["v"] == 100
    assert psnr["u"] == pytest.approx(20 * math.log10(1023))
    assert psnr["yuv"] == pytest.approx((700 + psnr["u"]) / 8)


def test_a_different_number_of_frames_is_refused() -> None:
    with pytest.raises(InvalidStreamError, match="another number"):
        compare([picture(1), picture(1)], [picture(1)], (16, 16), 8)
    with pytest.raises(InvalidStreamError):
        compare([picture(1)], [picture(1, (8, 16))], (16, 16), 8)
    with pytest.raises(InvalidStreamError):
        compare([], [], (16, 16), 8)


@pytest.mark.parametrize(
    ("size", "window"),
    [((1920, 1080), 11), ((352, 161), 11), ((176, 144), 9), ((128, 128), 7), ((97, 500), 7), ((96, 500), 0)],
)
def test_the_ms_ssim_window_follows_the_size(size: tuple[int, int], window: int) -> None:
    from nvrc_encoder.quality.ms_ssim import window_for

    assert window_for(*size) == window


def test_a_small_picture_gets_a_narrower_window() -> None:
    pytest.importorskip("pytorch_msssim")
    noise = np.random.default_rng(0).integers(0, 256, (144, 176)).astype(np.uint8)
    chroma = np.zeros((72, 88), np.uint8)
    a, same, other = (Planes(y, chroma, chroma) for y in (noise, noise.copy(), np.flipud(noise).copy()))
    exact = compare([a], [same], (176, 144), 8)
    assert exact["ms_ssim_y"] == pytest.approx(1)
    assert exact["ms_ssim_window"] == 9
    assert compare([a], [other], (176, 144), 8)["ms_ssim_y"] < 0.5


def test_a_program_is_measured(tmp_path: Path) -> None:
    # It sleeps, since its memory is sampled.
    code = (
        "import os, time; x = bytearray(90 << 20); time.sleep(0.5)\n"
        "print(os.environ['OMP_NUM_THREADS'], os.environ['EXTRA'])"
    )
    log = tmp_path / "log"
    execution = Runner(3).execute([sys.executable, "-c", code], tmp_path, log, {"EXTRA": "yes"})
    assert execution.peak_bytes > 80 << 20
    assert execution.seconds > 0
    assert execution.cpu_seconds > 0
    assert log.read_text().splitlines()[-1] == "3 yes"


def test_a_failed_program_is_reported(tmp_path: Path) -> None:
    runner = Runner(1)
    with pytest.raises(CommandError, match=r"failed \(7\).*what happened"):
        runner.execute([sys.executable, "-c", "print('what happened'); exit(7)"], tmp_path, tmp_path / "log", {})
    with pytest.raises(CommandError, match="cannot run"):
        runner.execute(["no-such-program"], tmp_path, tmp_path / "log", {})
    runner.stop()
    with pytest.raises(CommandError, match="stopped"):
        runner.execute([sys.executable, "-c", ""], tmp_path, tmp_path / "log", {})
