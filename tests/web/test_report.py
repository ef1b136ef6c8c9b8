"""Reports in the player: of encode and of compare, alike in JavaScript and in Python; others are refused by both."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from node import needs_node, run_script

from nvrc_decoder.errors import InputError
from nvrc_ref.playing.reports import read_report

VIDEO = {"bytes": 1000, "frameCount": 3, "width": 16, "height": 8}
KNOWN = {"bytes": 1000, "frames": 3, "width": 16, "height": 8}
PSNR = {"y": 30.5, "u": None, "v": 40, "yuv": 31.0}
FRAMES = [bytes([n]) * 20 for n in range(3)]
ENCODE = {
    **KNOWN,
    "components": {"grid 0 (feature 1/32, 2 ch)": 900.5, "headers": 99.5},
    "psnr": PSNR,
    "ms_ssim_y": None,
    "frame_md5s": [hashlib.md5(frame).hexdigest() for frame in FRAMES],
    "training": {"iterations": 5},
}
COMPARE = {
    "frames": 3,
    "bytes": 1000,
    "psnr": PSNR,
    "ms_ssim_y": 0.98,
    "per_frame": [{"frame": n, "psnr": {**PSNR, "y": 30 + n}, "ms_ssim_y": 0.9} for n in range(3)],
}
SEGMENTED = {
    **KNOWN,
    "components": {"a": 1},
    "segments": [{"frames": 1, "psnr": PSNR}, {"frames": 2, "psnr": {"y": 20}}],
}
OTHERS = [{key: value + 1} for key, value in KNOWN.items()]
BROKEN: list[Any] = [
    "",
    "{",
    "[]",
    "null",
    "3",
    "[" * 100_000,
    '{"frames": 3, "psnr": {"y": NaN}}',
    {},
    {"frames": "3", "psnr": PSNR},
    {"frames": 3},
    {"frames": 3, "psnr": [30]},
    {"frames": 3, "psnr": {"u": 3}},
    {"frames": 3, "psnr": {"y": True}},
    {"frames": 3, "psnr": {**PSNR, "u": "high"}},
    {"frames": 3, "width": "16", "psnr": PSNR},
    {"frames": 3, "components": {}},
    {"frames": 3, "components": ["grid"]},
    {"frames": 3, "components": {"grid": -1}},
    {"frames": 3, "components": {"grid": "9"}},
    {**COMPARE, "per_frame": COMPARE["per_frame"][:2]},  # type: ignore[index]
    {**COMPARE, "per_frame": [None, None, None]},
    {**COMPARE, "per_frame": {}},
    {**SEGMENTED, "segments": [{"frames": 10**15, "psnr": PSNR}]},
    {**SEGMENTED, "segments": [{"frames": 1, "psnr": PSNR}]},
    {**SEGMENTED, "segments": 3},
    {**ENCODE, "frame_md5s": ["a"]},
    {**ENCODE, "frame_md5s": "abc"},
]


def text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)


def in_javascript(tmp_path: Path, documents: list[Any], frame: int | None = None) -> list[Any]:
    shown = None if frame is None else {"index": frame, "data": list(FRAMES[frame])}
    cases = [{"text": text(document), "video": VIDEO, "frame": shown} for document in documents]
    (tmp_path / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    return run_script("report.mjs", tmp_path / "cases.json")


def write(path: Path, document: Any) -> str:
    path.write_text(text(document), encoding="utf-8")
    return str(path)


@needs_node
def test_reports_are_understood(tmp_path: Path) -> None:
    encode, compare, segmented = in_javascript(tmp_path, [ENCODE, COMPARE, SEGMENTED], 1)
    assert encode["report"]["components"] == [list(part) for part in ENCODE["components"].items()]  # type: ignore[attr-defined]
    assert (encode["report"]["psnr"], encode["report"]["luma"]) == (PSNR, None)
    assert compare["report"]["luma"] == {"span": "frame", "values": [30, 31, 32]}
    assert compare["report"]["similarity"] == 0.98
    assert compare["graph"] == {"low": 30, "high": 32, "points": [[0, 1], [0.5, 0.5], [1, 0]]}
    assert segmented["report"]["luma"] == {"span": "segment", "values": [30.5, 20, 20]}


@needs_node
def test_python_passes_on_what_is_shown(tmp_path: Path) -> None:
    documents = [ENCODE, COMPARE, SEGMENTED]
    passed = [read_report(write(tmp_path / "report.json", document)).text for document in documents]
    assert in_javascript(tmp_path, passed, 2) == in_javascript(tmp_path, documents, 2)
    assert "training" not in passed[0]


@needs_node
def test_broken_reports_are_refused_by_javascript(tmp_path: Path) -> None:
    for document, result in zip(BROKEN, in_javascript(tmp_path, BROKEN), strict=True):
        assert result["title"] == "E_REPORT", text(document)[:80]


@pytest.mark.parametrize("document", BROKEN, ids=range(len(BROKEN)))
def test_broken_reports_are_refused_by_python(tmp_path: Path, document: Any) -> None:
    with pytest.raises(InputError, match=r"report\.json is no report of encode or compare: ") as caught:
        read_report(write(tmp_path / "report.json", document))
    assert caught.value.code == "E_REPORT"


@needs_node
def test_reports_of_other_streams_are_refused(tmp_path: Path) -> None:
    documents = [{"psnr": PSNR, "frames": 3, **other} for other in OTHERS]
    for other, document, result in zip(OTHERS, documents, in_javascript(tmp_path, documents), strict=True):
        ((key, value),) = other.items()
        reason = f"it says {key} {value}, this stream has {KNOWN[key]}"
        assert result == {"title": "E_REPORT", "error": f"the report is of another stream: {reason}"}
        with pytest.raises(InputError, match=reason):
            read_report(write(tmp_path / "report.json", document)).check(**KNOWN)


@needs_node
def test_reports_with_other_frames_are_refused(tmp_path: Path) -> None:
    document = {**ENCODE, "frame_md5s": [*ENCODE["frame_md5s"][:2], "0" * 32]}  # type: ignore[index]
    assert "report" in in_javascript(tmp_path, [document], 1)[0]
    assert in_javascript(tmp_path, [document], 2) == [
        {"title": "E_REPORT", "error": "the report is of another stream: frame 2 has another MD5"}
    ]
    report = read_report(write(tmp_path / "report.json", document))
    with pytest.raises(InputError, match="frame 2 has another MD5"):
        report.check_frames(ENCODE["frame_md5s"])  # type: ignore[arg-type]


def test_a_report_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate((1 << 26) + 1)
    with pytest.raises(InputError, match="too large for a report"):
        read_report(str(path))
    with pytest.raises(InputError, match="cannot open"):
        read_report(str(tmp_path / "none.json"))


@needs_node
def test_md5_is_that_of_python() -> None:
    counts = [*range(131), 1_000_003]
    data = [bytes((7 * i + 3) % 256 for i in range(count)) for count in counts]
    assert run_script("md5.mjs", *counts) == [hashlib.md5(one).hexdigest() for one in data]
