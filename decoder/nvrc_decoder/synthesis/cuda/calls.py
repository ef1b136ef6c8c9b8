"""How many frames a GPU takes in one call: as many as its memory and its kernels' indices allow."""

from __future__ import annotations

from dataclasses import dataclass

from nvrc_decoder.profiles import LUMA_CHANNELS, Profile
from nvrc_decoder.synthesis.tiles import activation_bytes

__all__ = ["Calls", "plan_calls"]

# Half of the free memory is for activations; the rest for grids, cuDNN's workspaces and whoever else is there.
_SHARE = 2
# Where free memory cannot be read: what the smallest GPUs have.
_UNKNOWN_FREE = 1 << 30
# Kernels index a tensor's elements with 32 bits.
_MAX_ELEMENTS = (1 << 31) - 1
# What planes take a luma sample: the nodes that are kept and the work on one; and the prediction of a frame of a call.
_NODES_BYTES = 250
_PREDICTION_BYTES = 70
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


def plan_calls(profile: Profile, width: int, height: int, free: int, planes: bool = False) -> Calls:
    """Calls for pictures of `width` x `height` on a GPU with `free` bytes of memory; 0 if that is unknown.

    With `planes`, what their prediction takes is counted beside the activations.
    """
    widest = max(*profile.max_channels, 9 * LUMA_CHANNELS)
    budget = (free or _UNKNOWN_FREE) // _SHARE
    bytes_each = activation_bytes(profile)
    if planes:
        # Nodes need not fit this share alone, and smaller tiles would not make them smaller.
        budget = max(budget // 2, budget - _NODES_BYTES * width * height)
        bytes_each += 4 * _PREDICTION_BYTES
    most = min(budget // bytes_each, _MAX_ELEMENTS // widest)
    # Samples of the last stage, which is at half resolution; padding and odd sizes are in the two more each way.
    picture = (-(-height // 2) + 2) * (-(-width // 2) + 2)
    if picture > most:
        return Calls(1, 4 * most, True)
    return Calls(min(most // picture, max(1, _MAX_SAMPLES // (width * height))), 4 * most, False)
