"""Make streams to measure the decoder with: a clip after a few iterations, or random ones of any size.

    python tools/benchmarks/streams.py trained CLIP -o out.nvrc --profile nano --frames 40 --gop 16 --iterations 60
    python tools/benchmarks/streams.py random -o out.nvrc --profile main --size 1920x1080 --gops 16 16

The bits of a trained stream, and so the time of its entropy decoding, are about right after a few dozen iterations,
however bad the picture is. A random stream is drawn from its own tables at about 3 bits a symbol, with every channel in
use: it suits synthesis and memory, and is the worst case of entropy decoding.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import numpy as np

from nvrc_conformance.drafts import NetworkDraft, random_gop, random_network
from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.decode.engines import make_synthesizer
from nvrc_decoder.decode.gop import load_network
from nvrc_decoder.profiles import PROFILES
from nvrc_decoder.system.allocator import keep_large_arrays


def random_stream(profile: str, width: int, height: int, gops: list[int], seed: int) -> bytes:
    """A valid stream. ONNX Runtime makes the frames: the reference would take minutes."""
    rng = np.random.RandomState(seed)
    number = next(p.id for p in PROFILES if p.name == profile)
    sequence = SequenceHeader(width, height, 24000, 1001, profile=number, level=6)
    draft = NetworkDraft(context_widths=(10, 10))
    header = random_network(rng, sequence, draft, max(gops))
    network = load_network(sequence, header)
    synthesizer = make_synthesizer("onnxruntime", sequence, network)
    file = io.BytesIO()
    writer = StreamWriter(file, sequence)
    writer.network(header)
    for count in gops:
        writer.gop(*random_gop(rng, sequence, network, draft, count, synthesizer.synthesise))
    writer.finish(True)
    return file.getvalue()


def trained_stream(clip: str, profile: str, frames: int, gop: int, iterations: int) -> bytes:
    """A clip after a few iterations."""
    from nvrc_encoder import EncodeOptions, encode
    from nvrc_encoder.source.video import open_source

    keep_large_arrays()
    file = io.BytesIO()
    options = EncodeOptions(profile=profile, preset="draft", gop=gop, iterations=iterations)
    encode(open_source(clip, frames=frames), file, options, lambda state: print(state, file=sys.stderr, flush=True))
    return file.getvalue()


def main() -> None:
    """Make one stream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    trained, random = kinds.add_parser("trained"), kinds.add_parser("random")
    for kind in (trained, random):
        kind.add_argument("-o", "--output", type=Path, required=True)
        kind.add_argument("--profile", choices=[profile.name for profile in PROFILES], default="nano")
    trained.add_argument("clip")
    trained.add_argument("--frames", type=int, default=40)
    trained.add_argument("--gop", type=int, default=16)
    trained.add_argument("--iterations", type=int, default=60)
    random.add_argument("--size", default="1920x1080")
    random.add_argument("--gops", type=int, nargs="+", default=[16, 16])
    random.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.kind == "trained":
        data = trained_stream(options.clip, options.profile, options.frames, options.gop, options.iterations)
    else:
        width, height = map(int, options.size.split("x"))
        data = random_stream(options.profile, width, height, options.gops, options.seed)
    options.output.write_bytes(data)


if __name__ == "__main__":
    main()
