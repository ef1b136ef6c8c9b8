"""Tiny videos for the tests of the encoder."""

from __future__ import annotations

import io
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

import nvrc_decoder
from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.planes import Planes, plane_shapes
from nvrc_decoder.profiles import CHROMA_420
from nvrc_encoder import EncodeOptions, EncodeReport, encode
from nvrc_encoder.rate.parameters import ParameterBank
from nvrc_encoder.source.video import Source

__all__ = ["ONE_GRID", "ONE_GRID_WORDS", "check", "gradient_source", "moving_gradient", "options", "run", "texture"]

# Options for tests that ask nothing of the structure: an encode takes half of the time.
ONE_GRID: dict[str, Any] = {"slots": (4,), "motion": False}
ONE_GRID_WORDS = ("--grids", "0,0,0,0,3,0,0,0,0,0,0", "--no-motion")


def moving_gradient(
    width: int, height: int, frames: int, chroma_format: int = CHROMA_420, bit_depth: int = 8
) -> list[Planes]:
    """A gradient with a disc, both moving, different in each plane, with a little noise from a fixed seed."""
    rng = np.random.default_rng(1)
    peak = (1 << bit_depth) - 1
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    out = []
    for t in range(frames):
        planes = []
        for index, (rows, columns) in enumerate(plane_shapes(width, height, chroma_format)):
            y, x = np.mgrid[:rows, :columns] / max(rows, columns, 2)
            value = 0.3 + 0.4 * ((1 - index / 2) * x + (0.2 + index / 3) * y) + 0.02 * t
            value = value + 0.2 * (np.hypot(x - 0.3 - 0.05 * t, y - 0.4) < 0.2)
            value = value * peak + rng.normal(0, peak / 200, (rows, columns))
            planes.append(np.clip(np.round(value), 0, peak).astype(dtype))
        out.append(Planes(*planes))
    return out


def gradient_source(
    width: int = 48,
    height: int = 32,
    frames: int = 6,
    chroma_format: int = CHROMA_420,
    bit_depth: int = 8,
    rate: Fraction = Fraction(25),
) -> Source:
    """`moving_gradient` as a `Source`."""
    clip = moving_gradient(width, height, frames, chroma_format, bit_depth)
    picture = VideoFormat(width, height, rate, chroma_format, bit_depth)
    return Source("gradient", picture, frames, lambda: iter(clip))


def options(**changes: Any) -> EncodeOptions:
    """Options of a short training on the CPU without trials, with `changes`."""
    return EncodeOptions(**{"preset": "draft", "iterations": 12, "device": "cpu", "trials": False, **changes})


def run(source: Source, **changes: Any) -> tuple[bytes, EncodeReport]:
    """The stream and the report of an encode with `options`."""
    output = io.BytesIO()
    report = encode(source, output, options(**changes))
    return output.getvalue(), report


def check(data: bytes, report: EncodeReport, source: Source) -> list[Planes]:
    """Assert that every decoder gives the frames of the report, and that its figures are right; the frames."""
    decoded: list[list[Planes]] = []
    for engine in ("reference", "onnxruntime"):
        with nvrc_decoder.open(io.BytesIO(data), engine=engine) as video:  # type: ignore[arg-type]
            decoded.append(list(video))
        assert [frame.md5() for frame in decoded[-1]] == list(report.frame_md5)
    frames = decoded[0]
    original = list(source)
    assert len(frames) == len(original) == report.frames
    for a, b in zip(frames, original, strict=True):
        assert [p.shape for p in a.planes()] == [p.shape for p in b.planes()]
        assert [p.dtype for p in a.planes()] == [p.dtype for p in b.planes()]
    assert report.bytes == len(data)
    assert abs(report.estimated_bytes - len(data)) <= 0.01 * len(data) + 200
    assert report.bits_per_pixel == pytest.approx(8 * len(data) / (len(frames) * source.width * source.height))
    assert sum(report.components.values()) == pytest.approx(len(data))
    assert min(report.components.values()) >= 0
    peak = (1 << source.bit_depth) - 1
    mse = [float(((a.y.astype(float) - b.y) ** 2).mean()) for a, b in zip(frames, original, strict=True)]
    psnr = np.mean([10 * math.log10(peak**2 / e) if e else 100 for e in mse])
    assert report.quality.y == pytest.approx(psnr)
    assert (report.quality.u is None) == (report.quality.v is None) == (source.chroma_format == 0)
    return frames


def written_integers(bank: ParameterBank) -> torch.Tensor:
    """q of every parameter in the stream, [n] float32."""
    parts = [torch.from_numpy(part.reshape(-1)) for q in bank.integers() for part in (q.weight, q.bias)]
    return torch.cat(parts).float()


def texture(height: int, width: int, seed: int) -> torch.Tensor:
    """Smooth random luma of about 10 to 245, [height, width]."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(10, 245, (1, 1, -(-height // 8) + 2, -(-width // 8) + 2))).float()
    fine = functional.interpolate(coarse, scale_factor=8, mode="bicubic")[0, 0, 8 : 8 + height, 8 : 8 + width]
    return fine.clamp(0, 255)
