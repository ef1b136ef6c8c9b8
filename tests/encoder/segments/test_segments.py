"""Encodes in segments: one stream of all frames, resumed from what is finished."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
from encoder_cases import ONE_GRID, gradient_source, options

import nvrc_decoder
from nvrc_decoder.errors import InputError, InvalidStreamError
from nvrc_decoder.picture.planes import Planes
from nvrc_encoder import EncodeOptions
from nvrc_encoder.segments import coordinator, job, workspace
from nvrc_encoder.segments.coordinator import Overall, encode_segments
from nvrc_encoder.segments.report import SegmentedReport
from nvrc_encoder.segments.splitting import SegmentedSource
from nvrc_encoder.segments.workspace import Workspace, write_result
from nvrc_encoder.source.findings import Findings
from nvrc_encoder.source.video import Source
from nvrc_encoder.training.interruption import Interruption
from nvrc_encoder.training.outlook import Outlook
from nvrc_encoder.training.trainer import Trainer
from nvrc_encoder.writing import stream


def source(frames: int = 7) -> Source:
    return gradient_source(16, 16, frames)


def short(**changes: Any) -> EncodeOptions:
    return options(**{"iterations": 1, "gop": 2, **ONE_GRID, **changes})


def encoded(
    folder: Path, video: Source, made: EncodeOptions | None = None, longest: int = 4, **more: Any
) -> tuple[bytes, SegmentedReport]:
    output = io.BytesIO()
    report = encode_segments(SegmentedSource(video, longest), output, made or short(), folder=folder, **more)
    return output.getvalue(), report


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


DONE = {f"segment-{number:05}.{suffix}" for number in range(2) for suffix in ("nvrc", "json")}


def test_segments_become_one_stream_of_all_frames(tmp_path: Path) -> None:
    data, report = encoded(tmp_path, source())
    with nvrc_decoder.open(io.BytesIO(data)) as video:
        assert video.frame_count == 7
        md5s = [frame.md5() for frame in video]
    assert md5s == [md5 for one in report.segments for md5 in one["frame_md5s"]]
    assert report.document()["frame_md5s"] == md5s
    assert [one["frames"] for one in report.segments] == [4, 3]
    assert report.bytes == len(data)
    assert sum(report.components.values()) == pytest.approx(len(data))
    assert report.quality.y == pytest.approx(sum(one["frames"] * one["psnr"]["y"] for one in report.segments) / 7)
    assert json.loads(json.dumps(report.document()))["frames"] == 7
    assert names(tmp_path) == DONE


def test_frames_wait_in_the_folder_one_segment_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, seen = coordinator.Here.next_done, []

    def watched(self: Any, seconds: float) -> Any:
        seen.append(sorted(name for name in names(tmp_path) if name.endswith(".yuv")))
        return honest(self, seconds)

    monkeypatch.setattr(coordinator.Here, "next_done", watched)
    encoded(tmp_path, source(9))
    assert seen == [[f"segment-{number:05}.yuv"] for number in range(3)]


@pytest.mark.full
def test_no_trainer_outlives_its_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, left = coordinator.Here.next_done, []

    def watched(self: Any, seconds: float) -> Any:
        done = honest(self, seconds)
        left.append([found for found in gc.get_objects() if type(found) is Trainer])
        return done

    monkeypatch.setattr(coordinator.Here, "next_done", watched)
    gc.collect()
    encoded(tmp_path, source(), short(iterations=2))
    assert left == [[], []]


def test_levels_of_segments_may_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "minimum_level", lambda *figures: 1 if figures[4] == 1 else 0)
    data, _ = encoded(tmp_path, source(5))
    levels = []
    for path in sorted(tmp_path.glob("*.nvrc")):
        with nvrc_decoder.open(path) as video:
            levels.append(video.info.level)
    with nvrc_decoder.open(io.BytesIO(data)) as video:
        assert video.info.level == 1
        assert len(list(video)) == 5
    assert levels == [0, 1]


def test_metadata_is_written_once_and_times_for_each_segment(tmp_path: Path) -> None:
    durations = [40, 40, 80, 40, 40, 20, 40]
    findings = Findings(entries={"nvrc.sar": "4:3"}, time_base=Fraction(1, 1000), last_duration=durations[-1])
    findings.starts = [sum(durations[:i]) for i in range(7)]
    video = replace(source(), findings=findings)
    data, _ = encoded(tmp_path, video, short(metadata={"title": "a gradient"}))
    with nvrc_decoder.open(io.BytesIO(data)) as decoded:
        times = [frame.time for frame in decoded]
        assert decoded.presentation.sample_aspect == Fraction(4, 3)
    assert times == [Fraction(start, 1000) for start in findings.starts if start is not None]
    assert data.count(b"nvrc.times") == 2
    assert data.count(b"a gradient") == data.count(b"nvrc.sar") == 1


def test_times_of_all_frames_can_be_given(tmp_path: Path) -> None:
    data, _ = encoded(tmp_path, source(), short(metadata={"nvrc.times": "1/10 1*7"}))
    with nvrc_decoder.open(io.BytesIO(data)) as decoded:
        assert [frame.time for frame in decoded] == [Fraction(i, 10) for i in range(7)]


def test_finished_segments_are_not_encoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = encoded(tmp_path / "whole", source())

    def fails(video: Source, *arguments: Any, **more: Any) -> Any:
        if len(list(video)) == 3:
            raise KeyboardInterrupt
        return honest(video, *arguments, **more)

    honest = job.encode
    with monkeypatch.context() as patch:
        patch.setattr(job, "encode", fails)
        with pytest.raises(KeyboardInterrupt):
            encoded(tmp_path / "broken", source())
    assert names(tmp_path / "broken") == {"segment-00000.nvrc", "segment-00000.json"}
    begun = []
    monkeypatch.setattr(job, "encode", lambda video, *args, **more: begun.append(1) or honest(video, *args, **more))
    told: list[Overall] = []
    data, _ = encoded(tmp_path / "broken", source(), resume=True, told=told.append)
    assert data == whole
    assert len(begun) == 1
    assert (told[-1].segments, told[-1].frames, told[-1].fresh) == (2, 7, 3)


@pytest.mark.full
def test_a_half_done_segment_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    made = short(iterations=6)
    whole, _ = encoded(tmp_path / "whole", source(), made)
    interruption = Interruption()

    def shown(one: job.Job) -> Any:
        def changed() -> None:
            if one.number == 1 and outlook.stage == "training" and outlook.step == 3:
                interruption.ask(KeyboardInterrupt())

        outlook = Outlook(changed)
        return nullcontext((None, outlook))

    folder = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        encoded(folder, source(), made, interruption=interruption, shown=shown)
    assert interruption.kept == "segment 2, 3/6"
    assert "segment-00001.checkpoint" in names(folder)
    data, _ = encoded(folder, source(), made, resume=True)
    assert data == whole


def test_an_early_interrupt_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "encode", interrupted)
    interruption = Interruption()
    with pytest.raises(KeyboardInterrupt):
        encoded(tmp_path / "work", source(), interruption=interruption)
    assert interruption.kept is None
    assert names(tmp_path) == set()


@pytest.mark.full
@pytest.mark.parametrize(
    ("video", "made", "what"),
    [(source(8), None, "frames 3, now 4"), (source(), short(seed=1), "seed 0, now 1")],
    ids=["frames", "options"],
)
def test_a_folder_of_another_encode_is_refused(
    tmp_path: Path, video: Source, made: EncodeOptions | None, what: str
) -> None:
    encoded(tmp_path, source())
    with pytest.raises(InputError, match=f"belongs to another encode .*{what}") as caught:
        encoded(tmp_path, video, made, resume=True)
    assert caught.value.code == "E_CHECKPOINT"


@pytest.mark.full
@pytest.mark.parametrize("text", ["", "[]", '{"key": 1}', "\xff", '{"key": {}, "report": 3}'])
def test_a_damaged_result_is_refused(tmp_path: Path, text: str) -> None:
    encoded(tmp_path, source())
    (tmp_path / "segment-00001.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="is damaged: remove it") as caught:
        encoded(tmp_path, source(), resume=True)
    assert caught.value.code == "E_CHECKPOINT"


@pytest.mark.full
def test_a_segment_without_its_stream_is_not_finished(tmp_path: Path) -> None:
    whole, _ = encoded(tmp_path, source())
    (tmp_path / "segment-00001.nvrc").unlink()
    assert encoded(tmp_path, source(), resume=True)[0] == whole


def test_a_result_without_its_stream_is_not_counted(tmp_path: Path) -> None:
    encoded(tmp_path, source())
    folder = Workspace(tmp_path, resume=True)
    assert folder.count() == (2, 0)
    (tmp_path / "segment-00001.nvrc").unlink()
    assert folder.count() == (1, 0)
    assert not folder.is_finished(1)


def test_a_result_goes_before_its_stream_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = tmp_path / "segment-00000.nvrc"
    write_result(stream, b"old", {}, {})
    with monkeypatch.context() as patch:
        patch.setattr(workspace, "_write_whole", lambda path, data: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            write_result(stream, b"new", {}, {})
    assert names(tmp_path) == {"segment-00000.nvrc"}


@pytest.mark.parametrize("suffix", ["nvrc", "json"])
def test_a_folder_that_changes_meanwhile_is_an_error(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = coordinator.Here.next_done

    def watched(self: Any, seconds: float) -> Any:
        done = honest(self, seconds)
        if done.number == 1:
            (tmp_path / f"segment-00000.{suffix}").unlink()
        return done

    monkeypatch.setattr(coordinator.Here, "next_done", watched)
    with pytest.raises(InputError, match=r"segment 1 is gone from .*use --resume") as caught:
        encoded(tmp_path, source())
    assert caught.value.code == "E_CHECKPOINT"


def test_an_interrupt_is_heard_among_finished_segments(tmp_path: Path) -> None:
    encoded(tmp_path, source(12))
    interruption, passed = Interruption(), []

    def frames() -> Iterator[Planes]:
        for number, frame in enumerate(video):
            passed.append(number)
            if number == 5:
                interruption.ask(KeyboardInterrupt())
            yield frame

    video = source(12)
    with pytest.raises(KeyboardInterrupt):
        encoded(tmp_path, replace(video, _open_frames=frames), resume=True, jobs=2, interruption=interruption)
    assert interruption.kept == "3 finished segments"
    assert len(passed) < 12


def test_a_short_video_is_one_segment(tmp_path: Path) -> None:
    data, report = encoded(tmp_path, source(3))
    assert [one["frames"] for one in report.segments] == [3]
    with nvrc_decoder.open(io.BytesIO(data)) as video:
        assert video.frame_count == 3


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no frames"):
        encoded(tmp_path, replace(source(3), _open_frames=lambda: iter(())))


def test_a_damaged_stream_is_named(tmp_path: Path) -> None:
    encoded(tmp_path, source())
    stream = tmp_path / "segment-00001.nvrc"
    data = bytearray(stream.read_bytes())
    data[-60] ^= 1
    stream.write_bytes(data)
    with pytest.raises(InvalidStreamError) as caught:
        encoded(tmp_path, source(), resume=True)
    assert caught.value.file == str(stream)


@pytest.mark.full
def test_without_resume_what_the_folder_holds_goes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoded(tmp_path, source())
    (tmp_path / "segment-00007.json").write_text("old")
    (tmp_path / "mine").write_text("stays")
    encoded(tmp_path, source(5))
    assert "will be overwritten; use --resume" in caplog.text
    assert names(tmp_path) == DONE | {"mine"}


def test_planes_of_ten_bits_pass_through_the_folder(tmp_path: Path) -> None:
    video = gradient_source(16, 16, 3, bit_depth=10)
    output = io.BytesIO()
    encode_segments(SegmentedSource(video, 2), output, short(), folder=tmp_path)
    with nvrc_decoder.open(io.BytesIO(output.getvalue())) as decoded:
        frames: list[Planes] = list(decoded)
    assert [frame.y.max() > 255 for frame in frames] == [True] * 3
