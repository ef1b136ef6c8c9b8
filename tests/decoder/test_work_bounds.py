"""What bounds the time that a small hostile stream can cost: counts, not clocks."""

from __future__ import annotations

import contextlib
import io
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from silent_streams import silent_gop, silent_network, silent_stream

import nvrc_decoder
from nvrc_decoder.bitstream.units import SequenceHeader, gop_symbols
from nvrc_decoder.decode.gop import decode_grids, load_network
from nvrc_decoder.entropy.coder import SymbolDecoder
from nvrc_decoder.entropy.tables import TABLE_COUNT
from nvrc_decoder.errors import InvalidStreamError, LimitError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.octree.schedule import SPLITS_MAX, expand_schedule
from nvrc_decoder.profiles import PROFILES, node_shape
from nvrc_decoder.pyramid import Pyramid

SPLIT_BYTES = [h | p << 4 for h in range(1, 8) for p in range(8) if not h & p]


def decode(stream: bytes, limits: Limits = DEFAULT_LIMITS) -> int:
    with nvrc_decoder.open(io.BytesIO(stream), engine="reference", limits=limits) as video:
        return sum(1 for _ in video)


@pytest.fixture
def steps_decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counter: Counter[str] = Counter()
    code_step = SymbolDecoder.code_step

    def counting(self, table_index, *args, **options):  # type: ignore[no-untyped-def]
        counter["steps"] += 1
        counter["symbols"] += len(table_index)
        return code_step(self, table_index, *args, **options)

    monkeypatch.setattr(SymbolDecoder, "code_step", counting)
    return counter


@pytest.mark.parametrize("frames", [65536, 1025, 600])
def test_many_frames_of_few_bytes_cost_nothing(frames: int, steps_decoded: Counter[str]) -> None:
    # Without the limits this is a valid stream: thousands of frames in as many bits.
    stream = silent_stream("nano", 48, 32, (frames,), digests=False, split=False)
    assert len(stream) < 10_000
    steps_decoded.clear()
    with pytest.raises(LimitError, match=r"max_gop_frames|max_surplus_frames"):
        decode(stream)
    # A NETWORK of nano has this few parameters, which may be decoded before the GOP is read; no grid is.
    assert steps_decoded["symbols"] < 10_000


@pytest.mark.full
def test_the_same_frames_are_decoded_where_the_caller_wants_them() -> None:
    stream = silent_stream("nano", 16, 16, (270,))
    with pytest.raises(LimitError, match="max_surplus_frames"):
        decode(silent_stream("nano", 16, 16, (700,)))
    assert decode(stream) == 270
    assert decode(silent_stream("nano", 16, 16, (700,)), Limits(max_surplus_frames=1000)) == 700


def test_grids_of_small_pictures_are_small() -> None:
    # At about a million symbols a second for the slowest context network.
    for profile in PROFILES:
        sequence = SequenceHeader(48, 32, 25, 1, profile=profile.id, level=6)
        for pyramid, most in ((Pyramid(8, 8), 700_000), (Pyramid(1, 1), 2_500_000)):
            network = silent_network(sequence, 1, pyramid=pyramid)
            assert gop_symbols(sequence, network, DEFAULT_LIMITS.max_gop_frames) < most


@pytest.mark.parametrize("payload", [b"", b"\x01\0\0\0"], ids=["empty", "one small word"])
def test_a_payload_that_runs_dry_ends_with_its_step(payload: bytes, steps_decoded: Counter[str]) -> None:
    # A dry coder gives escapes for nothing, and the first of them fails.
    sequence = SequenceHeader(48, 32, 25, 1, profile=2, level=6)
    header = silent_network(sequence, 1000)
    network = load_network(sequence, header)
    maps = silent_gop(sequence, header, 1000).node_maps
    steps_decoded.clear()
    with pytest.raises(InvalidStreamError) as caught:
        decode_grids(sequence, network, 1000, [payload] * len(header.grids), maps)
    assert caught.value.code == "E_ESCAPE"
    assert steps_decoded["symbols"] < 20_000


def test_empty_nodes_cost_no_steps(steps_decoded: Counter[str]) -> None:
    sequence = SequenceHeader(48, 32, 25, 1, profile=2, level=6)
    header = silent_network(sequence, 1000, pyramid=Pyramid(1, 1))
    network = load_network(sequence, header)
    gop = silent_gop(sequence, header, 1000)
    at_nodes = [sequence.profile_spec.slots[g.slot].mapped for g in header.coding_order(sequence.profile_spec)]
    payloads = [b"" if at else payload for at, payload in zip(at_nodes, gop.grids, strict=True)]
    steps_decoded.clear()
    grids = decode_grids(sequence, network, 1000, payloads, [bytes(len(data)) for data in gop.node_maps])
    features = (g for g, at in zip(header.coding_order(sequence.profile_spec), at_nodes, strict=True) if not at)
    wanted = 0
    for grid in features:
        slot = sequence.profile_spec.slots[grid.slot]
        wanted += grid.channels * math.prod(node_shape(slot, 1000, 32, 48, header.pyramid))
    assert steps_decoded["symbols"] == wanted
    assert not any(grid.any() for grid in grids if grid is not None)


@settings(deadline=None)
@given(st.binary(min_size=4, max_size=64).map(lambda data: data[: len(data) // 4 * 4]), st.integers(0, TABLE_COUNT - 1))
def test_escapes_are_paid_for_in_bits(payload: bytes, table: int) -> None:
    # Each escape has at least a one bit, which halves the state at least.
    if not any(payload[:4]):
        return
    decoder = SymbolDecoder(payload)
    escapes = 0
    escape = decoder._escape

    def counting(radius: int) -> int:
        nonlocal escapes
        escapes += 1
        return escape(radius)

    decoder._escape = counting  # type: ignore[method-assign]
    with contextlib.suppress(InvalidStreamError):
        decoder.code_step(np.full(3000, table, np.uint16), np.zeros(3000, np.int32), limit=1 << 24)
    assert escapes <= 8 * len(payload) + 1


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 1100), st.integers(1, 300), st.integers(1, 300)),
    st.lists(st.sampled_from(SPLIT_BYTES), max_size=SPLITS_MAX),
)
def test_any_schedule_has_few_steps_and_little_work(shape: tuple[int, int, int], splits: list[int]) -> None:
    steps = expand_schedule(shape, splits)
    assert len(steps) <= 1 + 7 * SPLITS_MAX
    assert sum(math.prod(step.count) for step in steps) == math.prod(shape)
    # The decoder makes the lattice of a split anew, for splits that have a step.
    spacings = {step.split_index: step.spacing for step in steps}
    lattices = (math.prod(-(-n // s) for n, s in zip(shape, spacing, strict=True)) for spacing in spacings.values())
    assert sum(lattices) <= 3 * math.prod(shape)
