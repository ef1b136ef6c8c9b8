"""`nvrc-ref bench rd`: rate-distortion of this and other codecs on clips."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nvrc_decoder.errors import InputError
from nvrc_decoder.system.packages import require_packages
from nvrc_output.files import spare_inputs
from nvrc_output.text import emit_json, note, summary
from nvrc_ref.options.groups import gathered
from nvrc_ref.options.ray import RAY_OPTIONS, chosen_cluster

if TYPE_CHECKING:
    from nvrc_bench.rd.config import RunSpec
    from nvrc_encoder.cluster import Cluster

__all__ = ["rd"]


_cut_options = gathered(
    "cuts",
    dict,
    click.option("--frames", type=click.IntRange(min=1), help="Use this many frames of each clip."),
    click.option("--skip", type=click.IntRange(min=0), default=0, help="Leave out this many frames at the start."),
    click.option("--crop", metavar="WxH[+X+Y]", help="Cut each clip, before scaling."),
    click.option("--scale", metavar="WxH", help="Scale each clip (lanczos)."),
    click.option("--size", metavar="WxH", help="Size of headerless YUV whose name does not tell it."),
    click.option("--rate", metavar="FPS", help="Frame rate, in place of the clip's."),
)
"""How each clip is cut: keyword arguments of `ClipSpec`, as the argument `cuts`."""
_ray_options = gathered("cluster", chosen_cluster, *RAY_OPTIONS)
"""Where points are encoded, as the argument `cluster`."""


@click.command("rd", short_help="Encode clips with several codecs, decode, and compare.")
@click.argument("clips", nargs=-1, metavar="[CLIPS]...")
@click.option("--config", metavar="FILE", help="A run as JSON: clips, codecs and points (docs/bench.md).")
@click.option(
    "--clip-folder", metavar="DIR", help="Where relative paths of clips in --config begin.  [default: its folder]"
)
@click.option(
    "--quick", is_flag=True, help="A part of the demo clip, short encodes of nvrc, x264 and x265; takes minutes."
)
@click.option(
    "--codec",
    "codecs",
    multiple=True,
    metavar="KIND[:key=value,...]",
    help="nvrc, x264, x265, svt-av1 or vp9; points=a/b/c, preset=, profile=, name=; other keys are options of the "
    "encoder. May be repeated.  [default: nvrc, x264, x265]",
)
@click.option("--import", "imports", multiple=True, metavar="FILE", help="Points made elsewhere, or published:NAME.")
@click.option("--anchor", metavar="NAME", help="Codec that BD-rates are relative to.  [default: x264, x265, the first]")
@click.option("-o", "--out", default="out/bench", show_default=True, metavar="DIR", help="Folder of the results.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    help="Points that run concurrently.  [default: 1; on a cluster as many as it has room for]",
)
@click.option(
    "--threads", type=click.IntRange(1, 256), help="Threads of each point.  [default: processors / jobs, or --ray-cpus]"
)
@_ray_options
@_cut_options
@click.option("--redo", multiple=True, metavar="CODEC", help="Encode this codec's points again; may be repeated.")
@click.option("--no-run", is_flag=True, help="Only report the points that exist.")
@click.option("--json", "as_json", is_flag=True, help="Print results.json.")
def rd(
    clips: tuple[str, ...],
    config: str | None,
    clip_folder: str | None,
    quick: bool,
    codecs: tuple[str, ...],
    imports: tuple[str, ...],
    anchor: str | None,
    out: str,
    jobs: int | None,
    threads: int | None,
    cluster: Cluster | None,
    cuts: dict[str, Any],
    redo: tuple[str, ...],
    no_run: bool,
    as_json: bool,
) -> None:
    """Encode CLIPS with several codecs at several rates, decode, and compare.

    CLIPS are files that `encode` reads; headerless YUV tells its size by its name, as UVG's does. In DIR appear
    results.json, points.csv, tables.txt and a plot for each clip. A stopped run is resumed.

    \b
    nvrc-ref bench --quick
    nvrc-ref bench clip.y4m --frames 32 --codec nvrc:preset=fast,points=0.003/0.008/0.02 --codec x264 --codec svt-av1
    nvrc-ref bench --config run.json --jobs 2 -o results
    """
    if (config is not None) + quick + bool(clips) != 1:
        raise click.UsageError("give clips, --config FILE or --quick")
    if not clips and (codecs or any(cuts.values())):
        raise click.UsageError("--codec and the options that cut clips need clips on the command line")
    if clip_folder is not None and config is None:
        raise click.UsageError("--clip-folder goes with --config")
    require_packages(("torch", "av"), "bench")
    from nvrc_bench.rd.config import load_run
    from nvrc_bench.rd.quick import QUICK_NOTE, quick_run
    from nvrc_bench.rd.report import RESULTS, tables, write_results
    from nvrc_bench.rd.run import run_bench

    if config is not None:
        run = load_run(config, clip_folder)
    elif quick:
        run = quick_run()
        note(QUICK_NOTE)
    else:
        run = _run_of(clips, codecs, cuts)
    changes: dict[str, Any] = {"anchor": anchor, "jobs": jobs, "threads": threads}
    given = {name: value for name, value in changes.items() if value is not None}
    run = dataclasses.replace(run, imports=(*run.imports, *imports), **given)
    folder = Path(out)
    spare_inputs([str(folder / name) for name in RESULTS], [config, *clips, *run.imports])
    document = run_bench(run, folder, note, redo=redo, make=not no_run, cluster=cluster)
    written = write_results(document, folder, note)
    if as_json:
        emit_json(document)
    else:
        summary("\n\n".join([*tables(document), "wrote " + ", ".join(str(path) for path in written)]))
    if document["failed"]:
        click.get_current_context().exit(1)


def _run_of(clips: tuple[str, ...], codecs: tuple[str, ...], cuts: dict[str, Any]) -> RunSpec:
    """The run of the clips and codecs on the command line.

    Raises:
        click.UsageError: the options of a codec or of the clips are wrong.
    """
    from nvrc_bench.rd.config import ClipSpec, RunSpec, parse_codec

    try:
        chosen = tuple(parse_codec(text) for text in codecs or ("nvrc", "x264", "x265"))
        return RunSpec(tuple(ClipSpec(clip, **cuts) for clip in clips), chosen)
    except InputError as error:
        raise click.UsageError(error.message) from None
