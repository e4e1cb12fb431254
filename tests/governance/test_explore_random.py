"""Made-up graphs: what the checker says can be reached is what the controller visits."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from small_graph import small

from institutional.governance.controller import blank_register, decide
from institutional.governance.explore.findings import check
from institutional.governance.explore.properties import sanctioning
from institutional.governance.explore.society import PAIR, alone, among_others, pair
from institutional.governance.explore.table import explore
from institutional.governance.explore.trace import replay
from institutional.governance.hypothetical import compile_on_paper
from institutional.governance.loading import load_graph, parse_graph
from institutional.governance.oracle import Finding

MARKETS = 200
ROUNDS = 10_000 // MARKETS
SMALL = range(40)


def made_up(seed):
    """A lawful graph with a few of everything, numbers small enough to be reached by chance."""
    rng = random.Random(seed)  # noqa: S311 - graphs are made up, not secrets
    names = ["s0", "s1", "s2", "s3"][: rng.randint(2, 4)]
    states = {n: {"status": rng.choice(["clear", "penalised"]), "meaning": n} for n in names}
    if rng.random() < 0.6:
        states[names[-1]]["restriction"] = {"suspended": True}
    evidence = {
        "high": {"meaning": "high", "when": {"signal": "level", "above": 5}},
        "calm": {"meaning": "calm", "when": {"signal": "level", "at_most": 2}},
        "odd": {"meaning": "odd", "when": {"signal": "shape", "above": 1}},
    }
    edges = []
    for number in range(rng.randint(2, 6)):
        edge = {"id": f"e{number}", "from": rng.choice(names), "to": rng.choice(names)}
        edge["when"] = [guard(rng) for _ in range(rng.randint(1, 2))]
        if rng.random() < 0.4:
            edge["require"] = [guard(rng)]
        if rng.random() < 0.4:
            edge["cooldown"] = rng.randint(1, 4)
        sanction = {}
        if rng.random() < 0.5:
            rates = sorted(rng.choices([0.1, 0.5, 1.0], k=rng.randint(1, 3)))
            sanction["fine"] = {"rates": rates, "of": "level"}
        if rng.random() < 0.4:
            sanction["credits"] = rng.choice([-1, -1, 1])
        edge["sanction"] = sanction
        edges.append(edge)
    answers = {
        norm: [e["id"] for e in edges if any(g.get("case") == norm for g in all_guards(e))]
        for norm in ("N1", "N2")
    }
    breached = {"N1": "high", "N2": {"all": ["odd", {"not": "calm"}]}}
    norms = {
        norm: {
            "who": "all",
            "deontic": "must_not",
            "aim": "be",
            "object": norm,
            "condition": "ever",
            "or_else": answers[norm] or ["e0"],
            "breached_by": breached[norm],
        }
        for norm in answers
    }
    restoration = {}
    if rng.random() < 0.7:
        earned = rng.sample(names, rng.randint(1, len(names)))
        credits_ = {"earn_after": rng.randint(1, 3), "cap": rng.randint(1, 2), "earned_in": earned}
        restoration["credits"] = credits_ | {"decay": rng.randint(1, 4)}
    if rng.random() < 0.5:
        restoration["forget_offences_after"] = rng.randint(1, 4)
    graph = {
        "format": "institutional.graph/1",
        "name": "made_up",
        "title": "made up",
        "source": f"seed {seed}",
        "environment": "levels",
        "initial": "s0",
        "states": states,
        "evidence": evidence,
        "norms": norms,
        "edges": edges,
        "restoration": restoration,
        "detection": {"rounds_with_a_suspension": rng.choice(["ignore", "ignore", "count"])},
    }
    return parse_graph(json.dumps(graph, indent=1).encode(), f"made_up_{seed}.yaml")


def all_guards(edge):
    return [*edge["when"], *edge.get("require", [])]


def guard(rng):
    return rng.choice(
        [
            {"case": rng.choice(["N1", "N2"])},
            {"case": "N1"},
            {"evidence": "calm"},
            {"rounds_in_state": rng.randint(1, 3)},
            {"clean_rounds": rng.randint(1, 3)},
            {"credits": 1},
            {"offences": rng.randint(1, 2)},
            {"streak": {"of": "N1", "rounds": rng.randint(1, 3)}},
        ]
    )


def visited(loaded, table, *, agents=1, others=False, rounds=ROUNDS, seed=0):
    """Simulate the controller on random inputs; codes after each round, [rounds, M, agents].

    Each market has its own habit of repeating the last input, so that streaks happen too.
    `others` spoils random rounds as suspended rivals would.
    """
    codes = []
    for round_, (_, _, register) in enumerate(
        simulated(loaded, table, agents=agents, others=others, rounds=rounds, seed=seed)
    ):
        codes.append(np.stack([encoded(table, register, s, round_ + 1) for s in range(agents)], 1))
    return np.array(codes)


def simulated(loaded, table, *, agents, others=False, rounds=ROUNDS, seed=0):
    """Findings, decisions and registers of `rounds` rounds in `MARKETS` markets."""
    rng = np.random.default_rng(seed)
    program = compile_on_paper(loaded, [f"a{seat}" for seat in range(agents)])
    register = blank_register(program, MARKETS)
    shape = (MARKETS, agents)
    habit = rng.uniform(0, 1, (MARKETS, 1))
    chosen = rng.integers(table.inputs.size, size=shape)
    for round_ in range(rounds):
        fresh = rng.integers(table.inputs.size, size=shape)
        chosen = np.where(rng.uniform(size=shape) < habit, chosen, fresh)
        counted = np.ones(MARKETS, dtype=bool)
        if table.ignores:
            counted &= ~program.suspended[register.state].any(axis=1)
            if others:
                counted &= rng.uniform(size=MARKETS) < 0.7
        kept = counted[:, None, None]
        evidence = np.moveaxis(table.inputs.evidence[chosen] & kept, 2, 0)
        breaches = np.moveaxis(table.inputs.breaches[chosen] & kept, 2, 0)
        values = tuple(np.zeros(shape) for _ in program.readings)
        finding = Finding(values, tuple(evidence), tuple(breaches), counted)
        register, decisions = decide(program, register, finding, round_)
        yield finding, decisions, register


def encoded(table, register, seat, next_round):
    column = [seat]
    one = register._replace(
        **{
            name: value[:, column]
            for name, value in register._asdict().items()
            if name not in {"streaks", "used"}
        },
        streaks=tuple(streak[:, column] for streak in register.streaks),
        used=tuple(used[:, column] for used in register.used),
    )
    return table.abstraction.encode(one, next_round)


@pytest.mark.parametrize("seed", range(60))
def test_the_controller_never_leaves_what_was_explored(seed):
    """One agent, one among others, and two agents, pair by pair."""
    loaded = made_up(seed)
    table = explore(compile_on_paper(loaded, ["a"]))
    assert table.exact or "credits" not in loaded.document.values["restoration"]
    single, wide, both = alone(table), among_others(table), pair(table)

    seen = visited(loaded, table)
    assert np.isin(seen, table.codes[single.reached]).all()
    if table.elsewhere:
        seen = visited(loaded, table, others=True)
    assert np.isin(seen, table.codes[wide.reached]).all()
    seen = visited(loaded, table, agents=2)
    first, second = (np.searchsorted(table.codes, seen[:, :, seat].ravel()) for seat in (0, 1))
    assert (table.codes[first] == seen[:, :, 0].ravel()).all()
    kinds = int(both.classes.max()) + 1
    known = both.standing.astype(np.int64) * kinds + both.other
    assert np.isin(first * kinds + both.classes[second], known).all()


def test_every_standing_said_to_be_reachable_is_visited_sooner_or_later():
    """Small graphs only: chance must have time enough to go everywhere."""
    compared = 0
    for seed in SMALL:
        loaded = made_up(seed)
        table = explore(compile_on_paper(loaded, ["a"]))
        reached = table.codes[alone(table).reached]
        if len(reached) > 120:
            continue
        seen = visited(loaded, table, rounds=200)
        start = table.codes[table.start]
        assert sorted({start, *seen.ravel().tolist()}) == reached.tolist(), seed
        compared += 1
    assert compared >= 15


@pytest.mark.parametrize("seed", range(100))
def test_every_counterexample_shows_its_fault_when_the_controller_replays_it(seed):
    loaded = made_up(seed)
    edges, states = loaded.graph.edges, loaded.graph.states
    fining = {edge.id for edge in edges if edge.sanction.fine}
    for violation in check(loaded).violations:
        if violation.trace is None:
            continue
        rounds, last = violation.trace.rounds, violation.trace.rounds[-1]
        accused = [any("/a/" in case for case in r.cases) for r in rounds]
        sanctioned = [
            r.moves.get("a") in fining or suspends(loaded, r.moves.get("a")) for r in rounds
        ]
        match violation.rule:
            case "M01":
                assert last.states["a"] == violation.place[1]
            case "M02":
                assert last.moves["a"] == edges[violation.place[1]].id
                assert sanctioned[-1]
                assert not accused[-1]
            case "M03":
                before = max(i for i in range(len(rounds) - 1) if sanctioned[i])
                assert sanctioned[-1]
                assert not any(accused[before + 1 :])
            case "M04":
                fines = [r.fines["a"] for r in rounds if "a" in r.fines]
                assert fines[-1] < fines[-2]
                assert last.standings[0]["offences"] >= 2
            case "M05":
                circle = rounds[violation.trace.repeats_from :]
                again = replay(loaded, [r.given for r in (*rounds, *circle, *circle)]).rounds
                standing = [r.states["a"] for r in again[violation.trace.repeats_from - 1 :]]
                assert all(states[name].restriction.suspended for name in standing)
            case rule:
                raise AssertionError(rule)


def suspends(loaded, edge_id):
    """Whether the edge suspends who was not suspended; made-up graphs have no caps."""
    suspended = {n for n, s in loaded.graph.states.items() if s.restriction.suspended}
    return any(
        edge.id == edge_id and edge.target in suspended and edge.source not in suspended
        for edge in loaded.graph.edges
    )


@pytest.mark.parametrize("seed", range(60))
def test_what_is_said_to_hold_is_not_seen_to_fail_among_three(seed):
    """M02 by chance: where no fault was reported, none of thousands of rounds has one."""
    loaded = made_up(seed)
    found = check(loaded)
    reported = {loaded.graph.edges[v.place[1]].id for v in found.violations if v.rule == "M02"}
    program = compile_on_paper(loaded, ["a", "b", "c"])
    sanctions = sanctioning(program)
    seen = set()
    for finding, decisions, _ in simulated(loaded, found.table, agents=3):
        accused = np.logical_or.reduce(finding.breaches)
        wrong = sanctions[decisions.move] & ~accused
        seen |= {program.moves[move].id for move in np.unique(decisions.move[wrong])}

    assert seen <= reported


def test_the_shipped_graph_with_every_counter_stays_inside_too():
    loaded = load_graph_of("cournot")
    table = explore(compile_on_paper(loaded, ["a"]))

    assert np.isin(visited(loaded, table), table.codes[alone(table).reached]).all()
    assert np.isin(visited(loaded, table, others=True), table.codes).all()
    assert np.isin(visited(loaded, table, agents=2), table.codes).all()


def test_two_agents_reach_more_than_one_and_less_than_one_among_any_others():
    table = explore(compile_on_paper(small(), ["a"]))
    both = pair(table)
    of_two = np.unique(both.standing)

    assert both.view == PAIR
    assert both.extent == "exact"
    assert alone(table).reached.sum() <= len(of_two) <= len(table.codes)


def load_graph_of(name):
    return load_graph(Path(__file__).parents[2] / "governance_graphs" / f"{name}.yaml")
