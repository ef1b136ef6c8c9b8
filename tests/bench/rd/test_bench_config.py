"""Runs from JSON and from options, and imported points."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from nvrc_bench.rd.clips import Clip
from nvrc_bench.rd.codecs.kinds import make_codec
from nvrc_bench.rd.config import CodecSpec, load_run, parse_codec
from nvrc_bench.rd.imported import FORMAT, load_curves, points_for, published_names
from nvrc_decoder.errors import InputError

CLIP = Clip("Beauty", Path("x.y4m"), 1920, 1080, 600, 8, 1, Fraction(120), "", "")


def test_a_codec_is_parsed_from_the_command_line() -> None:
    spec = parse_codec("nvrc:name=wide,preset=fast,profile=lite,points=0.004/0.01,channels=12,no-flow")
    assert (spec.kind, spec.name, spec.preset, spec.profile) == ("nvrc", "wide", "fast", "lite")
    assert spec.points == ("0.004", "0.01")
    [words] = make_codec(spec).encode("0.01")
    assert words[-1] == "--no-flow"
    assert words[words.index("--channels") + 1] == "12"
    assert words[words.index("--lambda") + 1] == "0.01"
    assert words[words.index("--profile") + 1] == "lite"


@pytest.mark.parametrize("text", ["h263", "x264:=3", "x264:points=30/30", "x264:name=a/b", "command:points=1"])
def test_wrong_codecs_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_codec(text)


def test_a_codec_can_differ_for_one_clip() -> None:
    per_clip = {"city": {"points": [0.5], "options": {"iterations": 9}, "arguments": ["--fast"]}}
    spec = CodecSpec("nvrc", points=("1", "2"), options={"iterations": 5, "seed": 1}, per_clip=per_clip)
    city = make_codec(spec.for_clip("city"))
    assert city.points == ("0.5",)
    [words] = city.encode("0.5")
    assert words[words.index("--iterations") + 1] == "9"
    assert words[words.index("--seed") + 1] == "1"
    assert words[-1] == "--fast"
    assert make_codec(spec.for_clip("other")).points == ("1", "2")
    with pytest.raises(InputError, match="per_clip"):
        CodecSpec("nvrc", per_clip={"city": {"kind": "x264"}}).for_clip("city")


def test_nvrc_takes_another_parameter_and_program() -> None:
    spec = CodecSpec("nvrc", points=("0.1",), parameter="--target-bpp", command=("/old/python", "-m", "nvrc_ref"))
    codec = make_codec(spec)
    [words] = codec.encode("0.1")
    assert words[:4] == ["/old/python", "-m", "nvrc_ref", "encode"]
    assert words[words.index("--target-bpp") + 1] == "0.1"
    assert codec.label("0.1") == "target-bpp 0.1"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("x264", ["-preset veryslow", "-tune psnr", "filter_units=remove_types=6", "-g 99999", "-f h264"]),
        ("x265", ["-preset veryslow", "-tune psnr", "keyint=-1", "info=0", "-f hevc"]),
        ("svt-av1", ["-preset 2", "tune=1", "keyint=-1", "-f obu"]),
        ("vp9", ["-cpu-used 0", "-tune psnr", "-pass 2", "-f ivf"]),
    ],
)
def test_other_codecs_get_their_command_lines(kind: str, words: list[str]) -> None:
    codec = make_codec(CodecSpec(kind, options={"extra": 3}, arguments=("-more",)), "my-ffmpeg", 1)
    text = " ".join(codec.encode("37")[-1])
    assert text.startswith("my-ffmpeg ")
    for word in ["-crf 37", "-extra 3 -more", *words]:
        assert word in text
    assert text.endswith("{output}")
    assert len(codec.points) >= 4


def config(folder: Path, document: Any) -> str:
    path = folder / "run.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_a_run_is_read_from_json(tmp_path: Path) -> None:
    document = {
        "clips": [{"path": "clip.y4m", "frames": 4}, {"path": "/elsewhere/clip.y4m", "name": "other"}],
        "codecs": ["x264:points=20/30", {"kind": "nvrc", "points": [0.01, 0.02], "environment": {"A": "b"}}],
        "imports": ["theirs.json", "published:c3-uvg"],
        "anchor": "x264",
        "jobs": 2,
    }
    run = load_run(config(tmp_path, document))
    assert [clip.path for clip in run.clips] == [str(tmp_path / "clip.y4m"), "/elsewhere/clip.y4m"]
    assert load_run(str(tmp_path / "run.json"), "/videos").clips[0].path == "/videos/clip.y4m"
    assert run.codecs[1].points == ("0.01", "0.02")
    assert run.imports == (str(tmp_path / "theirs.json"), "published:c3-uvg")
    assert (run.jobs, run.anchor) == (2, "x264")


@pytest.mark.parametrize(
    "document",
    [
        "{",
        [],
        {"clips": []},
        {"clips": ["clip.y4m"]},
        {"clips": [{"path": "a", "colour": 1}]},
        {"clips": [{"frames": 1}]},
        {"clips": [{"path": "a", "frames": "3"}]},
        {"clips": [{"path": "a"}], "codecs": [{"kind": "nvrc", "points": 3}]},
        {"clips": [{"path": "a"}], "codecs": [{"kind": "nvrc", "options": []}]},
        {"clips": [{"path": "a"}], "codecs": ["x264", "x264"]},
        {"clips": [{"path": "a"}], "codecs": "x264"},
        {"clips": [{"path": "a"}], "jobs": 0},
        {"clips": [{"path": "a"}], "surprise": 0},
    ],
)
def test_wrong_configs_are_refused(tmp_path: Path, document: Any) -> None:
    with pytest.raises(InputError) as error:
        load_run(config(tmp_path, document))
    assert error.value.code == "E_CONFIG"


def test_a_missing_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_run(str(tmp_path / "none.json"))


def curves(**changes: Any) -> dict[str, Any]:
    curve = {"codec": "theirs", "clip": "Beauty", "points": [{"bpp": 0.1, "psnr": {"y": 30.0}}], **changes}
    return {"format": FORMAT, "source": "a laboratory", "curves": [curve]}


def test_points_are_imported_from_a_file(tmp_path: Path) -> None:
    document = curves(width=1920, height=1080, points=[{"label": "qp 3", "bytes": 1000, "psnr": {"y": 30, "u": None}}])
    skipped: list[str] = []
    [point] = points_for(load_curves(config(tmp_path, document)), CLIP, skipped)
    assert point["bpp"] == 8000 / (1920 * 1080 * 600)
    assert (point["codec"], point["point"], point["imported"]) == ("theirs", "qp 3", True)
    assert point["source"] == "a laboratory"
    assert point["psnr"]["y"] == 30
    assert point["psnr"]["yuv"] is None
    assert skipped == []


def test_curves_of_another_clip_are_skipped(tmp_path: Path) -> None:
    skipped: list[str] = []
    assert not [*points_for(load_curves(config(tmp_path, curves(clip="Jockey"))), CLIP, skipped)]
    assert skipped == []
    assert not [*points_for(load_curves(config(tmp_path, curves(frames=96))), CLIP, skipped)]
    assert skipped == ["theirs on Beauty is not imported: it is of frames 96, the clip's is 600"]


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"format": "other 1", "curves": []},
        {"format": FORMAT, "curves": []},
        curves(codec=""),
        curves(points=[]),
        curves(source=3),
        curves(points=[{"bpp": 0.1}]),
        curves(points=[{"psnr": {"y": 30}}]),
        curves(points=[{"bpp": 0.1, "bytes": 3, "psnr": {"y": 30}}]),
        curves(points=[{"bpp": -1, "psnr": {"y": 30}}]),
        curves(points=[{"bpp": True, "psnr": {"y": 30}}]),
        curves(points=[{"bpp": 1, "psnr": {"luma": 30}}]),
        curves(points=[{"bpp": 1, "psnr": {"y": "30"}}]),
        curves(frames="600"),
    ],
)
def test_wrong_imports_are_refused(tmp_path: Path, document: Any) -> None:
    with pytest.raises(InputError) as error:
        load_curves(config(tmp_path, document))
    assert error.value.code == "E_CONFIG"


@pytest.mark.parametrize("name", published_names())
def test_a_published_curve_can_be_imported(name: str) -> None:
    for curve in load_curves(f"published:{name}"):
        rates = [point["bpp"] for point in curve["points"]]
        assert rates == sorted(rates) or rates == sorted(rates, reverse=True)
        for metric in ("y", "yuv", "rgb"):
            rising = [
                q for _, q in sorted((p["bpp"], p["psnr"][metric]) for p in curve["points"] if metric in p["psnr"])
            ]
            assert rising == sorted(rising)
            assert all(25 < quality < 50 for quality in rising)
        assert curve["source"].count("/") >= 2
        assert len(rates) >= 4


def test_published_curves_are_listed_by_name() -> None:
    assert published_names() == ["c3-uvg", "hinerv-uvg", "vtm-lowdelay-uvg"]
    with pytest.raises(InputError, match="published are c3-uvg"):
        load_curves("published:none")
    vtm = [curve for curve in load_curves("published:vtm-lowdelay-uvg") if curve["clip"] == "Beauty"]
    assert len([*points_for(vtm, CLIP, [])]) == 10
