"""Speed of entropy decoding on one core.

    python tools/benchmarks/entropy.py [--repeats 7] [--json]

Decodes a temporal grid (32 x 4 x 88 x 72 by default) whose values are a slowly moving sparse field, with a context
network that averages the temporal neighbours, and compares with constriction decoding as many symbols of one table.
Both run in turn and medians are reported, so that a busy machine slows both alike.
"""

from __future__ import annotations

import os

# One core is the unit; BLAS reads this when NumPy is imported, hence the imports below.
# ruff: noqa: E402
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nvrc_bench.decode.plain_coder import PlainCoding
from nvrc_decoder.entropy.coder import SymbolDecoder, SymbolEncoder
from nvrc_decoder.octree import network as network_module
from nvrc_decoder.octree.context import NEIGHBOURS
from nvrc_decoder.octree.grid import code_grid
from nvrc_decoder.octree.network import ContextNetwork
from nvrc_decoder.octree.schedule import octree_schedule, temporal_first_schedule
from nvrc_decoder.profiles import GridSlot
from nvrc_decoder.pyramid import DEFAULT_PYRAMID
from nvrc_decoder.synthesis.arithmetic import IntegerLayer

WIDTH = 16


def averaging_network() -> ContextNetwork:
    """Mean = average of the two temporal neighbours; the scale grows with the magnitude around."""
    before, after = NEIGHBOURS.index((-1, 0, 0)), NEIGHBOURS.index((1, 0, 0))
    hidden1 = np.zeros((WIDTH, 48), dtype=np.int64)
    for row, sign in ((0, 1), (1, -1)):
        hidden1[row, [before, after]] = 32 * sign
        hidden1[2 + row, [before, after]] = 32 * sign, -32 * sign
    for j in range(4, WIDTH):
        hidden1[j, (5 * j) % 18] = 32 if j % 2 else -32
    hidden2 = np.eye(WIDTH, dtype=np.int64) * 64
    output = np.zeros((2, WIDTH), dtype=np.int64)
    output[0, :2] = 8, -8
    output[1, 2:4] = 8
    output[1, 4:] = 4
    zeros = np.zeros(WIDTH, dtype=np.int64)
    return ContextNetwork(
        IntegerLayer(hidden1, zeros, 0, 0, 2047),
        IntegerLayer(hidden2, zeros, 6, 0, 2047),
        IntegerLayer(output, np.array([0, 6 << 6], dtype=np.int64), 6, -2048, 2047),
    )


def moving_field(shape: tuple[int, int, int, int], seed: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Values that are mostly 0 and change slowly from node to node."""
    rng = np.random.default_rng(seed)
    level = rng.laplace(0, 0.9, shape[1:]) * (rng.random(shape[1:]) < 0.4)
    nodes = []
    for _ in range(shape[0]):
        level = 0.95 * level + rng.laplace(0, 0.12, shape[1:])
        nodes.append(np.round(level))
    return np.array(nodes).astype(np.int16)


class TimedDecoder(SymbolDecoder):
    """Adds up the time spent in steps."""

    seconds = 0.0

    def code_step(self, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return super().code_step(*args, **kwargs)
        finally:
            self.seconds += time.perf_counter() - start


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(shape: tuple[int, int, int, int], splits: tuple[int, ...], repeats: int) -> dict[str, float]:
    """Medians over `repeats` interleaved runs."""
    nodes, _, rows, columns = shape
    grid, network, slot = moving_field(shape, 1), averaging_network(), GridSlot(4, 8)
    coarser = GridSlot(8, 8), moving_field((nodes, 3, -(-rows // 2), -(-columns // 2)), 2)
    place = 4, slot, DEFAULT_PYRAMID, coarser
    encoder = SymbolEncoder()
    code_grid(encoder, splits, network, shape, *place, grid)
    payload = encoder.finish()

    plain = PlainCoding(grid.size)
    spent = {"network": 0.0}
    predict = network_module.BoundNetwork.__call__

    def timed_predict(self: network_module.BoundNetwork, inputs: Any) -> Any:
        start = time.perf_counter()
        try:
            return predict(self, inputs)
        finally:
            spent["network"] += time.perf_counter() - start

    runs: dict[str, list[float]] = {"decode": [], "contexts": [], "network": [], "rans": [], "plain": []}
    for _ in range(repeats):
        decoder = SymbolDecoder(payload)
        runs["decode"].append(timed(lambda: code_grid(decoder, splits, network, shape, *place)))  # noqa: B023
        decoder.finish()
        runs["plain"].append(plain.time().seconds)

        # A second decoding with clocks inside tells the parts; the first, without them, tells the whole.
        clocked = TimedDecoder(payload)
        spent["network"] = 0.0
        network_module.BoundNetwork.__call__ = timed_predict  # type: ignore[method-assign]
        try:
            whole = timed(lambda: code_grid(clocked, splits, network, shape, *place))  # noqa: B023
        finally:
            network_module.BoundNetwork.__call__ = predict  # type: ignore[method-assign]
        runs["rans"].append(clocked.seconds)
        runs["network"].append(spent["network"])
        runs["contexts"].append(whole - clocked.seconds - spent["network"])
    median = {name: statistics.median(values) for name, values in runs.items()}
    result = {f"{name}_ns_per_symbol": 1e9 * seconds / grid.size for name, seconds in median.items()}
    result["symbols"] = grid.size
    result["bits_per_symbol"] = 8 * len(payload) / grid.size
    result["decode_msymbol_per_s"] = grid.size / median["decode"] / 1e6
    result["plain_msymbol_per_s"] = grid.size / median["plain"] / 1e6
    result["ratio_to_plain"] = median["plain"] / median["decode"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="measure entropy decoding on one core")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--shape", type=int, nargs=4, default=(32, 4, 88, 72), metavar=("N", "C", "H", "W"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    nodes, channels, rows, columns = options.shape
    schedules = {
        "temporal-first": temporal_first_schedule(nodes, rows, columns),
        "octree": octree_schedule(nodes, rows, columns),
    }
    shape = nodes, channels, rows, columns
    results = {name: measure(shape, splits, options.repeats) for name, splits in schedules.items()}
    if options.json:
        print(json.dumps(results))
        return
    for name, result in results.items():
        print(
            f"{name}: {result['decode_msymbol_per_s']:.2f} Msymbol/s a core at {result['bits_per_symbol']:.2f} bits a "
            f"symbol; contexts {result['contexts_ns_per_symbol']:.0f}, network {result['network_ns_per_symbol']:.0f}, "
            f"rANS {result['rans_ns_per_symbol']:.0f} ns a symbol; constriction with one table "
            f"{result['plain_msymbol_per_s']:.1f} Msymbol/s, ratio 1/{1 / result['ratio_to_plain']:.1f}"
        )


if __name__ == "__main__":
    main()
