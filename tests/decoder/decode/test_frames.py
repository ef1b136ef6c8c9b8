"""From GOPs to frames: what runs concurrently, what is kept in memory, what is given out, and how it ends."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from stream_builders import with_wrong_digest
from waiting import PATIENCE

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.gops import iterate_gops
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import Gop
from nvrc_decoder.decode import engines, symbols
from nvrc_decoder.decode import plan as plan_module
from nvrc_decoder.decode.budget import Budget
from nvrc_decoder.decode.engines import Engines
from nvrc_decoder.decode.plan import GopPlan, make_plan
from nvrc_decoder.decode.prefetch import Cancelled
from nvrc_decoder.decode.stages import StageTimes
from nvrc_decoder.errors import InternalError, InvalidStreamError, LimitError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_decoder.synthesis.synthesizer import Job

MANIFEST = load_manifest()
FOUR = MANIFEST.stream("nano-four-gops")
DATA = MANIFEST.read("nano-four-gops")
GOP_FRAMES = [unit.content.frame_count for unit in UnitReader(io.BytesIO(DATA)) if isinstance(unit.content, Gop)]


pytestmark = pytest.mark.usefixtures("no_thread_left")


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "nvrc-prefetch"]


def gop_networks() -> list[int]:
    """For each GOP the number of its NETWORK."""
    numbers = []
    for unit in UnitReader(io.BytesIO(DATA)):
        if unit.name.startswith("NETWORK"):
            network = int(unit.name.split()[1])
        elif isinstance(unit.content, Gop):
            numbers.append(network)
    return numbers


def plans(limits: Limits = DEFAULT_LIMITS, workers: int = 1) -> list[GopPlan]:
    reader = UnitReader(io.BytesIO(DATA))
    return [
        make_plan(reader.sequence, record.network, record.gop, limits, workers)  # type: ignore[arg-type]
        for record in iterate_gops(reader)
    ]


def needed(plan: GopPlan) -> int:
    """Bytes while the frames are made and all of them are kept."""
    return plan.synthesis.bytes + plan.grid_bytes + plan.synthesis.frame * plan.frame_count


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
    """Counts how often the frames of a GOP are made, and can change them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        original = ReferenceSynthesizer.jobs
        watch = self

        def jobs(synthesizer: ReferenceSynthesizer, *arguments: Any) -> Iterator[Job]:
            watch.made += 1
            return watch.change(original(synthesizer, *arguments))

        monkeypatch.setattr(ReferenceSynthesizer, "jobs", jobs)

    def change(self, jobs: Iterator[Job]) -> Iterator[Job]:
        return jobs


@pytest.mark.parametrize("lookahead", [True, False])
def test_frames_that_do_not_fit_are_made_twice(monkeypatch: pytest.MonkeyPatch, lookahead: bool) -> None:
    watch = Watch(monkeypatch)
    assert tuple(decode(lookahead=lookahead)) == FOUR.frame_md5
    assert watch.made == 4
    watch.made = 0
    largest = max(map(needed, plans()))
    limits = replace(DEFAULT_LIMITS, max_memory_bytes=largest - 1)
    assert [plan.kept for plan in plans(limits)] == [needed(plan) < largest for plan in plans()]
    assert tuple(decode(limits=limits, lookahead=lookahead)) == FOUR.frame_md5
    assert watch.made == 4 + sum(needed(plan) == largest for plan in plans())


def test_a_frame_that_differs_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    original = symbols.make_plan
    monkeypatch.setattr(symbols, "make_plan", lambda *a: replace(original(*a), kept=False))

    def change(jobs: Iterator[Job]) -> Iterator[Job]:
        for job in jobs:
            made = job()
            if watch.made == 2:
                made[0].y[0, 0] ^= 1
            yield partial(list, made)

    monkeypatch.setattr(watch, "change", change)
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference") as video, pytest.raises(InternalError) as caught:
        next(video)
    assert caught.value.code == "E_RUNTIME"


@pytest.mark.parametrize("lookahead", [True, False])
def test_memory_is_released_where_the_next_gop_needs_it(monkeypatch: pytest.MonkeyPatch, lookahead: bool) -> None:
    log: list[str] = []
    release, decode_grids = Engines.release, symbols.decode_grids
    monkeypatch.setattr(Engines, "release", lambda self: log.append("release") or release(self))  # type: ignore[func-returns-value]
    monkeypatch.setattr(symbols, "decode_grids", lambda *a, **k: log.append("grids") or decode_grids(*a, **k))  # type: ignore[func-returns-value]
    assert tuple(decode(lookahead=lookahead)) == FOUR.frame_md5
    assert log == ["release", *["grids"] * 4, "release"]
    log.clear()
    # As if engines kept nothing from GOP to GOP when memory is tight.
    monkeypatch.setattr(plan_module, "RETAINED_BYTES", 0)
    limits = replace(DEFAULT_LIMITS, max_memory_bytes=max(plan.estimate for plan in plans()))
    tight = [a.synthesis.bytes + b.symbol_bytes > limits.max_memory_bytes for a, b in pairwise(plans(limits))]
    assert any(tight)
    assert tuple(decode(limits=limits, lookahead=lookahead)) == FOUR.frame_md5
    expected = ["release", "grids"]
    for full in tight:
        expected += ["release"] * full + ["grids"]
    assert log == [*expected, "release"]


