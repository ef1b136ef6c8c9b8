"""The prior: its file, what it gives to each layer, and how a layer is coded as a difference from it (spec 6.5)."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from nvrc_decoder import prior
from nvrc_decoder.errors import InternalError, InvalidStreamError
from nvrc_decoder.prior import NO_PRIOR, PRIOR_LAYERS, PRIOR_SHA256, LayerPrior, Prior, layer_prior
from nvrc_decoder.profiles import PROFILES, LayerSpec, Profile, context_layers, synthesis_layers
from nvrc_decoder.synthesis.arithmetic import make_layer

SPEC = Path(__file__).parents[3] / "spec"
NANO, LITE, MAIN = PROFILES
ALL_SLOTS = {profile.name: tuple(slot.max_channels for slot in profile.slots) for profile in PROFILES}


def spec_of(profile: Profile, name: str, channels: int, grids: tuple[int, ...], bit_depth: int = 8) -> LayerSpec:
    blocks = tuple(min(1, most) for most in profile.blocks)
    layers = (*context_layers(10, 10), *synthesis_layers(profile, (channels,) * 5, blocks, grids, 1, bit_depth))
    return next(layer for layer in layers if layer.name == name)


def known(name: str) -> LayerPrior:
    data = (SPEC / "tables" / "prior.bin").read_bytes()
    return prior.constants_of(data)[name]


def test_file_is_that_of_the_specification() -> None:
    data = (SPEC / "tables" / "prior.bin").read_bytes()
    assert resources.files("nvrc_decoder").joinpath("prior.bin").read_bytes() == data
    said = json.loads((SPEC / "tables" / "prior.json").read_text())
    assert said["sha256"] == PRIOR_SHA256 == hashlib.sha256(data).hexdigest()
    assert said["bytes"] == len(data)


def test_layers_are_those_of_the_specification() -> None:
    text = (SPEC / "06-arithmetic.md").read_text(encoding="utf-8").split("## 6.5")[1]
    assert f"`{PRIOR_SHA256}`" in text
    assert f"{len((SPEC / 'tables' / 'prior.bin').read_bytes())} bytes" in text
    first = {name: ", ".join(map(str, known(name).weight.reshape(-1)[:4])) for name in PRIOR_LAYERS}
    assert f"stage3.inject begin with {first['stage3.inject']} and" in text
    assert f"head.pointwise with {first['head.pointwise']};" in text
    *most, last = known("head.pointwise").bias
    assert f"are {', '.join(map(str, most))} and {last}." in text
    ten = LayerPrior(np.zeros(1, np.int64), known("head.pointwise").bias << 2)
    assert f"= {ten.bias_at(10)[0]}." in text
    rows = re.findall(r"^\| `([\w.]+)` \| \[([\d, ]+)\] \| (\d+) \|$", text, re.MULTILINE)
    table = {name: tuple(map(int, shape.split(","))) for name, shape, _ in rows}
    assert table == PRIOR_LAYERS
    assert {name: known(name).bias.size for name in table} == {name: int(count) for name, _, count in rows}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("name", ["stage3.block0.pointwise", "head.depthwise", "stage4.inject"])
def test_all_profiles_have_the_same_constants(profile: Profile, name: str) -> None:
    grids = ALL_SLOTS[profile.name]
    found = layer_prior(profile, spec_of(profile, name, 8, grids), grids)
    np.testing.assert_array_equal(found.weight, known(name).weight)
    np.testing.assert_array_equal(found.bias, known(name).bias)


def test_more_channels_than_the_prior_has_are_zero() -> None:
    grids = ALL_SLOTS["lite"]
    name = "stage3.block0.pointwise"
    found = layer_prior(LITE, spec_of(LITE, name, 24, grids), grids)
    np.testing.assert_array_equal(found.weight[:8, :8], known(name).weight)
    assert not found.weight[8:].any()
    assert not found.weight[:, 8:].any()
    assert not found.bias[8:].any()


def test_fewer_channels_take_the_first() -> None:
    grids = ALL_SLOTS["nano"]
    found = layer_prior(NANO, spec_of(NANO, "head.pointwise", 3, grids), grids)
    np.testing.assert_array_equal(found.weight, known("head.pointwise").weight[:, :12])


def test_planes_come_after_the_features_of_the_stage() -> None:
    grids = ALL_SLOTS["main"]
    found = layer_prior(MAIN, spec_of(MAIN, "stage3.inject", 8, grids), grids)
    assert found.weight.shape[1] == 6
    assert not found.weight[:, [0, 1, 5]].any()
    np.testing.assert_array_equal(found.weight[:, 2:5], known("stage3.inject").weight)


def test_a_stage_without_planes_has_a_bias_prior() -> None:
    grids = tuple(0 if slot.at_nodes or slot.motion else slot.max_channels for slot in LITE.slots)
    found = layer_prior(LITE, spec_of(LITE, "stage3.inject", 8, grids), grids)
    assert not found.weight.any()
    np.testing.assert_array_equal(found.bias, known("stage3.inject").bias)


def test_head_of_ten_bits_is_four_times_as_large() -> None:
    grids = ALL_SLOTS["nano"]
    eight, ten = (layer_prior(NANO, spec_of(NANO, "head.pointwise", 8, grids, depth), grids) for depth in (8, 10))
    np.testing.assert_array_equal(ten.weight, 4 * eight.weight)
    np.testing.assert_array_equal(ten.bias, 4 * eight.bias)


@pytest.mark.parametrize(
    ("name", "centre"),
    [
        ("stage0.temporal", (1,)),
        ("stage2.block0.depthwise", (1, 1)),
        ("stage3.block0.depthwise", (1, 1)),
        ("head.depthwise", (0, 1, 1)),
        ("stage2.block0.pointwise", None),
    ],
)
def test_channels_beyond_the_table_are_passed_on(name: str, centre: tuple[int, ...] | None) -> None:
    grids = ALL_SLOTS["main"]
    found = layer_prior(MAIN, spec_of(MAIN, name, 12, grids), grids)
    beyond = found.weight[8 if name in PRIOR_LAYERS else 0 :].copy()
    if centre is not None:
        assert (beyond[(slice(None), *centre)] == 65536).all()
        beyond[(slice(None), *centre)] = 0
    assert not beyond.any()
    assert not found.bias[len(known(name).bias) if name in PRIOR_LAYERS else 0 :].any()


def test_flags_choose_the_networks() -> None:
    grids = ALL_SLOTS["nano"]
    specs = [spec_of(NANO, name, 8, grids) for name in ("context.output", "head.depthwise")]
    for context, synthesis in ((True, False), (False, True)):
        found = Prior(context, synthesis).layers(NANO, specs, grids)
        assert [found[spec.name] is not NO_PRIOR for spec in specs] == [context, synthesis]


def test_layer_is_the_prior_and_the_coded_difference() -> None:
    """The example of spec 6.5."""
    constant = LayerPrior(np.full((2, 4, 3, 3), 49152, np.int64), np.full(8, -98304, np.int64))
    layer = LayerSpec("head.depthwise", "head_depthwise", (2, 4, 3, 3), 8, 2048, -2048, 2047)
    weight = np.zeros((2, 4, 3, 3), np.int64)
    weight[0, 0, 0, 0] = -2
    # Nine weights of 768 are over the bound, so the others are taken back.
    weight[0, 0].reshape(-1)[1:] = -154
    weight[0, 1:] = weight[1:] = -154
    made = make_layer(layer, weight, np.arange(8), 5, 10, 3, constant)
    assert made.weight[0, 0, 0, 0] == 758
    assert (made.weight.reshape(-1)[1:] == 768 - 770).all()
    # -1.5 * 2^10, and then the coded biases.
    assert made.bias.tolist() == [-1536 + 8 * i for i in range(8)]
    with pytest.raises(InvalidStreamError, match="over 1024"):
        make_layer(layer, weight, np.arange(8), 5, 12, 3, constant)


@pytest.mark.parametrize(
    ("constant", "shift", "wanted"), [(1, 15, 1), (1, 14, 0), (-1, 15, 0), (-1, 16, -1), (-3, 15, -1)]
)
def test_half_rounds_up(constant: int, shift: int, wanted: int) -> None:
    assert LayerPrior(np.array(constant), np.array(0)).weight_at(shift) == wanted


def test_damaged_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prior, "PRIOR_SHA256", "0" * 64)
    prior._constants.cache_clear()
    grids = ALL_SLOTS["nano"]
    with pytest.raises(InternalError, match=r"prior\.bin is damaged"):
        layer_prior(NANO, spec_of(NANO, "head.depthwise", 8, grids), grids)
