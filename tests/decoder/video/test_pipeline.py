"""The pipeline: what happens at once, what is kept in memory, what is put out, and how it ends."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from stream_builders import with_wrong_digest

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import Gop
from nvrc_decoder.decode import engine, symbols
from nvrc_decoder.decode.engine import Synthesizer, Synthesizers
from nvrc_decoder.decode.gop import Network
from nvrc_decoder.decode.lookahead import Cancelled
from nvrc_decoder.decode.memory import GopMemory, gop_memory
from nvrc_decoder.decode.symbols import StageTimes
from nvrc_decoder.errors import InternalError, InvalidStreamError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits

MANIFEST = load_manifest()
FOUR = MANIFEST.stream("nano-four-gops")
DATA = MANIFEST.read("nano-four-gops")
GOP_FRAMES = [unit.content.frame_count for unit in UnitReader(io.BytesIO(DATA)) if isinstance(unit.content, Gop)]
PATIENCE = 30.0


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "nvrc-lookahead"]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert threads() == []


def gop_networks() -> list[int]:
    """For each GOP the number of its NETWORK."""
    numbers = []
    for unit in UnitReader(io.BytesIO(DATA)):
        if unit.name.startswith("NETWORK"):
            network = int(unit.name.split()[1])
        elif isinstance(unit.content, Gop):
            numbers.append(network)
    return numbers


def memories(limits: Limits = DEFAULT_LIMITS, frame_threads: int = 1) -> list[GopMemory]:
    reader = UnitReader(io.BytesIO(DATA))
    found = []
    for unit in reader:
        if isinstance(unit.content, Gop) and reader.sequence is not None and reader.network is not None:
            found.append(gop_memory(reader.sequence, reader.network, unit.content, limits, frame_threads))
    return found


def decode(**options: Any) -> list[str]:
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference", **options) as video:
        return [frame.md5() for frame in video]


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("lookahead", [True, False])
@pytest.mark.parametrize("engine", ["reference", "onnxruntime"])
def test_the_same_frames_in_every_mode(verify: bool, lookahead: bool, engine: Any) -> None:
    with nvrc_decoder.open(io.BytesIO(DATA), engine=engine, verify=verify, lookahead=lookahead) as video:
        frames = list(video)
    assert tuple(frame.md5() for frame in frames) == FOUR.frame_md5
    assert [frame.number for frame in frames] == list(range(FOUR.frame_count))
    assert all(frame.format == video.info.format for frame in frames)


def test_stage_times_count_what_was_made() -> None:
    times = StageTimes()
    for _ in range(2):
        decode(times=times)
    assert (times.gops, times.frames) == (8, 2 * FOUR.frame_count)
    assert times.symbol_count > 0
    for stage in ("parse", "network", "symbols", "session", "synthesis", "digest", "waiting"):
        assert getattr(times, stage) > 0, stage


def test_no_frame_of_a_gop_that_does_not_match() -> None:
    for gop, frames in enumerate(GOP_FRAMES):
        found: list[str] = []
        with nvrc_decoder.open(io.BytesIO(with_wrong_digest(DATA, gop)), engine="reference") as video:
            with pytest.raises(InvalidStreamError) as caught:
                found.extend(frame.md5() for frame in video)
            assert list(video) == []
        assert (caught.value.code, caught.value.unit) == ("E_DIGEST", f"GOP {gop}")
        assert frames > 0
        assert tuple(found) == FOUR.frame_md5[: sum(GOP_FRAMES[:gop])]


class Watch:
    """Counts the GOPs that are made, and can change what is made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        original = Synthesizers.of

        def of(synthesizers: Synthesizers, network: Network, frame_threads: int) -> Synthesizer:
            inner = original(synthesizers, network, frame_threads)
            watch = self

            class Counting:
                def synthesise(self, *arguments: Any) -> Any:
                    return inner.synthesise(*arguments)

                def decode_gop(self, *arguments: Any) -> Any:
                    watch.made += 1
                    return watch.change(inner.decode_gop(*arguments))

            return Counting()

        monkeypatch.setattr(Synthesizers, "of", of)

    def change(self, frames: Any) -> Any:
        return frames


