"""Opening a stream and reading its frames (spec chapter 8): the decoder's public interface.

GOP by GOP: parse, decode the grids, synthesise, check against the DIGEST (`decode.frames`). Memory does not grow with
the number of GOPs.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import BinaryIO, NoReturn, Self, SupportsIndex, cast, overload

from nvrc_decoder.bitstream.gops import GopRecord, Peekable, iterate_gops
from nvrc_decoder.bitstream.metadata import PresentationFinder
from nvrc_decoder.bitstream.pipe import PipeInput
from nvrc_decoder.bitstream.random_access import RandomAccess, read_index
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.salvage import Damage, SalvageReader, salvage_table
from nvrc_decoder.bitstream.units import NetworkHeader
from nvrc_decoder.decode.engines import EngineName, Engines
from nvrc_decoder.decode.frames import make_frames
from nvrc_decoder.decode.gop import Networks
from nvrc_decoder.decode.picker import Picker
from nvrc_decoder.decode.stages import Decoding, OnDamage, StageTimes
from nvrc_decoder.errors import (
    InputError,
    InvalidStreamError,
    LimitError,
    NvrcError,
    UnknownLengthError,
)
from nvrc_decoder.limits import Limits
from nvrc_decoder.picture.frame import Frame
from nvrc_decoder.picture.presentation import Presentation
from nvrc_decoder.synthesis.cuda.providers import ProviderName
from nvrc_decoder.system.out_of_memory import DECODE_ADVICE, memory_errors
from nvrc_decoder.system.packages import package_faults
from nvrc_decoder.video_info import VideoInfo, read_sequence, video_format

__all__ = ["Video", "VideoInfo", "video_format"]


class Video:
    """A stream that is being decoded; made by `nvrc_decoder.open`.

    Iteration yields frames in order, as `Frame`. The object has one iteration position, which `seek` moves.
    ``video[9]`` and ``video[-1]`` are single frames, ``video[4:9]`` is a list of them; that leaves the position of
    the iteration as it is. Use an object in one thread of one process, and open another for each other one.

    Attributes:
        info: what is known from the first unit.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        owns_file: bool,
        engines: Engines,
        limits: Limits,
        verify: bool,
        on_damage: OnDamage | None = None,
        times: StageTimes | None = None,
        lookahead: bool = True,
    ) -> None:
        self._file = file
        self._owns_file = owns_file
        self._limits = limits
        self._lookahead = lookahead
        self._table: RandomAccess | None = None
        self._process = os.getpid()
        self._closed = False
        self._seekable = hasattr(file, "seekable") and file.seekable()
        pipe = None if self._seekable else PipeInput(file)
        if self._seekable:
            file.seek(0)
        source = file if pipe is None else cast(BinaryIO, pipe)
        file_lock = threading.Lock()
        records: Iterator[GopRecord | Damage]
        if on_damage is None:
            units = iter(UnitReader(source, limits))
            sequence = read_sequence(units)
        else:
            reader = SalvageReader(source, limits)
            sequence = reader.sequence
        networks, times = Networks(sequence), times or StageTimes()
        self.info = VideoInfo(video_format(sequence), sequence.profile_spec.name, sequence.level)
        self._shown = PresentationFinder(self.info.format.rate, None if pipe else file, limits, file_lock)
        note = None if pipe is None else self._shown.note
        if on_damage is None:
            records = iterate_gops(units, on_network=_loader(networks, times), on_metadata=note)
        else:
            reader.note = note
            records = self._salvage(reader)
        self._piped = Peekable(records)
        self._decoding = Decoding(
            sequence,
            self.info.format,
            limits,
            verify or on_damage is not None,
            on_damage,
            times,
            networks,
            engines,
            self._shown,
            pipe,
            file_lock,
        )
        self._frames: Iterator[Frame] = make_frames(self._decoding, self._piped, 0, lookahead=lookahead)
        # The frame that iteration gives next; None at the end, after an error, and while it is being made.
        self._position: int | None = 0
        # Serves `video[i]`; while there is one, the iteration is closed and restarts at `_position`.
        self._picker: Picker | None = None

    @property
    def engine(self) -> EngineName:
        """What makes the frames."""
        return self._decoding.engines.engine

    @property
    def provider(self) -> ProviderName | None:
        """Where ONNX Runtime runs; None for the reference, and before the first frame where it is not chosen yet."""
        return self._decoding.engines.provider

    @property
    def frame_count(self) -> int | None:
        """Number of frames of the stream; None for a pipe.

        Raises:
            InvalidStreamError: the table of GOPs is broken.
            InputError: E_CLOSED, E_FORK.
        """
        self._check_usable()
        return self._random_access().frame_count if self._seekable else None

    @property
    def presentation(self) -> Presentation:
        """Pixel aspect, orientation, HDR metadata and time stamps; of a pipe, as far as it has been read.

        None of it has been applied to the frames. For a pipe, this waits for the first GOP.
        """
        self._check_process()
        if not self._seekable:
            self._piped.peek()
        return self._shown.found()

    def __len__(self) -> int:
        """Number of frames of the stream.

        Raises:
            UnknownLengthError: E_SEEK, the input is a pipe; or the code of what is wrong with the table of GOPs.
        """
        try:
            count = self.frame_count
        except NvrcError as error:
            raise UnknownLengthError(error.code, error.message, offset=error.offset, unit=error.unit) from error
        if count is None:
            raise UnknownLengthError("E_SEEK", "the input is a pipe: the number of its frames is not known")
        return count

    def __bool__(self) -> bool:
        return True

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Frame: ...

    @overload
    def __getitem__(self, index: slice, /) -> list[Frame]: ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> Frame | list[Frame]:
        """A frame by its number, from the end where that is negative; for a slice, a list.

        Reading frames in ascending order decodes no GOP twice.

        Raises:
            IndexError: there is no such frame.
            TypeError: `index` is neither an integer nor a slice.
            NvrcError: what is wrong with the GOP, whether or not there is `on_damage`; UnknownLengthError as `len`.
        """
        count = len(self)
        if isinstance(index, slice):
            numbers = range(count)[index]
            frames = {number: self._pick(number) for number in sorted(numbers)}
            return [frames[number] for number in numbers]
        number = operator.index(index)
        if not -count <= number < count:
            raise IndexError(f"there is no frame {number}: the stream has {count}")
        return self._pick(number % count)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Video cannot be pickled or copied: open one in each worker, from the file's name")

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
            NvrcError: what is wrong with the stream, raised in place of the frame; the iteration then ends. E_MEMORY,
                there is not enough memory; E_FORK, this process is not the one that opened the stream.
        """
        self._check_process()
        if self._picker is not None:
            self._go_on_at(self._position)
        position, self._position = self._position, None
        with memory_errors(DECODE_ADVICE), package_faults():
            frame = None if position is None else next(self._frames, None)
        if frame is None:
            raise StopIteration
        self._position = frame.number + 1
        return frame

    def close(self) -> None:
        """End the iteration, stop the decoder's thread, release its memory, close the file if `open` opened it.

        Where this process is a fork of the one that opened the stream, nothing is done.
        """
        self._closed = True
        if self._process != os.getpid():
            return
        self._position = None
        self._stop()
        self._decoding.engines.close()
        if self._owns_file:
            self._file.close()

    def seek(self, frame: int) -> None:
        """Resume the iteration at frame `frame`; only headers, the NETWORK and the GOPs from there on are read.

        With `verify`, the earlier frames of its GOP are made too, because the DIGEST covers them.

        Args:
            frame: 0 .. frame_count; frame_count is the end.

        Raises:
            InputError: E_SEEK, the input is a pipe, or the stream has no such frame.
                E_CLOSED, the video is closed. E_FORK, this process is not the one that opened the stream.
            InvalidStreamError: the table of GOPs is broken.
            TypeError: `frame` is no integer.
        """
        self._check_usable()
        frame = operator.index(frame)
        if not self._seekable:
            raise InputError("E_SEEK", "the input is a pipe: its frames can only be read in order")
        table = self._random_access()
        if not 0 <= frame <= table.frame_count:
            raise InputError("E_SEEK", f"there is no frame {frame}: the stream has {table.frame_count}")
        self._go_on_at(frame)

    def _check_process(self) -> None:
        """A forked process does not inherit threads, and a lock that one of them held is never released there.

        Raises:
            InputError: E_FORK.
        """
        if self._process != os.getpid():
            message = "this Video was opened before the process forked, and its threads are not here"
            raise InputError("E_FORK", f"{message}: open one in each worker")

    def _check_usable(self) -> None:
        self._check_process()
        if self._closed:
            raise InputError("E_CLOSED", "the video is closed: open it again")

    def _go_on_at(self, frame: int | None) -> None:
        """Restart the iteration at `frame`; None ends it."""
        self._stop()
        self._position = frame
        if frame is None:
            return
        table = self._random_access()
        first = table.gop_of_frame(frame) if frame < table.frame_count else table.gop_count
        strict = self._decoding.on_damage is None
        records: Iterator[GopRecord | Damage] = table.gops(first) if strict else salvage_table(table, first)
        self._frames = make_frames(self._decoding, records, frame, lookahead=self._lookahead)

    def _pick(self, number: int) -> Frame:
        if self._picker is None:
            self._stop()
            self._picker = Picker(self._decoding, self._random_access())
        with memory_errors(DECODE_ADVICE), package_faults():
            return self._picker.frame(number)

    def _stop(self) -> None:
        """Close the iteration or the picker, and stop the prefetching thread."""
        frames, self._frames = self._frames, iter(())
        if isinstance(frames, Generator):
            frames.close()
        if self._picker is not None:
            self._picker.close()
            self._picker = None

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
        """All that can be decoded: by INDEX where it is intact, since it leads past any damage."""
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


def _loader(networks: Networks, times: StageTimes) -> Callable[[NetworkHeader, int, str], None]:
    """Loads a NETWORK when it is read, though no GOP may follow. No reference to the video: the thread keeps this."""

    def load(header: NetworkHeader, offset: int, unit: str) -> None:
        with times.clock("network"):
            networks.load(header, offset, unit)

    return load
