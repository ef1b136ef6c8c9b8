"""A goal for a whole video in segments: one lambda for all, found by the first one."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
from encoder_cases import gradient_source, options

from nvrc_decoder.errors import InputError
from nvrc_encoder import EncodeOptions
from nvrc_encoder.segments import coordinator, goal
from nvrc_encoder.segments.coordinator import encode_segments
from nvrc_encoder.segments.goal import first_options, survey
from nvrc_encoder.segments.splitting import SegmentedSource
from nvrc_encoder.segments.workspace import Workspace
from nvrc_encoder.source.video import Source

Tried = Callable[..., tuple[int, float]]


def short(**changes: Any) -> EncodeOptions:
    return options(**{"iterations": 2, "gop": 2, **changes})


def share(folder: Path, made: EncodeOptions, frames: int = 20) -> EncodeOptions:
    """The options of the first of several segments of four frames."""
    cut = SegmentedSource(gradient_source(16, 16, frames), 4)
    return first_options(cut, made, survey(cut), Workspace(folder, resume=True))


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Makes pilots cheap: the k-th one tried finds 100 (k + 1) bytes and 30 + k dB; the frames of each."""
    seen: list[int] = []

    def pilot(source: Source, frames: list[object], made: EncodeOptions) -> tuple[int, float]:
        assert not goal.has_goal(made)
        seen.append(len(frames))
        return 100 * len(seen), 29.0 + len(seen)

    monkeypatch.setattr(goal, "try_lambda", pilot)
    return seen


def test_segments_are_surveyed_in_a_pass_of_its_own() -> None:
    cut = SegmentedSource(gradient_source(16, 16, 10), 4)
    assert survey(cut) == [4, 4, 2]
    assert [len(segment.frames) for segment in cut.again()] == [4, 4, 2]


def test_the_first_segment_gets_its_share_of_a_size(tmp_path: Path, tried: list[int]) -> None:
    # It took 100 of the 600 bytes that three of five equal segments took.
    made = share(tmp_path, short(target_size=6000))
    assert tried == [4, 4, 4]
    assert made == short(target_size=600)


def test_the_first_segment_gets_its_share_of_a_psnr(tmp_path: Path, tried: list[int]) -> None:
    assert share(tmp_path, short(target_psnr=33.0)) == short(target_psnr=32.0)


@pytest.mark.parametrize(
    "made",
    [short(target_bpp=8 * 6000 / (20 * 256)), short(target_bitrate=6000 / 125 * 25 / 20)],
    ids=["bpp", "bitrate"],
)
def test_rates_become_sizes_of_the_whole(tmp_path: Path, tried: list[int], made: EncodeOptions) -> None:
    assert share(tmp_path, made) == short(target_size=600)


def test_the_share_is_kept_for_the_same_encode_only(tmp_path: Path, tried: list[int]) -> None:
    share(tmp_path, short(target_size=6000))
    assert share(tmp_path, short(target_size=6000)) == short(target_size=600)
    assert len(tried) == 3
    share(tmp_path, short(target_size=6001))
    share(tmp_path, short(target_size=6001), frames=21)
    assert len(tried) == 9


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"key": {}, "value": "x"}'])
def test_a_damaged_share_is_found_anew(tmp_path: Path, tried: list[int], text: str) -> None:
    (tmp_path / "segment-goal").write_text(text)
    assert share(tmp_path, short(target_size=6000)) == short(target_size=600)
    assert len(tried) == 3


def pipe(source: Source) -> Source:
    """The source, as one that can be read once."""
    frames = iter(source)
    return replace(source, frame_count=None, once=True, _open_frames=lambda: frames)


def test_a_size_needs_a_known_length(tmp_path: Path) -> None:
    cut = SegmentedSource(pipe(gradient_source(16, 16, 6)), 4)
    with pytest.raises(InputError, match="use --bitrate or --target-bpp, or a file") as caught:
        encode_segments(cut, io.BytesIO(), short(target_size=900), folder=tmp_path)
    assert caught.value.code == "E_SOURCE"


@pytest.mark.full
@pytest.mark.parametrize("once", [True, False], ids=["pipe", "file"])
def test_all_segments_have_the_lambda_of_the_first(
    tmp_path: Path, once: bool, tried: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = gradient_source(16, 16, 6)
    made = short(target_psnr=31.0, iterations=4)
    cut = SegmentedSource(pipe(source) if once else source, 2)
    report = encode_segments(cut, io.BytesIO(), made, folder=tmp_path)
    assert len(tried) == (0 if once else 3)
    assert [one["frames"] for one in report.segments] == [2, 2, 2]
    assert report.segments[0]["rate_control"] is not None
    assert report.segments[0]["lambda"] == report.segments[1]["lambda"] == report.segments[2]["lambda"]
    assert report.segments[0]["lambda"] != made.lagrangian
    assert [one["rate_control"] for one in report.segments[1:]] == [None, None]
    assert report.goal is not None
    assert (report.goal.kind, report.goal.value) == ("psnr", 31.0)
    monkeypatch.setattr(coordinator.Here, "submit", lambda *arguments: pytest.fail("all is finished"))
    again = SegmentedSource(pipe(source) if once else source, 2)
    if not once:
        assert encode_segments(again, io.BytesIO(), made, folder=tmp_path, resume=True).bytes == report.bytes