@pytest.mark.parametrize("lookahead", [True, False])
def test_frames_that_do_not_fit_are_made_twice(monkeypatch: pytest.MonkeyPatch, lookahead: bool) -> None:
    watch = Watch(monkeypatch)
    assert tuple(decode(lookahead=lookahead)) == FOUR.frame_md5
    assert watch.made == 4
    watch.made = 0
    largest = max(memories(), key=lambda memory: memory.holding)
    limits = replace(DEFAULT_LIMITS, max_memory_bytes=largest.holding - 1)
    assert memories(limits) == memories()
    assert tuple(decode(limits=limits, lookahead=lookahead)) == FOUR.frame_md5
    assert watch.made == 4 + sum(memory.holding >= largest.holding for memory in memories())


@pytest.mark.parametrize("lookahead", [True, False])
def test_what_is_kept_for_the_next_frame_goes_where_the_next_gop_would_not_fit_beside_it(
    monkeypatch: pytest.MonkeyPatch, lookahead: bool
) -> None:
    log: list[str] = []
    release, decode_grids = Synthesizers.release, symbols.decode_grids
    monkeypatch.setattr(Synthesizers, "release", lambda self: log.append("release") or release(self))
    monkeypatch.setattr(symbols, "decode_grids", lambda *a, **k: log.append("grids") or decode_grids(*a, **k))
    assert tuple(decode(lookahead=lookahead)) == FOUR.frame_md5
    assert log == ["release", *["grids"] * 4, "release"]
    log.clear()
    limits = replace(DEFAULT_LIMITS, max_memory_bytes=max(memory.estimate for memory in memories()))
    crowded = [not a.leaves_room(b, limits) for a, b in pairwise(memories(limits))]
    assert any(crowded)
    assert tuple(decode(limits=limits, lookahead=lookahead)) == FOUR.frame_md5
    expected = ["release", "grids"]
    for full in crowded:
        expected += ["release"] * full + ["grids"]
    assert log == [*expected, "release"]
    log.clear()
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference", lookahead=lookahead) as video:
        next(video)
        log.clear()
        video.seek(FOUR.frame_count - 1)
        next(video)
        assert log[:2] == ["release", "grids"]
    assert video._decoding.synthesizers._synthesizer is None


def test_frames_are_made_at_a_time_only_where_all_fits() -> None:
    one = memories()
    several = memories(frame_threads=3)
    for single, memory in zip(one, several, strict=True):
        assert (single.frame_threads, memory.frame_threads) == (1, 3)
        others = 2 * (memory.activations + memory.frame) + memory.inputs
        assert memory.holding == single.holding + others
        assert memory.estimate == single.estimate
    largest = max(range(4), key=lambda i: several[i].holding + several[i].ahead)
    limit = several[largest].holding + several[largest].ahead
    assert memories(replace(DEFAULT_LIMITS, max_memory_bytes=limit), 3)[largest] == several[largest]
    less = memories(replace(DEFAULT_LIMITS, max_memory_bytes=limit - 1), 3)[largest]
    assert less.frame_threads == several[largest].frame_threads - 1
    # Where not even one fits it is made, and refused elsewhere.
    assert {memory.frame_threads for memory in memories(replace(DEFAULT_LIMITS, max_memory_bytes=1), 3)} == {1}


def test_how_many_frames_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "cores", lambda: 3)
    made: list[int] = []
    original = engine.make_synthesizer

    def make(*arguments: Any) -> Synthesizer:
        made.append(arguments[-1])
        return original(*arguments)

    monkeypatch.setattr(engine, "make_synthesizer", make)
    for threads, name, frame_threads in ((None, "onnxruntime", 3), (1, "onnxruntime", 1), (9, "onnxruntime", 4)):
        with nvrc_decoder.open(io.BytesIO(DATA), engine=name, threads=threads) as video:  # type: ignore[arg-type]
            assert video._decoding.synthesizers.frame_threads == frame_threads
            assert tuple(frame.md5() for frame in video) == FOUR.frame_md5
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference") as video:
        assert video._decoding.synthesizers.frame_threads == 1
    # One for each NETWORK, however short its GOPs are.
    networks = len(set(gop_networks()))
    assert made == [3] * networks + [1] * networks + [4] * networks


