"""PNGs as a video: a folder of them, names numbered like ``%04d.png``, or a single one.

RGB becomes YCbCr, 4:4:4 unless 4:2:0 is asked for, and grey 4:0:0; 8 bits, or 10 where the PNGs have 16. Unless told
otherwise the matrix is BT.709, primaries BT.709, transfer sRGB, in full range; the stream says so. Needs OpenCV only.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.errors import InputError, InvalidStreamError, UnsupportedError
from nvrc_decoder.picture.format import Colour, VideoFormat
from nvrc_decoder.picture.frame import luma_weights
from nvrc_decoder.picture.planes import Plane, Planes
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444
from nvrc_decoder.system.opencv import import_cv2
from nvrc_encoder.source.y4m import check_frame_size

__all__ = ["PNG_COLOUR", "PNG_RATE", "is_png_input", "open_png"]

PNG_COLOUR = Colour(primaries=1, transfer=13, matrix=1, full_range=True)
"""Default colour of PNGs: BT.709 with the transfer curve of sRGB."""
PNG_RATE = Fraction(25)
_NUMBERED = re.compile(r"%(0?)([0-9]{0,2})d")
_MAGIC = b"\x89PNG\r\n\x1a\n"
_IDENTITY = 0
_MATRICES = frozenset({_IDENTITY, 1, 2, 4, 5, 6, 7, 9})
_CENTRE = 2
_BGR, _BGRA = 3, 4


def is_png_input(name: str) -> bool:
    """Whether a name stands for PNGs: a folder, a numbered name such as ``%04d.png``, or one PNG."""
    path = Path(name)
    if path.exists():
        return path.is_dir() or path.suffix.lower() == ".png"
    return path.suffix.lower() == ".png" and _NUMBERED.search(path.name) is not None


def open_png(
    name: str, chroma_format: int | None = None, recolour: Callable[[Colour], Colour] | None = None
) -> tuple[VideoFormat, int, Callable[[], Iterator[Planes]]]:
    """Open PNGs as a video of 25 frames a second.

    Args:
        name: a name for which `is_png_input` holds.
        chroma_format: `CHROMA_444` or `CHROMA_420` for RGB; None for the former.
        recolour: makes from `PNG_COLOUR` the colour description that RGB is converted to.

    Returns:
        Its format, its number of frames, and a function that starts reading frames.

    Raises:
        InputError: E_NO_INPUT, there are no PNGs; E_SOURCE, one is missing between others.
        InvalidStreamError: E_SOURCE, the first is not a sound PNG.
        UnsupportedError: E_PIXEL_FORMAT, it is transparent, or the matrix or chroma format does not suit RGB.
        MissingExtraError: E_MISSING_EXTRA, OpenCV is not installed.
    """
    files = _files(name)
    first = _read(files[0])
    grey = first.ndim == 2
    if chroma_format == CHROMA_400 and not grey:
        raise UnsupportedError("E_PIXEL_FORMAT", f"{files[0]} is in colour: take 444 or 420 as its chroma format")
    chroma = CHROMA_400 if grey else chroma_format or CHROMA_444
    colour = PNG_COLOUR if recolour is None else recolour(PNG_COLOUR)
    if colour.matrix not in _MATRICES or (colour.matrix == _IDENTITY and chroma == CHROMA_420):
        raise UnsupportedError(
            "E_PIXEL_FORMAT", f"PNGs are not converted with matrix {colour.matrix}: 1 (BT.709), 6 (BT.601) and 9 can be"
        )
    if chroma == CHROMA_420:
        colour = Colour(colour.primaries, colour.transfer, colour.matrix, colour.full_range, _CENTRE)
    depth = 8 if first.dtype == np.uint8 else 10
    picture = VideoFormat(first.shape[1], first.shape[0], PNG_RATE, chroma, depth, colour)

    def frames() -> Iterator[Planes]:
        for number, file in enumerate(files):
            pixels = first if number == 0 else _read(file)
            if pixels.dtype != first.dtype or pixels.shape[:2] != first.shape[:2] or (grey and pixels.ndim != 2):
                raise UnsupportedError(
                    "E_PIXEL_FORMAT", f"{file} is {_kind(pixels)}, {files[0]} is {_kind(first)}: make them the same"
                )
            # Some programs save a frame without colour as grey.
            yield _planes(pixels if grey or pixels.ndim == _BGR else np.stack([pixels] * 3, axis=-1), picture)

    return picture, len(files), frames


def _kind(pixels: npt.NDArray[Any]) -> str:
    colour = "grey" if pixels.ndim == 2 else "RGB"
    return f"{pixels.shape[1]}x{pixels.shape[0]} {colour} of {8 * pixels.dtype.itemsize} bits"


def _files(name: str) -> list[Path]:
    """The PNGs in order of their names, with numbers in names by value."""
    path = Path(name)
    if path.is_dir():
        found = [file for file in path.iterdir() if file.suffix.lower() == ".png" and not file.name.startswith(".")]
        if not found:
            raise InputError("E_NO_INPUT", f"{name} is a folder without PNGs")
        return sorted(found, key=_natural)
    if path.exists():
        return [path]
    place = _NUMBERED.search(path.name)
    if place is None or not path.parent.is_dir():
        raise InputError("E_NO_INPUT", f"no such file: {name}")
    before, after = path.name[: place.start()], path.name[place.end() :]
    pattern = re.compile(re.escape(before) + r"([0-9]{1,12})" + re.escape(after))
    # For %04d, number 7 is 0007; 007 does not belong to the sequence.
    width = int(place[2] or 0) if place[1] else 0
    numbers = {}
    for file in path.parent.iterdir():
        match = pattern.fullmatch(file.name)
        if match is not None and match[1] == f"{int(match[1]):0{width}}":
            numbers[int(match[1])] = file
    if not numbers:
        raise InputError("E_NO_INPUT", f"no such files: {name}")
    missing = next((n for n in range(min(numbers), max(numbers)) if n not in numbers), None)
    if missing is not None:
        gap = f"{before}{missing:0{width}}{after}"
        raise InputError(
            "E_SOURCE", f"{path.parent / gap} is missing: number the PNGs without gaps, or name the folder"
        )
    return [numbers[n] for n in sorted(numbers)]


def _natural(file: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"([0-9]+)", file.name)
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]


def _read(file: Path) -> npt.NDArray[Any]:
    """Samples of a PNG: [H, W] grey or [H, W, 3] in the order blue, green, red; uint8 or uint16.

    The whole file is checked first, as OpenCV decodes the sound part of a broken one.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError("E_NO_INPUT", f"cannot read {file}: {error.strerror or error}") from None
    _check(data, file)
    cv2 = import_cv2("reading PNGs")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise InvalidStreamError("E_SOURCE", f"{file} is not a PNG that OpenCV can read")
    if pixels.ndim == _BGR and pixels.shape[2] == _BGRA:
        if pixels[..., 3].min() < np.iinfo(pixels.dtype).max:
            raise UnsupportedError("E_PIXEL_FORMAT", f"{file} is transparent: lay it on a background first")
        pixels = pixels[..., :3]
    return np.asarray(pixels)


