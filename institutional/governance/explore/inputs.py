"""What the oracle may find against one agent in a round, as far as the graph can tell it apart.

Every comparison that a norm or a guard depends on is free to hold or not, limited only by
arithmetic: a signal above 5 is not at most 2. Where only a share is audited, breaches may also go
unseen; where cases fall by lot, they do whatever the evidence. Assignments that give the same cases
and the same evidence in guards are one input; the one with the least evidence stands for it.

Shapes: I inputs.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from institutional.errors import InstitutionalError
from institutional.governance.explore.abstraction import facts_of, predicates_of
from institutional.governance.hypothetical import givable
from institutional.governance.loading import comparisons
from institutional.governance.oracle import Finding, Mask, truth
from institutional.governance.program import Expression, Program
from institutional.governance.schema import Comparison

MOST_COMPARISONS = 16


class Inputs(NamedTuple):
    """The inputs of a round that counts; the first is the one with the least evidence."""

    evidence: Mask  # [I, evidence of the graph]
    breaches: Mask  # [I, norms]
    looked_at: Mask  # [I]; False where the graph audits only a share and breaches go unseen

    @property
    def size(self) -> int:
        """I."""
        return len(self.evidence)

    def names(self, program: Program, index: int) -> tuple[str, ...]:
        """The evidence that holds in input `index`, and the norms whose lot falls."""
        held = np.append(self.evidence[index], self.breaches[index])
        return tuple(
            n for n, true in zip(givable(program.loaded.graph), held, strict=False) if true
        )

    def finding(self, program: Program, chosen: np.ndarray, counted: Mask) -> Finding:
        """The finding [S, 1] in which market s has input `chosen[s]`, nothing where uncounted."""
        kept = counted[:, None]
        evidence = self.evidence[chosen] & kept
        breaches = self.breaches[chosen] & kept
        nothing = np.zeros((len(chosen), 1))
        return Finding(
            values=tuple(nothing for _ in program.readings),
            evidence=tuple(evidence[:, [i]] for i in range(evidence.shape[1])),
            breaches=tuple(breaches[:, [i]] for i in range(breaches.shape[1])),
            counted=counted,
        )


def inputs_of(program: Program) -> Inputs:
    """Return every input that `program` can tell apart."""
    graph = program.loaded.graph
    seen_evidence, _ = _seen(program)
    relevant: set[int] = set()
    norms = () if graph.detection.by_lot is not None else program.norms
    for expression in (*norms, *(program.evidence[i] for i in seen_evidence)):
        relevant |= set(_probes(program, expression))
    probes = _assignments(program, sorted(relevant))
    rows = len(probes)
    held = [probes[:, [i]] for i in range(probes.shape[1])]
    evidence: list[Mask] = []
    for expression in program.evidence:
        evidence.append(truth(expression, held, evidence))
    breaches = [truth(expression, held, evidence) for expression in program.norms]
    all_evidence = np.hstack([np.zeros((rows, 0), dtype=np.bool_), *evidence])
    all_breaches = np.hstack([np.zeros((rows, 0), dtype=np.bool_), *breaches])
    if graph.detection.by_lot is not None:
        lots = _lots(len(program.norms), graph.detection.by_lot)
        all_evidence = np.repeat(all_evidence, len(lots), axis=0)
        all_breaches = np.tile(lots, (rows, 1))
    looked_at = np.ones(len(all_evidence), dtype=np.bool_)
    if graph.detection.audit_share < 1:
        all_evidence = np.vstack([all_evidence, all_evidence])
        all_breaches = np.vstack([all_breaches, np.zeros_like(all_breaches)])
        looked_at = np.append(looked_at, ~looked_at)
    order = np.lexsort([all_evidence.sum(axis=1), ~looked_at])
    all_evidence, all_breaches = all_evidence[order], all_breaches[order]
    looked_at = looked_at[order]
    visible = told_apart(program, all_evidence, all_breaches)
    _, first = np.unique(visible, axis=0, return_index=True)
    first.sort()
    return Inputs(all_evidence[first], all_breaches[first], looked_at[first])


def _lots(norms: int, chance: float) -> Mask:
    """On which norms the lot may fall, [L, norms]; on none first, if that may be."""
    if norms > MOST_COMPARISONS:
        raise InstitutionalError(f"the lots of {norms} norms are too many to be explored")
    rows = np.arange(1 << norms)
    lots: Mask = (rows[:, None] >> np.arange(norms) & 1).astype(np.bool_)
    if chance in {0, 1}:
        return lots[:1] if chance == 0 else lots[-1:]
    return lots


def told_apart(program: Program, evidence: Mask, breaches: Mask) -> Mask:
    """What of a finding the graph can tell from another, [I, .]; equal rows are one input."""
    seen_evidence, seen_norms = _seen(program)
    return np.hstack(
        [breaches.any(axis=1, keepdims=True), breaches[:, seen_norms], evidence[:, seen_evidence]]
    )


def _seen(program: Program) -> tuple[list[int], list[int]]:
    """The evidence and the norms that a guard or a declared property asks for, ascending."""
    guards = [c for move in program.moves for c in (*move.when, *move.require)]
    facts = list(facts_of(predicates_of(program.loaded.graph)))
    evidence = {c.subject for c in guards if c.kind == "evidence"}
    evidence |= {program.evidence_names.index(f.evidence) for f in facts if f.evidence}
    norms = {c.subject for c in guards if c.kind in {"case", "streak"}}
    norms |= {program.norm_names.index(fact.case) for fact in facts if fact.case}
    return sorted(evidence), sorted(norms)


def _probes(program: Program, expression: Expression) -> Iterator[int]:
    kind, content = expression
    match kind:
        case "probe":
            yield content
        case "evidence":
            yield from _probes(program, program.evidence[content])
        case "not":
            yield from _probes(program, content)
        case _:
            for part in content:
                yield from _probes(program, part)


def _assignments(program: Program, relevant: list[int]) -> Mask:
    """Which comparisons may hold together, [rows, probes]; those that matter to nobody do not."""
    if len(relevant) > MOST_COMPARISONS:
        raise InstitutionalError(
            f"{program.loaded.document.path}: norms and guards depend on {len(relevant)} "
            f"comparisons; at most {MOST_COMPARISONS} can be explored\n"
            "  split the graph, or test it with given evidence instead (graph test)"
        )
    rows = np.arange(1 << len(relevant))
    table = np.zeros((len(rows), len(program.probes)), dtype=np.bool_)
    for bit, probe in enumerate(relevant):
        table[:, probe] = rows >> bit & 1 == 1
    written = [comparison for _, comparison in comparisons(program.loaded.graph)]
    groups: dict[object, list[int]] = {}
    for probe in relevant:
        read = written[probe]
        key = (read.signal, tuple(sorted(read.with_.items())), read.relative_to)
        groups.setdefault(key, []).append(probe)
    possible: Mask = np.ones(len(rows), dtype=np.bool_)
    for group in groups.values():
        possible &= _some_value_fits(table, group, written)
    return table[possible]


def _some_value_fits(table: Mask, group: list[int], written: list[Comparison]) -> Mask:
    """Whether one value of a signal makes true what a row says; a window may hold back the rest."""
    limits = np.unique([written[probe].threshold for probe in group])
    between = (limits[1:] + limits[:-1]) / 2
    values = np.concatenate([[limits[0] - 1], limits, between, [limits[-1] + 1]])
    fits = np.ones((len(table), len(values)), dtype=np.bool_)
    for probe in group:
        comparison = written[probe]
        past = _PAST[comparison.operator](values, comparison.threshold)
        said = table[:, [probe]]
        fits &= ~said | past
        if comparison.window.at_least == 1:
            fits &= said | ~past
    return np.asarray(fits.any(axis=1))


_PAST = {
    "above": np.greater,
    "at_least": np.greater_equal,
    "below": np.less,
    "at_most": np.less_equal,
}
