"""Compare entropy models of the grids: static tables, the octree, temporal-first, raster autoregression.

    python tools/benchmarks/entropy_models.py CLIP [--frames 32] [--iterations 800] [--lambda 5e-3] [--json FILE]

Part 1 trains the whole codec three times, at equal budget, seed and lambda, with the best static table of each grid
and channel, with the octree and with the temporal-first schedule; it prints bits of grids and context network, and
distortion. Part 2 takes the grids of the temporal-first run as they are, and fits a fresh context network of the same
size to them for the temporal-first order and for a raster order with 18 causal neighbours (one symbol a step, which
nobody would ship); it prints the ratio.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nvrc_decoder.octree.context import constant_inputs
from nvrc_decoder.octree.schedule import expand_schedule
from nvrc_decoder.profiles import node_shape
from nvrc_encoder.model.windows import Window
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.rate.grid_context import GridContext
from nvrc_encoder.rate.grids import GopRate
from nvrc_encoder.rate.laplace import laplace_bits, quantised_scale
from nvrc_encoder.rate.parameters import likely_scale
from nvrc_encoder.source.video import open_source
from nvrc_encoder.start.initial_weights import initial_context
from nvrc_encoder.training.loop import train
from nvrc_encoder.training.run import Run
from nvrc_encoder.training.trainer import Trainer

# 18 causal neighbours: the past node's 3x3, the node before that, and what a raster scan has seen of this node.
RASTER = (
    *((-1, dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)),
    (-2, 0, 0),
    *((0, -1, dx) for dx in (-2, -1, 0, 1, 2)),
    (0, 0, -1),
    (0, 0, -2),
    (0, -2, 0),
)


class StaticTrainer(Trainer):
    """The codec with one zero-mean table for each grid and channel in place of the context model."""

    def grid_rate(
        self,
        real: dict[str, tuple[Tensor, Tensor]],
        grids: Sequence[Tensor | None],
        gop: int,
        nodes: Sequence[Tensor],
        exact: bool,
    ) -> list[Tensor | None]:
        out: list[Tensor | None] = []
        for grid, which in zip(grids, nodes, strict=True):
            if grid is None:
                out.append(None)
                continue
            # The best table for all nodes of the channel, as a stream would say it once.
            scale = likely_scale(grid.detach().abs().mean((0, 2, 3)))
            scale = torch.exp2(-4 + quantised_scale(scale).float() / 4)
            out.append(laplace_bits(grid[which.to(grid.device)], scale.view(1, -1, 1, 1)).sum((1, 2, 3)))
        # Keep the context network in the graph, so that the optimiser sees its (zero) gradient.
        anchor = sum(w.sum() * 0 + b.sum() * 0 for w, b in real.values())
        return [None if b is None else b + anchor for b in out]

    def window_bits(
        self, real: dict[str, tuple[Tensor, Tensor]], grids: Sequence[Tensor | None], window: Window, exact: bool
    ) -> Tensor:
        bits = self.grid_rate(real, grids, window.gop, window.touched, exact)
        parts = [(b * weight).sum() for b, weight in zip(bits, window.weights, strict=True) if b is not None]
        return torch.stack(parts).sum()


def raster_context(trainer: Trainer, gop: int) -> list[GridContext | None]:
    """Contexts of a raster scan, in the same form as the octree's."""
    out: list[GridContext | None] = []
    frames = trainer.frame_counts[gop]
    for i, (slot, context) in enumerate(zip(trainer.model.profile.slots, trainer.rates[gop].contexts, strict=True)):
        if context is None:
            out.append(None)
            continue
        nodes, height, width = shape = node_shape(slot, frames, *trainer.size, trainer.model.structure.pyramid)
        position = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
        columns = []
        for offset in RASTER:
            there = position + np.array(offset)
            inside = ((there >= 0) & (there < np.array(shape))).all(-1)
            flat = (there[..., 0] * height + there[..., 1]) * width + there[..., 2]
            columns.append(np.where(inside, flat, nodes * height * width))
        index = np.stack(columns, -1).reshape(nodes, height * width, len(RASTER))
        first = expand_schedule(shape, ())[0]
        out.append(
            GridContext(
                torch.from_numpy(index),
                context.coarse,
                torch.zeros(nodes, height * width, dtype=torch.int64),
                torch.tensor([constant_inputs(first, i)]),
                context.motion,
                context.centred,
                context.skipped,
            )
        )
    return out


