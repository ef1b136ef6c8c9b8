"""The PyTorch model in float64 makes the frames of the NumPy reference, sample by sample."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from case_choice import full_except, pairwise
from synthesis_cases import PYRAMIDS, Case, Picture, differing, lively_layer, random_case

from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import ACTIVATION_MAX, PROFILES, Profile, SlotKind, synthesis_layers
from nvrc_decoder.pyramid import Pyramid
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_encoder.model.rounding import FEATURE_SCALE, Arithmetic
from nvrc_encoder.model.structure import Structure
from nvrc_encoder.model.synthesis import SynthesisModel
from nvrc_encoder.training.source_rows import planes_from_rows

NANO, LITE, MAIN = PROFILES


def model_of(case: Case) -> SynthesisModel:
    channels = tuple(0 if grid is None else grid.shape[1] for grid in case.grids)
    structure = Structure(case.profile, case.stage_channels, case.stage_blocks, channels, pyramid=case.pyramid)
    model = SynthesisModel(structure, case.picture.chroma_format, case.picture.bit_depth)
    model.set_size(case.picture.height, case.picture.width)
    return model


def real_parameters(case: Case, model: SynthesisModel) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The integers in the units of training, float64."""
    parameters = {}
    for name, layer in case.layers.items():
        output = model.levels_per_feature if name == "head.pointwise" else FEATURE_SCALE
        scale = 2.0**-layer.shift
        parameters[name] = (
            torch.from_numpy(layer.weight * scale * FEATURE_SCALE / output),
            torch.from_numpy(layer.bias * scale / output),
        )
    return parameters


def twin(
    case: Case, *, window: int | None = None, gradients: bool = False, dtype: torch.dtype = torch.float64
) -> list[Planes]:
    """The frames of the PyTorch model, `window` frames per call; with `gradients` by the path that training uses."""
    picture = case.picture
    model = model_of(case)
    assert {layer.name for layer in model.layers} == set(case.layers)
    parameters = {name: (w.to(dtype), b.to(dtype)) for name, (w, b) in real_parameters(case, model).items()}
    grids = [None if grid is None else torch.from_numpy(grid).to(dtype) for grid in case.grids]
    multipliers = [torch.tensor(m) if m else None for m in case.multipliers]
    frames: list[Planes] = []
    step = window or case.frame_count
    for first in range(0, case.frame_count, step):
        at = range(first, min(first + step, case.frame_count))
        with torch.set_grad_enabled(gradients):
            rows = model.forward(parameters, grids, multipliers, at, case.frame_count, Arithmetic.EXACT)
        assert torch.equal(rows, torch.round(rows))
        frames += planes_from_rows(rows, (picture.height, picture.width), picture.chroma_format, picture.bit_depth)
    return frames


def reference(case: Case) -> list[Planes]:
    return ReferenceSynthesizer(*case.network).synthesise(case.grids, case.frame_count, range(case.frame_count))


def check(case: Case) -> list[Planes]:
    expected = reference(case)
    assert differing(twin(case), expected) == []
    return expected


def str_of(value: object) -> str:
    if isinstance(value, Pyramid):
        return f"{value.key_spacing}-{value.node_spacing}"
    return value.name if isinstance(value, Profile) else str(value)


@pytest.mark.parametrize(("profile", "chroma_format", "bit_depth"), pairwise(PROFILES, [0, 1, 2], [8, 10]), ids=str_of)
def test_formats(profile: Profile, chroma_format: int, bit_depth: int) -> None:
    frames = check(random_case(7, profile, Picture(37, 19, chroma_format, bit_depth), 3, full=True))
    assert len(np.unique(frames[0].y)) > 20, "the picture is flat: nothing was compared"


