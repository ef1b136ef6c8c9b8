"""`encode` on tiny clips: the stream is what was promised, or nothing is written."""

from __future__ import annotations

import hashlib
import io
import logging
import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from case_choice import full_except
from encoder_cases import check, gradient_source, options, run, written_integers

import nvrc_decoder
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.errors import InputError, InternalError, InvalidStreamError, UnsupportedError
from nvrc_decoder.limits import DEFAULT_LIMITS
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import node_shape
from nvrc_encoder import EncodeReport, encode, encoding
from nvrc_encoder.model.rounding import Arithmetic
from nvrc_encoder.options import profile_named
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.source.video import Source
from nvrc_encoder.training.loop import train
from nvrc_encoder.training.run import Progress, Run
from nvrc_encoder.training.trainer import Trainer


def test_stream_is_what_the_report_says(caplog: pytest.LogCaptureFixture) -> None:
    source = gradient_source()
    with caplog.at_level(logging.INFO, "nvrc_encoder"):
        data, report = run(source, iterations=30, metadata={"title": "gradient"})
    check(data, report, source)
    assert report.quality.y > 22
    assert f"{report.estimated_bytes} bytes" in caplog.text
    assert b"gradient" in data


@pytest.mark.full
def test_training_improves_what_it_minimises() -> None:
    source = gradient_source()
    frames = list(source)
    costs = []
    for iterations in (1, 150):
        chosen = options(iterations=iterations)
        trainer, _, _ = make_trainer(source, frames, chosen)
        train(Run(trainer, chosen.plan()))
        estimate = trainer.estimate()
        costs.append(estimate.distortion + chosen.lagrangian * estimate.bits / (6 * 48 * 32))
    assert costs[1] < 0.8 * costs[0]


@pytest.mark.full
def test_same_seed_same_bytes() -> None:
    source = gradient_source(frames=5)
    state = torch.random.get_rng_state()
    first, _ = run(source, gop=3, seed=4)
    torch.manual_seed(99)
    again, _ = run(source, gop=3, seed=4)
    other, _ = run(source, gop=3, seed=5)
    assert hashlib.sha256(first).hexdigest() == hashlib.sha256(again).hexdigest()
    assert first != other
    torch.random.set_rng_state(state)


def test_leaves_the_state_of_pytorch_alone() -> None:
    threads, generator = torch.get_num_threads(), torch.random.get_rng_state()
    deterministic = torch.are_deterministic_algorithms_enabled()
    run(gradient_source(16, 16, 1))
    assert torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(("frames", "gop", "lengths"), [(6, 4, [4, 2]), (5, 2, [2, 2, 1]), (1, 32, [1]), (9, 9, [9])])
def test_gops(frames: int, gop: int, lengths: list[int]) -> None:
    source = gradient_source(32, 16, frames)
    data, report = run(source, gop=gop)
    check(data, report, source)
    table = RandomAccess(io.BytesIO(data), DEFAULT_LIMITS)
    assert [table.gop(i).gop.frame_count for i in range(table.gop_count)] == lengths


@pytest.mark.parametrize(("frames", "key"), [(1, 8), (9, 8), (10, 16)])
def test_keys_of_short_videos_are_nearer(frames: int, key: int) -> None:
    _, report = run(gradient_source(16, 16, frames), iterations=1)
    assert report.structure.pyramid.key_spacing == key


@pytest.mark.parametrize(
    ("width", "height"),
    full_except([(1, 1), (1, 7), (7, 1), (3, 2), (17, 5), (33, 31), (64, 2)], (1, 1), (17, 5), (33, 31)),
)
def test_small_and_odd_sizes(width: int, height: int) -> None:
    source = gradient_source(width, height, 3)
    check(*run(source), source)


