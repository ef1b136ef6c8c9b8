"""New life for a mutant: payloads that are valid under its headers, so that frames are made under them.

Damage to a coded payload is nearly always found in the payload itself (spec 4.1), before any frame is made. Here
the symbols are drawn anew, from the distributions that the damaged headers and networks predict.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from fuzz.mutations import split_units
from fuzz.oracle import LIMITS, gop_digests, refusals
from nvrc_conformance.drafts import NetworkDraft, random_gop
from nvrc_conformance.faults.parts import assemble
from nvrc_conformance.sampling import random_state
from nvrc_decoder.bitstream.descriptors import ByteReader
from nvrc_decoder.bitstream.units import (
    NetworkHeader,
    SequenceHeader,
    UnitType,
    gop_symbols,
    layer_specs,
    parameter_count,
    parse_network,
    parse_sequence,
    serialise_gop,
    serialise_network,
)
from nvrc_decoder.decode.gop import Network, load_network
from nvrc_decoder.entropy.parameters import decode_parameters, encode_parameters
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.limits import check_limit

__all__ = ["revived", "with_right_digests"]


def with_right_digests(data: bytes, frames: tuple[bytes, ...]) -> bytes:
    """A stream that is valid but for its DIGESTs, with those of `frames`, the raw bytes of all its frames."""
    digests = iter(gop_digests(data, frames))
    return assemble(
        ((kind, next(digests) if kind == UnitType.DIGEST else payload) for kind, payload in split_units(data)),
        data[9],
        (),
    )


def revived(data: bytes, generator: random.Random) -> bytes | None:
    """The stream with other GOP payloads and some other weights; None where a header or a NETWORK is not valid.

    None also where its frames, a NETWORK or a GOP are over `LIMITS`. Its DIGESTs are left as they are: they are not
    those of its frames.
    """
    revival = _Revival(generator)
    with refusals():
        return assemble([(kind, revival.take(kind, payload)) for kind, payload in split_units(data)], data[9])
    return None


@dataclass
class _Revival:
    """The state of a stream while its units are made anew, one by one."""

    generator: random.Random
    sequence: SequenceHeader | None = None
    network: Network | None = None

    def take(self, kind: int, payload: bytes) -> bytes:
        """The new payload of the next unit."""
        if kind == UnitType.SEQUENCE:
            self.sequence = parse_sequence(payload)
            check_limit("max_pixels", self.sequence.width * self.sequence.height, LIMITS)
        elif kind == UnitType.NETWORK and self.sequence is not None:
            header = parse_network(payload, self.sequence)
            check_limit("max_network_parameters", parameter_count(self.sequence, header), LIMITS)
            self.network = self._network(self.sequence, header)
            return serialise_network(self.network.header, self.sequence)
        elif kind == UnitType.GOP and self.sequence is not None and self.network is not None:
            return self._gop(self.sequence, self.network, payload)
        return payload

    def _network(self, sequence: SequenceHeader, header: NetworkHeader) -> Network:
        """The NETWORK with a few other weights, where it stays valid with them."""
        network = load_network(sequence, header)
        specs = layer_specs(sequence, header)
        values = decode_parameters(header.parameters, specs, header.layers)
        for _ in range(self.generator.randint(0, 3)):
            array = self.generator.choice(values[self.generator.choice(specs).name])
            if array.size:
                array.flat[self.generator.randrange(array.size)] += self.generator.choice((-40, -3, -1, 1, 3, 40))
        try:
            changed = replace(header, parameters=encode_parameters(values, specs, header.layers))
            return load_network(sequence, changed)
        except InvalidStreamError:
            return network

    def _gop(self, sequence: SequenceHeader, network: Network, payload: bytes) -> bytes:
        frames = ByteReader(payload).unsigned("leb128")
        if frames == 0:
            raise InvalidStreamError("E_RANGE", "there are no frames to be made anew")
        check_limit("max_gop_frames", frames, LIMITS)
        check_limit("max_gop_symbols", gop_symbols(sequence, network.header, frames), LIMITS)
        rng = random_state(str(self.generator.random()))
        draft = NetworkDraft(empty_nodes=self.generator.choice((0, 2, 4)), wild=self.generator.choice((0, 0, 2)))
        gop, _ = random_gop(rng, sequence, network, draft, frames, lambda *_: [])
        return serialise_gop(gop, network.header, sequence.profile_spec)
