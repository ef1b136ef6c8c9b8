"""Opening a stream and reading its frames (spec chapter 8): the decoder's public interface.

GOP by GOP: parse, decode the grids, synthesise, hold against the DIGEST. Memory does not grow with the number of
GOPs, and frames are made one at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.reader import Unit, UnitReader
from nvrc_decoder.bitstream.units import Digest, Gop, NetworkHeader, SequenceHeader
from nvrc_decoder.engine import Engine, EngineName, Synthesizer, choose_engine, make_synthesizer
from nvrc_decoder.errors import InputError, InternalError, InvalidStreamError
from nvrc_decoder.frames import GopDigest, Planes
from nvrc_decoder.gop import Network, decode_grids, load_network
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.video_format import Colour, VideoFormat

__all__ = ["Video", "VideoInfo", "open_video", "video_format"]


def video_format(sequence: SequenceHeader) -> VideoFormat:
    """The format of the frames that a SEQUENCE announces."""
    colour = Colour(
        sequence.colour_primaries,
        sequence.transfer_characteristics,
        sequence.matrix_coefficients,
        bool(sequence.full_range),
        sequence.chroma_sample_position,
    )
    rate = Fraction(sequence.rate_numerator, sequence.rate_denominator)
    return VideoFormat(sequence.width, sequence.height, rate, sequence.chroma_format, sequence.bit_depth, colour)


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a stream from its first unit.

    Attributes:
        format: size, rate, sample format and colour of every frame.
        profile: name of the profile.
        level: the level that the stream keeps to.
    """

    format: VideoFormat
    profile: str
    level: int


