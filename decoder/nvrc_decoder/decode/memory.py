"""How much memory decoding a GOP takes, told before any of it is taken (spec 9.3).

The constants are upper bounds of what `tools/benchmarks/memory.py` measures; `docs/measurements.md` has the numbers.
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
    "GopMemory",
    "activation_bytes",
    "estimate_gop_memory",
    "gop_memory",
    "grid_memory",
    "motion_bytes",
    "tile_budget",
]

# Interpreter, libraries and command line with everything imported, and what does not grow with the stream.
PROCESS_BYTES = 110_000_000

# More than there are copies of a GOP's coded bytes at one time: the unit and its parts while it is read; then, of the
# grid that is begun, its payload, the words in the coder's order and the coder's own.
_PAYLOAD_COPIES = 4
# A frame, its bytes on the way to a digest, and those on the way to a file.
_FRAME_COPIES = 3
_STEP_BYTES = 32


def tile_budget(profile: Profile, limits: Limits, motion: int) -> int:
    """Luma samples that are synthesised at once under `limits`.

    Three fifths of the memory are for activations and, before them, the `motion` bytes that `motion_bytes` gives.
    """
    return max(0, limits.max_memory_bytes * 3 // 5 - motion) // activation_bytes(profile) * 4


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
class GopMemory:
    """Bytes that a GOP takes, by what takes them; upper bounds.

    Attributes:
        coded: its payload, in all its copies.
        decoding: the most that there is while its grids are decoded.
        grids: the decoded grids.
        motion: what planes take: the nodes that are kept, and the work on them.
        activations: while a frame is made.
        inputs: what a frame is made of.
        frame: one frame.
        frame_count: its frames.
        frame_threads: frames that are made at a time; more than one only where all fits, with the next GOP's decoding.
    """

    coded: int
    decoding: int
    grids: int
    motion: int
    activations: int
    inputs: int
    frame: int
    frame_count: int
    frame_threads: int = 1

    @property
    def estimate(self) -> int:
        """Of the process, where one GOP and one frame are decoded at a time, and let go at once (spec 9.3)."""
        synthesis = self.motion + self.activations
        retained = min(RETAINED_BYTES, synthesis)
        return self._fixed + max(retained + self.decoding, self.grids + synthesis)

    @property
    def streaming(self) -> int:
        """Of the process while the frames are made and each is let go at once."""
        others = 0
        if self.frame_threads > 1:
            # Other frames in hand, which may be the next GOP's, and what the one after them is to be made of.
            others = (self.frame_threads - 1) * (self.activations + self.frame) + self.inputs
        return self._fixed + self.grids + self.motion + self.activations + others

    @property
    def holding(self) -> int:
        """Of the process while the frames are made and all of them are kept."""
        return self.streaming + self.frame * self.frame_count

    def keeps_frames(self, limits: Limits) -> bool:
        """Whether all frames are kept; otherwise they are made twice."""
        return self.holding <= limits.max_memory_bytes

    def leaves_room(self, later: GopMemory, limits: Limits) -> bool:
        """Whether the grids of a later GOP may be decoded while this one's frames are made."""
        making = self.holding if self.keeps_frames(limits) else self.streaming
        return making + later.ahead <= limits.max_memory_bytes

    @property
    def ahead(self) -> int:
        """What decoding the grids adds while another GOP's frames are made."""
        return self.coded + self.decoding

    @property
    def working(self) -> int:
        """The most that decoding the grids takes beside them, which may be kept for the next GOP."""
        return self.decoding - self.grids

    @property
    def _fixed(self) -> int:
        return PROCESS_BYTES + self.coded + _FRAME_COPIES * self.frame


def gop_memory(
    sequence: SequenceHeader, network: NetworkHeader, gop: Gop, limits: Limits, frame_threads: int = 1
) -> GopMemory:
    """What decoding a GOP takes (spec 9.3).

    Args:
        sequence, network: in force.
        gop: the parsed GOP, whose grids have not been decoded.
        limits: what decides on the size of tiles.
        frame_threads: most frames at a time; as many of them as fit beside all other work are in the result.
    """
    profile = sequence.profile_spec
    coded = _PAYLOAD_COPIES * sum(map(len, gop.grids))
    sample = 1 if sequence.bit_depth == 8 else 2
    shapes = plane_shapes(sequence.width, sequence.height, sequence.chroma_format)
    frame = sample * sum(rows * columns for rows, columns in shapes)
    held, decoding = grid_memory(sequence, network, gop.frame_count)
    size = sequence.width, sequence.height
    channels = network.grid_channels(profile)
    motion, inputs = motion_bytes(profile, *size, channels, network.pyramid), _input_bytes(profile, *size)
    rows, columns = largest_tile(profile, *size, tile_budget(profile, limits, motion))
    # Two more each way: padding and the edges of the x2 stages count where a tile is narrow.
    activations = activation_bytes(profile) * (rows // 2 + 2) * (columns // 2 + 2)
    # Tiles are made one at a time.
    most = frame_threads if (rows, columns) == (sequence.height, sequence.width) else 1
    memory = GopMemory(coded, decoding, held, motion, activations, inputs, frame, gop.frame_count, most)
    while memory.frame_threads > 1 and memory.holding + memory.ahead > limits.max_memory_bytes:
        memory = replace(memory, frame_threads=memory.frame_threads - 1)
    return memory


def estimate_gop_memory(sequence: SequenceHeader, network: NetworkHeader, gop: Gop, limits: Limits) -> int:
    """Bytes that the process takes to decode a GOP, frame by frame; arguments as in `gop_memory`."""
    return gop_memory(sequence, network, gop, limits).estimate
