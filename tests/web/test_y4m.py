"""Raw video in y4m for JavaScript: every format that the codec has, and files that lie."""

from __future__ import annotations

import hashlib
import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node import needs_node, run_script

from nvrc_decoder.errors import NvrcError
from nvrc_decoder.picture.format import CHROMA_NAMES, Colour, VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_encoder.source.video import open_source
from nvrc_output.writers import y4m_header

pytestmark = needs_node
FORMATS = [
    VideoFormat(7, 5, Fraction(30000, 1001), chroma, depth, Colour(full_range=full, sample_position=position))
    for chroma, depth, full, position in itertools.product((0, 1, 2), (8, 10), (False, True), (0, 1, 2, 3))
    if position == 0 or (chroma, depth) == (1, 8)
]
GOOD = b"YUV4MPEG2 W4 H2 F25:1 Ip A1:1 C420jpeg"
FRAME = b"FRAME\n" + bytes(12)
BAD = {
    "no-magic": b"YUV4MPEG1 W4 H2\n" + FRAME,
    "magic-alone": b"YUV4MPEG2",
    "no-line-end": b"YUV4MPEG2 W4 H2" + b" Xa" * 2000,
    "no-width": b"YUV4MPEG2 H2\n" + FRAME,
    "width-0": b"YUV4MPEG2 W0 H2\n" + FRAME,
    "width-large": b"YUV4MPEG2 W65536 H2\n" + FRAME,
    "height-no-number": b"YUV4MPEG2 W4 H2.0\n" + FRAME,
    "rate": b"YUV4MPEG2 W4 H2 F25\n" + FRAME,
    "space": b"YUV4MPEG2 W4 H2 C422\n" + FRAME,
    "no-frame": GOOD + b"\n",
    "cut-off": GOOD + b"\n" + FRAME + FRAME[:-1],
    "short": b"YUV4MPEG2 W65535 H65535\n" + FRAME,
    "no-frame-line": GOOD + b"\n" + b"XXXXX\n" + bytes(12),
    "later-frame-line": GOOD + b"\n" + FRAME + b"FRAMX\n" + bytes(12),
}
# A video without frames.
PYTHON_TAKES = {"no-frame"}


def pictures(video: VideoFormat) -> list[Planes]:
    random = np.random.default_rng(3)
    return [
        Planes(*(random.integers(0, 1 << video.bit_depth, shape).astype(video.dtype) for shape in video.plane_shapes))
        for _ in range(3)
    ]


def test_every_format_is_read(tmp_path: Path) -> None:
    files, digests = [], []
    for number, video in enumerate(FORMATS):
        frames = [b"".join(frame.chunks()) for frame in pictures(video)]
        files.append(tmp_path / f"{number}.y4m")
        files[-1].write_bytes(y4m_header(video) + b"".join(b"FRAME\n" + frame for frame in frames))
        digests.append([hashlib.md5(frame).hexdigest() for frame in frames])
    for video, file, frames_md5, result in zip(FORMATS, files, digests, run_script("y4m.mjs", *files), strict=True):
        assert result == {
            "width": 7,
            "height": 5,
            "rate": {"numerator": 30000, "denominator": 1001},
            "chromaFormat": CHROMA_NAMES[video.chroma_format],
            "bitDepth": video.bit_depth,
            "matrix": 1,
            "fullRange": video.colour.full_range,
            "chromaPosition": video.colour.sample_position,
            "bytes": file.stat().st_size,
            "units": [],
            "frames": frames_md5,
            "last": frames_md5[-1],
        }


@pytest.mark.parametrize(("header", "picture"), [(b"W4 H2", (25, 1, False)), (b"W4 H2 F0:0 Cmono", (25, 1, True))])
def test_defaults_are_those_of_python(tmp_path: Path, header: bytes, picture: tuple[int, int, bool]) -> None:
    file = tmp_path / "a.y4m"
    file.write_bytes(b"YUV4MPEG2 " + header + b"\nFRAME Ip\n" + bytes(8 if b"mono" in header else 12))
    (result,) = run_script("y4m.mjs", file)
    rate, full = open_source(str(file)).picture.rate, open_source(str(file)).picture.colour.full_range
    assert (rate.numerator, rate.denominator, full) == picture
    assert (*result["rate"].values(), result["fullRange"]) == picture
    assert len(result["frames"]) == 1


def test_bad_files_are_refused(tmp_path: Path) -> None:
    for name, data in BAD.items():
        (tmp_path / name).write_bytes(data)
    results = dict(zip(BAD, run_script("y4m.mjs", *(tmp_path / name for name in BAD)), strict=True))
    assert results.pop("no-magic")["code"] == "E_MAGIC", "it is no y4m, and so taken for a stream"
    for name, result in results.items():
        assert result["code"] is None, name
        assert "y4m" in result["error"], name
        if name not in PYTHON_TAKES:
            with pytest.raises(NvrcError):
                list(open_source(str(tmp_path / name)))
    assert results["short"]["error"] == (
        "malformed y4m: the header says 65535x65535, 6442319873 bytes a frame; only 18 bytes follow"
    )
    assert results["later-frame-line"]["error"] == "malformed y4m: frame 1 does not start with FRAME"


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ("YUV4MPEG2 W65535 H65535", 1 << 40, "is cut off"),
        ("YUV4MPEG2 W65535 H65535", 24 + 3 * (6 + 6442319873), 3),
        ("YUV4MPEG2 W1 H1", 1 << 50, "is cut off"),
    ],
)
def test_opening_reads_lines_alone(header: str, size: int, expected: Any) -> None:
    (result,) = run_script("y4m_reads.mjs", header, size)
    assert result["most"] <= 4096
    assert expected in result["error"] if isinstance(expected, str) else result["frames"] == expected
