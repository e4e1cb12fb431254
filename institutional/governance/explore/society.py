"""One agent alone, two agents of one market, or one agent among any number of others.

Agents of a market meet in one place only: a round with a suspension counts for nobody. So the
second agent matters only by when it is suspended, and standings of it that can never be told apart
by that are one (a bisimulation); this keeps two agents exact where the plain product is too large.
A third view lets any round be spoilt by others: it contains every history in a market of any
size, so what holds there holds everywhere; what fails there is looked for in the other two.

Shapes: P nodes of a system with J steps each; S standings and I columns of the table.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from institutional.governance.explore.search import Mask, Step, shortest, starting
from institutional.governance.explore.table import LIMIT, UNKNOWN, Indices, Table

MOST_REFINEMENTS = 200
"""A suspension of hundreds of rounds takes as many; every standing is then its own class."""

ALONE, PAIR, ANY = "one agent", "two agents", "any number of agents"


class Given(NamedTuple):
    """What is found against one agent in one round."""

    evidence: tuple[str, ...]
    looked_at: bool = True


NOTHING = Given(())


def given_by(table: Table, column: int) -> Given:
    """Input `column` of `table` in words."""
    names = table.inputs.names(table.program, column)
    return Given(names, bool(table.inputs.looked_at[column]))


@dataclass(frozen=True)
class System:
    """A graph of nodes, each of which contains one standing of the agent that is looked at."""

    table: Table
    view: str
    successor: Indices  # [P, J], -1 where there is no such step or it was not followed
    start: int
    standing: Indices  # [P], into the table
    column: Indices  # [P, J], the agent's column; -1 where there is no such step
    other: Indices  # [P], class of the second agent; 0 without one
    classes: Indices  # [S], class of each standing as a second agent
    unknown: Mask  # [P], some step was not followed
    exact: bool

    @property
    def reached(self) -> Mask:
        """Which nodes can be reached from the start, [P]."""
        return shortest(self.successor, starting(len(self.successor), self.start)).reached

    @property
    def own_choice(self) -> Mask:
        """Steps that need no other agent's suspension, [P, J]; all of them where others are seen.

        In the wide view a continuation must not rely on others.
        """
        if self.view != ANY:
            return np.ones(self.column.shape, dtype=np.bool_)
        own = self.nodes(self.table.own)
        return np.asarray((self.column < self.table.inputs.size) | own[:, None])

    @property
    def recurring(self) -> Mask:
        """Steps of which every endless history has some, [P, J].

        Others cannot spoil every round for ever where suspensions end (M05) and begin in rounds
        that count; where one can begin in a spoilt round, nothing is assumed.
        """
        successor, size = self.table.successor, self.table.inputs.size
        begins = (successor >= 0) & self.table.own[successor] & ~self.table.own[:, None]
        if begins[:, size:].any():
            return np.ones(self.column.shape, dtype=np.bool_)
        return self.own_choice

    @property
    def extent(self) -> str:
        """`exact`, or `bounded: k` when only k nodes were followed."""
        return "exact" if self.exact else f"bounded: {len(self.successor)}"

    def steps(self, mask: Mask) -> Mask:
        """Lift `mask` over the table's steps [S, I] to this system's, [P, J]."""
        if mask.shape == self.column.shape and self.view != PAIR:
            return mask & (self.column >= 0)
        lifted: Mask = mask[self.standing[:, None], self.column]
        return lifted & (self.column >= 0)

    def nodes(self, mask: Mask) -> Mask:
        """Lift `mask` over standings [S] to nodes, [P]."""
        lifted: Mask = mask[self.standing]
        return lifted

    def given(self, steps: list[Step]) -> list[dict[str, Given]]:
        """What each round must find to take the agents along `steps` from the start."""
        table = self.table
        count = table.inputs.size
        second = table.start
        rounds = []
        for node, step in steps:
            column = int(self.column[node, step])
            spoilt = table.ignores and (column == count or bool(self.nodes(table.own)[node]))
            round_ = {"a": NOTHING if spoilt else given_by(table, column)}
            if self.view == PAIR:
                wanted = self.other[self.successor[node, step]]
                ways = [table.columns - 1] if self._spoilt(node) else range(count)
                reached = table.successor[second]
                onward = next(
                    way
                    for way in ways
                    if reached[way] >= 0 and self.classes[reached[way]] == wanted
                )
                round_["b"] = NOTHING if onward == count else given_by(table, onward)
                second = int(table.successor[second, onward])
            rounds.append(round_)
        return rounds

    def _spoilt(self, node: int) -> bool:
        suspended = self.table.own
        other = suspended[np.argmax(self.classes == self.other[node])]
        return self.table.ignores and bool(suspended[self.standing[node]] or other)


def alone(table: Table) -> System:
    """The agent of `table` in a market of its own."""
    column = _columns(table)
    column[:, table.inputs.size :] = -1
    successor = np.where(column >= 0, table.successor, np.int32(-1))
    return _single(table, ALONE, successor, column)


def among_others(table: Table) -> System:
    """The agent of `table` in a market of any size: others may spoil any round."""
    return _single(table, ANY, table.successor, _columns(table))


def _columns(table: Table) -> Indices:
    return np.tile(np.arange(table.columns, dtype=np.int32), (len(table.codes), 1))


def _single(table: Table, view: str, successor: Indices, column: Indices) -> System:
    zeros = np.zeros(len(table.codes), dtype=np.int32)
    standing = np.arange(len(table.codes), dtype=np.int32)
    unknown = ((successor == UNKNOWN) & (column >= 0)).any(axis=1)
    return System(
        table=table,
        view=view,
        successor=successor,
        start=table.start,
        standing=standing,
        column=column,
        other=zeros,
        classes=zeros,
        unknown=unknown,
        exact=table.exact,
    )


def second_agents(table: Table) -> tuple[Indices, Indices]:
    """Classes of standings that spoil the same rounds for others, [S]; one member of each.

    Refined until every member of a class can go to the same classes: in a round that counts by
    some input, in a spoilt one by the only way there is.
    """
    count = table.inputs.size
    classes = table.own.astype(np.int32)
    found = 0
    for _ in range(MOST_REFINEMENTS):
        known = np.where(table.successor >= 0, classes[table.successor], np.int32(UNKNOWN))
        ways = np.sort(known[:, :count], axis=1)
        ways[:, 1:][ways[:, 1:] == ways[:, :-1]] = -2
        ways.sort(axis=1)
        rows = np.column_stack([classes, ways, known[:, count:]])
        _, members, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        classes = inverse.ravel().astype(np.int32)
        if len(members) == found:
            return classes, members.astype(np.int32)
        found = len(members)
    everyone = np.arange(len(table.codes), dtype=np.int32)
    return everyone, everyone


def pair(table: Table, *, limit: int = LIMIT) -> System:
    """Follow two agents of one market; the first is looked at, the second up to its class."""
    classes, members = second_agents(table)
    count, kinds = table.inputs.size, len(members)
    other_own = table.own[members]
    onward = np.where(
        table.successor[members] >= 0, classes[table.successor[members]], np.int32(UNKNOWN)
    )
    spoilt_column = table.columns - 1 if table.elsewhere else 0
    steps = np.arange(count * count)
    first, second = steps // count, steps % count

    def follow(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], Indices]:
        mine, theirs = codes // kinds, codes % kinds
        spoilt = table.ignores & (table.own[mine] | other_own[theirs])
        column = np.tile(first.astype(np.int32), (len(codes), 1))
        column[spoilt] = -1
        column[spoilt, 0] = spoilt_column
        a = table.successor[mine[:, None], first].astype(np.int64)
        b = onward[theirs[:, None], second].astype(np.int64)
        a[spoilt, 0] = table.successor[mine[spoilt], spoilt_column]
        b[spoilt, 0] = onward[theirs[spoilt], spoilt_column]
        reached = np.where((a >= 0) & (b >= 0) & (column >= 0), a * kinds + b, -1)
        return reached, column

    known = np.array([table.start * kinds + int(classes[table.start])], dtype=np.int64)
    frontier = known if len(table.codes) else known[:0]
    layers, successors, columns = [known[:0]], [], []
    while len(frontier) and len(known) <= limit:
        reached, column = follow(frontier)
        layers.append(frontier)
        successors.append(reached)
        columns.append(column)
        found = np.unique(reached)
        found = found[found >= 0]
        place = np.searchsorted(known, found)
        fresh = known[np.minimum(place, len(known) - 1)] != found
        frontier = found[fresh]
        known = np.insert(known, place[fresh], frontier)
    codes = np.concatenate(layers)
    order = np.argsort(codes)
    codes = codes[order]
    followed = np.concatenate(successors)[order]
    column = np.concatenate(columns)[order]
    successor = np.minimum(np.searchsorted(codes, followed), len(codes) - 1)
    successor = np.where(codes[successor] == followed, successor, UNKNOWN).astype(np.int32)
    return System(
        table=table,
        view=PAIR,
        successor=successor,
        start=int(np.searchsorted(codes, layers[1][0])),
        standing=(codes // kinds).astype(np.int32),
        column=column,
        other=(codes % kinds).astype(np.int32),
        classes=classes,
        unknown=((successor == UNKNOWN) & (column >= 0)).any(axis=1),
        exact=table.exact and not len(frontier),
    )
