"""The NumPy reference and ONNX Runtime give the same frames: equal arrays, never a tolerance."""

from __future__ import annotations

import pytest
from case_choice import full_except, pairwise
from hypothesis import given, settings
from hypothesis import strategies as st
from synthesis_cases import Case, Picture, differing, random_case

from nvrc_decoder.profiles import PROFILES, Profile
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer

EDGE_SIZES = {
    "one-sample": (Picture(1, 1, 0), 1),
    "one-past-32": (Picture(33, 65, 1, 10), 9),
    "444": (Picture(64, 32, 2), 3),
}

# (threads, graph optimisation, blocked layout as well, frames a call; 0 is the whole GOP)
CONFIGURATIONS = (
    (1, True, False, 1),
    (2, True, False, 0),
    (1, True, True, 0),
    (2, True, True, 1),
    (1, False, False, 0),
    (2, False, False, 2),
)


@st.composite
def cases(draw: st.DrawFn, profile: Profile) -> Case:
    picture = Picture(
        draw(st.integers(1, 40)),
        draw(st.integers(1, 40)),
        draw(st.sampled_from((0, 1, 2))),
        draw(st.sampled_from((8, 10))),
    )
    return random_case(
        draw(st.integers(0, 2**32 - 1)),
        profile,
        picture,
        draw(st.sampled_from((1, 2, 7, 8, 9, 10, 17))),
        style=draw(st.sampled_from(("lively", "bound", "aligned"))),
        full=draw(st.booleans()),
    )


def assert_exact(case: Case) -> None:
    everything = range(case.frame_count)
    reference = ReferenceSynthesizer(*case.network).synthesise(case.grids, case.frame_count, everything)
    for threads, optimization, layout, batch in CONFIGURATIONS:
        runtime = OrtSynthesizer(
            *case.network,
            threads=threads,
            optimization=optimization,
            layout=layout,
            batch=batch or case.frame_count,
        )
        decoded = runtime.synthesise(case.grids, case.frame_count, everything)
        assert differing(reference, decoded) == [], (threads, optimization, layout, batch)


@pytest.mark.parametrize("profile", full_except(PROFILES, PROFILES[0]), ids=lambda profile: profile.name)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_reference_equals_onnx_runtime(profile: Profile, data: st.DataObject) -> None:
    assert_exact(data.draw(cases(profile)))


@pytest.mark.parametrize(
    ("profile", "style", "size"),
    pairwise(PROFILES, ["lively", "bound", "aligned"], EDGE_SIZES),
    ids=lambda value: getattr(value, "name", value),
)
def test_edge_sizes(profile: Profile, style: str, size: str) -> None:
    picture, frame_count = EDGE_SIZES[size]
    assert_exact(random_case(5, profile, picture, frame_count, style=style, full=True))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_any_part_of_a_gop_equals_the_whole(profile: Profile) -> None:
    case = random_case(11, profile, Picture(37, 30), 19)
    reference = ReferenceSynthesizer(*case.network)
    whole = reference.synthesise(case.grids, case.frame_count, range(case.frame_count))
    runtime = OrtSynthesizer(*case.network, threads=1, batch=5)
    for part in (range(18, 19), range(7, 16), range(8, 9), range(3, 3)):
        wanted = whole[part.start : part.stop]
        assert differing(wanted, runtime.synthesise(case.grids, case.frame_count, part)) == []
        assert differing(wanted, reference.synthesise(case.grids, case.frame_count, part)) == []
