"""How to show a video, from its METADATA (spec 3.6.1); none of it affects decoding."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction

from nvrc_decoder.picture.frame_times import FrameTimes, parse_times

__all__ = [
    "LIGHT",
    "MASTERING",
    "ORIENTATION",
    "SAMPLE_ASPECT",
    "TIMES",
    "WHOLE_STREAM",
    "ContentLight",
    "MasteringDisplay",
    "Orientation",
    "Presentation",
    "WholeStream",
    "check_entry",
    "is_presentation",
    "parse_entry",
]

SAMPLE_ASPECT = "nvrc.sar"
ORIENTATION = "nvrc.orientation"
MASTERING = "nvrc.mastering"
LIGHT = "nvrc.light"
TIMES = "nvrc.times"
WHOLE_STREAM = (SAMPLE_ASPECT, ORIENTATION, MASTERING, LIGHT)
"""Keys whose entry holds for all frames of a stream; `TIMES` holds for the frames that follow it."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")
_ORIENTATION = re.compile(r"(flip)(?:,(90|180|270))?|(90|180|270)")
_CHROMATICITY_MAX = 50_000
_LUMINANCE_MAX = (1 << 32) - 1
_LIGHT_MAX = (1 << 16) - 1
_SIDE_MAX = (1 << 31) - 1
_TIMESCALE_MAX = (1 << 31) - 1
_DENOMINATOR_END = 1 << 62
_IGNORED_MAX = 16
"""Most notes that are kept; a stream may have any number of malformed entries."""
_RUNS_MAX = 1 << 20
"""Most runs of durations that are kept of a stream: 24 MB."""
_NAMES = {SAMPLE_ASPECT: "sample_aspect", ORIENTATION: "orientation", MASTERING: "mastering", LIGHT: "light"}


@dataclass(frozen=True)
class Orientation:
    """How to turn a frame to show it: first mirror it left to right if `flip`, then turn it counter-clockwise.

    Attributes:
        degrees: 0, 90, 180 or 270.
        flip: whether to mirror it.
    """

    degrees: int
    flip: bool = False

    def matrix(self) -> tuple[int, int, int, int]:
        """(a, b, c, d), each -1, 0 or 1: (x, y) is shown at (a x + c y, b x + d y), y down, up to a translation."""
        cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[self.degrees]
        mirror = -1 if self.flip else 1
        return mirror * cosine, -mirror * sine, sine, cosine

    def text(self) -> str:
        """The value of `nvrc.orientation`."""
        return ",".join((["flip"] if self.flip else []) + ([str(self.degrees)] if self.degrees else []))

    def describe(self) -> str:
        """Words such as ``rotation 90 (counter-clockwise)``."""
        turn = f"rotation {self.degrees} (counter-clockwise)"
        return f"{turn} of the mirror image" if self.flip else turn


@dataclass(frozen=True)
class MasteringDisplay:
    """Mastering display colour volume (SMPTE ST 2086) in the units of the SEI message of H.265.

    Attributes:
        green, blue, red, white: chromaticity x and y in units of 0.00002, 0..50000.
        luminance: maximum and minimum in units of 0.0001 cd/m2, 0..2^32-1.
    """

    green: tuple[int, int]
    blue: tuple[int, int]
    red: tuple[int, int]
    white: tuple[int, int]
    luminance: tuple[int, int]

    def text(self) -> str:
        """The value of `nvrc.mastering`."""
        parts = (*self.green, *self.blue, *self.red, *self.white, *self.luminance)
        return ",".join(str(part) for part in parts)

    def options(self) -> str:
        """The value of x265's option `master-display` and of x264's `mastering-display`."""
        pairs = {"G": self.green, "B": self.blue, "R": self.red, "WP": self.white, "L": self.luminance}
        return "".join(f"{name}({first},{second})" for name, (first, second) in pairs.items())


