"""The ONNX Runtime path: at the bound, its arguments, and what happens without its parts."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from case_choice import full_except
from synthesis_cases import Case, Picture, differing, layer_at_bound, random_case

from nvrc_decoder.errors import InternalError, InvalidStreamError, MissingExtraError
from nvrc_decoder.profiles import PROFILES, LayerSpec, synthesis_layers
from nvrc_decoder.synthesis.arithmetic import ACCUMULATOR_LIMIT, make_layer, worst_case
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.onnx.session import GraphSession
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer

INJECT = LayerSpec("stage4.inject", "inject", (8, 4, 3, 3), 8, 2048, -2048, 2047)


def at_the_bound(extra: int) -> Case:
    """A nano network in which inner samples of stage 4 drive an accumulator to 2^24 - 1 + extra, odd weights about."""
    case = random_case(3, PROFILES[0], Picture(20, 20), 1, full=True, motion=False)
    weight = np.zeros((8, 4, 3, 3), dtype=np.int64)
    flat = weight.reshape(8, 36)
    # 4 * sum|q| * 2048 = 2^24 - 8192, and -2048 everywhere in: |b + r| may be 8191.
    flat[:, :] = -56
    flat[:, 0] = -87
    layer = make_layer(INJECT, weight, np.full(8, 8191 - 4096 + extra), 4, 13, 0)
    assert set(worst_case(layer.weight, layer.bias, layer.shift, 2048)) == {ACCUMULATOR_LIMIT - 1}
    grids = [None if grid is None else np.full_like(grid, -2047) for grid in case.grids]
    layers = {**case.layers, "stage4.inject": layer}
    multipliers = [[2048] * len(factors) for factors in case.multipliers]
    return replace(case, layers=layers, multipliers=multipliers, grids=grids)


def test_a_layer_exactly_at_the_bound_decodes_the_same():
    case = at_the_bound(0)
    planes = {3: np.full((1, 3, 5, 5), -2048, np.int16), 4: np.full((1, 4, 10, 10), -2048, np.int16)}
    expected = [ReferenceSynthesizer(*case.network).tile(case.grids, 1, 0, planes)]
    for optimization in (True, False):
        runtime = OrtSynthesizer(*case.network, threads=1, optimization=optimization)
        assert differing(expected, [runtime.tile(case.grids, 1, 0, planes)]) == []


def test_a_layer_just_over_the_bound_is_rejected():
    with pytest.raises(InvalidStreamError) as caught:
        at_the_bound(1)
    assert caught.value.code == "E_BOUND"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("slot", full_except([None, *range(11)], None, 0, 4, 9))
def test_absent_slots_are_zeros(profile, slot):
    """One slot at a time, the bands together; planes are with a flow grid, and both of them with a split grid."""
    whole = random_case(4, profile, Picture(37, 22), 3, full=True, style="bound")
    bands = profile.band_slots
    present = bands if slot in bands else (slot,)
    if slot in (profile.flow_slot, profile.split_slot):
        present = profile.plane_slot, *range(profile.flow_slot, slot + 1)
    counts = [spec.max_channels * (i in present) for i, spec in enumerate(profile.slots)]
    specs = synthesis_layers(profile, whole.stage_channels, whole.stage_blocks, counts, 1)
    rng = np.random.default_rng(0)
    case = replace(
        whole,
        layers={spec.name: layer_at_bound(rng, spec, aligned=False) for spec in specs},
        multipliers=[factors if i in present else [] for i, factors in enumerate(whole.multipliers)],
        grids=[grid if i in present else None for i, grid in enumerate(whole.grids)],
    )
    expected = ReferenceSynthesizer(*case.network).synthesise(case.grids, 3, range(3))
    for batch in (1, 3):
        runtime = OrtSynthesizer(*case.network, threads=1, batch=batch)
        assert differing(expected, runtime.synthesise(case.grids, 3, range(3))) == []


def test_each_bit_depth_and_slot_selection_gets_its_own_weights():
    # Two sessions of one profile side by side: nothing of the first may stay in the second.
    one = random_case(8, PROFILES[1], Picture(24, 24, 1, 8), 2)
    two = random_case(9, PROFILES[1], Picture(24, 24, 2, 10), 2)
    runtimes = [OrtSynthesizer(*case.network, threads=1) for case in (one, two)]
    for case, runtime in zip((one, two, one), (*runtimes, runtimes[0]), strict=True):
        expected = ReferenceSynthesizer(*case.network).synthesise(case.grids, 2, range(2))
        assert differing(expected, runtime.synthesise(case.grids, 2, range(2))) == []


@pytest.mark.parametrize("frames", [range(-1, 1), range(0, 3), range(0, 2, 2), range(1, 0, -1)])
def test_frames_outside_the_gop_are_the_callers_fault(frames):
    case = random_case(8, PROFILES[0], Picture(8, 8), 2)
    with pytest.raises(ValueError, match="not consecutive frames"):
        OrtSynthesizer(*case.network, threads=1).synthesise(case.grids, 2, frames)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize(
    ("threads", "workers", "batch"), full_except([(1, 2, 1), (4, 2, 1), (2, 4, 3), (None, 3, 1)], (2, 4, 3))
)
def test_workers_and_batches_make_the_same(profile, threads, workers, batch):
    case = random_case(7, profile, Picture(41, 33), 19, full=True, motion=True)
    whole = ReferenceSynthesizer(*case.network).synthesise(case.grids, 19, range(19))
    runtime = OrtSynthesizer(*case.network, threads=threads, workers=workers, batch=batch)
    # Beginning again and in the middle of what was predicted last.
    for part in (range(19), range(6, 11), range(3, 4), range(5, 5), range(19)):
        assert differing(whole[part.start : part.stop], runtime.synthesise(case.grids, 19, part)) == []
    before = threading.active_count()
    first = runtime.stream(case.grids, 19, range(19))
    assert differing(whole[:1], [next(first)]) == []
    first.close()
    assert threading.active_count() == before


def test_a_call_that_fails_is_reported_in_its_place(monkeypatch):
    case = random_case(7, PROFILES[0], Picture(41, 33), 9, full=True, motion=True)
    whole = ReferenceSynthesizer(*case.network).synthesise(case.grids, 9, range(9))
    runtime = OrtSynthesizer(*case.network, threads=1, workers=2)
    honest, calls = GraphSession.run, itertools.count()

    def run(session, placed, *, shrink=False):
        if session is runtime._session and next(calls) == 3:
            raise InternalError("E_RUNTIME", "ONNX Runtime failed: no luck")
        return honest(session, placed, shrink=shrink)

    monkeypatch.setattr(GraphSession, "run", run)
    found = []
    with pytest.raises(InternalError, match="no luck"):
        found.extend(frame for frame in runtime.stream(case.grids, 9, range(9)))
    # Which of two concurrent calls is the fourth is open.
    assert len(found) in (2, 3, 4)
    assert differing(whole[: len(found)], found) == []
    assert differing(whole, runtime.synthesise(case.grids, 9, range(9))) == []


@pytest.mark.parametrize("change", [{"provider": "tpu"}, {"batch": 0}, {"workers": 0}])
def test_wrong_options(change):
    case = random_case(8, PROFILES[0], Picture(8, 8), 2)
    with pytest.raises(ValueError, match=r"unknown provider|at least one (frame|worker)"):
        OrtSynthesizer(*case.network, **change)


def test_without_onnxruntime_the_error_says_what_to_install(monkeypatch):
    case = random_case(8, PROFILES[0], Picture(8, 8), 2)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r'pip install "nvrc-ref\[cpu\]"') as caught:
        OrtSynthesizer(*case.network)
    assert caught.value.exit_code == 69


def test_importing_the_runtime_imports_neither_onnxruntime_nor_torch():
    check = "sys.exit('onnxruntime' in sys.modules or 'torch' in sys.modules)"
    code = f"import sys, nvrc_decoder.synthesis.onnx.runtime\n{check}"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