class Video:
    """A stream that is being decoded; made by `nvrc_decoder.open`.

    Iteration yields frames in order, as `Planes`. Each frame is yielded as soon as it is made; a GOP that does not
    match its DIGEST raises after its last frame. One iteration position belongs to the object: `seek` moves it.
    """

    def __init__(
        self, file: BinaryIO, *, owns_file: bool, engine: EngineName, threads: int | None, limits: Limits, verify: bool
    ) -> None:
        self._file = file
        self._owns_file = owns_file
        self._engine: EngineName = engine
        self._threads = threads
        self._limits = limits
        self._verify = verify
        self._table: RandomAccess | None = None
        self._loaded: tuple[NetworkHeader, Network, Synthesizer | None] | None = None
        if file.seekable():
            file.seek(0)
        units = iter(UnitReader(file, limits))
        self._sequence = self._read_sequence(units)
        self._frames: Iterator[Planes] = self._read_forward(units)
        sequence = self._sequence
        self.info = VideoInfo(video_format(sequence), sequence.profile_spec.name, sequence.level)

    @property
    def engine(self) -> EngineName:
        """What makes the frames."""
        return self._engine

    @property
    def frame_count(self) -> int | None:
        """Number of frames of the stream; None for a pipe.

        Raises:
            InvalidStreamError: the table of GOPs is broken.
        """
        return self._random_access().frame_count if self._file.seekable() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Planes]:
        return self

    def __next__(self) -> Planes:
        return next(self._frames)

    def close(self) -> None:
        """Close the file, if `open` opened it. Reading on is an error."""
        self._frames = iter(())
        if self._owns_file:
            self._file.close()

    def seek(self, frame: int) -> None:
        """Go on with frame `frame`; reads only the headers, the NETWORK and the GOPs from there.

        With `verify`, the earlier frames of its GOP are made too, because the DIGEST covers them.

        Args:
            frame: 0 .. frame_count; frame_count is the end.

        Raises:
            InputError: E_SEEK, the input is a pipe, or the stream has no such frame.
            InvalidStreamError: the table of GOPs is broken.
        """
        if not self._file.seekable():
            raise InputError("E_SEEK", "the input is a pipe: its frames can only be read in order")
        table = self._random_access()
        if not 0 <= frame <= table.frame_count:
            raise InputError("E_SEEK", f"there is no frame {frame}: the stream has {table.frame_count}")
        self._frames = self._read_from(table, frame)

    def _random_access(self) -> RandomAccess:
        """The table of GOPs; the file's position stays where it was."""
        if self._table is None:
            here = self._file.tell()
            self._table = RandomAccess(self._file, self._limits)
            self._file.seek(here)
        return self._table

    def _read_sequence(self, units: Iterator[Unit]) -> SequenceHeader:
        first = next(units)
        if not isinstance(first.content, SequenceHeader):
            raise InternalError("E_INTERNAL", "the reader let a stream begin with another unit than SEQUENCE")
        return first.content

    def _read_forward(self, units: Iterator[Unit]) -> Iterator[Planes]:
        """All frames from the start, in one pass that works on pipes and checks the whole stream."""
        held: tuple[Unit, Gop] | None = None
        network: Network | None = None
        for unit in units:
            content = unit.content
            if isinstance(content, NetworkHeader):
                network = self._network(content, unit.offset, unit.name)
            elif isinstance(content, Gop):
                held = unit, content
            elif isinstance(content, Digest) and held is not None and network is not None:
                source, gop = held
                held = None
                yield from self._gop_frames(network, gop, content.digest, source.offset, source.name)

    def _read_from(self, table: RandomAccess, frame: int) -> Iterator[Planes]:
        """Frames from `frame` on, by the table of GOPs."""
        if frame == table.frame_count:
            return
        first = table.gop_of_frame(frame)
        for number in range(first, table.gop_count):
            record = table.gop(number)
            network = self._network(record.network, record.network_offset, "NETWORK")
            skip = max(frame - record.first_frame, 0)
            yield from self._gop_frames(network, record.gop, record.digest.digest, record.offset, f"GOP {number}", skip)

    def _network(self, header: NetworkHeader, offset: int, unit: str) -> Network:
        """The loaded NETWORK, which is kept until another one comes."""
        if self._loaded is None or self._loaded[0] is not header:
            network = load_network(self._sequence, header, offset=offset, unit=unit)
            self._loaded = header, network, None
        return self._loaded[1]

    def _synthesizer(self, network: Network) -> Synthesizer:
        """The synthesizer of the loaded NETWORK, made when its first GOP comes."""
        if self._loaded is None or self._loaded[1] is not network or self._loaded[2] is None:
            made = make_synthesizer(self._engine, self._sequence, network, self._threads, self._limits)
            self._loaded = network.header, network, made
            return made
        return self._loaded[2]

    def _gop_frames(
        self, network: Network, gop: Gop, expected: bytes, offset: int, unit: str, skip: int = 0
    ) -> Iterator[Planes]:
        """Frames of one GOP from `skip` on; the DIGEST is checked after the last (spec 8.3)."""
        grids = decode_grids(self._sequence, network, gop, offset=offset, unit=unit)
        synthesizer = self._synthesizer(network)
        digest = GopDigest()
        for t in range(0 if self._verify else skip, gop.frame_count):
            (frame,) = synthesizer.synthesise(grids, gop.frame_count, range(t, t + 1))
            if self._verify:
                digest.update(frame)
            if t >= skip:
                yield frame
        if self._verify and digest.digest() != expected:
            message = f"the frames have digest {digest.digest().hex()}, the stream says {expected.hex()}"
            raise InvalidStreamError("E_DIGEST", message, offset=offset, unit=unit, section="8.3")


def open_video(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    engine: Engine = "auto",
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    verify: bool = True,
) -> Video:
    """Open a stream for decoding.

    Args:
        path: a file name, or a binary file object, which may be a pipe and is left open; a seekable one is read from
            its start.
        engine: ``auto``, ``reference`` or ``onnxruntime``.
        threads: threads of ONNX Runtime.
        limits: what this process is willing to spend.
        verify: check each GOP's DIGEST.

    Raises:
        InputError: E_NO_INPUT, there is no such file.
        InvalidStreamError, UnsupportedError, LimitError: the first unit is at fault.
        MissingExtraError: E_MISSING_EXTRA, the engine is not installed.
    """
    chosen = choose_engine(engine)
    if isinstance(path, str | os.PathLike):
        name = Path(path)
        if name.is_dir():
            raise InputError("E_NO_INPUT", f"{name} is a directory, not a stream")
        try:
            file: BinaryIO = name.open("rb")
        except OSError as error:
            raise InputError("E_NO_INPUT", f"cannot open {name}: {error.strerror}") from None
        owned = True
    else:
        file, owned = path, False
    try:
        return Video(file, owns_file=owned, engine=chosen, threads=threads, limits=limits, verify=verify)
    except BaseException:
        if owned:
            file.close()
        raise
