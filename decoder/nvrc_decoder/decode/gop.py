"""From parsed units to integers: a NETWORK's proved layers, a GOP's grids (spec 3.3, 3.4, 4.6, 5.2).

Every size has been checked before: memory by `decode.plan`, the other limits and the level by `bitstream.reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from nvrc_decoder.bitstream.units import (
    GridHeader,
    NetworkHeader,
    SequenceHeader,
    coded_nodes,
    layer_specs,
)
from nvrc_decoder.entropy.coder import SymbolDecoder, no_check
from nvrc_decoder.entropy.parameters import decode_parameters
from nvrc_decoder.entropy.scratch import Scratch
from nvrc_decoder.errors import InvalidStreamError, NvrcError
from nvrc_decoder.octree.grid import code_grid
from nvrc_decoder.octree.network import ContextNetwork
from nvrc_decoder.picture.planes import PictureFormat
from nvrc_decoder.profiles import GridSlot, Profile, node_shape
from nvrc_decoder.synthesis.arithmetic import IntegerLayer, make_layer
from nvrc_decoder.synthesis.synthesizer import Grid, NetworkParts

__all__ = ["Grid", "Network", "Networks", "decode_grids", "grid_shape", "integer_layers", "load_network"]


@dataclass(frozen=True, eq=False)
class Network:
    """A NETWORK in integers.

    Attributes:
        header: the parsed unit.
        profile: the stream's profile.
        context: the context network.
        layers: proved synthesis layers by canonical name.
        multipliers: per slot the multiplier of each active channel; empty where the slot is absent.
    """

    header: NetworkHeader
    profile: Profile
    context: ContextNetwork = field(repr=False)
    layers: dict[str, IntegerLayer] = field(repr=False)
    multipliers: tuple[tuple[int, ...], ...]

    def parts(self, picture: PictureFormat) -> NetworkParts:
        """What synthesis needs, for pictures of this format."""
        header = self.header
        active = header.stage_channels, header.stage_blocks
        return NetworkParts(self.profile, picture, *active, self.layers, self.multipliers, header.pyramid)


@contextmanager
def _located(unit: str | None, offset: int | None) -> Iterator[None]:
    """Add the place in the stream to errors of modules that do not know it."""
    try:
        yield
    except NvrcError as error:
        if error.unit is None:
            error.unit = unit
        if error.offset is None:
            error.offset = offset
        raise


def integer_layers(sequence: SequenceHeader, header: NetworkHeader) -> dict[str, IntegerLayer]:
    """All layers of a NETWORK by name, in canonical order: decoded, the prior added, proved (spec 6.1 to 6.3).

    Raises:
        InvalidStreamError: E_ENTROPY, E_ESCAPE, E_RANGE or E_BOUND.
    """
    profile, specs = sequence.profile_spec, layer_specs(sequence, header)
    values = decode_parameters(header.parameters, specs, header.layers)
    priors = header.prior.layers(profile, specs, header.grid_channels(profile))
    return {
        spec.name: make_layer(
            spec, *values[spec.name], layer.multiplier, layer.shift, layer.bias_shift, priors[spec.name]
        )
        for spec, layer in zip(specs, header.layers, strict=True)
    }


def load_network(
    sequence: SequenceHeader,
    header: NetworkHeader,
    *,
    offset: int | None = None,
    unit: str = "NETWORK",
) -> Network:
    """Decode and prove the parameters of a NETWORK.

    Args:
        sequence: the stream's SEQUENCE.
        header: the parsed NETWORK.
        offset, unit: where it stands, for errors.

    Raises:
        InvalidStreamError: E_ENTROPY, E_ESCAPE, E_RANGE or E_BOUND.
    """
    with _located(unit, offset):
        layers = integer_layers(sequence, header)
        # The canonical order begins with the three layers of the context network (spec 3.3).
        context = ContextNetwork(*(layers.pop(name) for name in list(layers)[:3]))
    profile = sequence.profile_spec
    multipliers = {grid.slot: grid.multipliers for grid in header.grids}
    return Network(header, profile, context, layers, tuple(multipliers.get(i, ()) for i in range(len(profile.slots))))


class Networks:
    """Loads each NETWORK once and keeps the last.

    Args:
        sequence: the stream's SEQUENCE.
    """

    def __init__(self, sequence: SequenceHeader) -> None:
        self._sequence = sequence
        self._header: NetworkHeader | None = None
        self._network: Network | InvalidStreamError | None = None

    def load(self, header: NetworkHeader, offset: int, unit: str) -> Network:
        """The NETWORK in integers; arguments as in `load_network`.

        Raises:
            InvalidStreamError: E_ENTROPY, E_ESCAPE, E_RANGE or E_BOUND.
        """
        if self._header is not header or self._network is None:
            self._network = None
            try:
                self._network = load_network(self._sequence, header, offset=offset, unit=unit)
            except InvalidStreamError as error:
                self._network = error
            self._header = header
        if isinstance(self._network, InvalidStreamError):
            raise self._network
        return self._network


def grid_shape(
    sequence: SequenceHeader, network: NetworkHeader, grid: GridHeader, frame_count: int
) -> tuple[int, int, int, int]:
    """(nodes, channels, rows, columns) of a present grid in a GOP of `frame_count` frames (spec 3.4)."""
    slot = sequence.profile_spec.slots[grid.slot]
    nodes, rows, columns = node_shape(slot, frame_count, sequence.height, sequence.width, network.pyramid)
    return nodes, grid.channels, rows, columns


def decode_grids(
    sequence: SequenceHeader,
    network: Network,
    frame_count: int,
    payloads: Iterable[bytes | bytearray],
    node_maps: Sequence[bytes],
    *,
    offset: int | None = None,
    unit: str = "GOP",
    coder: Callable[[bytes | bytearray, Callable[[], None], Scratch], SymbolDecoder] = SymbolDecoder,
    check: Callable[[], None] = no_check,
) -> list[Grid | None]:
    """Decode the grids of a GOP: motion, then coarse to fine in slot order.

    Args:
        sequence: the stream's SEQUENCE.
        network: the NETWORK in force.
        frame_count, payloads: the GOP's `frame_count` and `grids`, whose size has been checked against the limits.
        node_maps: the GOP's.
        offset, unit: where it stands, for errors.
        coder: makes the decoder of a grid's payload, which calls `check`; a benchmark puts a clock there.
        check: called every few thousand symbols; what it raises ends decoding.

    Returns:
        Per slot int16 [nodes, channels, rows, columns], |q| <= 2047; None where the slot is absent.

    Raises:
        InvalidStreamError: E_ENTROPY, E_ESCAPE, E_RANGE or E_SCHEDULE.
    """
    scratch = Scratch()
    grids: list[Grid | None] = [None] * len(network.profile.slots)
    pyramid, maps = network.header.pyramid, iter(node_maps)
    coarser: tuple[GridSlot, Grid] | None = None
    with _located(unit, offset):
        for header, payload in zip(network.header.coding_order(network.profile), payloads, strict=True):
            decoder = coder(payload, check, scratch)
            slot = network.profile.slots[header.slot]
            shape = grid_shape(sequence, network.header, header, frame_count)
            splits = header.splits((shape[0], *shape[2:]))
            place = header.slot, slot, pyramid, None if slot.motion else coarser
            coded = coded_nodes(next(maps), shape[0]) if slot.mapped else None
            grid = code_grid(decoder, splits, network.context, shape, *place, coded=coded, check=check, scratch=scratch)
            decoder.finish()
            grids[header.slot] = grid
            if not slot.motion:
                coarser = slot, grid
    return grids