def fit(trainer: Trainer, rate: GopRate, iterations: int, seed: int) -> float:
    """Bits of the fixed grids of GOP 0 under a context network fitted to them, float weights."""
    torch.manual_seed(seed)
    grids = trainer.final_grids(0)
    whole = [torch.arange(0 if grid is None else len(grid)) for grid in grids]
    initial = initial_context((trainer.bank.layers[0].outputs, trainer.bank.layers[1].outputs), trainer.order)
    parameters = {name: (w.clone().requires_grad_(), b.clone().requires_grad_()) for name, (w, b) in initial.items()}
    flat = [p for pair in parameters.values() for p in pair]
    optimiser = torch.optim.Adam(flat, lr=2e-2, betas=(0.9, 0.99))
    best = math.inf
    for i in range(iterations):
        optimiser.param_groups[0]["lr"] = 2e-2 * max(0.02, 0.5 * (1 + math.cos(math.pi * i / iterations)))
        bits = torch.stack([b.sum() for b in rate.bits(parameters, grids, whole, False) if b is not None]).sum()
        best = min(best, float(bits.detach()))
        optimiser.zero_grad()
        torch.autograd.backward(bits / 1e5)
        optimiser.step()
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--iterations", type=int, default=800)
    parser.add_argument("--fit-iterations", type=int, default=400)
    parser.add_argument("--lambda", dest="lagrangian", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", dest="json_path")
    arguments = parser.parse_args()
    options = EncodeOptions(
        lagrangian=arguments.lagrangian, iterations=arguments.iterations, seed=arguments.seed, gop=arguments.frames
    )
    rows: dict[str, dict[str, float]] = {}
    kept: Trainer | None = None
    for name, schedule, kind in (
        ("static", "temporal-first", StaticTrainer),
        ("octree", "octree", Trainer),
        ("temporal-first", "temporal-first", Trainer),
    ):
        source = open_source(arguments.clip, frames=arguments.frames)
        trainer, _, _ = make_trainer(source, list(source), replace(options, schedule=schedule), kind=kind)
        train(Run(trainer, options.plan()))
        estimate = trainer.estimate()
        context = 0.0 if kind is StaticTrainer else sum(estimate.segment_bits[:6])
        grids = sum(b for b in estimate.grid_bits if b is not None)
        rows[name] = {
            "grid_bits": grids,
            "context_bits": context,
            "total": grids + context,
            "weight_bits": sum(estimate.segment_bits[6:]),
            "distortion_db": -10 * math.log10(estimate.distortion),
        }
        print(name, json.dumps({k: round(v, 2) for k, v in rows[name].items()}), flush=True)
        kept = trainer
    if kept is None:
        sys.exit("nothing was trained")
    raster = fit(
        kept, GopRate(raster_context(kept, 0), kept.model.grid_channels), arguments.fit_iterations, arguments.seed
    )
    order = fit(kept, kept.rates[0], arguments.fit_iterations, arguments.seed)
    rows["fixed latents"] = {"raster": raster, "temporal-first": order, "ratio": order / raster}
    print("fixed latents", json.dumps({k: round(v, 4) for k, v in rows["fixed latents"].items()}))
    print(f"temporal-first against static: {1 - rows['temporal-first']['total'] / rows['static']['total']:.1%} fewer")
    print(f"temporal-first against octree: {1 - rows['temporal-first']['total'] / rows['octree']['total']:.1%} fewer")
    if arguments.json_path:
        with open(arguments.json_path, "w") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
