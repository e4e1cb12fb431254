"""Searches over a transition table: shortest ways, what can be kept up for ever, longest runs.

Everything here is about plain arrays. `successor` is [S, I] with -1 where a step was not followed;
masks over steps are [S, I]. An unknown step is never taken as proof of a fault.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Indices = NDArray[np.int32]
Step = tuple[int, int]
"""A standing and the input given there."""

UNREACHED = -1


class Ways(NamedTuple):
    """A shortest way to every standing that can be reached."""

    depth: Indices  # [S], UNREACHED where there is none
    standing: Indices  # [S], the one before
    column: Indices  # [S], the input given there

    @property
    def reached(self) -> Mask:
        """Which standings have a way, [S]."""
        return np.asarray(self.depth != UNREACHED)

    def to(self, standing: int) -> list[Step]:
        """The steps that lead to `standing`."""
        steps: list[Step] = []
        while self.column[standing] >= 0:
            before = int(self.standing[standing])
            steps.append((before, int(self.column[standing])))
            standing = before
        return steps[::-1]


def starting(count: int, node: int) -> Indices:
    """Delays for `shortest` that start at `node` alone."""
    delays = np.full(count, UNREACHED, dtype=np.int32)
    delays[node] = 0
    return delays


def shortest(successor: Indices, delays: Indices, allowed: Mask | None = None) -> Ways:
    """Shortest ways along `allowed` steps from sources that have a length of their own already.

    `delays` [S] says how long each source took to reach, UNREACHED where there is none.
    """
    count = len(successor)
    depth = np.full(count, UNREACHED, dtype=np.int32)
    standing = np.full(count, -1, dtype=np.int32)
    column = np.full(count, -1, dtype=np.int32)
    sources = np.flatnonzero(delays != UNREACHED)
    sources = sources[np.argsort(delays[sources], kind="stable")]
    waiting = delays[sources]
    frontier = sources[:0]
    level = int(waiting[0]) if len(sources) else 0
    while len(frontier) or waiting[-1:] >= level:
        arriving = sources[np.searchsorted(waiting, level) : np.searchsorted(waiting, level + 1)]
        arriving = arriving[depth[arriving] == UNREACHED]
        depth[arriving] = level
        frontier = np.concatenate([frontier, arriving])
        level += 1
        reached = successor[frontier]
        usable = reached >= 0
        if allowed is not None:
            usable &= allowed[frontier]
        row, col = np.nonzero(usable)
        found = reached[row, col]
        fresh = depth[found] == UNREACHED
        row, col, found = row[fresh], col[fresh], found[fresh]
        nodes, first = np.unique(found, return_index=True)
        depth[nodes] = level
        standing[nodes] = frontier[row[first]]
        column[nodes] = col[first]
        frontier = nodes
    return Ways(depth, standing, column)


class Predecessors(NamedTuple):
    """Who leads to whom: the steps in the order of where they lead."""

    step: NDArray[np.int64]  # flat indices of steps
    begin: NDArray[np.int64]  # [S + 1]


def predecessors(successor: Indices, allowed: Mask | None = None) -> Predecessors:
    """Index the `allowed` steps by where they lead."""
    flat = successor.ravel()
    usable = flat >= 0
    if allowed is not None:
        usable &= allowed.ravel()
    step = np.flatnonzero(usable)
    step = step[np.argsort(flat[step], kind="stable")]
    begin = np.searchsorted(flat[step], np.arange(len(successor) + 1))
    return Predecessors(step, begin)


def _into(index: Predecessors, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The steps that lead to any of `nodes`."""
    lengths = index.begin[nodes + 1] - index.begin[nodes]
    offsets = np.repeat(index.begin[nodes] - np.cumsum(lengths) + lengths, lengths)
    result: NDArray[np.int64] = index.step[offsets + np.arange(len(offsets))]
    return result


def can_lead_to(successor: Indices, targets: Mask, allowed: Mask | None = None) -> Mask:
    """From which standings some continuation reaches one of `targets`, [S]."""
    index = predecessors(successor, allowed)
    result = targets.copy()
    frontier = np.flatnonzero(targets)
    while len(frontier):
        before = np.unique(_into(index, frontier) // successor.shape[1])
        frontier = before[~result[before]]
        result[frontier] = True
    return result


class Runs(NamedTuple):
    """How long steps of a kind can follow each other."""

    endless: Mask  # [S]: from here for ever
    longest: int  # steps of the longest run that ends


def runs(successor: Indices, allowed: Mask) -> Runs:
    """How long `allowed` steps can follow each other from each standing.

    Standings without such a step are peeled off again and again; what is left goes on for ever.
    """
    index = predecessors(successor, allowed)
    known = allowed & (successor >= 0)
    left = known.sum(axis=1)
    endless = np.ones(len(successor), dtype=np.bool_)
    frontier = np.flatnonzero(left == 0)
    longest = int((allowed & (successor < 0)).any())
    layer = 0
    while len(frontier):
        endless[frontier] = False
        steps = _into(index, frontier) // successor.shape[1]
        before, lost = np.unique(steps, return_counts=True)
        left[before] -= lost
        layer += 1
        frontier = before[left[before] == 0]
    # Peeled one layer after another, the last layer is at the start of the longest run.
    return Runs(endless, max(longest, layer - 1, 0))


def endless_fairly(successor: Indices, allowed: Mask, fair: Mask) -> Mask:
    """From which standings `allowed` steps can follow for ever with `fair` ones again and again."""
    endless = runs(successor, allowed).endless
    while True:
        inside = allowed & (successor >= 0) & endless[:, None] & endless[successor]
        often = np.asarray((inside & fair).any(axis=1))
        kept = endless & can_lead_to(successor, often, inside)
        if (kept == endless).all():
            return endless
        endless = kept


def lasso(successor: Indices, start: int, endless: Mask, allowed: Mask) -> tuple[list[Step], int]:
    """Steps from `start` that repeat from the returned position on, all `allowed` and `endless`."""
    seen: dict[int, int] = {}
    steps: list[Step] = []
    here = start
    while here not in seen:
        seen[here] = len(steps)
        onward = allowed[here] & (successor[here] >= 0) & endless[successor[here]]
        column = int(np.argmax(onward))
        steps.append((here, column))
        here = int(successor[here, column])
    return steps, seen[here]


def heaviest(successor: Indices, weight: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """The largest sum of `weight` [S, I] over `length` steps from each standing, [S]."""
    best = np.zeros(len(successor))
    for _ in range(length):
        best = (weight + np.where(successor >= 0, best[successor], 0.0)).max(axis=1)
    return best
