"""The full graph of each profile in PyTorch, made of exact operators only; `export_profile` writes it as ONNX.

This is the graph that the decoder runs, not the model that is trained. Weights are placeholders, shifts are folded
into them when a stream is loaded, and every input of a layer is an integer held in float32 (spec 6.4). Only depthwise
3x3 and 1x1 convolutions, data movement and elementwise operators appear, so that no runtime can pick an algorithm that
rounds (Winograd, FFT).

Module paths are the initializer names of the ONNX graph, so attribute names here are an interface:
`nvrc_decoder.synthesis.onnx.initializers` replaces these initializers by a stream's parameters.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN, Profile
from nvrc_decoder.synthesis.onnx.initializers import SPLIT_HEADS, graph_inputs

__all__ = ["HEAD_HIGH", "ProfileGraph"]

# The graph's own head limit; the exporter turns this constant into the initializer `head.limit`.
HEAD_HIGH = 1023.0
ROWS = 12
HEAD_FILTERS = 4


class RoundedConv(nn.Module):
    """Convolution, clip, floor: one integer layer with 2^-shift folded into weight and bias (spec 6.4)."""

    def __init__(
        self, inputs: int, outputs: int, size: int, groups: int, low: float, high: float, padding: int
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs // groups, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.groups, self.padding = groups, padding
        # + 0.5 is below the next integer for every shift, and lets the runtime fuse convolution and clip.
        self.low, self.high = low, high + 0.5

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.conv2d(x, self.weight, self.bias, padding=self.padding, groups=self.groups)
        return torch.floor(torch.clamp(y, self.low, self.high))


def signed_pointwise(inputs: int, outputs: int) -> RoundedConv:
    """1x1 layer with the signed clip."""
    return RoundedConv(inputs, outputs, 1, 1, float(ACTIVATION_MIN), float(ACTIVATION_MAX), 0)


def clip_activation(x: Tensor) -> Tensor:
    """Clip to the activation range."""
    return torch.clamp(x, float(ACTIVATION_MIN), float(ACTIVATION_MAX))


class GridInput(nn.Module):
    """Dequantises one grid (spec 7.4)."""

    multiplier: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("multiplier", torch.zeros(1, channels, 1, 1))

    def forward(self, grid: Tensor) -> Tensor:
        return clip_activation(grid * self.multiplier)


class Unfold(nn.Module):
    """The 3x3 neighbourhood of each channel as nine channels, zeros outside, by one-hot filters (spec 7.7).

    From [B, G, H, W] to [B, 9G, H, W].
    """

    filters: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("filters", torch.eye(9).reshape(9, 1, 3, 3).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.filters, padding=1, groups=self.channels)


class Upsample(nn.Module):
    """Half-pixel bilinear x2 with repeated edges, cropped (spec 7.10).

    Repeating every sample and filtering with (1, 2, 1) gives the weights (1, 3) and (3, 1). The indices do the crop and
    the repeated edges. A channel that either stage lacks has weight 0.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.zeros(channels, 1, 3, 3))
        self.bias = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x: Tensor, rows: int, columns: int) -> Tensor:
        # Columns first, while there are half as many rows: columns are copied sample by sample, rows as a whole.
        x = torch.index_select(x, 3, self._indices(x.shape[3], columns))
        x = torch.index_select(x, 2, self._indices(x.shape[2], rows))
        return torch.floor(nn.functional.conv2d(x, self.weight, self.bias, groups=self.channels))

    @staticmethod
    def _indices(size: int, wanted: int) -> Tensor:
        # (i + 1) / 2 - 1 rather than i / 2: integer division of -1 is not the same everywhere.
        halves = torch.div(torch.arange(1, wanted + 3), 2, rounding_mode="trunc") - 1
        return torch.clamp(halves, min=0, max=size - 1)


