"""Motion through OpenCV: blocks of real sizes against integers, threads, and what happens when a call fails."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from synthesis_cases import Case, Picture, differing, random_case

from nvrc_decoder.errors import InternalError
from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN, PROFILES, node_shape
from nvrc_decoder.synthesis import host_warping, motion
from nvrc_decoder.synthesis.host_warping import _MIXED, _PLAIN, HostWarper, _blocks, _Lattice, _Places
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


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_memory_that_is_used_again_holds_nothing(threads: int, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of two GOPs and two sizes in turn; what was warped is made unusable when it is given back."""
    taken: list[int] = []
    take_back = HostWarper.take_back

    def spoil(self: HostWarper, i: int, values: Any) -> None:
        values.fill(np.nan)
        taken.append(i)
        take_back(self, i, values)

    monkeypatch.setattr(HostWarper, "take_back", spoil)
    case = random_case(8, PROFILES[0], Picture(27, 22), 25, full=full, motion=True)
    runtime = OrtSynthesizer(*case.network, threads=threads, frame_threads=threads)
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
    assert sorted(taken) == sorted(74 * list(case.profile.warped_slots))


def test_what_the_caller_has_warped_stays_the_callers() -> None:
    case = random_case(8, PROFILES[0], Picture(27, 22), 9, full=True, motion=True)
    runtime = OrtSynthesizer(*case.network, threads=1)
    expected = runtime.synthesise(case.grids, 9, range(9))
    warped = {i: values.astype(np.float32) for i, values in runtime.warped(case.grids, 9, range(3, 4)).items()}
    before = {i: values.copy() for i, values in warped.items()}
    assert differing(expected[3:4], runtime.synthesise(case.grids, 9, range(3, 4), warped)) == []
    assert differing(expected, runtime.synthesise(case.grids, 9, range(9))) == []
    for i, values in before.items():
        np.testing.assert_array_equal(warped[i], values)


def _grids(case: Case, picture: Picture, seed: int) -> list[Any]:
    """Other grids for the NETWORK of a case, for pictures of another size."""
    rng = np.random.default_rng(seed)
    grids: list[Any] = []
    for slot, grid in zip(case.profile.slots, case.grids, strict=True):
        nodes, rows, columns = node_shape(slot, case.frame_count, picture.height, picture.width)
        shape = nodes, 0 if grid is None else grid.shape[1], rows, columns
        grids.append(None if grid is None else rng.integers(-60, 61, shape).astype(np.int16))
    return grids


def test_a_node_is_made_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    advance = HostWarper._advance

    def noted(self: HostWarper, i: int, grids: Any, picture: Any, node: int, *rest: Any) -> Any:
        if i == PROFILES[0].warped_slots[0]:
            made.append(node)
        return advance(self, i, grids, picture, node, *rest)

    monkeypatch.setattr(HostWarper, "_advance", noted)
    case = random_case(7, PROFILES[0], Picture(27, 22), 25, full=True, motion=True)
    runtime = OrtSynthesizer(*case.network, threads=1)
    # A frame that is a node needs no other; from the next node back to this one is no detour.
    for t, nodes in (
        (0, [0]),
        (1, [1]),
        (7, []),
        (8, []),
        (9, [2]),
        (8, []),
        (15, []),
        (24, [3]),
        (23, []),
        (7, [0, 1]),
    ):
        made.clear()
        runtime.synthesise(case.grids, 25, range(t, t + 1))
        assert made == nodes, t


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
