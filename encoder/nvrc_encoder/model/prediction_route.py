"""The route of prediction: which frames and nodes a window needs, in which order, and what each is predicted from."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from nvrc_decoder.pyramid import Pyramid

__all__ = ["Route", "Step", "find_route", "touched_nodes"]


@dataclass(frozen=True)
class Step:
    """Frames whose planes are predicted together, from the same references.

    Attributes:
        frames: consecutive frames between two nodes, or a single node.
        references: none for frame 0, one for a key, else the earlier and the later one.
        shares: share of the later reference in each frame, in 1/32; empty for a key.
    """

    frames: tuple[int, ...]
    references: tuple[int, ...]
    shares: tuple[int, ...]


@dataclass(frozen=True)
class Route:
    """The steps that make the planes of some frames.

    Attributes:
        frames: the wanted frames.
        steps: steps in order; the references of a frame are made in earlier ones.
        nodes: frames of all nodes on the route, in the order of the steps.
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
        """Frames predicted from two references, in the order of the steps."""
        return tuple(t for step in self.steps if step.shares for t in step.frames)

    @functools.cached_property
    def shares(self) -> tuple[int, ...]:
        """Share of the later reference in each of `blended`, in 1/32."""
        return tuple(share for step in self.steps for share in step.shares)


def _needed(pyramid: Pyramid, frames: Iterable[int], keys_alone: bool) -> set[int]:
    """The frames and all that they are predicted from; with `keys_alone` the references of keys are left out."""
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
    """Numbers of the nodes that frames are predicted from, ascending; of the keys only those around the frames."""
    needed = _needed(pyramid, frames, keys_alone=True)
    return sorted(t // pyramid.node_spacing for t in needed if pyramid.is_node(t))


def _rank(pyramid: Pyramid, t: int) -> tuple[int, int, int]:
    """Sort key of a frame's step: keys one by one, then nodes level by level, then the frames between nodes.

    Frames between the same two nodes have the same key and make one step.
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
    """The route to the planes of frames `start` .. `stop` - 1."""
    frames = tuple(range(start, stop))
    ranked = sorted((_rank(pyramid, t), t) for t in _needed(pyramid, frames, keys_alone=False))
    groups = itertools.groupby(ranked, key=lambda item: item[0])
    steps = tuple(_step(pyramid, tuple(t for _, t in group)) for _, group in groups)
    return Route(frames, steps, tuple(t for step in steps for t in step.frames if pyramid.is_node(t)))
