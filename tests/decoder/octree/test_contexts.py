"""Vectorised contexts, the network and the walker against the position-by-position oracle."""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracles import context, rans

from nvrc_decoder.entropy.coder import SymbolDecoder, SymbolEncoder
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.octree import context as product
from nvrc_decoder.octree import network as octree_network
from nvrc_decoder.octree.context import (
    COARSE_INPUT,
    NEIGHBOURS,
    Lattice,
    available_neighbours,
    coarse_magnitude,
    constant_inputs,
)
from nvrc_decoder.octree.grid import code_grid
from nvrc_decoder.octree.network import ContextNetwork
from nvrc_decoder.octree.schedule import expand_schedule, octree_schedule, temporal_first_schedule
from nvrc_decoder.profiles import CONTEXT_INPUTS, PROFILES, GridSlot, SlotKind
from nvrc_decoder.pyramid import Pyramid
from nvrc_decoder.synthesis.arithmetic import IntegerLayer

VALID_SPLITS = [halve | phase << 4 for halve, phase in itertools.product(range(1, 8), range(8)) if not halve & phase]
TABLES = rans.read_tables()
shapes = st.tuples(st.integers(1, 7), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))
schedules = st.lists(st.sampled_from(VALID_SPLITS), max_size=5)
slots = st.builds(GridSlot, st.sampled_from([2, 4, 8, 16, 32]), st.just(8), st.sampled_from(SlotKind))
pyramids = st.sampled_from([Pyramid(8, 8), Pyramid(8, 2), Pyramid(4, 1), Pyramid(1, 1), Pyramid(16, 16)])
PLANE, FLOW, FEATURE = (GridSlot(4, 8, kind) for kind in (SlotKind.PLANE, SlotKind.FLOW, SlotKind.FEATURE))


def make_network(seed: int, width_1: int = 6, width_2: int = 5, spread: int = 40) -> ContextNetwork:
    rng = np.random.default_rng(seed)

    def layer(outputs: int, inputs: int, shift: int, low: int) -> IntegerLayer:
        weight = rng.integers(-spread, spread + 1, (outputs, inputs))
        return IntegerLayer(weight, rng.integers(-300, 301, outputs), shift, low, 2047)

    return ContextNetwork(
        layer(width_1, CONTEXT_INPUTS, 2, 0), layer(width_2, width_1, 5, 0), layer(2, width_2, 6, -2048)
    )


