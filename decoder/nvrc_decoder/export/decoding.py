"""The pass over a stream that every form of export makes: decoded and checked GOP by GOP."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any, BinaryIO

from nvrc_decoder.bitstream.container import VERSION
from nvrc_decoder.bitstream.gops import GopRecord, iterate_gops
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.decode.budget import Budget
from nvrc_decoder.decode.checked import GopMaker, checked_frames
from nvrc_decoder.decode.engines import Engines
from nvrc_decoder.decode.gop import Network, Networks, decode_grids
from nvrc_decoder.decode.plan import make_plan
from nvrc_decoder.decode.stages import DecodedGop, StageTimes
from nvrc_decoder.errors import InputError
from nvrc_decoder.limits import Limits, check_limit
from nvrc_decoder.picture.format import CHROMA_NAMES
from nvrc_decoder.picture.presentation import LIGHT, MASTERING, ORIENTATION, SAMPLE_ASPECT, Presentation
from nvrc_decoder.synthesis.synthesizer import Grid
from nvrc_decoder.video_info import read_sequence, video_format

__all__ = ["ENDLESS", "Take", "VideoPass"]

ENDLESS = 1 << 62
"""Over any number of frames."""

Take = Callable[[GopRecord, Network, Sequence[Grid | None]], int]
"""Is given each GOP with its NETWORK and its grids, which it must not keep; returns the bytes that it keeps of all."""

# Upper bound on the bytes of a frame's MD5, as an object and as text.
_MD5_BYTES = 300

# The fields of `Colour` in their order.
_COLOUR = ("primaries", "transfer", "matrix", "full_range", "chroma_sample_position")


class VideoPass:
    """A stream that is read once, forward.

    Args:
        file: the stream, which may be a pipe.
        wanted: numbers of the frames to export; GOPs without any of them are not decoded.
        engines: what makes the frames, for their digests.
        limits: what this process is willing to spend.

    Attributes:
        sequence: the stream's SEQUENCE.
        md5s: MD5 of each wanted frame.
    """

    def __init__(self, file: BinaryIO, wanted: range, engines: Engines, limits: Limits) -> None:
        self._units = iter(UnitReader(file, limits))
        self.sequence = read_sequence(self._units)
        self.md5s: list[str] = []
        self._gops: list[int] = []
        self._wanted, self._engines, self._limits = wanted, engines, limits
        self._networks = Networks(self.sequence)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._shown = Presentation(video_format(self.sequence).rate)

    def run(self, take: Take) -> None:
        """Decode and check all GOPs with wanted frames.

        Raises:
            NvrcError: as from decoding. InputError: E_SEEK, there is no wanted frame.
        """
        for record in iterate_gops(self._units, on_network=self._networks.load, on_metadata=self._shown.add):
            if record.first_frame >= self._wanted.stop:
                break
            if record.first_frame + record.gop.frame_count > self._wanted.start:
                self._gop(record, take)
        if not self.md5s:
            raise InputError("E_SEEK", f"there is no frame {self._wanted.start}: the stream ends before it")

    def _gop(self, record: GopRecord, take: Take) -> None:
        sequence, gop = self.sequence, record.gop
        network = self._networks.load(record.network, record.network_offset, record.network_unit)
        place: Any = {"offset": record.offset, "unit": record.unit}
        plan = make_plan(sequence, record.network, gop, self._limits)
        check_limit("max_memory_bytes", plan.estimate, self._limits, **place)
        grids = decode_grids(sequence, network, gop.frame_count, gop.grids, gop.node_maps, **place)
        kept = take(record, network, grids) + _MD5_BYTES * (len(self.md5s) + gop.frame_count)
        check_limit("max_memory_bytes", plan.estimate + kept, self._limits, **place)
        self._gops.append(len(self.md5s))
        reservation, _ = Budget(self._limits.max_memory_bytes).reserve(plan.synthesis.bytes, plan.frame_bytes)
        decoded = DecodedGop(record.without_payloads(), network, plan, grids, reservation)
        maker = GopMaker(sequence, self._engines, StageTimes(), decoded, threading.Lock())
        for number, planes in enumerate(checked_frames(maker, 0), record.first_frame):
            if number in self._wanted:
                self.md5s.append(planes.md5())
                for chunk in planes.chunks():
                    self._md5.update(chunk)
        # The next GOP's grids are decoded first, and may need the memory (docs/memory.md).
        self._engines.release()

    @property
    def ignored(self) -> Sequence[str]:
        """Messages about METADATA that is malformed or has no effect."""
        return self._shown.ignored

    def metadata(self) -> dict[str, str]:
        """What is known of the video after `run`, as texts by name (docs/export.md)."""
        sequence = self.sequence
        colour = astuple(video_format(sequence).colour)
        return {
            "spec_version": str(VERSION),
            "profile": sequence.profile_spec.name,
            "width": str(sequence.width),
            "height": str(sequence.height),
            "frame_rate": f"{sequence.rate_numerator}/{sequence.rate_denominator}",
            "chroma_format": CHROMA_NAMES[sequence.chroma_format],
            "bit_depth": str(sequence.bit_depth),
            **{name: str(int(value)) for name, value in zip(_COLOUR, colour, strict=True)},
            **self._presentation(),
            "frame_count": str(len(self.md5s)),
            "first_frame": str(self._wanted.start),
            "gops": json.dumps(self._gops),
            "md5": self._md5.hexdigest(),
            "frame_md5": json.dumps(self.md5s),
        }

    def _presentation(self) -> dict[str, str]:
        """What METADATA says of how to show the frames, under its keys."""
        shown, texts = self._shown, {}
        if shown.sample_aspect is not None:
            texts[SAMPLE_ASPECT] = f"{shown.sample_aspect.numerator}:{shown.sample_aspect.denominator}"
        entries = ((ORIENTATION, shown.orientation), (MASTERING, shown.mastering), (LIGHT, shown.light))
        texts |= {key: entry.text() for key, entry in entries if entry is not None}
        if not shown.timeline.constant:
            first, base = self._wanted.start, shown.timeline.time_base
            starts = [shown.timeline.start(first + n) for n in range(len(self.md5s) + 1)]
            texts["frame_times"] = json.dumps([round((start - starts[0]) / base) for start in starts])
            texts["time_base"] = f"{base.numerator}/{base.denominator}"
        return texts
