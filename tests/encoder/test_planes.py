"""The parts of the planes in training: route, wavelet, half samples, gradients, and initial values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from case_choice import full_except
from encoder_cases import gradient_source
from synthesis_cases import PYRAMIDS

from nvrc_decoder.profiles import ACTIVATION_MAX, node_shape
from nvrc_decoder.pyramid import FACTOR_UNIT, Pyramid
from nvrc_decoder.synthesis.motion import half_samples as integer_half_samples
from nvrc_decoder.synthesis.wavelet import luma_residual
from nvrc_encoder import EncodeOptions
from nvrc_encoder.model.motion import half_samples
from nvrc_encoder.model.prediction_route import find_route, touched_nodes
from nvrc_encoder.model.rounding import ACTIVATION_RANGE, FEATURE_SCALE, Arithmetic
from nvrc_encoder.model.synthesis import LUMA_STAGE
from nvrc_encoder.model.wavelet import bands_of, luma_of
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.start.motion_search import initial_flow
from nvrc_encoder.start.plane_goals import plane_goals
from nvrc_encoder.training.trainer import Trainer

SIZES = [(37, 19), (1, 1), (2, 3), (64, 48), (16, 17)]


def each_pyramid(pyramid: Pyramid) -> str:
    return f"{pyramid.key_spacing}-{pyramid.node_spacing}"


@pytest.mark.parametrize("window", [(0, 1), (0, 4), (5, 9), (13, 17), (16, 17)])
@pytest.mark.parametrize("pyramid", PYRAMIDS, ids=each_pyramid)
def test_references_come_first(pyramid: Pyramid, window: tuple[int, int]) -> None:
    route = find_route(pyramid, *window)
    assert route.frames == tuple(range(*window))
    made: set[int] = set()
    for step in route.steps:
        fetched = {(t, reference) for reference in step.references for t in step.frames}
        wanted = set()
        for t in step.frames:
            references = pyramid.references(t)
            if references is not None:
                wanted |= {(t, references.before), (t, references.after)}
        assert fetched == wanted
        assert {reference for _, reference in wanted} <= made
        assert len({pyramid.is_node(t) for t in step.frames}) == 1
        assert len({pyramid.factor(t) for t in step.frames if pyramid.is_node(t)}) <= 1
        made |= set(step.frames)
    assert set(route.frames) <= made
    assert set(route.nodes) == {t for t in made if pyramid.is_node(t)}
    assert len(route.blended) == len(route.shares)


def test_nodes_that_a_window_touches() -> None:
    fine = Pyramid(8, 2, (22, 29))
    assert touched_nodes(Pyramid(8, 8), range(12, 16)) == [1, 2]
    assert touched_nodes(fine, range(8, 9)) == [4]
    assert touched_nodes(fine, range(12, 16)) == [4, 6, 7, 8]
    assert touched_nodes(fine, range(9, 10)) == [4, 5, 6, 8]


def trainer_of(frames: int, **changes: object) -> Trainer:
    source = gradient_source(48, 32, frames)
    options = EncodeOptions(device="cpu", trials=False, **changes)  # type: ignore[arg-type]
    return make_trainer(source, list(source), options)[0]


@pytest.mark.parametrize("frames", full_except([1, 5, 9, 12], 5, 12))
@pytest.mark.parametrize("pyramid", PYRAMIDS, ids=each_pyramid)
def test_windows_count_every_node(pyramid: Pyramid, frames: int) -> None:
    """Nodes after the last frame count as well: as mere contexts they would be free."""
    spacings = {"key_spacing": pyramid.key_spacing, "node_spacing": pyramid.node_spacing}
    trainer = trainer_of(frames, **spacings)
    windows = trainer.windows(4)
    for i, slot in enumerate(trainer.model.profile.slots):
        count = node_shape(slot, frames, 32, 48, pyramid)[0]
        total, predicted = torch.zeros(count), torch.zeros(count)
        for window in windows:
            total[window.touched[i]] += window.weights[i]
            predicted[window.share[i]] += 1
            assert set(window.share[i].tolist()) <= set(window.touched[i].tolist())
        torch.testing.assert_close(total, torch.full_like(total, len(windows)))
        assert (predicted == 1).all()


def random_bands(rng: np.random.Generator, height: int, width: int, peak: int) -> list[np.ndarray]:
    shapes = [(3 + (stride == 16), -(-height // stride), -(-width // stride)) for stride in (16, 8, 4, 2)]
    return [rng.integers(-peak, peak + 1, shape).astype(np.int32) for shape in shapes]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("peak", [30, ACTIVATION_MAX])
@pytest.mark.parametrize("size", SIZES)
def test_rounded_wavelet_is_that_of_the_decoder(size: tuple[int, int], peak: int, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(peak)
    bands = [random_bands(rng, *size, peak) for _ in range(2)]
    found = luma_of([torch.from_numpy(np.stack(pair)).to(dtype) for pair in zip(*bands, strict=True)], rounds=True)
    assert np.array_equal(found.numpy(), np.stack([luma_residual(one) for one in bands]))


@pytest.mark.parametrize("size", SIZES)
def test_forward_wavelet_is_undone(size: tuple[int, int]) -> None:
    rows, columns = (2 * -(-extent // 2) for extent in size)
    luma = torch.randn(2, 1, rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 100
    bands = bands_of(luma, 4)
    assert [band.shape[1:] for band in bands] == [one.shape for one in random_bands(np.random.default_rng(0), *size, 1)]
    torch.testing.assert_close(luma_of(bands, rounds=False), luma)


def test_flat_luma_has_one_band() -> None:
    low, *others = bands_of(torch.full((1, 1, 32, 48), 77.0, dtype=torch.float64), 4)
    torch.testing.assert_close(low[:, 0], torch.full_like(low[:, 0], 77), rtol=0.01, atol=0)
    for details in (low[:, 1:], *others):
        assert float(details.abs().max()) < 0.02 * 77


@pytest.mark.full
def test_gradients_of_the_wavelet() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 4, 1, 2), (2, 3, 2, 3), (2, 3, 3, 5), (2, 3, 6, 10)]
    bands = [torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(lambda *parts: luma_of(parts, rounds=False), bands)


@pytest.mark.parametrize("peak", [100, ACTIVATION_MAX])
@pytest.mark.parametrize("size", SIZES)
def test_rounded_half_samples_are_those_of_the_decoder(size: tuple[int, int], peak: int) -> None:
    planes = np.random.default_rng(0).integers(-peak - 1, peak + 1, (2, 3, *size)).astype(np.int16)
    found = half_samples(torch.from_numpy(planes).float() / FEATURE_SCALE, Arithmetic.EXACT) * FEATURE_SCALE
    wanted = np.stack([[integer_half_samples(plane) for plane in node] for node in planes])
    assert np.array_equal(found.numpy(), wanted)


@pytest.mark.parametrize("size", [(5, 4), (1, 3), (2, 1), (1, 1), (2, 2)])
def test_gradients_of_half_samples(size: tuple[int, int]) -> None:
    planes = torch.randn(2, 2, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: half_samples(x, Arithmetic.FLOAT), [planes])


def test_clipped_values_have_no_gradient() -> None:
    planes = torch.full((1, 1, 1, 4), ACTIVATION_RANGE[1] - 0.1, dtype=torch.float64)
    planes[..., :2] = -planes[..., :2]
    planes.requires_grad_()
    refined = half_samples(planes, Arithmetic.FLOAT)
    assert float(refined[..., 1].detach()) == ACTIVATION_RANGE[0]
    (gradient,) = torch.autograd.grad(refined[..., 1].sum(), planes)
    assert not gradient.any()


@pytest.mark.parametrize("spacing", [8, 2])
def test_planes_start_from_their_goals(spacing: int) -> None:
    trainer = trainer_of(9, node_spacing=spacing, lagrangian=1e-4)
    with torch.no_grad():
        made = trainer.model.planes(trainer.grids[0], trainer.multipliers, range(9), Arithmetic.FLOAT)[LUMA_STAGE]
    luma = functional.pixel_shuffle(made, 2) * 16 + 128
    wanted, _ = plane_goals(trainer.model, trainer.bank.exact_real(torch.float32), trainer.source_rows[0].rows)
    wanted = wanted * 16 + 128
    errors = ((luma - wanted) ** 2).mean((1, 2, 3))
    nodes = [t for t in range(9) if t % spacing == 0]
    assert float(errors[nodes].max()) < 10 < float(errors[1::2].max())


def test_nodes_between_keys_have_coarser_steps() -> None:
    """One step of a node of the first level is worth that of a key times its factor."""
    trainer = trainer_of(9, key_spacing=8, node_spacing=4, slots=(4,), motion=False, grid_step=64)
    (factor,) = trainer.model.structure.pyramid.factors
    grids: list[torch.Tensor | None] = [None] * len(trainer.model.profile.slots)
    grids[4] = torch.zeros(3, 3, 8, 12)
    grids[4][0], grids[4][1] = 1, 1
    with torch.no_grad():
        (planes,) = trainer.model.planes(grids, trainer.multipliers, range(9), Arithmetic.EXACT).values()
    steps = (planes[[0, 4, 8], 0, 0, 0] * FEATURE_SCALE).tolist()
    assert steps == [64, 64 + 64 * factor / FACTOR_UNIT, 64]


@pytest.mark.parametrize("pyramid", [Pyramid(8, 8), Pyramid(8, 2, (22, 29))], ids=each_pyramid)
def test_search_finds_a_common_motion(pyramid: Pyramid) -> None:
    rng = np.random.default_rng(0)
    texture = functional.interpolate(
        torch.from_numpy(rng.uniform(0, 255, (1, 1, 14, 18))), scale_factor=16, mode="bicubic"
    )
    scene = texture[0, 0].clamp(0, 255).round().to(torch.uint8).numpy()
    luma = np.stack([scene[20 + t : 100 + t, 30 + 2 * t : 150 + 2 * t] for t in range(9)])
    positions = initial_flow(luma, 16, pyramid)
    moved = (positions[1:] - positions[:-1])[:, :, 1:-1, 1:-1].mean((0, 2, 3)) / 8
    # The content of a place was one row below and two columns to the right in the frame before.
    torch.testing.assert_close(moved, torch.tensor([-1.0, -2.0]), rtol=0, atol=0.05)


def test_small_or_single_pictures_have_no_motion() -> None:
    for shape in ((1, 64, 64), (4, 15, 64), (4, 64, 15)):
        luma = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        assert not initial_flow(luma, 16, Pyramid()).any()
