"""What JavaScript shows is what Python shows: METADATA, time stamps, RGB."""

from __future__ import annotations

import base64
import io
import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node import needs_node, run_script
from stream_builders import SEQUENCE, make_network

from nvrc_decoder.bitstream.units import Gop
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.picture.format import CHROMA_NAMES, Colour, VideoFormat
from nvrc_decoder.picture.frame import to_rgb
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.picture.presentation import Presentation

pytestmark = needs_node
RATE = Fraction(SEQUENCE.rate_numerator, SEQUENCE.rate_denominator)
Entries = list[tuple[str, str]]

WELL_FORMED: list[tuple[Entries, Entries]] = [
    ([], []),
    ([("nvrc.sar", "64:45"), ("nvrc.orientation", "flip,90"), ("nvrc.light", "1000,400"), ("title", "x")], []),
    ([("nvrc.orientation", "270"), ("nvrc.mastering", "1,2,3,4,5,6,7,8,9,10")], []),
    ([("nvrc.times", "1/90000 3000*5,6000")], []),
    ([("nvrc.times", "1/1000 40")], [("nvrc.times", "1/30 2,1")]),
    ([("nvrc.times", "1/1000 40*2"), ("nvrc.times", "1/10 1*9")], [("late", "y")]),
    ([("constructor", "1"), ("__proto__", "2"), ("toString", "3"), ("\ufeffnvrc.sar", "2:1")], []),
]
IGNORED: Entries = [
    *[("nvrc.sar", text) for text in ("0:1", "1:2147483648", "01:1", "1:1 ", "4/3", "")],
    *[("nvrc.orientation", text) for text in ("0", "flip,", "90,flip", "45")],
    *[("nvrc.light", text) for text in ("1", "1,65536", "1,2,3", "-1,2")],
    *[("nvrc.mastering", text) for text in ("1,2,3,4,5,6,7,8,9", "1,2,3,4,5,6,7,50001,9,10")],
    *[("nvrc.times", text) for text in ("1/0 1", "1/1", "1/1 ", "1/1 1,", "1/1 4294967296", "1/1 0*3", "1/1 1*1*1")],
    ("nvrc.times", "1/1 " + ",".join(["1"] * 65537)),
    ("nvrc.times", "1/1 " + ",".join(["4294967295*4294967295"] * 3)),
]


def write(path: Path, early: Entries, late: Entries = ()) -> Path:  # type: ignore[assignment]
    """A stream of 3 GOPs of 2 frames, with METADATA before the first and before the last of them."""
    file = io.BytesIO()
    writer = StreamWriter(file, SEQUENCE, {})
    for key, value in early:
        writer.metadata(key, value.encode())
    writer.network(make_network())
    for number in range(3):
        for key, value in late if number == 2 else ():
            writer.metadata(key, value.encode())
        writer.gop(Gop(2, (b"", b"")), bytes(16))
    writer.finish()
    path.write_bytes(file.getvalue())
    return path


def expected(early: Entries, late: Entries) -> dict[str, Any]:
    shown = Presentation(RATE)
    for first, entries in ((0, early), (4, late)):
        for key, value in entries:
            shown.add(key, value.encode(), first)
    aspect, turn = shown.sample_aspect, shown.orientation
    return {
        "aspect": aspect and float(aspect),
        "orientation": turn and {"degrees": turn.degrees, "flip": turn.flip},
        "light": shown.light and [shown.light.maximum, shown.light.average],
        "starts": [pytest.approx(float(shown.timeline.start(n)), rel=1e-12) for n in range(7)],
    }


def check(result: dict[str, Any], early: Entries, late: Entries) -> None:
    shown = result["presentation"]
    aspect = shown["sampleAspect"]
    assert {
        "aspect": aspect and aspect["width"] / aspect["height"],
        "orientation": shown["orientation"],
        "light": shown["light"],
        "starts": result["starts"],
    } == expected(early, late)
    assert result["gops"] == [0, 2, 4]
    assert result["at"] == list(range(6))
    assert result["metadata"] == [[*entry, 0] for entry in early] + [[*entry, 4] for entry in late]


