"""`nvrc-ref conformance lint` finds what is wrong with a suite, and nothing in ours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nvrc_conformance.harness.lint import lint_suite
from nvrc_conformance.harness.stale import stale_digests
from nvrc_conformance.manifest import MANIFEST_PATH
from nvrc_ref.main import run

ANNEX = MANIFEST_PATH.parents[1] / "spec" / "annex-b-requirements.md"
Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def small_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the suite, and of annex B beside it; of the golden streams, those that faults are made of."""
    folder = tmp_path_factory.mktemp("small")
    suite = folder / "conformance"
    for name in ("streams", "faults", "schemas"):
        shutil.copytree(MANIFEST_PATH.parent / name, suite / name)
    (folder / "spec").mkdir()
    shutil.copy(ANNEX, folder / "spec")
    document = json.loads(MANIFEST_PATH.read_text())
    siblings = {stream.get("sibling") for stream in document["streams"]}
    kept = [stream for stream in document["streams"] if "expect" in stream or stream["id"] in siblings]
    for stream in document["streams"]:
        if stream not in kept:
            (suite / stream["file"]).unlink()
    document["streams"] = kept
    (suite / "manifest.json").write_text(json.dumps(document))
    return suite


@pytest.fixture
def suite(small_suite: Path, tmp_path: Path) -> Path:
    """A copy of the small suite that a test may change."""
    shutil.copytree(small_suite.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "conformance"


def edit(name: str, change: Callable[[dict[str, Any]], object]) -> Change:
    """Change the entry of a stream in the manifest."""

    def apply(suite: Path) -> None:
        document = json.loads((suite / "manifest.json").read_text())
        change(next(stream for stream in document["streams"] if stream["id"] == name))
        (suite / "manifest.json").write_text(json.dumps(document))

    return apply


def remove(name: str) -> Change:
    """Take a stream out of the manifest, and remove its file."""

    def apply(suite: Path) -> None:
        document = json.loads((suite / "manifest.json").read_text())
        gone = next(stream for stream in document["streams"] if stream["id"] == name)
        document["streams"].remove(gone)
        (suite / gone["file"]).unlink()
        (suite / "manifest.json").write_text(json.dumps(document))

    return apply


def write(name: str, text: str) -> Change:
    return lambda suite: (suite / name).write_text(text) and None


FILE = "streams/nano-sparse.nvrc"


def sentences(suite: Path) -> list[str]:
    return list(lint_suite(suite))


def test_our_suite_has_no_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert sentences(MANIFEST_PATH.parent) == []
    assert run(["conformance", "lint", "--quick"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "the suite has no faults, as far as can be told without decoding\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove("reject-3-37-blocks"), "R3.37 has no stream that breaks it."),
        (
            edit("reject-1-1-length", lambda stream: stream.update(requirement="R3.999")),
            "reject-1-1-length breaks R3.999, which spec/annex-b-requirements.md does not list.",
        ),
        (
            edit("nano-sparse", lambda stream: stream.update(sha256="0" * 64)),
            f"The SHA-256 of {FILE} in the manifest is stale.",
        ),
        (edit("nano-sparse", lambda stream: stream.update(bytes=1)), f"{FILE} has 282 bytes, the manifest says 1."),
        (lambda suite: (suite / FILE).unlink(), f"{FILE}, which the manifest lists, cannot be read: No such file "),
        (write("streams/new.nvrc", "new"), "streams/new.nvrc is not in the manifest."),
        (write("faults/notes.txt", "new"), "faults/notes.txt is not in the manifest."),
        (edit("nano-sparse", lambda stream: stream.update(id="nano-keys")), "The id nano-keys is given 2 times."),
        (
            edit("reject-2-7-long", lambda stream: stream.update(sibling="nano-none")),
            "The sibling nano-none of reject-2-7-long is no golden stream.",
        ),
        (
            edit("reject-2-7-long", lambda stream: stream.update(profile="main")),
            "reject-2-7-long has profile main, its sibling nano-sparse has nano.",
        ),
        (edit("nano-sparse", lambda stream: stream.update(md5="0")), ".md5: '0' does not match '^[0-9a-f]{32}$'."),
        (edit("nano-sparse", lambda stream: stream.update(width="29")), ".width: '29' is not of type 'integer'."),
        (write("manifest.json", "{"), "manifest.json is not JSON: "),
        (edit("nano-sparse", lambda stream: stream.pop("md5")), "is not the manifest of a conformance suite (TypeErr"),
        (edit("nano-sparse", lambda stream: stream.pop("md5")), ": 'md5' is a required property."),
        (write("schemas/report.schema.json", '{"type": 1}'), "schemas/report.schema.json is no JSON schema: 1 is not"),
        (write("schemas/manifest.schema.json", "{"), "schemas/manifest.schema.json cannot be used: "),
        (
            write("schemas/manifest.schema.json", '{"$ref": "http://localhost/schema.json"}'),
            "schemas/manifest.schema.json cannot be used: ",
        ),
        (lambda suite: shutil.rmtree(suite / "schemas"), "schemas/manifest.schema.json cannot be used: "),
        (lambda suite: shutil.rmtree(suite.parent / "spec"), "The requirements cannot be checked, since spec/annex-b"),
        (write("../spec/annex-b-requirements.md", ""), "spec/annex-b-requirements.md lists no requirements."),
    ],
)
def test_a_fault_is_a_sentence(suite: Path, change: Change, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    change(suite)
    found = sentences(suite)
    assert [sentence for sentence in found if said in sentence], found
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in found)
    assert run(["conformance", "lint", "--suite", str(suite)]) == 1
    output = capsys.readouterr()
    assert output.out.splitlines() == found
    assert output.err.startswith("error[E_LINT] the suite has ")


def test_names_of_files_are_printed_plainly(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (suite / "streams" / "a\x1b[2J\n").touch()
    assert run(["conformance", "lint", "--quick", "--suite", str(suite)]) == 1
    assert capsys.readouterr().out == "streams/a?[2J? is not in the manifest.\n"


def test_an_absent_suite_is_no_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["conformance", "lint", "--suite", str(tmp_path)]) == 66
    assert capsys.readouterr().err.startswith("error[E_NO_INPUT] cannot read ")


STALE = [
    ("nano-sparse", lambda stream: stream.update(md5="0" * 32), "The MD5 of nano-sparse in the manifest is stale."),
    (
        "nano-sparse",
        lambda stream: stream["frame_md5"].reverse(),
        "The MD5s of the frames of nano-sparse in the manifest are stale.",
    ),
    (
        "nano-sparse",
        lambda stream: stream["stages"].update(sequence="0" * 32),
        "The stage sequence of nano-sparse in the manifest is stale.",
    ),
    ("nano-sparse", lambda stream: stream.update(width=30), "The field width of nano-sparse in the manifest is stale."),
    ("nano-sparse", lambda stream: stream.update(profile="lite"), "The field profile of nano-sparse in the "),
    ("nano-sparse", lambda stream: stream["features"].pop(), "The field features of nano-sparse in "),
    (
        "reject-2-7-long",
        lambda stream: stream.update(code="E_ORDER"),
        "reject-2-7-long is refused with E_LENGTH, the manifest says E_ORDER.",
    ),
    (
        "reject-2-7-long",
        lambda stream: stream.update(expect="limit"),
        "reject-2-7-long ends with E_LENGTH, the manifest says limit.",
    ),
    (
        "reject-2-7-long",
        lambda stream: stream.update(file=FILE),
        "reject-2-7-long is decoded, and should be refused.",
    ),
    ("nano-sparse", lambda stream: stream.update(file="faults/reject-2-7-long.nvrc"), "nano-sparse does not decode: "),
]


@pytest.mark.parametrize(("name", "change", "said"), STALE)
def test_a_stale_digest_is_a_sentence(
    suite: Path, name: str, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    document = json.loads((suite / "manifest.json").read_text())
    stream = next(stream for stream in document["streams"] if stream["id"] == name)
    (suite / "manifest.json").write_text(json.dumps({**document, "streams": [stream]}))
    assert list(stale_digests(suite)) == []
    change(stream)
    (suite / "manifest.json").write_text(json.dumps({**document, "streams": [stream]}))
    (found,) = stale_digests(suite)
    assert found.startswith(said)


@pytest.mark.full
def test_no_digest_of_our_suite_is_stale() -> None:
    assert list(stale_digests(MANIFEST_PATH.parent)) == []
