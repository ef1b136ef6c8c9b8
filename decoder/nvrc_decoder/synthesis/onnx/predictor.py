"""Prediction of planes in ONNX graphs (spec 7.6): each step is one call, and nothing leaves the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.picture.planes import PictureFormat
from nvrc_decoder.profiles import ACTIVATION_MIN, LIFTING_UNIT, LUMA_CHANNELS, LUMA_STAGE, PLANE_STAGE, Profile
from nvrc_decoder.pyramid import Pyramid
from nvrc_decoder.synthesis.onnx.initializers import PREDICTED
from nvrc_decoder.synthesis.onnx.session import GraphSession, motion_graph_bytes
from nvrc_decoder.synthesis.predictor import (
    CELL,
    STEPS,
    Grid,
    PlaneArray,
    PlanePredictor,
    dequantised,
    plane_sizes,
)

__all__ = ["GraphPredictor"]

MakeSession = Callable[[bytes, Sequence[str], Mapping[str, npt.NDArray[np.float32]]], GraphSession]

# Frames of one call: each takes some fifty bytes a luma sample, and few keep a GPU busy.
_MOST_FRAMES = 4

# Planes with half samples and repeated edges, by stage, in device memory.
_Node = dict[int, Any]


class GraphPredictor(PlanePredictor[_Node]):
    """Computes the planes of frames under one NETWORK on the device of its sessions.

    Args:
        profile, pyramid, multipliers: as in `PlanePredictor`.
        make: makes a session from a graph, the names of the outputs wanted, and the initializers.
    """

    def __init__(
        self, profile: Profile, pyramid: Pyramid, multipliers: Sequence[Sequence[int]], make: MakeSession
    ) -> None:
        super().__init__(profile, pyramid, multipliers)

        def session(name: str, output: str) -> GraphSession:
            return make(motion_graph_bytes(name), (output,), {})

        self._moves, self._join = session("moves", "moves"), session("join", "joined")
        self._refine = {stage: session(f"refine-{STEPS[stage]}", "refined") for stage in self.stages}
        self._predict = {stage: session(f"predict-{STEPS[stage]}", "predicted") for stage in self.stages}
        self._wavelet = session("wavelet", "up")

    def entering(
        self, grids: Sequence[Grid | None], picture: PictureFormat, frames: range, *, compact: bool = False
    ) -> dict[int, PlaneArray]:
        result = self._results(picture, frames, compact)
        for b, t in enumerate(frames):
            placed = self.entering_placed(grids, picture, range(t, t + 1))
            for name, stage in PREDICTED.items():
                if stage in result:
                    result[stage][b] = placed[name].numpy()[0]
        return result

    def entering_placed(self, grids: Sequence[Grid | None], picture: PictureFormat, frames: range) -> dict[str, Any]:
        """As `entering`, in device memory and by the names of the main graph's inputs."""
        parts: dict[str, list[Any]] = {name: [] for name, stage in PREDICTED.items() if stage in self._slots}
        for some in self._runs(frames):
            # A run lies between a node, inclusive, and the next one, exclusive.
            node = some.start - some.start % self._pyramid.node_spacing
            before, after = self._around(grids, picture, some[-1])
            shares = [self._share(t) for t in some]
            moves = self._placed_moves(grids, picture, some, (node, node + self._pyramid.node_spacing), shares)
            for name, made in parts.items():
                stage = PREDICTED[name]
                inputs = {"before": before[stage], "after": after[stage], **moves}
                made += self._predict[stage].run_placed(inputs)
        return {name: self._joined(made) for name, made in parts.items()}

    def _runs(self, frames: range) -> Iterator[range]:
        """The frames in runs that one call predicts, from the same two nodes."""
        spacing, start = self._pyramid.node_spacing, frames.start
        while start < frames.stop:
            stop = min(frames.stop, start - start % spacing + spacing, start + _MOST_FRAMES)
            yield range(start, stop)
            start = stop

    def _joined(self, parts: list[Any]) -> Any:
        """The frames of all parts as one tensor; joined in pairs, so that each frame is copied few times."""
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=False)
            joined = [self._join.run_placed({"first": first, "second": second})[0] for first, second in pairs]
            parts = joined + parts[len(parts) // 2 * 2 :]
        return parts[0]

    def _share(self, t: int) -> int:
        """The later node's share in frame `t`; for a node so low that it clips to 0 and the node alone is fetched."""
        references = self._pyramid.references(t)
        return ACTIVATION_MIN if references is None or self._pyramid.is_node(t) else references.share

    def _make(
        self, grids: Sequence[Grid | None], picture: PictureFormat, t: int, before: _Node | None, after: _Node | None
    ) -> _Node:
        references, moves = self._pyramid.references(t), {}
        if references is not None:
            there = references.before, references.after
            moves = self._placed_moves(grids, picture, range(t, t + 1), there, [references.share])
        node = {}
        for stage, (rows, columns) in plane_sizes(picture).items():
            if stage not in self._slots:
                continue
            if before is None or after is None:
                size = (
                    (LUMA_CHANNELS, rows // 2, columns // 2) if stage == LUMA_STAGE else (self._planes, rows, columns)
                )
                predicted = self._refine[stage].place({"predicted": np.zeros((1, *size), np.float32)})
            else:
                inputs = {"before": before[stage], "after": after[stage], **moves}
                predicted = {"predicted": self._predict[stage].run_placed(inputs)[0]}
            residual = {"residual": self._placed_residual(grids, stage, t)}
            (node[stage],) = self._refine[stage].run_placed({**predicted, **residual})
        return node

    @property
    def _planes(self) -> int:
        """Most channels of the plane slot."""
        return self._profile.slots[self._profile.plane_slot].max_channels

    def _placed_residual(self, grids: Sequence[Grid | None], stage: int, t: int) -> Any:
        """Residual of a stage's planes at the node of frame `t` (spec 7.6.4)."""
        parts = self._residual(grids, stage, t)
        if parts is None:
            return self._wavelet.place({"zero": np.zeros((1, 1, 1, 1), np.float32)})["zero"]
        bands = [dequantised(*part).astype(np.float32)[None] for part in parts]
        if stage == PLANE_STAGE:
            planes = np.zeros((1, self._planes, *bands[0].shape[2:]), np.float32)
            planes[:, : bands[0].shape[1]] = bands[0]
            return self._wavelet.place({"planes": planes})["planes"]
        low = self._wavelet.place({"low": LIFTING_UNIT * bands[0][:, :1]})["low"]
        for details in (bands[0][:, 1:], *bands[1:]):
            placed = self._wavelet.place({"details": np.ascontiguousarray(details)})
            (low,) = self._wavelet.run_placed({"low": low, **placed})
        return low

    def _placed_moves(
        self,
        grids: Sequence[Grid | None],
        picture: PictureFormat,
        frames: range,
        references: tuple[int, int],
        shares: Sequence[int],
    ) -> dict[str, Any]:
        """Displacements from `frames` to two nodes, and the blend weights of the later one (spec 7.6.1)."""
        before, after = (self._flow(grids, picture, n)[None].astype(np.float32) for n in references)
        size = -(-picture.height // CELL), -(-picture.width // CELL)
        placed = self._moves.place(
            {
                "split": np.stack([self._added(grids, size, t, *references) for t in frames]),
                "here": np.stack([self._flow(grids, picture, t) for t in frames]).astype(np.float32),
                "before": before,
                "after": after,
                "share": np.array(shares, np.float32).reshape(-1, 1, 1, 1),
                "size": np.array(size, np.int64),
            }
        )
        return {"moves": self._moves.run_placed(placed)[0]}

    def _added(
        self, grids: Sequence[Grid | None], cells: tuple[int, int], t: int, before: int, after: int
    ) -> npt.NDArray[np.float32]:
        """What the split grid adds to the displacements to two nodes and to the blend weight: [5, rows, columns].

        Zeros for a node, which is fetched from itself.
        """
        split = None if t == before else self._split(grids, t)
        added = np.zeros((5, *(-(-n // 2) for n in cells)), np.float32)
        if split is not None:
            added[:2], added[2:4], added[4] = split[:2], split[:2] if after < t else -split[:2], split[2]
        return added
