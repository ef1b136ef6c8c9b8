"""Make the prior: constants of the networks that suit many clips (spec 6.5, `spec/tables/prior.bin`).

python tools/prior/train.py CLIPS.json FOLDER -o prior.bin [--iterations 20000]

All points of CLIPS.json (a clip, a lambda, frames between nodes, with a split grid or without) train one pair of
networks together; each has grids of its own. A point counts with J over its J before the first iteration, so that all
clips weigh the same. The weights are floats and cost no bits. `docs/prior.md` says how the clips were cut.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nvrc_decoder.prior import PRIOR_BITS, PRIOR_LAYERS
from nvrc_encoder import EncodeOptions
from nvrc_encoder.model.windows import Window
from nvrc_encoder.plan import Plan, Settings
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.rate.parameters import ParameterBank
from nvrc_encoder.source.video import open_source
from nvrc_encoder.training.trainer import Trainer

BETAS = (0.9, 0.99)
AVERAGE = 0.999
"""Decay of the running mean of the weights, which becomes the prior."""


@dataclass
class Point:
    """One clip at one lambda.

    Attributes:
        name: its name for people.
        trainer: its trainer, which has the shared networks.
        windows: windows of its clip.
        optimiser: the optimiser of its grids.
        unit: J of float grids before the first iteration.
        cost: running mean of its J in this unit.
    """

    name: str
    trainer: Trainer
    windows: list[Window]
    optimiser: torch.optim.Optimizer
    unit: float
    cost: float | None = None


def load_points(configuration: dict[str, Any], folder: Path, seed: int) -> tuple[list[Point], ParameterBank]:
    """The points with their starts, and the bank of the shared networks."""
    points: list[Point] = []
    for clip in configuration["clips"]:
        for lagrangian, node_spacing, split in clip["points"]:
            options = EncodeOptions(
                profile="lite",
                lagrangian=lagrangian,
                gop=64,
                trials=False,
                channels=8,
                blocks=1,
                context_widths=(10, 10),
                node_spacing=node_spacing,
                split=split,
                prior=False,
                seed=seed,
            )
            source = open_source(str(folder / clip["file"]), frames=configuration["frames"])
            trainer, _, _ = make_trainer(source, list(source), options)
            if points:
                trainer.bank = points[0].trainer.bank
            grids = [g for own in trainer.grids for g in own if g is not None]
            name = f"{clip['name']} {lagrangian} every {node_spacing}{', split' * split}"
            optimiser = torch.optim.Adam(grids, betas=BETAS, fused=True)
            points.append(Point(name, trainer, trainer.windows(Plan(1).window), optimiser, 1.0))
            print(f"ready: {name}", flush=True)
    bank = points[0].trainer.bank
    fit_context(points, bank)
    for point in points:
        real = bank.real(None)
        with torch.no_grad():
            bits = sum(b for b in point.trainer.whole_grid_bits(real) if b is not None)
            distortion, _ = point.trainer.whole_distortion(real)
        pixels = sum(point.trainer.frame_counts) * point.trainer.pixels
        point.unit = distortion + point.trainer.lagrangian * bits / pixels
        print(f"J * 1e4 {1e4 * point.unit:7.3f} at the start: {point.name}", flush=True)
    return points, bank


def fit_context(points: list[Point], bank: ParameterBank, rounds: int = 40) -> None:
    """Fit the context network to the starts, before anything else is trained."""
    optimiser = torch.optim.Adam([bank.raw], lr=2e-2, betas=BETAS)
    for i in range(rounds * len(points)):
        point = points[i % len(points)]
        window = point.windows[i // len(points) % len(point.windows)]
        rounded = [None if g is None else torch.round(g.detach()) for g in point.trainer.grids[window.gop]]
        bits = point.trainer.window_bits(bank.real(None), rounded, window, False)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(bits / bits.detach())
        optimiser.step()


def settings_at(share: float) -> Settings:
    """The settings after this share of the training: as before the exact phase of an encode, weights not quantised."""
    plan = Plan(1)
    cosine = 0.5 * (1 + math.cos(math.pi * share))
    middle = 0.5 * (plan.temperature[0] + plan.temperature[1]), 0.4
    rates = plan.weight_rate * max(cosine, 0.01) * min(1.0, 100 * share), plan.grid_rate * max(cosine, 0.1)
    return Settings(False, False, rates[0], 0.0, rates[1], *middle)


def train(points: list[Point], bank: ParameterBank, iterations: int, seed: int) -> torch.Tensor:
    """Train all together.

    Returns:
        The running mean of the weights.
    """
    order = np.random.default_rng(seed)
    networks = torch.optim.Adam([bank.raw], betas=BETAS, fused=True)
    mean = bank.raw.detach().clone()
    began = time.monotonic()
    for i in range(iterations):
        settings = settings_at(i / iterations)
        point = points[int(order.integers(len(points)))]
        window = point.windows[int(order.integers(len(point.windows)))]
        networks.param_groups[0]["lr"], point.optimiser.param_groups[0]["lr"] = (
            settings.weight_rate,
            settings.grid_rate,
        )
        distortion, bpp = point.trainer.losses(window, settings)
        loss = (distortion + point.trainer.lagrangian * bpp) / point.unit
        networks.zero_grad(set_to_none=True)
        point.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        networks.step()
        point.optimiser.step()
        mean.lerp_(bank.raw.detach(), 1 - AVERAGE)
        cost = float(loss.detach())
        point.cost = cost if point.cost is None else 0.9 * point.cost + 0.1 * cost
        if i % 500 == 499:
            costs = [point.cost for point in points if point.cost is not None]
            left = (time.monotonic() - began) / (i + 1) * (iterations - i - 1)
            print(f"{i + 1}/{iterations}  J of the starts {np.mean(costs):.4f}  ETA {left:.0f} s", flush=True)
    return mean


def constants(bank: ParameterBank, raw: torch.Tensor) -> bytes:
    """The table of the file, see `nvrc_decoder.prior.constants_of`."""
    with torch.no_grad():
        bank.raw.copy_(raw)
        real = bank.real(None)
    parts = []
    for name, shape in PRIOR_LAYERS.items():
        weight, bias = (part.detach().double().numpy() for part in real[name])
        assert weight.shape == shape, (name, weight.shape, shape)
        parts.append(weight.reshape(-1) * 2.0 ** bank.gains[name])
        parts.append(bias * bank.output_units[name])
    return np.round(np.concatenate(parts) * (1 << PRIOR_BITS)).astype("<i4").tobytes()


def main() -> None:
    """Train and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configuration", type=Path)
    parser.add_argument("folder", type=Path, help="where the clips are")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--iterations", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    configuration = json.loads(arguments.configuration.read_text())
    points, bank = load_points(configuration, arguments.folder, arguments.seed)
    data = constants(bank, train(points, bank, arguments.iterations, arguments.seed))
    arguments.output.write_bytes(data)
    summary = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    arguments.output.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    print(f"{arguments.output}: {summary}")


if __name__ == "__main__":
    main()
