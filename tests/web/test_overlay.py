"""The figures over the picture: those of `nvrc-ref info`, and of reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_player import SHOTS, check_number, load
from test_split import raw

from nvrc_conformance.manifest import load_manifest
from nvrc_ref.main import run
from nvrc_ref.playing.reports import read_report
from nvrc_ref.playing.server import PlayerServer

MANIFEST = load_manifest()
STREAM = MANIFEST.stream("nano-four-gops")
PATH = MANIFEST.file(STREAM)

pytestmark = pytest.mark.full


def output_of(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    """The JSON document of a command."""
    capsys.readouterr()
    assert run([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def rows(page: Any, awaited: str = "unit DIGEST") -> list[tuple[str, str]]:
    """Labels and values of the overlay, once it has the awaited row: units and reports come after the picture."""
    page.locator("#overlay tr", has_text=awaited).wait_for()
    found: list[tuple[str, str]] = page.evaluate(
        "() => [...document.querySelectorAll('#overlay tr')].map(({ cells }) => [...cells].map((c) => c.textContent))"
    )
    return [(label, value) for label, value in found]


def number(text: str) -> float:
    return float(text.split(" ")[0])


def test_figures_are_those_of_info(page: Any, serve: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    info = output_of(capsys, "info", PATH, "--units")
    load(page, serve(PATH).url)
    assert not page.locator("#overlay").is_visible()
    page.keyboard.press("i")
    assert page.locator("#info").get_attribute("aria-pressed") == "true"
    units = [unit for unit in info["units"] if unit["unit"] not in ("SEQUENCE", "INDEX", "END")]
    first = 0
    for gop, count in enumerate(info["gop_frames"]):
        ends = next(i for i, unit in enumerate(units) if unit["unit"].startswith("DIGEST"))
        own, units = units[: ends + 1], units[ends + 1 :]
        shown = first + count - 1
        page.evaluate("(n) => nvrcPlayer.playback.seek(n)", shown)
        check_number(page, shown, info["frames"])
        found = rows(page)
        values = dict(found)
        assert values["frame"].startswith(f"{shown} of {info['frames']}, ")
        assert values["GOP"] == f"{gop} of {info['gops']}: frames {first} to {shown}"
        assert values["frame of the GOP"] == f"{count - 1} of {count}"
        total = sum(unit["size"] for unit in own)
        at = found.index(("this GOP", f"{total} bytes"))
        assert found[at + 1] == ("bits", f"{8 * total}")
        assert number(found[at + 2][1]) == pytest.approx(8 * total / count / info["width"] / info["height"], abs=5e-5)
        seen = [(label, number(value)) for label, value in found if label.startswith("unit ")]
        assert seen == [(f"unit {unit['unit'].split(' ')[0]}", unit["size"]) for unit in own]
        grids = [number(value) for label, value in found if label.startswith("grid ")]
        assert grids == [size for unit in own for size in unit.get("grid_bytes", ())]
        at = found.index(("stream", f"{info['bytes']['total']} bytes"))
        assert number(found[at + 2][1]) == pytest.approx(info["bits_per_pixel"], abs=5e-5)
        assert number(found[at + 3][1]) == pytest.approx(info["kilobits_per_second"], abs=0.05)
        first += count
    assert len(info["gop_frames"]) == 4
    page.locator("#info").click()
    assert not page.locator("#overlay").is_visible()


def with_reports(serve: Callable[..., Any], stream: Path, *reports: Path) -> Any:
    return serve(stream, partial(PlayerServer, reports=[read_report(str(report)) for report in reports]))


def test_a_report_of_encode_is_shown(
    page: Any, serve: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, stream, report = tmp_path / "source.y4m", tmp_path / "clip.nvrc", tmp_path / "report.json"
    assert run(["decode", str(PATH), "-o", str(source), "--quiet", "--frames", "3"]) == 0
    words = [
        "encode",
        source,
        "-o",
        stream,
        "--preset",
        "draft",
        "--iterations",
        "2",
        "--no-trials",
        "--report",
        report,
        "--quiet",
    ]
    document = output_of(capsys, *words)
    load(page, with_reports(serve, stream, report).url)
    page.keyboard.press("i")
    rows(page)
    found = dict(rows(page, "parts of the stream"))
    assert not page.locator("#error").is_visible()
    assert not page.locator("#graph").is_visible()
    psnr = {plane: value for plane, value in document["psnr"].items() if value is not None}
    assert found["PSNR"].split() == [word for plane, v in psnr.items() for word in (plane.upper(), f"{v:.2f}")]
    assert found["parts of the stream"] == f"{document['bytes']} bytes"
    for name, size in document["components"].items():
        assert number(found[name]) == size
        assert found[name].endswith(f", {100 * size / document['bytes']:.1f} %")


def test_a_report_of_compare_is_a_graph(
    page: Any, serve: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, report = raw(PATH, tmp_path / "source.y4m"), tmp_path / "report.json"
    document = output_of(capsys, "compare", source, PATH)
    report.write_text(json.dumps(document), encoding="utf-8")
    values = [frame["psnr"]["y"] for frame in document["per_frame"]]
    load(page, serve(PATH).url)
    page.locator("#file").set_input_files(str(report))
    page.locator("#graph").wait_for()
    points = page.locator("#graph polyline").get_attribute("points").split(" ")
    low, high = min(values), max(values)
    wanted = [(i / (len(values) - 1), (high - value) / (high - low)) for i, value in enumerate(values)]
    for point, place in zip(points, wanted, strict=True):
        assert [float(x) for x in point.split(",")] == pytest.approx(place, abs=1e-4)
    page.keyboard.press("i")
    for frame in (0, 4, len(values) - 1):
        page.evaluate("(n) => nvrcPlayer.playback.seek(n)", frame)
        check_number(page, frame, len(values))
        label = page.locator("#graph output").inner_text()
        assert label == f"PSNR Y {values[frame]:.2f} dB ({low:.2f} to {high:.2f})"
        assert dict(rows(page))["PSNR, this frame"] == f"Y {values[frame]:.2f} dB"
    other = MANIFEST.file(MANIFEST.stream("nano-two-gops"))
    page.locator("#file").set_input_files(str(other))
    page.locator("#graph").wait_for(state="hidden")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 12}, "the report is of another stream: it says frames 12, this stream has 11"),
        ({"bytes": 3}, "the report is of another stream: it says bytes 3, this stream has 852"),
        ({"frame_md5s": ["0" * 32] * 11}, "the report is of another stream: frame 2 has another MD5"),
        ({"psnr": "good"}, "this is no report of encode or compare: psnr has no y"),
    ],
)
def test_other_reports_are_refused(
    page: Any, serve: Callable[..., Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"frames": STREAM.frame_count, "psnr": {"y": 30}, **change}), encoding="utf-8")
    load(page, serve(PATH).url)
    page.evaluate("() => nvrcPlayer.playback.seek(2)")
    check_number(page, 2, STREAM.frame_count)
    page.locator("#file").set_input_files(str(report))
    page.locator("#error").wait_for()
    name, code, text = page.locator("#error").inner_text().split("\n\n")[:3]
    assert (name, code, text) == ("report.json", "E_REPORT", message)
    page.keyboard.press("i")
    assert "PSNR" not in dict(rows(page))


def test_a_report_without_a_stream_is_refused(page: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text("{}", encoding="utf-8")
    page.goto(serve(PATH).url.split("?")[0])
    page.locator("#file").set_input_files(str(report))
    page.locator("#error").wait_for()
    assert "open the stream first" in page.locator("#error").inner_text()


@pytest.mark.parametrize(
    ("name", "width", "height", "scheme"),
    [("desktop", 1100, 760, "light"), ("dark", 1100, 760, "dark"), ("narrow", 360, 640, "light")],
)
def test_the_overlay_fits_its_window(
    page: Any,
    serve: Callable[..., Any],
    clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    width: int,
    height: int,
    scheme: str,
) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    report = tmp_path / "report.json"
    report.write_text(json.dumps(output_of(capsys, "compare", raw(clip, tmp_path / "a.y4m"), clip)), encoding="utf-8")
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    load(page, with_reports(serve, clip, report).url)
    page.locator("#graph").wait_for()
    page.keyboard.press("i")
    rows(page)
    page.locator("#bar").fill("5")
    page.wait_for_timeout(300)
    page.screenshot(path=SHOTS / f"{name}-overlay.png")
    size = page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert size == [width, height]
    stage, overlay = (page.locator(place).bounding_box() for place in ("#stage", "#overlay"))
    assert overlay["y"] >= stage["y"]
    assert overlay["y"] + overlay["height"] <= stage["y"] + stage["height"]
    assert page.evaluate("() => overlay.scrollWidth <= overlay.clientWidth")
