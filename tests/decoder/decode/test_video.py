"""`nvrc_decoder.open`: iteration, seeking, digests, what is read and how much memory it takes."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path
from pipes import Pipe
from typing import Any

import pytest

import nvrc_decoder
from nvrc_decoder.bitstream.join import join
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import Digest, Gop, NetworkHeader, SequenceHeader
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.decode.engines import choose_engine
from nvrc_decoder.errors import InputError, InvalidStreamError, LimitError

CONFORMANCE = Path(__file__).resolve().parents[3] / "conformance"
STREAMS: dict[str, dict[str, Any]] = {
    s["id"]: s for s in json.loads((CONFORMANCE / "manifest.json").read_text())["streams"] if "expect" not in s
}
FOUR = STREAMS["nano-four-gops"]
NETWORKS = STREAMS["lite-networks"]
ENGINES = ["reference", "onnxruntime"]


def data_of(stream: dict[str, Any]) -> bytes:
    return (CONFORMANCE / stream["file"]).read_bytes()


class Recorder(io.BytesIO):
    """Remembers which bytes were read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.touched: set[int] = set()

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        data = super().read(size)
        self.touched.update(range(start, start + len(data)))
        return data


def rewritten(data: bytes, digest: bytes | None = None) -> bytes:
    """The stream without INDEX, with another DIGEST of its first GOP if one is given."""
    output = io.BytesIO()
    writer: StreamWriter | None = None
    gops: list[Gop] = []
    for unit in UnitReader(io.BytesIO(data)):
        content = unit.content
        if isinstance(content, SequenceHeader):
            writer = StreamWriter(output, content)
        elif writer is not None and isinstance(content, NetworkHeader):
            writer.network(content)
        elif isinstance(content, Gop):
            gops.append(content)
        elif writer is not None and isinstance(content, Digest):
            writer.gop(gops[-1], digest if digest and len(gops) == 1 else content.digest)
    assert writer is not None
    writer.finish(index=False)
    return output.getvalue()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["nano-four-gops", "lite-networks", "main-pair"])
def test_frames_from_a_path_a_file_and_a_pipe(engine: Any, name: str) -> None:
    stream = STREAMS[name]
    for source in (CONFORMANCE / stream["file"], io.BytesIO(data_of(stream)), Pipe(data_of(stream))):
        with nvrc_decoder.open(source, engine=engine) as video:  # type: ignore[arg-type]
            assert video.engine == engine
            assert video.info.profile == stream["profile"]
            assert [frame.md5() for frame in video] == stream["frame_md5"]


@pytest.mark.parametrize("stream", [FOUR, NETWORKS], ids=lambda stream: stream["id"])
@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("verify", [True, False])
def test_seek_to_every_frame(stream: dict[str, Any], index: bool, verify: bool) -> None:
    data = data_of(stream) if index else rewritten(data_of(stream))
    with nvrc_decoder.open(io.BytesIO(data), verify=verify) as video:
        assert video.frame_count == stream["frame_count"]
        for start in reversed(range(stream["frame_count"] + 1)):
            video.seek(start)
            assert [frame.md5() for frame in video] == stream["frame_md5"][start:]


def test_frame_count_does_not_disturb_iteration() -> None:
    with nvrc_decoder.open(io.BytesIO(data_of(FOUR))) as video:
        found = [next(video).md5()]
        assert video.frame_count == FOUR["frame_count"]
        found += [frame.md5() for frame in video]
    assert found == FOUR["frame_md5"]


def test_a_seekable_file_is_read_from_its_start() -> None:
    file = io.BytesIO(data_of(FOUR))
    file.seek(100)
    with nvrc_decoder.open(file) as video:
        assert [frame.md5() for frame in video] == FOUR["frame_md5"]


