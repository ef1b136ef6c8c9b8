"""The instruments of the benchmarks: clocks, the float graph, plain coding, medians."""

from __future__ import annotations

import time

import numpy as np
import pytest
from synthesis_cases import Picture, random_case

from nvrc_bench.decode import plain_coder
from nvrc_bench.decode.float_graph import RowsSession, without_floor
from nvrc_bench.decode.measure import overlap
from nvrc_bench.decode.plain_coder import PlainCoding
from nvrc_bench.decode.stages import STAGES
from nvrc_bench.decode.stopwatch import Span, Stopwatch, median, timed
from nvrc_decoder.profiles import PROFILES, Profile
from nvrc_decoder.synthesis.onnx.initializers import graph_initializers
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.onnx.session import graph_bytes

onnx = pytest.importorskip("onnx")


def test_stopwatch_adds_up_and_nests() -> None:
    watch = Stopwatch()
    for _ in range(2):
        with watch.part("outer"):
            time.sleep(0.002)
            with watch.part("inner"):
                time.sleep(0.001)
    outer, inner = watch.spans["outer"], watch.spans["inner"]
    assert outer.seconds >= 0.006
    assert 0.002 <= inner.seconds <= outer.seconds
    # Sleeping costs no processor time.
    assert outer.cpu < outer.seconds


def test_stopwatch_counts_a_failed_part() -> None:
    watch = Stopwatch()
    with pytest.raises(KeyError), watch.part("failing"):
        raise KeyError
    assert watch.spans["failing"].seconds > 0


def test_spans_add_and_have_medians() -> None:
    assert Span(3, 2) + Span(1, 1) - Span(2, 2) == Span(2, 1)
    assert median([Span(1, 9), Span(5, 2), Span(3, 4)]) == Span(3, 4)
    assert timed(lambda: 7)[1] == 7


def test_overlap_is_bounded_by_the_cores() -> None:
    stages = dict.fromkeys(STAGES, Span()) | {"contexts": Span(1, 1), "rANS": Span(1, 1), "synthesis": Span(4, 8)}
    # Ten seconds of work: two cores need five, although synthesis alone takes four; three cores need four.
    on_two, on_three = (overlap(Span(6, 11), stages, cores) for cores in (2, 3))
    assert on_two["slower_stage"] == on_three["slower_stage"] == "synthesis"
    assert on_two["share_of_slower_stage"] == on_three["share_of_slower_stage"] == pytest.approx(4 / 6)
    assert on_two["largest_possible_share"] == pytest.approx(4 / 5)
    assert on_two["share_of_possible"] == pytest.approx(5 / 6)
    assert on_three["largest_possible_share"] == 1
    assert overlap(Span(6, 11), stages | {"rANS": Span(3.5, 3.5)}, 9)["slower_stage"] == "entropy"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_the_float_graph_only_lacks_rounding(profile: Profile) -> None:
    case = random_case(2, profile, Picture(48, 32), 3, full=True)
    graph, bare = graph_bytes(profile), without_floor(graph_bytes(profile))
    kinds = [node.op_type for node in onnx.load_from_string(graph).graph.node]
    left = [node.op_type for node in onnx.load_from_string(bare).graph.node]
    removed = kinds.count("Floor") - left.count("Floor")
    assert removed > 10
    assert left.count("Floor") <= 1
    assert len(left) == len(kinds) - removed
    tensors = graph_initializers(*case.network[:-1])
    feeds = OrtSynthesizer(*case.network, threads=1).feeds(case.grids, case.frame_count, range(1, 2))
    rows = [RowsSession(g, tensors, blocked=False, threads=1).run(feeds)[0] for g in (graph, bare)]
    blocked = RowsSession(graph, tensors, blocked=True, threads=1).run(feeds)[0]
    assert np.array_equal(rows[0], blocked)
    assert not np.array_equal(*rows)
    # Every floor lowers a value by less than one: without it the picture is the same, some levels brighter.
    difference = rows[1] - rows[0]
    assert np.corrcoef(rows[0].ravel(), rows[1].ravel())[0, 1] > 0.9
    assert abs(difference.mean()) < 8


def test_plain_coding_extrapolates_large_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PlainCoding(1000).time().seconds > 0
    monkeypatch.setattr(plain_coder, "timed", lambda call: (Span(2, 1), call()))
    assert PlainCoding(1 << 22).time() == Span(2, 1)
    assert PlainCoding(3 << 22).time() == Span(6, 3)
