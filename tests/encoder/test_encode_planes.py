"""`encode` with planes: short last GOPs, every kind of pyramid, empty nodes."""

from __future__ import annotations

import io

import pytest
from case_choice import full_except
from encoder_cases import check, gradient_source, run

from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.units import coded_nodes
from nvrc_decoder.limits import DEFAULT_LIMITS
from nvrc_encoder.options import profile_named
from nvrc_encoder.source.video import Source


@pytest.mark.parametrize("motion", full_except([False, True], True), ids=["still", "motion"])
@pytest.mark.parametrize("frames", full_except([1, 2, 9, 12], 9))
def test_motion_in_a_short_last_gop(frames: int, motion: bool) -> None:
    """The last GOP has one frame, or as many as its nodes are apart, or the only GOP is not full."""
    source = gradient_source(35, 21, frames)
    data, report = run(source, gop=8, motion=motion, node_spacing=4)
    check(data, report, source)
    assert any(name.startswith("grid 9 ") for name in report.components) == motion


@pytest.mark.parametrize(("key", "node"), full_except([(1, 1), (2, 1), (4, 4), (8, 2), (16, 4), (16, 16)], (8, 2)))
def test_pyramids(key: int, node: int) -> None:
    source = gradient_source(40, 32, 19)
    data, report = run(source, key_spacing=key, node_spacing=node)
    check(data, report, source)
    network = RandomAccess(io.BytesIO(data), DEFAULT_LIMITS).gop(0).network
    assert (network.pyramid.key_spacing, network.pyramid.node_spacing) == (key, node)
    assert network.pyramid == report.structure.pyramid


def test_empty_nodes_are_not_coded() -> None:
    """With a coarse step and a static picture most nodes are empty."""
    still = list(gradient_source(48, 32, 1)) * 17
    source = Source("still", gradient_source(48, 32, 1).picture, 17, lambda: iter(still))
    data, report = run(source, node_spacing=1, lagrangian=0.05)
    check(data, report, source)
    record = RandomAccess(io.BytesIO(data), DEFAULT_LIMITS).gop(0)
    maps = [coded_nodes(one, 17) for one in record.gop.node_maps]
    assert len(maps) == 5
    assert 0 < sum(int(coded.sum()) for coded in maps) < 5 * 17 / 2
    grids = record.network.coding_order(profile_named("nano"))
    for header, payload in zip(grids[1:], record.gop.grids[1:], strict=True):
        assert bool(payload) == bool(maps[header.slot - 4].any())
