"""Motion through OpenCV: blocks of real sizes against integers, threads, and what happens when a call fails."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from synthesis_cases import Picture, differing, random_case

from nvrc_decoder.errors import InternalError
from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN, PROFILES
from nvrc_decoder.synthesis import host_warping, motion
from nvrc_decoder.synthesis.host_warping import _MIXED, _PLAIN, _blocks, _Lattice, _Places
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_decoder.synthesis.runtime import OrtSynthesizer

MOST = 4 * (ACTIVATION_MAX - ACTIVATION_MIN)


@pytest.mark.parametrize("lattice", [_MIXED, _PLAIN], ids=["mixed", "plain"])
@pytest.mark.parametrize("cells", [(9000, 1), (2, 9000), (270, 480), (300, 1030)])
def test_blocks_of_large_planes_are_the_reference_s(lattice: _Lattice, cells: tuple[int, int]) -> None:
    """Some blocks, among them those at all edges; windows begin inside of the plane."""
    rng = np.random.default_rng(sum(cells))
    cell, step = lattice.cell, 4 // lattice.cell
    shape = tuple(cell * n for n in cells)
    plane = rng.integers(ACTIVATION_MIN, ACTIVATION_MAX + 1, shape).astype(np.int16)
    moves = rng.integers(-MOST, MOST + 1, (2, *cells)).astype(np.int32)
    moves[:, ::3] //= 64
    blocks = list(_blocks(*cells, lattice))
    covered = np.zeros(cells, int)
    for block in blocks:
        covered[block.rows, block.columns] += 1
    assert (covered == 1).all()
    for block in {0: blocks[0], 1: blocks[len(blocks) // 2], 2: blocks[-1]}.values():
        rows = range(cell * block.rows.start, cell * block.rows.stop)
        columns = slice(cell * block.columns.start, cell * block.columns.stop)
        right = motion._fetch(plane, moves, step, rows)[:, columns]
        places = _Places(moves[:, block.rows, block.columns], block, lattice, shape)
        for q in range(lattice.channels):
            found = places.fetch(plane.astype(np.float32), places.phase(q))
            expected = lattice.phase(right.astype(np.float32), q)
            np.testing.assert_array_equal(1024 * found, expected)


def test_a_block_takes_no_threads_of_opencv_s_own() -> None:
    for lattice in (_MIXED, _PLAIN):
        for cells in ((3000, 4096), (1, 9000), (9000, 1)):
            for block in _blocks(*cells, lattice):
                samples = (block.rows.stop - block.rows.start) * (block.columns.stop - block.columns.start)
                assert samples * lattice.samples**2 < 1 << 16  # below that cv2.remap does not divide its work


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
    case = random_case(5, PROFILES[0], Picture(70, 43), 17, full=True, motion=True)
    runtime = OrtSynthesizer(*case.network, threads=threads)
    expected = ReferenceSynthesizer(*case.network).synthesise(case.grids, 17, range(17))
    monkeypatch.setattr(host_warping, "_BLOCK_SAMPLES", 100)
    runtime.synthesise(case.grids, 17, range(1, 2))
    with monkeypatch.context() as patch:
        _failing(patch, cv2.Error.StsError)
        with pytest.raises(InternalError, match="OpenCV failed: not today") as caught:
            runtime.synthesise(case.grids, 17, range(9, 10))
        assert caught.value.code == "E_RUNTIME"
    for t in (3, 9, 16, 0):
        assert differing(expected[t : t + 1], runtime.synthesise(case.grids, 17, range(t, t + 1))) == []


def test_no_memory_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    case = random_case(5, PROFILES[0], Picture(20, 13), 3, full=True, motion=True)
    _failing(monkeypatch, cv2.Error.StsNoMem)
    with pytest.raises(MemoryError):
        OrtSynthesizer(*case.network, threads=1).synthesise(case.grids, 3, range(1, 2))


def test_decoding_goes_on_in_a_thread_that_outlives_the_main_one() -> None:
    """Python's pools take no work any more then."""
    import subprocess
    import sys
    from pathlib import Path

    folder = Path(__file__).parents[3] / "conformance" / "streams"
    code = f"""
import threading, time, nvrc_decoder
def decode():
    time.sleep(0.2)  # the main thread has returned by now
    with nvrc_decoder.open({str(folder / "nano-motion.nvrc")!r}, threads=3) as video:
        print(sum(1 for _ in video), video.frame_count)
threading.Thread(target=decode).start()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    count, whole = done.stdout.split()
    assert count == whole
