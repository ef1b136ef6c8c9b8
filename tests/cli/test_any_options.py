"""Random options of every command end in success, a usage error or a typed error; click's types give the values.

Work that takes minutes is stopped before it begins.
"""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvrc_decoder.errors import InputError
from nvrc_ref.main import group, run

pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[2]
STREAM = ROOT / "conformance" / "streams" / "nano-1x1.nvrc"
CLIP = b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420\n" + 3 * (b"FRAME\n" + bytes(range(128)) * 3)
ALLOWED = {0, 1, 2, 65, 66, 69, 74, 77}

NUMBERS = ["0", "1", "2", "3", "-1", "16", "17", "255", "256", "65536", str(2**31), str(2**63), "9" * 30, "9" * 5000]
FLOATS = ["nan", "inf", "-inf", "1e-300", "1e308", "1e999", "0.5", "-0.0", "1_0", "4.9e-324"]
# Values of each form that options take, and similar wrong ones.
TEXTS = [
    *(
        "",
        " ",
        "x",
        "-",
        "é",
        "\udcff",
        "a=b",
        ":",
        "/",
        "1:2:3",
        "16x16",
        "0x0",
        "99999x1",
        "25",
        "30000/1001",
        "25:0",
    ),
    *("1e9", "1e99999999", "1/0", "0.1", "1,2,3", "0,0,0,0,3,4,3,3,3,0,0", "1/1/1", "256/0/0", "12.5k", "3M", "0M"),
    *("max_width=1", "max_width=", "max_width=" + "9" * 5000, "max_pixels=0", "no_limit=3", "max_gops=-1"),
    *("nvrc:preset=draft,points=0.003/nan", "x264:points=", "nvrc:", "published:none", "0" * 32, "16x16+0+0"),
]


def leaves() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Words -> command, of every command without sub-commands."""

    def walk(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
        if not isinstance(command, click.Group):
            yield words, command
            return
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from walk((*words, name), below)

    return walk((), group)


LEAVES = dict(leaves())
# The fast run gives an option a quarter of the values, and the next option the next quarter.
SHARES = [
    *((words, 4) for words in LEAVES if words != ("encode",)),
    *(pytest.param(words, 1, marks=pytest.mark.full) for words in LEAVES),
]


def values(parameter: click.Parameter) -> st.SearchStrategy[str]:
    """Values that a user might write for a parameter."""
    kind = parameter.type
    if isinstance(kind, click.Choice):
        return st.sampled_from([*map(str, kind.choices), *TEXTS[:5]])
    edges: list[str] = []
    if isinstance(kind, click.IntRange | click.FloatRange):
        edges = [str(edge + step) for edge in (kind.min, kind.max) if edge is not None for step in (-1, 0, 1)]
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        return st.sampled_from([*edges, *NUMBERS, *FLOATS, "x", ""])
    return st.sampled_from([*TEXTS, *NUMBERS[:5]]) | st.text(max_size=8).filter(lambda text: "\0" not in text)


@st.composite
def lines(draw: st.DrawFn, words: tuple[str, ...], names: list[str]) -> list[str]:
    """A random command line with files from `names`."""
    line = list(words)
    for parameter in LEAVES[words].params:
        if isinstance(parameter, click.Argument):
            if isinstance(parameter.type, click.Choice):
                line.append(draw(values(parameter)))
            else:
                line += draw(st.lists(st.sampled_from(names), min_size=parameter.required, max_size=2))
    options = [p for p in LEAVES[words].params if isinstance(p, click.Option) and "--help" not in p.opts]
    chosen = draw(st.lists(st.sampled_from(options), max_size=4))
    for option in [*(o for o in options if o.required and o not in chosen), *chosen]:
        line.append(draw(st.sampled_from([*option.opts, *option.secondary_opts])))
        if option.is_flag:
            continue
        is_file = option.metavar in ("FILE", "DIR", "FOLDER") or option.name in ("output", "out")
        line.append(draw(st.sampled_from(names) if is_file else values(option)))
    return line


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Good and bad inputs and outputs in the current folder."""
    folder = tmp_path_factory.mktemp("options")
    (folder / "clip.y4m").write_bytes(CLIP)
    (folder / "clip.nvrc").write_bytes(STREAM.read_bytes())
    (folder / "clip.yuv").write_bytes(bytes(384))
    (folder / "broken.nvrc").write_bytes(STREAM.read_bytes()[:-40])
    (folder / "empty").write_bytes(b"")
    (folder / "folder").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        inputs = ["clip.y4m", "clip.nvrc", "clip.yuv", "broken.nvrc", "empty", "folder", "missing"]
        yield [*inputs, "-", "", "new.nvrc", "new.y4m", "new.mp4", "new", "no/such/folder.nvrc", "caf\udce9.y4m"]


