"""Streams of one colour, whose networks and grids are 0: a fault in them changes no frame.

A decoder without the check in question decodes such a stream from the first byte to the last: its CRCs, contexts and
DIGEST are those that this decoder makes. So nothing else refuses the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_conformance.faults.parts import Break, Parts
from nvrc_conformance.sampling import fan_in
from nvrc_decoder.bitstream.units import (
    Gop,
    LayerHeader,
    NetworkHeader,
    SequenceHeader,
    UnitType,
    layer_specs,
    node_map,
    serialise_gop,
    serialise_network,
    serialise_sequence,
)
from nvrc_decoder.decode.gop import grid_shape, load_network
from nvrc_decoder.entropy.coder import Int32Array, IntArray, SymbolEncoder
from nvrc_decoder.entropy.tables import FRACTION_COUNT
from nvrc_decoder.octree.grid import code_grid
from nvrc_decoder.picture.planes import plane_shapes

__all__ = ["Layer", "Plain", "WideEncoder", "broken", "plain"]

_SAMPLE = 100
_WIDE = 1 << 20
_SURPLUS_TABLE = 12 * FRACTION_COUNT


class WideEncoder(SymbolEncoder):
    """Codes values beyond the range of the format."""

    def code_step(
        self, table_index: IntArray, mean: IntArray, values: IntArray | None = None, *, limit: int = _WIDE
    ) -> Int32Array:
        return super().code_step(table_index, mean, values, limit=_WIDE)


@dataclass
class Layer:
    """A layer of the plain network.

    Attributes:
        header: its fields in NETWORK.
        weights: coded weights, int64 [outputs, inputs].
        biases: coded biases, int64 [outputs].
        tables: scale indices that code weights and biases, where they are not those of the header.
    """

    header: LayerHeader
    weights: npt.NDArray[np.int64]
    biases: npt.NDArray[np.int64]
    tables: tuple[int, int] | None = None


@dataclass
class Plain:
    """A plain stream of one GOP.

    Attributes:
        parts: its sibling.
        sequence, network, frame_count: what SEQUENCE, NETWORK and GOP say.
        layers: all layers by name, in canonical order.
        values: slot -> int64 [nodes, channels, rows, columns], where they are not 0. Nodes that may be empty are.
        surplus: how many values each payload has more than its grid.
    """

    parts: Parts
    sequence: SequenceHeader
    network: NetworkHeader
    frame_count: int
    layers: dict[str, Layer]
    values: Mapping[int, IntArray] = field(default_factory=dict)
    surplus: int = 0

    def header(self) -> NetworkHeader:
        """NETWORK with its layers."""
        encoder = WideEncoder()
        for layer in self.layers.values():
            tables = layer.tables or (layer.header.weight_table, layer.header.bias_table)
            for coded, table in zip((layer.weights, layer.biases), tables, strict=True):
                places = np.full(coded.size, table * FRACTION_COUNT, dtype=np.uint16)
                encoder.code_step(places, np.zeros(coded.size, dtype=np.int32), coded.reshape(-1))
        layers = tuple(layer.header for layer in self.layers.values())
        return replace(self.network, layers=layers, parameters=encoder.finish())

    def gop(self) -> Gop:
        """GOP. The NETWORK must be valid."""
        header = self.header()
        network, profile = load_network(self.sequence, header), self.sequence.profile_spec
        payloads, maps = [], []
        for one in header.coding_order(profile):
            slot, shape = profile.slots[one.slot], grid_shape(self.sequence, header, one, self.frame_count)
            values = self.values.get(one.slot, np.zeros(shape, dtype=np.int64))
            coded = np.zeros(shape[0], dtype=np.bool_) if slot.mapped else None
            if coded is not None:
                maps.append(node_map(coded))
            encoder, splits = WideEncoder(), one.splits((shape[0], *shape[2:]))
            # The context network has no weights: the previous slot makes no difference.
            place = one.slot, slot, header.pyramid, None
            code_grid(encoder, splits, network.context, shape, *place, values=values, coded=coded)
            more = np.ones(self.surplus, dtype=np.int32)
            encoder.code_step(np.full(self.surplus, _SURPLUS_TABLE), np.zeros_like(more), more)
            payloads.append(encoder.finish())
        return Gop(self.frame_count, tuple(payloads), tuple(maps))

    def digest(self) -> bytes:
        """The payload of DIGEST: that of samples which are all 100."""
        picture = self.sequence
        sample = _SAMPLE.to_bytes(1 if picture.bit_depth == 8 else 2, "little")
        shapes = plane_shapes(picture.width, picture.height, picture.chroma_format)
        count = self.frame_count * sum(rows * columns for rows, columns in shapes)
        return sha256(sample * count).digest()[:16]

    def stream(self, gop: Gop | None = None, digest: bytes | None = None) -> bytes:
        """The whole stream, unchecked.

        Args:
            gop, digest: GOP and the payload of DIGEST; None for those of the stream itself.
        """
        gop, digest = gop or self.gop(), digest or self.digest()
        header, profile = self.header(), self.sequence.profile_spec
        payloads = {
            UnitType.SEQUENCE: serialise_sequence(self.sequence, check=False),
            UnitType.NETWORK: serialise_network(header, self.sequence, check=False),
            UnitType.GOP: serialise_gop(gop, header, profile, check=False),
            UnitType.DIGEST: digest,
        }
        return self.parts.rebuilt([(kind, payloads.get(UnitType(kind), old)) for kind, old in self.parts.units])


def plain(parts: Parts, sequence: Mapping[str, Any] | None = None, **network: Any) -> Plain:
    """The plain stream of a sibling of one NETWORK and one GOP, without unknown units.

    Args:
        parts: the sibling.
        sequence: elements of SEQUENCE that are changed.
        network: elements of NETWORK that are changed.
    """
    chosen, header = replace(parts.sequence, **(sequence or {})), replace(parts.network, **network)
    layers = {}
    for spec in layer_specs(chosen, header):
        weights = np.zeros((spec.outputs, fan_in(spec)), dtype=np.int64)
        biases = np.zeros(spec.outputs, dtype=np.int64)
        if spec.kind == "head_pointwise":
            biases[:] = _SAMPLE
        layers[spec.name] = Layer(LayerHeader(4, 0, 0, 0, 20 if biases.any() else 0), weights, biases)
    return Plain(parts, chosen, header, parts.gop.frame_count, layers)


def broken(change: Callable[[Plain], None]) -> Break:
    """A plain stream with a fault in NETWORK, and the GOP of the stream without it."""

    def make(parts: Parts) -> bytes:
        stream = plain(parts)
        gop = stream.gop()
        change(stream)
        return stream.stream(gop)

    return make
