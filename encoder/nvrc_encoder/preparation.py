"""Preparation of a training: the trainer for a video and its options, and what its stream says before the first GOP."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from nvrc_decoder.bitstream.units import ScheduleKind, SequenceHeader
from nvrc_decoder.errors import InvalidStreamError, UnsupportedError
from nvrc_decoder.octree.schedule import octree_schedule, temporal_first_schedule
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import node_shape
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.quality.similarity import Similarity
from nvrc_encoder.source.video import Source
from nvrc_encoder.training.source_rows import make_source_rows
from nvrc_encoder.training.trainer import Estimate, Trainer
from nvrc_encoder.writing.stream import estimate_bytes, sequence_header

__all__ = ["Prepared", "check_before_reading", "make_trainer", "prepare"]

_SCHEDULES = {
    "temporal-first": (ScheduleKind.TEMPORAL_FIRST, temporal_first_schedule),
    "octree": (ScheduleKind.OCTREE, octree_schedule),
}


@dataclass(frozen=True)
class Prepared:
    """A trainer and the parts of its stream that are not trained.

    Attributes:
        trainer: ready to run.
        sequence: SEQUENCE of the stream.
        schedule: schedule of every grid.
        index: whether the stream has an INDEX; for one GOP it would be redundant.
        metadata: METADATA, key -> value.
    """

    trainer: Trainer
    sequence: SequenceHeader
    schedule: ScheduleKind
    index: bool
    metadata: Mapping[str, str]

    def size(self, estimate: Estimate) -> int:
        """Bytes of the stream by the rate model.

        Raises:
            InternalError: something in the headers is outside the format's ranges.
        """
        return estimate_bytes(
            self.trainer, self.sequence, self.schedule, estimate, index=self.index, metadata=self.metadata
        )

    @property
    def smallest(self) -> Estimate:
        """The estimate of a stream whose grids and weights take no bits."""
        return Estimate([0.0] * len(self.trainer.model.profile.slots), [0.0], 0.0)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UnsupportedError("E_DEVICE", "PyTorch sees no CUDA device: use --device cpu")
    return torch.device(name)


def _similarity(source: Source, options: EncodeOptions) -> Similarity | None:
    """The MS-SSIM that the options tune for; None for PSNR."""
    return Similarity((source.height, source.width), source.bit_depth) if options.tune == "ms-ssim" else None


def check_before_reading(source: Source, options: EncodeOptions) -> None:
    """Refuse an encode for reasons that are known before any frame is read.

    Raises:
        UnsupportedError: E_DEVICE, there is no CUDA device; E_UNSUPPORTED, the video is too small for MS-SSIM.
        MissingExtraError: E_MISSING_EXTRA, MS-SSIM needs a package that is not installed.
    """
    _similarity(source, options)
    _device(options.device)


def _split(frames: Sequence[Planes], gop: int) -> list[list[Planes]]:
    return [list(frames[i : i + gop]) for i in range(0, len(frames), gop)]


def make_trainer(
    source: Source,
    frames: Sequence[Planes],
    options: EncodeOptions,
    *,
    start: bool = True,
    kind: type[Trainer] = Trainer,
) -> tuple[Trainer, SequenceHeader, ScheduleKind]:
    """A trainer for a video, ready to run, with its SEQUENCE and the schedule of its grids.

    Args:
        source: gives the format.
        frames: the frames, at least one.
        options: see `EncodeOptions`.
        start: whether to search for initial grids; not needed where a checkpoint of the training is put back.
        kind: the trainer's class.

    Raises:
        UnsupportedError: E_LEVEL, no level admits the video; also as in `check_before_reading`.
    """
    size = (source.height, source.width)
    gops = _split(frames, options.gop)
    structure = options.structure()
    longest = len(gops[0])
    shapes = [node_shape(slot, longest, *size, structure.pyramid) for slot in structure.profile.slots]
    schedule, make_splits = _SCHEDULES[options.schedule]
    symbols = sum(math.prod(shape) * n for shape, n in zip(shapes, structure.grid_channels, strict=True))
    try:
        sequence = sequence_header(source.picture, structure.profile.id, longest, symbols)
    except InvalidStreamError as error:
        raise UnsupportedError(error.code, f"{source.name} cannot be encoded: {error.message}") from error
    trainer = kind(
        structure,
        source.chroma_format,
        source.bit_depth,
        size,
        [make_source_rows(gop, source.chroma_format) for gop in gops],
        options.multipliers(structure),
        make_splits,
        options.lagrangian,
        options.seed,
        _device(options.device),
        _similarity(source, options),
        options.prior,
        start,
    )
    return trainer, sequence, schedule


def prepare(source: Source, frames: Sequence[Planes], options: EncodeOptions, start: bool = True) -> Prepared:
    """A trainer and the rest of its stream; arguments and errors as in `make_trainer`."""
    trainer, sequence, schedule = make_trainer(source, frames, options, start=start)
    index = options.index and len(trainer.frame_counts) > 1
    return Prepared(trainer, sequence, schedule, index, options.metadata)
