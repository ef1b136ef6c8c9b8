"""Writers of decoded frames: y4m, headerless YUV, a folder of PNGs, MP4 for viewing.

Each is a context manager that yields a function which takes the next frame. Output appears under its final name
when the context ends without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nvrc_decoder.errors import OutputError
from nvrc_decoder.picture.format import Colour, VideoFormat
from nvrc_decoder.picture.frame import Frame, to_bgr, to_grey
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.picture.presentation import Presentation, Timeline
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420
from nvrc_decoder.system.opencv import import_cv2
from nvrc_decoder.system.packages import is_found, load_package, remedy
from nvrc_output.colour import eight_bit_420, viewing_colour
from nvrc_output.files import atomic_directory, atomic_file, atomic_path, io_errors, is_special
from nvrc_output.presentation import not_written

__all__ = ["FrameWriter", "OutputKind", "contradiction", "guess_kind", "open_writer", "y4m_header"]

FrameWriter = Callable[[Planes], None]
_VIEWING_CRF = "16"
_RATE_DENOMINATOR_MAX = 1_000_000
_CHROMA_LOCATIONS = ("unspecified", "left", "center", "topleft")


class OutputKind(StrEnum):
    """What `decode` can write."""

    Y4M = "y4m"
    YUV = "yuv"
    PNG = "png"
    MP4 = "mp4"

    def refuse_pipe(self) -> str | None:
        """Why this cannot go to the standard output; None if it can."""
        if self in (OutputKind.Y4M, OutputKind.YUV):
            return None
        return f"{self} cannot go to the standard output; y4m and yuv can"


# What each kind carries besides samples; of mp4, without PyAV.
_CARRIES = {
    OutputKind.Y4M: frozenset({"aspect"}),
    OutputKind.YUV: frozenset(),
    OutputKind.PNG: frozenset(),
    OutputKind.MP4: frozenset(),
}


def guess_kind(target: str) -> OutputKind | None:
    """The kind that a target's name asks for: by suffix, a folder for PNG, y4m for ``-``; None if it says nothing."""
    if target == "-":
        return OutputKind.Y4M
    path = Path(target)
    suffix = path.suffix.lower().lstrip(".")
    if suffix in ("y4m", "yuv", "mp4") and not target.endswith("/"):
        return OutputKind(suffix)
    if path.is_dir() or target.endswith("/") or not suffix:
        # A device such as /dev/null has no suffix either, but it is no folder.
        return OutputKind.Y4M if path.exists() and not path.is_dir() else OutputKind.PNG
    return None


def contradiction(target: str, kind: OutputKind) -> str | None:
    """Why a file of this kind cannot have this name, which would mislead whatever opens it; None if it can."""
    suffix = Path(target).suffix.lower().lstrip(".")
    if suffix == kind.value or suffix not in list(OutputKind) or is_special(Path(target)):
        return None
    return f"--format {kind.value} contradicts the name {target}: leave out --format, or name another output"


def open_writer(
    target: str,
    kind: OutputKind,
    video: VideoFormat,
    note: Callable[[str], None],
    shown: Presentation | None = None,
) -> AbstractContextManager[FrameWriter]:
    """The writer of `kind` for `target`.

    Args:
        target: a file, a folder for PNGs, or ``-``.
        kind: what is written.
        video: format of the frames.
        note: takes a line that the user should see, such as what the output does not carry.
        shown: how the frames are to be shown; None for nothing special.

    Raises:
        OutputError: E_OUTPUT or E_IO, on entering, while writing or on leaving.
    """
    if target == "-" and (fault := kind.refuse_pipe()):
        raise OutputError("E_OUTPUT", fault)
    shown = Presentation(video.rate) if shown is None else shown
    with_pyav = kind is OutputKind.MP4 and is_found("av", "mp4")
    for line in not_written(str(kind), target, video, shown, _pyav_carries() if with_pyav else _CARRIES[kind]):
        note(f"note: {line}")
    if kind is OutputKind.Y4M:
        return _write_y4m(target, video, shown)
    if kind is OutputKind.YUV:
        return _write_yuv(target)
    if kind is OutputKind.PNG:
        return _write_png(Path(target), video)
    if with_pyav:
        return _write_mp4_with_pyav(Path(target), video, note, shown)
    note(f"note: PyAV is not installed ({remedy('av')}); OpenCV writes MPEG-4 part 2 instead of H.264")
    return _write_mp4_with_opencv(Path(target), video, note)