def test_metadata_and_times_are_those_of_python(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.nvrc", *entries) for n, entries in enumerate(WELL_FORMED)]
    for result, (early, late) in zip(run_script("open.mjs", "all", *files), WELL_FORMED, strict=True):
        check(result, early, late)
        assert result["presentation"]["ignored"] == []


def test_malformed_metadata_is_ignored(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.nvrc", [entry]) for n, entry in enumerate(IGNORED)]
    for result, entry in zip(run_script("open.mjs", "all", *files), IGNORED, strict=True):
        check(result, [entry], [])
        (note,) = result["presentation"]["ignored"]
        assert note.startswith(f"METADATA {entry[0]} is ignored: ")


def test_the_first_metadata_ends_where_a_gop_begins(tmp_path: Path) -> None:
    """The header of the last entry is shorter than what the decoder reads to find where a unit ends."""
    file = io.BytesIO()
    writer = StreamWriter(file, SEQUENCE, {})
    writer.network(make_network())
    writer.metadata("a", b"")
    writer.gop(Gop(2, (b"", b"")), bytes(16))
    writer.metadata("b", b"")
    writer.gop(Gop(2, (b"", b"")), bytes(16))
    writer.finish()
    (tmp_path / "short.nvrc").write_bytes(file.getvalue())
    (result,) = run_script("open.mjs", "first", tmp_path / "short.nvrc")
    assert result["metadata"] == [["a", "", 0]]
    (result,) = run_script("open.mjs", "all", tmp_path / "short.nvrc")
    assert result["metadata"] == [["a", "", 0], ["b", "", 2]]


def test_late_orientation_is_ignored(tmp_path: Path) -> None:
    (result,) = run_script("open.mjs", "all", write(tmp_path / "late.nvrc", [], [("nvrc.orientation", "90")]))
    assert result["presentation"]["orientation"] is None
    assert len(result["presentation"]["ignored"]) == 1


def video_formats() -> list[VideoFormat]:
    """Every chroma format, depth, matrix, range and place of chroma, at odd and even sizes, and one of 720 rows."""
    formats = [
        VideoFormat(7, 5, Fraction(25), chroma, depth, Colour(matrix=matrix, full_range=full))
        for chroma, depth, matrix, full in itertools.product((0, 1, 2), (8, 10), (0, 1, 2, 6, 8, 9), (False, True))
        if not (matrix == 0 and chroma == 1)
    ]
    formats += [
        VideoFormat(width, height, Fraction(25), 1, 8, Colour(matrix=1, sample_position=position))
        for width, height in ((8, 6), (7, 5), (1, 1), (2, 1))
        for position in range(4)
    ]
    return [*formats, VideoFormat(3, 720, Fraction(25), 1, 10)]


def test_rgb_is_that_of_python(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    cases, pictures = [], []
    for video in video_formats():
        arrays = [random.integers(0, 1 << video.bit_depth, shape).astype(video.dtype) for shape in video.plane_shapes]
        colour = {
            "matrix": video.colour.matrix,
            "fullRange": video.colour.full_range,
            "chromaPosition": video.colour.sample_position,
        }
        size = {"width": video.width, "height": video.height, "bitDepth": video.bit_depth}
        data = base64.b64encode(b"".join(array.tobytes() for array in arrays)).decode()
        cases.append(
            {"data": data, "format": {**size, "chromaFormat": CHROMA_NAMES[video.chroma_format], "colour": colour}}
        )
        pictures.append(to_rgb(Planes(*arrays), video))
    (tmp_path / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    results = run_script("rgb.mjs", tmp_path / "cases.json")
    for case, text, picture in zip(cases, results, pictures, strict=True):
        rgba = np.frombuffer(base64.b64decode(text), np.uint8).reshape(*picture.shape[:2], 4)
        assert (rgba[..., 3] == 255).all()
        difference = np.abs(rgba[..., :3].astype(int) - picture)
        # Python computes in single precision: a level where a value lies between two.
        assert difference.max() <= 1, case["format"]
        assert (difference > 0).mean() < 0.01, case["format"]
