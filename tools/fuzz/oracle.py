"""What a decoder may do with a stream, whatever its bytes: decode it to the frames of its DIGESTs, or refuse it.

The decoder does not judge itself: frames are hashed here, and compared with the DIGEST units as they stand in the
bytes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import nvrc_decoder
from fuzz.mutations import split_units
from nvrc_conformance.faults.describe import OUTCOMES
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.descriptors import ByteReader
from nvrc_decoder.bitstream.units import UnitType
from nvrc_decoder.decode.engines import Engine
from nvrc_decoder.decode.stages import OnDamage
from nvrc_decoder.errors import NvrcError
from nvrc_decoder.limits import Limits

__all__ = [
    "DECODED",
    "LIMITS",
    "Outcome",
    "WrongFramesError",
    "check_digests",
    "decode",
    "golden_streams",
    "gop_digests",
    "is_refusal",
    "refusals",
]

LIMITS = Limits(
    max_width=256,
    max_height=256,
    max_pixels=1 << 14,
    max_gop_frames=128,
    max_gop_symbols=1 << 18,
    max_gops=256,
    max_unit_bytes=1 << 16,
    max_metadata_bytes=1 << 12,
    max_network_parameters=1 << 16,
    max_surplus_frames=256,
    max_memory_bytes=300_000_000,
)
"""Limits that bound what a case costs; most golden streams keep them."""

DECODED = "decoded"


def golden_streams() -> list[bytes]:
    """The golden streams whose pictures are within `LIMITS`, and that have no more frames than it lets one GOP have."""
    manifest = load_manifest()
    return [
        manifest.read(stream.id)
        for stream in manifest.streams
        if stream.width <= LIMITS.max_width
        and stream.height <= LIMITS.max_height
        and stream.width * stream.height <= LIMITS.max_pixels
        and stream.frame_count <= LIMITS.max_gop_frames
    ]


class WrongFramesError(Exception):
    """A stream was accepted whose frames do not match its DIGESTs."""


@dataclass(frozen=True)
class Outcome:
    """How a decoder ended.

    Attributes:
        kind: ``decoded``, ``reject``, ``unsupported`` or ``limit``.
        code: of the error, empty where there is none.
        frames: the raw bytes of each frame, where the stream was decoded.
    """

    kind: str
    code: str = ""
    frames: tuple[bytes, ...] = ()


def is_refusal(error: NvrcError) -> bool:
    """Whether a stream can cause this error: by its exit code, and it is printed with its code."""
    return error.exit_code in OUTCOMES and str(error).startswith(f"error[{error.code}]")


@contextmanager
def refusals() -> Iterator[None]:
    """The body may end in an error that a stream can cause; every other exception is a bug and is raised."""
    try:
        yield
    except NvrcError as error:
        if not is_refusal(error):
            raise


def decode(
    data: bytes,
    engine: Engine = "reference",
    *,
    limits: Limits = LIMITS,
    verify: bool = True,
    on_damage: OnDamage | None = None,
) -> Outcome:
    """Decode a whole stream on the CPU, in this thread as far as possible; options as in `nvrc_decoder.open`."""
    frames: list[bytes] = []
    try:
        with nvrc_decoder.open(
            io.BytesIO(data),
            engine=engine,
            provider="auto" if engine == "reference" else "cpu",
            threads=1,
            limits=limits,
            verify=verify,
            on_damage=on_damage,
            lookahead=False,
        ) as video:
            frames.extend(b"".join(frame.chunks()) for frame in video)
    except NvrcError as error:
        if not is_refusal(error):
            raise
        return Outcome(OUTCOMES[error.exit_code], error.code)
    return Outcome(DECODED, "", tuple(frames))


def check_digests(data: bytes, frames: tuple[bytes, ...]) -> None:
    """Hold the frames of a decoded stream against its DIGEST units.

    Raises:
        WrongFramesError: they do not match.
    """
    digests = [payload for kind, payload in split_units(data) if kind == UnitType.DIGEST]
    if gop_digests(data, frames) != digests:
        raise WrongFramesError("the stream was decoded, and its frames do not match its DIGEST units")


def gop_digests(data: bytes, frames: tuple[bytes, ...]) -> list[bytes]:
    """The DIGEST that each GOP of a stream should have, by the raw bytes of its frames."""
    digests, first = [], 0
    for kind, payload in split_units(data):
        if kind == UnitType.GOP:
            count = ByteReader(payload).unsigned("leb128")
            digests.append(hashlib.sha256(b"".join(frames[first : first + count])).digest()[:16])
            first += count
    return digests
