"""The contexts of training are the decoder's: predicted bits agree with the tables, means and bytes of `code_grid`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch

from nvrc_decoder.entropy.coder import SymbolEncoder
from nvrc_decoder.entropy.tables import ESCAPE, TABLE_RADII, frequencies
from nvrc_decoder.octree.grid import code_grid
from nvrc_decoder.octree.network import ContextNetwork
from nvrc_decoder.octree.schedule import expand_schedule, octree_schedule, temporal_first_schedule
from nvrc_decoder.profiles import CONTEXT_INPUTS, PROFILES, GridSlot, context_layers, node_shape
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid
from nvrc_decoder.synthesis.arithmetic import IntegerLayer, make_layer
from nvrc_encoder.rate.context_network import HIDDEN_UNIT, OUTPUT_UNIT
from nvrc_encoder.rate.grid_context import build_context
from nvrc_encoder.rate.grids import GopRate

CPU = torch.device("cpu")
WIDTHS = (7, 5)
SLOTS = PROFILES[1].slots
# x alone, y with the parity of t, t with the parity of x, then all axes together.
ODD_SCHEDULE = (0x01, 0x42, 0x14, 0x07, 0x07, 0x07)


@dataclass(frozen=True)
class Coded:
    """The result of `code_grid` for one grid: bits of each value by the integer tables, and the payload."""

    bits: npt.NDArray[np.float64]
    tables: set[int]
    payload: bytes


class Recorder:
    """A coder that only records what it is given to code."""

    def __init__(self) -> None:
        self.steps: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []

    def code_step(self, table_index, mean, values=None, *, limit=0):  # type: ignore[no-untyped-def]
        self.steps.append((np.array(table_index, dtype=np.int64), np.array(mean, dtype=np.int64)))
        return values


def integer_network(
    seed: int, loud: bool = False
) -> tuple[tuple[IntegerLayer, ...], dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    """A context network in integers, and the same in the units of training.

    Its outputs vary over several tables and means, but stay near a scale of 6: no value of a test escapes.
    With `loud`, the first hidden layer saturates.
    """
    rng = np.random.default_rng(seed)
    layers, real = [], {}
    for spec, unit_in, unit_out, spread, shift in zip(
        context_layers(*WIDTHS),
        (1, HIDDEN_UNIT, HIDDEN_UNIT),
        (HIDDEN_UNIT, HIDDEN_UNIT, OUTPUT_UNIT),
        (30, 12, 4),
        (0, 10, 10) if loud else (5, 4, 10),
        strict=True,
    ):
        weight = np.zeros(spec.weight_shape, np.int64)
        # The input of the split slot stays 0, so that no value drawn here needs an escape.
        known = weight[:, : min(weight.shape[1], CONTEXT_INPUTS - 1)]
        known[...] = rng.integers(-spread, spread + 1, known.shape)
        bias = rng.integers(0, 40, spec.outputs)
        if spec.name == "context.output":
            bias = np.array([0, 26 << 8])  # scale index 26 after the shifts
        layer = make_layer(spec, weight, bias, 5, shift, shift if spec.name != "context.output" else 2)
        layers.append(layer)
        scale = 2.0**-shift
        real[spec.name] = (
            torch.from_numpy(layer.weight * scale * unit_in / unit_out).float(),
            torch.from_numpy(layer.bias * scale / unit_out).float(),
        )
    return tuple(layers), real


def walk(
    layers: Sequence[IntegerLayer],
    splits: Sequence[int],
    slot_index: int,
    values: npt.NDArray[np.int16],
    pyramid: Pyramid,
    coarser: tuple[GridSlot, npt.NDArray[np.int16]] | None,
) -> Coded:
    """Empty nodes of a node slot are not coded: they cost nothing."""
    network = ContextNetwork(*layers)
    slot = SLOTS[slot_index]
    coded = values.any((1, 2, 3)) if slot.mapped else np.ones(len(values), bool)
    recorder, encoder = Recorder(), SymbolEncoder()
    for coder in (recorder, encoder):
        place = slot_index, slot, pyramid, coarser
        code_grid(coder, splits, network, values.shape, *place, values, coded)  # type: ignore[arg-type]
    bits = np.zeros(values.shape)
    nodes, _, rows, columns = values.shape
    tables: set[int] = set()
    steps = [step for step in expand_schedule((nodes, rows, columns), splits) if coded[step.slices[0]].any()]
    for step, (table, mean) in zip(steps, recorder.steps, strict=True):
        t, y, x = step.slices
        t = np.arange(nodes)[t][coded[t]]
        part = values[t, :, y, x]
        symbol = part.reshape(-1) - mean + TABLE_RADII[table] + 1
        assert (symbol > ESCAPE).all()
        assert (symbol < 2 * TABLE_RADII[table] + 2).all()
        cost = [24 - math.log2(frequencies(int(i))[j]) for i, j in zip(table, symbol, strict=True)]
        bits[t, :, y, x] = np.array(cost).reshape(part.shape)
        tables |= set(table.tolist())
    return Coded(bits, tables, encoder.finish())


def make_grids(
    seed: int, channels: Sequence[int], frames: int, height: int, width: int, pyramid: Pyramid
) -> list[npt.NDArray[np.int16] | None]:
    rng = np.random.default_rng(seed)
    grids: list[npt.NDArray[np.int16] | None] = []
    for slot, count in zip(SLOTS, channels, strict=True):
        nodes, rows, columns = node_shape(slot, frames, height, width, pyramid)
        values = np.round(rng.laplace(0, 2, (nodes, count, rows, columns))).clip(-9, 9)
        if slot.mapped:
            values[1:] *= rng.choice((0, 1, 1), (nodes - 1, 1, 1, 1))
        if slot.flow:
            # Beyond the range of a context's inputs, which are relative to a centre.
            values += rng.integers(-25, 26, (1, count, 1, 1))
        grids.append(values.astype(np.int16) if count else None)
    return grids


SCHEDULES = {
    "temporal-first": temporal_first_schedule,
    "octree": octree_schedule,
    "none": lambda *shape: (),
    "odd": lambda *shape: ODD_SCHEDULE,
}

CASES = [
    # channels, frames, height, width, pyramid
    ((6, 4, 4, 2, 3, 4, 3, 3, 3, 3, 3), 6, 32, 48, DEFAULT_PYRAMID),
    ((1, 3, 0, 2, 1, 4, 3, 3, 3, 3, 3), 11, 37, 53, Pyramid(8, 2, (22, 29))),
    ((0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0), 9, 33, 17, Pyramid(4, 1, (22, 29))),
    ((2, 1, 1, 1, 0, 4, 3, 3, 3, 0, 0), 1, 31, 45, DEFAULT_PYRAMID),
    ((0, 0, 0, 0, 0, 4, 3, 3, 3, 3, 0), 17, 5, 7, Pyramid(2, 1, (22,))),
    ((1, 1, 1, 1, 1, 4, 3, 3, 3, 3, 3), 3, 1, 1, Pyramid(16, 4, (22, 29))),
]


@pytest.mark.parametrize("loud", [False, True], ids=["", "saturated"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("case", CASES)
def test_predicted_bits_are_those_of_the_decoder(
    case: tuple[tuple[int, ...], int, int, int, Pyramid], schedule: str, loud: bool
) -> None:
    channels, frames, height, width, pyramid = case
    layers, real = integer_network(frames + 10, loud)
    grids = make_grids(frames + 1, channels, frames, height, width, pyramid)
    contexts, whole, coded = [], [], []
    coarser: tuple[GridSlot, tuple[int, int, int]] | None = None
    below: tuple[GridSlot, npt.NDArray[np.int16]] | None = None
    for i, (slot, grid) in enumerate(zip(SLOTS, grids, strict=True)):
        shape = node_shape(slot, frames, height, width, pyramid)
        whole.append(torch.arange(shape[0]))
        if grid is None:
            contexts.append(None)
            coded.append(None)
            continue
        splits = SCHEDULES[schedule](*shape)
        contexts.append(build_context(shape, splits, i, slot, pyramid, None if slot.motion else coarser, CPU))
        coded.append(walk(layers, splits, i, grid, pyramid, None if slot.motion else below))
        coarser, below = (slot, shape), (slot, grid)
    rate = GopRate(contexts, channels)
    tensors = [None if grid is None else torch.from_numpy(grid).float() for grid in grids]
    predicted = rate.bits(real, tensors, whole, True)
    for one, bits in zip(coded, predicted, strict=True):
        if one is None:
            assert bits is None
            continue
        assert bits is not None
        per_node = one.bits.sum((1, 2, 3))
        # The error of the integer tables and of float32. One wrong context costs about 0.1 bits.
        np.testing.assert_allclose(bits.numpy(), per_node, rtol=1e-6, atol=5e-5 * one.bits[0].size + 1e-3)
        # A payload is whole words, and its first symbol fills the coder's precision.
        assert -32 <= 8 * len(one.payload) - float(bits.sum()) <= 64
    largest = max((one for one in coded if one is not None), key=lambda one: one.bits.size)
    if schedule != "none" and largest.bits.size > 1000:
        assert len(largest.tables) > (8 if loud else 20), "the network does not react to its context"


def test_a_window_has_the_bits_of_its_nodes() -> None:
    channels, frames, height, width, pyramid = CASES[1]
    _, real = integer_network(seed=3)
    grids = make_grids(5, channels, frames, height, width, pyramid)
    contexts = []
    coarser: tuple[GridSlot, tuple[int, int, int]] | None = None
    for i, (slot, grid) in enumerate(zip(SLOTS, grids, strict=True)):
        shape = node_shape(slot, frames, height, width, pyramid)
        if slot.motion:
            coarser = None
        place = i, slot, pyramid, coarser
        contexts.append(None if grid is None else build_context(shape, temporal_first_schedule(*shape), *place, CPU))
        coarser = coarser if grid is None else (slot, shape)
    rate = GopRate(contexts, channels)
    tensors = [None if grid is None else torch.from_numpy(grid).float() for grid in grids]
    counts = [node_shape(slot, frames, height, width, pyramid)[0] for slot in SLOTS]
    whole = rate.bits(real, tensors, [torch.arange(n) for n in counts], True)
    windows = [torch.cat([torch.arange(n // 3), torch.arange(n // 2, n)]) for n in counts]
    # Twice: the second time from the cache.
    for _ in range(2):
        for part, full, window in zip(rate.bits(real, tensors, windows, True), whole, windows, strict=True):
            assert (part is None) == (full is None)
            if part is not None and full is not None:
                torch.testing.assert_close(part, full[window])


def test_empty_nodes_cost_nothing_when_exact() -> None:
    slot = SLOTS[4]
    assert slot.at_nodes
    shape = node_shape(slot, 17, 32, 32, DEFAULT_PYRAMID)
    context = build_context(shape, temporal_first_schedule(*shape), 4, slot, DEFAULT_PYRAMID, None, CPU)
    rate = GopRate([None] * 4 + [context], (0,) * 4 + (2,))
    grid = torch.zeros(shape[0], 2, *shape[1:])
    grid[1, 1, 3, 2] = 5
    _, real = integer_network(seed=2)
    nodes = [torch.arange(shape[0])] * 5
    soft, exact = (rate.bits(real, [None] * 4 + [grid], nodes, exact)[4] for exact in (False, True))
    assert soft is not None
    assert exact is not None
    assert (soft > 0).all()
    assert (exact > 0).tolist() == [False, True, False]


def test_gradients_reach_values_contexts_and_network() -> None:
    channels = (1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    frames, height, width, pyramid = 3, 64, 64, DEFAULT_PYRAMID
    _, real = integer_network(seed=1)
    real = {name: (w.clone().requires_grad_(), b.clone().requires_grad_()) for name, (w, b) in real.items()}
    contexts: list = []
    coarser = None
    for i, slot in enumerate(SLOTS):
        shape = node_shape(slot, frames, height, width, pyramid)
        place = i, slot, pyramid, coarser
        contexts.append(build_context(shape, temporal_first_schedule(*shape), *place, CPU) if channels[i] else None)
        coarser = (slot, shape)
    drawn = make_grids(2, channels, frames, height, width, pyramid)
    grids = [None if g is None else torch.from_numpy(g).float() for g in drawn]
    coarse = grids[0]
    assert coarse is not None
    coarse = coarse.clamp(-3, 3).requires_grad_()
    nodes = [torch.arange(node_shape(slot, frames, height, width, pyramid)[0]) for slot in SLOTS]
    bits = GopRate(contexts, channels).bits(real, [coarse, *grids[1:]], nodes, False)
    assert bits[1] is not None
    # The finer grid's bits alone: the coarser one matters to them as context only.
    bits[1].sum().backward()
    assert coarse.grad is not None
    assert coarse.grad.abs().sum() > 0
    for weight, bias in real.values():
        assert weight.grad is not None
        assert bias.grad is not None
        assert weight.grad.abs().sum() > 0


def test_a_flow_costs_the_same_wherever_it_points() -> None:
    """Centred contexts: a constant added to all positions changes the first value's bits and nothing else."""
    at = next(i for i, slot in enumerate(SLOTS) if slot.flow)
    slot = SLOTS[at]
    shape = node_shape(slot, 9, 64, 96, DEFAULT_PYRAMID)
    place = at, slot, DEFAULT_PYRAMID, None
    context = build_context(shape, temporal_first_schedule(*shape), *place, CPU)
    rate = GopRate([None] * (at) + [context], (0,) * (at) + (3,))
    grid = torch.from_numpy(np.random.default_rng(0).integers(-5, 6, (shape[0], 3, *shape[1:]))).float()
    _, real = integer_network(seed=2)
    nodes = [torch.arange(1)] * (at) + [torch.arange(shape[0])]
    bits = [rate.bits(real, [None] * (at) + [grid + offset], nodes, True)[-1] for offset in (0.0, 100.0, 1000.0)]
    for moved in bits[1:]:
        assert bits[0] is not None
        assert moved is not None
        same = torch.isclose(bits[0], moved, rtol=0, atol=1e-3)
        assert same.tolist() == [False] + [True] * (shape[0] - 1)