def test_frames_that_differ_the_second_time_are_not_put_out(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    monkeypatch.setattr(GopMemory, "holding", property(lambda memory: 1 << 60))

    def change(frames: Iterator[Any]) -> Iterator[Any]:
        for frame in frames:
            if watch.made == 2:
                frame.y[0, 0] ^= 1
            yield frame

    monkeypatch.setattr(watch, "change", change)
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference") as video, pytest.raises(InternalError) as caught:
        next(video)
    assert caught.value.code == "E_RUNTIME"


class Steps:
    """What was done in which order: the numbers of GOPs whose grids were begun, and "frame"."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[object] = []
        self.second = threading.Event()
        original = symbols.decode_grids

        def decode_grids(*arguments: Any, **options: Any) -> Any:
            number = sum(isinstance(entry, int) for entry in self.log)
            self.log.append(number)
            if number == 1:
                self.second.set()
            return original(*arguments, **options)

        monkeypatch.setattr(symbols, "decode_grids", decode_grids)


def test_the_next_gop_is_decoded_while_frames_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference") as video:
        next(video)
        assert steps.second.wait(PATIENCE)


def test_a_gop_that_does_not_fit_beside_the_last_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    first, second = memories()[:2]
    limits = replace(DEFAULT_LIMITS, max_memory_bytes=first.holding + second.ahead - 1)
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference", limits=limits) as video:
        next(video)
        assert not steps.second.wait(0.1)
        found = 1
        for _ in video:
            steps.log.append("frame")
            found += 1
    assert found == FOUR.frame_count
    assert steps.log.index(1) == GOP_FRAMES[0]  # after GOP 0 was begun and its other frames were put out


def test_without_lookahead_there_is_no_thread() -> None:
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference", lookahead=False) as video:
        next(video)
        assert threads() == []


def test_opening_and_asking_for_information_start_no_thread() -> None:
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference") as video:
        assert video.frame_count == FOUR.frame_count
        assert video.info.profile == "nano"
        assert threads() == []


def test_closing_seeking_and_the_end_stop_the_thread() -> None:
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference") as video:
        next(video)
        assert len(threads()) == 1
        video.seek(2)
        assert threads() == []
        next(video)
        assert len(threads()) == 1
    assert threads() == []
    assert list(video) == []
    decode()
    assert threads() == []


def test_a_video_that_nobody_keeps_stops_its_thread() -> None:
    for frame in nvrc_decoder.open(io.BytesIO(DATA), engine="reference"):
        assert frame.number == 0
        break
    del frame
    gc.collect()
    assert threads() == []


@pytest.mark.parametrize("verify", [True, False])
def test_a_program_may_end_with_frames_under_way(verify: bool) -> None:
    code = (
        "import sys, nvrc_decoder\n"
        f"video = nvrc_decoder.open(sys.argv[1], threads=3, engine='onnxruntime', verify={verify})\n"
        "print(next(video).md5())\n"
    )
    command = [sys.executable, "-c", code, str(MANIFEST.file(FOUR))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60)
    assert (done.stdout, done.stderr) == (f"{FOUR.frame_md5[0]}\n", "")


def test_decoding_of_symbols_looks_up_at_each_step() -> None:
    class Stop:
        count = 0

        def check(self) -> None:
            self.count += 1
            if self.count == 3:
                raise Cancelled

        def wait_idle(self) -> None:
            """Never asked."""

    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference") as video:
        pace = Stop()
        decoding = video._decoding
        records = nvrc_decoder.video.read_table(video._random_access(), 0)
        with pytest.raises(Cancelled):
            list(symbols.decode_symbols(decoding, records, pace))
    assert pace.count == 3


def test_the_number_of_frames_can_be_asked_for_at_any_time() -> None:
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference") as video:
        found = []
        for frame in video:
            found.append(frame.md5())
            video._table = None
            assert video.frame_count == FOUR.frame_count
    assert tuple(found) == FOUR.frame_md5


@pytest.mark.parametrize("engine", ["reference", "onnxruntime"])
def test_two_threads_decode_two_streams_at_once(engine: Any) -> None:
    names = ["lite-networks", "nano-gops", "main-pair"]
    results: dict[str, tuple[str, ...]] = {}
    start = threading.Barrier(len(names))

    def work(name: str) -> None:
        start.wait(PATIENCE)
        with nvrc_decoder.open(io.BytesIO(MANIFEST.read(name)), engine=engine, threads=1) as video:
            results[name] = tuple(frame.md5() for frame in video)

    workers = [threading.Thread(target=work, args=(name,)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == {name: MANIFEST.stream(name).frame_md5 for name in names}
