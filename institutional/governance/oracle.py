"""The oracle: public records to signals, evidence and breaches. It detects and never punishes.

Pure functions over arrays with a leading markets axis. A window is the bits of one word per agent:
shifting in the newest round costs the same however long the window is.

Shapes: M markets, N agents.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from institutional.governance.program import Array, Expression, Probe, Program, Record

Mask = NDArray[np.bool_]
Bits = NDArray[np.uint64]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "above": np.greater,
    "at_least": np.greater_equal,
    "below": np.less,
    "at_most": np.less_equal,
}
_ONE = np.uint64(1)


class Memory(NamedTuple):
    """What the oracle remembers between rounds: one word of past comparisons per probe."""

    hits: tuple[Bits, ...]  # per probe [M, N]; bit 0 is the newest counted round


class Finding(NamedTuple):
    """What the oracle found in one round."""

    values: tuple[Array, ...]  # per reading [M, N]
    evidence: tuple[Mask, ...]  # per evidence [M, N]
    breaches: tuple[Mask, ...]  # per norm [M, N]; each true entry is a case
    counted: Mask  # [M]; False where the round is ignored


def blank_memory(program: Program, markets: int) -> Memory:
    """Return the memory before the first round."""
    shape = (markets, len(program.agents))
    return Memory(tuple(np.zeros(shape, dtype=np.uint64) for _ in program.probes))


def drawn(lotteries: Bits, agents: int, round_: int, share: float) -> Mask:
    """Whom the lot falls on in the round when it does on each agent with chance `share`, [M, N].

    `lotteries` [M] is a word per market. The draw is a hash of word, round and agent (the finaliser
    of splitmix64, Steele et al. 2014): no state, the same on every machine and for every M.
    """
    with np.errstate(over="ignore"):
        counter = np.uint64(round_) * np.uint64(agents) + np.arange(1, agents + 1, dtype=np.uint64)
        word = lotteries[:, np.newaxis] + counter * np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        word = word ^ (word >> np.uint64(31))
    chosen: Mask = (word >> np.uint64(11)).astype(np.float64) < share * 2.0**53
    return chosen


def observe(
    program: Program,
    memory: Memory,
    now: Record,
    before: Record,
    *,
    suspended: Mask,
    round_: int,
    lotteries: Bits,
) -> tuple[Memory, Finding]:
    """Read the public records of this round and the last; return new memory and the finding.

    `suspended` [M, N] says who was suspended during the round. In a round that does not count,
    nothing in that market is evidence and the windows do not move. `lotteries` [M], a word per
    market, decides what the graph leaves to chance.
    """
    values = tuple(reading.function(now, before) for reading in program.readings)
    counted = counts(program, suspended, round_)
    everywhere = bool(counted.all())
    hits, past = [], []
    for probe, old in zip(program.probes, memory.hits, strict=True):
        now_past = compared(probe, values[probe.reading])
        if probe.at_least == 1:  # nothing to remember
            hits.append(old)
            past.append(now_past)
            continue
        new = (old << _ONE) | now_past
        hits.append(new if everywhere else np.where(counted[:, None], new, old))
        past.append(_sustained(probe, now_past, new))
    evidence, breaches = concluded(program, past)
    breaches = _by_chance(program, breaches, lotteries, round_)
    evidence, breaches = attributed(program, evidence, breaches)
    if not everywhere:
        evidence = [true & counted[:, None] for true in evidence]
        breaches = tuple(true & counted[:, None] for true in breaches)
    return Memory(tuple(hits)), Finding(values, tuple(evidence), breaches, counted)


def counts(program: Program, suspended: Mask, round_: int) -> Mask:
    """Whether the round counts in each market where `suspended` [M, N] may not act, [M]."""
    detection = program.loaded.graph.detection
    if round_ < detection.from_round:
        return np.zeros(len(suspended), dtype=np.bool_)
    if detection.rounds_with_a_suspension == "ignore":
        free: Mask = ~np.any(suspended, axis=1, keepdims=False)
        return free
    return np.ones(len(suspended), dtype=np.bool_)


def found_of(program: Program, seat: int) -> int:
    """The seat of the agent whose conduct is held against the one in `seat`."""
    if program.loaded.graph.detection.attribution == "own":
        return seat
    return (seat - 1) % len(program.agents)


def attributed(
    program: Program, evidence: list[Mask], breaches: tuple[Mask, ...]
) -> tuple[list[Mask], tuple[Mask, ...]]:
    """What was found of each agent, [M, N] each, under the one it is held against."""
    seats = [found_of(program, seat) for seat in range(len(program.agents))]
    if seats == sorted(seats):
        return evidence, breaches
    return [found[:, seats] for found in evidence], tuple(found[:, seats] for found in breaches)


def _by_chance(
    program: Program, breaches: tuple[Mask, ...], lotteries: Bits, round_: int
) -> tuple[Mask, ...]:
    """The breaches that are cases, once the lottery has had its say."""
    detection, agents, norms = program.loaded.graph.detection, len(program.agents), len(breaches)
    if detection.by_lot is not None and norms:
        # A place in the lottery for each norm and agent: independent of each other.
        lots = drawn(lotteries, agents * norms, round_, detection.by_lot)
        return tuple(np.split(lots, norms, axis=1))
    if detection.audit_share < 1:
        looked_at = drawn(lotteries, agents, round_, detection.audit_share)
        return tuple(true & looked_at for true in breaches)
    return breaches


def grounds(program: Program, finding: Finding, market: int, seat: int) -> list[str]:
    """The names of the evidence that a case against the agent in `seat` rests on."""
    if program.loaded.graph.detection.by_lot is not None:
        return []
    found = zip(program.evidence_names, finding.evidence, strict=True)
    return [name for name, true in found if true[market, seat]]


def compared(probe: Probe, values: Array) -> Mask:
    """Whether a reading's `values` [M, N] are past the probe's threshold."""
    past: Mask = _COMPARE[probe.operator](values, probe.threshold)
    return past


def concluded(program: Program, past: list[Mask]) -> tuple[list[Mask], tuple[Mask, ...]]:
    """The evidence and the breaches that follow where each probe holds as in `past`."""
    evidence: list[Mask] = []
    for expression in program.evidence:
        evidence.append(truth(expression, past, evidence))
    return evidence, tuple(truth(expression, past, evidence) for expression in program.norms)


def _sustained(probe: Probe, now_past: Mask, hits: Bits) -> Mask:
    """Past the threshold now, and in `at_least` of the last `of` rounds.

    Without the first condition an agent that stopped would be found at fault for rounds already
    answered.
    """
    window = np.uint64((1 << probe.of) - 1)
    enough: Mask = np.bitwise_count(hits & window) >= probe.at_least
    return now_past & enough


def truth(expression: Expression, probes: list[Mask], evidence: list[Mask]) -> Mask:
    """Evaluate `expression` where probes and earlier evidence hold as given, [M, N] each."""
    kind, content = expression
    match kind:
        case "probe":
            return probes[content]
        case "evidence":
            return evidence[content]
        case "not":
            return ~truth(content, probes, evidence)
    parts = [truth(part, probes, evidence) for part in content]
    result = parts[0]
    for part in parts[1:]:
        result = result & part if kind == "all" else result | part
    return result