@dataclass(frozen=True)
class ContentLight:
    """Content light level (CTA-861.3) in cd/m2, 0..65535; 0 is unknown.

    Attributes:
        maximum: level of the brightest sample (MaxCLL).
        average: mean level of the brightest frame (MaxFALL).
    """

    maximum: int
    average: int

    def text(self) -> str:
        """The value of `nvrc.light`, and of x265's option `max-cll`."""
        return f"{self.maximum},{self.average}"


WholeStream = Fraction | Orientation | MasteringDisplay | ContentLight


def _numbers(text: str, separator: str, count: int, low: int, high: int) -> tuple[int, ...]:
    """Exactly `count` decimal numbers of low..high; ValueError for anything else."""
    parts = text.split(separator)
    if len(parts) != count or not all(_NUMBER.fullmatch(part) and low <= int(part) <= high for part in parts):
        raise ValueError(f"expected {count} numbers of {low} to {high} with {separator!r} between them")
    return tuple(int(part) for part in parts)


def is_presentation(key: str) -> bool:
    """Whether spec 3.6.1 defines a key."""
    return key == TIMES or key in WHOLE_STREAM


def parse_entry(key: str, value: bytes) -> WholeStream | FrameTimes | None:
    """The value of an entry of spec 3.6.1; None for every other key.

    Raises:
        ValueError: it is malformed.
    """
    if not is_presentation(key):
        return None
    try:
        text = value.decode("ascii")
    except UnicodeDecodeError:
        raise ValueError("it is not ASCII") from None
    if key == SAMPLE_ASPECT:
        return Fraction(*_numbers(text, ":", 2, 1, _SIDE_MAX))
    if key == ORIENTATION:
        match = _ORIENTATION.fullmatch(text)
        if match is None:
            raise ValueError("expected 90, 180, 270, flip, or flip and an angle such as flip,90")
        return Orientation(int(match[2] or match[3] or 0), match[1] is not None)
    if key == LIGHT:
        return ContentLight(*_numbers(text, ",", 2, 0, _LIGHT_MAX))
    if key == TIMES:
        return parse_times(text)
    numbers = _numbers(text, ",", 10, 0, _LUMINANCE_MAX)
    if max(numbers[:8]) > _CHROMATICITY_MAX:
        raise ValueError(f"a chromaticity is over {_CHROMATICITY_MAX}")
    pairs = [(numbers[i], numbers[i + 1]) for i in range(0, 10, 2)]
    return MasteringDisplay(*pairs)


def check_entry(key: str, value: str) -> None:
    """Check an entry that is to be written: a key that begins with ``nvrc.`` must be defined, its value well-formed.

    Raises:
        ValueError: it is not.
    """
    if not key.startswith("nvrc."):
        return
    try:
        if parse_entry(key, value.encode()) is None:
            raise ValueError(f"keys that begin with nvrc. are {', '.join((*WHOLE_STREAM, TIMES))}")
    except ValueError as error:
        raise ValueError(f"the metadata {key!r} is {value[:60]!r}: {error}") from None


