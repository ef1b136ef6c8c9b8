"""What decoding costs a luma sample at the most, the entropy decoding included."""

from __future__ import annotations

import math

import pytest
from synthesis_cases import PYRAMIDS

from nvrc_decoder.profiles import (
    CHROMA_444,
    PROFILES,
    Profile,
    context_macs,
    kmac_per_pixel,
    motion_kmac_per_pixel,
    node_shape,
)
from nvrc_decoder.pyramid import Pyramid

WIDTH, HEIGHT, FRAMES = 1920, 1080, 33


each_pyramid = pytest.mark.parametrize("pyramid", PYRAMIDS, ids=lambda p: f"{p.key_spacing}-{p.node_spacing}")


def whole_kmac(profile: Profile, width: int, pyramid: Pyramid) -> float:
    """Thousands of products a luma sample of the largest network: synthesis, planes, all grids at a context width."""
    channels = [slot.max_channels for slot in profile.slots]
    assert profile.motion_is_on(channels)
    shapes = (node_shape(slot, FRAMES, HEIGHT, WIDTH, pyramid) for slot in profile.slots)
    values = sum(n * math.prod(shape) for n, shape in zip(channels, shapes, strict=True))
    entropy = values * context_macs(width, width) / (FRAMES * HEIGHT * WIDTH) / 1000
    return kmac_per_pixel(profile, profile.max_channels, profile.blocks, channels, CHROMA_444, pyramid) + entropy


@each_pyramid
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_profile_is_under_10_kmac(profile: Profile, pyramid: Pyramid) -> None:
    options = pytest.importorskip("nvrc_encoder.options")
    choose = pytest.importorskip("nvrc_encoder.training.structure_search")
    widths = {*options.CONTEXT_WIDTHS, *(width for width, _ in choose.CONTEXT_WIDTHS)}
    assert max(whole_kmac(profile, width, pyramid) for width in widths) < 10


def test_the_bound_is_no_matter_of_course() -> None:
    assert whole_kmac(PROFILES[-1], 64, Pyramid(8, 2, (22, 29))) > 10


@each_pyramid
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_planes_cost_less_than_a_sixth_of_synthesis(profile: Profile, pyramid: Pyramid) -> None:
    channels = [slot.max_channels for slot in profile.slots]
    still = [0 if slot.motion else n for slot, n in zip(profile.slots, channels, strict=True)]
    features = [0 if slot.at_nodes or slot.motion else n for slot, n in zip(profile.slots, channels, strict=True)]
    cost = motion_kmac_per_pixel(profile, channels, pyramid)
    whole = kmac_per_pixel(profile, profile.max_channels, profile.blocks, channels, CHROMA_444, pyramid)
    assert motion_kmac_per_pixel(profile, still, pyramid) < cost < whole / 6
    assert motion_kmac_per_pixel(profile, features, pyramid) == 0
