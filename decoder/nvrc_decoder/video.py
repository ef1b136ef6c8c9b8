"""Opening a stream and reading its frames (spec chapter 8): the decoder's public interface.

GOP by GOP: parse, decode the grids, synthesise, hold against the DIGEST. Memory does not grow with the number of
GOPs; the next GOP's symbols are decoded while this one's frames are made (`pipeline`).
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from nvrc_decoder.bitstream.metadata import scan_presentation
from nvrc_decoder.bitstream.random_access import GopRecord, RandomAccess, read_index
from nvrc_decoder.bitstream.reader import Unit, UnitReader
from nvrc_decoder.bitstream.salvage import Damage, SalvageReader, salvage_table
from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.display import Frame
from nvrc_decoder.engine import Engine, EngineName, Synthesizers, choose_engine, choose_gpu
from nvrc_decoder.errors import InputError, InternalError, InvalidStreamError, LimitError
from nvrc_decoder.gop_source import Networks, Peekable, read_forward, read_table
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.pipe_input import PipeInput
from nvrc_decoder.pipeline import make_frames
from nvrc_decoder.presentation import Presentation
from nvrc_decoder.symbols import Decoding, OnDamage, StageTimes
from nvrc_decoder.synthesis.device import GpuState
from nvrc_decoder.synthesis.providers import Provider, ProviderName
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

    Iteration yields frames in order, as `Frame`. One iteration position belongs to the object: `seek` moves it. An
    object belongs to one thread; several threads may have one each.

    Attributes:
        info: what is known from the first unit.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        owns_file: bool,
        engine: EngineName,
        gpu: GpuState,
        threads: int | None,
        limits: Limits,
        verify: bool,
        on_damage: OnDamage | None = None,
        times: StageTimes | None = None,
        lookahead: bool = True,
    ) -> None:
        self._file = file
        self._owns_file = owns_file
        self._engine: EngineName = engine
        self._limits = limits
        self._lookahead = lookahead
        self._table: RandomAccess | None = None
        self._seekable = file.seekable()
        pipe = None if self._seekable else PipeInput(file)
        if self._seekable:
            file.seek(0)
        source = file if pipe is None else cast(BinaryIO, pipe)
        records: Iterator[GopRecord | Damage]
        if on_damage is None:
            units = iter(UnitReader(source, limits))
            sequence = _read_sequence(units)
            networks = Networks(sequence)
            records = read_forward(units, networks.load, None if pipe is None else self._note)
        else:
            reader = SalvageReader(source, limits)
            sequence = reader.sequence
            networks = Networks(sequence)
            reader.note = None if pipe is None else self._note
            records = self._salvage(reader)
        self.info = VideoInfo(video_format(sequence), sequence.profile_spec.name, sequence.level)
        self._shown: Presentation | None = None if self._seekable else Presentation(self.info.format.rate)
        self._piped = Peekable(records)
        self._decoding = Decoding(
            sequence,
            self.info.format,
            limits,
            verify or on_damage is not None,
            on_damage,
            times or StageTimes(),
            networks,
            Synthesizers(engine, sequence, threads, limits, gpu),
            pipe,
        )
        self._frames: Iterator[Frame] = make_frames(self._decoding, self._piped, 0, lookahead=lookahead)

    @property
    def engine(self) -> EngineName:
        """What makes the frames."""
        return self._engine

    @property
    def provider(self) -> ProviderName | None:
        """Where ONNX Runtime runs; None for the reference, and before the first frame where that was left open."""
        return self._decoding.synthesizers.provider

    @property
    def frame_count(self) -> int | None:
        """Number of frames of the stream; None for a pipe.

        Raises:
            InvalidStreamError: the table of GOPs is broken.
        """
        return self._random_access().frame_count if self._seekable else None

    @property
    def presentation(self) -> Presentation:
        """Pixel aspect, orientation, HDR metadata and time stamps; of a pipe, as far as it has been read.

        Nothing of it has been done to the frames. Of a pipe, the first GOP is waited for.
        """
        if not self._seekable:
            self._piped.peek()
        elif self._shown is None:
            shown = Presentation(self.info.format.rate)
            with self._decoding.file_lock:
                here = self._file.tell()
                try:
                    scan_presentation(self._file, shown, self._limits)
                finally:
                    self._file.seek(here)
            self._shown = shown
        if self._shown is None:
            raise InternalError("E_INTERNAL", "a pipe has no presentation")
        return self._shown

    def _note(self, key: str, value: bytes, first_frame: int) -> None:
        """Take note of a METADATA of a pipe."""
        if self._shown is not None:
            self._shown.add(key, value, first_frame)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        """The next frame.

        Raises:
            NvrcError: what is wrong with the stream, when its turn comes; the iteration has then ended.
        """
        return next(self._frames)

    def close(self) -> None:
        """End the iteration, stop the decoder's thread, give back its memory, close the file if `open` opened it."""
        self._stop()
        self._decoding.synthesizers.close()
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
        if not self._seekable:
            raise InputError("E_SEEK", "the input is a pipe: its frames can only be read in order")
        table = self._random_access()
        if not 0 <= frame <= table.frame_count:
            raise InputError("E_SEEK", f"there is no frame {frame}: the stream has {table.frame_count}")
        self._stop()
        first = table.gop_of_frame(frame) if frame < table.frame_count else table.gop_count
        strict = self._decoding.on_damage is None
        records: Iterator[GopRecord | Damage] = read_table(table, first) if strict else salvage_table(table, first)
        self._frames = make_frames(self._decoding, records, frame, lookahead=self._lookahead)

    def _stop(self) -> None:
        """End the iteration and the thread that works for it."""
        frames, self._frames = self._frames, iter(())
        if isinstance(frames, Generator):
            frames.close()

    def _random_access(self) -> RandomAccess:
        """The table of GOPs; the file's position stays where it was."""
        if self._table is None:
            with self._decoding.file_lock:
                here = self._file.tell()
                try:
                    salvage = self._decoding.on_damage is not None
                    self._table = RandomAccess(self._file, self._limits, salvage=salvage)
                finally:
                    self._file.seek(here)
        return self._table

    def _salvage(self, reader: SalvageReader) -> Iterator[GopRecord | Damage]:
        """All that can be decoded: by INDEX where there is a good one, since it leads across any damage."""
        if self._seekable:
            here = self._file.tell()
            try:
                if read_index(self._file, self._limits) is not None:
                    self._table = RandomAccess(self._file, self._limits)
                    return salvage_table(self._table)
            except (InvalidStreamError, LimitError):
                pass
            self._file.seek(here)
        return iter(reader)


