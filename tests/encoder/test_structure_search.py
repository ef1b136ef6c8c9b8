"""Trials: which part of a clip they use, and which structure they choose."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from encoder_cases import gradient_source

from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_encoder import EncodeOptions
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.source.video import Source
from nvrc_encoder.training import structure_search as choose
from nvrc_encoder.training.structure_search import LEAST_GAIN, Trial, middle
from nvrc_encoder.training.workload import TRIAL_SAMPLES


def coordinates(width: int, height: int, chroma_format: int = 1) -> list[Planes]:
    """A frame whose samples are their luma row, and one whose samples are their luma column."""
    frames = []
    for luma in np.indices((height, width), dtype=np.uint16):
        chroma = luma[::2, ::2] if chroma_format == 1 else luma
        frames.append(Planes(luma) if chroma_format == 0 else Planes(luma, chroma, chroma))
    return frames


def source_of(frames: list[Planes], chroma_format: int = 1) -> Source:
    height, width = frames[0].y.shape
    picture = VideoFormat(width, height, Fraction(25), chroma_format, 10)
    return Source("clip", picture, len(frames), lambda: iter(frames))


@pytest.mark.parametrize("size", [(176, 144), (1, 1), (352, 288), (33, 3)])
def test_small_pictures_are_tried_whole(size: tuple[int, int]) -> None:
    source = source_of(coordinates(*size))
    small, frames = middle(source, list(source), 17)
    assert small.picture == source.picture
    assert [frame.md5() for frame in frames] == [frame.md5() for frame in source]


@pytest.mark.parametrize("chroma_format", [0, 1, 2])
@pytest.mark.parametrize("size", [(1280, 720), (1921, 1079), (4000, 16), (640, 361)])
def test_large_pictures_are_tried_in_their_middle(size: tuple[int, int], chroma_format: int) -> None:
    source = source_of(coordinates(*size, chroma_format), chroma_format)
    small, frames = middle(source, list(source), 17)
    shape = small.height, small.width
    for frame, whole, part in zip(frames, (size[1], size[0]), shape, strict=True):
        assert frame.y.shape == shape
        first = int(frame.y[0, 0])
        assert first % 2 == 0
        assert frame.y[-1, -1] == first + part - 1 < whole
        assert abs(2 * first + part - whole) <= 4
        if frame.u is not None:
            assert frame.u[0, 0] == first
            assert frame.u.shape == ((-(-shape[0] // 2), -(-shape[1] // 2)) if chroma_format == 1 else shape)
    if size[1] > 16:
        assert 0.9 * TRIAL_SAMPLES <= shape[0] * shape[1] <= 1.3 * TRIAL_SAMPLES


def test_only_the_first_frames_are_tried() -> None:
    source = source_of(coordinates(16, 16) * 50)
    small, frames = middle(source, list(source), 17)
    assert len(frames) == small.frame_count == 17 == len(list(small))


def costs(monkeypatch: pytest.MonkeyPatch, wanted: list[float], bits: float = 100.0) -> list[str]:
    """Give the trials these costs, without trainers; the list that the names of the trials made are added to."""
    made: list[str] = []

    def tried(name: str, trainer: None, samples: int) -> Trial:
        made.append(name)
        return Trial(name, wanted[len(made) - 1], 30.0, bits, 0.0)

    monkeypatch.setattr(choose, "_tried", tried)
    return made


def chosen(**options: object) -> choose.Choice:
    source = gradient_source(32, 24, 3)
    open_options = EncodeOptions(profile="lite", device="cpu", **options)  # type: ignore[arg-type]
    return choose.choose(source, list(source), open_options, lambda *arguments: None)  # type: ignore[arg-type,return-value]


PLANES, FOUR, TWO = "planes", "planes, nodes every 4", "planes, nodes every 4, nodes every 2"


def test_gains_are_kept_and_built_upon(monkeypatch: pytest.MonkeyPatch) -> None:
    made = costs(monkeypatch, [5.0, 4.0, 3.0, 2.0, 2.1, 9.0])
    choice = chosen()
    split = f"{TWO}, split"
    assert made == [PLANES, FOUR, TWO, split, f"{split}, 1/8 a frame", "all grids, no motion"]
    assert [trial.name for trial in choice.trials] == made
    assert (choice.options.split, choice.options.node_spacing, choice.options.motion) == (True, 2, True)


def test_nodes_come_no_nearer_after_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    made = costs(monkeypatch, [5.0, 5.1, 4.0, 3.9, 3.0])
    choice = chosen()
    assert made == [PLANES, FOUR, "planes, split", "planes, split, 1/8 a frame", "all grids, no motion"]
    assert (choice.options.split, choice.options.node_spacing, choice.options.motion) == (False, 8, False)


def test_little_gain_is_not_worth_more_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    costs(monkeypatch, [5.0, *[5.0 * (1 - 0.9 * LEAST_GAIN)] * 5])
    choice = chosen()
    assert (choice.options.split, choice.options.node_spacing) == (False, 8)


@pytest.mark.parametrize(
    ("bits", "channels", "width"), [(1e3, 8, 10), (3e4, 8, 10), (5.1e4, 12, 16), (1e5, 16, 16), (1e6, 24, 24)]
)
def test_width_follows_the_bits(monkeypatch: pytest.MonkeyPatch, bits: float, channels: int, width: int) -> None:
    costs(monkeypatch, [5.0] * 6, bits)
    options = chosen().options
    assert options.channels == channels
    assert options.context_widths == (width, width)


def test_given_options_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made = costs(monkeypatch, [5.0, 4.0])
    options = chosen(motion=True, split=False, node_spacing=4, channels=9, context_widths=(3, 4)).options
    assert made == ["planes", "planes, 1/8 a frame"]
    assert (options.motion, options.split, options.node_spacing) == (True, False, 4)
    assert (options.channels, options.context_widths) == (9, (3, 4))


def test_real_starts_are_judged() -> None:
    source = gradient_source(48, 32, 5)
    choice = choose.choose(
        source, list(source), EncodeOptions(device="cpu"), lambda *arguments: make_trainer(*arguments)[0]
    )
    assert len(choice.trials) >= 5
    assert all(trial.grid_bits > 0 and 5 < trial.psnr < 60 and trial.seconds > 0 for trial in choice.trials)
    assert not choose.is_open(choice.options)
