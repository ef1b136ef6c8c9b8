"""Options are checked when they are made, and the command line says so in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nvrc_encoder.options import MULTIPLIER_MAX, PRESETS, EncodeOptions, profile_named
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
        ("iterations", 0, "iterations"),
        ("context_widths", (0, 10), "context_widths"),
        ("context_widths", (10, 65), "context_widths"),
        ("slots", (), "slots"),
        ("slots", (0, 7), "slots"),
        ("slots", (6,), "no grid"),
        ("blocks", -1, "blocks"),
        ("blocks", 2, "blocks"),
        ("grid_channels", (1, 1), "grid_channels"),
        ("grid_channels", (5, 0, 0, 0, 0, 0, 0), "grid_channels"),
        ("grid_channels", (0, 0, 0, 0, 0, 0, 2), "no grid"),
        ("grid_channels", (0, 0, 0, 0, 0, 3, 0), "no grid"),
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
        slots=(6,),
        metadata={"k" * 255: ""},
    )


def test_slots_are_those_of_the_profile() -> None:
    assert len(profile_named("lite").slots) == 8
    EncodeOptions(profile="lite", slots=(6,))
    with pytest.raises(ValueError, match="slots"):
        EncodeOptions(profile="nano", slots=(7,))


@pytest.mark.parametrize(
    ("changes", "grids"),
    [
        ({}, (0, 0, 0, 0, 3, 4, 2)),
        ({"motion": False}, (4, 3, 3, 2, 3, 4, 0)),
        ({"slots": (0, 1)}, (4, 3, 0, 0, 0, 0, 0)),
        ({"slots": (0, 3)}, (4, 0, 0, 2, 0, 0, 0)),
        ({"slots": (0, 4)}, (4, 0, 0, 0, 3, 0, 2)),
        ({"grid_channels": (1, 0, 2, 1, 0, 3, 0)}, (1, 0, 2, 1, 0, 0, 2)),
        ({"grid_channels": (1, 0, 2, 1, 0, 3, 2), "motion": False}, (1, 0, 2, 1, 0, 3, 0)),
    ],
    ids=str,
)
def test_structure_of_the_options(changes: dict[str, Any], grids: tuple[int, ...]) -> None:
    options = EncodeOptions(**changes)
    structure = options.structure()
    assert structure.grid_channels == grids
    assert structure.moving == (grids[-1] > 0)
    sizes = [0 if m is None else len(m) for m in options.multipliers(structure)]
    assert tuple(sizes) == grids


def test_iterations_replace_those_of_the_preset_and_nothing_else() -> None:
    plan = EncodeOptions(preset="draft", iterations=7).plan()
    assert plan.iterations == 7
    assert {**plan.__dict__, "iterations": PRESETS["draft"].iterations} == PRESETS["draft"].__dict__
    assert EncodeOptions(preset="slow").plan() == PRESETS["slow"]


@pytest.mark.parametrize("lagrangian", [1e-30, 1e-6, 5e-3, 1.0, 1e30])
def test_grid_step_follows_lambda_within_the_format(lagrangian: float) -> None:
    assert 1 <= EncodeOptions(lagrangian=lagrangian).multiplier(True) <= MULTIPLIER_MAX
    assert EncodeOptions(lagrangian=lagrangian, grid_step=17).multiplier(True) == 17


@pytest.mark.parametrize("lagrangian", [1e-30, 1e-6, 1.0, 1e30, 3e38])
def test_step_of_the_flow_is_within_the_format(lagrangian: float) -> None:
    assert 1 <= EncodeOptions(lagrangian=lagrangian).flow_step <= MULTIPLIER_MAX


def test_step_of_the_flow_grows_with_lambda_but_less_than_the_others() -> None:
    fine, coarse = EncodeOptions(lagrangian=2e-3), EncodeOptions(lagrangian=2e-2)
    assert 1 < coarse.flow_step / fine.flow_step < coarse.multiplier(True) / fine.multiplier(True)
    assert EncodeOptions(lagrangian=2e-2, grid_step=17).flow_step == coarse.flow_step


@pytest.mark.parametrize("moving", [False, True])
def test_grid_step_grows_with_lambda(moving: bool) -> None:
    steps = [EncodeOptions(lagrangian=value).multiplier(moving) for value in (1e-4, 1e-3, 1e-2)]
    assert steps == sorted(set(steps))


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
