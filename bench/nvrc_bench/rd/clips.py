"""Clips of a run: cut and scaled once and kept as y4m, so that every codec gets the same samples."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nvrc_bench.rd.config import ClipSpec
from nvrc_bench.rd.process import Runner
from nvrc_decoder.errors import InputError
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import CHROMA_420
from nvrc_encoder.source.input_video import CHROMA
from nvrc_encoder.source.video import RawFormat, Source, open_source
from nvrc_output.files import atomic_file, atomic_path
from nvrc_output.writers import OutputKind, open_writer, y4m_header

__all__ = ["Clip", "clip_name", "prepare", "raw_format"]

_RAW_SUFFIXES = (".yuv", ".raw", ".i420")
# Beauty_1920x1080_120fps_420_8bit_YUV.yuv (UVG), BasketballDrive_1920x1080_50.yuv (JCT-VC)
_NAMED = re.compile(
    r"(?P<title>.+?)_(?P<width>[0-9]{1,5})x(?P<height>[0-9]{1,5})_(?P<rate>[0-9]{1,3})(fps)?"
    r"(_(?P<chroma>420|444))?(_(?P<bits>8|10)bit)?(_YUV)?(_RAW)?$",
    re.IGNORECASE,
)
_MAKING = 2
"""Version of the preparation, incremented when the same file and options would give a different clip."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True)
class Clip:
    """A clip that is ready to encode.

    Attributes:
        name: its name in tables and file names.
        path: its y4m file.
        width, height, frames, bit_depth, chroma_format: its format.
        rate: frames a second.
        md5: MD5 of all frames' planes.
        made: its source and how it was cut, for the results.
    """

    name: str
    path: Path
    width: int
    height: int
    frames: int
    bit_depth: int
    chroma_format: int
    rate: Fraction
    md5: str
    made: str

    @property
    def pixels(self) -> int:
        """Luma samples of all frames."""
        return self.width * self.height * self.frames

    def open(self) -> Iterator[Planes]:
        """The frames."""
        return iter(open_source(self.path))

    def document(self) -> dict[str, Any]:
        """The clip for the results."""
        values = dataclasses.asdict(self)
        del values["path"]
        return {**values, "rate": str(self.rate)}


def raw_format(spec: ClipSpec) -> RawFormat | None:
    """The format of headerless YUV, from the spec or from its file name; None for a file of another kind.

    Raises:
        InputError: E_SOURCE, neither has the size.
    """
    path = Path(spec.path)
    if spec.size is not None:
        width, height = (int(side) for side in spec.size.split("x"))
        return RawFormat(width, height, Fraction(spec.rate or 25), CHROMA[spec.chroma], spec.bit_depth)
    if path.suffix.lower() not in _RAW_SUFFIXES:
        return None
    match = _NAMED.fullmatch(path.stem)
    if match is None:
        raise InputError("E_SOURCE", f"{path.name} is headerless YUV and its name does not state its size: set `size`")
    return RawFormat(
        int(match["width"]),
        int(match["height"]),
        Fraction(spec.rate or match["rate"]),
        CHROMA[match["chroma"] or spec.chroma],
        int(match["bits"] or spec.bit_depth),
    )


def clip_name(spec: ClipSpec) -> str:
    """The clip's name: as given, or its file's title with size and frames if it is cut."""
    if spec.name:
        return _UNSAFE.sub("-", spec.name)
    stem = Path(spec.path).stem
    match = _NAMED.fullmatch(stem)
    parts = [match["title"] if match else stem]
    if spec.scale or spec.crop:
        parts.append((spec.scale or spec.crop or "").replace("+", "-"))
    if spec.frames is not None:
        parts.append(f"{spec.frames}f")
    return _UNSAFE.sub("-", "_".join(parts))


def _filters(spec: ClipSpec) -> str:
    """FFmpeg's filters for a scaled clip; empty for others, which need no FFmpeg."""
    if spec.scale is None:
        return ""
    filters = []
    if spec.crop is not None:
        filters.append("crop=" + re.sub("[x+]", ":", spec.crop))
    filters.append(f"scale={spec.scale.replace('x', ':')}:flags={spec.filter}")
    return ",".join(filters)