def stop(*_: Any, **__: Any) -> NoReturn:
    raise InputError("E_SOURCE", "stopped here")


def stop_encoding(source: Any, output: Any, options: Any, *_: Any, **__: Any) -> NoReturn:
    frames = list(itertools.islice(source, 5))
    options.plan()
    options.goal(source.width, source.height, len(frames) or 1, source.rate)
    stop()


@contextmanager
def stopped() -> Iterator[None]:
    """Stops long work before it begins."""
    with (
        mock.patch("nvrc_encoder.encode", stop_encoding, create=True),
        mock.patch("nvrc_encoder.segments.coordinator.encode_segments", stop),
        mock.patch("nvrc_bench.rd.run.run_bench", stop),
        mock.patch("nvrc_bench.decode.measure.measure_decoding", stop),
        mock.patch("nvrc_ref.playing.server.PlayerServer.serve_forever", stop),
        mock.patch("nvrc_conformance.harness.stale.stale_digests", stop),
        mock.patch("webbrowser.open"),
        mock.patch("torch.set_num_threads"),
    ):
        yield


def call(line: list[str]) -> tuple[int, str]:
    """Exit code and messages, with an empty standard input."""
    streams = [io.TextIOWrapper(io.BytesIO(), errors=errors) for errors in ("strict", "strict", "backslashreplace")]
    with mock.patch.multiple(sys, stdin=streams[0], stdout=streams[1], stderr=streams[2]):
        code = run(line)
        streams[2].flush()
    return code, streams[2].buffer.getvalue().decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_options_end_in_a_known_way(words: tuple[str, ...], names: list[str], data: st.DataObject) -> None:
    line = data.draw(lines(words, names))
    with stopped():
        code, said = call(line)
    assert code in ALLOWED, said
    assert "E_INTERNAL" not in said
    assert "Traceback" not in said
    assert code in (0, 2) or said.splitlines()[-1].startswith("error[E_"), said


@pytest.mark.parametrize(
    ("words", "share"), SHARES, ids=lambda value: " ".join(value) if isinstance(value, tuple) else f"1/{value}"
)
def test_every_value_of_every_option(words: tuple[str, ...], share: int, names: list[str]) -> None:
    """Each option alone with each of the numbers and texts, or with a share of them, beside the required ones."""
    command = LEAVES[words]
    required = ["-o", "new.out"] if any(p.name == "output" for p in command.params) else []
    good = {"encode": "clip.y4m", "bench rd": "clip.y4m"}.get(" ".join(words), "clip.nvrc")
    options = [option for option in command.params if isinstance(option, click.Option) and not option.is_flag]
    for place, option in enumerate(options):
        if option.name in ("output", "out", "help"):
            continue
        number = isinstance(option.type, click.types.IntParamType | click.types.FloatParamType)
        given = NUMBERS + FLOATS if number else TEXTS + NUMBERS + FLOATS
        with stopped():
            for value in given[place % share :: share]:
                code, said = call([*words, good, *required, option.opts[0], value])
                assert code in ALLOWED, (option.opts, value[:40], said)
                assert "E_INTERNAL" not in said


@pytest.mark.parametrize(
    "more",
    [[], ["--target-psnr", "1e308"], ["--lambda", "1e300"], ["--frames", "1", "--gop", "1"], ["--bitrate", "1e-9"]],
)
def test_extreme_goals_end_in_a_known_way(
    more: list[str], names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["encode", "clip.y4m", "-o", "real.nvrc", "--preset", "draft", "--iterations", "1", "--no-trials", "--quiet"]
    code, said = run([*line, "--threads", "1", *more]), capsys.readouterr().err
    assert code in ALLOWED or "error[E_DIVERGED]" in said, said