def make_grid(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Small values, a few large ones."""
    rng = np.random.default_rng(seed)
    values = np.round(rng.laplace(0, 2, shape))
    values[rng.random(shape) < 0.05] *= 40
    return np.clip(values, -2047, 2047).astype(np.int16)


def test_neighbours_are_in_the_specified_order() -> None:
    assert list(NEIGHBOURS) == context.NEIGHBOUR_LIST
    assert COARSE_INPUT + 1 + 13 + 8 + 11 == CONTEXT_INPUTS
    assert {len(profile.slots) for profile in PROFILES} == {11}


@settings(deadline=None, max_examples=80)
@given(shapes, schedules, st.integers(0, 2**32 - 1), st.integers(0, 9), slots, slots, pyramids, st.booleans())
@example((2, 1, 3, 3), [0x04], 0, 0, FEATURE, GridSlot(8, 1), Pyramid(), True)
@example((3, 2, 4, 4), [0x03, 0x03], 1, 4, PLANE, FEATURE, Pyramid(8, 4), True)
@example((3, 2, 4, 4), [0x03, 0x03], 1, 5, FEATURE, PLANE, Pyramid(8, 2), True)
@example((5, 2, 3, 4), [0x03, 0x34, 0x34], 3, 9, FLOW, FEATURE, Pyramid(), False)
@example((5, 1, 5, 5), [0x34, 0x34, 0x34], 2, 8, FEATURE, PLANE, Pyramid(), False)
def test_contexts_equal_the_oracle(
    shape: tuple[int, int, int, int],
    splits: list[int],
    seed: int,
    slot_index: int,
    slot: GridSlot,
    other: GridSlot,
    pyramid: Pyramid,
    with_coarser: bool,
) -> None:
    nodes, channels, rows, columns = shape
    extent = (nodes, rows, columns)
    grid = make_grid(seed, shape)
    lower = make_grid(seed + 1, (1 + seed % 4, 1 + seed % 3, 1 + seed % 5, 1 + seed % 2))
    coarse = coarse_magnitude(extent, slot, (other, lower) if with_coarser else None, pyramid)
    seen = np.zeros_like(grid)
    decoded = np.zeros(extent, dtype=bool)
    lattice = None
    split_index = None
    for step, expected in zip(expand_schedule(extent, splits), context.steps(extent, splits), strict=True):
        if lattice is None or split_index != step.split_index:
            lattice, split_index = Lattice(seen, step, centred=slot.flow), step.split_index
        neighbours = available_neighbours(step)
        found = np.zeros((CONTEXT_INPUTS, len(expected.positions) * channels), dtype=int)
        used = [*neighbours, COARSE_INPUT] if with_coarser else list(neighbours)
        centres = np.zeros(found.shape[1], dtype=int)
        for block in lattice.blocks(step, neighbours, coarse):
            for index, row in zip(used, block.inputs[:-1], strict=True):
                found[index, block.part] = block.spread(row.astype(np.int16))
            assert (block.centre is not None) == slot.flow
            centres[block.part] = 0 if block.centre is None else block.centre
            assert (block.inputs[-1] == 1).all()
        found[list(constant_inputs(step, slot_index))] = 1
        places = sorted((n, c, y, x) for n, y, x in expected.positions for c in range(channels))
        for column, centre_found, (n, c, y, x) in zip(found.T, centres, places, strict=True):
            magnitude = 0
            if with_coarser:
                spacings = ((of.stride, pyramid.node_spacing if of.at_nodes else 1) for of in (slot, other))
                magnitude = context.coarse_value((n, y, x), *spacings, lower)
            wanted = context.inputs(seen, decoded, expected, (n, y, x), c, slot_index, magnitude, slot.flow)
            assert (column.tolist(), int(centre_found)) == wanted
        t, y, x = step.slices
        seen[t, :, y, x] = grid[t, :, y, x]
        lattice.update(step, seen[t, :, y, x])
        decoded[step.slices] = True
    np.testing.assert_array_equal(seen, grid)


def test_runs_that_see_nothing_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of every length; those that see much, little and nothing."""
    shares: set[str] = set()
    seen = Lattice._seen

    def noted(self: Lattice, *arguments: Any) -> Any:
        inputs, runs = seen(self, *arguments)
        shares.add("all" if runs is None else "none" if len(runs) == 1 else "some")
        return inputs, runs

    network = make_network(2)
    for density, columns in itertools.product((0.0, 0.01, 0.1, 0.6), range(1, 14)):
        rng = np.random.default_rng(columns)
        grid = make_grid(columns, (5, 2, 9, columns)) * (rng.random((5, 2, 9, columns)) < density)
        arguments = octree_schedule(5, 9, columns), network, grid.shape, 2, GridSlot(8, 3), Pyramid(), None
        payloads = []
        for least in (10**9, 1):
            with monkeypatch.context() as patch:
                patch.setattr(product, "_LEAST_SYMBOLS", least)
                patch.setattr(Lattice, "_seen", noted if least == 1 else seen)
                encoder = SymbolEncoder()
                code_grid(encoder, *arguments, grid)
                payloads.append(encoder.finish())
                decoder = SymbolDecoder(payloads[-1])
                np.testing.assert_array_equal(code_grid(decoder, *arguments), grid)
                decoder.finish()
        assert payloads[0] == payloads[1]
    assert shares == {"all", "some", "none"}


@pytest.mark.parametrize("block", [1, 3, 16, 50])
@pytest.mark.parametrize("least", [1, 1024])
def test_the_block_size_changes_nothing(block: int, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "_LEAST_SYMBOLS", least)
    grid = make_grid(5, (5, 3, 7, 6))
    args = (octree_schedule(5, 7, 6), make_network(1), grid.shape, 2, GridSlot(8, 3), Pyramid())
    lower = GridSlot(16, 2), make_grid(6, (5, 2, 4, 3))
    payloads = []
    for _ in range(2):
        encoder = SymbolEncoder()
        code_grid(encoder, *args, lower, grid)
        payloads.append(encoder.finish())
        monkeypatch.setattr(product, "_BLOCK_SYMBOLS", block)
    assert payloads[0] == payloads[1]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 40, 130]), st.integers(1, 12), st.integers(1, 12))
def test_the_network_equals_the_oracle(seed: int, spread: int, width_1: int, width_2: int) -> None:
    network = make_network(seed, width_1, width_2, spread)
    rng = np.random.default_rng(seed)
    used = sorted(rng.choice(19, size=int(rng.integers(0, 20)), replace=False).tolist())
    ones = [19 + int(rng.integers(13)), 32 + int(rng.integers(8)), 40 + int(rng.integers(10))]
    values = rng.integers(-15, 16, (len(used), 9))
    table, mean = network.bind(used, ones)(np.vstack([values, np.ones((1, 9))]).astype(np.float32))
    for j in range(9):
        inputs = np.zeros(CONTEXT_INPUTS, dtype=int)
        inputs[used] = values[:, j]
        inputs[ones] = 1
        assert (int(table[j]), int(mean[j])) == context.network(network.layers, inputs.tolist())


