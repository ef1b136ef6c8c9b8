"""In which order planes are made: which frames and nodes a window of frames needs, and what each is predicted from."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from nvrc_decoder.pyramid import Pyramid

__all__ = ["Route", "Step", "find_route", "touched_nodes"]


@dataclass(frozen=True)
class Step:
    """Frames whose planes are made at once, as all are predicted from the same references.

    Attributes:
        frames: consecutive where they are no nodes, else one.
        references: none for frame 0, one for a key, else the earlier and the later one.
        shares: of the later reference of each frame, in 1/32; empty for a key.
    """

    frames: tuple[int, ...]
    references: tuple[int, ...]
    shares: tuple[int, ...]


@dataclass(frozen=True)
class Route:
    """The way to the planes of some frames.

    Attributes:
        frames: the frames wanted.
        steps: in order; what a frame is predicted from is made in an earlier one.
        nodes: frames of all nodes on the way, in the order of the steps.
    """

    frames: tuple[int, ...]
    steps: tuple[Step, ...]
    nodes: tuple[int, ...]

    @functools.cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(frame, reference) of all fetches, in the order of the steps."""
        return tuple((t, reference) for step in self.steps for reference in step.references for t in step.frames)

    @functools.cached_property
    def blended(self) -> tuple[int, ...]:
        """Frames that are predicted from two references, in the order of the steps."""
        return tuple(t for step in self.steps if step.shares for t in step.frames)

    @functools.cached_property
    def shares(self) -> tuple[int, ...]:
        """Share of the later reference in each of `blended`, in 1/32."""
        return tuple(share for step in self.steps for share in step.shares)


def _needed(pyramid: Pyramid, frames: Iterable[int], keys_alone: bool) -> set[int]:
    """The frames and all that they are predicted from; of keys nothing more where they stand alone."""
    needed: set[int] = set()
    todo = list(frames)
    while todo:
        t = todo.pop()
        if t in needed:
            continue
        needed.add(t)
        references = pyramid.references(t)
        if references is not None and not (keys_alone and t % pyramid.key_spacing == 0):
            todo += (references.before, references.after)
    return needed


def touched_nodes(pyramid: Pyramid, frames: Iterable[int]) -> list[int]:
    """Nodes (their numbers, ascending) that frames are predicted from, with the keys around them but none before."""
    needed = _needed(pyramid, frames, keys_alone=True)
    return sorted(t // pyramid.node_spacing for t in needed if pyramid.is_node(t))


def _rank(pyramid: Pyramid, t: int) -> tuple[int, int, int]:
    """Keys one after the other, then each level of nodes, then all other frames, those between the same nodes at once.

    Equal for frames of one step.
    """
    if t % pyramid.key_spacing == 0:
        return 0, 0, t
    return (1, -(t & -t), t) if pyramid.is_node(t) else (2, 0, t // pyramid.node_spacing)


def _step(pyramid: Pyramid, frames: tuple[int, ...]) -> Step:
    found = [references for t in frames if (references := pyramid.references(t)) is not None]
    if not found:
        return Step(frames, (), ())
    if found[0].before == found[0].after:
        return Step(frames, (found[0].before,), ())
    return Step(frames, (found[0].before, found[0].after), tuple(references.share for references in found))


@functools.lru_cache(maxsize=4096)
def find_route(pyramid: Pyramid, start: int, stop: int) -> Route:
    """The way to the planes of frames `start` .. `stop` - 1."""
    frames = tuple(range(start, stop))
    ranked = sorted((_rank(pyramid, t), t) for t in _needed(pyramid, frames, keys_alone=False))
    groups = itertools.groupby(ranked, key=lambda item: item[0])
    steps = tuple(_step(pyramid, tuple(t for _, t in group)) for _, group in groups)
    return Route(frames, steps, tuple(t for step in steps for t in step.frames if pyramid.is_node(t)))
