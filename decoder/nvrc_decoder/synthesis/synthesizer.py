"""What every engine is for the rest of the decoder: jobs that make the frames of a GOP."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from nvrc_decoder.picture.planes import PictureFormat, Planes
from nvrc_decoder.profiles import Profile
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid
from nvrc_decoder.synthesis.arithmetic import IntegerLayer
from nvrc_decoder.system.threads import run_in_order

__all__ = ["Grid", "Job", "NetworkParts", "Predicted", "Synthesizer", "TileSynthesizer"]

Grid = npt.NDArray[np.int16]
"""Quantised values of a slot: [nodes or frames, channels, rows, columns]."""
Predicted = Mapping[int, npt.NDArray[Any]]
"""Planes by the stage that they enter: [frames, channels, rows, columns] in a type of the synthesizer's own."""
Job = Callable[[], list[Planes]]
"""Makes a few consecutive frames; it may run in any thread."""


class NetworkParts(NamedTuple):
    """What synthesis needs of a NETWORK, in the order of the arguments of every synthesizer.

    Attributes:
        profile: the stream's profile.
        picture: size, chroma format and bit depth.
        stage_channels, stage_blocks: active channels and blocks of each stage.
        layers: proved layers by canonical name, exactly those of `profiles.synthesis_layers`.
        multipliers: per slot the multiplier of each active channel; empty where the slot is absent.
        pyramid: which frames are nodes.
    """

    profile: Profile
    picture: PictureFormat
    stage_channels: Sequence[int]
    stage_blocks: Sequence[int]
    layers: Mapping[str, IntegerLayer]
    multipliers: Sequence[Sequence[int]]
    pyramid: Pyramid = DEFAULT_PYRAMID


class Synthesizer(ABC):
    """Makes any frames of any GOP under one NETWORK.

    Attributes:
        batch: frames of one job.
        workers: jobs that may run concurrently.
    """

    batch = 1
    workers = 1

    @abstractmethod
    def jobs(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> Iterator[Job]:
        """The jobs that make consecutive frames of a GOP, in order.

        To ask for a job prepares its inputs in the caller's thread, since planes are predicted from frame to frame. A
        job of tiles prepares them itself: it runs alone.

        Args:
            grids: per slot int16 [nodes, channels, rows, columns] of the whole GOP, None where the slot is absent.
            frame_count: frames in the GOP.
            frames: the frames wanted, within ``range(frame_count)``.

        Raises:
            InternalError: E_RUNTIME, the engine failed; also from a job.
        """

    @abstractmethod
    def release(self) -> None:
        """Release the memory that is kept for the next job."""

    def stream(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> Iterator[Planes]:
        """The frames in order, made by `workers` jobs concurrently; arguments as in `jobs`."""
        for planes in run_in_order(self.jobs(grids, frame_count, frames), self.workers):
            yield from planes

    def synthesise(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> list[Planes]:
        """As `stream`, all frames at once."""
        return list(self.stream(grids, frame_count, frames))


class TileSynthesizer(Synthesizer):
    """Makes whole pictures, and tiles of pictures from planes that are predicted for the whole."""

    @abstractmethod
    def predicted(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> Predicted:
        """The predicted planes of whole pictures (spec 7.6.6); empty where no slot has nodes.

        Arguments as in `jobs`.
        """

    @abstractmethod
    def resized(self, picture: PictureFormat) -> Self:
        """The same synthesizer for pictures of another size; all that is costly is shared."""

    @abstractmethod
    def tile(self, grids: Sequence[Grid | None], frame_count: int, t: int, predicted: Predicted) -> Planes:
        """Frame `t` of a tile.

        Args:
            grids: the tile's part of each feature grid; of other slots nothing is needed.
            frame_count: frames in the GOP.
            t: the frame.
            predicted: the tile's part of what `predicted` gives for this frame.
        """
