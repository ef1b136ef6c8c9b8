"""Input from a pipe: frames come out as GOPs come in, and nobody waits for what may never come."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import Gop
from nvrc_decoder.errors import InvalidStreamError

MANIFEST = load_manifest()
FOUR = MANIFEST.stream("nano-four-gops")
DATA = MANIFEST.read("nano-four-gops")
GOP_FRAMES = [unit.content.frame_count for unit in UnitReader(io.BytesIO(DATA)) if isinstance(unit.content, Gop)]


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "nvrc-prefetch"]


pytestmark = pytest.mark.usefixtures("no_thread_left")


def started_threads() -> list[str]:
    """Names of the decoder's threads."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("nvrc-")]


def offset_of(name: str) -> int:
    return next(unit.offset for unit in UnitReader(io.BytesIO(DATA)) if unit.name == name)


def test_frames_come_out_of_a_pipe_before_the_rest_is_in() -> None:
    reader, writer = os.pipe()
    part = offset_of("GOP 2")
    with os.fdopen(reader, "rb") as source, os.fdopen(writer, "wb") as sink:
        sink.write(DATA[:part])
        sink.flush()
        with nvrc_decoder.open(source, engine="reference") as video:
            found = [next(video).md5() for _ in range(sum(GOP_FRAMES[:2]))]
            sink.write(DATA[part:])
            sink.close()
            found += [frame.md5() for frame in video]
    assert tuple(found) == FOUR.frame_md5


def test_closing_does_not_wait_for_a_pipe() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as source, os.fdopen(writer, "wb") as sink:
        sink.write(DATA[: offset_of("GOP 1")])
        sink.flush()
        video = nvrc_decoder.open(source, engine="reference")
        assert next(video).md5() == FOUR.frame_md5[0]
        assert len(started_threads()) == 1
        video.close()
        assert started_threads() == []


def test_a_pipe_that_ends_early_gives_the_frames_of_whole_gops() -> None:
    reader, writer = os.pipe()
    found: list[str] = []
    with os.fdopen(reader, "rb") as source, os.fdopen(writer, "wb") as sink:
        sink.write(DATA[: offset_of("DIGEST 2") + 3])
        sink.close()
        with nvrc_decoder.open(source, engine="reference") as video, pytest.raises(InvalidStreamError) as caught:
            found.extend(frame.md5() for frame in video)
    assert caught.value.code == "E_TRUNCATED"
    assert tuple(found) == FOUR.frame_md5[: sum(GOP_FRAMES[:2])]


def test_a_pipe_that_was_read_before(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    feeder = threading.Thread(target=path.write_bytes, args=(b"before" + DATA,))
    feeder.start()
    with open(path, "rb") as source:
        assert source.read(6) == b"before"
        with nvrc_decoder.open(source, engine="reference") as video:
            assert tuple(frame.md5() for frame in video) == FOUR.frame_md5
    feeder.join()
