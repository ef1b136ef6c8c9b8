"""`nvrc-ref compare`: figures, worst frames, pictures, and what cannot be compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from nvrc_conformance.manifest import load_manifest
from nvrc_ref.main import run

MANIFEST = load_manifest()
STREAM = MANIFEST.stream("nano-four-gops")


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    path = tmp_path / "a.nvrc"
    path.write_bytes(MANIFEST.read("nano-four-gops"))
    return path


@pytest.fixture
def source(stream: Path) -> Path:
    """The decoded stream."""
    path = stream.with_name("source.y4m")
    assert run(["decode", str(stream), "-o", str(path), "--quiet"]) == 0
    return path


def gray(
    path: Path, levels: list[int], size: tuple[int, int] = (8, 4), space: str = "mono XCOLORRANGE=LIMITED"
) -> Path:
    width, height = size
    header = f"YUV4MPEG2 W{width} H{height} F25:1 C{space}\n".encode()
    path.write_bytes(header + b"".join(b"FRAME\n" + bytes([level]) * (width * height) for level in levels))
    return path


def compared(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[dict[str, Any], str]:
    capsys.readouterr()
    assert run(["compare", *map(str, words), "--json"]) == 0
    shown = capsys.readouterr()
    return json.loads(shown.out), shown.err


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    capsys.readouterr()
    return run(["compare", *map(str, words)]), capsys.readouterr().err


def test_a_stream_equals_its_decoded_frames(stream: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, notes = compared(capsys, source, stream)
    assert (document["identical"], document["frames"], document["longer"]) == (True, STREAM.frame_count, None)
    assert document["bytes"] == stream.stat().st_size
    assert document["psnr"]["y"] == 100
    assert notes == ""
    assert run(["compare", str(source), str(stream)]) == 0
    assert "all identical" in capsys.readouterr().out


def test_psnr_and_ms_ssim_follow_their_definition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = gray(tmp_path / "a.y4m", [10, 10, 10]), gray(tmp_path / "b.y4m", [11, 15, 10])
    document, _ = compared(capsys, *pair)
    expected = [20 * np.log10(255 / 1), 20 * np.log10(255 / 5), 100]
    assert [frame["psnr"]["y"] for frame in document["per_frame"]] == pytest.approx(expected)
    assert document["psnr"] == {
        "y": pytest.approx(np.mean(expected)),
        "u": None,
        "v": None,
        "yuv": document["psnr"]["y"],
    }
    assert document["worst_frame"] == {"frame": 1, "psnr_y": pytest.approx(expected[1])}
    assert document["ms_ssim_y"] is None
    assert "97x97" in document["ms_ssim_reason"]
    assert run(["compare", *map(str, pair), "--per-frame"]) == 0
    assert capsys.readouterr().out.splitlines()[-2].split() == ["1", "34.15", "34.15"]


@pytest.mark.parametrize(("counts", "longer"), [((3, 2), "source"), ((2, 3), "decoded")])
def test_extra_frames_on_one_side_are_noted(
    tmp_path: Path, counts: tuple[int, int], longer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [gray(tmp_path / f"{i}.y4m", [9] * n) for i, n in enumerate(counts)]
    document, notes = compared(capsys, *paths)
    assert (document["frames"], document["longer"]) == (2, longer)
    assert "has more frames" in notes
    document, notes = compared(capsys, *paths, "--frames", 1)
    assert (document["frames"], document["longer"], notes) == (1, None, "")


def test_skipped_frames_line_up(stream: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = tmp_path / "part.y4m"
    assert run(["decode", str(stream), "-o", str(part), "--start", "3", "--quiet"]) == 0
    document, _ = compared(capsys, source, part, "--skip", 3)
    assert document["identical"]
    document, _ = compared(capsys, stream, part, "--skip", 3)
    assert document["identical"]


@pytest.mark.parametrize(
    "other", [{"size": (10, 4)}, {"space": "444", "size": (8, 4)}, {"space": "mono10"}], ids=["size", "chroma", "depth"]
)
def test_videos_of_two_formats_are_refused(
    tmp_path: Path, other: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = refused(capsys, gray(tmp_path / "a.y4m", [1]), gray(tmp_path / "b.y4m", [1] * 3, **other))
    assert code == 1
    assert error.startswith("error[E_FORMAT]")


def test_a_different_range_or_rate_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = gray(tmp_path / "a.y4m", [1]), gray(tmp_path / "b.y4m", [1], space="mono XCOLORRANGE=FULL")
    _, notes = compared(capsys, *pair)
    assert "limited" in notes
    assert "full" in notes
    pair[1].write_bytes(pair[0].read_bytes().replace(b"F25:1", b"F30:1"))
    _, notes = compared(capsys, *pair)
    assert "25 frames a second" in notes


def test_videos_without_frames_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = refused(capsys, gray(tmp_path / "a.y4m", [1]), gray(tmp_path / "b.y4m", []))
    assert (code, error.split(" ")[0]) == (65, "error[E_FRAMES]")
    code, error = refused(capsys, tmp_path / "none.y4m", tmp_path / "a.y4m")
    assert (code, error.split(" ")[0]) == (66, "error[E_NO_INPUT]")


def test_headerless_video_is_read_with_its_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yuv").write_bytes(bytes(64))
    document, _ = compared(
        capsys, tmp_path / "a.yuv", gray(tmp_path / "b.y4m", [0, 0]), "--size", "8x4", "--chroma", 400
    )
    assert document["identical"]


def test_the_picture_shows_the_worst_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = (200, 40)
    pair = gray(tmp_path / "a.y4m", [100] * 3, size), gray(tmp_path / "b.y4m", [100, 110, 101], size)
    png = tmp_path / "a.png"
    for words, difference in (([], 10), (["--frame", "2"], 1)):
        assert run(["compare", *map(str, pair), "--png", str(png), *words]) == 0
        picture = cv2.imread(str(png))[-40:]
        third = (picture.shape[1] - 8) // 3
        assert third == 200
        assert picture[5, -5].tolist() == [128 + 4 * difference] * 3
        left, middle = int(picture[5, 5, 0]), int(picture[5, third + 9, 0])
        assert middle - left == pytest.approx(difference * 255 / 219, abs=1)
    code, error = refused(capsys, *pair, "--png", png, "--frame", 3)
    assert (code, "there is no frame 3" in error) == (66, True)


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pair = gray(tmp_path / "a.y4m", [100] * 3), gray(tmp_path / "b.y4m", [100, 110, 101])
    assert run(["compare", *map(str, pair), "--plot", str(tmp_path / "a.png")]) == 0
    assert cv2.imread(str(tmp_path / "a.png")).std() > 1


@pytest.mark.parametrize("words", [["--png", "{a}"], ["--plot", "x.txt"], ["--frame", "1"], ["--png", "no/x.png"]])
def test_bad_outputs_are_refused_before_decoding(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    a = gray(tmp_path / "a.png", [1])
    before = a.read_bytes()
    code, _ = refused(capsys, a, a, *(word.format(a=a) for word in words))
    assert code in (2, 74)
    assert a.read_bytes() == before


def test_compare_needs_no_optional_package(stream: Path, source: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'av', 'matplotlib', 'rich', 'onnxruntime'): sys.modules[name] = None\n"
        "from nvrc_ref.main import run\n"
        f"sys.exit(run(['compare', {str(source)!r}, {str(stream)!r}, '--png', {str(source.with_suffix('.png'))!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "all identical" in done.stdout