class Block(nn.Module):
    """Residual block: depthwise 3x3 with ReLU, pointwise (spec 7.9)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = RoundedConv(channels, channels, 3, channels, 0.0, float(ACTIVATION_MAX), 1)
        self.pointwise = signed_pointwise(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.pointwise(self.depthwise(x))
        return clip_activation(x + added)


class Stage(nn.Module):
    """Injection, temporal filter, blocks of one stage; `up` brings the previous stage to its size."""

    def __init__(self, profile: Profile, k: int) -> None:
        super().__init__()
        channels = profile.max_channels[k]
        injected = profile.injected(k, [slot.max_channels for slot in profile.slots])
        self.unfold = Unfold(injected)
        self.inject = signed_pointwise(9 * injected, channels)
        if k and channels > profile.max_channels[k - 1]:
            raise ValueError(f"stage {k} of profile {profile.name} is wider than the one before it")
        self.up = Upsample(channels) if k else None
        self.channels = channels
        self.temporal = signed_pointwise(3 * channels, channels) if k == 0 and profile.temporal_stem else None
        self.blocks = profile.blocks[k]
        for j in range(self.blocks):
            self.add_module(f"block{j}", Block(channels))

    def forward(self, x: Tensor | None, parts: list[Tensor]) -> Tensor:
        features = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        injected: Tensor = self.inject(self.unfold(features))
        if self.temporal is not None:
            # Three frames as channels, then 1x1. Its weight is mostly zeros, which cost nothing in so small a stage.
            shifted = torch.cat([injected[:-2], injected[1:-1], injected[2:]], 1)
            injected = self.temporal(shifted)
        if x is not None and self.up is not None:
            # Channels that this stage lacks are dropped before the work.
            x = self.up(x[:, : self.channels], features.shape[2], features.shape[3])
            injected = clip_activation(x + injected)
        for j in range(self.blocks):
            injected = self.get_submodule(f"block{j}")(injected)
        return injected


class Head(nn.Module):
    """Four 3x3 filters per channel, then 1x1 to the 12 rows (spec 7.11)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        signed = float(ACTIVATION_MIN), float(ACTIVATION_MAX)
        self.depthwise = RoundedConv(channels, HEAD_FILTERS * channels, 3, channels, *signed, 1)
        self.pointwise = RoundedConv(HEAD_FILTERS * channels, ROWS, 1, 1, 0.0, HEAD_HIGH, 0)

    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor = self.pointwise(self.depthwise(x))
        return rows


class SplitHead(nn.Module):
    """The same head, filter by filter of all channels, with the parts of the 1x1 summed.

    It is exact, as is any order of summing (spec 6.3). It is slower, but holds the activations of one filter only.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        signed = float(ACTIVATION_MIN), float(ACTIVATION_MAX)
        for f in range(HEAD_FILTERS):
            self.add_module(f"depthwise{f}", RoundedConv(channels, channels, 3, channels, *signed, 1))
            self.add_module(f"pointwise{f}", nn.Conv2d(channels, ROWS, 1, bias=f == 0))

    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor = functools.reduce(
            torch.add,
            (self.get_submodule(f"pointwise{f}")(self.get_submodule(f"depthwise{f}")(x)) for f in range(HEAD_FILTERS)),
        )
        return torch.floor(torch.clamp(rows, 0.0, HEAD_HIGH + 0.5))


class ProfileGraph(nn.Module):
    """A profile's graph with every slot present and every channel active.

    Call it with the inputs of `graph_inputs`, float32 [B, C, H, W]: the quantised grid of each feature slot at the
    wanted frames, then the planes and the four phases of the luma plane, both activations. With a temporal stem the
    grids of stage 0 have B + 2 frames, from one before to one after. Inputs that a stream lacks are zeros. It returns
    the rows, float32 [B, 12, H, W] at half resolution.
    """

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self.profile = profile
        self.inputs = graph_inputs(profile)
        for name, item in self.inputs.items():
            if item.slot is not None:
                self.add_module(name, GridInput(item.channels))
        for k in range(len(profile.max_channels)):
            self.add_module(f"stage{k}", Stage(profile, k))
        head = SplitHead if profile.name in SPLIT_HEADS else Head
        self.head = head(profile.max_channels[-1])

    def forward(self, *inputs: Tensor) -> Tensor:
        parts: list[list[Tensor]] = [[] for _ in self.profile.max_channels]
        for (name, item), x in zip(self.inputs.items(), inputs, strict=True):
            parts[item.stage].append(x if item.slot is None else self.get_submodule(name)(x))
        features: Tensor | None = None
        for k, own in enumerate(parts):
            features = self.get_submodule(f"stage{k}")(features, own)
        rows: Tensor = self.head(features)
        return rows
