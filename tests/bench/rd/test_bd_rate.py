"""BD-rates: known values, and when there is none."""

from __future__ import annotations

import importlib.util

import pytest

from nvrc_bench.rd.bd_rate import bd_tables, compare_curves

ANCHOR = [(0.1, 30.0), (0.2, 33.0), (0.4, 36.0), (0.8, 39.0)]


def needs_package() -> None:
    pytest.importorskip("bjontegaard")


def scaled(factor: float, curve: list[tuple[float, float]] = ANCHOR) -> list[tuple[float, float]]:
    return [(rate * factor, quality) for rate, quality in curve]


@pytest.mark.parametrize(("factor", "percent"), [(1.0, 0.0), (1.25, 25.0), (0.79, -21.0), (2.0, 100.0)])
def test_scaled_rates_give_their_factor(factor: float, percent: float) -> None:
    needs_package()
    assert compare_curves(ANCHOR, scaled(factor))["percent"] == pytest.approx(percent, abs=1e-6)


def test_parallel_curves_of_different_points() -> None:
    needs_package()
    # 3 dB an octave: 1 dB more is a third of an octave, whatever points the curve has.
    curve = [(0.15, 30 + 1.75489 + 1), (0.3, 33 + 1.75489 + 1), (0.6, 36 + 1.75489 + 1)]
    cell = compare_curves(ANCHOR, curve)
    assert cell["percent"] == pytest.approx(100 * (2 ** (-1 / 3) - 1), abs=0.01)
    assert (cell["from_db"], cell["to_db"]) == (pytest.approx(32.755, abs=1e-3), pytest.approx(38.755, abs=1e-3))


def test_the_order_of_points_does_not_matter() -> None:
    needs_package()
    assert compare_curves(ANCHOR[::-1], scaled(1.5)[::-1]) == compare_curves(ANCHOR, scaled(1.5))


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        (ANCHOR[:2], "2 points"),
        ([(0.1, 30.0), (0.2, 29.0), (0.3, 31.0)], "does not rise"),
        ([(0.1, 30.0), (0.1, 31.0), (0.3, 32.0)], "does not rise"),
        ([(0.1, 40.0), (0.2, 41.0), (0.4, 42.0)], "no overlap: 30.00 to 39.00 dB and 40.00 to 42.00 dB"),
        ([(0.1, 38.5), (0.2, 40.0), (0.4, 42.0)], "overlap by 0.50 dB only"),
    ],
)
def test_an_empty_cell_has_a_reason(curve: list[tuple[float, float]], reason: str) -> None:
    cell = compare_curves(ANCHOR, curve)
    assert cell["percent"] is None
    assert reason in cell["reason"]


def points(clip: str, codec: str, curve: list[tuple[float, float]], shift: float = 1.0) -> list[dict[str, object]]:
    return [
        {"clip": clip, "codec": codec, "bpp": rate, "psnr": {"y": quality, "yuv": quality + shift}}
        for rate, quality in curve
    ]


def test_a_table_has_clips_and_means() -> None:
    needs_package()
    rows = [
        *points("one", "x264", ANCHOR),
        *points("one", "ours", scaled(1.2)),
        *points("two", "x264", ANCHOR),
        *points("two", "ours", scaled(1.6)),
        *points("two", "short", ANCHOR[:2]),
        *points("three", "ours", ANCHOR),
    ]
    table = bd_tables(rows, "x264")
    for metric in ("y", "yuv"):
        values = table["metrics"][metric]
        assert values["clips"]["one"]["ours"]["percent"] == pytest.approx(20)
        assert values["clips"]["three"]["ours"] == {"percent": None, "reason": "x264 has no points"}
        assert values["mean"] == {"ours": {"percent": pytest.approx(40), "clips": 2}}
        assert "x264" not in values["clips"]["one"]


def test_a_metric_that_a_codec_lacks_is_left_out() -> None:
    needs_package()
    rows = [*points("one", "x264", ANCHOR)]
    rows += [{"clip": "one", "codec": "theirs", "bpp": 0.1, "psnr": {"y": None, "rgb": 30.0}}]
    assert bd_tables(rows, "x264")["metrics"]["y"]["clips"] == {}


def test_no_bd_rate_without_bjontegaard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    table = bd_tables(points("one", "x264", ANCHOR), "x264")
    assert "nvrc-ref[bench]" in table["reason"]
    assert table["metrics"] == {}


def test_no_bd_rate_without_an_anchor() -> None:
    assert bd_tables(points("one", "ours", ANCHOR), None)["reason"] == "there is no anchor"
