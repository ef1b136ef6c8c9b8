"""A GOP that is begun before the last frames of the one before are there: the same frames, errors in their place."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from stream_builders import with_wrong_digest

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.salvage import Damage
from nvrc_decoder.bitstream.units import Gop
from nvrc_decoder.decode import engine
from nvrc_decoder.decode.lookahead import Lookahead
from nvrc_decoder.errors import InternalError, InvalidStreamError
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer

pytest.importorskip("onnxruntime")

MANIFEST = load_manifest()
FOUR = MANIFEST.stream("nano-four-gops")
DATA = MANIFEST.read("nano-four-gops")
GOP_FRAMES = [unit.content.frame_count for unit in UnitReader(io.BytesIO(DATA)) if isinstance(unit.content, Gop)]
PATIENCE = 30.0


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.fixture(autouse=True)
def _gops_that_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the next GOP is there in time is no matter of luck here."""
    take = Lookahead.take

    def patient(self: Lookahead[Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (self._slot or self._finished):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return take(self)

    monkeypatch.setattr(Lookahead, "take", patient)


class Log:
    """Frames that were begun as (GOP, frame), and frames that were made as their number in the GOP."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
        self.begun: list[tuple[int, int]] = []
        self.grids: list[Any] = []
        self.fails: tuple[int, int] | None = None
        monkeypatch.setattr(engine, "cores", lambda: cores)
        features = OrtSynthesizer._features

        def logged(synthesizer: OrtSynthesizer, grids: Any, count: int, frames: range) -> Any:
            if not any(grids is known for known in self.grids):
                self.grids.append(grids)
            entry = next(i for i, known in enumerate(self.grids) if known is grids), frames.start
            self.begun.append(entry)
            if entry == self.fails:
                raise InternalError("E_RUNTIME", "made for this test")
            return features(synthesizer, grids, count, frames)

        monkeypatch.setattr(OrtSynthesizer, "_features", logged)


def opened(data: bytes = DATA, **options: Any) -> nvrc_decoder.Video:
    return nvrc_decoder.open(io.BytesIO(data), engine="onnxruntime", **options)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("cores", [1, 2, 3, 9])
def test_the_same_frames(cores: int, verify: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, cores)
    with opened(verify=verify) as video:
        assert tuple(frame.md5() for frame in video) == FOUR.frame_md5
    assert log.begun == [(gop, t) for gop, count in enumerate(GOP_FRAMES) for t in range(count)]


@pytest.mark.parametrize("name", ["nano-gops", "nano-two-gops", "nano-motion"])
def test_the_same_frames_with_motion(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, 2)
    with opened(MANIFEST.read(name)) as video:
        assert tuple(frame.md5() for frame in video) == MANIFEST.stream(name).frame_md5
    assert log.grids[0] == []


@pytest.mark.parametrize(("cores", "ahead"), [(1, 0), (2, 3), (3, 4)])
def test_the_next_gop_is_begun_before_a_frame_of_this_one_is_out(
    cores: int, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(monkeypatch, cores)
    with opened() as video:
        next(video)
        later = [entry for entry in log.begun if entry[0] == 1]
        assert later == [(1, t) for t in range(min(ahead, GOP_FRAMES[1]))]
        # Of the first GOP nothing but its frames is kept.
        assert (log.grids[0] == []) == (ahead > 0)
    assert {gop for gop, _ in log.begun} <= {0, 1}


def test_without_lookahead_none_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, 2)
    with opened(lookahead=False) as video:
        next(video)
        assert {gop for gop, _ in log.begun} == {0}


def test_frames_of_a_device_keep_their_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, 2)
    stream = OrtSynthesizer.stream
    # As on a device, whose frames come from a generator.
    monkeypatch.setattr(OrtSynthesizer, "stream", lambda *arguments: (frame for frame in stream(*arguments)))
    with opened() as video:
        assert tuple(frame.md5() for frame in video) == FOUR.frame_md5
    assert log.begun == [(gop, t) for gop, count in enumerate(GOP_FRAMES) for t in range(count)]
    assert all(log.grids)


def test_frames_that_are_made_twice_are_not_mixed_with_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from nvrc_decoder.decode.memory import GopMemory

    monkeypatch.setattr(GopMemory, "keeps_frames", lambda memory, limits: False)
    log = Log(monkeypatch, 2)
    with opened() as video:
        assert tuple(frame.md5() for frame in video) == FOUR.frame_md5
    assert log.begun == [(gop, t) for gop, count in enumerate(GOP_FRAMES) for _ in range(2) for t in range(count)]


@pytest.mark.parametrize("gop", range(4))
def test_a_wrong_digest_is_found_in_its_place(gop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    Log(monkeypatch, 2)
    first = sum(GOP_FRAMES[:gop])
    found: list[str] = []
    with opened(with_wrong_digest(DATA, gop)) as video, pytest.raises(InvalidStreamError) as caught:
        found.extend(frame.md5() for frame in video)
    assert (caught.value.code, caught.value.unit) == ("E_DIGEST", f"GOP {gop}")
    assert tuple(found) == FOUR.frame_md5[:first]
    damages: list[Damage] = []
    with opened(with_wrong_digest(DATA, gop), on_damage=damages.append) as video:
        others = tuple(frame.md5() for frame in video)
    assert others == FOUR.frame_md5[:first] + FOUR.frame_md5[first + GOP_FRAMES[gop] :]
    assert [damage.gop for damage in damages] == [gop]


def test_a_frame_that_fails_is_an_error_after_all_frames_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, 2)
    log.fails = 1, 0
    found: list[str] = []
    with opened() as video, pytest.raises(InternalError, match="made for this test"):
        found.extend(frame.md5() for frame in video)
    assert tuple(found) == FOUR.frame_md5[: GOP_FRAMES[0]]


def test_closing_and_seeking_end_what_was_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, 2)
    with opened() as video:
        next(video)
        assert (1, 0) in log.begun
        video.seek(FOUR.frame_count - 1)
        assert next(video).md5() == FOUR.frame_md5[-1]
        video.seek(0)
        next(video)


def test_another_network_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, 2)
    data = MANIFEST.read("lite-networks")
    gops = [unit.content for unit in UnitReader(io.BytesIO(data)) if isinstance(unit.content, Gop)]
    made: list[int] = []
    make = engine.make_synthesizer

    def counting(*arguments: Any) -> Any:
        made.append(len(log.begun))
        return make(*arguments)

    monkeypatch.setattr(engine, "make_synthesizer", counting)
    with opened(data) as video:
        assert tuple(frame.md5() for frame in video) == MANIFEST.stream("lite-networks").frame_md5
    boundaries = {sum(gop.frame_count for gop in gops[:i]) for i in range(len(gops))}
    assert len(made) > 1
    assert set(made) <= boundaries
