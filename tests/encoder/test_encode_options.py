"""Options are checked when they are made, and the command line reports an error in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nvrc_decoder.profiles import SlotKind
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, MULTIPLIER_MAX, Pyramid
from nvrc_encoder.options import PRESETS, EncodeOptions, profile_named
from nvrc_encoder.training import structure_search as choose
from nvrc_encoder.training.structure_search import is_open
from nvrc_ref.main import run


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("profile", "huge", "profile"),
        ("preset", "quick", "preset"),
        ("device", "tpu", "device"),
        ("schedule", "raster", "schedule"),
        ("lagrangian", 0.0, "lambda"),
        ("lagrangian", -1e-3, "lambda"),
        ("lagrangian", float("nan"), "lambda"),
        ("lagrangian", float("inf"), "lambda"),
        ("gop", 0, "gop"),
        ("gop", -4, "gop"),
        ("gop", (1 << 16) + 1, "gop"),
        ("seed", -1, "seed"),
        ("channels", 0, "channels"),
        ("grid_step", 0, "grid_step"),
        ("grid_step", MULTIPLIER_MAX + 1, "grid_step"),
        ("grid_scale", 0.05, "grid_scale"),
        ("grid_scale", float("nan"), "grid_scale"),
        ("iterations", 0, "iterations"),
        ("context_widths", (0, 10), "context_widths"),
        ("context_widths", (10, 65), "context_widths"),
        ("slots", (), "slots"),
        ("slots", (0, 11), "slots"),
        ("slots", (9, 10), "no grid"),
        ("slots", (4, 5, 6), "part of the bands"),
        ("blocks", -1, "blocks"),
        ("blocks", 2, "blocks"),
        ("grid_channels", (1, 1), "grid_channels"),
        ("grid_channels", (5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), "grid_channels"),
        ("grid_channels", (0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3), "no grid"),
        ("grid_channels", (0, 0, 0, 0, 0, 3, 3, 3, 3, 0, 0), "part of the bands"),
        ("key_spacing", 0, "key_spacing"),
        ("key_spacing", 12, "key_spacing"),
        ("key_spacing", 32, "key_spacing"),
        ("node_spacing", 0, "node_spacing"),
        ("node_spacing", 3, "node_spacing"),
        ("node_spacing", -2, "node_spacing"),
        ("slots", (-1,), "slots"),
        ("target_bpp", 0.0, "target_bpp"),
        ("target_size", -5, "target_size"),
        ("target_bitrate", float("inf"), "target_bitrate"),
        ("target_psnr", float("nan"), "target_psnr"),
        ("metadata", {"": "x"}, "metadata"),
        ("metadata", {"k" * 256: "x"}, "metadata"),
    ],
)
def test_value_outside_its_range(field: str, value: Any, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        EncodeOptions(**{field: value})


def test_values_at_their_ends() -> None:
    EncodeOptions(gop=1, seed=0, channels=1, grid_step=1, iterations=1, context_widths=(1, 1), slots=(0,))
    EncodeOptions(
        profile="main",
        gop=1 << 16,
        seed=(1 << 32) - 1,
        channels=255,
        grid_step=MULTIPLIER_MAX,
        context_widths=(64, 64),
        slots=(3,),
        key_spacing=16,
        node_spacing=16,
        metadata={"k" * 255: ""},
    )


def test_nodes_are_no_rarer_than_keys() -> None:
    EncodeOptions(key_spacing=4, node_spacing=4)
    with pytest.raises(ValueError, match=r"node_spacing .* is 8"):
        EncodeOptions(key_spacing=4, node_spacing=8)


@pytest.mark.parametrize(
    ("changes", "pyramid"),
    [
        ({}, Pyramid(16, 8, (24,))),
        ({"key_spacing": 4}, Pyramid(4, 4)),
        ({"key_spacing": 8}, Pyramid(8, 8)),
        ({"node_spacing": 16}, Pyramid(16, 16)),
        ({"node_spacing": 2}, Pyramid(16, 2, (24, 31, 38))),
        ({"node_spacing": 1}, Pyramid(16, 1, (24, 31, 38, 38))),
        ({"gop": 10}, Pyramid(16, 8, (24,))),
        ({"gop": 9}, Pyramid(8, 8)),
        ({"node_spacing": 1, "slots": (0, 1)}, DEFAULT_PYRAMID),
    ],
    ids=str,
)
def test_pyramid_of_the_options(changes: dict[str, Any], pyramid: Pyramid) -> None:
    assert EncodeOptions(**changes).structure().pyramid == pyramid


def test_trials_leave_what_is_given() -> None:
    def names(**given: Any) -> list[str]:
        return [step.name for step in choose.steps(EncodeOptions(**given))]

    everything = ["nodes every 4", "nodes every 2", "split", "1/8 a frame", "all grids, no motion"]
    assert names() == everything
    assert names(node_spacing=4) == everything[2:]
    assert names(key_spacing=4) == everything[1:]
    assert names(split=False) == [name for name in everything if name != "split"]
    assert names(motion=True) == [name for name in everything if name != "all grids, no motion"]
    assert names(motion=False) == [*everything[:2], "1/8 a frame"]
    assert names(slots=(4,)) == [name for name in everything if name != "1/8 a frame"]


def test_settled_options_are_not_open() -> None:
    fixed: dict[str, Any] = {"channels": 8, "context_widths": (10, 10)}
    assert is_open(EncodeOptions(**fixed))
    assert is_open(EncodeOptions(slots=(0, 1)))
    assert not is_open(EncodeOptions(slots=(0, 1), **fixed))
    assert not is_open(EncodeOptions(slots=(4,), motion=True, split=False, node_spacing=8, **fixed))


def test_slots_are_those_of_the_profile() -> None:
    assert len(profile_named("lite").slots) == 11
    EncodeOptions(profile="lite", slots=(3,))
    with pytest.raises(ValueError, match="slots"):
        EncodeOptions(profile="nano", slots=(11,))


@pytest.mark.parametrize(
    ("changes", "grids"),
    [
        ({}, (0, 0, 0, 0, 3, 4, 3, 3, 3, 3, 0)),
        ({"split": True}, (0, 0, 0, 0, 3, 4, 3, 3, 3, 3, 3)),
        ({"split": True, "motion": False, "slots": (4,)}, (0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0)),
        ({"motion": False}, (4, 3, 3, 2, 3, 4, 3, 3, 3, 0, 0)),
        ({"slots": (0, 1)}, (4, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
        ({"slots": (0, 3)}, (4, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0)),
        ({"slots": (0, 4)}, (4, 0, 0, 0, 3, 0, 0, 0, 0, 3, 0)),
        ({"slots": (5, 6, 7, 8)}, (0, 0, 0, 0, 0, 4, 3, 3, 3, 3, 0)),
        ({"grid_channels": (1, 0, 2, 1, 0, 0, 0, 0, 0, 3, 0)}, (1, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0)),
        ({"grid_channels": (1, 0, 2, 1, 2, 0, 0, 0, 0, 0, 0)}, (1, 0, 2, 1, 2, 0, 0, 0, 0, 3, 0)),
        ({"grid_channels": (1, 0, 2, 1, 2, 0, 0, 0, 0, 3, 0), "motion": False}, (1, 0, 2, 1, 2, 0, 0, 0, 0, 0, 0)),
    ],
    ids=str,
)
def test_structure_of_the_options(changes: dict[str, Any], grids: tuple[int, ...]) -> None:
    options = EncodeOptions(**changes)
    structure = options.structure()
    assert structure.grid_channels == grids
    assert structure.moving == (grids[9] > 0)
    sizes = [0 if m is None else len(m) for m in options.multipliers(structure)]
    assert tuple(sizes) == grids


def test_iterations_override_only_those_of_the_preset() -> None:
    plan = EncodeOptions(preset="draft", iterations=7).plan()
    assert plan.iterations == 7
    assert {**plan.__dict__, "iterations": PRESETS["draft"].iterations} == PRESETS["draft"].__dict__
    assert EncodeOptions(preset="slow").plan() == PRESETS["slow"]


@pytest.mark.parametrize(
    ("frames", "iterations"), [(64, 1000), (32, 500), (96, 1500), (640, 10000), (16, 250), (3, 250)]
)
def test_iterations_of_a_preset_follow_frames(frames: int, iterations: int) -> None:
    assert EncodeOptions(preset="fast").plan(frames).iterations == iterations
    assert EncodeOptions(preset="fast", iterations=7).plan(frames).iterations == 7


def multipliers(**changes: Any) -> dict[SlotKind, list[int]]:
    """The multipliers of the first slot of each kind."""
    options = EncodeOptions(profile="nano", grid_channels=(4, 3, 3, 2, 3, 4, 3, 3, 3, 3, 3), split=True, **changes)
    found: dict[SlotKind, list[int]] = {}
    structure = options.structure()
    for slot, steps in zip(structure.profile.slots, options.multipliers(structure), strict=True):
        if steps is not None:
            found.setdefault(slot.kind, steps)
    return found


@pytest.mark.parametrize("lagrangian", [1e-30, 1e-6, 5e-3, 1.0, 1e30, 3e38])
@pytest.mark.parametrize("motion", [False, True])
def test_steps_are_within_the_format(lagrangian: float, motion: bool) -> None:
    options = EncodeOptions(lagrangian=lagrangian, motion=motion)
    for steps in options.multipliers(options.structure()):
        assert all(1 <= step <= MULTIPLIER_MAX for step in steps or ())


def test_steps_grow_with_lambda_but_those_of_blends() -> None:
    fine, middle, coarse = (multipliers(lagrangian=value) for value in (1e-3, 5e-3, 2.5e-2))
    for kind in SlotKind:
        assert fine[kind][0] < middle[kind][0] < coarse[kind][0]
    assert coarse[SlotKind.PLANE][0] / fine[SlotKind.PLANE][0] == pytest.approx(25**0.4, rel=0.01)
    still = [multipliers(lagrangian=value, motion=False)[SlotKind.FEATURE][0] for value in (1e-3, 2.5e-2)]
    assert still[1] / still[0] == pytest.approx(5, rel=0.01)
    assert [found[SlotKind.FLOW][0] for found in (fine, middle, coarse)] == [2, 4, 8]
    assert {found[SlotKind.FLOW][2] for found in (fine, middle, coarse)} == {4}
    assert {found[SlotKind.SPLIT][2] for found in (fine, middle, coarse)} == {8}


def test_given_step_is_of_an_orthonormal_transform() -> None:
    steps = multipliers(grid_step=800)
    assert steps[SlotKind.FEATURE] == [800] * 4
    assert steps[SlotKind.PLANE] == [800] * 3
    # Stride 16, so three levels below the finest: LL, HL, LH, HH.
    assert steps[SlotKind.BAND] == [50, 81, 81, 132]
    assert steps[SlotKind.FLOW] == multipliers()[SlotKind.FLOW]
    options = EncodeOptions(grid_step=800)
    assert options.multipliers(options.structure())[8] == [650, 650, 1057]


def test_a_scale_is_for_all_but_motion() -> None:
    plain, finer = multipliers(), multipliers(grid_scale=0.5)
    for kind in (SlotKind.PLANE, SlotKind.BAND, SlotKind.FEATURE):
        assert finer[kind] == pytest.approx([step / 2 for step in plain[kind]], abs=1)
    assert finer[SlotKind.FLOW] == plain[SlotKind.FLOW]


def test_finer_keys_leave_other_nodes_as_they_are() -> None:
    def factors(scale: float) -> tuple[int, ...]:
        return EncodeOptions(node_spacing=2, grid_scale=scale).structure().pyramid.factors

    assert factors(1.0) == factors(1.4) == (24, 31, 38)
    assert factors(0.5) == (48, 62, 76)
    assert factors(0.1) == (240, 255, 255)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--lambda", "0"],
        ["--lambda", "-1"],
        ["--lambda", "nan"],
        ["--lambda", "inf"],
        ["--gop", "0"],
        ["--gop", "65537"],
        ["--preset", "quick"],
        ["--profile", "huge"],
        ["--seed", "-1"],
        ["--frames", "0"],
        ["--device", "tpu"],
        ["--target-size", "0"],
        ["--target-size", "5G"],
        ["--target-size", "k"],
        ["--target-bpp", "-1"],
        ["--target-psnr", "nan"],
        ["--bitrate", "fast"],
        ["--grids", "1,2,"],
        ["--grids", "1,2"],
        ["--channels", "0"],
        ["--key-spacing", "17"],
        ["--node-spacing", "0"],
        ["--node-spacing", "6"],
        ["--node-spacing", "8", "--key-spacing", "4"],
        ["--target-bpp", "0.1", "--target-size", "9k"],
        ["--target-psnr", "30", "--lambda", "0.01"],
    ],
)
def test_command_line_refuses_in_words(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, output = tmp_path / "clip.y4m", tmp_path / "out.nvrc"
    clip.write_bytes(b"YUV4MPEG2 W2 H2 F25:1 C420jpeg\nFRAME\n" + bytes(6))
    assert run(["encode", str(clip), "-o", str(output), *arguments]) == 2
    said = capsys.readouterr().err
    assert any(word in said for word in (arguments[0], "lambda", "grid_channels", "target_psnr"))
    assert "Traceback" not in said
    assert not output.exists()