def _read_sequence(units: Iterator[Unit]) -> SequenceHeader:
    first = next(units)
    if not isinstance(first.content, SequenceHeader):
        raise InternalError("E_INTERNAL", "the reader let a stream begin with another unit than SEQUENCE")
    return first.content


def open_video(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    engine: Engine = "auto",
    provider: Provider = "auto",
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    verify: bool = True,
    on_damage: OnDamage | None = None,
    times: StageTimes | None = None,
    lookahead: bool = True,
) -> Video:
    """Open a stream for decoding.

    Args:
        path: a file name, or a binary file object, which may be a pipe and is left open; a seekable one is read from
            its start, and nobody else may move its position.
        engine: ``auto``, ``reference`` or ``onnxruntime``.
        provider: where ONNX Runtime runs: ``cuda``, ``cpu``, or ``auto``, CUDA where it can be used.
        threads: threads of ONNX Runtime and of motion on the CPU; None: about one for each core. Several make several
            frames at a time, if `limits` leave room for that.
        limits: what this process is willing to spend.
        verify: check each GOP's DIGEST before its first frame is given out. Without it frames come one by one, a GOP
            of frames earlier, and nothing tells a wrong one.
        on_damage: go on behind what cannot be decoded, and call this with each `Damage`, in order; the frames of lost
            GOPs are left out (`Frame.number` tells). Digests are then checked in any case. Without it the first
            damage is an error.
        times: clocks to add this decoding to.
        lookahead: decode the symbols of the next GOP in a thread while the frames of this one are made.

    Raises:
        InputError: E_NO_INPUT, there is no such file.
        InvalidStreamError, UnsupportedError, LimitError: the first unit is at fault.
        MissingExtraError: E_MISSING_EXTRA, the engine is not installed, or CUDA was asked for and cannot be used.
    """
    chosen = choose_engine(engine)
    gpu = choose_gpu(chosen, provider)
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
        return Video(
            file,
            owns_file=owned,
            engine=chosen,
            gpu=gpu,
            threads=threads,
            limits=limits,
            verify=verify,
            on_damage=on_damage,
            times=times,
            lookahead=lookahead,
        )
    except BaseException:
        if owned:
            file.close()
        raise
