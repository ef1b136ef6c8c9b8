"""The same clip in an ordinary codec, decoded through PyAV."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvrc_bench.decode.stopwatch import Span, timed
from nvrc_decoder.errors import InputError, NvrcError, UnsupportedError
from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.system.packages import load_package
from nvrc_output.viewing import eight_bit_420

__all__ = ["ReferenceVideo", "encode_x265", "open_reference"]


@dataclass(frozen=True)
class ReferenceVideo:
    """A file that PyAV decodes.

    Attributes:
        path: the file.
        codec: its codec's name.
        frames: its number of frames.
        bytes: its size.
        threads: threads of the decoder; None leaves them to FFmpeg.
    """

    path: Path
    codec: str
    frames: int
    bytes: int
    threads: int | None

    def time(self) -> Span:
        """The time to open the file and decode all of it; the frames stay in FFmpeg's memory."""
        span, _ = timed(lambda: _decode(self.path, self.threads))
        return span


_X265_LEAST = 64, 32
"""(width, height). With smaller pictures (40x24, 48x32, 48x48) libx265 corrupts memory, which ends the process."""


def _av() -> Any:
    return load_package("av", "decoding another codec")


def _decode(path: Path, threads: int | None) -> tuple[str, int]:
    """Name of the codec and number of frames."""
    with _av().open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads or 0
        return stream.codec_context.name, sum(1 for _ in container.decode(stream))


def open_reference(path: Path, threads: int | None) -> ReferenceVideo:
    """Open a file, and count its frames.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, PyAV is not installed.
        InputError: E_SOURCE, there is no such file, or it cannot be decoded.
    """
    av = _av()
    try:
        size = path.stat().st_size
        codec, frames = _decode(path, threads)
    except (OSError, IndexError, av.error.FFmpegError) as error:
        raise InputError("E_SOURCE", f"{path} cannot be decoded: {error}") from error
    if not frames:
        raise InputError("E_SOURCE", f"{path} has no frames")
    return ReferenceVideo(path, codec, frames, size, threads)


def encode_x265(
    frames: Iterable[Planes], video: VideoFormat, bits_per_second: float, path: Path, threads: int | None
) -> ReferenceVideo:
    """Encode frames with libx265 (preset medium) at about a rate, as 8 bits, 4:2:0, even sizes.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, PyAV is not installed.
        UnsupportedError: E_UNSUPPORTED, its FFmpeg has no libx265, the pictures are too small, or it refuses them.
    """
    av = _av()
    if video.width < _X265_LEAST[0] or video.height < _X265_LEAST[1]:
        least = "x".join(map(str, _X265_LEAST))
        raise UnsupportedError("E_UNSUPPORTED", f"libx265 cannot be trusted with pictures smaller than {least}")
    try:
        with av.open(str(path), "w", format="mp4") as container:
            quiet = {"preset": "medium", "x265-params": "log-level=none"}
            stream: Any = container.add_stream("libx265", rate=video.rate, options=quiet)
            stream.width, stream.height = video.width + video.width % 2, video.height + video.height % 2
            stream.pix_fmt = "yuv420p"
            stream.bit_rate = max(int(bits_per_second), 1000)
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(eight_bit_420(frame, video), format="yuv420p")
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    except NvrcError:
        raise
    except (ValueError, av.error.FFmpegError) as error:
        raise UnsupportedError("E_UNSUPPORTED", f"libx265 did not encode the frames: {error}") from error
    return open_reference(path, threads)