@pytest.mark.parametrize(
    ("profile", "schedule"),
    full_except(
        product(["nano", "lite", "main"], ["temporal-first", "octree"]),
        ("nano", "octree"),
        ("lite", "temporal-first"),
        ("main", "octree"),
    ),
)
def test_profiles_and_schedules(profile: str, schedule: str) -> None:
    source = gradient_source(40, 24, 4)
    data, report = run(source, profile=profile, schedule=schedule)
    check(data, report, source)
    table = RandomAccess(io.BytesIO(data), DEFAULT_LIMITS)
    slots = profile_named(profile).slots
    network = table.gop(0).network
    shapes = {grid.slot: node_shape(slots[grid.slot], 4, 24, 40, network.pyramid) for grid in network.grids}
    splits = {split for grid in network.grids for split in grid.splits(shapes[grid.slot])}
    assert splits <= ({0x03, 0x34} if schedule == "temporal-first" else {0x07})
    with nvrc_decoder.open(io.BytesIO(data)) as video:
        assert video.info.profile == profile


@pytest.mark.parametrize(
    ("chroma_format", "bit_depth"), full_except([(0, 8), (0, 10), (1, 10), (2, 8), (2, 10)], (1, 10), (2, 8))
)
def test_formats(chroma_format: int, bit_depth: int) -> None:
    source = gradient_source(21, 14, 2, chroma_format, bit_depth)
    data, report = run(source, iterations=30)
    check(data, report, source)
    assert report.quality.yuv > 20


@pytest.mark.full
@pytest.mark.parametrize("gop", [11, 9])
def test_split_grids_of_more_frames_than_nodes(gop: int) -> None:
    """Their node maps are longer than those of planes, and come first."""
    source = gradient_source(32, 24, 11)
    data, report = run(source, split=True, gop=gop, iterations=12)
    check(data, report, source)
    assert report.structure.splitting


@pytest.mark.full
@pytest.mark.parametrize(
    "changes",
    [
        {"channels": 1},
        {"channels": 2, "slots": (1, 5, 6, 7, 8)},
        {"slots": (0,)},
        {"motion": False},
        {"blocks": 0},
        {"grid_channels": (1, 0, 0, 1, 2, 0, 0, 0, 0, 3, 3)},
        {"grid_channels": (1, 0, 0, 1, 0, 4, 3, 3, 3, 3, 3), "channels": 3},
        {"slots": (4,), "context_widths": (1, 1)},
        {"key_spacing": 1},
        {"key_spacing": 16, "node_spacing": 1},
        {"grid_step": 1},
        {"grid_step": 2048},
        {"lagrangian": 1e-7},
        {"lagrangian": 10.0},
        {"iterations": 1},
        {"gop": 1},
        {"gop": 1, "index": False},
        {"channels": 255, "context_widths": (64, 64)},
    ],
    ids=str,
)
def test_options_at_their_ends(changes: dict[str, Any]) -> None:
    source = gradient_source(32, 32, 2)
    data, report = run(source, **changes)
    check(data, report, source)
    units = [unit.name for unit in UnitReader(io.BytesIO(data), DEFAULT_LIMITS)]
    assert ("INDEX" in units) == (changes.get("index", True) and "GOP 1" in units)
    if "slots" in changes:
        present = {int(name.split()[1]) for name in report.components if name.startswith("grid")}
        assert present - {9} == set(changes["slots"])
        assert (9 in present) == bool({4, 5} & present)


@pytest.mark.full
def test_estimate_holds_for_many_short_gops() -> None:
    source = gradient_source(16, 16, 12)
    data, report = run(source, gop=1)
    check(data, report, source)


def test_progress() -> None:
    seen: list[Progress] = []
    encode(gradient_source(16, 16, 2), io.BytesIO(), options(iterations=25), seen.append)
    trained = [state for state in seen if state.phase != "search"]
    assert [state.iteration for state in trained] == [10, 20, 25]
    assert {state.iterations for state in seen} == {25}
    assert trained[-1].phase == "exact"
    assert {state.lagrangian for state in seen} == {5e-3}
    assert seen[-1].phase == "search"
    assert all(math.isfinite(state.psnr) and state.bpp > 0 for state in seen)


