"""The GOP as the unit of random access and of memory: what is read, what is held, what joining does."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

import nvrc_decoder
from nvrc_conformance.drafts import NetworkDraft, StreamDraft
from nvrc_conformance.manifest import load_manifest
from nvrc_conformance.sampling import random_state
from nvrc_decoder.bitstream.descriptors import LEB128_MAX_BYTES
from nvrc_decoder.bitstream.join import join
from nvrc_decoder.bitstream.reader import Unit, UnitReader
from nvrc_decoder.bitstream.units import Gop, NetworkHeader, UnitType

MANIFEST = load_manifest()
FOUR = "nano-four-gops"
FRAMES_BEFORE_GOP_3 = 9


class WatchedFile(io.BytesIO):
    """Remembers which bytes were read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.touched: set[int] = set()

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        data = super().read(size)
        self.touched.update(range(start, start + len(data)))
        return data


def units_of(data: bytes) -> list[Unit]:
    return list(UnitReader(io.BytesIO(data)))


def md5s(data: bytes) -> list[str]:
    with nvrc_decoder.open(io.BytesIO(data), engine="reference") as video:
        return [frame.md5() for frame in video]


def joined(*streams: bytes) -> bytes:
    output = io.BytesIO()
    join(map(io.BytesIO, streams), output)
    return output.getvalue()


def test_seeking_reads_headers_network_and_one_gop() -> None:
    data = MANIFEST.read(FOUR)
    units = units_of(data)
    assert [unit.name for unit in units if isinstance(unit.content, Gop)] == ["GOP 0", "GOP 1", "GOP 2", "GOP 3"]
    file = WatchedFile(data)
    with nvrc_decoder.open(file, engine="reference") as video:
        video.seek(FRAMES_BEFORE_GOP_3)
        frames = [frame.md5() for frame in video]
    assert tuple(frames) == MANIFEST.stream(FOUR).frame_md5[FRAMES_BEFORE_GOP_3:]
    unread = ("GOP 0", "DIGEST 0", "GOP 1", "DIGEST 1", "GOP 2", "DIGEST 2")
    for unit in units:
        span = set(range(unit.offset, unit.offset + unit.size))
        if unit.name in unread:
            assert not span & file.touched, unit.name
        else:
            assert span <= file.touched, unit.name


def test_without_index_only_unit_headers_are_read() -> None:
    """INDEX saves the walk over headers and frame counts, no more: what follows them is not read without it either."""
    data = MANIFEST.read("nano-units")
    units = units_of(data)
    assert not any(unit.type == UnitType.INDEX for unit in units)
    last = max(unit.number for unit in units if isinstance(unit.content, Gop))
    file = WatchedFile(data)
    with nvrc_decoder.open(file, engine="reference") as video:
        count = video.frame_count
        assert count is not None
        video.seek(count - 1)
        next(video)
    skipped = [unit for unit in units if isinstance(unit.content, Gop) and unit.number < last]
    for unit in skipped:
        payload = set(range(unit.payload_offset + LEB128_MAX_BYTES, unit.offset + unit.size))
        assert payload
        assert not payload & file.touched


def test_joined_copies_decode_to_copies() -> None:
    data = MANIFEST.read(FOUR)
    many = joined(*[data] * 10)
    units = units_of(many)
    assert sum(isinstance(unit.content, Gop) for unit in units) == 40
    # A NETWORK that is in force already is not written again.
    assert sum(isinstance(unit.content, NetworkHeader) for unit in units) == 1
    assert tuple(md5s(many)) == MANIFEST.stream(FOUR).frame_md5 * 10


@pytest.mark.full
@pytest.mark.parametrize("seek", [False, True], ids=["forward", "random-access"])
def test_python_memory_is_independent_of_gop_count(seek: bool) -> None:
    data = MANIFEST.read(FOUR)
    frame_bytes = 40 * 24 * 3 // 2

    def peak(stream: bytes) -> int:
        file = io.BytesIO(stream)
        tracemalloc.start()
        with nvrc_decoder.open(file, engine="reference", lookahead=False) as video:
            if seek:
                video.seek(1)
            for _ in video:
                pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    few, many = joined(*[data] * 10), joined(*[data] * 30)
    # A collection would empty the interpreter's free lists, and what refills them counts as new.
    gc.disable()
    try:
        peak(many)  # fills the caches of tables and schedules, and those lists
        # What the interpreter keeps for itself comes and goes; what grows is there each time.
        growth = min(peak(many) for _ in range(3)) - peak(few)
    finally:
        gc.enable()
    # 80 more GOPs add their entries of the INDEX; were their frames kept, it would be four times what is allowed.
    allowed = 80 * 1000
    assert allowed * 4 < 80 * 3 * frame_bytes
    assert growth < allowed


# VmHWM is the peak of this program alone; ru_maxrss would begin with that of the process that started it.
CHILD = """
import re, sys
import nvrc_decoder
kept = []
with nvrc_decoder.open(sys.argv[1], engine="onnxruntime", threads=1) as video:
    for frame in video:
        kept = [*kept, frame] if sys.argv[2] == "keep" else [frame]
print(frame.number + 1, re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.full
def test_process_memory_is_independent_of_gop_count(tmp_path: Path) -> None:
    """With ONNX Runtime, and with pictures large enough to show in the size of a process."""
    draft = StreamDraft(
        "nano",
        352,
        200,
        [[4, 4, 4, 4]],
        [NetworkDraft((3, 4, 4, 4, 4), grid_channels={0: 2, 2: 1}, context_widths=(3, 3))],
    )
    data = draft.build(random_state("memory"))

    def peak_kilobytes(copies: int, how: str) -> int:
        path = tmp_path / f"{copies}.nvrc"
        path.write_bytes(joined(*[data] * copies))
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(path), how],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            timeout=120,
            check=True,
        )
        count, kilobytes = map(int, done.stdout.split())
        assert count == 16 * copies
        return kilobytes

    # 36 more GOPs of four frames; a program that keeps its frames shows that they would be seen.
    frames_kilobytes = 36 * 4 * 352 * 200 * 3 // 2 // 1024
    few = peak_kilobytes(1, "drop")
    assert peak_kilobytes(10, "drop") - few < frames_kilobytes // 3
    assert peak_kilobytes(10, "keep") - few > frames_kilobytes // 2


def test_two_streams_joined_decode_to_both() -> None:
    """Two NETWORK units with other slots, channels and parameters under one SEQUENCE."""
    first = StreamDraft(
        "lite",
        40,
        30,
        [[3, 2]],
        [NetworkDraft((5, 4, 6, 5, 4), grid_channels={0: 2, 4: 1, 9: 3}, context_widths=(4, 3))],
    )
    second = replace(
        first,
        gops=[[1, 4]],
        networks=[NetworkDraft((8, 4, 3, 9, 7), grid_channels={1: 3, 3: 2, 4: 1}, context_widths=(2, 6))],
    )
    streams = [first.build(random_state("first")), second.build(random_state("second"))]
    both = joined(*streams)
    networks = [unit for unit in units_of(both) if isinstance(unit.content, NetworkHeader)]
    assert len(networks) == 2
    expected = [*md5s(streams[0]), *md5s(streams[1])]
    assert md5s(both) == expected
    with nvrc_decoder.open(io.BytesIO(both), engine="reference") as video:
        for number in (9, 0, 5, 4, 6):
            video.seek(number)
            assert next(video).md5() == expected[number]
