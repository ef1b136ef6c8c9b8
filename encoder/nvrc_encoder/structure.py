"""What a NETWORK switches on of its profile: channels, blocks, grids, motion."""

from __future__ import annotations

from dataclasses import dataclass

from nvrc_decoder.profiles import LayerSpec, Profile, kmac_per_pixel, synthesis_layers

__all__ = ["Structure"]


@dataclass(frozen=True)
class Structure:
    """The active part of a profile's largest network.

    Attributes:
        profile: the profile.
        stage_channels: active channels of each stage.
        stage_blocks: active blocks of each stage.
        grid_channels: channels of each slot, 0 where absent; the flow slot's say whether there is motion.
        context_widths: hidden widths of the context network.
        base: channel 0 of the warped slot of stride 4 is the base of the planes of full resolution (spec 7.6.4).
    """

    profile: Profile
    stage_channels: tuple[int, ...]
    stage_blocks: tuple[int, ...]
    grid_channels: tuple[int, ...]
    context_widths: tuple[int, int] = (10, 10)
    base: bool = False

    @property
    def moving(self) -> bool:
        """Whether there is a flow grid."""
        return self.profile.motion_is_on(self.grid_channels)

    @property
    def base_slot(self) -> int | None:
        """The slot whose channel 0 is the base; None where there is none."""
        return self.profile.base_slot if self.base else None

    def injected(self, slot: int) -> int:
        """Channels of a slot that are injected into its stage."""
        return self.grid_channels[slot] - (slot == self.base_slot)

    def layers(self, chroma_format: int, bit_depth: int = 8) -> tuple[LayerSpec, ...]:
        """The synthesis layers that the stream carries, in canonical order."""
        return synthesis_layers(
            self.profile,
            self.stage_channels,
            self.stage_blocks,
            self.grid_channels,
            chroma_format,
            bit_depth,
            base=self.base,
        )

    def kmac_per_pixel(self, chroma_format: int) -> float:
        """Cost of synthesis and motion, see `profiles.kmac_per_pixel`."""
        return kmac_per_pixel(
            self.profile, self.stage_channels, self.stage_blocks, self.grid_channels, chroma_format, base=self.base
        )
