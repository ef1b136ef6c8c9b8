"""The worked examples of spec chapters 4 and 5 are what the code computes, in the text and in `spec/examples`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from oracles import context, rans
from stream_builders import read_all

import nvrc_decoder
from nvrc_decoder.bitstream.headers import Gop, NetworkHeader, node_map
from nvrc_decoder.decode.gop import Network, decode_grids, load_network
from nvrc_decoder.entropy.coder import SymbolDecoder, SymbolEncoder
from nvrc_decoder.entropy.tables import LAPLACE_SHA256, RADII
from nvrc_decoder.octree.context import available_neighbours
from nvrc_decoder.octree.grid import code_grid
from nvrc_decoder.octree.network import ContextNetwork
from nvrc_decoder.octree.schedule import expand_schedule
from nvrc_decoder.profiles import CONTEXT_INPUTS, PROFILES
from nvrc_decoder.pyramid import DEFAULT_PYRAMID
from spec import examples

SPEC = Path(__file__).resolve().parents[3] / "spec"
TABLES = rans.read_tables()

STEP = [128, 83, 83, 83, 200], [0, 2, -1, 0, -3], [1, 2, -24, -1, 30]

SPLITS, SHAPE = examples.SPLITS, examples.SHAPE
SLOT = 3


class TracingDecoder(rans.Decoder):
    """Writes down each symbol."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(payload)
        self.lines: list[str] = []

    def symbol(self, table: Sequence[int]) -> int:
        before, left_over = self.state, len(self.words)
        symbol = super().symbol(table)
        name = "bits" if table is rans.BIT_TABLE else str(TABLES.index(list(table)))
        refill = " refill" if len(self.words) < left_over else ""
        self.lines.append(
            f"{name:>4} {before:16x} {before & rans.MASK:6x} {symbol:6} {table[symbol]:9} {sum(table[:symbol]):9} "
            f"{self.state:16x}{refill}"
        )
        return symbol


def entropy_example() -> str:
    encoder = SymbolEncoder()
    encoder.code_step(*(np.array(part) for part in STEP))
    payload = encoder.finish()
    decoder = TracingDecoder(payload)
    lines = [f"payload: {payload.hex(' ', 4)}", f"State after the first words: {decoder.state:x}", ""]
    values = decoder.step(TABLES, STEP[0], STEP[1])
    assert decoder.exhausted()
    head = f"{'':4} {'State':>16} {'Quant.':>6} {'symbol':>6} {'frequency':>9} {'Left':>9} {'State after':>16}"
    return "\n".join([*lines, head, *decoder.lines, "", f"values: {values}"])


def example_file(name: str) -> tuple[Network, Gop]:
    """NETWORK and GOP of a stream in `spec/examples`."""
    _, network, gop, *_ = (unit.content for unit in read_all((SPEC / "examples" / name).read_bytes()))
    assert isinstance(network, NetworkHeader)
    assert isinstance(gop, Gop)
    return load_network(examples.SEQUENCE, network), gop


def example_network() -> ContextNetwork:
    return example_file("grid.nvrc")[0].context


def example_grid() -> np.ndarray:
    return examples.values()


def schedule_example() -> str:
    lines = ["step split coset parity spacing  start   stride  count   one-hots  neighbours available"]
    for number, step in enumerate(expand_schedule((3, 3, 4), SPLITS)):
        ones = f"{19 + step.level_index},{32 + step.step_index}"
        row = [
            f"{number:4} {'-' if step.split is None else f'{SPLITS[step.split_index]:02x}':>5}",
            *("".join(map(str, part)) for part in (step.coset, step.parity)),
            *(",".join(map(str, part)) for part in (step.spacing, step.start, step.stride, step.count)),
        ]
        cells = "{}   {}    {}   {:7}  {:6}  {:6}  {:6}  ".format(*row)
        lines.append(f"{cells}{ones:9} {','.join(map(str, available_neighbours(step))) or '-'}".rstrip())
    return "\n".join(lines)


def context_example() -> str:
    """Inputs and prediction of the symbol at node 1, row 1, column 2; checked against the walker by its payload."""
    network, grid = example_network(), example_grid()
    lines: list[str] = []
    decoded = np.zeros((3, 3, 4), dtype=bool)
    for step in context.steps((3, 3, 4), SPLITS):
        if (1, 1, 2) in step.positions:
            inputs, _ = context.inputs(np.where(decoded[:, None], grid, 0), decoded, step, (1, 1, 2), 0, SLOT, 0)
            lines.append(f"neighbours: {inputs[:18]}")
            lines.append(f"inputs that are 1 of the one-hots: {[i for i in range(19, CONTEXT_INPUTS) if inputs[i]]}")
            x: list[int] = inputs
            for layer, name in zip(network.layers, ("hidden1", "hidden2", "output"), strict=True):
                total = layer.weight @ np.array(x) + layer.bias
                x = np.clip((total + (1 << layer.shift >> 1)) >> layer.shift, layer.low, layer.high).tolist()
                lines.append(f"{name}: sums {total.tolist()}, outputs {x}")
            table, mean = context.network(network.layers, inputs)
            lines.append(f"table index {table}, Mean {mean}; the value is {int(grid[1, 0, 1, 2])}")
        for position in step.positions:
            decoded[position] = True
    encoder = SymbolEncoder()
    place = SLOT, PROFILES[0].slots[SLOT], DEFAULT_PYRAMID
    code_grid(encoder, SPLITS, network, SHAPE, *place, values=grid)
    payload = encoder.finish()
    decoder = SymbolDecoder(payload)
    np.testing.assert_array_equal(code_grid(decoder, SPLITS, network, SHAPE, *place), grid)
    decoder.finish()
    lines.append(f"payload of the grid: {payload.hex(' ', 4)}")
    return "\n".join(lines)


