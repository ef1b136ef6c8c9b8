"""A suite of seven small streams for tests: three golden ones, and four that no decoder may decode."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stream_builders import assemble, reseal, split, with_payload, with_wrong_digest

import nvrc_decoder
from nvrc_conformance.faults.describe import OUTCOMES
from nvrc_conformance.harness.adapter import Adapter, load_adapter
from nvrc_conformance.harness.cases import Case, load_cases
from nvrc_conformance.manifest import MANIFEST_PATH
from nvrc_decoder.bitstream.units import UnitType, parse_sequence, serialise_sequence

VALID = ("nano-sparse", "nano-400-10", "lite-420-10")
CODES = {"digest": 65, "level": 65, "unit": 69, "large": 77}
REQUIREMENTS = {"digest": "R8.1", "level": "R3.11", "unit": "R2.5"}
IDS = (*VALID, *CODES)
FAKE = Path(__file__).with_name("fake_decoder.py")
UNKNOWN_UNIT = 0x3F


def refused_streams() -> dict[str, bytes]:
    """Id -> a stream with one fault, its CRCs right."""
    stream = (MANIFEST_PATH.parent / "streams" / "nano-sparse.nvrc").read_bytes()
    units = split(stream)
    payload = units[0][1]
    large = serialise_sequence(replace(parse_sequence(payload), width=65535, height=1, level=6))
    level = bytearray(stream)
    level[stream.index(payload) + len(payload) - 1] = 7
    return {
        "digest": with_wrong_digest(stream, 0),
        "level": reseal(bytes(level)),
        "unit": assemble([units[0], (UNKNOWN_UNIT, b""), *units[1:-1]]),
        "large": with_payload(stream, UnitType.SEQUENCE, large),
    }


def make_suite(folder: Path) -> None:
    """Write the suite: ``manifest.json`` and the streams."""
    document = json.loads(MANIFEST_PATH.read_text())
    streams = {stream["id"]: stream for stream in document["streams"]}
    entries: list[dict[str, Any]] = [streams[name] for name in VALID]
    contents = {name: (MANIFEST_PATH.parent / streams[name]["file"]).read_bytes() for name in VALID}
    for name, data in refused_streams().items():
        contents[name] = data
        entries.append(
            {
                "id": name,
                "description": "one fault",
                "why": "it is a test",
                "expect": OUTCOMES[CODES[name]],
                "also": [],
                "requirement": None if name == "large" else REQUIREMENTS[name],
                "code": "E_LIMIT",
                "unit": None,
                "sibling": "nano-sparse",
                "profile": "nano",
                "file": f"faults/{name}.nvrc",
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    for kind in ("streams", "faults"):
        (folder / kind).mkdir(parents=True)
    for entry in entries:
        (folder / entry["file"]).write_bytes(contents[entry["id"]])
    (folder / "manifest.json").write_text(json.dumps({**document, "streams": entries}))


def make_answers(folder: Path, cases: tuple[Case, ...]) -> None:
    """Write what the fake decoders know."""
    folder.mkdir()
    for case in cases:
        name = hashlib.sha256(case.path.read_bytes()).hexdigest()
        answer: dict[str, Any] = {"profile": case.profile, "code": CODES.get(case.id, 0)}
        if case.pixels is not None:
            answer |= {"shapes": case.pixels.shapes, "sample_bytes": case.pixels.sample_bytes, "stages": case.stages}
            with nvrc_decoder.open(case.path, engine="reference") as video:
                frames = b"".join(chunk for frame in video for chunk in frame.chunks())
            (folder / f"{name}.yuv").write_bytes(frames)
        (folder / f"{name}.json").write_text(json.dumps(answer))


@dataclass(frozen=True)
class Tiny:
    """The suite, and adapters of fake decoders for it.

    Attributes:
        folder: the folder of ``manifest.json``.
        answers: what the fakes know.
        cases: the streams.
    """

    folder: Path
    answers: Path
    cases: tuple[Case, ...]

    @classmethod
    def make(cls, place: Path) -> Tiny:
        """Write it into a folder."""
        make_suite(place / "suite")
        cases = load_cases(place / "suite")
        make_answers(place / "answers", cases)
        return cls(place / "suite", place / "answers", cases)

    def words(self, behaviour: str, output: str = "{output}") -> list[str]:
        """The command of a fake decoder."""
        return [sys.executable, "-I", "-S", str(FAKE), behaviour, str(self.answers), "{input}", output]

    def write_adapter(self, path: Path, behaviour: str, **keys: object) -> Path:
        """Write the adapter of a fake decoder; `keys` replace its keys."""
        values = {
            "command": self.words(behaviour),
            "reject_codes": [65],
            "unsupported_codes": [69],
            "limit_codes": [77],
            "timeout": 60,
            **keys,
        }
        # JSON of strings, numbers and lists is TOML, too.
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        return path

    def adapter(self, place: Path, behaviour: str, **keys: object) -> Adapter:
        """The adapter of a fake decoder."""
        return load_adapter(self.write_adapter(place / f"{behaviour}.toml", behaviour, **keys))
