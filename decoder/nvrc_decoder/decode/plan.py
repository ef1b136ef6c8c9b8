"""The plan of a GOP: what decoding it takes, computed once, before any memory is allocated (docs/memory.md).

The constants are upper bounds of what `tools/benchmarks/memory.py` measures; `docs/performance.md` has the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nvrc_decoder.bitstream.headers import Gop, NetworkHeader, SequenceHeader
from nvrc_decoder.limits import Limits
from nvrc_decoder.octree.schedule import largest_step
from nvrc_decoder.picture.planes import plane_shapes
from nvrc_decoder.profiles import LUMA_CHANNELS, STAGE_STRIDES, Profile, node_shape
from nvrc_decoder.synthesis.cpu.predictor import motion_bytes
from nvrc_decoder.synthesis.tiles import RETAINED_BYTES, activation_bytes, largest_tile

__all__ = [
    "PROCESS_BYTES",
    "GopPlan",
    "SynthesisPlan",
    "estimate_gop_memory",
    "grid_memory",
    "make_plan",
    "plan_synthesis",
]

# Interpreter, libraries and command line with everything imported, and what does not grow with the stream.
PROCESS_BYTES = 110_000_000

# Upper bound on simultaneous copies of the coded bytes: the unit and its parts; of the grid that is being decoded, the
# words in the coder's order and the coder's own.
_PAYLOAD_COPIES = 4
# A frame, its bytes on the way to a digest, and those on the way to a file.
_FRAME_COPIES = 3
# Upper bound on the working memory for each value of the largest step.
_STEP_BYTES = 32


def grid_memory(sequence: SequenceHeader, network: NetworkHeader, frame_count: int) -> tuple[int, int]:
    """Bytes of the decoded grids of a GOP, and the most that there are while they are decoded."""
    held = peak = coarser = 0
    for grid in network.coding_order(sequence.profile_spec):
        slot = sequence.profile_spec.slots[grid.slot]
        nodes, rows, columns = node_shape(slot, frame_count, sequence.height, sequence.width, network.pyramid)
        values = nodes * rows * columns * grid.channels
        held += 2 * values
        # A flow grid's lattice is not clipped to bytes, and has a map of what lies inside it.
        lattice = (nodes + 2) * (rows + 2) * (columns + 2) * (2 * grid.channels + 1 if slot.flow else grid.channels)
        magnitude = nodes * rows * columns + coarser
        step = largest_step((nodes, rows, columns), grid.splits((nodes, rows, columns))) * grid.channels
        peak = max(peak, held + lattice + magnitude + _STEP_BYTES * step)
        coarser = 0 if slot.motion else nodes * rows * columns
    return held, peak


def _input_bytes(profile: Profile, width: int, height: int) -> int:
    """Bytes of the values in float32 that a frame is made of on the CPU."""
    total = 0
    for stage, stride in enumerate(STAGE_STRIDES):
        channels = sum(profile.slots[i].max_channels for i in profile.slots_of_stage(stage))
        if stage == len(STAGE_STRIDES) - 1:
            channels += LUMA_CHANNELS
        frames = 3 if stage == 0 and profile.temporal_stem else 1
        total += 4 * frames * channels * -(-height // stride) * -(-width // stride)
    return total


@dataclass(frozen=True)
class SynthesisPlan:
    """What making the frames of a GOP takes on the CPU, in bytes; upper bounds.

    Attributes:
        samples: most luma samples of a tile, halo included.
        motion: bytes of the nodes that planes are predicted from, and of the work on them.
        activations: bytes while one frame is made.
        inputs: bytes of what a frame is made of.
        frame: bytes of one frame.
        workers: frames that are made concurrently; more than one only where all fits beside the next GOP's symbols.
    """

    samples: int
    motion: int
    activations: int
    inputs: int
    frame: int
    workers: int = 1

    @property
    def bytes(self) -> int:
        """Bytes of the process while frames are made, without those of the GOP itself."""
        extra = self.workers - 1
        # With several workers, the inputs of one more frame are prepared early (`run_in_order`).
        others = extra * (self.activations + self.frame) + (self.inputs if extra else 0)
        return PROCESS_BYTES + _FRAME_COPIES * self.frame + self.motion + self.activations + others

    @property
    def retained(self) -> int:
        """Bytes that an engine keeps for the next frame, unless they are released."""
        return self.motion + self.workers * self.activations


@dataclass(frozen=True)
class GopPlan:
    """What decoding a GOP takes, in bytes; upper bounds.

    Attributes:
        synthesis: what making its frames takes.
        coded: bytes of its payload, in all its copies.
        decoding: the most that there is while its grids are decoded.
        grids: bytes of the decoded grids.
        frame_count: its frames.
        kept: whether all frames are kept until the DIGEST has been checked. Otherwise they are made twice.
    """

    synthesis: SynthesisPlan
    coded: int
    decoding: int
    grids: int
    frame_count: int
    kept: bool

    @property
    def estimate(self) -> int:
        """Bytes of the process where one GOP is decoded alone, and each frame is released at once (docs/memory.md)."""
        plan = self.synthesis
        making = plan.motion + plan.activations
        fixed = PROCESS_BYTES + self.coded + _FRAME_COPIES * plan.frame
        return fixed + max(min(RETAINED_BYTES, making) + self.decoding, self.grids + making)

    @property
    def symbol_bytes(self) -> int:
        """Bytes of this GOP while its symbols are decoded."""
        return self.coded + self.decoding

    @property
    def grid_bytes(self) -> int:
        """Bytes of this GOP once its symbols are decoded."""
        return self.coded + self.grids

    @property
    def frame_bytes(self) -> int:
        """Bytes of this GOP while its frames are made."""
        return self.grid_bytes + self.kept_bytes

    @property
    def kept_bytes(self) -> int:
        """Bytes of the frames that are kept."""
        return self.synthesis.frame * self.frame_count if self.kept else 0


def plan_synthesis(sequence: SequenceHeader, network: NetworkHeader, limits: Limits) -> SynthesisPlan:
    """What making frames under a NETWORK takes on the CPU, one frame after another."""
    profile, size = sequence.profile_spec, (sequence.width, sequence.height)
    motion = motion_bytes(profile, *size, network.grid_channels(profile), network.pyramid)
    # Three fifths of the memory are for motion and, after it, activations.
    samples = max(0, limits.max_memory_bytes * 3 // 5 - motion) // activation_bytes(profile) * 4
    rows, columns = largest_tile(profile, *size, samples)
    # Two more each way: padding and the edges of the x2 stages count where a tile is narrow.
    activations = activation_bytes(profile) * (rows // 2 + 2) * (columns // 2 + 2)
    shapes = plane_shapes(*size, sequence.chroma_format)
    frame = (1 if sequence.bit_depth == 8 else 2) * sum(rows * columns for rows, columns in shapes)
    return SynthesisPlan(samples, motion, activations, _input_bytes(profile, *size), frame)


def make_plan(
    sequence: SequenceHeader, network: NetworkHeader, gop: Gop, limits: Limits, most_workers: int = 1
) -> GopPlan:
    """The plan of a GOP.

    Args:
        sequence, network: in force.
        gop: the parsed GOP, whose grids have not been decoded.
        limits: what this process is willing to spend.
        most_workers: most frames that are worth making concurrently. A tiled picture gets one.
    """
    profile, synthesis = sequence.profile_spec, plan_synthesis(sequence, network, limits)
    size = sequence.width, sequence.height
    grids, decoding = grid_memory(sequence, network, gop.frame_count)
    coded = _PAYLOAD_COPIES * sum(map(len, gop.grids))
    if largest_tile(profile, *size, synthesis.samples) != (sequence.height, sequence.width):
        most_workers = 1
    frames = coded + grids + synthesis.frame * gop.frame_count
    for workers in range(most_workers, 0, -1):
        synthesis = replace(synthesis, workers=workers)
        if synthesis.bytes + frames + coded + decoding <= limits.max_memory_bytes:
            break
    kept = synthesis.bytes + frames <= limits.max_memory_bytes
    return GopPlan(synthesis, coded, decoding, grids, gop.frame_count, kept)


def estimate_gop_memory(sequence: SequenceHeader, network: NetworkHeader, gop: Gop, limits: Limits) -> int:
    """Bytes that the process takes to decode a GOP, frame by frame; arguments as in `make_plan`."""
    return make_plan(sequence, network, gop, limits).estimate