@pytest.mark.parametrize(
    ("profile", "seed", "style"), pairwise(PROFILES, range(4), ["lively", "bound", "aligned"]), ids=str_of
)
def test_partial_structures_and_weights_at_the_bound(profile: Profile, seed: int, style: str) -> None:
    width, height = [(33, 18), (7, 65), (16, 31), (2, 3)][seed]
    check(random_case(seed, profile, Picture(width, height), 2 + seed, style=style))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 3), (5, 2), (64, 1), (31, 33)])
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_sizes(profile: Profile, size: tuple[int, int]) -> None:
    check(random_case(3, profile, Picture(*size), 2, full=True))


@pytest.mark.parametrize("frame_count", [1, 2, 8, 9, 11])
@pytest.mark.parametrize("profile", [NANO, MAIN], ids=lambda profile: profile.name)
def test_gop_lengths_and_windows(profile: Profile, frame_count: int) -> None:
    case = random_case(11, profile, Picture(18, 9), frame_count)
    expected = check(case)
    for window in (1, 4):
        assert differing(twin(case, window=window), expected) == []


MOVING = pairwise(PROFILES, [(1, 1), (37, 19), (16, 33)], [1, 2, 7, 8, 9, 17])


@pytest.mark.parametrize(("profile", "size", "frame_count"), full_except(MOVING, *MOVING[::2], MOVING[7]), ids=str_of)
def test_motion(profile: Profile, size: tuple[int, int], frame_count: int) -> None:
    """PyTorch, NumPy and ONNX Runtime agree, also in windows that do not begin at a node."""
    case = random_case(frame_count, profile, Picture(*size), frame_count, full=True, motion=True)
    expected = check(case)
    assert differing(twin(case, window=3), expected) == []
    ort = OrtSynthesizer(*case.network)
    assert differing(ort.synthesise(case.grids, frame_count, range(frame_count)), expected) == []


STILL_OR_MOVING = [(pyramid, motion) for motion in (False, True) for pyramid in PYRAMIDS]


@pytest.mark.parametrize(("pyramid", "motion"), full_except(STILL_OR_MOVING, *STILL_OR_MOVING[::2]), ids=str_of)
def test_pyramids(pyramid: Pyramid, motion: bool) -> None:
    case = random_case(6, NANO, Picture(37, 30), 14, full=True, motion=motion, pyramid=pyramid)
    expected = check(case)
    assert differing(twin(case, window=3), expected) == []
    assert differing(twin(case, window=5, gradients=True), expected) == []


def test_motion_moves_something() -> None:
    case = random_case(4, NANO, Picture(48, 40), 9, full=True)
    still = [
        np.zeros_like(grid) if grid is not None and slot.motion else grid
        for slot, grid in zip(NANO.slots, case.grids, strict=True)
    ]
    case_still = dataclasses.replace(case, grids=still)
    assert differing(reference(case), reference(case_still)) != []
    assert differing(twin(case_still), reference(case_still)) == []


@pytest.mark.parametrize("size", [(48, 40), (37, 23)])
def test_gradient_path_is_exact(size: tuple[int, int]) -> None:
    """With PyTorch's fetch in float64, a blend slightly below a half is not rounded down."""
    for seed in range(4, 8):
        case = random_case(seed, NANO, Picture(*size), 9, full=True, motion=True, style="lively")
        assert differing(twin(case, gradients=True), reference(case)) == []


def test_gradient_path_in_float32_is_within_a_level() -> None:
    """As in training, where PyTorch's fetch may round a half down, but rarely does."""
    case = random_case(5, NANO, Picture(176, 40), 9, full=True, motion=True, style="lively")
    pairs = zip(twin(case, gradients=True, dtype=torch.float32), reference(case), strict=True)
    differences = np.concatenate([(a.y.astype(int) - b.y).reshape(-1) for a, b in pairs])
    assert abs(differences).max() <= 1
    assert np.mean(differences != 0) < 0.05


