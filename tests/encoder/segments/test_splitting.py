"""Where a long video is cut into segments."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import CHROMA_400
from nvrc_encoder.segments.scene_cuts import SceneCuts
from nvrc_encoder.segments.splitting import LEAST_FRAMES, SEGMENT_SAMPLES, SegmentedSource, longest_segment
from nvrc_encoder.source.video import Source

FORMAT = VideoFormat(32, 24, Fraction(25), CHROMA_400)


def texture(seed: int) -> np.ndarray:
    """A grey picture that is unlike those of other seeds."""
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(16, 240, (6, 8)), np.ones((4, 4))).astype(np.uint8)


def shots(*lengths: int, bit_depth: int = 8) -> list[Planes]:
    """Shots that pan slowly, one after the other; the first sample of a frame is its number."""
    out = []
    for shot, length in enumerate(lengths):
        for t in range(length):
            luma = np.roll(texture(shot), t // 4, axis=1)
            luma[0, 0] = len(out)
            out.append(Planes(luma if bit_depth == 8 else luma.astype(np.uint16) * 4))
    return out


def source_of(frames: list[Planes]) -> Source:
    return Source("shots", FORMAT, len(frames), lambda: iter(frames))


def lengths(cut: SegmentedSource) -> list[int]:
    segments = list(cut)
    numbers = [int(frame.y[0, 0]) for segment in segments for frame in segment.frames]
    assert numbers == list(range(len(numbers)))
    assert [segment.number for segment in segments] == list(range(len(segments)))
    assert [segment.first for segment in segments] == [int(segment.frames[0].y[0, 0]) for segment in segments]
    return [len(segment.frames) for segment in segments]


@pytest.mark.parametrize(
    ("wanted", "longest"), [(None, SEGMENT_SAMPLES // 768 // 8 * 8), (0, None), (1, 8), (8, 8), (15, 8), (16, 16)]
)
def test_a_segment_has_whole_gops(wanted: int | None, longest: int | None) -> None:
    assert longest_segment(FORMAT, 8, wanted) == longest


def test_a_large_picture_has_one_gop_a_segment() -> None:
    assert longest_segment(VideoFormat(1920, 1080, Fraction(25)), 32) == 32


@pytest.mark.parametrize("count", [1, 39, 40])
def test_what_fits_in_one_segment_is_not_cut(count: int) -> None:
    frames = shots(20, 20)[:count]
    whole = SegmentedSource(source_of(frames), 40).whole
    assert whole is not None
    assert list(whole) == frames
    assert list(whole) == frames


def test_no_limit_leaves_the_source_alone() -> None:
    def unread() -> Iterator[Planes]:
        raise AssertionError

    source = Source("unread", FORMAT, None, unread)
    assert SegmentedSource(source, None).whole is source


def test_long_shots_are_cut_at_the_limit() -> None:
    cut = SegmentedSource(source_of(shots(50)), 20)
    assert cut.whole is None
    assert lengths(cut) == [20, 20, 10]


@pytest.mark.parametrize(("wanted", "expected"), [(True, [20, 32, 18]), (False, [32, 22, 16])])
def test_scene_cuts_end_segments_unless_disabled(wanted: bool, expected: list[int]) -> None:
    assert lengths(SegmentedSource(source_of(shots(20, 50)), 32, wanted)) == expected


def test_a_cut_soon_after_the_start_does_not_count() -> None:
    early = LEAST_FRAMES - 1
    assert lengths(SegmentedSource(source_of(shots(early, 70)), 32)) == [32, 32, early + 70 - 64]
    assert lengths(SegmentedSource(source_of(shots(early + 1, 60)), 32)) == [early + 1, 32, 28]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(65, [32, 17, 16]), (79, [32, 31, 16]), (80, [32, 32, 16]), (64, [32, 32]), (33, [17, 16])],
)
def test_the_last_segment_is_not_too_short(count: int, expected: list[int]) -> None:
    assert lengths(SegmentedSource(source_of(shots(count)), 32)) == expected


def test_frames_are_read_as_segments_are_taken() -> None:
    read = 0

    def counted() -> Iterator[Planes]:
        nonlocal read
        for frame in shots(100):
            read += 1
            yield frame

    segments = iter(SegmentedSource(Source("counted", FORMAT, None, counted), 32))
    assert read == 33
    for number in range(2):
        next(segments)
        assert read == 32 * (number + 1) + LEAST_FRAMES


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_cuts_are_found_and_pans_are_not(bit_depth: int) -> None:
    cuts = SceneCuts(bit_depth)
    found = [number for number, frame in enumerate(shots(9, 5, 12, bit_depth=bit_depth)) if cuts.begins(frame)]
    assert found == [9, 14]


def test_a_fade_is_no_cut() -> None:
    cuts = SceneCuts(8)
    levels = np.linspace(1.0, 0.2, 20)
    assert not any(cuts.begins(Planes((texture(0) * level).astype(np.uint8))) for level in levels)


def test_pictures_smaller_than_the_reduced_size_work() -> None:
    cuts = SceneCuts(8)
    dark, bright = Planes(np.zeros((1, 1), np.uint8)), Planes(np.full((1, 1), 255, np.uint8))
    assert [cuts.begins(frame) for frame in (dark, dark, bright, bright)] == [False, False, True, False]
