"""Cutting a video into segments while it is read, once and forward."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_encoder.segments.scene_cuts import SceneCuts
from nvrc_encoder.source.video import Source

__all__ = ["LEAST_FRAMES", "SEGMENT_SAMPLES", "Segment", "SegmentedSource", "longest_segment"]

SEGMENT_SAMPLES = 16_000_000
"""Luma samples of a segment, unless one GOP has more: some 2 GB of memory, see docs/scale.md."""
LEAST_FRAMES = 16
"""A scene cut closer to the start of a segment does not end it: a NETWORK for so few frames does not pay."""


def longest_segment(picture: VideoFormat, gop: int, frames: int | None = None) -> int | None:
    """Largest number of frames of a segment, a multiple of `gop`; None for no limit.

    Args:
        picture: format of the video.
        gop: largest number of frames of a GOP.
        frames: the number that the user wants, which is rounded down to whole GOPs, to one at least; 0 for no limit;
            None for what `SEGMENT_SAMPLES` admits.
    """
    if frames == 0:
        return None
    wanted = SEGMENT_SAMPLES // (picture.width * picture.height) if frames is None else frames
    return gop * max(1, wanted // gop)


@dataclass(frozen=True)
class Segment:
    """A part of a video.

    Attributes:
        number: its number, from 0.
        first: number of its first frame in the video.
        frames: its frames, at least one.
    """

    number: int
    first: int
    frames: list[Planes]


class SegmentedSource:
    """A source as segments. A source that fits in one is not cut at all.

    Of a longer one, each segment ends before a scene cut, or after `longest` frames; the one before the last ends
    earlier if the last would have fewer than `LEAST_FRAMES`. Frames are read when a segment is asked for, and a few
    more; until the first one, `longest` + 1 are read.

    Args:
        source: the video.
        longest: as `longest_segment` gives it.
        scene_cuts: whether scene cuts end a segment.

    Attributes:
        whole: the source, if it fits in one segment; else None. It has to be read in place of `source`.
    """

    def __init__(self, source: Source, longest: int | None, scene_cuts: bool = True) -> None:
        self.source = source
        self.longest = longest or 0
        self._scene_cuts = scene_cuts
        self._cuts = SceneCuts(source.bit_depth) if scene_cuts else None
        self.whole: Source | None = source
        if longest is None:
            return
        self._frames = iter(source)
        self._head = list(itertools.islice(self._frames, longest + 1))
        if len(self._head) <= longest:
            head = self._head
            self.whole = dataclasses.replace(source, _open_frames=lambda: iter(head))
        else:
            self.whole = None

    def again(self) -> SegmentedSource:
        """The same from the start, for a source that can be read again; this one must not be read any more."""
        self._head, self._frames = [], iter(())  # frames, and the open file
        return SegmentedSource(self.source, self.longest or None, self._scene_cuts)

    def head(self, count: int) -> list[Planes]:
        """The first frames of a video that is cut, `longest` at most; to be asked for before the segments."""
        return self._head[: min(count, self.longest)]

    def _ahead(self) -> Iterator[Planes]:
        """The frames; those read ahead are not kept."""
        head, self._head = self._head[::-1], []
        while head:
            yield head.pop()
        yield from self._frames

    def __iter__(self) -> Iterator[Segment]:
        """The segments, once; none of a video without frames."""
        if self.whole is not None:
            everything = list(self.whole)
            if everything:
                yield Segment(0, 0, everything)
            return
        # Frames beyond the limit that are read before a segment ends there, so that the last one is not too short.
        tail = LEAST_FRAMES - 1 if self.longest >= 2 * LEAST_FRAMES else 0
        frames: list[Planes] = []
        number = first = 0
        for frame in self._ahead():
            cut = self._cuts is not None and self._cuts.begins(frame)
            count = 0
            if len(frames) == self.longest + tail:
                count = self.longest
            elif cut and LEAST_FRAMES <= len(frames) <= self.longest:
                count = len(frames)
            if count:
                yield Segment(number, first, frames[:count])
                number, first, frames = number + 1, first + count, frames[count:]
            frames.append(frame)
        if len(frames) > self.longest:
            count = len(frames) - LEAST_FRAMES
            yield Segment(number, first, frames[:count])
            number, first, frames = number + 1, first + count, frames[count:]
        yield Segment(number, first, frames)
