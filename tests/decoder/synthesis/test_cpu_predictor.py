"""Planes through OpenCV: blocks of real sizes against integers, threads, memory, and what happens when a call fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from synthesis_cases import Case, Picture, differing, random_case

from nvrc_decoder.errors import InternalError
from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN, PROFILES, node_shape
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid
from nvrc_decoder.synthesis import motion, wavelet
from nvrc_decoder.synthesis.activations import dequantise
from nvrc_decoder.synthesis.cpu import half_samples, prediction
from nvrc_decoder.synthesis.cpu import wavelet as cpu_wavelet
from nvrc_decoder.synthesis.cpu.half_samples import NodePlanes
from nvrc_decoder.synthesis.cpu.prediction import Block, Motion, predict
from nvrc_decoder.synthesis.cpu.predictor import CpuPredictor, motion_bytes
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.predictor import ArrayPool
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer

MOST = 4 * (ACTIVATION_MAX - ACTIVATION_MIN)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(ACTIVATION_MIN, ACTIVATION_MAX + 1, shape).astype(np.int16)


@pytest.mark.parametrize("size", [4, 1])
@pytest.mark.parametrize("cells", [(9000, 1), (2, 9000), (180, 320), (30, 1030), (1, 1), (16384, 1)])
@pytest.mark.parametrize("calm", [1, 50])
def test_blocks_of_large_planes_equal_the_reference(size: int, cells: tuple[int, int], calm: int):
    """Some blocks, among them those at all edges; windows begin inside of the plane, and cells stand out of it.

    Where displacements are not calm a block reads so much of a plane that its taps are fetched one after another.
    """
    rng = np.random.default_rng(sum(cells))
    shape = tuple(size * n - (size > 1) * 2 for n in cells)
    planes = [noise(seed, *shape) for seed in range(2)]
    moves = rng.integers(-MOST, MOST + 1, (4, *cells)).astype(np.int32) // calm
    moves[:, ::3] //= 64
    weights = rng.integers(0, 33, cells).astype(np.int32)
    weights[: cells[0] // 2] = 5
    blocks = list(Block.all(cells, shape, size))
    covered = np.zeros(shape, int)
    for block in blocks:
        covered[block.samples] += 1
    assert (covered == 1).all()
    found = np.full(shape, np.nan, np.float32)

    def write(p: int, block: Block, samples: np.ndarray) -> None:
        assert p == 0
        found[block.samples] = np.floor(samples)

    sources = [NodePlanes(4, plane[None], ArrayPool()) for plane in planes]
    predict(*sources, Motion(moves, weights / np.float32(32)), size, write, 1, ArrayPool())
    refined = [motion.half_samples(plane) for plane in planes]
    for block in {0: blocks[0], 1: blocks[len(blocks) // 2], 2: blocks[-1]}.values():
        rows, columns = block.samples
        band = range(rows.start, rows.stop)
        first, second = (
            motion._fetch(s, d, 4 // size, band, shape[1])[:, columns]
            for s, d in zip(refined, (moves[:2], moves[2:]), strict=True)
        )
        w = weights[np.array(band)[:, None] // size, np.arange(columns.start, columns.stop) // size]
        np.testing.assert_array_equal(found[block.samples], (first * (32 - w) + second * w + 4096) >> 13)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5), (70, 90)])
@pytest.mark.parametrize("samples", [1, 400, 40_000])
def test_half_samples_are_the_references(shape: tuple[int, int], samples: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(half_samples, "_REFINED_SAMPLES", samples)
    ends = np.random.default_rng(2).choice((ACTIVATION_MIN, ACTIVATION_MAX), shape).astype(np.int16)
    planes = np.stack([noise(1, *shape), ends])
    for threads in (1, 3):
        refined = NodePlanes(3, planes, ArrayPool()).refined(threads)
        for plane, found in zip(planes, refined, strict=True):
            np.testing.assert_array_equal(found, motion.half_samples(plane))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 16), (31, 70), (90, 200)])
@pytest.mark.parametrize("samples", [1, 700, 1 << 16])
@pytest.mark.parametrize("peak", [3, 2047])
def test_wavelets_equal_the_reference(size: tuple[int, int], samples: int, peak: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cpu_wavelet, "_BLOCK_SAMPLES", samples)
    rng, bands = np.random.default_rng(peak), []
    for i in PROFILES[0].band_slots:
        slot = PROFILES[0].slots[i]
        _, rows, columns = node_shape(slot, 1, *size, DEFAULT_PYRAMID)
        values = rng.integers(-1, 2, (slot.max_channels, rows, columns)) * peak
        bands.append((values.astype(np.int16), [int(m) for m in rng.integers(1, 2049, slot.max_channels)]))
    expected = wavelet.luma_residual([dequantise(*band) for band in bands])[0]
    for threads in (1, 3):
        found = np.empty(expected.shape, np.int16)
        cpu_wavelet.luma_plane(bands, found, threads)
        np.testing.assert_array_equal(found, expected)


def test_a_block_takes_no_threads_of_opencvs_own():
    for size in (4, 1):
        for cells in ((3000, 4096), (1, 9000), (9000, 1)):
            for block in Block.all(cells, (size * cells[0], size * cells[1]), size):
                rows, columns = (samples.stop - samples.start for samples in block.samples)
                assert rows * columns < 1 << 16  # below that cv2.remap does not divide its work


@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_and_threads_change_nothing(threads: int, monkeypatch: pytest.MonkeyPatch):
    for profile in PROFILES[:2]:
        case = random_case(9, profile, Picture(45, 61), 10, full=True)
        expected = ReferenceSynthesizer(*case.network).predicted(case.grids, 10, range(10))
        for length, samples, window in ((16, 30, 1 << 18), (1024, 1, 0), (40, 200, 900)):
            monkeypatch.setattr(prediction, "_BLOCK_LENGTH", length)
            monkeypatch.setattr(prediction, "_BLOCK_SAMPLES", samples)
            monkeypatch.setattr(prediction, "_WINDOW_SAMPLES", window)
            found = OrtSynthesizer(*case.network, threads=threads).predicted(case.grids, 10, range(10))
            for stage, values in expected.items():
                np.testing.assert_array_equal(found[stage][:, : values.shape[1]], values)


def _failing(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """cv2.remap fails once."""
    honest, calls = cv2.remap, iter(range(10**9))

    def remap(*arguments: Any, **options: Any) -> Any:
        if next(calls) == 0:
            error = cv2.error("not\ntoday")
            error.code = code
            raise error
        return honest(*arguments, **options)

    monkeypatch.setattr(cv2, "remap", remap)


@pytest.mark.parametrize("threads", [1, 2])
def test_after_a_failure_frames_are_right(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    case = random_case(5, PROFILES[0], Picture(70, 43), 17, full=True)
    runtime = OrtSynthesizer(*case.network, threads=threads)
    expected = ReferenceSynthesizer(*case.network).synthesise(case.grids, 17, range(17))
    monkeypatch.setattr(prediction, "_BLOCK_SAMPLES", 100)
    runtime.synthesise(case.grids, 17, range(1, 2))
    with monkeypatch.context() as patch:
        _failing(patch, cv2.Error.StsError)
        with pytest.raises(InternalError, match="OpenCV failed: not today") as caught:
            runtime.synthesise(case.grids, 17, range(9, 10))
        assert caught.value.code == "E_RUNTIME"
    for t in (3, 9, 16, 0):
        assert differing(expected[t : t + 1], runtime.synthesise(case.grids, 17, range(t, t + 1))) == []


def test_no_memory_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    case = random_case(5, PROFILES[0], Picture(20, 13), 3, full=True)
    _failing(monkeypatch, cv2.Error.StsNoMem)
    with pytest.raises(MemoryError):
        OrtSynthesizer(*case.network, threads=1).synthesise(case.grids, 3, range(1, 2))


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_memory_that_is_used_again_holds_nothing(threads: int, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of two GOPs and two sizes in turn; planes are overwritten when they are returned."""
    taken: list[int] = []
    take_back = CpuPredictor.take_back

    def spoil(self: CpuPredictor, stage: int, values: Any) -> None:
        values.fill(np.nan)
        taken.append(stage)
        take_back(self, stage, values)

    monkeypatch.setattr(CpuPredictor, "take_back", spoil)
    case = random_case(8, PROFILES[0], Picture(27, 22), 25, full=full, motion=True)
    runtime = OrtSynthesizer(*case.network, threads=threads, workers=threads)
    for seed, picture, wanted in (
        (1, case.picture, range(25)),
        (2, case.picture, range(25)),
        (3, Picture(40, 31), range(5, 12)),
        (1, case.picture, range(7, 18)),
        (1, case.picture, range(3, 9)),
    ):
        grids = _grids(case, picture, seed)
        expected = ReferenceSynthesizer(case.profile, picture, *case.network[2:]).synthesise(grids, 25, wanted)
        assert differing(expected, runtime.resized(picture).synthesise(grids, 25, wanted)) == []
    # Calls end in any order.
    assert sorted(taken) == sorted(74 * [3, 4])


