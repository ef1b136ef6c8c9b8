"""`nvrc-ref export -o clip.html`: one file that plays without a network."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from test_player import check_shown, counts, expected, pixels

import nvrc_decoder
from nvrc_conformance.manifest import MANIFEST_PATH, load_manifest
from nvrc_ref.main import Settings, group, run

FOLDER = MANIFEST_PATH.parent
STREAM = FOLDER / "streams" / "nano-two-gops.nvrc"


def test_the_page_has_the_stream_and_no_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "clip.html"
    assert run(["export", str(STREAM), "-o", str(page)]) == 0
    golden = load_manifest().stream("nano-two-gops")
    assert f"md5 {golden.md5}" in capsys.readouterr().out
    text = page.read_text("utf-8")
    (held,) = re.findall(r'<script type="text/plain" id="stream">([^<]*)</script>', text)
    assert base64.b64decode(held, validate=True) == STREAM.read_bytes()
    assert re.findall(r"https?:", text) == []
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []
    assert re.findall(r"^\s*(?:import|export)\b", text, re.MULTILINE) == []


def test_a_bad_stream_gives_no_page(tmp_path: Path) -> None:
    page = tmp_path / "clip.html"
    assert run(["export", str(FOLDER / "faults" / "reject-8-1-digest.nvrc"), "-o", str(page)]) == 65
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [["--start", "1"], ["--frames", "2"], ["--split"]])
def test_a_page_has_no_part_of_a_stream(tmp_path: Path, option: list[str]) -> None:
    words = ["export", str(STREAM), "-o", str(tmp_path / "clip.html"), *option]
    result = CliRunner().invoke(group, words, obj=Settings())
    assert result.exit_code == 2
    assert "a page has the whole stream" in result.output


@pytest.mark.full
@pytest.mark.parametrize(
    "name", ["clip.nvrc", "</script><script>alert(1)</script>.nvrc".replace("/", "\N{DIVISION SLASH}")]
)
def test_the_page_plays_from_a_file(page: Any, clip: Path, tmp_path: Path, name: str) -> None:
    stream = tmp_path / name
    shutil.copy(clip, stream)
    assert run(["export", str(stream), "-o", str(tmp_path / "clip.html")]) == 0
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "clip.html").as_uri())
    page.locator("#canvas:visible, #error:visible").first.wait_for()
    frames = expected(clip)
    check_shown(page, 0, frames)
    assert page.locator("#name").inner_text() == name
    page.keyboard.press(" ")
    page.locator("#play:not(.playing)").wait_for(timeout=60_000)
    check_shown(page, len(frames) - 1, frames)
    assert counts(page)["shown"] > 2
    assert {url.split(":")[0] for url in asked} <= {"file", "blob", "data"}
    assert len([url for url in asked if url.startswith("file:")]) == 1


def write_report(path: Path, **changes: Any) -> str:
    """A report of `STREAM`, as `encode` writes it."""
    golden = load_manifest().stream("nano-two-gops")
    known = {"frames": golden.frame_count, "bytes": golden.bytes, "width": golden.width, "height": golden.height}
    parts = {"components": {"grid </script>": golden.bytes}, "psnr": {"y": 31.25}}
    document = {**known, **parts, "frame_md5s": list(golden.frame_md5), **changes}
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def test_a_page_holds_two_streams_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, other = tmp_path / "clip.html", FOLDER / "streams" / "nano-random.nvrc"
    words = ["export", str(STREAM), "-o", str(page), "--compare", str(other)]
    assert run([*words, "--report", write_report(tmp_path / "report.json")]) == 0
    assert "note: nano-random.nvrc has 6 frames: the page shows the first 3" in capsys.readouterr().err
    text = page.read_text("utf-8")
    held = dict(re.findall(r'<script type="text/plain" id="(stream|compared)">([^<]*)</script>', text))
    assert {place: base64.b64decode(data) for place, data in held.items()} == {
        "stream": STREAM.read_bytes(),
        "compared": other.read_bytes(),
    }
    assert "frame_md5s\\" not in text, "they were checked"
    assert text.count("</script>") == 5, "two streams, nvrc.wasm and two scripts; none in a report"


@pytest.mark.parametrize(
    "change", [{"frames": 4}, {"bytes": 1}, {"width": 8}, {"frame_md5s": ["0" * 32] * 3}, {"psnr": {}}]
)
def test_a_report_of_another_stream_gives_no_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    report = write_report(tmp_path / "report.json", **change)
    assert run(["export", str(STREAM), "-o", str(tmp_path / "clip.html"), "--report", report]) == 66
    assert "error[E_REPORT] " in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("other", "code", "message"),
    [
        ("streams/trained-nano.nvrc", 1, "trained-nano.nvrc is 96x54: only videos of the same size are compared"),
        ("faults/reject-8-1-digest.nvrc", 65, "error[E_DIGEST] "),
        ("streams/none.nvrc", 66, "error[E_NO_INPUT] "),
    ],
)
def test_a_second_stream_that_does_not_fit_gives_no_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: str, code: int, message: str
) -> None:
    words = ["export", str(STREAM), "-o", str(tmp_path / "clip.html"), "--compare", str(FOLDER / other)]
    assert run(words) == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_options_of_pages_are_for_pages(tmp_path: Path) -> None:
    raw = tmp_path / "source.y4m"
    raw.write_bytes(b"YUV4MPEG2 W4 H2\nFRAME\n" + bytes(12))
    report = write_report(tmp_path / "report.json")
    for words, message in (
        (["-o", "clip.onnx", "--compare", str(STREAM)], "are for pages"),
        (["-o", "clip.onnx", "--report", report], "are for pages"),
        (["-o", "clip.html", "--compare", str(raw)], "a page holds streams only"),
        (["-o", "clip.html", "--compare", "-"], "only INPUT can be the standard input"),
    ):
        result = CliRunner().invoke(group, ["export", str(STREAM), *words], obj=Settings())
        assert result.exit_code == 2
        assert message in result.output
    words = ["export", str(STREAM), "-o", report + ".html", "--report", report + ".html"]
    Path(report).rename(report + ".html")
    assert run(words) == 74


@pytest.mark.full
def test_an_exported_page_compares(page: Any, tmp_path: Path) -> None:
    other = FOLDER / "streams" / "nano-random.nvrc"
    words = ["export", str(STREAM), "-o", str(tmp_path / "clip.html"), "--compare", str(other)]
    assert run([*words, "--report", write_report(tmp_path / "report.json")]) == 0
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "clip.html").as_uri())
    page.locator("#split").wait_for()
    page.keyboard.press("End")
    page.keyboard.press("i")
    page.locator("#overlay tr", has_text="grid </script>").wait_for()
    assert "PSNR\tY 31.25" in page.locator("#overlay").inner_text()
    page.wait_for_timeout(100)
    a, b = expected(STREAM)[2], expected(other)[2]
    width = a.shape[1]
    wanted = np.concatenate([a[:, : width // 2], b[:, width // 2 :]], axis=1)
    assert np.abs(pixels(page).astype(int) - wanted).max() <= 1
    assert len([url for url in asked if url.startswith("file:")]) == 1
    assert not page.locator("#error").is_visible()


@pytest.mark.full
def test_the_page_of_the_demo_is_small(clip: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with nvrc_decoder.open(clip) as video:
        frames = sum(1 for _ in video)
    report.write_text(json.dumps({"frames": frames, "psnr": {"y": 30}}), encoding="utf-8")
    page = tmp_path / "clip.html"
    assert run(["export", str(clip), "-o", str(page), "--report", str(report)]) == 0
    assert page.stat().st_size < 400_000
