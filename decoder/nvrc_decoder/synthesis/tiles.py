"""Large pictures in tiles, so that the activations of a call fit a budget; the samples are the same.

A sample depends on grid values up to a fixed distance away, the halo. A tile is decoded together with a halo of real
grid values around it, and the halo, which the tile's own borders have spoilt, is thrown away. Tiles and halos begin
at multiples of the largest stride, so that grids of every stride can be cut there. Motion reaches further than any
halo: planes are predicted for the whole picture, and cut like a grid.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.picture.planes import PictureFormat, Plane, Planes, plane_shapes
from nvrc_decoder.profiles import CHROMA_420, STAGE_STRIDES, Profile, SlotKind
from nvrc_decoder.synthesis.synthesizer import Grid, Job, Synthesizer, TileSynthesizer

__all__ = ["RETAINED_BYTES", "Span", "TiledSynthesizer", "activation_bytes", "halo", "largest_tile", "plan_tiles"]

_UNIT = STAGE_STRIDES[0]
# What an engine may keep of its activations between GOPs.
RETAINED_BYTES = 72_000_000


@dataclass(frozen=True)
class _Part:
    """The picture format of a tile with its halo."""

    width: int
    height: int
    chroma_format: int
    bit_depth: int


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in luma samples: ``start .. stop`` is kept of what is decoded, ``first .. last``."""

    start: int
    stop: int
    first: int
    last: int


def activation_bytes(profile: Profile) -> int:
    """Bytes of activations for each sample of the last stage, which is at half resolution; for both engines."""
    # The four phases of the luma plane, which enter it in every profile, and their neighbourhoods are in the constant.
    return 300 + 25 * profile.max_channels[-1]


def halo(profile: Profile) -> int:
    """How far a luma sample can see along an axis, rounded up to a multiple of 32 (spec chapter 7)."""
    spoilt = 0
    for k, blocks in enumerate(profile.blocks):
        # x2 looks one sample further; the injection is 3x3, and so is each block.
        spoilt = max(2 * spoilt + 1 if k else 0, 1) + blocks
    return -(-STAGE_STRIDES[-1] * (spoilt + 1) // _UNIT) * _UNIT


@functools.lru_cache(maxsize=64)
def _spans(length: int, margin: int, count: int) -> tuple[Span, ...]:
    """An axis of `length` in `count` tiles or fewer, all but the last equally long."""
    size = -(-length // (_UNIT * count)) * _UNIT
    return tuple(
        Span(start, min(start + size, length), max(start - margin, 0), min(start + size + margin, length))
        for start in range(0, length, size)
    )


def _cost(spans: Sequence[Span]) -> tuple[int, int]:
    lengths = [span.last - span.first for span in spans]
    return max(lengths), sum(lengths)


@functools.lru_cache(maxsize=64)
def plan_tiles(profile: Profile, width: int, height: int, samples: int) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The rows and the columns of tiles, of all with at most `samples` luma samples a tile those with the least work.

    Where even tiles of 32x32 are too large with their halo, those are returned.
    """
    margin = halo(profile)
    rows, columns = ([_spans(n, margin, count) for count in _counts(n)] for n in (height, width))
    best: tuple[int, tuple[Span, ...], tuple[Span, ...]] | None = None
    costs = [(_cost(spans), spans) for spans in columns]
    for down in rows:
        tallest, total_down = _cost(down)
        for (widest, total_across), across in costs:
            if tallest * widest <= samples and (best is None or total_down * total_across < best[0]):
                best = total_down * total_across, down, across
    return (best[1], best[2]) if best else (rows[-1], columns[-1])


def _counts(length: int) -> Iterator[int]:
    units = -(-length // _UNIT)
    yield from sorted({-(-units // size) for size in range(1, units + 1)})


def largest_tile(profile: Profile, width: int, height: int, samples: int) -> tuple[int, int]:
    """Rows and columns of the largest tile of `plan_tiles` in luma samples, halo included."""
    rows, columns = plan_tiles(profile, width, height, samples)
    return _cost(rows)[0], _cost(columns)[0]


class TiledSynthesizer(Synthesizer):
    """Makes each frame tile by tile; the planes are predicted for the whole picture.

    Args:
        whole: the synthesizer of the whole picture.
        profile: the stream's profile.
        picture: size, chroma format and bit depth.
        samples: most luma samples of a tile, halo included.
    """

    def __init__(self, whole: TileSynthesizer, profile: Profile, picture: PictureFormat, samples: int) -> None:
        self._whole = whole
        self._profile = profile
        self._picture = picture
        self._rows, self._columns = plan_tiles(profile, picture.width, picture.height, samples)

    def jobs(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> Iterator[Job]:
        for t in frames:
            yield partial(self._job, grids, frame_count, t)

    def release(self) -> None:
        self._whole.release()

    def _job(self, grids: Sequence[Grid | None], frame_count: int, t: int) -> list[Planes]:
        return [self._frame(grids, frame_count, t)]

    def _frame(self, grids: Sequence[Grid | None], frame_count: int, t: int) -> Planes:
        picture = self._picture
        planes: list[Plane] = []
        for shape in plane_shapes(picture.width, picture.height, picture.chroma_format):
            planes.append(np.empty(shape, np.uint8) if picture.bit_depth == 8 else np.empty(shape, np.uint16))
        predicted = self._whole.predicted(grids, frame_count, range(t, t + 1))
        for down in self._rows:
            for across in self._columns:
                size = across.last - across.first, down.last - down.first
                part = self._whole.resized(_Part(*size, picture.chroma_format, picture.bit_depth))
                features = [
                    None if grid is None or slot.kind is not SlotKind.FEATURE else _cut(grid, slot.stride, down, across)
                    for slot, grid in zip(self._profile.slots, grids, strict=True)
                ]
                own = {k: _cut(values, STAGE_STRIDES[k], down, across) for k, values in predicted.items()}
                tile = part.tile(features, frame_count, t, own)
                for index, (plane, source) in enumerate(zip(planes, tile.planes(), strict=True)):
                    step = 2 if index and picture.chroma_format == CHROMA_420 else 1
                    rows, top = _kept(down, step)
                    columns, left = _kept(across, step)
                    kept = plane[rows, columns]
                    kept[...] = source[top : top + kept.shape[0], left : left + kept.shape[1]]
        return Planes(*planes)


def _cut(values: npt.NDArray[Any], stride: int, down: Span, across: Span) -> npt.NDArray[Any]:
    """A tile's part of [frames, channels, rows, columns], halo included; `stride` in luma samples."""
    rows, columns = (slice(span.first // stride, -(-span.last // stride)) for span in (down, across))
    return values[:, :, rows, columns]


def _kept(span: Span, step: int) -> tuple[slice, int]:
    """Where a tile's kept samples go in a plane of one sample in `step`, and where they begin in the tile."""
    return slice(span.start // step, -(-span.stop // step)), (span.start - span.first) // step
