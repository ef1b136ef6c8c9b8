"""Options of commands that can spread their work over a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nvrc_encoder.cluster import Cluster

__all__ = ["RAY_OPTIONS", "chosen_cluster"]

RAY_OPTIONS = (
    click.option(
        "--ray",
        metavar="ADDRESS",
        help="Encode on the machines of a Ray cluster, at HOST:PORT, or auto for the one that this machine belongs to.",
    ),
    click.option(
        "--ray-cpus",
        type=click.IntRange(1, 256),
        metavar="N",
        help="Processors that Ray keeps for each job.  [default: 1]",
    ),
    click.option(
        "--ray-gpus",
        type=click.FloatRange(0, 64),
        metavar="N",
        help="GPUs that Ray keeps for each job; 0.5 lets two share one.  [default: 0]",
    ),
)
"""``--ray`` and what a job takes; the values are arguments of `chosen_cluster`."""


def chosen_cluster(ray: str | None, ray_cpus: int | None, ray_gpus: float | None) -> Cluster | None:
    """The cluster that the options name; None without one.

    Raises:
        click.UsageError: resources are given without a cluster.
    """
    if ray is None:
        if ray_cpus is not None or ray_gpus is not None:
            raise click.UsageError("--ray-cpus and --ray-gpus go with --ray")
        return None
    from nvrc_encoder.cluster import Cluster

    return Cluster(ray, ray_cpus or 1, ray_gpus or 0.0)
