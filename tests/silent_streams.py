"""Streams that ask for much with few bytes: every grid value is 0, coded by the table that is surest of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace

import constriction
import numpy as np

from nvrc_decoder.bitstream.units import (
    Gop,
    GridHeader,
    LayerHeader,
    NetworkHeader,
    SequenceHeader,
    layer_specs,
    node_map,
    schedule_runs,
)
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.decode.gop import grid_shape, load_network
from nvrc_decoder.entropy.parameters import encode_parameters
from nvrc_decoder.entropy.tables import RADII, table_model
from nvrc_decoder.octree.schedule import temporal_first_schedule
from nvrc_decoder.picture.planes import GopDigest
from nvrc_decoder.profiles import PROFILES, node_shape
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer

_CHUNK = 1 << 22


def silent_network(
    sequence: SequenceHeader,
    frame_count: int,
    schedule: Callable[[int, int, int], Sequence[int]] = temporal_first_schedule,
    context_widths: tuple[int, int] = (16, 16),
    pyramid: Pyramid = DEFAULT_PYRAMID,
    split: bool = True,
) -> NetworkHeader:
    """A NETWORK of the profile's largest size, all zeros; schedules are made for a GOP of `frame_count` frames.

    The split grid, whose node map takes a bit for each frame, may be left out.
    """
    profile = sequence.profile_spec
    grids = []
    for i, slot in enumerate(profile.slots):
        if i == profile.split_slot and not split:
            continue
        shape = node_shape(slot, frame_count, sequence.height, sequence.width, pyramid)
        grids.append(GridHeader(i, (1,) * slot.max_channels, schedule_runs(tuple(schedule(*shape)))))
    header = NetworkHeader(profile.max_channels, profile.blocks, tuple(grids), context_widths, (), b"", pyramid)
    specs = layer_specs(sequence, header)
    layers = tuple(LayerHeader(4, 0, 0, 0, 0) for _ in specs)
    zeros = {spec.name: (np.zeros(spec.weight_shape, np.int32), np.zeros(spec.outputs, np.int32)) for spec in specs}
    payload = encode_parameters(zeros, specs, layers)
    return replace(header, layers=layers, parameters=payload)


def silent_payload(count: int) -> bytes:
    """The payload of `count` zeros, each by table 0: about four bytes for 66,000."""
    coder = constriction.stream.stack.AnsCoder()
    zeros = np.full(min(count, _CHUNK), RADII[0] + 1, dtype=np.int32)
    for start in range(0, count, _CHUNK):
        coder.encode_reverse(zeros[: count - start], table_model(0))
    return coder.get_compressed()[::-1].astype("<u4").tobytes()


def silent_gop(sequence: SequenceHeader, network: NetworkHeader, frame_count: int) -> Gop:
    """A GOP of zeros, all of which are coded."""
    profile = sequence.profile_spec
    payloads, maps = [], []
    for grid in network.coding_order(profile):
        shape = grid_shape(sequence, network, grid, frame_count)
        payloads.append(silent_payload(int(np.prod(shape, dtype=object))))
        if profile.slots[grid.slot].mapped:
            maps.append(node_map([True] * shape[0]))
    return Gop(frame_count, tuple(payloads), tuple(maps))


def silent_stream(
    profile: str,
    width: int,
    height: int,
    gops: Sequence[int],
    schedule: Callable[[int, int, int], Sequence[int]] = temporal_first_schedule,
    *,
    context_widths: tuple[int, int] = (16, 16),
    index: bool = True,
    digests: bool = True,
    level: int = 6,
    pyramid: Pyramid = DEFAULT_PYRAMID,
    split: bool = True,
) -> bytes:
    """A valid stream of GOPs of these frame counts; without `digests` those of the GOPs are wrong, but made at once."""
    number = next(p.id for p in PROFILES if p.name == profile)
    sequence = SequenceHeader(width, height, 25, 1, profile=number, level=level)
    network = silent_network(sequence, max(gops), schedule, context_widths, pyramid, split)
    frame = None
    if digests:
        loaded = load_network(sequence, network)
        active = network.stage_channels, network.stage_blocks
        arguments = loaded.profile, sequence, *active, loaded.layers, loaded.multipliers, pyramid
        synthesizer = ReferenceSynthesizer(*arguments)
        grids: list[np.ndarray | None] = [None] * len(loaded.profile.slots)
        for grid in network.grids:
            grids[grid.slot] = np.zeros(grid_shape(sequence, network, grid, 1), np.int16)
        (frame,) = synthesizer.synthesise(grids, 1, range(1))
    file = io.BytesIO()
    writer = StreamWriter(file, sequence)
    writer.network(network)
    for count in gops:
        digest = GopDigest()
        for _ in range(count if frame is not None else 0):
            digest.update(frame)
        writer.gop(silent_gop(sequence, network, count), digest.digest())
    writer.finish(index)
    return file.getvalue()