def centre_example() -> str:
    """The inputs of the symbol at node 2, row 1, column 3, were the grid a flow grid."""
    grid, decoded = example_grid(), np.zeros((3, 3, 4), dtype=bool)
    for step in context.steps((3, 3, 4), SPLITS):
        if (2, 1, 3) in step.positions:
            seen = np.where(decoded[:, None], grid, 0)
            inputs, centre = context.inputs(seen, decoded, step, (2, 1, 3), 0, SLOT, 0, flow=True)
            return f"Centre {centre}, neighbours: {inputs[:18]}"
        for position in step.positions:
            decoded[position] = True
    raise AssertionError("no step has the symbol")


def empty_node_example() -> str:
    """The payload, were the grid that of the plane slot and its node 1 empty."""
    network, grid, coded = example_network(), example_grid(), np.array([True, False, True])
    grid[1] = 0
    slot = PROFILES[0].plane_slot
    place = slot, PROFILES[0].slots[slot], DEFAULT_PYRAMID
    encoder = SymbolEncoder()
    code_grid(encoder, SPLITS, network, SHAPE, *place, values=grid, coded=coded)
    payload = encoder.finish()
    decoder = SymbolDecoder(payload)
    np.testing.assert_array_equal(code_grid(decoder, SPLITS, network, SHAPE, *place, coded=coded), grid)
    decoder.finish()
    return f"node_map: {node_map(coded).hex()}, payload: {payload.hex(' ', 4)}"


def test_the_example_of_chapter_4() -> None:
    text = (SPEC / "04-entropy.md").read_text(encoding="utf-8")
    assert entropy_example() in text
    for table in (0, 83):
        assert ": " + " ".join(map(str, TABLES[table])) + "\n" in text
    assert LAPLACE_SHA256 in text
    radii = " ".join(map(str, RADII))
    assert radii in " ".join(text.split())


def test_the_examples_of_chapter_5() -> None:
    text = (SPEC / "05-schedules-contexts.md").read_text(encoding="utf-8")
    assert schedule_example() in text
    assert context_example() in text
    assert centre_example() in text
    assert empty_node_example() in text
    grid = example_grid()
    assert "\n".join(f"q[{n}][0]: {grid[n, 0].tolist()}" for n in range(len(grid))) in text


def test_the_files_are_those_of_the_text() -> None:
    made = examples.make()
    assert sorted(made) == sorted(file.name for file in (SPEC / "examples").iterdir() if file.suffix != ".md")
    for name, content in made.items():
        assert (SPEC / "examples" / name).read_bytes() == content, f"{name} is out of date"


def test_the_step_file_decodes_to_its_values() -> None:
    decoder = rans.Decoder((SPEC / "examples" / "step.bin").read_bytes())
    assert decoder.step(TABLES, STEP[0], STEP[1]) == STEP[2]
    assert decoder.exhausted()


@pytest.mark.parametrize(("name", "slot"), [("grid.nvrc", 3), ("empty-node.nvrc", 4)])
def test_the_grid_files_decode_to_their_values(name: str, slot: int) -> None:
    network, gop = example_file(name)
    expected = example_grid()
    if slot == 4:
        expected[examples.EMPTY_NODE] = 0
    grids = decode_grids(examples.SEQUENCE, network, gop.frame_count, gop.grids, gop.node_maps)
    np.testing.assert_array_equal(grids[slot], expected)
    text = (SPEC / "05-schedules-contexts.md").read_text(encoding="utf-8")
    assert gop.grids[0].hex(" ", 4) in text
    with nvrc_decoder.open(SPEC / "examples" / name, engine="reference") as video:
        assert len(list(video)) == 3


def test_the_text_gives_the_coded_context_network() -> None:
    text = (SPEC / "05-schedules-contexts.md").read_text(encoding="utf-8")
    for name, (modulus, step, header) in examples.CONTEXT_LAYERS.items():
        biases = " ".join(str(9 + step * o) for o in range({"hidden1": 4, "hidden2": 3, "output": 2}[name[8:]]))
        row = f"{name + ':':16} M = {modulus}, b_q = {biases + ',':13} shift {header.shift}\n"
        assert row in text
