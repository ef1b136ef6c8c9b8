"""A picture decoded in tiles has the same samples."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthesis_cases import Picture, differing, random_case

from nvrc_decoder.profiles import PROFILES, Profile
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_decoder.synthesis.tiles import (
    TiledSynthesizer,
    halo,
    largest_tile,
    plan_tiles,
)

each_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)


@pytest.mark.parametrize(
    ("profile", "chroma_format"),
    [
        *((PROFILES[0], chroma_format) for chroma_format in range(3)),
        (PROFILES[1], 2),
        pytest.param(PROFILES[2], 1, marks=pytest.mark.full),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_tiles_have_the_samples_of_the_whole(profile: Profile, chroma_format: int):
    # Wider than two halos and a tile, so that tiles with a spoilt border on both sides exist.
    margin = halo(profile)
    picture = Picture(2 * margin + 75, margin + 41, chroma_format, 10 if chroma_format else 8)
    case = random_case(5 + chroma_format, profile, picture, 2, full=profile.name == "nano")
    whole = OrtSynthesizer(*case.network, threads=1)
    expected = whole.synthesise(case.grids, 2, range(1, 2))
    tiled = TiledSynthesizer(whole, profile, picture, 1)
    assert len(tiled._rows) > 1
    assert len(tiled._columns) > 2
    assert differing(expected, tiled.synthesise(case.grids, 2, range(1, 2))) == []


def test_tiles_of_the_reference_have_the_samples_of_the_whole():
    profile, picture = PROFILES[0], Picture(230, 103)
    case = random_case(11, profile, picture, 9, full=True)
    whole = ReferenceSynthesizer(*case.network)
    tiled = TiledSynthesizer(whole, profile, picture, 1)
    assert differing(whole.synthesise(case.grids, 9, range(7, 9)), tiled.synthesise(case.grids, 9, range(7, 9))) == []


@each_profile
def test_the_halo_is_needed(profile: Profile, monkeypatch: pytest.MonkeyPatch):
    # Two units less of it show: the halo is not merely large.
    margin = halo(profile)
    picture = Picture(margin + 64, 32)
    case = random_case(2, profile, picture, 1, full=True)
    whole = OrtSynthesizer(*case.network, threads=1)
    monkeypatch.setattr("nvrc_decoder.synthesis.tiles.halo", lambda _: margin - 64)
    plan_tiles.cache_clear()
    tiled = TiledSynthesizer(whole, profile, picture, 1)
    plan_tiles.cache_clear()
    expected = whole.synthesise(case.grids, 1, range(1))
    assert differing(expected, tiled.synthesise(case.grids, 1, range(1))) != []


@settings(deadline=None)
@given(st.sampled_from(PROFILES), st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 1 << 24), st.data())
def test_plans_cover_each_sample_once(profile: Profile, width: int, height: int, samples: int, data: st.DataObject):
    margin = halo(profile)
    largest = math.prod(largest_tile(profile, width, height, samples))
    smallest = min(width, 32 + 2 * margin) * min(height, 32 + 2 * margin)
    assert largest <= max(samples, smallest)
    for length, spans in zip((height, width), plan_tiles(profile, width, height, samples), strict=True):
        assert [span.start for span in spans] == [0, *(span.stop for span in spans[:-1])]
        assert spans[-1].stop == length
        for span in spans:
            assert span.first % 32 == 0
            assert span.first == max(0, span.start - margin)
            assert span.last == min(length, span.stop + margin)


def test_a_picture_that_fits_is_one_tile():
    rows, columns = plan_tiles(PROFILES[2], 352, 200, 352 * 200)
    assert len(rows) == len(columns) == 1


def test_releasing_shrinks_the_process():
    code = (
        "from benchmarks.memory import resident_bytes\n"
        "from synthesis_cases import Picture, random_case\n"
        "from nvrc_decoder.profiles import PROFILES\n"
        "from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer\n"
        "case = random_case(1, PROFILES[2], Picture(960, 540), 1, full=True)\n"
        "synthesizer = OrtSynthesizer(*case.network, threads=1)\n"
        "synthesizer.synthesise(case.grids, 1, range(1))\n"
        "full = resident_bytes()\n"
        "synthesizer.release()\n"
        "print(full - resident_bytes())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert int(done.stdout) > 80_000_000