@pytest.mark.parametrize(
    ("profile", "motion", "stages"),
    pairwise(PROFILES, [False, True], [(1, 2, 3, 4), (0, 2, 3, 4), (0, 1, 2, 3), (0,), (4,), (2,)]),
    ids=str_of,
)
def test_stages_without_grids(profile: Profile, motion: bool, stages: tuple[int, ...]) -> None:
    full = random_case(5, profile, Picture(35, 29), 3, full=True)
    rng = np.random.default_rng(2)
    kept = [slot.stage in stages or (slot.kind is SlotKind.BAND and 4 in stages) for slot in profile.slots]
    kept[profile.flow_slot] = kept[profile.split_slot] = motion and profile.has_planes(kept)
    channels = [slot.max_channels * keep for slot, keep in zip(profile.slots, kept, strict=True)]
    specs = synthesis_layers(profile, full.stage_channels, full.stage_blocks, channels, 1, 8)
    case = dataclasses.replace(
        full,
        layers={spec.name: lively_layer(rng, spec) for spec in specs},
        multipliers=[m if keep else [] for m, keep in zip(full.multipliers, kept, strict=True)],
        grids=[grid if keep else None for grid, keep in zip(full.grids, kept, strict=True)],
    )
    check(case)


def test_float_pass_is_close_to_the_exact_one() -> None:
    """Without saturation, the float pass differs from the exact one by roundings only."""
    case = random_case(7, NANO, Picture(32, 32), 2, full=True)
    grids = [None if grid is None else (grid // 8).astype(np.int16) for grid in case.grids]
    case = dataclasses.replace(case, grids=grids)
    model = model_of(case)
    parameters = real_parameters(case, model)
    tensors = [None if grid is None else torch.from_numpy(grid.astype(np.float64)) for grid in grids]
    multipliers = [torch.tensor(m) for m in case.multipliers]
    passes = [
        model.forward(parameters, tensors, multipliers, range(2), 2, arithmetic).clamp(0, 255)
        for arithmetic in Arithmetic
    ]
    assert float((passes[0] - passes[1]).abs().mean()) < 1.0
    assert not torch.equal(passes[0], passes[1])


@torch.no_grad()
def test_float_pass_is_close_where_much_is_clipped() -> None:
    case = random_case(7, NANO, Picture(32, 32), 2, full=True, motion=True)
    model = model_of(case)
    parameters = real_parameters(case, model)
    tensors = [None if grid is None else torch.from_numpy(grid.astype(np.float64) * 16) for grid in case.grids]
    multipliers = [torch.tensor(m) for m in case.multipliers]
    clipped = [
        float((tensor * steps.view(1, -1, 1, 1)).abs().gt(ACTIVATION_MAX).double().mean())
        for tensor, steps in zip(tensors, multipliers, strict=True)
        if tensor is not None
    ]
    assert max(clipped) > 0.1
    unrounded, exact = (
        model.forward(parameters, tensors, multipliers, range(2), 2, arithmetic)
        for arithmetic in (Arithmetic.FLOAT, Arithmetic.EXACT)
    )
    assert 0 < float((unrounded - exact).abs().mean()) < 1


def test_exact_pass_lets_gradients_through() -> None:
    case = random_case(7, NANO, Picture(32, 32), 9, full=True)
    model = model_of(case)
    generator = torch.Generator().manual_seed(0)
    parameters = {
        layer.name: (
            (torch.randn(layer.weight_shape, generator=generator) * 0.1).requires_grad_(),
            torch.full((layer.outputs,), 1.0).requires_grad_(),
        )
        for layer in model.layers
    }
    grids = [torch.from_numpy(g.astype(np.float32)).requires_grad_() for g in case.grids if g is not None]
    steps = [torch.tensor(m) for m in case.multipliers]
    rows = model.forward(parameters, grids, steps, range(1, 9), 9, Arithmetic.EXACT)
    (rows * torch.randn(rows.shape, generator=generator)).sum().backward()
    for name, (weight, bias) in parameters.items():
        assert weight.grad is not None, name
        assert bias.grad is not None, name
        assert float(weight.grad.abs().sum()) > 0, name
    for grid in grids:
        assert grid.grad is not None
        assert float(grid.grad.abs().sum()) > 0
