"""A graph small enough to work out by hand: two agents, one signal, every kind of edge."""

import numpy as np

from environments.contract import Signal
from institutional.governance.loading import LoadedGraph, parse_graph
from institutional.governance.program import Program, compile_graph

YAML = b"""
format: institutional.graph/1
name: small
title: Warn, fine, suspend
source: made up for the tests
environment: levels
parameters:
  limit: {value: 5, unit: level, source: chosen, note: where the signal becomes evidence}
initial: active
states:
  active: {status: clear, meaning: in good standing}
  warned: {status: under_review, meaning: warned}
  fined: {status: penalised, meaning: fined}
  out: {status: penalised, meaning: suspended, restriction: {suspended: true}}
  probation: {status: rehabilitated, meaning: on probation, restriction: {cap: 0.5}}
evidence:
  high:
    meaning: the level has been high
    when: {signal: level, above: $limit, for: {at_least: 2, of: 3}}
  calm:
    meaning: the level is low
    when: {signal: level, at_most: 2}
norms:
  N1:
    who: everybody
    deontic: must_not
    aim: hold
    object: a high level
    condition: in two of three rounds
    or_else: [warn, fine, suspend, fine_again]
    breached_by: high
edges:
  - {id: warn, from: active, to: warned, when: [{case: N1}], sanction: {notice: Come down.}}
  - id: fine
    from: warned
    to: fined
    when: [{case: N1}]
    sanction: {fine: {rates: [0.5, 1.0], of: level, floor: 3}}
  - id: suspend
    from: fined
    to: out
    when: [{case: N1}]
    require: [{streak: {of: N1, rounds: 4}}, {offences: 2}]
  - id: fine_again
    from: fined
    to: fined
    when: [{case: N1}]
    cooldown: 2
    sanction: {fine: {rates: [0.5, 1.0], of: level, floor: 3}}
  - id: redeem
    from: fined
    to: probation
    when: [{credits: 1}]
    require: [{evidence: calm}]
    sanction: {credits: -1}
  - {id: lapse, from: warned, to: active, when: [{rounds_in_state: 3}]}
  - {id: return, from: out, to: active, when: [{rounds_in_state: 2}]}
  - {id: end, from: probation, to: active, when: [{clean_rounds: 1}]}
restoration:
  credits: {earn_after: 2, cap: 2, decay: 4, earned_in: [fined]}
  forget_offences_after: 6
"""

AGENTS = ("ann", "bob")


def level(now, before):  # noqa: ARG001 - a signal sees two records
    return now["levels"]


SIGNALS = {"level": Signal(level, "level", 0.0, 10.0, "how high an agent stands")}


def small(yaml: bytes = YAML) -> LoadedGraph:
    return parse_graph(yaml, "small.yaml")


def program(yaml: bytes = YAML) -> Program:
    return compile_graph(small(yaml), agents=AGENTS, signals=SIGNALS)


def record(*levels: float) -> dict:
    """The public record of one round in one market."""
    return {"levels": np.array([levels], dtype=float)}