def test_workers_are_as_many_as_fit() -> None:
    one, several = plans(), plans(workers=3)
    for single, plan in zip(one, several, strict=True):
        assert (single.synthesis.workers, plan.synthesis.workers) == (1, 3)
        others = 2 * (plan.synthesis.activations + plan.synthesis.frame) + plan.synthesis.inputs
        assert plan.synthesis.bytes == single.synthesis.bytes + others
        assert plan.estimate == single.estimate
    largest = max(range(4), key=lambda i: needed(several[i]) + several[i].symbol_bytes)
    limit = needed(several[largest]) + several[largest].symbol_bytes
    assert plans(replace(DEFAULT_LIMITS, max_memory_bytes=limit), 3)[largest].synthesis.workers == 3
    less = plans(replace(DEFAULT_LIMITS, max_memory_bytes=limit - 1), 3)[largest]
    assert less.synthesis.workers == 2
    # Where not even one fits, the GOP is refused elsewhere.
    assert {plan.synthesis.workers for plan in plans(replace(DEFAULT_LIMITS, max_memory_bytes=1), 3)} == {1}


def test_how_many_workers_and_synthesizers_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "cores", lambda: 3)
    made: list[int] = []
    original = Engines._make

    def make(self: Engines, *arguments: Any) -> Any:
        made.append(arguments[-1].workers)
        return original(self, *arguments)

    monkeypatch.setattr(Engines, "_make", make)
    for threads, name in ((None, "onnxruntime"), (1, "onnxruntime"), (9, "onnxruntime"), (None, "reference")):
        with nvrc_decoder.open(io.BytesIO(DATA), engine=name, threads=threads) as video:  # type: ignore[arg-type]
            assert tuple(frame.md5() for frame in video) == FOUR.frame_md5
    # One for each NETWORK, however short its GOPs are.
    networks = len(set(gop_networks()))
    assert made == [3] * networks + [1] * networks + [4] * networks + [1] * networks


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("cores", [1, 2, 3, 9])
def test_any_number_of_workers_makes_the_same(cores: int, verify: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "cores", lambda: cores)
    for name in ("nano-four-gops", "nano-motion"):
        with nvrc_decoder.open(io.BytesIO(MANIFEST.read(name)), engine="onnxruntime", verify=verify) as video:
            assert tuple(frame.md5() for frame in video) == MANIFEST.stream(name).frame_md5


@pytest.mark.parametrize("gop", range(4))
def test_a_wrong_digest_costs_its_gop_alone(gop: int) -> None:
    first, data = sum(GOP_FRAMES[:gop]), with_wrong_digest(DATA, gop)
    damages: list[nvrc_decoder.Damage] = []
    with nvrc_decoder.open(io.BytesIO(data), engine="onnxruntime", on_damage=damages.append) as video:
        others = tuple(frame.md5() for frame in video)
    assert others == FOUR.frame_md5[:first] + FOUR.frame_md5[first + GOP_FRAMES[gop] :]
    assert [(damage.gop, damage.error.code) for damage in damages] == [(gop, "E_DIGEST")]


def test_a_gop_over_the_limit_costs_itself_alone() -> None:
    largest = max(plan.estimate for plan in plans())
    limits = replace(DEFAULT_LIMITS, max_memory_bytes=largest - 1)
    lost = [number for number, plan in enumerate(plans(limits)) if plan.estimate >= largest]
    video = nvrc_decoder.open(io.BytesIO(DATA), engine="reference", limits=limits)
    with video, pytest.raises(LimitError, match="max_memory_bytes"):
        list(video)
    damages: list[nvrc_decoder.Damage] = []
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference", limits=limits, on_damage=damages.append) as video:
        found = [frame.md5() for frame in video]
    assert [damage.gop for damage in damages] == lost
    assert len(found) == FOUR.frame_count - sum(GOP_FRAMES[number] for number in lost)


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


def test_a_gop_waits_for_memory_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    first, second = plans()[:2]
    kept = first.synthesis.bytes + first.coded + first.kept_bytes + second.symbol_bytes
    limits = replace(DEFAULT_LIMITS, max_memory_bytes=kept - 1)
    assert needed(first) < kept
    waits = threading.Event()
    reserve = Budget.reserve

    def waiting(budget: Budget, *arguments: int) -> Any:
        if budget.in_flight:
            waits.set()
        return reserve(budget, *arguments)

    monkeypatch.setattr(Budget, "reserve", waiting)
    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference", limits=limits) as video:
        next(video)
        assert waits.wait(PATIENCE)
        for _ in video:
            steps.log.append("frame")
    assert steps.log.count("frame") == FOUR.frame_count - 1
    # GOP 0 was begun, and its other frames were given out.
    assert steps.log.index(1) == GOP_FRAMES[0]


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


def test_decoding_of_symbols_checks_often() -> None:
    count = 0

    def check() -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise Cancelled

    with nvrc_decoder.open(io.BytesIO(DATA), engine="reference") as video:
        decoding = video._decoding
        planned = symbols.plan_gops(decoding, video._random_access().gops())
        with pytest.raises(Cancelled):
            list(symbols.decode_symbols(decoding, planned, Budget(1 << 30), check))
    assert count == 3


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