def y4m_header(video: VideoFormat, sample_aspect: Fraction | None = None) -> bytes:
    """The header line of a y4m file with this format; samples are square unless told otherwise."""
    position = {1: "mpeg2", 2: "jpeg", 3: "paldv"}.get(video.colour.sample_position, "")
    if video.chroma_format == CHROMA_400:
        space = "mono" if video.bit_depth == 8 else "mono10"
    elif video.chroma_format == CHROMA_420:
        space = f"420{position}" if video.bit_depth == 8 else "420p10 XYSCSS=420P10"
    else:
        space = "444" if video.bit_depth == 8 else "444p10 XYSCSS=444P10"
    colour_range = "FULL" if video.colour.full_range else "LIMITED"
    rate = f"{video.rate.numerator}:{video.rate.denominator}"
    aspect = "1:1" if sample_aspect is None else f"{sample_aspect.numerator}:{sample_aspect.denominator}"
    fields = f"W{video.width} H{video.height} F{rate} Ip A{aspect} C{space} XCOLORRANGE={colour_range}"
    return f"YUV4MPEG2 {fields}\n".encode("ascii")


@contextmanager
def _write_y4m(target: str, video: VideoFormat, shown: Presentation) -> Iterator[FrameWriter]:
    with atomic_file(target) as file:

        def write(frame: Planes) -> None:
            file.write(b"FRAME\n")
            file.writelines(frame.chunks())
            file.flush()  # whoever reads a pipe shall see the frame now

        with io_errors(target):
            file.write(y4m_header(video, shown.sample_aspect))
            file.flush()
        yield write


@contextmanager
def _write_yuv(target: str) -> Iterator[FrameWriter]:
    with atomic_file(target) as file:

        def write(frame: Planes) -> None:
            file.writelines(frame.chunks())
            file.flush()

        yield write


@contextmanager
def _write_png(target: Path, video: VideoFormat) -> Iterator[FrameWriter]:
    cv2 = import_cv2("PNG")

    if next(target.glob("frame_*.png"), None) is not None:
        raise OutputError("E_OUTPUT", f"the folder {target} already has frames, frame_*.png: name another one")
    with atomic_directory(target) as folder:
        count = 0

        def write(frame: Planes) -> None:
            nonlocal count
            bits = 8 if video.bit_depth == 8 else 16
            picture = to_grey(frame, video, bits) if frame.u is None else to_bgr(frame, video, bits)
            ok, data = cv2.imencode(".png", picture)
            if not ok:
                raise OutputError("E_IO", f"OpenCV could not write frame {count} as PNG")
            (folder / f"frame_{count:05d}.png").write_bytes(data.tobytes())
            count += 1

        yield write


def _tell_padding(video: VideoFormat, note: Callable[[str], None]) -> None:
    if video.width % 2 or video.height % 2:
        note("note: mp4 holds even sizes only: the last column or row of samples is repeated")


def _viewing_rate(rate: Fraction) -> Fraction:
    """`rate`, or one as good as the same whose numbers fit MP4."""
    return rate.limit_denominator(_RATE_DENOMINATOR_MAX) or rate


@contextmanager
def _ffmpeg_errors(av: Any, target: Path) -> Iterator[None]:
    """Turn what FFmpeg raises into E_IO."""
    try:
        yield
    except (av.error.FFmpegError, OverflowError) as error:
        message = f"FFmpeg cannot write {target}: {getattr(error, 'strerror', None) or error}; y4m holds every video"
        raise OutputError("E_IO", message) from error