def test_no_frames() -> None:
    output = io.BytesIO()
    with pytest.raises(InputError) as caught:
        encode(gradient_source(frames=0), output, options())
    assert caught.value.code == "E_SOURCE"
    assert caught.value.exit_code == 66
    assert output.getvalue() == b""


class _NotReachedError(Exception):
    """Raised by code that a test must not reach."""


def _refuse(*_: object, **__: object) -> None:
    raise _NotReachedError


def test_video_beyond_every_level_is_refused_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "advance", _refuse)
    source = gradient_source(frames=1, rate=Fraction((1 << 31) - 1))
    with pytest.raises(UnsupportedError) as caught:
        encode(source, io.BytesIO(), options())
    assert caught.value.code == "E_LEVEL"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_missing_device_is_an_error() -> None:
    with pytest.raises(UnsupportedError) as caught:
        encode(gradient_source(frames=1), io.BytesIO(), options(device="cuda"))
    assert caught.value.code == "E_DEVICE"
    assert caught.value.exit_code == 69


def _failing(source: Source, **changes: Any) -> InternalError:
    output = io.BytesIO()
    with pytest.raises(InternalError) as caught:
        encode(source, output, options(**changes))
    assert output.getvalue() == b""
    assert caught.value.exit_code == 70
    return caught.value


