"""Streams of one colour, which faults are put into, are valid without them."""

from __future__ import annotations

import io

import pytest

import nvrc_decoder
from nvrc_conformance.faults.parts import SMALL, Parts
from nvrc_conformance.faults.plain import plain
from nvrc_conformance.manifest import load_manifest

MANIFEST = load_manifest()


@pytest.mark.parametrize(
    "sibling", [SMALL, "main-444-10", "nano-motion-frame", "nano-400", "nano-400-10", "nano-keys", "nano-planes"]
)
def test_plain_streams_are_valid(sibling: str) -> None:
    data = plain(Parts(MANIFEST.read(sibling))).stream()
    with nvrc_decoder.open(io.BytesIO(data), engine="reference") as video:
        frames = list(video)
    assert len(frames) == MANIFEST.stream(sibling).frame_count
    assert all((plane == 100).all() for frame in frames for plane in frame.planes())


def test_a_surplus_value_is_refused() -> None:
    stream = plain(Parts(MANIFEST.read(SMALL)))
    stream.surplus = 1
    with (
        nvrc_decoder.open(io.BytesIO(stream.stream()), engine="reference") as video,
        pytest.raises(nvrc_decoder.NvrcError, match=r"R4\.2"),
    ):
        next(video)
