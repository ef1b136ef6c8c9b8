"""Stage digests of damaged streams: the error says where the fault lies."""

from __future__ import annotations

import io

import pytest
from stream_builders import assemble, split

from nvrc_conformance.manifest import load_manifest
from nvrc_conformance.stages import decode_stream
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.errors import InvalidStreamError


def test_errors_of_a_gop_carry_its_offset_and_name() -> None:
    data = load_manifest().read("nano-four-gops")
    place = next(i for i, unit in enumerate(UnitReader(io.BytesIO(data))) if unit.name == "GOP 2")
    kind, payload = split(data)[place]
    # The last word of the last grid is 0, so that its symbols do not end with its payload.
    damaged = assemble([*split(data)[:place], (kind, payload[:-4] + bytes(4)), *split(data)[place + 1 :]])
    gop = next(unit for unit in UnitReader(io.BytesIO(damaged)) if unit.name == "GOP 2")
    stages = decode_stream(damaged)
    assert [next(stages).network_number for _ in range(2)] == [0, 0]
    with pytest.raises(InvalidStreamError) as caught:
        next(stages)
    assert (caught.value.unit, caught.value.offset) == (gop.name, gop.offset)
