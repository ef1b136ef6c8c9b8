"""How many frames a GPU takes in one call: as many as its memory and its kernels' indices allow."""

from __future__ import annotations

from dataclasses import dataclass

from nvrc_decoder.memory import activation_bytes
from nvrc_decoder.profiles import MIX_GROUP, WARPED_TEMPORAL_STRIDE, Profile

__all__ = ["Calls", "plan_calls"]

# Half of the free memory is for activations; the rest for grids, cuDNN's workspaces and whoever else is there.
_SHARE = 2
# Where free memory cannot be read: what the smallest GPUs have.
_UNKNOWN_FREE = 1 << 30
# Kernels index a tensor's elements with 32 bits.
_MAX_ELEMENTS = (1 << 31) - 1
# A fetched sample as an index, as int16 and as float32, and what is blended of it.
_FETCHED_BYTES = 20
# By then a GPU is busy all the time, and more would only delay the first frame.
_MAX_SAMPLES = 32 * 1920 * 1080


@dataclass(frozen=True)
class Calls:
    """How frames are divided into calls.

    Attributes:
        frames: in one call.
        samples: most luma samples of a tile.
        tiled: whether a picture is larger than that.
    """

    frames: int
    samples: int
    tiled: bool


def plan_calls(profile: Profile, width: int, height: int, free: int, motion: bool = False) -> Calls:
    """Calls for pictures of `width` x `height` on a GPU with `free` bytes of memory; 0 if that is unknown.

    With `motion`, the samples that the warp fetches are counted beside the activations.
    """
    last = len(profile.max_channels) - 1
    injected = sum(profile.slots[i].max_channels for i in profile.slots_of_stage(last))
    widest = max(*profile.max_channels, 9 * injected)
    # Samples of the last stage, which is at half resolution; padding and odd sizes are in the two more each way.
    fetched = 0
    if motion:
        # A cell of 4x4 luma samples is four samples of the last stage, and sees 25 samples of each plane and node.
        planes = max((profile.slots[i].max_channels // MIX_GROUP for i in profile.mixed_slots), default=0)
        fetched = planes * 2 * 25 // 4
        widest = max(widest, fetched)
    bytes_each = activation_bytes(profile) + fetched * _FETCHED_BYTES
    most = min((free or _UNKNOWN_FREE) // _SHARE // bytes_each, _MAX_ELEMENTS // widest)
    picture = (-(-height // 2) + 2) * (-(-width // 2) + 2)
    if picture > most:
        return Calls(1, 4 * most, True)
    frames = min(most // picture, max(1, _MAX_SAMPLES // (width * height)))
    if motion:
        # No call reaches over a node, and each begins at a multiple of its length.
        frames = 1 << min(frames, WARPED_TEMPORAL_STRIDE).bit_length() - 1
    return Calls(frames, 4 * most, False)
