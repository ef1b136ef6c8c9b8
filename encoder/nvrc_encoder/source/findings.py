"""Properties of a source beyond its samples: those that METADATA carries (spec 3.6.1), and those that it cannot carry.

Each loss is one line with a command that avoids or repairs it. `tests/encoder/test_advice.py` runs these commands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from nvrc_decoder.limits import DEFAULT_LIMITS
from nvrc_decoder.picture.frame_times import format_times
from nvrc_decoder.picture.presentation import TIMES, Presentation

__all__ = ["Findings", "Window"]

_NAMED_FRAMES = 3
_EVEN = Fraction(1, 20)
"""Largest deviation from a constant rate, in frame durations, at which time stamps are still left out."""


@dataclass(frozen=True)
class Window:
    """The frames of the input that are encoded: those from `skip` on, at most `frames`; None for all."""

    skip: int = 0
    frames: int | None = None

    def of(self, items: Sequence[int | None]) -> Sequence[int | None]:
        """The part of a list that has one item per frame."""
        return items[self.skip : None if self.frames is None else self.skip + self.frames]

    def has(self, frame: int) -> bool:
        """Whether frame `frame` of the input is encoded."""
        return frame >= self.skip and (self.frames is None or frame < self.skip + self.frames)


@dataclass
class Findings:
    """Properties of an input beyond its samples; complete when its frames have been read.

    Attributes:
        entries: METADATA that holds for all frames, key -> value.
        lost: losses known from the start, kind -> a line for the user.
        time_base: seconds per tick of `starts`; None where the input has no time stamps.
        starts: time stamp of each frame read so far, in ticks; None where the input has none.
        last_duration: duration of the last of them in ticks; 0 where the input has none.
        corrupt, interlaced: numbers of the corrupt and of the interlaced frames.
        missing: the missing part of the input, in words; None where it is complete.
    """

    entries: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    time_base: Fraction | None = None
    starts: list[int | None] = field(default_factory=list)
    last_duration: int = 0
    corrupt: list[int] = field(default_factory=list)
    interlaced: list[int] = field(default_factory=list)
    missing: str | None = None

    def begin(self) -> None:
        """Reset what is found while reading, as the frames are read from the start."""
        self.starts, self.corrupt, self.interlaced = [], [], []
        self.last_duration, self.missing = 0, None

    def hdr_options(self) -> str:
        """HDR metadata as options of x265; empty where there is none."""
        shown = Presentation(Fraction(25))
        for key, value in self.entries.items():
            shown.add(key, value.encode(), 0)
        return shown.hdr_options()

    def metadata(self, window: Window, rate: Fraction) -> dict[str, str]:
        """METADATA of the encoded frames, key -> value."""
        times = self.times(window, rate)
        return dict(self.entries) if times is None else {**self.entries, TIMES: times[0]}

    def carried(self, window: Window, rate: Fraction) -> list[str]:
        """The same in words, such as ``pixel aspect 64:45``."""
        return self._shown(window, rate).describe(len(window.of(self.starts)))

    def duration(self, window: Window, rate: Fraction, frames: int) -> Fraction:
        """Duration in seconds of the first `frames` encoded frames."""
        return self._shown(window, rate).timeline.start(frames)

    def _shown(self, window: Window, rate: Fraction) -> Presentation:
        shown = Presentation(rate)
        for key, value in self.metadata(window, rate).items():
            shown.add(key, value.encode(), 0)
        return shown

    def losses(self, window: Window, rate: Fraction, parts: Sequence[int] = ()) -> list[str]:
        """One line for each property that the stream will not have, and for each defect of the input.

        Args:
            window, rate, parts: as in `times`.
        """
        lines = [self._in_window(line, window, rate) for line in self.lost.values()]
        corrupt = [i for i in self.corrupt if window.has(i)]
        interlaced = [i for i in self.interlaced if window.has(i)]
        if interlaced and "interlacing" not in self.lost:
            lines.append(interlacing_line(_frames(len(interlaced))))
        if self._ticks(window, rate) is not None and self.times(window, rate, parts) is None:
            lines.append(
                f"dropped: time stamps, which the format cannot carry; all frames are shown at {rate} a second: "
                f"ffmpeg -i INPUT -vf fps={rate} -c:v ffv1 OUTPUT.mkv keeps the timing by repeating and dropping frames"
            )
        if corrupt:
            names = ", ".join(str(i) for i in corrupt[:_NAMED_FRAMES])
            more = " and others" if len(corrupt) > _NAMED_FRAMES else ""
            lines.append(
                f"damaged: FFmpeg flags {_frames(len(corrupt))} of the input as corrupt (frame {names}{more}, from 0); "
                "they are encoded as FFmpeg decodes them: --skip and --frames leave them out"
            )
        if self.missing is not None and (window.frames is None or len(window.of(self.starts)) < window.frames):
            lines.append(f"damaged: the input ends early: {self.missing}; get the whole file")
        return lines

    def _in_window(self, line: str, window: Window, rate: Fraction) -> str:
        """The line, with its command limited to the part of the input that is encoded."""
        used = window.of(self.starts)
        if self.time_base is None or not used or self.starts[0] is None or used[0] is None:
            return line
        seconds = float((used[0] - self.starts[0]) * self.time_base)
        part = f"-ss {seconds:.3f} " if window.skip else ""
        if window.frames is not None and len(used) == window.frames:
            part += f"-t {float(self.duration(window, rate, len(used))):.3f} "
        return line.replace("-i DECODED.mp4 -i INPUT", f"-i DECODED.mp4 {part}-i INPUT")

    def _ticks(self, window: Window, rate: Fraction) -> list[int] | None:
        """Duration of each encoded frame in ticks; None if all are near 1 / rate, or time stamps are missing."""
        used = window.of(self.starts)
        starts = [start for start in used if start is not None]
        if self.time_base is None or not starts or len(starts) < len(used):
            return None
        frame = 1 / (rate * self.time_base)
        last = self.last_duration
        following = window.skip + len(used)
        if following < len(self.starts) and (start := self.starts[following]) is not None:
            last = start - starts[-1]
        # Containers round time stamps to ticks or coarser, and few state the duration of the last frame correctly.
        slack = max(Fraction(1), frame * _EVEN)
        even = all(abs(start - starts[0] - i * frame) <= slack for i, start in enumerate(starts))
        if even and last <= 1.5 * frame + 1:
            return None
        ends = [*starts[1:], starts[-1] + (last if last > 0 else max(1, round(frame)))]
        return [end - start for start, end in zip(starts, ends, strict=True)]

    def times(self, window: Window, rate: Fraction, parts: Sequence[int] = ()) -> list[str] | None:
        """The value of `nvrc.times` for each part; None where it is not needed, or cannot be represented.

        Args:
            window: the encoded frames.
            rate: frames per second.
            parts: numbers of frames of consecutive parts; empty for one part with all of them.
        """
        ticks = self._ticks(window, rate)
        if ticks is None or self.time_base is None or min(ticks) < 1:
            return None
        unit = math.gcd(*ticks)
        texts, first = [], 0
        try:
            for count in parts or [len(ticks)]:
                part = [value // unit for value in ticks[first : first + count]]
                texts.append(format_times(self.time_base * unit, part))
                first += count
        except ValueError:
            return None
        return texts if max(map(len, texts)) < DEFAULT_LIMITS.max_metadata_bytes - 64 else None


def _frames(count: int) -> str:
    return f"{count} frame{'' if count == 1 else 's'}"


def interlacing_line(what: str) -> str:
    """The line for interlaced frames; `what` says which."""
    return (
        f"dropped: interlacing ({what}); two fields are encoded as the lines of one frame: "
        "ffmpeg -i INPUT -vf bwdif=mode=send_frame -c:v ffv1 OUTPUT.mkv makes whole frames first"
    )
