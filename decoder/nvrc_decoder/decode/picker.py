"""Single frames of a stream by their numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator

from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.decode.frames import make_frames
from nvrc_decoder.decode.stages import Decoding
from nvrc_decoder.picture.frame import Frame

__all__ = ["Picker"]


class Picker:
    """Gives single frames. Ascending frames of a GOP come out of one pass.

    Args:
        decoding: of the stream; `on_damage` is not called.
        table: its GOPs.
    """

    def __init__(self, decoding: Decoding, table: RandomAccess) -> None:
        self._decoding = dataclasses.replace(decoding, on_damage=None)
        self._table = table
        self._frames: Iterator[Frame] | None = None
        self._next = 0

    def frame(self, number: int) -> Frame:
        """Frame `number`, which the stream has.

        Raises:
            NvrcError: what is wrong with its GOP.
        """
        gop = self._table.gop_of_frame(number)
        frames, self._frames = self._frames, None
        if frames is None or number < self._next or self._table.gop_of_frame(self._next) != gop:
            _end(frames)
            frames = make_frames(self._decoding, self._table.gops(gop), number, lookahead=False)
        frame = next(frame for frame in frames if frame.number == number)
        self._frames, self._next = frames, number + 1
        return frame

    def close(self) -> None:
        """Let go of what is open."""
        frames, self._frames = self._frames, None
        _end(frames)


def _end(frames: Iterator[Frame] | None) -> None:
    if isinstance(frames, Generator):
        frames.close()
