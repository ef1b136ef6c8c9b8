"""From the units of a GOP to its plan, and from there to its grids."""

from __future__ import annotations

from collections.abc import Iterator

from nvrc_decoder.bitstream.gops import GopRecord
from nvrc_decoder.bitstream.salvage import Damage
from nvrc_decoder.bitstream.units import coded_symbols
from nvrc_decoder.decode.budget import Budget
from nvrc_decoder.decode.gop import Grid, decode_grids
from nvrc_decoder.decode.plan import make_plan
from nvrc_decoder.decode.prefetch import Check
from nvrc_decoder.decode.stages import DecodedGop, Decoding, PlannedGop, damage_of
from nvrc_decoder.errors import InvalidStreamError, LimitError
from nvrc_decoder.limits import check_limit

__all__ = ["decode_symbols", "plan_gops"]


def plan_gops(decoding: Decoding, records: Iterator[GopRecord | Damage]) -> Iterator[PlannedGop | Damage]:
    """Read and plan each GOP, refuse it over the memory limit (docs/memory.md), and load its NETWORK.

    Raises:
        NvrcError: what reading raises; E_LIMIT, the GOP takes too much memory. With `on_damage`, what concerns one GOP
            comes out as `Damage`.
    """
    while True:
        loading = decoding.times.network
        with decoding.file_lock, decoding.times.clock("parse"):
            record = next(records, None)
        decoding.times.parse -= decoding.times.network - loading  # a NETWORK is loaded where it is read
        if record is None:
            return
        if isinstance(record, Damage):
            yield record
            continue
        try:
            most = decoding.engines.most_workers
            plan = make_plan(decoding.sequence, record.network, record.gop, decoding.limits, most)
            check_limit("max_memory_bytes", plan.estimate, decoding.limits, offset=record.offset, unit=record.unit)
            with decoding.times.clock("network"):
                network = decoding.networks.load(record.network, record.network_offset, record.network_unit)
        except (InvalidStreamError, LimitError) as error:
            if decoding.on_damage is None:
                raise
            yield damage_of(record, error)
            continue
        yield PlannedGop(record, network, plan)


def decode_symbols(
    decoding: Decoding, gops: Iterator[PlannedGop | Damage], budget: Budget, check: Check
) -> Iterator[DecodedGop | Damage]:
    """Decode the grids of GOPs, in order, each when the budget has bytes for it.

    Args:
        decoding: of the stream.
        gops: of `plan_gops`.
        budget: bytes of the GOPs in flight.
        check: called every few thousand symbols; what it raises ends decoding.

    Raises:
        NvrcError: what reading and decoding raise; with `on_damage`, what concerns one GOP comes out as `Damage`.
    """
    if decoding.pipe is not None:
        decoding.pipe.check = check
    for gop in gops:
        check()
        if isinstance(gop, Damage):
            yield gop
            continue
        reservation, beside = budget.reserve(gop.plan.synthesis.bytes, gop.plan.symbol_bytes)
        if not beside:
            decoding.engines.release()
        try:
            grids = _decode_grids(decoding, gop, check)
        except InvalidStreamError as error:
            reservation.release()
            if decoding.on_damage is None:
                raise
            yield damage_of(gop.record, error)
            continue
        reservation.change(gop.plan.frame_bytes)
        yield DecodedGop(gop.record.without_payloads(), gop.network, gop.plan, grids, reservation)
        del grids


def _decode_grids(decoding: Decoding, gop: PlannedGop, check: Check) -> list[Grid | None]:
    record = gop.record
    with decoding.times.clock("symbols"):
        grids = decode_grids(
            decoding.sequence,
            gop.network,
            record.gop.frame_count,
            record.gop.grids,
            record.gop.node_maps,
            offset=record.offset,
            unit=record.unit,
            check=check,
        )
    decoding.times.symbol_count += coded_symbols(decoding.sequence, gop.network.header, record.gop)
    return grids
