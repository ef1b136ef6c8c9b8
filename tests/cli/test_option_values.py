"""Sizes and rates on the command line, options in groups, and names of colours."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from nvrc_decoder.picture.format import Colour
from nvrc_ref.commands.encode import command
from nvrc_ref.inspection.colour_names import describe_colour
from nvrc_ref.main import run
from nvrc_ref.options.groups import gathered
from nvrc_ref.options.values import parse_bitrate, parse_bytes, parse_duration

CONTEXT = click.Context(command)
OPTION = command.params[0]


@pytest.mark.parametrize(
    ("text", "size"), [("12500", 12500), ("12.5k", 12500), ("12.5K", 12500), ("3M", 3_000_000), (".5M", 500_000)]
)
def test_sizes_are_in_bytes(text: str, size: int) -> None:
    assert parse_bytes(CONTEXT, OPTION, text) == size


@pytest.mark.parametrize(("text", "rate"), [("60", 60), ("60k", 60), ("60.5", 60.5), ("1.5M", 1500), ("0.06M", 60)])
def test_rates_are_in_kilobits_a_second(text: str, rate: float) -> None:
    assert parse_bitrate(CONTEXT, OPTION, text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["", "0", "-1", "k", "60kk", "1e3", "nan", "inf", "60 k", "9" * 400, "6\u0660"])
def test_text_that_is_no_number_is_refused(text: str) -> None:
    for parse in (parse_bytes, parse_bitrate):
        with pytest.raises(click.BadParameter):
            parse(CONTEXT, OPTION, text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), ("1h2m3.5s", 3723.5)],
)
def test_times_have_units(text: str, seconds: float) -> None:
    assert parse_duration(CONTEXT, OPTION, text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-3", "ten", "5d", "1m1h", "1 h", "s", "inf", "1e3"])
def test_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time, such as 90s, 10m, 2h"):
        parse_duration(CONTEXT, OPTION, text)


def test_help_groups_list_every_option_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["encode", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("Common options:") < shown.index("--output") < shown.index("Structure")
    first = [line.split()[0].rstrip(",") for line in shown.splitlines() if line.startswith("  -")]
    expected = [option.opts[0] for option in command.params if isinstance(option, click.Option)]
    assert sorted(first) == sorted([*expected, "-h"])


def test_gathered_options_reach_the_command_as_one() -> None:
    pair = gathered("pair", dict, click.option("--one", default=1), click.option("--other", "second", default=2))

    @click.command()
    @pair
    @click.option("--third", default=3)
    def show(pair: dict[str, int], third: int) -> None:
        click.echo((pair, third))

    assert [option.name for option in show.params] == ["one", "second", "third"]
    done = CliRunner().invoke(show, ["--other", "5"])
    assert done.output == "({'one': 1, 'second': 5}, 3)\n"


@pytest.mark.parametrize(
    ("colour", "words"),
    [
        (Colour(), "unspecified, limited range"),
        (Colour(1, 1, 1, full_range=True), "BT.709, full range"),
        (Colour(9, 16, 9), "primaries BT.2020, transfer PQ, matrix BT.2020, limited range"),
        (Colour(1, 200, 1), "primaries BT.709, transfer code 200, matrix BT.709, limited range"),
        (Colour(6, 6, 6, sample_position=1), "primaries BT.601 525, transfer BT.601, matrix BT.601, limited range, "
         "chroma samples left"),
    ],
)  # fmt: skip
def test_colour_is_described_by_names(colour: Colour, words: str) -> None:
    assert describe_colour(colour) == words
