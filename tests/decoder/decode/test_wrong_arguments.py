"""Wrong arguments are a TypeError or a ValueError that names them, never an error from within."""

from __future__ import annotations

import io
import traceback
from pathlib import Path
from typing import Any

import pytest

import nvrc_decoder
from nvrc_decoder.bitstream.join import join
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.export import export_video

STREAM = Path(__file__).resolve().parents[3] / "conformance" / "streams" / "nano-1x1.nvrc"
DATA = STREAM.read_bytes()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "NoneType"),
        (123, "int"),
        ([], "list"),
        (DATA, "io.BytesIO"),
        (io.StringIO("text"), '"rb"'),
        (object(), "object"),
    ],
)
@pytest.mark.parametrize(
    "read",
    [nvrc_decoder.open, UnitReader, RandomAccess, lambda file: join([file], io.BytesIO())],
    ids=["open", "UnitReader", "RandomAccess", "join"],
)
def test_what_is_no_file(read: Any, value: Any, message: str) -> None:
    if isinstance(value, io.StringIO):
        value.seek(0)
    with pytest.raises(TypeError, match=message):
        read(value)
    with pytest.raises(TypeError, match=message):
        export_video(value, io.BytesIO())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"limits": 3}, TypeError),
        ({"limits": {"max_width": 3}}, TypeError),
        ({"threads": "4"}, TypeError),
        ({"threads": 1.5}, TypeError),
        ({"threads": 0}, ValueError),
        ({"threads": -1}, ValueError),
        ({"on_damage": 3}, TypeError),
        ({"times": {}}, TypeError),
        ({"engine": "tensorrt"}, ValueError),
        ({"engine": None}, ValueError),
        ({"engine": ["auto"]}, ValueError),
        ({"provider": "tpu"}, ValueError),
        ({"provider": None}, ValueError),
    ],
)
def test_wrong_options_of_open(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        nvrc_decoder.open(STREAM, **options)
    assert len(traceback.extract_tb(caught.value.__traceback__)) <= 4


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"max_width": "1"}, TypeError),
        ({"max_memory_bytes": 1e9}, TypeError),
        ({"max_gops": None}, TypeError),
        ({"max_width": -1}, ValueError),
    ],
)
def test_wrong_limits(values: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(values))):
        nvrc_decoder.Limits(**values)


@pytest.mark.parametrize("frame", [1.5, "1", None])
def test_wrong_frames_to_seek(frame: Any) -> None:
    with nvrc_decoder.open(STREAM) as video, pytest.raises(TypeError):
        video.seek(frame)


@pytest.mark.parametrize(("bits", "error"), [(7, ValueError), (17, ValueError), ("8", TypeError), (None, TypeError)])
def test_wrong_bits(bits: Any, error: type[Exception]) -> None:
    with nvrc_decoder.open(STREAM) as video:
        frame = next(video)
    for convert in (frame.to_rgb, frame.to_bgr):
        with pytest.raises(error):
            convert(bits)


def test_an_empty_name_is_no_directory() -> None:
    with pytest.raises(nvrc_decoder.InputError, match="empty"):
        nvrc_decoder.open("")


def test_objects_that_only_read_are_pipes() -> None:
    class Reader:
        def __init__(self) -> None:
            self.read = io.BytesIO(DATA).read

    reader: Any = Reader()
    with nvrc_decoder.open(reader) as video:
        assert video.frame_count is None
        assert len(list(video)) >= 1


@pytest.mark.parametrize("arguments", [("clip.y4m", io.BytesIO()), (None, io.BytesIO()), ([], None)])
def test_wrong_sources_of_encode(arguments: Any) -> None:
    pytest.importorskip("torch")
    from nvrc_encoder import encode

    with pytest.raises(TypeError, match="source is"):
        encode(*arguments)


def test_a_wrong_output_of_encode_is_told_before_the_training() -> None:
    pytest.importorskip("torch")
    from encoder_cases import gradient_source

    from nvrc_encoder import encode

    output: Any = "out.nvrc"
    with pytest.raises(TypeError, match="output is str"):
        encode(gradient_source(), output)
