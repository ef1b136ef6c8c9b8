"""Sizes of units for JavaScript: those of `nvrc-ref info --units`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from node import needs_node, run_script
from stream_builders import SEQUENCE, make_network

from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import Gop
from nvrc_decoder.bitstream.writer import StreamWriter

MANIFEST = load_manifest()

pytestmark = needs_node


def expected(data: bytes) -> list[list[dict[str, Any]]]:
    """The units of every GOP, from the reader in Python: those after the DIGEST before, but for SEQUENCE."""
    gops: list[list[dict[str, Any]]] = []
    units: list[dict[str, Any]] = []
    reader = UnitReader(io.BytesIO(data))
    for unit in reader:
        name = unit.name.split(" ")[0] if not unit.name.startswith("unit type") else unit.name
        if name == "SEQUENCE":
            continue
        found = {"name": name, "offset": unit.offset, "size": unit.size}
        if isinstance(unit.content, Gop):
            assert reader.network is not None
            assert reader.sequence is not None
            slots = [grid.slot for grid in reader.network.coding_order(reader.sequence.profile_spec)]
            sizes = zip(slots, unit.content.grids, strict=True)
            found["grids"] = [{"slot": slot, "bytes": len(payload)} for slot, payload in sizes]
        units.append(found)
        if name == "DIGEST":
            gops.append(units)
            units = []
    return gops


def check(files: list[Path]) -> None:
    for file, result in zip(files, run_script("units.mjs", *files), strict=True):
        data = file.read_bytes()
        assert result["bytes"] == len(data), file.name
        plain = [[{**unit, "name": unit["name"].split(" 0x")[0]} for unit in gop] for gop in result["gops"]]
        wanted = [[{**unit, "name": unit["name"].split(" 0x")[0]} for unit in gop] for gop in expected(data)]
        assert plain == wanted, file.name
        assert result["wrong"] == ["RangeError"] * 3


def test_units_are_those_of_info() -> None:
    check([MANIFEST.file(stream) for stream in MANIFEST.streams])


def test_units_between_gops_belong_to_the_next(tmp_path: Path) -> None:
    """METADATA, and another NETWORK."""
    file = io.BytesIO()
    writer = StreamWriter(file, SEQUENCE, {})
    for number in range(3):
        writer.metadata("key", b"value" * number)
        if number != 1:
            writer.network(make_network(seed=number))
        writer.gop(Gop(2, (b"", b"")), bytes(16))
    writer.finish()
    path = tmp_path / "stream.nvrc"
    path.write_bytes(file.getvalue())
    assert [[unit["name"] for unit in gop] for gop in expected(file.getvalue())] == [
        ["METADATA", "NETWORK", "GOP", "DIGEST"],
        ["METADATA", "GOP", "DIGEST"],
        ["METADATA", "NETWORK", "GOP", "DIGEST"],
    ]
    check([path])
