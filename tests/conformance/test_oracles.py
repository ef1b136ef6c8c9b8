"""The grids and parameters of the golden streams, decoded by the tests' own position-by-position oracles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from case_choice import full_except
from oracles import context, rans

from nvrc_conformance.manifest import GoldenStream, load_manifest
from nvrc_conformance.stages import DecodedGop, coded_parameters, decode_stream
from nvrc_decoder.bitstream.units import layer_specs
from nvrc_decoder.profiles import GridSlot

MANIFEST = load_manifest()
TABLES = rans.read_tables()
# The oracles are slow: the grids of a stream are checked as long as they stay below this.
SYMBOLS = 2500
# Those of the fast run: each kind of schedule, motion, blocks with empty nodes, a prior, an encoder's stream.
FEW = [
    MANIFEST.stream(name)
    for name in ("nano-octree", "lite-schedules", "lite-motion", "main-split-empty", "nano-prior", "trained-main")
]


def check_parameters(item: DecodedGop) -> None:
    header = item.network.header
    coder = rans.Decoder(header.parameters)
    found = coded_parameters(item.sequence, header)
    for spec, layer in zip(layer_specs(item.sequence, header), header.layers, strict=True):
        weight, bias = found[spec.name]
        for values, table in ((weight, layer.weight_table), (bias, layer.bias_table)):
            flat = values.reshape(-1).tolist()
            assert coder.step(TABLES, [8 * table] * len(flat), [0] * len(flat)) == flat, spec.name
    assert coder.exhausted()


def check_grids(item: DecodedGop, budget: int) -> int:
    """Checks the grids that are small enough, in order, while the budget lasts; returns how many."""
    previous: tuple[GridSlot, np.ndarray] | None = None
    checked = 0
    profile, pyramid, maps = item.network.profile, item.network.header.pyramid, iter(item.gop.node_maps)
    for header, payload in zip(item.network.header.coding_order(profile), item.gop.grids, strict=True):
        grid, slot = item.grids[header.slot], profile.slots[header.slot]
        assert grid is not None
        coded = next(maps) if slot.mapped else b"\xff" * len(grid)
        empty = [n for n in range(len(grid)) if not coded[n // 8] >> n % 8 & 1]
        coarser, previous = previous, previous if slot.motion else (slot, grid)
        if math.prod(grid.shape) > budget:
            continue
        budget -= math.prod(grid.shape)
        coder = rans.Decoder(payload)

        def coarse(
            position: tuple[int, int, int],
            slot: GridSlot = slot,
            coarser: tuple[GridSlot, np.ndarray] | None = coarser,
        ) -> int:
            if coarser is None or slot.motion:
                return 0
            other, values = coarser
            spacings = ((of.stride, pyramid.node_spacing if of.at_nodes else 1) for of in (slot, other))
            return context.coarse_value(position, *spacings, values)

        walked = context.walk(
            lambda tables, means, _, coder=coder: coder.step(TABLES, tables, means),
            header.splits((grid.shape[0], *grid.shape[2:])),
            item.network.context.layers,
            grid.shape,
            header.slot,
            coarse,
            slot.flow,
            empty,
        )
        np.testing.assert_array_equal(walked, grid)
        assert coder.exhausted()
        checked += 1
    return checked


@pytest.mark.parametrize("stream", full_except(MANIFEST.streams, *FEW), ids=lambda stream: stream.id)
def test_oracles_decode_the_same(stream: GoldenStream) -> None:
    item = next(iter(decode_stream(MANIFEST.read(stream.id))))
    check_parameters(item)
    checked = check_grids(item, SYMBOLS)
    # An encoder's grids, and those of the large pictures, may all be larger.
    assert checked > 0 or stream.origin == "adopted" or stream.width * stream.height > 100_000