@pytest.mark.parametrize("frame", [0, 3])
def test_one_differing_sample_is_an_error(monkeypatch: pytest.MonkeyPatch, frame: int) -> None:
    honest = encoding.reconstruct

    def one_off(trainer: Trainer, arithmetic: Arithmetic = Arithmetic.EXACT) -> list[list[Planes]]:
        gops = honest(trainer, arithmetic)
        gops[frame // 2][frame % 2].y[5, 3] ^= 1
        return gops

    monkeypatch.setattr(encoding, "reconstruct", one_off)
    error = _failing(gradient_source(16, 16, 4), gop=2)
    assert error.code == "E_RECONSTRUCTION"
    assert f"GOP {frame // 2} " in error.message


@pytest.mark.parametrize("count", [1, 3])
def test_wrong_number_of_frames_is_an_error(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    honest = nvrc_decoder.open

    class Video:
        def __init__(self, *arguments: Any, **named: Any) -> None:
            with honest(*arguments, **named) as video:
                frames = list(video)
            self.frames = (frames + frames)[:count]

        def __enter__(self) -> Sequence[Planes]:
            return self.frames

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(nvrc_decoder, "open", Video)
    assert _failing(gradient_source(16, 16, 2)).code == "E_RECONSTRUCTION"


def test_refused_stream_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise InvalidStreamError("E_ENTROPY", "words are left")

    monkeypatch.setattr(nvrc_decoder, "open", refuse)
    error = _failing(gradient_source(16, 16, 1))
    assert error.code == "E_RECONSTRUCTION"
    assert "words are left" in error.message


def test_local_limits_do_not_stop_the_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = nvrc_decoder.open
    given: list[Any] = []

    def spy(*arguments: Any, **named: Any) -> Any:
        given.append(named["limits"])
        return honest(*arguments, **named)

    monkeypatch.setattr(nvrc_decoder, "open", spy)
    run(gradient_source(16, 16, 1))
    (limits,) = given
    assert all(value >= 1 << 62 for value in vars(limits).values())


def test_infinite_loss_is_an_error_and_no_file() -> None:
    assert _failing(gradient_source(16, 16, 1), lagrangian=3e38).code == "E_DIVERGED"


@pytest.mark.parametrize("target", ["grid", "weight", "step"])
def test_nan_in_the_state_is_an_error_and_no_file(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """The state is spoilt after the last check of the loss, so that only the check of the state notices."""
    honest = Trainer._distortion

    def poison(self: Trainer, *arguments: Any) -> torch.Tensor:
        # `data`, so that autograd does not notice.
        if target == "grid":
            grid = next(grid for grid in self.grids[0] if grid is not None)
            grid.data[0, 0, 0, 0] = math.nan
        elif target == "weight":
            self.bank.raw.data[-1] = math.inf
        else:
            self.bank.log_step.data[3] = math.nan
        return honest(self, *arguments)

    monkeypatch.setattr(Trainer, "_distortion", poison)
    assert _failing(gradient_source(16, 16, 1), iterations=9).code == "E_DIVERGED"


@pytest.mark.full
@pytest.mark.parametrize(("gop", "told"), [(1024, 0), (1025, 1)])
def test_stream_over_default_limits_is_logged(gop: int, told: int, caplog: pytest.LogCaptureFixture) -> None:
    # Only grids of every frame, as the motion search of a thousand frames takes long.
    chosen = options(gop=gop, iterations=1, slots=(0,), motion=False)
    encode(gradient_source(2, 2, 1025), io.BytesIO(), chosen)
    notes = [record.message for record in caplog.records if "refuse" in record.message]
    assert len(notes) == told
    assert all("max_gop_frames = 1024" in note for note in notes)


def test_exact_phase_keeps_layers_within_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    source = gradient_source(16, 16, 1)
    chosen = options(iterations=10)
    trainer, _, _ = make_trainer(source, list(source), chosen)
    honest = Trainer._distortion
    calls = 0

    def push(self: Trainer, *arguments: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 10:
            assert self.bank.steps_frozen
            self.bank.raw.data *= 200
        return honest(self, *arguments)

    monkeypatch.setattr(Trainer, "_distortion", push)
    train(Run(trainer, chosen.plan()))
    # The steps of the training are those that are written.
    quantised = trainer.bank.quantised().detach()
    assert torch.equal(written_integers(trainer.bank), torch.round(quantised))
    assert trainer.bank.enforce_contract() == []


def squared_cost(report: EncodeReport) -> float:
    """J with the weighted MSE as distortion, at lambda 1e-3."""
    quality = (report.quality.y, report.quality.u, report.quality.v)
    errors = [10 ** (-value / 10) for value in quality if value is not None]
    return float(np.dot((0.75, 0.125, 0.125), errors)) + 1e-3 * report.bits_per_pixel


@pytest.mark.full
def test_tuning_improves_its_own_measure() -> None:
    """At equal lambda and iterations each tuning is better by its own measure."""
    source = gradient_source(112, 104, 2)
    reports = {tune: run(source, tune=tune, iterations=60, lagrangian=1e-3)[1] for tune in ("psnr", "ms-ssim")}
    tuned, plain = reports["ms-ssim"], reports["psnr"]
    assert plain.ms_ssim_y is None
    assert tuned.ms_ssim_y is not None
    assert 0.9 < tuned.ms_ssim_y < 1
    # J by each measure, as one tuning may spend more bits than the other.
    assert squared_cost(plain) < squared_cost(tuned)
    assert tuned.cost == pytest.approx(
        0.75 * 0.05 * (1 - tuned.ms_ssim_y)
        + 0.125 * (10 ** (-tuned.quality.u / 10) + 10 ** (-tuned.quality.v / 10))  # type: ignore[operator]
        + 1e-3 * tuned.bits_per_pixel,
        rel=0.1,
    )


def test_too_small_for_ms_ssim_fails_before_reading() -> None:
    def read() -> NoReturn:
        raise AssertionError("the frames were read")

    source = Source("small", gradient_source(96, 200, 1).picture, 1, read)
    with pytest.raises(UnsupportedError, match="97x97") as caught:
        run(source, tune="ms-ssim")
    assert caught.value.code == "E_UNSUPPORTED"
