"""What decoding costs a luma sample at the most, the entropy decoding included."""

from __future__ import annotations

import math

import pytest

from nvrc_decoder.profiles import (
    CHROMA_444,
    PROFILES,
    Profile,
    context_macs,
    kmac_per_pixel,
    motion_kmac_per_pixel,
    node_shape,
)

WIDTH, HEIGHT, FRAMES = 1920, 1080, 32


def whole_kmac(profile: Profile, width: int) -> float:
    """Thousands of products a luma sample of the largest network: synthesis, motion, all grids at a context width."""
    channels = [slot.max_channels for slot in profile.slots]
    assert profile.motion_is_on(channels)
    values = sum(
        n * math.prod(node_shape(s, FRAMES, HEIGHT, WIDTH)) for n, s in zip(channels, profile.slots, strict=True)
    )
    entropy = values * context_macs(width, width) / (FRAMES * HEIGHT * WIDTH) / 1000
    return kmac_per_pixel(profile, profile.max_channels, profile.blocks, channels, CHROMA_444) + entropy


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_profile_is_under_10_kmac_at_the_encoder_s_context_widths(profile: Profile) -> None:
    options = pytest.importorskip("nvrc_encoder.options")
    choose = pytest.importorskip("nvrc_encoder.choose")
    widths = {*options.CONTEXT_WIDTHS, *(width for width, _ in choose.CONTEXT_WIDTHS)}
    assert max(whole_kmac(profile, width) for width in widths) < 10


def test_the_bound_is_no_matter_of_course() -> None:
    assert whole_kmac(PROFILES[-1], 64) > 10


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_motion_costs_less_than_a_tenth_of_synthesis(profile: Profile) -> None:
    channels = [slot.max_channels for slot in profile.slots]
    still = [0 if slot.flow else n for slot, n in zip(profile.slots, channels, strict=True)]
    cost = motion_kmac_per_pixel(profile, channels)
    assert 0 < cost < 0.1 * kmac_per_pixel(profile, profile.max_channels, profile.blocks, still, CHROMA_444)
    assert motion_kmac_per_pixel(profile, still) == 0
