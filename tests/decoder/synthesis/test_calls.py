"""Frames in one call of a GPU: memory, indices, and what is left where memory is unknown."""

from __future__ import annotations

import pytest

from nvrc_decoder.profiles import LUMA_CHANNELS, PROFILES
from nvrc_decoder.synthesis.cuda.calls import plan_calls
from nvrc_decoder.synthesis.tiles import activation_bytes


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("size", [(1, 1), (352, 288), (1920, 1080), (8192, 8192), (65535, 65535)])
@pytest.mark.parametrize("free", [0, 1 << 20, 1 << 30, 80 << 30, 1 << 50])
@pytest.mark.parametrize("planes", [False, True])
def test_a_call_fits_memory_and_indices(profile, size, free, planes):
    width, height = size
    calls = plan_calls(profile, width, height, free, planes)
    widest = max(9 * LUMA_CHANNELS, *profile.max_channels)
    assert calls.frames >= 1
    samples = calls.samples // 4 if calls.tiled else calls.frames * -(-width // 2) * -(-height // 2)
    assert samples * widest < 1 << 31
    assert samples * activation_bytes(profile) <= (free or 1 << 30) // 2
    assert calls.frames == 1 or not calls.tiled


def test_more_memory_means_more_frames_up_to_where_a_gpu_is_busy():
    frames = [plan_calls(PROFILES[2], 1920, 1080, gigabytes << 30).frames for gigabytes in (2, 8, 24, 80, 1000)]
    assert frames == sorted(frames)
    assert frames[0] == 1
    assert 8 <= frames[2] < frames[3] <= frames[4] <= 45
    assert plan_calls(PROFILES[0], 1920, 1080, 80 << 30).frames == 32


def test_planes_leave_less_room_for_frames_but_do_not_make_tiles_tiny():
    without, with_planes = (plan_calls(PROFILES[2], 1920, 1080, 8 << 30, planes) for planes in (False, True))
    assert 1 <= with_planes.frames < without.frames
    without, with_planes = (plan_calls(PROFILES[2], 8192, 8192, 16 << 30, planes) for planes in (False, True))
    assert without.tiled
    assert with_planes.tiled
    assert with_planes.samples * 3 >= without.samples