def _check(data: bytes, file: Path) -> None:
    """Refuse data that is not a whole PNG, or of a size that no frame can have."""

    def broken(why: str) -> InvalidStreamError:
        return InvalidStreamError("E_SOURCE", f"{file} is not a sound PNG: {why}")

    if data[: len(_MAGIC)] != _MAGIC:
        raise broken("it does not begin as one")
    at, kind = len(_MAGIC), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise broken("it is cut off")
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            raise broken("it is cut off")
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise broken(f"chunk {kind.decode('ascii', 'replace')} is damaged")
        if at == len(_MAGIC):
            if kind != b"IHDR" or length != 13:
                raise broken("it has no header")
            width, height = struct.unpack(">II", data[at + 8 : at + 16])
            if not (1 <= width <= 65535 and 1 <= height <= 65535):
                raise broken(f"its size is {width}x{height}")
            check_frame_size(VideoFormat(width, height, PNG_RATE, CHROMA_444, 10))
        at = end


@dataclass(frozen=True)
class _Scale:
    """Conversion of values in 0..1, or of chroma in -0.5..0.5, to samples."""

    offset: float
    factor: float
    peak: int

    def samples(self, values: npt.NDArray[np.float64]) -> Plane:
        rounded = np.clip(np.rint(self.offset + self.factor * values), 0, self.peak)
        return rounded.astype(np.uint8) if self.peak < 256 else rounded.astype(np.uint16)


def _scale(picture: VideoFormat, is_chroma: bool) -> _Scale:
    unit, peak = 1 << (picture.bit_depth - 8), (1 << picture.bit_depth) - 1
    full = picture.colour.full_range
    offset = 128 if is_chroma else 0 if full else 16
    return _Scale(offset * unit, peak if full else (224 if is_chroma else 219) * unit, peak)


def _planes(pixels: npt.NDArray[Any], picture: VideoFormat) -> Planes:
    """The planes of a frame, computed in float64 and rounded once."""
    values = pixels.astype(np.float64) / np.iinfo(pixels.dtype).max
    luma, chroma = _scale(picture, False), _scale(picture, True)
    if values.ndim == 2:
        return Planes(luma.samples(values))
    blue, green, red = values[..., 0], values[..., 1], values[..., 2]
    if picture.colour.matrix == _IDENTITY:
        return Planes(*(luma.samples(plane) for plane in (green, blue, red)))
    of_red, of_blue = luma_weights(picture)
    y = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    both = (blue - y) / (2 * (1 - of_blue)), (red - y) / (2 * (1 - of_red))
    if picture.chroma_format == CHROMA_420:
        both = _halved(both[0]), _halved(both[1])
    return Planes(luma.samples(y), *(chroma.samples(plane) for plane in both))


def _halved(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Means of 2x2 samples, edges repeated."""
    even = np.pad(plane, [(0, side % 2) for side in plane.shape], mode="edge")
    return (even[0::2, 0::2] + even[0::2, 1::2] + even[1::2, 0::2] + even[1::2, 1::2]) / 4
