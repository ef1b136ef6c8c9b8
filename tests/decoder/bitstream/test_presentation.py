"""METADATA that says how to show the pictures (spec 3.6.1): forms, places, joins, and what readers make of it."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction
from pathlib import Path
from pipes import Pipe

import pytest
from stream_builders import SEQUENCE, make_network

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.descriptors import encode_leb128
from nvrc_decoder.bitstream.join import join
from nvrc_decoder.bitstream.metadata import scan_presentation
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import Gop, Metadata
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.errors import UnsupportedError
from nvrc_decoder.picture.frame_times import RUNS_MAX, format_times
from nvrc_decoder.picture.presentation import (
    WHOLE_STREAM,
    ContentLight,
    MasteringDisplay,
    Orientation,
    Presentation,
    check_entry,
    parse_entry,
)

MASTERING = "13250,34500,7500,3000,34000,16000,15635,16450,10000000,1"
RATE = Fraction(SEQUENCE.rate_numerator, SEQUENCE.rate_denominator)
GOLDEN = load_manifest().read("nano-presentation")


def stream(entries: dict[str, str] | None = None, gops: int = 2, late: dict[str, str] | None = None) -> bytes:
    """A stream of GOPs of 2 frames with METADATA before the first NETWORK, and some before the last GOP."""
    file = io.BytesIO()
    entries = entries or {}
    writer = StreamWriter(file, SEQUENCE, entries)
    for key, value in entries.items():
        writer.metadata(key, value.encode())
    writer.network(make_network())
    for number in range(gops):
        if number == gops - 1:
            for key, value in (late or {}).items():
                writer.metadata(key, value.encode())
        writer.gop(Gop(2, (b"", b"")), bytes(16))
    writer.finish()
    return file.getvalue()


def scanned(data: bytes) -> Presentation:
    shown = Presentation(RATE)
    scan_presentation(io.BytesIO(data), shown)
    return shown


def joined(*parts: bytes, keep: list[str] | None = None) -> bytes:
    output = io.BytesIO()
    join((io.BytesIO(part) for part in parts), output, keep_first=None if keep is None else keep.append)
    return output.getvalue()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("nvrc.sar", "64:45", Fraction(64, 45)),
        ("nvrc.sar", "2147483647:1", Fraction(2147483647)),
        ("nvrc.sar", "128:90", Fraction(64, 45)),
        *(("nvrc.orientation", str(degrees), Orientation(degrees)) for degrees in (90, 180, 270)),
        *(("nvrc.orientation", f"flip,{degrees}", Orientation(degrees, True)) for degrees in (90, 180, 270)),
        ("nvrc.orientation", "flip", Orientation(0, True)),
        ("nvrc.light", "0,65535", ContentLight(0, 65535)),
        ("nvrc.other", "90", None),
        ("title", "90", None),
    ],
)
def test_entries(key: str, value: str, expected: object) -> None:
    assert parse_entry(key, value.encode()) == expected


@pytest.mark.parametrize(
    ("key", "values"),
    [
        (
            "nvrc.sar",
            ["", "1", "0:1", "1:0", "01:1", "1:1:1", "2147483648:1", "1/1", " 1:1", "1:1\n", "\u0661:1"],
        ),
        ("nvrc.orientation", ["", "0", "45", "flip,", "flip,0", "90,flip", "flip,flip", "360", "90 ", "FLIP"]),
        ("nvrc.light", ["", "1", "1,2,3", "65536,1", "1,", "1.0,2", "+1,2"]),
        ("nvrc.mastering", ["", MASTERING[:-2], MASTERING + ",1", "50001" + MASTERING[5:], MASTERING + "9999999999"]),
        (
            "nvrc.times",
            [
                *("", "1/25", "1/25 ", "25 1", "0/1 1", "1/0 1", "1/25 0", "1/25 1*0", "1/25 1*", "1/25 1,", "1/25  1"),
                *("1/25 4294967296", "1/25 4294967295*2147483649", "1/2147483648 1"),
                "1/25 " + "1," * RUNS_MAX + "1",
            ],
        ),
    ],
)
def test_malformed_entries_have_no_effect(key: str, values: list[str]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=r"."):
            parse_entry(key, value.encode())
        with pytest.raises(ValueError, match=key):
            check_entry(key, value)
        shown = Presentation(RATE)
        shown.add(key, value.encode(), 0)
        assert shown.describe() == []
        assert len(shown.ignored) == 1


def test_values_come_back() -> None:
    for degrees in (0, 90, 180, 270):
        for flip in (False, True):
            if degrees or flip:
                turned = Orientation(degrees, flip)
                assert parse_entry("nvrc.orientation", turned.text().encode()) == turned
    mastering = parse_entry("nvrc.mastering", MASTERING.encode())
    assert isinstance(mastering, MasteringDisplay)
    assert mastering.text() == MASTERING
    assert mastering.options() == "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    assert format_times(Fraction(1, 90000), [3000, 3000, 6000, 1]) == "1/90000 3000*2,6000,1"
    with pytest.raises(ValueError, match="nvrc"):
        check_entry("nvrc.unknown", "1")
    check_entry("title", "anything")


def test_frames_begin_when_the_entries_say() -> None:
    shown = Presentation(Fraction(25))
    line = shown.timeline
    assert (line.constant, line.start(5), line.time_base) == (True, Fraction(1, 5), Fraction(1, 25))
    shown.add("nvrc.times", b"1/1000 10*2,30", 4)
    shown.add("nvrc.times", b"1/90000 9000*100", 10)
    starts = [line.start(frame) for frame in range(13)]
    gaps = [b - a for a, b in itertools.pairwise(starts)]
    even = Fraction(1, 25)
    assert gaps == [*[even] * 4, *[Fraction(1, 100)] * 2, Fraction(3, 100), *[even] * 3, *[Fraction(1, 10)] * 2]
    assert all((start / line.time_base).denominator == 1 for start in starts)
    shown.add("nvrc.times", b"1/1 5", 10)
    assert line.start(11) - line.start(10) == 5, "the later of two in the same place counts"


def test_first_entry_before_the_first_gop_counts() -> None:
    shown = scanned(stream({"nvrc.sar": "4:3"}, late={"nvrc.sar": "16:9", "nvrc.light": "1,1"}))
    assert (shown.sample_aspect, shown.light) == (Fraction(4, 3), None)
    assert len(shown.ignored) == 2
    shown = Presentation(RATE)
    for value in (b"0:0", b"4:3", b"4:3", b"5:4"):
        shown.add("nvrc.sar", value, 0)
    assert (shown.sample_aspect, len(shown.ignored)) == (Fraction(4, 3), 2)


@pytest.mark.full
def test_memory_for_durations_is_bounded() -> None:
    shown = Presentation(RATE)
    entry = b"1/25 " + b"1," * (RUNS_MAX - 1) + b"1"
    for number in range(18):
        shown.add("nvrc.times", entry, number)
    assert len(shown.timeline._parts) == 16
    assert len(shown.ignored) == 2


def test_time_bases_without_a_common_one_are_ignored() -> None:
    shown = Presentation(RATE)
    for number, denominator in enumerate((2147483647, 2147483629, 2147483587)):
        shown.add("nvrc.times", f"1/{denominator} 5".encode(), number)
    assert len(shown.ignored) == 2
    assert shown.timeline.time_base == Fraction(1, 90000)
    assert shown.timeline.start(1) == Fraction(5, 2147483647)


def test_minor_version_is_1_only_with_an_entry() -> None:
    assert stream()[9] == 0
    assert stream({"title": "x", "nvrc.later": "x"})[9] == 0
    assert stream({"title": "x", "nvrc.sar": "4:3"})[9] == 1
    assert joined(stream({"nvrc.sar": "4:3"}))[9] == 1
    assert joined(stream({"title": "x"}))[9] == 0


def entries_of(data: bytes) -> list[tuple[str, str, int]]:
    out = []
    reader = UnitReader(io.BytesIO(data))
    for unit in reader:
        if isinstance(unit.content, Metadata):
            out.append((unit.content.key, unit.content.value.decode(), reader.frame_count))
    return out


def test_join_says_equal_things_once() -> None:
    one = stream({"nvrc.sar": "4:3", "nvrc.light": "9,9", "title": "x"})
    assert entries_of(joined(one, one)) == [
        ("nvrc.sar", "4:3", 0),
        ("nvrc.light", "9,9", 0),
        ("title", "x", 0),
        ("title", "x", 4),
    ]
    assert joined(one) == one
    # Another spelling of the same.
    assert len(entries_of(joined(stream({"nvrc.sar": "4:3"}), stream({"nvrc.sar": "8:6"})))) == 1


@pytest.mark.parametrize("key", WHOLE_STREAM)
def test_join_refuses_what_is_shown_otherwise(key: str) -> None:
    first = {"nvrc.sar": "4:3", "nvrc.orientation": "90", "nvrc.light": "1,1", "nvrc.mastering": MASTERING}[key]
    other = {"nvrc.sar": "3:4", "nvrc.orientation": "flip", "nvrc.light": "1,2", "nvrc.mastering": MASTERING + "0"}[key]
    for parts in (
        (stream({key: first}), stream({key: other})),
        (stream({key: first}), stream()),
        (stream(), stream({key: other})),
        (stream({key: first}), stream({key: "malformed"})),
    ):
        with pytest.raises(UnsupportedError, match=f"input 2 has .* as {key}, the first has .*--keep-first"):
            joined(*parts)
        told: list[str] = []
        whole = joined(*parts, keep=told)
        assert len(told) == 1
        assert scanned(whole).describe() == scanned(parts[0]).describe()


def test_join_keeps_time_stamps_where_they_hold() -> None:
    varied = stream({"nvrc.times": "1/1000 10,20,30,40"})
    for parts in ((varied, stream(), varied), (stream(), varied)):
        line = scanned(joined(*parts)).timeline
        lengths = [scanned(part).timeline.start(4) for part in parts]
        for i in range(len(parts) + 1):
            assert line.start(4 * i) == sum(lengths[:i])
    assert scanned(joined(varied, varied)).timeline.start(7) == Fraction(160, 1000)


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("salvage", [False, True])
def test_python_reads_the_same_of_file_and_pipe(piped: bool, salvage: bool) -> None:
    file = Pipe(GOLDEN) if piped else io.BytesIO(GOLDEN)
    damage: list[object] = []
    with nvrc_decoder.open(file, on_damage=damage.append if salvage else None) as video:  # type: ignore[arg-type]
        shown = video.presentation
        assert shown.sample_aspect == Fraction(64, 45)
        assert shown.orientation == Orientation(270, True)
        assert shown.mastering is not None
        assert shown.light is None
        assert [float(shown.timeline.start(i)) for i in range(5)] == pytest.approx([0, 1 / 30, 2 / 30, 1, 1.04])
        assert len(shown.ignored) == 1
        frames = list(video)
        assert [frame.number for frame in frames] == [0, 1, 2, 3]
        assert [frame.time for frame in frames] == [shown.timeline.start(number) for number in range(4)]
        assert video.presentation.describe(4) == shown.describe(4)
    assert damage == []


def test_a_single_frame_has_its_time_stamp() -> None:
    with nvrc_decoder.open(io.BytesIO(GOLDEN)) as video:
        assert float(video[3].time) == 1


def test_a_truncated_pipe_still_has_its_presentation() -> None:
    with nvrc_decoder.open(Pipe(GOLDEN[:-300])) as video:  # type: ignore[arg-type]
        assert video.presentation.ignored
        with pytest.raises(nvrc_decoder.NvrcError, match="ends"):
            list(video)


def test_a_unit_longer_than_the_file_ends_the_scan(tmp_path: Path) -> None:
    whole = stream({"nvrc.sar": "4:3", "nvrc.light": "1,1"})
    (place,) = [unit.offset for unit in UnitReader(io.BytesIO(whole)) if unit.name == "METADATA 1"]
    path = tmp_path / "long.nvrc"
    path.write_bytes(whole[:place] + b"\x99" + encode_leb128(1 << 62) + whole[place:])
    shown = Presentation(RATE)
    with path.open("rb") as file:
        scan_presentation(file, shown)
    assert (shown.sample_aspect, shown.light) == (Fraction(4, 3), None)


def test_the_presentation_survives_any_damage() -> None:
    for place in range(10, len(GOLDEN), 7):
        data = bytearray(GOLDEN)
        data[place] ^= 0x55
        scanned(bytes(data)).describe(4)
        scanned(GOLDEN[:place]).describe(4)
