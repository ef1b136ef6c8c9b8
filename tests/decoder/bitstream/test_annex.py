"""The worked stream of annex A, read from the text of the specification, decodes to what the text says."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

import numpy as np
from stream_builders import read_all

import nvrc_decoder
from nvrc_decoder.bitstream.units import Gop, NetworkHeader, SequenceHeader, layer_specs, parameter_count
from nvrc_decoder.decode.gop import decode_grids, load_network

ANNEX = (Path(__file__).parents[3] / "spec" / "annex-a-examples.md").read_text(encoding="utf-8")


def example() -> bytes:
    block = ANNEX.split("<!-- example: stream -->\n```\n")[1].split("```")[0]
    return bytes.fromhex("".join(line.split(";")[0] for line in block.splitlines()))


def test_units_are_where_the_text_says() -> None:
    units = read_all(example())
    said = [(int(offset), name) for offset, name in re.findall(r"; unit at (\d+): (\w+)", ANNEX)]
    assert said == [(unit.offset, unit.name.split()[0]) for unit in units]
    assert f"{len(example())} bytes" in ANNEX
    network = units[1].content
    sequence = units[0].content
    assert isinstance(network, NetworkHeader)
    assert isinstance(sequence, SequenceHeader)
    layers = re.findall(r"; ((?:context|stage\d|head)\.[\w.]+)", ANNEX)
    assert layers == [spec.name for spec in layer_specs(sequence, network)]
    assert f"holds {parameter_count(sequence, network)} weights and biases" in ANNEX


def test_the_symbol_and_the_picture() -> None:
    stream = example()
    units = read_all(stream)
    sequence, header, gop = units[0].content, units[1].content, units[2].content
    assert isinstance(sequence, SequenceHeader)
    assert isinstance(header, NetworkHeader)
    assert isinstance(gop, Gop)
    grids = decode_grids(sequence, load_network(sequence, header), gop.frame_count, gop.grids, gop.node_maps)
    assert grids[0] is not None
    assert "the value is **5**" in ANNEX
    np.testing.assert_array_equal(grids[0], [[[[5]]]])
    np.testing.assert_array_equal(grids[4], [[[[0]]]])
    with nvrc_decoder.open(io.BytesIO(stream), engine="reference") as video:
        frames = [frame.y.tolist() for frame in video]
    rows = re.findall(r"^(\d+ \d+ \d+ \d+)$", ANNEX, re.MULTILINE)
    assert frames == [[[int(n) for n in row.split()] for row in rows]]
    said = bytes.fromhex(re.findall(r"SHA-256 of the 8 bytes `([^`]+)`", ANNEX)[0])
    assert said == bytes(sample for row in frames[0] for sample in row)
    assert hashlib.sha256(said).digest()[:16] in stream
