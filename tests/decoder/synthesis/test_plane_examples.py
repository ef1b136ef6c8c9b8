"""The worked examples of spec 7.4 to 7.6 and 7.10, read from the text, are what the NumPy reference computes."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from nvrc_decoder.profiles import LIFTING_UNIT, PROFILES, node_shape
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid
from nvrc_decoder.synthesis.activations import clip_activation, double
from nvrc_decoder.synthesis.motion import blend_weight, displacement, half_samples, predict
from nvrc_decoder.synthesis.wavelet import clip_lifted, inverse, luma_residual

CHAPTER = (Path(__file__).parents[3] / "spec" / "07-profiles-synthesis.md").read_text(encoding="utf-8")
LIST = r"(-?\d+(?:, -?\d+)*(?: and -?\d+)?)"


def section(number: str) -> str:
    """The text of a section, without those below it."""
    body = re.split(rf"^##+ {re.escape(number)} .*$", CHAPTER, flags=re.MULTILINE)[1]
    return re.split(r"^##+ ", body, flags=re.MULTILINE)[0]


def ints(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"-?\d+", text)]


def said(number: str, sentence: str) -> list[list[int]]:
    """The integers that stand for each LIST of a sentence, which is in a section once."""
    pattern = re.escape(sentence).replace("LIST", LIST)
    found = re.findall(pattern, section(number))
    assert len(found) == 1, f"{len(found)} times in {number}: {sentence}"
    return [ints(group) for group in (found[0] if isinstance(found[0], tuple) else found)]


def block(number: str, start: str) -> list[str]:
    """The lines of the one block of a section that begins so."""
    found = [part for part in section(number).split("```\n")[1::2] if part.startswith(start)]
    assert len(found) == 1
    return found[0].splitlines()


def cells(values: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    """The same values in each cell of a picture: [len(values), rows, columns]."""
    return np.broadcast_to(np.array(values)[:, None, None], (len(values), -(-size[0] // 4), -(-size[1] // 4)))


def predicted(before: list[int], after: list[int], d0: int, d1: int, weight: int) -> list[int]:
    """A plane of one row, Step 1, from two references; displacements and weight are the same everywhere."""
    size = 1, len(before)
    refined = [half_samples(np.array([values])) for values in (before, after)]
    moved = [cells((0, d), size) for d in (d0, d1)]
    return predict(*refined, *moved, cells((weight,), size)[0], size, 1)[0].tolist()


def test_multipliers_of_nodes():
    sentence = "KeySpacing LIST, NodeSpacing LIST, step_factor LIST, and a multiplier of LIST, the nodes at frames LIST"
    key, node, factors, multiplier, frames, expected = said("7.4", sentence + " have the multipliers LIST")
    pyramid = Pyramid(*key, *node, tuple(factors))
    assert frames == [t for t in range(*key) if pyramid.is_node(t)] + key
    assert [pyramid.node_multiplier(t, *multiplier) for t in frames] == expected


def test_table_of_the_pyramid():
    (key, node) = said("7.5", "Example: KeySpacing LIST and NodeSpacing LIST")
    pyramid = Pyramid(*key, *node, (1000, 1001))
    factors = {16: "16", 1000: "step_factor[0]", 1001: "step_factor[1]"}
    rows = []
    for t in range(key[0] + 1):
        references = pyramid.references(t)
        kind = ("key" if t % key[0] == 0 else "node") if pyramid.is_node(t) else ""
        row = (
            t,
            kind,
            t // node[0] if kind else "",
            f"{references.before}, {references.after}" if references else "none",
            references.share if references else "",
            factors[pyramid.factor(t)] if kind else "",
        )
        rows.append(re.sub(" +", " ", f"| {' | '.join(map(str, row))} |"))
    assert "\n".join(rows) in section("7.5")


def test_sentences_below_that_table():
    spacing, t, expected, share = said(
        "7.5", "With KeySpacing and NodeSpacing LIST, frame LIST has the references LIST and the share LIST"
    )
    references = Pyramid(*spacing, *spacing).references(*t)
    assert references is not None
    assert ([references.before, references.after], [references.share]) == (expected, share)
    (frames, last, needed, node, again) = said(
        "7.5",
        "Under the pyramid of the table, a GOP of LIST frames also has the nodes 0 to LIST: "
        "frame LIST needs node LIST, which needs node LIST",
    )
    pyramid = Pyramid(8, 2, (16, 16))
    assert pyramid.node_count(*frames) - 1 == last[0]
    assert needed[0] == frames[0] - 1
    for frame, reference in ((needed[0], node[0]), (2 * node[0], again[0])):
        references = pyramid.references(frame)
        assert references is not None
        assert references.after == 2 * reference


def test_displacements_and_weights():
    step, last = said("7.6.1", "flow(n) = LIST * n for n = 0 .. LIST in one channel")
    size = 9, 21
    flow = np.zeros((last[0] + 1, 3, 1, 2), dtype=np.int16)
    flow[:, 1] = step[0] * np.arange(last[0] + 1)[:, None, None]
    found = [ints(part) for part in re.findall(r"displacement(\(\d+, \d+\) is -?\d+)", section("7.6.1"))]
    assert len(found) == 2
    for t, reference, expected in found:
        moved = displacement(flow, (1, 1, 1), t, reference, size)
        np.testing.assert_array_equal(moved, cells((0, expected), size))
    first, share, weight, *others = said(
        "7.6.1",
        "With a blend of LIST at all positions, a share of LIST becomes the weight LIST; "
        "with a blend of LIST it becomes LIST, with one of LIST it becomes LIST",
    )
    for blend, expected in ((first, weight), others[:2], others[2:]):
        flow[:, 2] = blend
        found = blend_weight(flow, (1, 1, 1), 3, *share, size)
        np.testing.assert_array_equal(found, cells(tuple(expected), size)[0])


def test_half_samples():
    samples, expected = said("7.6.2", "Example: a row LIST becomes LIST")
    assert half_samples(np.array([samples]))[0].tolist() == expected
    assert half_samples(np.array([samples]).T)[:, 0].tolist() == expected
    worst = np.array([[-2048, 2047, 2047, -2048]])
    assert half_samples(worst)[0, 3] == 2047
    assert half_samples(-1 - worst)[0, 3] == -2048
    assert said("7.6.2", "add up to LIST, so the sum is at most LIST * LIST + LIST = LIST in magnitude") == [
        [44],
        [44],
        [2048],
        [16],
        [44 * 2048 + 16],
    ]


def test_prediction():
    before, d, fetched = said("7.6.3", "Pa = LIST and dx = LIST everywhere; fetch returns LIST")
    after, other = said("7.6.3", "Pb = LIST gives LIST everywhere")
    weight, expected = said("7.6.3", "With W = LIST the prediction is LIST")
    assert 4 * other == [256 * value for value in after]
    assert predicted(before, after, d[0], 0, weight[0]) == expected
    # A reference alone is its fetch, rounded.
    assert predicted(before, after, d[0], 0, 0) == [(value + 128) >> 8 for value in fetched]


def test_planes_of_a_key():
    before, d, prediction = said(
        "7.6.4", "the key before it is LIST and dx = LIST everywhere, so the prediction is LIST"
    )
    residual, expected = said("7.6.4", "With the residual LIST the key is LIST")
    for weight in (0, 13, 32):
        assert predicted(before, before, d[0], d[0], weight) == prediction
    assert clip_activation(np.array(prediction) + residual).tolist() == expected


@pytest.mark.parametrize(
    ("key", "node"), [(1 << i, 1 << j) for i, j in product(range(5), repeat=2) if j <= i], ids=lambda n: str(n)
)
def test_nodes_in_memory(key, node):
    """In the order of 7.6.4 a decoder keeps no more nodes than it says."""
    pyramid = Pyramid(key, node, (16,) * ((key // node).bit_length() - 1))
    made: list[int] = []

    def between(first: int, last: int) -> None:
        if last - first > node:
            middle = (first + last) // 2
            made.append(middle)
            between(first, middle)
            between(middle, last)

    for start in range(0, 4 * key, key):
        made += [start] if start == 0 else []
        made.append(start + key)
        between(start, start + key)
    # A node is there until the last one that refers to it is made, or the last frame before the next node.
    last_use = {t: made.index(t) for t in made}
    for place, t in enumerate(made):
        references = pyramid.references(t)
        for r in () if references is None else (references.before, references.after):
            assert made.index(r) < place
            last_use[r] = max(last_use[r], place)
    most = max(sum(made.index(t) <= place <= last_use[t] for t in made) for place in range(len(made)))
    assert most <= (key // node).bit_length() - 1 + 2
    assert "more than log2(KeySpacing / NodeSpacing) + 2 nodes." in section("7.6.4")


def lift(low: list[int], high: list[int]) -> list[tuple[str, list[int]]]:
    """The lines of `inverse`, one after the other, in Python integers."""
    last = len(low) - 1
    s, d = [(315 * v + 128) >> 8 for v in low], list(high)
    lines = [("s", s), ("d", d)]
    s = [v - ((7 * (d[max(i - 1, 0)] + d[i]) + 8) >> 4) for i, v in enumerate(s)]
    lines.append(("s", s))
    d = [v - ((113 * (s[i] + s[min(i + 1, last)]) + 64) >> 7) for i, v in enumerate(d)]
    lines.append(("d", d))
    s = [v + ((217 * (d[max(i - 1, 0)] + d[i]) + 2048) >> 12) for i, v in enumerate(s)]
    lines.append(("s", s))
    d = [v + ((203 * (s[i] + s[min(i + 1, last)]) + 64) >> 7) for i, v in enumerate(d)]
    return [*lines, ("d", d)]


def test_wavelet_of_a_row():
    first, *lines, last = block("7.6.5", "low = ")
    low, high = map(ints, first.split("high"))
    said_lines = [(line[0], ints(line)) for line in lines]
    assert said_lines == lift(low, high)
    out = inverse(np.array(low), np.array(high))
    assert out.tolist() == ints(last)
    s, d = (values for _, values in said_lines[-2:])
    np.testing.assert_array_equal(out, clip_lifted(np.stack([s, d], axis=1).reshape(-1)))


def test_wavelet_of_a_constant():
    low, high, expected = said("7.6.5", "low = LIST and high = LIST give LIST six times")
    assert inverse(np.array(low), np.array(high)).tolist() == 6 * expected


def test_a_level_of_the_wavelet():
    first, *middle, upper, lower = block("7.6.5", "Low = ")
    low, hl, lh, hh = (np.array([ints(part)]) for part in re.split("HL|LH|HH", first))
    both = np.array([ints(line) for line in middle])
    np.testing.assert_array_equal(inverse(low, lh), both[:, :2])
    np.testing.assert_array_equal(inverse(hl, hh), both[:, 2:])
    np.testing.assert_array_equal(inverse(both[:, :2].T, both[:, 2:].T).T, [ints(upper), ints(lower)])
    expected = said("7.6.5", "which gives the activations LIST and LIST if it is the last one")
    np.testing.assert_array_equal(luma_residual([np.stack([low, hl, lh, hh]) // LIFTING_UNIT]), [expected])


def test_sizes_of_the_bands():
    text = section("7.6.5").split("Example of sizes: ")[1]
    picture, *sizes = [(int(a), int(b)) for a, b in re.findall(r"(\d+) x (\d+)", text)]
    profile = PROFILES[0]
    bands = [node_shape(profile.slots[i], 1, *picture, DEFAULT_PYRAMID)[1:] for i in profile.band_slots]
    assert sizes[:4] == bands
    # Each level doubles, and is cropped where the next band is smaller.
    levels = []
    for (rows, columns), following in zip(bands, [*bands[1:], None], strict=True):
        levels += [(2 * rows, 2 * columns)]
        levels += [] if following in (None, levels[-1]) else [following]
    assert sizes[4:] == levels


def test_worst_cases_of_the_wavelet():
    s = d = 8192
    expected = []
    for factor, rounding, shift, of_s in (
        (7, 8, 4, True),
        (113, 64, 7, False),
        (217, 2048, 12, True),
        (203, 64, 7, False),
    ):
        if not expected:
            s, product_of = (315 * s + 128) >> 8, 315 * s
            expected.append([315, product_of, s])
        product_of = factor * 2 * (d if of_s else s)
        change = max((product_of + rounding) >> shift, -((-product_of + rounding) >> shift))
        s, d = (s + change, d) if of_s else (s, d + change)
        expected.append([factor, product_of, s if of_s else d])
    table = re.findall(r"\((\d+) \.\.` \| (\d+) \| \\\|[sd]\\\| <= (\d+)", section("7.6.5"))
    assert [[int(n) for n in line] for line in table] == expected
    (rounded,) = map(int, re.findall(r"With its rounding term the fourth product is at most (\d+)", section("7.6.5")))
    assert rounded == expected[3][1] + 2048 == max(line[1] for line in expected) + 2048 < 1 << 24


def test_rows_of_a_doubled_array():
    found = re.findall(
        r"rows (\(.*?\)) and (\(.*?\)) become the rows (\(.*?\)), (\(.*?\)), (\(.*?\)), (\(.*?\))\.", section("7.10")
    )
    first, second, *expected = map(ints, found[0])
    x = np.array([[first, second]])
    np.testing.assert_array_equal((double(double(x, 1), 2) + 8) >> 4, [expected])
