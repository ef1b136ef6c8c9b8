"""The estimate by which streams are refused bounds the memory that decoding takes, and not by far.

Every decoding is a process of its own, which tells its largest resident set.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.memory import measure
from silent_streams import silent_network

from nvrc_decoder.bitstream.units import Gop, NetworkHeader, SequenceHeader
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.memory import PROCESS_BYTES, estimate_gop_memory, grid_memory
from nvrc_decoder.octree.schedule import octree_schedule, temporal_first_schedule

HD = SequenceHeader(1920, 1080, 25, 1, profile=2, level=6)


def estimate(sequence: SequenceHeader, network: NetworkHeader, frames: int, limits: Limits = DEFAULT_LIMITS) -> int:
    return estimate_gop_memory(sequence, network, Gop(frames, tuple(b"" for _ in network.grids)), limits)


@pytest.mark.parametrize(
    ("profile", "size", "frames", "schedule", "engine"),
    [
        ("nano", (1280, 720), 8, "temporal-first", "onnxruntime"),
        ("lite", (640, 360), 48, "none", "onnxruntime"),
        ("main", (640, 360), 16, "octree", "onnxruntime"),
        ("main", (480, 270), 2, "temporal-first", "reference"),
    ],
)
def test_estimate_bounds_the_peak(profile: str, size: tuple[int, int], frames: int, schedule: str, engine: str) -> None:
    row = measure(profile, *size, (frames,), schedule, engine, frames=1)
    assert row["outcome"] == "decoded"
    assert row["peak"] <= row["estimate"] <= 2 * row["peak"]


def test_grids_that_are_too_large_are_refused_before_they_are_decoded() -> None:
    row = measure("main", 1920, 1080, (32,), "none", "reference", frames=1)
    assert "max_memory_bytes" in row["outcome"]
    assert row["peak"] < PROCESS_BYTES


def test_a_smaller_limit_is_kept_by_tiles() -> None:
    limit = 250_000_000
    whole = measure("lite", 1024, 576, (2,), frames=1)
    assert whole["estimate"] > limit
    tiled = measure("lite", 1024, 576, (2,), frames=1, limit=limit)
    assert tiled["outcome"] == "decoded"
    assert tiled["peak"] < min(limit, whole["peak"])


def test_memory_does_not_grow_with_the_number_of_gops() -> None:
    few, many = (measure("nano", 208, 120, (8,) * gops, frames=8 * 40)["peak"] for gops in (4, 40))
    assert many - few < 4_000_000


@pytest.mark.parametrize("schedule", [temporal_first_schedule, octree_schedule], ids=["temporal-first", "octree"])
def test_largest_profile_fits_at_1080p_with_32_frames(schedule) -> None:  # type: ignore[no-untyped-def]
    network = silent_network(HD, 32, schedule)
    assert estimate(HD, network, 32) < DEFAULT_LIMITS.max_memory_bytes < 1_000_000_000


def test_one_step_for_all_is_what_makes_the_difference() -> None:
    default, flat = silent_network(HD, 32), silent_network(HD, 32, lambda *_: ())
    held, decoding = grid_memory(HD, default, 32)
    assert grid_memory(HD, flat, 32)[0] == held
    assert grid_memory(HD, flat, 32)[1] > 2 * decoding
    assert estimate(HD, flat, 32) > DEFAULT_LIMITS.max_memory_bytes


@pytest.mark.parametrize("profile", range(3))
@pytest.mark.parametrize("size", [(8192, 2048), (2048, 8192), (8192, 1), (1, 8192)])
def test_any_allowed_size_can_be_decoded(profile: int, size: tuple[int, int]) -> None:
    # Tiles bound the activations, so that one frame of the largest picture fits.
    sequence = replace(HD, width=size[0], height=size[1], profile=profile)
    assert estimate(sequence, silent_network(sequence, 1), 1) < DEFAULT_LIMITS.max_memory_bytes
