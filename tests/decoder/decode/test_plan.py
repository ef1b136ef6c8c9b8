"""The estimate by which streams are refused bounds the memory that decoding takes, and not by far.

Every decoding is a process of its own, which tells its largest resident set.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from case_choice import full_except
from silent_streams import silent_gop, silent_network

from benchmarks.memory import measure
from nvrc_decoder.bitstream.units import Gop, NetworkHeader, SequenceHeader
from nvrc_decoder.decode.plan import PROCESS_BYTES, estimate_gop_memory, grid_memory, make_plan
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.octree.schedule import octree_schedule, temporal_first_schedule
from nvrc_decoder.profiles import PROFILES, Profile
from nvrc_decoder.pyramid import Pyramid
from nvrc_decoder.synthesis.tiles import halo

PAGE = (Path(__file__).parents[3] / "docs" / "memory.md").read_text(encoding="utf-8")
HD = SequenceHeader(1920, 1080, 25, 1, profile=2, level=6)


def estimate(sequence: SequenceHeader, network: NetworkHeader, frames: int, limits: Limits = DEFAULT_LIMITS) -> int:
    return estimate_gop_memory(sequence, network, Gop(frames, ()), limits)


@pytest.mark.parametrize(
    ("profile", "size", "frames", "schedule", "engine"),
    [
        ("nano", (1280, 720), 8, "temporal-first", "onnxruntime"),
        ("lite", (640, 360), 48, "none", "onnxruntime"),
        ("main", (640, 360), 16, "octree", "onnxruntime"),
        ("main", (640, 360), 2, "temporal-first", "reference"),
    ],
)
def test_estimate_bounds_the_peak(profile: str, size: tuple[int, int], frames: int, schedule: str, engine: str) -> None:
    row = measure(profile, *size, (frames,), schedule, engine, frames=1)
    assert row["outcome"] == "decoded"
    assert row["peak"] <= row["estimate"] <= 2 * row["peak"]


@pytest.mark.parametrize(
    ("profile", "size"), full_except([("nano", (1280, 720)), ("main", (352, 200))], ("main", (352, 200)))
)
def test_workers_take_what_is_planned_for_them(profile: str, size: tuple[int, int]) -> None:
    one, three = (measure(profile, *size, (9,), frames=9, threads=threads) for threads in (1, 3))
    assert (one["workers"], three["workers"]) == (1, 3)
    assert one["peak"] < three["peak"] <= three["estimate"]


def test_tiles_have_one_worker() -> None:
    sequence = SequenceHeader(3840, 2160, 25, 1, profile=1, level=6)
    network = silent_network(sequence, 1)
    gop = silent_gop(sequence, network, 1)
    for limit, workers in ((3_400_000_000, 1), (5_600_000_000, 2)):
        plan = make_plan(sequence, network, gop, Limits(max_memory_bytes=limit), 2)
        # There are bytes for two.
        assert replace(plan.synthesis, workers=2).bytes + plan.frame_bytes + plan.symbol_bytes <= limit
        assert plan.synthesis.workers == workers


def test_grids_that_are_too_large_are_refused_before_they_are_decoded() -> None:
    row = measure("main", 1920, 1080, (96,), "none", "reference", frames=1)
    assert "max_memory_bytes" in row["outcome"]
    assert row["peak"] < PROCESS_BYTES


def test_a_smaller_limit_is_kept_by_tiles() -> None:
    limit = 250_000_000
    whole = measure("lite", 960, 540, (2,), frames=1)
    assert whole["estimate"] > limit
    tiled = measure("lite", 960, 540, (2,), frames=1, limit=limit)
    assert tiled["outcome"] == "decoded"
    assert tiled["peak"] < min(limit, whole["peak"])


@pytest.mark.full
def test_memory_does_not_grow_with_the_number_of_gops() -> None:
    few, many = (measure("nano", 208, 120, (8,) * gops, frames=8 * 40)["peak"] for gops in (4, 40))
    assert many - few < 4_000_000


@pytest.mark.parametrize("schedule", [temporal_first_schedule, octree_schedule], ids=["temporal-first", "octree"])
def test_largest_profile_fits_at_1080p_with_32_frames(schedule) -> None:  # type: ignore[no-untyped-def]
    network = silent_network(HD, 32, schedule)
    assert estimate(HD, network, 32) < DEFAULT_LIMITS.max_memory_bytes < 1_000_000_000


def test_one_step_for_all_is_what_makes_the_difference() -> None:
    dense = Pyramid(8, 1, (16, 16, 16))
    default, flat = silent_network(HD, 32, pyramid=dense), silent_network(HD, 32, lambda *_: (), pyramid=dense)
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


def by_the_formula(sequence: SequenceHeader, network: NetworkHeader, frames: int) -> int:
    """Estimate of docs/memory.md for a GOP without coded bytes or splits of schedules, in a picture of one tile."""
    profile = sequence.profile_spec
    constants = re.findall(r"(\d+) for (nano|lite|main)", re.findall(r"A is [^:]*:", PAGE)[0])
    a = {name: int(value) for value, name in constants}[profile.name]
    order = sorted(
        (grid.slot for grid in network.grids), key=lambda i: (i not in (profile.flow_slot, profile.split_slot), i)
    )
    pyramid, channels = network.pyramid, network.grid_channels(profile)
    keys = math.ceil((frames - 1) / pyramid.key_spacing)
    grid_bytes = decoding = previous = 0
    for i in order:
        slot, c, flow = profile.slots[i], channels[i], i == profile.flow_slot
        n = keys * pyramid.key_spacing // pyramid.node_spacing + 1 if i in profile.node_slots else frames
        h, w = math.ceil(sequence.height / slot.stride), math.ceil(sequence.width / slot.stride)
        grid_bytes += 2 * n * c * h * w
        lattice = (n + 2) * (2 * c + 1 if flow else c) * (h + 2) * (w + 2)
        decoding = max(decoding, grid_bytes + lattice + n * h * w + previous + 32 * n * c * h * w)
        previous = 0 if i in (profile.flow_slot, profile.split_slot) else n * h * w
    cells = (math.ceil(sequence.height / 4) + 2) * (math.ceil(sequence.width / 4) + 2)
    luma = int(channels[profile.band_slots[0]] > 0)
    samples = channels[profile.plane_slot] + 16 * luma
    node = samples * (8 if profile.flow_slot in order else 2)
    frame = 2 * samples + 2 * profile.slots[profile.plane_slot].max_channels + 64 * luma + 120
    planes = 16_000_000 + cells * ((len(pyramid.factors) + 2) * node + frame)
    synthesis = planes * any(i in order for i in profile.node_slots) + a * (sequence.height // 2 + 2) * (
        sequence.width // 2 + 2
    )
    frame = sequence.width * sequence.height + 2 * math.ceil(sequence.width / 2) * math.ceil(sequence.height / 2)
    return 110_000_000 + 3 * frame + max(min(72_000_000, synthesis) + decoding, grid_bytes + synthesis)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize(("frames", "pyramid"), [(1, Pyramid()), (9, Pyramid(8, 8)), (10, Pyramid(16, 2, (9, 9, 9)))])
@pytest.mark.parametrize("absent", ["none", "flow", "planes", "luma", "nodes"])
def test_the_estimate_is_what_the_page_says(profile: Profile, frames: int, pyramid: Pyramid, absent: str) -> None:
    sequence = replace(HD, width=333, height=201, profile=profile.id)
    left_out: dict[str, tuple[int, ...]] = {
        "none": (),
        "flow": (profile.flow_slot, profile.split_slot),
        "planes": (profile.plane_slot,),
        "luma": profile.band_slots,
        "nodes": (*profile.node_slots, profile.flow_slot, profile.split_slot),
    }
    network = silent_network(sequence, frames, lambda *_: (), pyramid=pyramid)
    network = replace(network, grids=tuple(grid for grid in network.grids if grid.slot not in left_out[absent]))
    assert estimate(sequence, network, frames) == by_the_formula(sequence, network, frames)


def test_margins_of_tiles_are_those_of_the_page() -> None:
    assert ", ".join(f"{halo(profile)} ({profile.name})" for profile in PROFILES[:2]) in PAGE
    assert f" or {halo(PROFILES[2])} (main) luma samples" in PAGE
