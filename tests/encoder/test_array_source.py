"""`array_source`: arrays in memory as the encoder's input, and arrays that are no video."""

from __future__ import annotations

import doctest
import io
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nvrc_decoder
from nvrc_decoder.errors import InputError, UnsupportedError
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444
from nvrc_encoder import array_source


def grey(rows: int = 6, columns: int = 8, dtype: Any = np.uint8, value: int = 3) -> Any:
    return np.full((rows, columns), value, dtype)


@pytest.mark.parametrize(
    ("frame", "chroma_format", "bit_depth"),
    [
        (grey(), CHROMA_400, 8),
        ([grey(dtype=np.uint16)], CHROMA_400, 10),
        ((grey(5, 7), grey(3, 4), grey(3, 4)), CHROMA_420, 8),
        ((grey(), grey(), grey()), CHROMA_444, 8),
        (nvrc_decoder.Planes(grey(), grey(3, 4), grey(3, 4)), CHROMA_420, 8),
    ],
)
def test_format_follows_from_the_arrays(frame: Any, chroma_format: int, bit_depth: int) -> None:
    source = array_source([frame, frame], rate="30000/1001")
    assert (source.chroma_format, source.bit_depth, source.frame_count) == (chroma_format, bit_depth, 2)
    assert source.rate == Fraction(30000, 1001)
    assert [len(list(source)), len(list(source))] == [2, 2]


def test_arrays_are_copied() -> None:
    frame = grey()
    source = array_source([frame])
    frame[:] = 9
    assert int(next(iter(source)).y.max()) == 3


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        ([None], "frame 0 is neither"),
        ([grey(), "x"], "frame 1 is neither"),
        ([(grey(), grey())], "neither an array nor"),
        ([grey().astype(float)], "float64"),
        ([[[1, 2], [3, 4], [5, 6]]], "plane of list"),
        ([np.zeros((4, 4, 3), np.uint8)], "RGB has to be converted"),
        ([np.zeros((0, 4), np.uint8)], "4x0"),
        ([grey(), grey(7)], "frame 1 has other planes"),
        ([grey(), grey(dtype=np.uint16)], "frame 1 has uint16"),
        ([grey(dtype=np.uint16, value=1024)], "1024"),
    ],
)
def test_frames_that_are_no_video_are_refused(frames: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        array_source(frames)
    assert caught.value.code == "E_SOURCE"


@pytest.mark.parametrize("options", [{"bit_depth": 12}, {"bit_depth": "x"}])
def test_unknown_bit_depths(options: Any) -> None:
    with pytest.raises(UnsupportedError):
        array_source([grey()], **options)


def test_sizes_of_422() -> None:
    with pytest.raises(UnsupportedError, match="4:2:0"):
        array_source([(grey(6, 8), grey(6, 4), grey(6, 4))])


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), "x", "1/0", "1e99999999", 2**31])
def test_wrong_rates(rate: Any) -> None:
    with pytest.raises(ValueError, match="rate is"):
        array_source([grey()], rate=rate)


@pytest.mark.parametrize(("frames", "options"), [(5, {}), ([grey()], {"rate": None}), ([grey()], {"rate": [25]})])
def test_wrong_types(frames: Any, options: Any) -> None:
    with pytest.raises(TypeError):
        array_source(frames, **options)


def test_arrays_are_encoded() -> None:
    pytest.importorskip("torch")
    from encoder_cases import check, run

    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 1024, (20, 24), np.uint16) for _ in range(2)]
    source = array_source(frames, rate=12.5)
    data, report = run(source, iterations=1)
    check(data, report, source)
    with nvrc_decoder.open(io.BytesIO(data)) as video:
        again = array_source(video, rate=video.info.format.rate)
        assert again.picture == video.info.format


def test_the_guide_s_example() -> None:
    pytest.importorskip("torch")
    text = (Path(__file__).resolve().parents[2] / "docs" / "encoding.md").read_text(encoding="utf-8")
    example = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "array_source" in block)
    report: list[str] = []
    runner = doctest.DocTestRunner()
    runner.run(doctest.DocTestParser().get_doctest(example, {}, "docs/encoding.md", None, 0), out=report.append)
    assert runner.tries > 5
    assert runner.failures == 0, "".join(report)


def test_float_rates_are_read_as_decimals() -> None:
    assert array_source([grey()], rate=23.976).rate == Fraction(2997, 125)