def test_given_planes_are_not_overwritten() -> None:
    case = random_case(8, PROFILES[0], Picture(27, 22), 9, full=True)
    runtime = OrtSynthesizer(*case.network, threads=1)
    expected = runtime.synthesise(case.grids, 9, range(9))
    predicted = {i: values.astype(np.float32) for i, values in runtime.predicted(case.grids, 9, range(3, 4)).items()}
    before = {i: values.copy() for i, values in predicted.items()}
    assert differing(expected[3:4], [runtime.tile(case.grids, 9, 3, predicted)]) == []
    assert differing(expected, runtime.synthesise(case.grids, 9, range(9))) == []
    for i, values in before.items():
        np.testing.assert_array_equal(predicted[i], values)


def _grids(case: Case, picture: Picture, seed: int) -> list[Any]:
    """Other grids for the NETWORK of a case, for pictures of another size."""
    rng = np.random.default_rng(seed)
    grids: list[Any] = []
    for slot, grid in zip(case.profile.slots, case.grids, strict=True):
        nodes, rows, columns = node_shape(slot, case.frame_count, picture.height, picture.width, case.pyramid)
        shape = nodes, 0 if grid is None else grid.shape[1], rows, columns
        grids.append(None if grid is None else rng.integers(-60, 61, shape).astype(np.int16))
    return grids


