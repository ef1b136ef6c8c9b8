"""The start of a training: motion, planes and weights chosen as in a block-based encoder."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from encoder_cases import gradient_source, options, texture

from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import CHROMA_420
from nvrc_decoder.pyramid import Pyramid
from nvrc_encoder import EncodeOptions, encode
from nvrc_encoder.model.motion import half_samples, make_motion
from nvrc_encoder.model.prediction_route import Route, find_route
from nvrc_encoder.model.rounding import Arithmetic
from nvrc_encoder.model.synthesis import LUMA_STAGE, PLANE_STAGE
from nvrc_encoder.options import LEVEL_FACTORS
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.source.video import Source
from nvrc_encoder.start.flow_search import FrameSearch, Reference, pattern_search
from nvrc_encoder.start.initial_planes import initial_planes
from nvrc_encoder.start.plane_goals import half, mean_features, plane_features, plane_goals, quarter_planes
from nvrc_encoder.start.split_search import SplitGrid
from nvrc_encoder.training.trainer import Trainer

PYRAMIDS = [{"node_spacing": 8}, {"node_spacing": 2}, {"key_spacing": 4, "node_spacing": 1}]


def moving_source(frames: int) -> Source:
    """A texture that moves by (1, 2) samples per frame, 96x80."""
    scene = texture(120, 160, 0)
    clip = []
    for t in range(frames):
        luma = scene[t : 80 + t, 2 * t : 96 + 2 * t].round().byte().numpy()
        chroma = 160 - luma[::2, ::2] // 4
        clip.append(Planes(luma, chroma, chroma // 2))
    return Source("moving", VideoFormat(96, 80, Fraction(25), 1, 8), frames, lambda: iter(clip))


def trainer_of(frames: int = 11, **changes: object) -> Trainer:
    source = moving_source(frames)
    options = EncodeOptions(device="cpu", trials=False, channels=8, gop=64, **changes)  # type: ignore[arg-type]
    return make_trainer(source, list(source), options)[0]


def cost_of(trainer: Trainer) -> float:
    """J, times 10^4."""
    estimate = trainer.estimate()
    pixels = sum(trainer.frame_counts) * trainer.pixels
    return 1e4 * (estimate.distortion + trainer.lagrangian * estimate.bits / pixels)


@pytest.mark.full
@pytest.mark.parametrize("spacings", PYRAMIDS, ids=str)
@pytest.mark.parametrize("motion", [{"motion": False}, {"motion": True}, {"split": True}], ids=str)
def test_start_uses_the_decoders_planes(spacings: dict[str, int], motion: dict[str, bool]) -> None:
    trainer = trainer_of(**motion, **spacings)
    model, rows = trainer.model, trainer.source_rows[0].rows
    luma_goal, features = plane_goals(model, trainer.bank.exact_real(torch.float32), rows)
    multipliers = [None if m is None else m.tolist() for m in trainer.multipliers]
    grids: list[torch.Tensor | None] = [None] * len(multipliers)
    left = initial_planes(model, luma_goal, features, multipliers, grids, trainer.lagrangian)
    for grid, own in zip(grids, trainer.grids[0], strict=True):
        assert grid is None or (own is not None and torch.equal(grid, grid.round()))
    with torch.no_grad():
        made = model.planes(grids, trainer.multipliers, range(len(rows)), Arithmetic.EXACT)
    luma = functional.pixel_shuffle(made[LUMA_STAGE], 2)
    assert torch.equal(left[:, :1], features[:, :1] - half(luma))
    chroma = functional.interpolate(made[PLANE_STAGE][:, :2], scale_factor=2, mode="bilinear")
    assert torch.equal(left[:, 1:], features[:, 1:] - chroma)


@pytest.mark.full
@pytest.mark.parametrize("spacings", PYRAMIDS, ids=str)
def test_start_is_worth_much_training(spacings: dict[str, int]) -> None:
    trainer = trainer_of(lagrangian=0.004, prior=False, **spacings)
    still = trainer_of(lagrangian=0.004, motion=False, prior=False, **spacings)
    trainer.fit_context(120)
    still.fit_context(120)
    assert cost_of(trainer) < 0.6 * cost_of(still)


def test_rounded_weights_pass_the_planes_through() -> None:
    trainer = trainer_of(prior=False)
    grids, frames = trainer.final_grids(0), range(11)
    with torch.no_grad():
        made = trainer.model.planes(grids, trainer.multipliers, frames, Arithmetic.EXACT)
        real = trainer.bank.exact_real(torch.float32)
        rows = trainer.model.forward(real, grids, trainer.multipliers, frames, 11, Arithmetic.EXACT)
    torch.testing.assert_close(rows[:, :4], (made[LUMA_STAGE] * 16 + 128).clamp(0, 255), rtol=0, atol=0.63)


@pytest.mark.parametrize("together", [True, False])
def test_search_takes_the_least_at_each_place(together: bool) -> None:
    wanted = torch.randint(-3, 4, (1, 5, 6), generator=torch.Generator().manual_seed(0)).float()
    found = pattern_search(
        torch.zeros(1, 5, 6),
        [lambda grid, value=value: torch.full_like(grid, value) for value in range(-3, 4)],
        lambda grids: (grids - wanted).abs().sum(1),
        together,
    )
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_frame_search_finds_a_shift(size: tuple[int, int]) -> None:
    height, width = size
    scene = texture(height + 20, width + 20, 3)[None, None] / 16 - 8
    even = -(-height // 2) * 2, -(-width // 2) * 2
    before, here, after = (scene[..., 8 + 2 * t :, 8 - 3 * t :][..., : even[0], : even[1]] for t in (-1, 0, 1))
    rows, columns = -(-height // 16), -(-width // 16)
    # In eighths. A position is where the samples of a frame are found, relative to those of other frames.
    shift = torch.tensor([2.0, -3.0]).view(1, 2, 1, 1).expand(1, 2, rows, columns) * 8
    references = [Reference(half_samples(x, Arithmetic.EXACT), s) for x, s in ((before, shift), (after, -shift))]
    zeros = torch.zeros(3, rows, columns)
    search = FrameSearch(here, references, 16, torch.tensor([4, 4, 4]), size, 1.0)
    away = zeros + torch.tensor([1.0, -2.0, 0.0]).view(3, 1, 1)
    found = search.run([away], zeros)[:2]
    # At the edges, content that enters the picture has no match.
    assert not found[:, 1:-1, 1:-1].any()


def test_split_search_finds_what_moves_by_itself() -> None:
    """A block moves by (1, -2) samples per frame over a static background."""
    ground, thing = texture(48, 64, 5) / 16 - 8, texture(8, 8, 6) / 16 - 8
    luma = ground.repeat(3, 1, 1, 1)
    for t in range(3):
        luma[t, 0, 15 + t : 23 + t, 26 - 2 * t : 34 - 2 * t] = thing
    route = find_route(Pyramid(2, 2), 0, 3)
    (step,) = (step for step in route.steps if step.frames == (1,))
    part = Route(step.frames, (route.steps[0], step), ())
    still = make_motion(torch.zeros(3, 3, 3, 4), torch.ones(3), part, (48, 64), Arithmetic.EXACT)
    split = SplitGrid(luma, (6, 8), torch.tensor([16, 16, 8]), (48, 64), 0.01)
    split.search(step, part, still, {0: luma[:1], 2: luma[2:]})
    found = split.grid[1]
    # To the earlier reference: one sample up and two to the right, in half samples.
    assert found[:2, 2, 3].tolist() == [-2, 4]
    assert not split.grid[0].any()
    assert found.abs().sum((0, 1, 2)) < 40


@pytest.mark.parametrize("frames", [2, 3])
def test_blocks_of_frames_after_the_last_stay(frames: int) -> None:
    """The last frame would share them: frame 2 is a node here, and shows what frame 1 shows if there are two frames."""
    ground, thing = texture(48, 64, 5) / 16 - 8, texture(8, 8, 6) / 16 - 8
    luma = ground.repeat(frames, 1, 1, 1)
    for t in range(frames):
        luma[t, 0, 15 + t : 23 + t, 26 - 2 * t : 34 - 2 * t] = thing
    route = find_route(Pyramid(2, 2), 0, frames)
    (step,) = (step for step in route.steps if step.frames == (2,))
    part = Route(step.frames, (route.steps[0], step), ())
    still = make_motion(torch.zeros(frames, 3, 3, 4), torch.ones(3), part, (48, 64), Arithmetic.EXACT)
    split = SplitGrid(luma, (6, 8), torch.tensor([16, 16, 8]), (48, 64), 0.01)
    split.search(step, part, still, {0: luma[:1]})
    assert bool(split.grid.any()) == (frames == 3)


def test_goals_make_up_for_what_the_prior_blurs() -> None:
    trainer = trainer_of()
    model, parameters = trainer.model, trainer.bank.exact_real(torch.float32)
    rows = torch.full((8, 6, 40, 48), 128.0)
    rows[:, :4] += 10 * torch.randn(8, 4, 40, 48, generator=torch.Generator().manual_seed(0))

    def error(luma: torch.Tensor, features: torch.Tensor) -> float:
        """Mean squared error of luma, in pixel levels, with planes that show these."""
        per_stage: list[list[torch.Tensor]] = [[] for _ in model.stage_channels]
        per_stage[LUMA_STAGE].append(functional.pixel_unshuffle(luma, 2))
        per_stage[PLANE_STAGE].append(quarter_planes(features, plane_features(model, 3)))
        with torch.no_grad():
            made = model.synthesise(parameters, per_stage, 8, Arithmetic.FLOAT)
        return float((made[:, :4] - rows[:, :4]).square().mean())

    video = functional.pixel_shuffle(rows[:, :4] - 128, 2) / 16, (mean_features(rows, CHROMA_420) - 128) / 16
    assert error(*plane_goals(model, parameters, rows)) < 0.5 * error(*video)


@pytest.mark.parametrize("changes", [{"prior": False}, {"motion": False}], ids=str)
def test_goals_of_luma_are_else_the_video(changes: dict[str, bool]) -> None:
    """Without the prior the network passes luma; without motion other grids carry what it blurs."""
    trainer = trainer_of(**changes)
    rows = trainer.source_rows[0].rows
    luma, _ = plane_goals(trainer.model, trainer.bank.exact_real(torch.float32), rows)
    torch.testing.assert_close(luma, functional.pixel_shuffle(rows[:, :4] - 128, 2) / 16)


def test_start_is_the_same_each_time() -> None:
    first, second = trainer_of(5), trainer_of(5)
    for a, b in zip(first.grids[0], second.grids[0], strict=True):
        assert (a is None and b is None) or torch.equal(a, b)  # type: ignore[arg-type]


def test_small_pictures_and_single_frames_have_a_start() -> None:
    for width, height, frames in ((1, 1, 3), (5, 3, 9), (40, 16, 1), (16, 40, 2)):
        clip = [
            Planes(
                np.full((height, width), 90 + t, np.uint8),
                *[np.full((-(-height // 2), -(-width // 2)), 60, np.uint8)] * 2,
            )
            for t in range(frames)
        ]
        source = Source("flat", VideoFormat(width, height, Fraction(25), 1, 8), frames, lambda clip=clip: iter(clip))
        trainer = make_trainer(source, clip, EncodeOptions(device="cpu", trials=False))[0]
        assert trainer.model.structure.pyramid == Pyramid(16, 8, LEVEL_FACTORS[:1])
        assert all(bool(torch.isfinite(g).all()) for g in trainer.grids[0] if g is not None)


def test_start_keeps_less_where_bits_weigh_more() -> None:
    def kept(lagrangian: float) -> int:
        grids = trainer_of(grid_step=40, lagrangian=lagrangian).grids[0]
        return sum(int((grid.round() != 0).sum()) for grid in grids[:9] if grid is not None)

    few, some, many = kept(0.05), kept(0.005), kept(0.0005)
    assert few < 0.9 * some < 0.81 * many


@pytest.mark.parametrize("prior", [True, False])
def test_the_state_of_the_start_is_reported(prior: bool) -> None:
    source = gradient_source(32, 24, 3)
    chosen = options(iterations=2, prior=prior, gop=3)
    start = encode(source, io.BytesIO(), chosen).start
    trainer, _, _ = make_trainer(source, list(source), chosen)
    trainer.fit_context(chosen.plan().pretrain)
    estimate = trainer.estimate()
    assert start is not None
    assert start.seconds > 0
    assert start.psnr_y == estimate.psnr_y
    assert start.bits_per_pixel == estimate.bits / (3 * 32 * 24)
    assert start.cost == estimate.distortion + chosen.lagrangian * start.bits_per_pixel
