"""The active part of a profile, as NETWORK says it: channels, blocks, grids, motion, and which frames are nodes."""

from __future__ import annotations

from dataclasses import dataclass

from nvrc_decoder.prior import PRIOR_CHANNELS, Prior
from nvrc_decoder.profiles import CHROMA_420, LayerSpec, Profile, kmac_per_pixel, synthesis_layers
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid

__all__ = ["Structure"]


@dataclass(frozen=True)
class Structure:
    """The active part of a profile's largest network.

    Attributes:
        profile: the profile.
        stage_channels: active channels of each stage.
        stage_blocks: active blocks of each stage.
        grid_channels: channels of each slot, 0 where absent.
        context_widths: hidden widths of the context network.
        pyramid: which frames are nodes; the default one where no slot has nodes.
    """

    profile: Profile
    stage_channels: tuple[int, ...]
    stage_blocks: tuple[int, ...]
    grid_channels: tuple[int, ...]
    context_widths: tuple[int, int] = (10, 10)
    pyramid: Pyramid = DEFAULT_PYRAMID

    @property
    def moving(self) -> bool:
        """Whether there is a flow grid."""
        return self.profile.motion_is_on(self.grid_channels)

    @property
    def splitting(self) -> bool:
        """Whether there is a split grid."""
        return self.grid_channels[self.profile.split_slot] > 0

    @property
    def has_planes(self) -> bool:
        """Whether there are planes, which are predicted from frame to frame."""
        return self.profile.has_planes(self.grid_channels)

    @property
    def has_luma(self) -> bool:
        """Whether there is a luma plane."""
        return self.profile.has_luma(self.grid_channels)

    def prior(self, chroma_format: int) -> Prior:
        """The prior of the networks that it suits: that of synthesis is for 4:2:0, a luma plane and eight channels."""
        return Prior(True, chroma_format == CHROMA_420 and self.has_luma and min(self.stage_channels) >= PRIOR_CHANNELS)

    def layers(self, chroma_format: int, bit_depth: int = 8) -> tuple[LayerSpec, ...]:
        """The synthesis layers that the stream carries, in canonical order."""
        return synthesis_layers(
            self.profile, self.stage_channels, self.stage_blocks, self.grid_channels, chroma_format, bit_depth
        )

    def kmac_per_pixel(self, chroma_format: int) -> float:
        """Cost of synthesis and planes in thousands of multiplications per luma sample, `profiles.kmac_per_pixel`."""
        return kmac_per_pixel(
            self.profile, self.stage_channels, self.stage_blocks, self.grid_channels, chroma_format, self.pyramid
        )
