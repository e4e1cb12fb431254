"""Lint: what can be said of a governance graph without playing a round of it.

`lint` runs every row of `LINTS`; a new rule is a function that yields hits and a row beside it, in
the module of its subject. Nothing here raises on a graph that loading accepts.
"""

from collections.abc import Mapping, Sequence

from institutional.governance.check import costs, evidence, moves, states
from institutional.governance.check.findings import Finding, Rule, finding, ordered
from institutional.governance.check.subject import Bounded, Lint, Subject
from institutional.governance.loading import LoadedGraph

LINTS: tuple[Lint, ...] = (*states.LINTS, *moves.LINTS, *costs.LINTS, *evidence.LINTS)
RULES: tuple[Rule, ...] = tuple(row.rule for row in LINTS)
NEED_AN_ENVIRONMENT = frozenset({"L32"})
"""Rules that are not looked for where no market is known."""


def lint(
    loaded: LoadedGraph,
    *,
    signals: Mapping[str, Bounded] | None = None,
    thresholds: Sequence[Sequence[float]] | None = None,
) -> list[Finding]:
    """Every finding of every lint rule, in the order of the document.

    `signals` are those of a market that has every signal the graph names; `thresholds` are the
    ones in force there (`Program.thresholds`), without which relative ones are not judged.
    """
    subject = Subject(loaded, signals, thresholds)
    return ordered(
        finding(row.rule, loaded.document, *hit) for row in LINTS for hit in row.hits(subject)
    )