def test_seek_out_of_range_or_on_a_pipe() -> None:
    with nvrc_decoder.open(io.BytesIO(data_of(FOUR))) as video:
        for frame in (-1, FOUR["frame_count"] + 1):
            with pytest.raises(InputError):
                video.seek(frame)
    with nvrc_decoder.open(Pipe(data_of(FOUR))) as video:  # type: ignore[arg-type]
        assert video.frame_count is None
        with pytest.raises(InputError):
            video.seek(0)


def test_gop_3_needs_only_headers_network_and_itself() -> None:
    data = data_of(FOUR)
    units = list(UnitReader(io.BytesIO(data)))
    table = RandomAccess(io.BytesIO(data))
    first = table.index.entries[3].first_frame
    file = Recorder(data)
    with nvrc_decoder.open(file) as video:
        video.seek(first)
        assert [frame.md5() for frame in video] == FOUR["frame_md5"][first:]
    skipped = [u for u in units if u.name in {"GOP 0", "GOP 1", "GOP 2", "DIGEST 0", "DIGEST 1", "DIGEST 2"}]
    assert len(skipped) == 6
    for unit in skipped:
        assert file.touched.isdisjoint(range(unit.offset, unit.offset + unit.size)), unit.name


def peak_memory(data: bytes) -> int:
    tracemalloc.start()
    try:
        # One thread: a measurement of coverage keeps something of every thread that ever ran.
        with nvrc_decoder.open(Pipe(data), threads=1) as video:  # type: ignore[arg-type]
            for _ in video:
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.full
def test_memory_does_not_grow_with_the_number_of_gops() -> None:
    data = data_of(FOUR)
    few, many = io.BytesIO(), io.BytesIO()
    join([io.BytesIO(data) for _ in range(5)], few)
    join([io.BytesIO(data) for _ in range(80)], many)
    peak_memory(data)  # fills caches
    # An entry of INDEX a GOP may stay, which is less than one frame of this tiny stream; a frame a GOP may not.
    frame = FOUR["width"] * FOUR["height"] * 3 // 2
    assert peak_memory(many.getvalue()) - peak_memory(few.getvalue()) < 4 * 75 * frame


def test_two_networks_decode_to_both() -> None:
    pair = [data_of(FOUR), data_of(FOUR)]
    output = io.BytesIO()
    join([io.BytesIO(data) for data in pair], output)
    with nvrc_decoder.open(io.BytesIO(output.getvalue())) as video:
        assert [frame.md5() for frame in video] == FOUR["frame_md5"] * 2


@pytest.mark.parametrize("engine", ENGINES)
def test_wrong_digest(engine: Any) -> None:
    data = rewritten(data_of(FOUR), bytes(16))
    with (
        nvrc_decoder.open(io.BytesIO(data), engine=engine) as video,
        pytest.raises(InvalidStreamError) as caught,
    ):
        list(video)
    assert (caught.value.code, caught.value.unit) == ("E_DIGEST", "GOP 0")
    assert caught.value.offset is not None
    with nvrc_decoder.open(io.BytesIO(data), engine=engine, verify=False) as video:
        assert [frame.md5() for frame in video] == FOUR["frame_md5"]


def test_limits_are_checked() -> None:
    limits = nvrc_decoder.Limits(max_gop_symbols=1)
    with nvrc_decoder.open(io.BytesIO(data_of(FOUR)), limits=limits) as video, pytest.raises(LimitError):
        next(video)


def test_closing_ends_the_iteration(tmp_path: Path) -> None:
    with nvrc_decoder.open(CONFORMANCE / FOUR["file"]) as video:
        next(video)
    assert list(video) == []
    with pytest.raises(InputError):
        nvrc_decoder.open(tmp_path / "none.nvrc")
    with pytest.raises(InputError):
        nvrc_decoder.open(tmp_path)


def test_unknown_engine_and_attribute() -> None:
    with pytest.raises(ValueError, match="no such engine"):
        choose_engine("fast")  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="nothing"):
        nvrc_decoder.nothing  # noqa: B018