def _pyav_carries() -> frozenset[str]:
    """What mp4 carries besides samples with the PyAV that is installed."""
    from av.video.stream import VideoStream

    turns = {"orientation"} if hasattr(VideoStream, "set_display_matrix") else set()
    return frozenset({"aspect", "hdr", "times", "colour"} | turns)


def _encoder_options(colour: Colour, shown: Presentation) -> dict[str, str]:
    """Private options of libx264."""
    options = {"crf": _VIEWING_CRF, "chroma_sample_location": _CHROMA_LOCATIONS[colour.sample_position]}
    parts = [] if shown.mastering is None else [f"mastering-display={shown.mastering.options()}"]
    parts += [] if shown.light is None else [f"cll={shown.light.text()}"]
    return {**options, "x264-params": ":".join(parts)} if parts else options


class _Clock:
    """Time stamps of frames in ticks from the first one that is written."""

    def __init__(self, timeline: Timeline) -> None:
        self.time_base = timeline.time_base
        self._timeline = timeline
        self._first: Fraction | None = None
        self._next = self._count = 0

    def of(self, frame: Planes) -> tuple[int, int]:
        """Time stamp and duration of the next frame."""
        number = frame.number if isinstance(frame, Frame) else self._count
        start, end = self._timeline.start(number), self._timeline.start(number + 1)
        if self._first is None:
            self._first = start
        stamp = max(round((start - self._first) / self.time_base), self._next)
        self._next, self._count = stamp + 1, self._count + 1
        return stamp, max(round((end - start) / self.time_base), 1)


@contextmanager
def _write_mp4_with_pyav(
    target: Path, video: VideoFormat, note: Callable[[str], None], shown: Presentation
) -> Iterator[FrameWriter]:
    av = load_package("av", "mp4")

    colour = viewing_colour(video)
    options = _encoder_options(colour, shown)
    clock = None if shown.timeline.constant else _Clock(shown.timeline)
    with (
        atomic_path(target) as temporary,
        _ffmpeg_errors(av, target),
        av.open(str(temporary), "w", format="mp4") as container,
    ):
        _tell_padding(video, note)
        stream: Any = container.add_stream("libx264", rate=_viewing_rate(video.rate), options=options)
        stream.width = video.width + video.width % 2
        stream.height = video.height + video.height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.color_range = 2 if colour.full_range else 1
        context.color_primaries = colour.primaries
        context.color_trc = colour.transfer
        context.colorspace = colour.matrix
        if shown.sample_aspect is not None:
            context.sample_aspect_ratio = stream.sample_aspect_ratio = shown.sample_aspect
        if shown.orientation is not None and "orientation" in _pyav_carries():
            a, b, c, d = (value << 16 for value in shown.orientation.matrix())
            stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        if clock is not None:
            context.time_base = stream.time_base = clock.time_base

        def write(frame: Planes) -> None:
            picture = av.VideoFrame.from_ndarray(eight_bit_420(frame, video), format="yuv420p")
            if clock is not None:
                picture.time_base = clock.time_base
                picture.pts, picture.duration = clock.of(frame)
            container.mux(stream.encode(picture))

        yield write
        container.mux(stream.encode(None))


@contextmanager
def _write_mp4_with_opencv(target: Path, video: VideoFormat, note: Callable[[str], None]) -> Iterator[FrameWriter]:
    cv2 = import_cv2("mp4 without PyAV")

    with atomic_path(target) as temporary:
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        size = (video.width + video.width % 2, video.height + video.height % 2)
        writer = cv2.VideoWriter(str(temporary), fourcc, float(video.rate), size)
        if not writer.isOpened():
            raise OutputError("E_IO", f"OpenCV cannot write {target}: install PyAV ({remedy('av')}) or write y4m")
        _tell_padding(video, note)

        def write(frame: Planes) -> None:
            picture = to_bgr(frame, video)
            writer.write(np.pad(picture, ((0, video.height % 2), (0, video.width % 2), (0, 0)), mode="edge"))

        try:
            yield write
        finally:
            writer.release()
