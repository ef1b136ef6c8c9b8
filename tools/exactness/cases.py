"""The work of the exactness suite: networks, GOPs and their right frames."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from synthesis_cases import Case, Picture, random_case

from nvrc_conformance.manifest import Manifest
from nvrc_conformance.stages import decode_stream
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import Profile
from nvrc_decoder.pyramid import Pyramid
from nvrc_decoder.synthesis.cuda.calls import plan_calls
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer

__all__ = ["Work", "calls_that_fit", "differing_samples", "golden_work", "random_work"]

# Up to this size the NumPy reference makes all frames; above, one frame, and ONNX Runtime on the CPU the others.
REFERENCE_SAMPLES = 352 * 288
# Up to this size there are all kinds of networks; above, one with everything active.
VARIED_SAMPLES = 128 * 128
_FORMATS = ((1, 8), (2, 10), (0, 8), (1, 10))
# For each kind of network, without motion and with it.
_PYRAMIDS = (
    (Pyramid(4, 4), Pyramid(1, 1), Pyramid(8, 1, (20, 24, 40)), Pyramid(8, 8)),
    (Pyramid(8, 2, (22, 29)), Pyramid(8, 8), Pyramid(4, 1, (40, 16)), Pyramid(16, 2, (1, 100, 255))),
)


@dataclass(frozen=True)
class Work:
    """GOPs under one NETWORK, and their frames.

    Attributes:
        name: its name in the table.
        profile: the profile, which has the graph.
        network: the arguments of the synthesizers.
        gops: grids and right frames of each GOP.
        against: the implementation that made the right frames.
    """

    name: str
    profile: Profile
    network: tuple[Any, ...]
    gops: Sequence[tuple[Sequence[Any], Sequence[Planes]]]
    against: str

    @property
    def has_planes(self) -> bool:
        """Whether the network has planes."""
        profile, multipliers = self.profile, self.network[5]
        return profile.has_planes([len(factors) for factors in multipliers])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        picture = self.network[1]
        return picture.width, picture.height


def calls_that_fit(work: Work, batches: Sequence[int], free: int | None) -> list[int]:
    """Numbers of frames in a call that fit the memory, each once.

    Args:
        work: the work.
        batches: wanted numbers; 0 for the whole GOP.
        free: bytes of the device's free memory; None on the CPU.
    """
    if free is None:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    most = plan_calls(work.profile, *work.size, free, True).frames
    longest = max(len(frames) for _, frames in work.gops)
    return sorted({min(batch or longest, longest, most) for batch in batches})


def differing_samples(found: Sequence[Planes], right: Sequence[Planes]) -> tuple[int, int, int]:
    """Number of differing samples, the largest difference, and the number of samples.

    All samples of a plane of a wrong shape or type differ.
    """
    count = largest = total = 0
    for t, frame in enumerate(right):
        for i, plane in enumerate(frame.planes()):
            total += plane.size
            other = found[t].planes()[i] if t < len(found) and i < len(found[t].planes()) else None
            if other is None or other.shape != plane.shape or other.dtype != plane.dtype:
                count, largest = count + plane.size, 1 << 16
                continue
            errors = np.abs(plane.astype(np.int32) - other)
            count += int(np.count_nonzero(errors))
            largest = max(largest, int(errors.max(initial=0)))
    return count, largest, total


def golden_work(manifest: Manifest) -> Iterator[Work]:
    """The golden streams: a piece of work for each run of GOPs under one NETWORK."""
    for stream in manifest.streams:
        pieces: list[Work] = []
        for item in decode_stream(manifest.read(stream.id)):
            network = item.network
            arguments = (
                network.profile,
                item.sequence,
                network.header.stage_channels,
                network.header.stage_blocks,
                network.layers,
                network.multipliers,
                network.header.pyramid,
            )
            count = item.gop.frame_count
            frames = ReferenceSynthesizer(*arguments).synthesise(item.grids, count, range(count))
            if pieces and pieces[-1].network[4] is network.layers:
                pieces[-1] = Work(
                    stream.id, network.profile, arguments, [*pieces[-1].gops, (item.grids, frames)], "NumPy"
                )
            else:
                pieces.append(Work(stream.id, network.profile, arguments, [(item.grids, frames)], "NumPy"))
        md5s = tuple(frame.md5() for piece in pieces for _, frames in piece.gops for frame in frames)
        if md5s != stream.frame_md5:
            raise RuntimeError(f"the NumPy reference does not decode the golden stream {stream.id}")
        yield from pieces


def random_work(
    profile: Profile, width: int, height: int, frame_counts: Sequence[int], threads: int | None
) -> Iterator[Work]:
    """Random networks of a profile at one size, with motion and without; the GOPs have `frame_counts` frames."""
    varied = width * height <= VARIED_SAMPLES
    kinds = [("lively", True, 0), ("lively", False, 1), ("bound", False, 2), ("aligned", True, 3)]
    works = [(*kind, motion) for kind in (kinds if varied else kinds[:1]) for motion in (False, True)]
    for style, full, which, motion in works:
        chroma_format, bit_depth = _FORMATS[which]
        picture = Picture(width, height, chroma_format, bit_depth)
        # The network is drawn before the grids: the same one for every number of frames.
        options: dict[str, Any] = {"style": style, "full": full, "motion": motion, "pyramid": _PYRAMIDS[motion][which]}
        cases = [random_case(17, profile, picture, count, **options) for count in frame_counts]
        name = f"{style} {('4:0:0', '4:2:0', '4:4:4')[chroma_format]} {bit_depth}{' motion' * motion}"
        small = width * height <= REFERENCE_SAMPLES
        gops = [(case.grids, _frames(case, small, threads)) for case in cases]
        yield Work(name, profile, cases[0].network, gops, "NumPy" if small else "CPU, NumPy")


def _frames(case: Case, small: bool, threads: int | None) -> list[Planes]:
    count = case.frame_count
    reference = ReferenceSynthesizer(*case.network)
    if small:
        return reference.synthesise(case.grids, count, range(count))
    # Where OpenCV is missing graphs do what it would.
    graphs = importlib.util.find_spec("cv2") is None
    runtime = OrtSynthesizer(*case.network, threads=threads, motion_graphs=graphs)
    frames = runtime.synthesise(case.grids, count, range(count))
    middle = count // 2
    if differing_samples(reference.synthesise(case.grids, count, range(middle, middle + 1)), [frames[middle]])[0]:
        raise RuntimeError(f"ONNX Runtime on the CPU and NumPy differ at {case.picture.width}x{case.picture.height}")
    return frames
