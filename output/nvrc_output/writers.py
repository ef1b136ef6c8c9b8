"""Writers of decoded frames: y4m, headerless YUV, a folder of PNGs, MP4.

Each is a context manager that yields a function, which takes the next frame. Output appears under its final name
when the context ends without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from nvrc_decoder.errors import OutputError
from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.frame import to_bgr, to_grey
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.picture.presentation import Presentation
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420
from nvrc_decoder.system.opencv import import_cv2
from nvrc_output.files import atomic_directory, atomic_file, io_errors, is_special
from nvrc_output.metadata_notes import not_written
from nvrc_output.mp4 import mp4_carries, write_mp4

__all__ = ["FrameWriter", "OutputKind", "contradiction", "guess_kind", "open_writer", "y4m_header"]

FrameWriter = Callable[[Planes], None]


class OutputKind(StrEnum):
    """The formats that `decode` writes."""

    Y4M = "y4m"
    YUV = "yuv"
    PNG = "png"
    MP4 = "mp4"

    def refuse_pipe(self) -> str | None:
        """Why this format cannot go to the standard output; None if it can."""
        if self in (OutputKind.Y4M, OutputKind.YUV):
            return None
        return f"{self} cannot go to the standard output; y4m and yuv can"


def _carries(kind: OutputKind) -> frozenset[str]:
    """What a kind carries besides samples: names that `not_written` knows."""
    if kind is OutputKind.MP4:
        return mp4_carries()
    return frozenset({"aspect"}) if kind is OutputKind.Y4M else frozenset()


def guess_kind(target: str) -> OutputKind | None:
    """The kind for a target's name: by its suffix, PNG for a folder, y4m for ``-``; None if the name does not tell."""
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
    """Why a file of this kind cannot have this name, whose suffix says another kind; None if it can."""
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
        kind: the kind of output.
        video: format of the frames.
        note: takes a line that the user should see, such as what the output does not carry.
        shown: how the frames are to be shown; None for nothing special.

    Raises:
        OutputError: E_OUTPUT or E_IO, on entering, while writing or on leaving.
    """
    if target == "-" and (fault := kind.refuse_pipe()):
        raise OutputError("E_OUTPUT", fault)
    shown = Presentation(video.rate) if shown is None else shown
    for line in not_written(str(kind), target, video, shown, _carries(kind)):
        note(f"note: {line}")
    if kind is OutputKind.Y4M:
        return _write_y4m(target, video, shown)
    if kind is OutputKind.YUV:
        return _write_yuv(target)
    if kind is OutputKind.PNG:
        return _write_png(Path(target), video)
    return write_mp4(Path(target), video, note, shown)


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
            file.flush()  # the reader of a pipe gets each frame at once

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
