"""The generator: same bytes from the same seed, no overwriting without --update, adoption of encoded streams."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from stream_builders import assemble, split

from nvrc_conformance import generate
from nvrc_conformance.manifest import Manifest, load_manifest
from nvrc_conformance.recipes import RECIPES
from nvrc_conformance.sampling import bound_layer, plain_layer, random_state
from nvrc_conformance.stages import decode_stream, network_text, stages_of
from nvrc_decoder.bitstream.units import UnitType
from nvrc_decoder.profiles import PROFILES, context_layers, synthesis_layers
from nvrc_decoder.synthesis.arithmetic import ACCUMULATOR_LIMIT, make_layer, worst_case

MANIFEST = load_manifest()
SMALL = [recipe for recipe in RECIPES if recipe.id in ("nano-sparse", "nano-units", "main-444-10", "nano-planes")]


def copy_of_suite(folder: Path) -> Manifest:
    for name in ("streams", "faults"):
        shutil.copytree(MANIFEST.path.parent / name, folder / name)
    shutil.copy(MANIFEST.path, folder / "manifest.json")
    return load_manifest(folder / "manifest.json")


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(generate.main, ["--manifest", str(folder / "manifest.json"), *arguments])


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_recipes_make_the_committed_bytes() -> None:
    """In memory, for the small ones; `python -m nvrc_conformance.generate` does it for all of them."""
    assert {recipe.id for recipe in RECIPES} == {s.id for s in MANIFEST.streams if s.origin == "random"}
    for recipe in SMALL:
        assert generate.build(recipe) == MANIFEST.read(recipe.id)


@pytest.mark.full
def test_it_refuses_to_change_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "RECIPES", SMALL)
    manifest = copy_of_suite(tmp_path)
    committed = snapshot(tmp_path)
    assert run(tmp_path).exit_code == 0
    assert snapshot(tmp_path) == committed
    broken = manifest.file(manifest.stream("nano-sparse"))
    broken.write_bytes(b"other bytes")
    before = snapshot(tmp_path)
    refused = run(tmp_path)
    assert refused.exit_code == 1
    assert "nano-sparse" in refused.output
    assert "--update" in refused.output
    assert snapshot(tmp_path) == before
    assert run(tmp_path, "--update").exit_code == 0
    assert broken.read_bytes() == MANIFEST.read("nano-sparse")
    assert load_manifest(manifest.path).streams == MANIFEST.streams


def test_it_refuses_a_manifest_that_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "RECIPES", SMALL)
    manifest = copy_of_suite(tmp_path)
    document = json.loads(manifest.path.read_text())
    next(s for s in document["streams"] if s["id"] == "nano-units")["frame_md5"][0] = "0" * 32
    manifest.path.write_text(json.dumps(document))
    refused = run(tmp_path)
    assert refused.exit_code == 1
    assert "nano-units" in refused.output


def test_a_manifest_of_another_version_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "RECIPES", SMALL)
    path = copy_of_suite(tmp_path).path
    path.write_text(json.dumps({"format": "nvrc", "version": 0, "streams": [{"id": "of-other-fields"}]}))
    before = snapshot(tmp_path)
    refused = run(tmp_path)
    assert refused.exit_code == 1
    assert "version 0, this release reads version 4; --update alone replaces it" in refused.output
    stream = str(MANIFEST.file(MANIFEST.stream("nano-sparse")))
    assert run(tmp_path, "--update", "--adopt", stream, "--id", "other").exit_code == 1
    assert snapshot(tmp_path) == before
    assert run(tmp_path, "--update").exit_code == 0
    assert {stream.id for stream in load_manifest(path).streams} == {recipe.id for recipe in SMALL}


@pytest.mark.parametrize("text", ["<<<<<<< HEAD", json.dumps({"format": "nvrc", "version": 1000, "streams": []})])
def test_an_unreadable_manifest_is_not_replaced(tmp_path: Path, text: str) -> None:
    path = copy_of_suite(tmp_path).path
    path.write_text(text)
    assert run(tmp_path, "--update").exit_code != 0
    assert path.read_text() == text


@pytest.mark.full
def test_adopting_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "RECIPES", SMALL)
    manifest = copy_of_suite(tmp_path)
    source = tmp_path / "encoded.nvrc"
    source.write_bytes(MANIFEST.read("nano-400"))
    assert run(tmp_path, "--adopt", str(source)).exit_code == 2
    assert run(tmp_path, "--adopt", str(source), "--id", "Trained Nano").exit_code == 2
    assert run(tmp_path, "--adopt", str(source), "--id", "nano-units").exit_code == 2
    done = run(tmp_path, "--adopt", str(source), "--id", "encoded-nano", "--description", "an encoded stream")
    assert done.exit_code == 0, done.output
    stream = load_manifest(manifest.path).stream("encoded-nano")
    assert (stream.origin, stream.description) == ("adopted", "an encoded stream")
    assert stream.frame_md5 == MANIFEST.stream("nano-400").frame_md5
    assert manifest.file(stream).read_bytes() == source.read_bytes()
    # It stays when the random ones are made again, and is not replaced by another one unasked.
    assert run(tmp_path).exit_code == 0
    source.write_bytes(MANIFEST.read("nano-444"))
    assert run(tmp_path, "--adopt", str(source), "--id", "encoded-nano").exit_code == 1
    assert load_manifest(manifest.path).stream("encoded-nano") == stream
    assert run(tmp_path, "--remove", "nano-units").exit_code == 2
    assert run(tmp_path, "--remove", "encoded-nano").exit_code == 0
    assert load_manifest(manifest.path).streams == MANIFEST.streams


def test_a_damaged_stream_is_not_adopted(tmp_path: Path) -> None:
    copy_of_suite(tmp_path)
    source = tmp_path / "encoded.nvrc"
    before = snapshot(tmp_path)
    for data, code in ((MANIFEST.read("nano-400")[:-1], "E_TRUNCATED"), (b"", "E_TRUNCATED"), (b"y4m", "E_MAGIC")):
        source.write_bytes(data)
        refused = run(tmp_path, "--adopt", str(source), "--id", "encoded-nano")
        assert refused.exit_code == 1
        assert code in refused.output
        source.unlink()
        assert snapshot(tmp_path) == before


def test_random_layers_keep_the_bound() -> None:
    for profile in PROFILES:
        rng = random_state(profile.name)
        grids = [slot.max_channels for slot in profile.slots]
        specs = (*context_layers(7, 5), *synthesis_layers(profile, profile.max_channels, profile.blocks, grids, 1))
        for spec in specs:
            made = [bound_layer(rng, spec), *(plain_layer(rng, spec, scale, wild=5) for scale in (4, 20, 39))]
            for layer in made:
                proved = make_layer(spec, layer.weight, layer.bias, layer.multiplier, layer.shift, layer.bias_shift)
                worst = worst_case(proved.weight, proved.bias, proved.shift, spec.input_max)
                assert worst.max() < ACCUMULATOR_LIMIT
            assert any(np.abs(layer.bias).max() > 0 for layer in made)


def test_the_pyramid_and_the_nodes_are_stages() -> None:
    for name, pyramid in (("nano-planes", "key_spacing=8\nnode_spacing=2\nstep_factors=20,24\n"), ("nano-sparse", "")):
        (item,) = decode_stream(MANIFEST.read(name))
        text = network_text(item.sequence, item.network.header)
        assert text.split("\n", 2)[2].startswith(pyramid + "grid")
    (gop,) = MANIFEST.stream("nano-planes").stages.gops
    assert gop.nodes == {"4": "11111"}
    (gop,) = MANIFEST.stream("nano-empty").stages.gops
    assert gop.nodes == {"10": "00000", **{str(slot): "000" for slot in range(4, 9)}}
    assert MANIFEST.stream("nano-sparse").stages.gops[0].nodes == {}


def test_a_network_without_a_gop_has_no_stage() -> None:
    units = split(MANIFEST.read("lite-networks"))
    networks = [unit for unit in units if unit[0] == UnitType.NETWORK]
    first = units.index(networks[0])
    units.insert(first, networks[1])
    units.insert(len(units) - 1, networks[0])
    padded = assemble([unit for unit in units if unit[0] != UnitType.INDEX])
    assert stages_of(list(decode_stream(padded))) == MANIFEST.stream("lite-networks").stages