def test_the_cache_of_first_layers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(octree_network, "_MOST_HEADS", 3)
    network = make_network(4)
    inputs = np.vstack([np.random.default_rng(1).integers(-15, 16, (2, 9)), np.ones((1, 9))]).astype(np.float32)
    for step in (0, 1, 2, 3, 0, 4, 0, 1, 5):
        used = [step, step + 1]
        wanted = make_network(4).bind(used, [30])(inputs)
        np.testing.assert_array_equal(network.bind(used, [30])(inputs), wanted)
        assert len(network._heads) <= 3


@pytest.mark.parametrize("columns", [1, 7, 8, 9, 50])
def test_products_in_pieces_are_the_same(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(3, width_1=5, width_2=6)
    inputs = np.vstack([np.random.default_rng(columns).integers(-15, 16, (7, columns)), np.ones((1, columns))])
    whole = network.bind(range(7), [])(inputs.astype(np.float32))
    monkeypatch.setattr(octree_network, "_LEAST_COLUMNS", 8)
    monkeypatch.setattr(octree_network, "_UNPACKED", 1)
    np.testing.assert_array_equal(network.bind(range(7), [])(inputs.astype(np.float32)), whole)


class _StackBlock(ctypes.Structure):
    _fields_ = (("words", ctypes.c_uint32 * 16384),)


def _leave_signalling_nans_on_the_stack() -> None:
    """Stale memory for the next call: a structure passed by value is copied onto the stack."""
    block = _StackBlock()
    np.frombuffer(block, dtype=np.uint32)[:] = 0x7F800001
    function = ctypes.CDLL(None).abs
    function.argtypes = [_StackBlock]
    function(block)


@pytest.mark.parametrize("width", range(1, 10))
@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_stale_memory_is_harmless(width: int, count: int) -> None:
    """OpenBLAS on AVX-512 computes unused lanes (five columns, up to three positions); NumPy warned of them."""
    network = make_network(width, width_1=width, width_2=width)
    values = np.random.default_rng(width).integers(-15, 16, (width, count))
    bound = network.bind(range(width), [])
    inputs = np.vstack([values, np.ones((1, count))]).astype(np.float32)
    _leave_signalling_nans_on_the_stack()
    table, mean = bound(inputs)
    for j in range(count):
        whole = np.zeros(CONTEXT_INPUTS, dtype=int)
        whole[:width] = values[:, j]
        assert (int(table[j]), int(mean[j])) == context.network(network.layers, whole.tolist())


def test_the_network_proves_its_bound() -> None:
    heavy = IntegerLayer(np.full((64, CONTEXT_INPUTS), 1024), np.zeros(64, dtype=np.int64), 0, 0, 2047)
    wide = IntegerLayer(np.full((2, 64), 1024), np.zeros(2, dtype=np.int64), 0, 0, 2047)
    with pytest.raises(InvalidStreamError, match="E_BOUND"):
        ContextNetwork(heavy, wide, IntegerLayer(np.ones((2, 2)), np.zeros(2, dtype=np.int64), 0, -2048, 2047))


def test_layers_that_do_not_chain_are_a_value_error() -> None:
    layers = make_network(0).layers
    with pytest.raises(ValueError, match="inputs expected"):
        ContextNetwork(layers[0], layers[0], layers[2])
    with pytest.raises(ValueError, match="not 2"):
        ContextNetwork(layers[0], layers[1], IntegerLayer(np.ones((3, 5)), np.zeros(3), 0, 0, 1))


@settings(deadline=None, max_examples=40)
@given(
    shapes,
    schedules,
    st.integers(0, 2**32 - 1),
    st.sampled_from([(3, FEATURE), (4, PLANE), (9, FLOW)]),
    st.booleans(),
    st.integers(0, 127),
)
@example((5, 2, 3, 3), list(temporal_first_schedule(5, 3, 3)), 1, (4, PLANE), False, 0b00010)
@example((6, 1, 4, 4), [0x34, 0x34, 0x34], 2, (4, PLANE), True, 0b001011)
@example((4, 1, 2, 3), list(octree_schedule(4, 2, 3)), 3, (4, PLANE), True, 0)
def test_a_grid_is_decoded_as_by_the_oracle(
    shape: tuple[int, int, int, int],
    splits: list[int],
    seed: int,
    place: tuple[int, GridSlot],
    with_coarser: bool,
    kept: int,
) -> None:
    nodes, _, rows, columns = shape
    network, pyramid, (slot_index, slot) = make_network(seed), Pyramid(8, 2, (16, 16)), place
    coded = np.array([bool(kept >> n & 1) or not slot.mapped for n in range(nodes)])
    lower = make_grid(seed + 1, (-(-(nodes - 1) // 2) + 1, 2, rows, columns))
    arguments = splits, network, shape, slot_index, slot, pyramid, (FEATURE, lower) if with_coarser else None
    grid = make_grid(seed, shape) * coded[:, None, None, None]
    encoder = SymbolEncoder()
    np.testing.assert_array_equal(code_grid(encoder, *arguments, grid, coded), grid)
    payload = encoder.finish()
    assert (payload == b"") == (not coded.any())

    oracle = rans.Decoder(payload)
    spacings = (4, 2 if slot.at_nodes else 1), (4, 1)
    walked = context.walk(
        lambda tables, means, _: oracle.step(TABLES, tables, means),
        splits,
        network.layers,
        shape,
        slot_index,
        lambda place: context.coarse_value(place, *spacings, lower) if with_coarser else 0,
        slot.flow,
        np.flatnonzero(~coded).tolist(),
    )
    assert oracle.exhausted()
    np.testing.assert_array_equal(walked, grid)

    decoder = SymbolDecoder(payload)
    decoded = code_grid(decoder, *arguments, coded=coded)
    decoder.finish()
    assert decoded.dtype == np.int16
    np.testing.assert_array_equal(decoded, grid)


def test_empty_nodes_are_zeros_to_the_contexts() -> None:
    """A grid whose empty nodes hold 0 has, in the other nodes, the predictions of the same grid coded whole."""
    grid = make_grid(11, (9, 2, 6, 7))
    coded = np.array([True, False, True, True, False, False, True, False, True])
    grid[~coded] = 0
    seen: list[dict[tuple[int, ...], tuple[int, int]]] = []

    class Watcher(SymbolEncoder):
        def code_step(self, table_index: Any, mean: Any, values: Any = None, *, limit: int = 2047) -> Any:
            steps.append((table_index.copy(), mean.copy()))
            return super().code_step(table_index, mean, values, limit=limit)

    for splits in (temporal_first_schedule(9, 6, 7), octree_schedule(9, 6, 7), (0x43, 0x34, 0x61)):
        seen.clear()
        for mask in (None, coded):
            steps: list[tuple[np.ndarray, np.ndarray]] = []
            code_grid(Watcher(), splits, make_network(5), grid.shape, 4, PLANE, Pyramid(), None, grid, mask)
            found, remaining = {}, iter(steps)
            for step in context.steps((9, 6, 7), splits):
                places = sorted((n, c, y, x) for n, y, x in step.positions for c in range(2))
                places = [place for place in places if mask is None or mask[place[0]]]
                if places:
                    tables, means = next(remaining)
                    found.update(zip(places, zip(tables.tolist(), means.tolist(), strict=True), strict=True))
            assert next(remaining, None) is None
            seen.append(found)
        whole, partial = seen
        assert len(partial) == coded.sum() * 2 * 6 * 7
        assert partial.items() <= whole.items()


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200), st.integers(0, 2**32 - 1))
def test_a_hostile_payload_raises_typed_errors_only(data: bytes, seed: int) -> None:
    shape = (3, 2, 4, 5)
    try:
        decoder = SymbolDecoder(data)
        values = code_grid(
            decoder, temporal_first_schedule(3, 4, 5), make_network(seed), shape, 0, GridSlot(32, 4), Pyramid()
        )
        decoder.finish()
    except InvalidStreamError as error:
        assert error.code in {"E_LENGTH", "E_ENTROPY", "E_ESCAPE", "E_RANGE"}  # noqa: PT017 - both outcomes are right
    else:
        assert values.shape == shape


@pytest.mark.parametrize("splits", [(), (0x07,) * 32, (0x04,) * 32, (0x41,) * 16 + (0x24,) * 16])
def test_schedules_of_any_length_round_trip(splits: tuple[int, ...]) -> None:
    grid = make_grid(3, (5, 2, 3, 6))
    args = (splits, make_network(2), grid.shape, 1, GridSlot(16, 3), Pyramid())
    encoder = SymbolEncoder()
    code_grid(encoder, *args, values=grid)
    decoder = SymbolDecoder(encoder.finish())
    np.testing.assert_array_equal(code_grid(decoder, *args), grid)
    decoder.finish()