@dataclass
class Timeline:
    """When each frame is shown, in seconds from the first frame.

    Args:
        rate: frames per second where there are no time stamps.
    """

    rate: Fraction
    _firsts: list[int] = field(default_factory=list)
    _starts: list[Fraction] = field(default_factory=list)
    _parts: list[FrameTimes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._denominator = self.rate.numerator

    @property
    def constant(self) -> bool:
        """Whether every frame lasts 1 / rate, as far as is known."""
        return not self._parts

    @property
    def time_base(self) -> Fraction:
        """Seconds that divide the start of every frame; 1/90000 where that is too fine for mp4."""
        if self._denominator > _TIMESCALE_MAX:
            return Fraction(1, 90_000)
        bases = [1 / self.rate, *(times.time_base for times in self._parts)]
        numerator = math.gcd(*(base.numerator * (self._denominator // base.denominator) for base in bases))
        return Fraction(numerator, self._denominator)

    def add(self, times: FrameTimes, first_frame: int) -> None:
        """Add durations of the frames from `first_frame` on; entries are added in order.

        Raises:
            ValueError: the time bases of the stream have no common denominator below 2^62.
        """
        denominator = math.lcm(self._denominator, times.time_base.denominator)
        if denominator >= _DENOMINATOR_END:
            raise ValueError("its time base and the earlier ones have no common denominator below 2^62")
        self._denominator = denominator
        if self._firsts and self._firsts[-1] == first_frame:
            for held in (self._firsts, self._starts, self._parts):
                held.pop()
        start = self.start(first_frame)
        self._firsts.append(first_frame)
        self._starts.append(start)
        self._parts.append(times)

    def start(self, frame: int) -> Fraction:
        """Start of frame `frame`; for the number of frames, the duration of the video."""
        i = bisect_right(self._firsts, frame) - 1
        if i < 0:
            return frame / self.rate
        times, inside = self._parts[i], frame - self._firsts[i]
        beyond = max(inside - times.frames, 0)
        return self._starts[i] + times.start(inside - beyond) + beyond / self.rate


class Presentation:
    """How to show the frames of a stream, from the METADATA read so far.

    Attributes:
        sample_aspect: width of a sample over its height; None where the stream does not say.
        orientation: how to turn each frame; None for not at all.
        mastering: colour volume of the mastering display, or None.
        light: content light level, or None.
        timeline: when each frame is shown.
        ignored: messages about entries that are malformed or have no effect, 16 at most.
    """

    def __init__(self, rate: Fraction) -> None:
        self.sample_aspect: Fraction | None = None
        self.orientation: Orientation | None = None
        self.mastering: MasteringDisplay | None = None
        self.light: ContentLight | None = None
        self.timeline = Timeline(rate)
        self.ignored: list[str] = []
        self._runs = 0

    def add(self, key: str, value: bytes, first_frame: int) -> None:
        """Apply an entry that has `first_frame` frames before it; a malformed or late one is ignored."""
        try:
            entry = parse_entry(key, value)
        except ValueError as error:
            self._ignore(f"METADATA {key} is ignored: {error}")
            return
        if entry is None:
            return
        if isinstance(entry, FrameTimes):
            self._runs += entry.runs
            if self._runs > _RUNS_MAX:
                self._ignore(f"METADATA {key} is ignored: the stream has more than {_RUNS_MAX} runs of durations")
                return
            try:
                self.timeline.add(entry, first_frame)
            except ValueError as error:
                self._ignore(f"METADATA {key} is ignored: {error}")
            return
        name = _NAMES[key]
        if first_frame or getattr(self, name) not in (None, entry):
            where = "after the first GOP" if first_frame else "a second one that differs"
            self._ignore(f"METADATA {key} is ignored: it is {where}")
            return
        setattr(self, name, entry)

    def _ignore(self, message: str) -> None:
        if len(self.ignored) < _IGNORED_MAX:
            self.ignored.append(message)

    def hdr_options(self) -> str:
        """HDR metadata as options of x265; empty where there is none."""
        parts = [] if self.mastering is None else [f"master-display={self.mastering.options()}"]
        parts += [] if self.light is None else [f"max-cll={self.light.text()}"]
        return ":".join(parts)

    def describe(self, frames: int | None = None) -> list[str]:
        """A phrase for each entry, such as ``pixel aspect 64:45``.

        Args:
            frames: number of frames of the stream, for its duration; None where it is not known.
        """
        out = []
        if self.orientation is not None:
            out.append(self.orientation.describe())
        if self.sample_aspect is not None:
            out.append(f"pixel aspect {self.sample_aspect.numerator}:{self.sample_aspect.denominator}")
        if self.mastering is not None:
            out.append(f"HDR mastering display {self.mastering.options()}")
        if self.light is not None:
            out.append(f"HDR content light level {self.light.text()} cd/m2")
        if not self.timeline.constant:
            length = "" if frames is None else f" of {frames} frames, {float(self.timeline.start(frames)):.3f} s in all"
            out.append(f"time stamps{length}")
        return out
