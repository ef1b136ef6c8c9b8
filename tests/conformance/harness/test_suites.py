"""Suites that cannot be used are refused before a decoder runs."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tiny_suite import Tiny

from nvrc_conformance.harness import suites
from nvrc_conformance.harness.cases import load_cases
from nvrc_conformance.harness.suites import open_suite
from nvrc_decoder.errors import InputError


@pytest.fixture
def suite(tiny: Tiny, tmp_path: Path) -> Path:
    """A copy of the tiny suite."""
    shutil.copytree(tiny.folder, tmp_path / "suite")
    return tmp_path / "suite"


def refusal(suite: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_cases(suite)
    return f"{caught.value.code} {caught.value.message}"


def change(suite: Path, key: str, value: Any) -> None:
    """Change a key of the manifest."""
    path = suite / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


def test_a_damaged_stream_is_not_the_decoders_fault(suite: Path) -> None:
    file = suite / "faults" / "unit.nvrc"
    file.write_bytes(file.read_bytes() + b"\0")
    assert refusal(suite) == f"E_SUITE {file} is not the stream of the manifest: the suite is damaged, take it anew"
    file.unlink()
    assert refusal(suite).startswith(f"E_SUITE cannot read {file}: No such file or directory: the suite is incomplete")


def test_a_manifest_of_something_else_is_refused(suite: Path) -> None:
    path = suite / "manifest.json"
    change(suite, "version", 2)
    assert refusal(suite).startswith(f"E_SUITE {path} is of nvrc version 2, this release reads version 4")
    change(suite, "version", 4)
    change(suite, "format", "\x1b[2J")
    assert refusal(suite).endswith("(ValueError: format cannot be '\\x1b[2J')")
    change(suite, "format", "nvrc")
    for name in ("/etc/passwd", "../a.nvrc", "streams/../../a.nvrc", "a\0", "a\x1b[2J", "\ud800"):
        change(suite, "streams", [{"id": "a", "file": name}])
        assert refusal(suite).endswith(f"(ValueError: the file {name!r} is not in its folder)")
    change(suite, "streams", [{"id": "a\x1b[2J", "file": "a"}])
    assert refusal(suite).endswith("(ValueError: 'a\\x1b[2J' is no id)")
    change(suite, "streams", [{"id": "a"}])
    assert refusal(suite) == f"E_SUITE {path} is not the manifest of a conformance suite (KeyError: 'file')"
    path.write_text("[]")
    assert refusal(suite).startswith(f"E_SUITE {path} is not the manifest of a conformance suite (TypeError: ")
    path.write_text("{")
    assert refusal(suite).startswith(f"E_SUITE {path} is not JSON: ")
    path.unlink()
    assert refusal(suite).startswith(f"E_NO_INPUT cannot read {path}: No such file or directory: name a conformance")


WRONG = {
    "description": ["\x1b[2J", "\ud800"],
    "features": ["motion", [1]],
    "profile": ["mini"],
    "width": [0, -1, True],
    "height": [0],
    "chroma_format": [3],
    "bit_depth": [9],
    "frame_count": [4],
    "frame_md5": ["abc", []],
    "\x1b[2J": ["an unknown key"],
}


@pytest.mark.parametrize("key", WRONG)
def test_a_value_that_cannot_be_is_refused(suite: Path, key: str) -> None:
    stream = json.loads((suite / "manifest.json").read_text())["streams"][0]
    for value in WRONG[key]:
        change(suite, "streams", [{**stream, key: value}])
        assert refusal(suite).startswith(f"E_SUITE {suite / 'manifest.json'} is not the manifest of a conformance ")
        assert refusal(suite).isprintable()


@pytest.mark.parametrize(("key", "value"), [("also", ["valid"]), ("expect", "valid")])
def test_what_must_be_refused_is_not_valid(suite: Path, key: str, value: object) -> None:
    for stream in json.loads((suite / "manifest.json").read_text())["streams"][3:6]:
        change(suite, "streams", [{**stream, key: value}])
        assert refusal(suite).endswith(f"(ValueError: {stream['id']} must be refused, and may be valid)")


def test_a_valid_stream_over_a_limit_has_a_sibling(suite: Path) -> None:
    document = json.loads((suite / "manifest.json").read_text())
    large = document["streams"][-1]
    large["also"] = ["valid"]
    change(suite, "streams", document["streams"])
    cases = {case.id: case for case in load_cases(suite)}
    assert cases["large"].frame_md5 == cases["nano-sparse"].frame_md5
    assert cases["large"].pixels == cases["nano-sparse"].pixels
    change(suite, "streams", [large])
    assert refusal(suite).endswith("(ValueError: large may be valid, and its sibling nano-sparse is not in the suite)")


def test_a_gop_has_a_network_that_is_listed(suite: Path) -> None:
    stream = json.loads((suite / "manifest.json").read_text())["streams"][0]
    stream["stages"]["gops"][0]["network"] = 1
    change(suite, "streams", [stream])
    assert refusal(suite).endswith("(ValueError: a GOP has a network that is not listed)")


@pytest.mark.parametrize("value", [[], {}, 1.5])
def test_entries_of_other_types_are_refused(suite: Path, value: object) -> None:
    streams = json.loads((suite / "manifest.json").read_text())["streams"]
    plain = [(stream, key) for stream in (streams[0], streams[-1]) for key in stream if type(stream[key]) in (str, int)]
    assert len(plain) > 20
    for stream, key in plain:
        change(suite, "streams", [{**stream, key: value}])
        assert "Error: " in refusal(suite), key


def test_a_suite_has_streams_of_different_ids(suite: Path) -> None:
    streams = json.loads((suite / "manifest.json").read_text())["streams"]
    for wrong in ([], [streams[0], streams[1], streams[0]]):
        change(suite, "streams", wrong)
        assert refusal(suite).startswith(f"E_SUITE {suite / 'manifest.json'} has no streams, or two of one id")


def test_an_unknown_expectation_is_refused(suite: Path) -> None:
    streams = json.loads((suite / "manifest.json").read_text())["streams"]
    change(suite, "streams", [{**streams[-1], "expect": "maybe"}])
    assert "(ValueError: 'maybe' is not a valid Outcome)" in refusal(suite)


def archive(path: Path, folder: Path, root: str = "nvrc-conformance-1/conformance") -> Path:
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, root)
    return path


def archive_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def member(name: str, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def refused_archive(path: Path) -> str:
    with pytest.raises(InputError) as caught, open_suite(path):
        raise AssertionError("it was opened")
    return f"{caught.value.code} {caught.value.message.removeprefix(f'{path}: ')}"


@pytest.mark.parametrize("root", ["nvrc-conformance-1/conformance", "suite"])
def test_an_archive_is_a_suite_while_it_is_open(tiny: Tiny, tmp_path: Path, root: str) -> None:
    with open_suite(archive(tmp_path / "suite.tar.gz", tiny.folder, root)) as folder:
        assert [case.id for case in load_cases(folder)] == [case.id for case in tiny.cases]
    assert not folder.exists()


def test_a_folder_may_have_the_suite_inside(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny.folder, tmp_path / "conformance")
    for name in (tmp_path, tmp_path / "conformance"):
        with open_suite(name) as folder:
            assert folder == tmp_path / "conformance"
    with open_suite(tmp_path / "streams") as folder, pytest.raises(InputError, match="cannot read"):
        load_cases(folder)


@pytest.mark.parametrize("name", ["../outside", "/outside", "suite/../../outside"])
def test_an_archive_writes_nothing_outside(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    made = archive_of(tmp_path / "a.tar.gz", member(name, size=3))
    assert refused_archive(made).startswith("E_SUITE ")
    assert sorted(tmp_path.rglob("*")) == [made, tmp_path / "temporary"]
    assert not Path("/outside").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_an_archive_has_plain_files_only(tmp_path: Path, kind: bytes) -> None:
    made = archive_of(tmp_path / "a.tar.gz", member("suite/a", type=kind, linkname="/etc/passwd"))
    assert refused_archive(made) == "E_SUITE 'suite/a' is neither a plain file nor a folder"


@pytest.mark.parametrize(("field", "value"), [("size", 1 << 70), ("mtime", 1 << 70), ("size", -512)])
def test_numbers_of_an_archive_may_be_huge(tmp_path: Path, field: str, value: int) -> None:
    made = tmp_path / "a.tar.gz"
    header = member("suite/a", **{field: value}).tobuf(tarfile.GNU_FORMAT)
    made.write_bytes(gzip.compress(header + bytes(1024)))
    assert refused_archive(made).startswith("E_SUITE it cannot be unpacked: ")


def test_an_archive_has_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archive_of(tmp_path / "a.tar.gz", member("suite/a", size=suites.UNPACKED_MAX))
    assert made.stat().st_size < 100_000
    assert refused_archive(made) == f"E_SUITE it unpacks to more than {suites.UNPACKED_MAX} bytes"
    monkeypatch.setattr(suites, "_MEMBERS_MAX", 3)
    made = archive_of(tmp_path / "b.tar.gz", *(member(f"suite/{n}") for n in range(4)))
    assert refused_archive(made) == "E_SUITE it has more than 3 files"
    made = archive_of(tmp_path / "c.tar.gz", member("suite/" + "a/" * 1500 + "b"))
    assert refused_archive(made) == "E_SUITE it has more than 16 folders in each other"


def test_a_damaged_archive_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.tar.gz", tiny.folder).read_bytes()
    cut = tmp_path / "b.tar.gz"
    for data in (b"", b"no archive", whole[:-20], whole[: len(whole) // 2], whole[:300] + bytes(40) + whole[340:]):
        cut.write_bytes(data)
        assert refused_archive(cut).startswith("E_SUITE ")
    assert refused_archive(archive_of(cut, member("a/x"), member("b/x"))).startswith("E_SUITE a suite has one folder")
    assert refused_archive(archive_of(cut, member("a"))).startswith("E_SUITE a suite has one folder")
    assert refused_archive(archive_of(cut, member("a/b"))).startswith("E_SUITE it has no manifest.json")