def test_memory_of_nodes_is_used_again(monkeypatch: pytest.MonkeyPatch):
    """A plane slot of one channel has as many planes as luma, but of another size."""
    shapes: list[tuple[int, ...]] = []
    empty = np.empty

    def noted(shape: Any, *rest: Any, **more: Any) -> Any:
        shapes.append(shape)
        return empty(shape, *rest, **more)

    pyramid = Pyramid(4, 2, (20,))
    case = random_case(3, PROFILES[0], Picture(84, 52), 33, full=True, pyramid=pyramid)
    slot = case.profile.plane_slot
    case.grids[slot], case.multipliers[slot] = case.grids[slot][:, :1], case.multipliers[slot][:1]  # type: ignore[index]
    predictor = CpuPredictor(case.profile, pyramid, case.multipliers, 1)
    monkeypatch.setattr(np, "empty", noted)
    predictor.entering(case.grids, case.picture, range(33))
    # Half samples of every node that is kept; planes without them of one that is made, and of one that has yet none.
    for rows, columns in ((52, 84), (13, 21)):
        assert shapes.count((1, 2 * rows, 2 * columns)) == 2 + pyramid.levels
        assert shapes.count((1, rows, columns)) <= 2


def test_no_half_samples_without_motion():
    """Half samples take most of the memory and half of a node's time."""
    case = random_case(3, PROFILES[0], Picture(27, 22), 9, full=True, motion=False)
    predictor = CpuPredictor(case.profile, case.pyramid, case.multipliers, 1)
    predictor.entering(case.grids, case.picture, range(9))
    assert all(planes._refined is None for node in predictor._nodes.values() for planes in node.values())


def test_memory_of_planes_is_estimated():
    """The arrays that are alive take no more than the estimate, and the most of it where planes are large."""
    profile, pyramid = PROFILES[0], Pyramid(8, 2, (16, 16))
    case = random_case(3, profile, Picture(640, 360), 17, full=True, pyramid=pyramid)
    predictor = CpuPredictor(profile, pyramid, case.multipliers, 1)
    most = 0
    for t in range(17):
        predictor.entering(case.grids, case.picture, range(t, t + 1))
        nodes = [planes for node in predictor._nodes.values() for planes in node.values()]
        most = max(most, sum(p.values.nbytes if p._refined is None else p._refined.nbytes for p in nodes))
    counts = [len(factors) for factors in case.multipliers]
    assert most < motion_bytes(profile, 640, 360, counts, pyramid)
    large = [motion_bytes(profile, 6400, 3600, counts, some) for some in (pyramid, DEFAULT_PYRAMID)]
    assert 120 * most < large[0] < 170 * most
    assert large[1] < 0.7 * large[0]
    counts[profile.flow_slot] = 0
    assert motion_bytes(profile, 6400, 3600, counts, pyramid) < large[0] / 2
    for i in profile.node_slots:
        counts[i] = 0
    assert motion_bytes(profile, 6400, 3600, counts, DEFAULT_PYRAMID) == 0


def test_decoding_works_after_the_main_thread_ended(golden: Callable[[str], Path]) -> None:
    """Python's pools take no work any more then."""
    code = f"""
import threading, nvrc_decoder
def decode():
    threading.main_thread().join()
    with nvrc_decoder.open({str(golden("nano-motion"))!r}, threads=3) as video:
        print(sum(1 for _ in video), video.frame_count)
threading.Thread(target=decode).start()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    count, whole = done.stdout.split()
    assert count == whole
