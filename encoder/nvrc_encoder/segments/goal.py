"""A goal for a whole video: what the first segment has to meet, so that its lambda suits all segments."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nvrc_decoder.errors import InputError
from nvrc_encoder.encoding import try_lambda
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.rate_goal import RateGoal, guess_lambda
from nvrc_encoder.segments.splitting import SegmentedSource
from nvrc_encoder.segments.workspace import Workspace
from nvrc_encoder.source.video import Source
from nvrc_encoder.training.checkpoint import fingerprint

__all__ = ["SAMPLES", "first_options", "following_options", "has_goal", "survey", "whole_goal"]

log = logging.getLogger("nvrc_encoder")

SAMPLES = 3
"""Segments whose size at one lambda is measured, spread over the video."""
_HASTY = "draft"
_NONE: dict[str, Any] = {"target_size": None, "target_bpp": None, "target_bitrate": None, "target_psnr": None}


def has_goal(options: EncodeOptions) -> bool:
    """Whether lambda follows a goal."""
    return any(getattr(options, name) is not None for name in _NONE)


def whole_goal(source: Source, options: EncodeOptions, frames: int) -> RateGoal | None:
    """The goal of a video whose frames have been read; None for a fixed lambda."""
    duration = source.findings.duration(source.window, source.rate, frames)
    return options.goal(source.width, source.height, frames, frames / duration)


def survey(cut: SegmentedSource) -> list[int]:
    """Numbers of frames of the segments, from a pass over the source; it has to be opened `again` after that."""
    return [len(segment.frames) for segment in cut.again()]


def following_options(options: EncodeOptions, lagrangian: float) -> EncodeOptions:
    """The options of all segments but the first: a fixed lambda in place of the goal."""
    return replace(options, lagrangian=lagrangian, **_NONE)


def first_options(
    cut: SegmentedSource,
    options: EncodeOptions,
    counts: Sequence[int] | None,
    workspace: Workspace,
    hasty: bool = False,
) -> EncodeOptions:
    """The options of the first segment: its share of the goal.

    Three segments, the first among them, are tried at one lambda by short pilots. How the first one compares with the
    mean of the three says how it should compare with the whole. Of a pipe nothing else can be tried: the first segment
    has to meet the rate or the PSNR of the whole.

    Args:
        cut: the video.
        options: those of the whole.
        counts: numbers of frames of the segments; None where they are not known.
        workspace: keeps the result, as it takes minutes.
        hasty: whether pilots are as short as those of `draft`.

    Raises:
        InputError: E_SOURCE, a size is wanted of a video whose length is not known.
    """
    source = cut.source
    if counts is None:
        if options.target_size is not None:
            raise InputError(
                "E_SOURCE",
                f"the length of {source.name} is not known before its end, so that --target-size cannot be shared "
                "among its segments: use --bitrate or --target-bpp, or a file",
            )
        return options
    goal = whole_goal(source, options, sum(counts))
    if goal is None:
        return options
    key = {**fingerprint(source.picture, [], options), "segments": repr(list(counts))}
    value = workspace.goal(key)
    if value is None:
        value = _share(cut, replace(options, preset=_HASTY, iterations=None) if hasty else options, goal, counts)
        workspace.keep_goal(key, value)
    if goal.kind == "psnr":
        return replace(options, **{**_NONE, "target_psnr": value})
    return replace(options, **{**_NONE, "target_size": max(1, round(value))})


def _share(cut: SegmentedSource, options: EncodeOptions, goal: RateGoal, counts: Sequence[int]) -> float:
    """The size or the PSNR that the first segment should have, by pilots."""
    source = cut.source
    lagrangian = guess_lambda(goal, sum(counts) * source.width * source.height)
    tried = following_options(options, lagrangian)
    numbers = {len(counts) * i // SAMPLES for i in range(SAMPLES)}
    figures: dict[int, tuple[float, float]] = {}
    for segment in cut.again():
        if segment.number in numbers:
            log.info("pilot of segment %d of %d", segment.number + 1, len(counts))
            size, psnr_y = try_lambda(source, segment.frames, tried)
            figures[segment.number] = float(size), psnr_y
        if segment.number == max(numbers):
            break
    frames = sum(counts[number] for number in figures)
    if goal.kind == "psnr":
        mean = sum(counts[number] * psnr_y for number, (_, psnr_y) in figures.items()) / frames
        return goal.value + figures[0][1] - mean
    sampled = sum(size for size, _ in figures.values())
    return goal.value * (figures[0][0] / sampled) * (frames / sum(counts))
