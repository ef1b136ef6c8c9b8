"""The manifest: the paths of its stage digests."""

from __future__ import annotations

import json
import re
from typing import Any

from nvrc_conformance.manifest import load_manifest, stage_paths

MANIFEST = load_manifest()


def value_at(document: Any, path: str) -> Any:
    """What stands at a path, where the names of layers and stages may have dots."""
    place, named, name = re.fullmatch(r"(.*?)(\.(?:parameters|synthesis)\.(.+))?", path).groups()  # type: ignore[union-attr]
    for part in re.findall(r"\[\d+\]|[^.\[]+", place):
        document = document[int(part[1:-1])] if part.startswith("[") else document[part]
    return document[named.split(".")[1]][name] if named else document


def test_a_path_is_a_place_in_the_manifest() -> None:
    documents = {stream["id"]: stream for stream in json.loads(MANIFEST.path.read_text())["streams"]}
    for stream in MANIFEST.streams:
        paths = stage_paths(stream.stages)
        assert len(paths) == len(dict(paths))
        assert all(value_at(documents[stream.id]["stages"], path) == digest for path, digest in paths)


def test_paths_are_in_decoding_order() -> None:
    paths = [path for path, _ in stage_paths(MANIFEST.stream("lite-motion-planes").stages)]
    wanted = [
        *("sequence", "networks[0].header", "networks[0].parameters.context.hidden1", "networks[0].integers"),
        *("gops[0].nodes.4", "gops[0].grids.9", "gops[0].grids.2", "gops[0].grids.4"),
        *("gops[0].synthesis.displacement", "gops[0].synthesis.subplanes"),
        *("networks[1].header", "networks[1].integers", "gops[1].nodes.4", "gops[1].grids.2"),
    ]
    assert [path for path in paths if path in wanted] == wanted