def prepare(spec: ClipSpec, folder: Path, runner: Runner, ffmpeg: str) -> Clip:
    """Write the clip's y4m file to `folder`, or reuse the one that is there.

    Args:
        spec: the clip.
        folder: folder of the prepared clips.
        runner: runs FFmpeg.
        ffmpeg: the program.

    Raises:
        NvrcError: the clip cannot be read, or has too few frames; CommandError, FFmpeg is needed and failed.
    """
    name = clip_name(spec)
    source_path = Path(spec.path)
    raw = raw_format(spec)
    filters = _filters(spec)
    if not source_path.is_file():
        raise InputError("E_NO_INPUT", f"no such file: {spec.path}")
    state = source_path.stat()
    identity = [_MAKING, dataclasses.asdict(spec), state.st_size, state.st_mtime_ns, filters]
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    path, record = folder / f"{name}-{key}.y4m", folder / f"{name}-{key}.json"
    log = folder / f"{name}.log"
    if not (path.exists() and record.exists()):
        rate = None if spec.rate is None else Fraction(spec.rate)
        source = open_source(spec.path, raw=raw, rate=rate, frames=spec.frames, skip=spec.skip)
        with atomic_path(path) as temporary:
            if filters:
                _scale(source, filters, temporary, lambda words: runner.execute(words, folder, log, {}), ffmpeg)
            else:
                _write(source, spec, temporary)
        with atomic_file(str(record)) as file:
            file.write(json.dumps(_measure(path)).encode())
    values = json.loads(record.read_text(encoding="utf-8"))
    if spec.frames is not None and values["frames"] < spec.frames:
        raise InputError("E_SOURCE", f"{spec.path} has only {values['frames']} of {spec.frames} frames")
    if not values["frames"]:
        raise InputError("E_SOURCE", f"{spec.path} has no frames")
    made = f"{source_path.name}, {values['frames']} frames from {spec.skip}"
    if spec.crop is not None:
        made += f", crop {spec.crop}"
    return Clip(
        name=name,
        path=path,
        made=f"{made}, ffmpeg -vf {filters}" if filters else made,
        **{**values, "rate": Fraction(values["rate"])},
    )


def _scale(source: Source, filters: str, path: Path, execute: Callable[[list[str]], object], ffmpeg: str) -> None:
    """Write the clip through FFmpeg's filters. FFmpeg reads the frames that `encode` would read."""
    sample_range = "full" if source.colour.full_range else "limited"
    filters += f":in_range={sample_range}:out_range={sample_range}"
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".whole-") as folder:
        whole = Path(folder) / "whole.y4m"
        with open_writer(str(whole), OutputKind.Y4M, source.picture, lambda line: None) as write:
            for frame in source:
                write(frame)
        words = [ffmpeg, "-v", "error", "-nostdin", "-y", "-i", str(whole.resolve()), "-vf", filters]
        execute([*words, "-fps_mode", "passthrough", "-strict", "-1", "-f", "yuv4mpegpipe", str(path.resolve())])


def _window(spec: ClipSpec, source: Source) -> tuple[int, int, int, int]:
    """The cropped window: left, top, width, height. Offsets of a centred window are rounded down to even.

    Raises:
        InputError: E_SOURCE, the window is not within the picture, or splits a chroma sample.
    """
    if spec.crop is None:
        return 0, 0, source.width, source.height
    size, *place = spec.crop.split("+")
    width, height = (int(side) for side in size.split("x"))
    middle = ((source.width - width) // 2 & ~1, (source.height - height) // 2 & ~1)
    left, top = (int(place[0]), int(place[1])) if place else middle
    if left < 0 or top < 0 or not width or not height or left + width > source.width or top + height > source.height:
        message = f"the crop {spec.crop} is not within {source.width}x{source.height}"
        raise InputError("E_SOURCE", f"{spec.path}: {message}")
    if source.chroma_format == CHROMA_420 and (left | top | width | height) & 1:
        raise InputError("E_SOURCE", f"{spec.path}: the crop {spec.crop} has to be even, since chroma is 4:2:0")
    return left, top, width, height


def _write(source: Source, spec: ClipSpec, path: Path) -> None:
    """Write the clip, cropped."""
    left, top, width, height = _window(spec, source)
    with path.open("wb") as file:
        file.write(y4m_header(dataclasses.replace(source.picture, width=width, height=height)))
        for frame in source:
            file.write(b"FRAME\n")
            for plane in frame.planes():
                # Chroma of an uncropped picture of odd size has half its size, rounded up.
                step = 1 if plane.shape == frame.y.shape else 2
                rows = slice(top // step, -(-(top + height) // step))
                columns = slice(left // step, -(-(left + width) // step))
                file.write(np.ascontiguousarray(plane[rows, columns]).tobytes())


def _measure(path: Path) -> dict[str, Any]:
    source = open_source(path)
    digest, count = hashlib.md5(usedforsecurity=False), 0
    for frame in source:
        for chunk in frame.chunks():
            digest.update(chunk)
        count += 1
    return {
        "width": source.width,
        "height": source.height,
        "frames": count,
        "bit_depth": source.bit_depth,
        "chroma_format": source.chroma_format,
        "rate": str(source.rate),
        "md5": digest.hexdigest(),
    }
