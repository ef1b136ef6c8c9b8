"""The writer of MP4 files, a lossy copy for viewing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nvrc_decoder.errors import OutputError
from nvrc_decoder.picture.format import Colour, VideoFormat
from nvrc_decoder.picture.frame import Frame, to_bgr
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.picture.presentation import Presentation, Timeline
from nvrc_decoder.system.opencv import import_cv2
from nvrc_decoder.system.packages import is_found, load_package, remedy
from nvrc_output.files import atomic_path
from nvrc_output.viewing import eight_bit_420, viewing_colour

__all__ = ["mp4_carries", "write_mp4"]

_FrameWriter = Callable[[Planes], None]
_VIEWING_CRF = "16"
_RATE_DENOMINATOR_MAX = 1_000_000
_CHROMA_LOCATIONS = ("unspecified", "left", "center", "topleft")


def write_mp4(
    target: Path, video: VideoFormat, note: Callable[[str], None], shown: Presentation
) -> AbstractContextManager[_FrameWriter]:
    """The writer of an MP4 file: H.264 through PyAV, or MPEG-4 part 2 through OpenCV where PyAV is not installed.

    Args:
        target: the file.
        video: format of the frames.
        note: takes a line that the user should see.
        shown: how the frames are to be shown; OpenCV writes nothing of it.

    Raises:
        OutputError: E_OUTPUT or E_IO, on entering, while writing or on leaving.
        MissingExtraError: E_MISSING_EXTRA, on entering, OpenCV is not installed either.
    """
    if is_found("av", "mp4"):
        return _write_with_pyav(target, video, note, shown)
    note(f"note: PyAV is not installed ({remedy('av')}); OpenCV writes MPEG-4 part 2 instead of H.264")
    return _write_with_opencv(target, video, note)


def _tell_padding(video: VideoFormat, note: Callable[[str], None]) -> None:
    if video.width % 2 or video.height % 2:
        note("note: mp4 holds even sizes only: the last column or row of samples is repeated")


def _viewing_rate(rate: Fraction) -> Fraction:
    """`rate`, or the nearest rate whose numbers fit MP4."""
    return rate.limit_denominator(_RATE_DENOMINATOR_MAX) or rate


@contextmanager
def _ffmpeg_errors(av: Any, target: Path) -> Iterator[None]:
    """Turn what FFmpeg raises into E_IO."""
    try:
        yield
    except (av.error.FFmpegError, OverflowError) as error:
        message = f"FFmpeg cannot write {target}: {getattr(error, 'strerror', None) or error}; y4m holds every video"
        raise OutputError("E_IO", message) from error


def mp4_carries() -> frozenset[str]:
    """What mp4 carries besides samples, with the packages that are installed; nothing without PyAV."""
    if not is_found("av", "mp4"):
        return frozenset()
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
    """Time stamps of frames, in ticks since the first written frame."""

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
def _write_with_pyav(
    target: Path, video: VideoFormat, note: Callable[[str], None], shown: Presentation
) -> Iterator[_FrameWriter]:
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
        if shown.orientation is not None and "orientation" in mp4_carries():
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
def _write_with_opencv(target: Path, video: VideoFormat, note: Callable[[str], None]) -> Iterator[_FrameWriter]:
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
