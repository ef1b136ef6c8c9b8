"""The start of blocks that move otherwise than all around them."""

from __future__ import annotations

import pytest
import torch
from encoder_cases import texture

from nvrc_decoder.pyramid import Pyramid
from nvrc_encoder.model.motion import half_samples, make_motion
from nvrc_encoder.model.prediction_route import Route, find_route
from nvrc_encoder.model.rounding import Arithmetic
from nvrc_encoder.start.block_search import block_moves
from nvrc_encoder.start.flow_search import FrameSearch, Reference, bits_of_errors
from nvrc_encoder.start.split_search import SplitGrid


@pytest.mark.parametrize("size", [(48, 64), (50, 70), (45, 61)])
@pytest.mark.parametrize(("down", "right"), [(0, 0), (6, -8), (-8, 2)])
def test_full_search_finds_a_shift(size: tuple[int, int], down: int, right: int) -> None:
    height, width = size
    scene = texture(height + 16, width + 16, 3)[None, None]
    goal = scene[..., 8 : 8 + height, 8 : 8 + width]
    reference = scene[..., 8 - down : 8 - down + height, 8 - right : 8 - right + width]
    moves = block_moves(goal, reference, 8)
    assert moves.shape == (2, -(-height // 8), -(-width // 8))
    # At the edges, content that leaves the picture has no match.
    inner = moves[:, 1:-2, 1:-2]
    assert (inner == torch.tensor([down, right]).view(2, 1, 1)).all()


def test_full_search_keeps_to_its_reach() -> None:
    goal, other = (torch.randn(1, 1, 32, 40, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    for reach in (0, 2, 6):
        moves = block_moves(goal, other, reach)
        assert moves.abs().max() == reach
        assert not (moves % 2).any()


def test_full_search_of_a_single_sample() -> None:
    assert block_moves(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1), 32).shape == (2, 1, 1)


@pytest.mark.parametrize("step", [(4, 10), (-10, 12)])
def test_blocks_far_away_are_found(step: tuple[int, int]) -> None:
    """One block moves farther than patterns reach, over a static background."""
    ground, thing = texture(96, 128, 5) / 16 - 8, texture(8, 8, 6) / 16 - 8
    luma = ground.repeat(3, 1, 1, 1)
    for t in range(3):
        top, left = 40 + (t - 1) * step[0], 56 + (t - 1) * step[1]
        luma[t, 0, top : top + 8, left : left + 8] = thing
    route = find_route(Pyramid(2, 2), 0, 3)
    (key,) = (one for one in route.steps if one.frames == (2,))
    part = Route(key.frames, (route.steps[0], key), ())
    still = make_motion(torch.zeros(3, 3, 6, 8), torch.ones(3), part, (96, 128), Arithmetic.EXACT)
    luma[2] = luma[1]
    split = SplitGrid(luma, (12, 16), torch.tensor([16, 16, 8]), (96, 128), 0.01)
    split.search(key, part, still, {0: luma[:1]})
    # In half samples, from frame 2 to frame 0.
    assert split.grid[2][:2, 5, 7].tolist() == [-2 * step[0], -2 * step[1]]


def test_small_errors_cost_what_they_are_worth() -> None:
    errors = torch.tensor([0.0, 1e-3, 1.0, 1e6, 2e6, 4e6])
    bits = bits_of_errors(errors, 0.5)
    assert bits[0] == 0
    assert bits[1] == pytest.approx(2e-3, rel=1e-3)
    # Twice the energy: as many bits more each time.
    assert bits[5] - bits[4] == pytest.approx(float(bits[4] - bits[3]), rel=1e-3)
    assert bits[5] - bits[4] < 30
    assert (bits <= 1.01 * errors / 0.5).all()


def test_flow_leaves_blocks_that_move_apart() -> None:
    """The picture stands still, but for a thing in front of it that has a motion of its own."""
    ground, thing = texture(64, 96, 1) / 16 - 8, texture(14, 14, 2) / 16 - 8
    here, before = ground.clone(), ground.clone()
    here[24:38, 40:54] = thing
    before[27:41, 35:49] = thing
    still = torch.zeros(1, 2, 4, 6)
    reference = Reference(half_samples(before[None, None], Arithmetic.EXACT), still)
    zeros = torch.zeros(3, 4, 6)

    def flow(blocks: bool) -> torch.Tensor:
        search = FrameSearch(here[None, None], [reference], 0, torch.tensor([4, 4, 4]), (64, 96), 0.2, blocks)
        return search.run([zeros], zeros)[:2]

    assert flow(True).abs().sum() < flow(False).abs().sum()
