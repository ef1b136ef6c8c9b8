"""The stages of synthesis: what the NumPy reference makes of a GOP's grids on the way to frames (spec 7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.decode.gop import Grid, Network
from nvrc_decoder.entropy.coder import IntArray
from nvrc_decoder.synthesis.activations import Feature, PlaneArray, dequantise
from nvrc_decoder.synthesis.motion import GopMotion
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_decoder.synthesis.wavelet import luma_residual

__all__ = ["synthesis_values"]

Grids = Sequence[Grid | None]


def synthesis_values(
    sequence: SequenceHeader, network: Network, grids: Grids, frame_count: int
) -> Iterator[tuple[str, IntArray]]:
    """Name and values of each stage of synthesis, a part after another; the parts of a stage come in order.

    Args:
        sequence, network: of the stream, and in force.
        grids: per slot int16 [nodes, channels, rows, columns], None where absent.
        frame_count: frames of the GOP.
    """
    yield from _motion(sequence, network, grids, frame_count)
    yield from _residuals(network, grids, frame_count)
    observed: list[tuple[str, IntArray]] = []

    def observe(name: str, values: Feature | PlaneArray) -> None:
        # A stage into which nothing is injected has no such layer; the reference adds zeros.
        if not name.endswith(".inject") or name in network.layers:
            observed.append((name, values.astype(np.int16)))

    reference = ReferenceSynthesizer(*network.parts(sequence), observe=observe)
    for _ in reference.stream(grids, frame_count, range(frame_count)):
        yield from observed
        observed.clear()


def _motion(
    sequence: SequenceHeader, network: Network, grids: Grids, frame_count: int
) -> Iterator[tuple[str, IntArray]]:
    """Displacements to both references, or to the one, and weights where there are two."""
    if grids[network.profile.flow_slot] is None:
        return
    multipliers, size = network.multipliers, (sequence.height, sequence.width)
    motion = GopMotion(network.profile, grids, multipliers, size)
    for t in range(1, frame_count):
        references = network.header.pyramid.references(t)
        if references is None:
            raise ValueError(f"frame {t} has no references")
        yield "displacement", motion.displacement(t, references.before)
        if references.after != references.before:
            yield "displacement", motion.displacement(t, references.after)
            yield "weight", motion.weight(t, references.share)


def _residuals(network: Network, grids: Grids, frame_count: int) -> Iterator[tuple[str, IntArray]]:
    """The luma residual of each node that is shown."""
    pyramid, slots = network.header.pyramid, network.profile.band_slots
    bands = [(grid, network.multipliers[slot]) for slot in slots for grid in [grids[slot]] if grid is not None]
    if not bands:
        return
    for n, t in enumerate(range(0, frame_count, pyramid.node_spacing)):
        activations = [dequantise(grid[n], [pyramid.node_multiplier(t, m) for m in ms]) for grid, ms in bands]
        yield "luma_residual", np.asarray(luma_residual(activations))
