"""The model checker: counts worked out by hand, one seeded fault per rule, replayed traces."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from small_graph import YAML as SMALL
from small_graph import small

from institutional.errors import InstitutionalError
from institutional.governance.explore.findings import check, findings_of
from institutional.governance.explore.search import (
    UNREACHED,
    can_lead_to,
    endless_fairly,
    heaviest,
    runs,
    shortest,
)
from institutional.governance.explore.society import Given, alone, pair
from institutional.governance.explore.table import explore
from institutional.governance.explore.trace import replay, trace_as_policy_test
from institutional.governance.hypothetical import compile_on_paper
from institutional.governance.loading import load_graph, parse_graph

GRAPHS = Path(__file__).parents[2] / "governance_graphs"
COURNOT = (GRAPHS / "cournot.yaml").read_bytes()

TINY = """
format: institutional.graph/1
name: tiny
title: tiny
source: made up for the tests
environment: levels
initial: active
states:
  active: {status: clear, meaning: in good standing}
  warned: {status: under_review, meaning: warned}
evidence:
  high: {meaning: high, when: {signal: level, above: 5}}
norms:
  N1:
    who: all
    deontic: must_not
    aim: be
    object: high
    condition: ever
    or_else: [ANSWERS]
    breached_by: high
edges:
  - {id: warn, from: active, to: warned, when: [{case: N1}]}
"""


def tiny(*lines):
    answers = [re.search(r"id: (\w+)", line)[1] for line in lines if "case: N1" in line]
    text = TINY.replace("ANSWERS", ", ".join(["warn", *answers])) + "\n".join(lines) + "\n"
    return parse_graph(text.encode(), "tiny.yaml")


def table(loaded, **limits):
    return explore(compile_on_paper(loaded, ["a"]), **limits)


def declared(claim, yaml=SMALL):
    """The small graph with one property."""
    text = f"properties:\n  - {{id: C1, meaning: a claim, {claim}}}\n"
    return small(yaml + text.encode())


def edited(yaml, old, new):
    assert old in yaml
    return yaml.replace(old, new)


def rules(loaded):
    return {violation.rule for violation in findings_of(loaded)}


def first(loaded, rule):
    return next(v for v in findings_of(loaded) if v.rule == rule)


# Counts


def test_active_and_three_rounds_of_warning_are_four_standings():
    """Warned for 0, 1 or 2 rounds; in the third it lapses. Nothing else is ever asked."""
    found = table(tiny("  - {id: lapse, from: warned, to: active, when: [{rounds_in_state: 3}]}"))

    assert len(found.codes) == 4
    assert found.extent == "exact"


def test_clean_rounds_count_in_both_states_up_to_what_the_exit_asks():
    """Active with 0, 1, 2 clean rounds; warned with 0 or 1, for the second is the exit."""
    found = table(tiny("  - {id: exit, from: warned, to: active, when: [{clean_rounds: 2}]}"))

    assert len(found.codes) == 5


def test_a_cooldown_of_three_rounds_has_three_remainders():
    """Active; warned: never used, used 1 and 2 rounds ago. At 3 it is free, as if never used."""
    found = table(
        tiny("  - {id: again, from: warned, to: warned, when: [{case: N1}], cooldown: 3}")
    )

    assert len(found.codes) == 1 + 3


def test_credits_have_an_age_only_while_there_are_any():
    """Warned with none, or with one that is new, one or two rounds old; at three it lapses."""
    credits_ = "restoration: {credits: {earn_after: 2, cap: 1, decay: 3, earned_in: [warned]}}"
    spend = "  - {id: spend, from: warned, to: warned, when: [{credits: 1}, {case: N1}]}"
    found = table(tiny(spend, credits_))
    digits = found.abstraction.digits(found.codes)
    balance, age = digits[3], digits[4]

    assert set(age[balance == 0].tolist()) == {0}
    assert set(age[balance == 1].tolist()) == {0, 1, 2}


def test_a_credit_given_after_long_idleness_lapses_at_once():
    """The controller dates a balance from its last earning or lapse, and this purse was empty."""
    claim = "{all: [{credits: {at_least: 1}}, {not: {move: [again]}}]}"
    late = "when: [{case: N1}, {rounds_in_state: 5}], sanction: {credits: 1}"
    yaml = TINY.replace(
        "\nevidence:", "\n  gone: {status: clear, meaning: never reached}\nevidence:"
    )
    lines = [
        f"  - {{id: again, from: warned, to: warned, {late}}}",
        "restoration: {credits: {earn_after: 2, cap: 1, decay: 4, earned_in: [gone]}}",
        f"properties: [{{id: C1, meaning: it never lasts, never: {claim}}}]",
    ]
    text = yaml.replace("ANSWERS", "warn, again") + "\n".join(lines)

    assert "M07" not in rules(parse_graph(text.encode(), "tiny.yaml"))


def test_evidence_and_its_opposite_are_two_inputs():
    """Above 5, or at most 5."""
    low = "  low: {meaning: low, when: {signal: level, at_most: 5}}\nnorms:"
    text = TINY.replace("norms:", low).replace("ANSWERS", "warn")
    text += "  - {id: exit, from: warned, to: active, when: [{evidence: low}]}\n"

    assert table(parse_graph(text.encode(), "tiny.yaml")).inputs.size == 2


def test_evidence_that_arithmetic_excludes_is_no_input():
    """The level is above 5, at most 2, or neither: three inputs, not four."""
    assert table(small()).inputs.size == 3


def test_a_limit_is_told_and_what_lies_beyond_raises_no_alarm():
    loaded = parse_graph(COURNOT, "cournot.yaml")
    report = check(loaded, limit=100)

    assert re.fullmatch(r"bounded: \d+", report.extent)
    assert [v.rule for v in report.violations] == ["M00"]


def test_a_balance_without_a_cap_is_bounded():
    give = "  - {id: again, from: warned, to: warned, when: [{case: N1}], sanction: {credits: 1}}"
    spend = (
        "  - {id: exit, from: warned, to: active, when: [{credits: 2}], sanction: {credits: -1}}"
    )

    assert table(tiny(give, spend)).extent.startswith("bounded")


def test_an_audit_that_looks_elsewhere_is_an_input_where_guards_see_the_evidence():
    """Evidence high without a case: only with audits, and the trace says that nobody looked."""
    shares = b"detection: {audit_share: 0.5}\n"
    claim = "never: {all: [{evidence: high}, {not: {case: N1}}]}"
    loaded = declared(claim, SMALL + shares)
    violation = first(loaded, "M07")

    assert findings_of(declared(claim)) == []
    assert table(loaded).inputs.size == 4
    assert "a: high (unseen)" in str(violation.trace)
    assert violation.trace.rounds[-1].cases == ()
    with pytest.raises(InstitutionalError, match="no audit looks at"):
        trace_as_policy_test(loaded, violation.trace, name="no", graph="small.yaml")


def test_numbers_beyond_all_reason_end_in_a_bound_and_not_in_a_wait():
    """A million rounds of warning: the walk stops after a fixed amount of work, always the same."""
    lapse = "  - {id: lapse, from: warned, to: active, when: [{rounds_in_state: 1000000}]}"

    assert re.fullmatch(r"bounded: \d+", check(tiny(lapse)).extent)


def test_too_many_counters_to_number_the_standings_are_told():
    edge = "  - {{id: e{0}, from: warned, to: warned, when: [{{case: N1}}], cooldown: 9{0}}}"
    report = check(tiny(*(edge.format(number) for number in range(12))))

    assert report.extent == "bounded: 0"
    assert report.facts is None
    assert [v.rule for v in report.violations] == ["M00"]


def test_a_hundred_thousand_standings_are_a_matter_of_a_second():
    larger = {"suspension_streak": 12, "suspension_offences": 5, "credit_decay": 24}
    larger |= {"credit_cap": 5, "credit_earned_after": 3, "fine_cooldown": 5}
    text = COURNOT.decode()
    for name, value in (larger | {"record_cleared_after": 24}).items():
        text = re.sub(rf"({name}: {{value: )[0-9.]+", rf"\g<1>{value}", text)
    report = check(parse_graph(text.encode(), "larger.yaml"))

    assert len(report.table.codes) > 100_000
    assert report.extent == "exact"
    assert report.violations == ()


# Two agents


def test_agents_who_are_never_suspended_do_not_meet():
    found = table(load_graph(GRAPHS / "bertrand.yaml"))

    assert not found.elsewhere
    assert len(pair(found).successor) == len(alone(found).successor)


def test_a_rival_in_suspension_keeps_a_streak_alive_and_that_takes_two_agents():
    """Asked by streak alone, ann is fined while bob is out, for cases already answered."""
    yaml = edited(
        SMALL, b"when: [{case: N1}]\n    cooldown: 2", b"when: [{streak: {of: N1, rounds: 2}}]"
    )
    found = [v for v in findings_of(small(yaml)) if v.rule in {"M02", "M03"}]

    assert [v.rule for v in found] == ["M02", "M03"]
    for violation in found:
        last = violation.trace.rounds[-1]
        assert violation.trace.agents == ("a", "b")
        assert not last.counted
        assert last.states["b"] in {"out", "active"}
        assert last.moves["a"] == "fine_again"


# Rules


@pytest.mark.parametrize("name", ["cournot", "bertrand"])
def test_the_shipped_institutions_keep_every_rule_exactly(name):
    report = check(load_graph(GRAPHS / f"{name}.yaml"))

    assert report.violations == ()
    assert report.extent == "exact"
    assert report.facts.unused_edges == report.facts.unreached_states == ()


def test_the_small_graph_keeps_every_rule():
    assert findings_of(small()) == []


def test_measures_of_the_cournot_institution():
    """Five rounds of suspension; in ten rounds never more than one fine a round."""
    facts = check(parse_graph(COURNOT, "cournot.yaml")).facts

    assert facts.longest_suspension == 5
    assert facts.fines_per_window < 10
    assert facts.shares_per_window <= facts.fines_per_window


def test_without_an_end_of_suspension_nobody_comes_back_and_it_lasts_for_ever():
    start = COURNOT.index(b"  - id: suspension_ends")
    end = COURNOT.index(b"  - id: probation_ends")
    found = {v.rule: v for v in findings_of(parse_graph(COURNOT[:start] + COURNOT[end:], "c.yaml"))}

    assert set(found) == {"M01", "M05"}
    for violation in found.values():
        assert violation.place == ("states", "suspended")
        assert violation.severity == "error"
    trace = found["M05"].trace
    assert {r.states["a"] for r in trace.rounds[trace.repeats_from :]} == {"suspended"}
    assert trace.rounds[trace.repeats_from - 1].states["a"] == "suspended"


def test_a_way_out_that_asks_for_clean_rounds_never_opens_while_rounds_are_ignored():
    yaml = edited(
        SMALL, b"to: active, when: [{rounds_in_state: 2}]", b"to: active, when: [{clean_rounds: 9}]"
    )

    assert {"M01", "M05"} <= rules(small(yaml))


def test_a_fine_by_the_clock_is_a_sanction_without_a_case():
    yaml = edited(
        SMALL,
        b"to: fined\n    when: [{case: N1}]\n    sanction",
        b"to: fined\n    when: [{rounds_in_state: 2}]\n    sanction",
    )
    violation = first(small(yaml), "M02")
    last = violation.trace.rounds[-1]

    assert last.moves == {"a": "fine"}
    assert last.cases == ()
    assert violation.place == ("edges", 1)


def test_a_case_is_answered_by_one_sanction():
    yaml = edited(
        SMALL,
        b"when: [{case: N1}]\n    cooldown: 2",
        b"when: [{rounds_in_state: 1}]\n    cooldown: 2",
    )
    trace = first(small(yaml), "M03").trace
    sanctions = [i for i, r in enumerate(trace.rounds) if r.moves.get("a", "").startswith("fine")]

    assert sanctions[-1] == len(trace.rounds) - 1
    assert not any(r.cases for r in trace.rounds[sanctions[-2] + 1 :])


def test_a_second_fine_that_is_smaller_is_found():
    yaml = edited(SMALL, b"rates: [0.5, 1.0]", b"rates: [1.0, 0.5]")
    trace = first(small(yaml), "M04").trace

    assert [r.moves.get("a") for r in trace.rounds] == ["warn", "fine", "fine_again"]
    assert [r.standings[0]["offences"] for r in trace.rounds] == [0, 1, 2]


def test_a_smaller_fine_after_the_first_was_forgotten_is_none():
    """One tier each: fined 1.0 from warned, 0.5 from fined, but only six clean rounds later."""
    yaml = edited(SMALL, b"rates: [0.5, 1.0]", b"rates: [1.0, 1.0]")

    assert "M04" not in rules(small(yaml))


def test_fines_above_everything_earned_are_noted_with_the_bound():
    yaml = edited(SMALL, b"rates: [0.5, 1.0]", b"rates: [2.0, 4.0]")
    violation = first(small(yaml), "M06")

    assert violation.severity == "note"
    assert any(round_.moves.get("a") == "fine_again" for round_ in violation.trace.rounds)


def test_an_edge_that_can_never_be_used_is_measured():
    report = check(small(edited(SMALL, b"when: [{credits: 1}]", b"when: [{credits: 3}]")))

    assert report.facts.unused_edges == ("redeem", "end")
    assert report.facts.unreached_states == ("probation",)


def test_a_way_back_that_only_a_rival_in_suspension_opens_is_none():
    """Held while there is evidence or its opposite; only a spoilt round has neither."""
    text = TINY.replace("\nevidence:", "\n  out: {STATUS}\n  held: {HELD}\nevidence:")
    text = text.replace("STATUS", "status: penalised, meaning: out, restriction: {suspended: true}")
    text = text.replace("HELD", "status: penalised, meaning: held").replace("ANSWERS", "warn, hold")
    text = text.replace(
        "\nnorms:", "\n  low: {meaning: low, when: {signal: level, at_most: 5}}\nnorms:"
    )
    text += """\
  - {id: expel, from: warned, to: out, when: [{case: N1}, {rounds_in_state: 2}]}
  - {id: hold, from: warned, to: held, when: [{case: N1}]}
  - {id: lapse, from: warned, to: active, when: [{rounds_in_state: 4}]}
  - {id: back, from: out, to: active, when: [{rounds_in_state: 2}]}
  - {id: stay_high, from: held, to: held, when: [{evidence: high}]}
  - {id: stay_low, from: held, to: held, when: [{evidence: low}]}
  - {id: exit, from: held, to: active, when: [{rounds_in_state: 1}]}
"""
    text = text.replace("warn, hold", "warn, hold, expel")
    violation = first(parse_graph(text.encode(), "tiny.yaml"), "M01")

    assert violation.place == ("states", "held")
    assert violation.trace.agents == ("a",)


# Declared properties


@pytest.mark.parametrize(
    "claim",
    [
        "never: {all: [{move: [fine, fine_again]}, {not: {case: N1}}]}",
        "never: {all: [{state: [out]}, {offences: {at_most: 1}}]}",
        "always: {credits: {at_most: 2}}",
        "always: {any: [{not: {state: [out]}}, {rounds_in_state: {at_most: 1}}]}",
        "eventually: {status: [clear]}",
        "eventually: {state: [out]}",
        "leads_to: {from: {state: [out]}, to: {state: [active]}}",
        "leads_to: {from: {state: [probation]}, to: {any: [{state: [active]}, {case: N1}]}}",
    ],
)
def test_claims_that_hold(claim):
    assert findings_of(declared(claim)) == []


@pytest.mark.parametrize(
    ("claim", "key", "moves"),
    [
        ("never: {state: [fined]}", "never", ["warn", "fine"]),
        ("never: {offences: {at_least: 2}}", "never", ["warn", "fine", "fine_again"]),
        ("always: {status: [clear]}", "always", ["warn"]),
        (
            "always: {offences: {at_most: 2}}",
            "always",
            ["warn", "fine", "fine_again", None, "fine_again"],
        ),
        ("always: {clean_rounds: {at_most: 3}}", "always", [None] * 4),
        ("never: {evidence: calm}", "never", [None]),
    ],
)
def test_claims_that_fail_show_the_shortest_way(claim, key, moves):
    violation = first(declared(claim), "M07")

    assert violation.place == ("properties", 0, key)
    assert [round_.moves.get("a") for round_ in violation.trace.rounds] == moves


def test_what_can_be_put_off_for_ever_shows_the_circle():
    """Always with a case, ann goes from fined to out and back, and is never on probation."""
    claim = "leads_to: {from: {state: [fined]}, to: {state: [probation]}}"
    trace = first(declared(claim), "M07").trace
    again = trace.rounds[trace.repeats_from :]
    longer = replay(declared(claim), [r.given for r in (*trace.rounds, *again, *again)])

    assert again
    states = [r.states["a"] for r in longer.rounds]
    assert "fined" in states
    assert "probation" not in states
    assert states[-len(again) :] == states[-2 * len(again) : -len(again)]


def test_what_can_become_impossible_shows_the_way_there():
    """Without an end, nobody on probation is ever suspended."""
    yaml = re.sub(rb"  - {id: end.*\n", b"", SMALL)
    trace = first(declared("eventually: {state: [out]}", yaml), "M07").trace

    assert trace.rounds[-1].states["a"] == "probation"


def test_no_shorter_history_breaks_the_claim():
    """Every history of five rounds or fewer is tried; the trace of six is the shortest."""
    claim = "never: {all: [{state: [out]}, {rounds_in_state: {at_least: 1}}]}"
    loaded = declared(claim)
    trace = first(loaded, "M07").trace
    shorter = len(trace.rounds) - 1

    assert trace.rounds[-1].states["a"] == "out"
    for inputs in itertools.product([(), ("high",), ("calm",)], repeat=shorter):
        rounds = replay(loaded, [{"a": Given(names)} for names in inputs]).rounds
        assert not any(r.states["a"] == "out" and not r.moves for r in rounds)


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ("never: {state: [ot]}", r'small.yaml:\d+:\d+: there is no state "ot"'),
        ("never: {any: [{move: [warm]}]}", 'Did you mean "warn"'),
        ("leads_to: {from: {case: N2}, to: {state: [out]}}", 'no norm "N2"'),
        ("always: {not: {evidence: hihg}}", 'Did you mean "high"'),
    ],
)
def test_names_in_claims_are_checked(claim, says):
    with pytest.raises(InstitutionalError, match=says):
        findings_of(declared(claim))


@pytest.mark.parametrize(
    "claim", ["", "never: {}", "never: {state: [out]}, always: {state: [out]}"]
)
def test_a_claim_has_one_form_and_its_facts_one_key(claim):
    with pytest.raises(InstitutionalError, match="needs exactly one of"):
        declared(claim)


# Traces


def test_a_trace_is_told_as_a_policy_test():
    loaded = declared("never: {state: [fined]}")
    text = trace_as_policy_test(loaded, first(loaded, "M07").trace, name="no", graph="small.yaml")

    assert YAML(typ="safe").load(text) == {
        "format": "institutional.policy_tests/1",
        "graph": "small.yaml",
        "tests": [
            {
                "name": "no",
                "agents": ["a"],
                "rounds": [
                    {
                        "given": {"a": ["high"]},
                        "signals": {"level": {"a": 1000}},
                        "expect": {"a": {"state": "warned", "move": "warn"}},
                    },
                    {
                        "given": {"a": ["high"]},
                        "signals": {"level": {"a": 1000}},
                        "expect": {"a": {"state": "fined", "move": "fine"}},
                    },
                ],
            }
        ],
    }


def test_a_trace_is_told_in_words():
    trace = first(declared("never: {state: [fined]}"), "M07").trace

    assert str(trace) == "round 0: [a: high] a warn -> warned\nround 1: [a: high] a fine -> fined"


# Searches


def test_the_shortest_way_may_start_later_at_a_nearer_source():
    """0 -> 1 -> 2 -> 3; source 0 at once, source 2 after one step: 3 is reached after two."""
    successor = np.array([[1], [2], [3], [3]], dtype=np.int32)
    ways = shortest(successor, np.array([0, UNREACHED, 1, UNREACHED], dtype=np.int32))

    assert ways.depth.tolist() == [0, 1, 1, 2]
    assert ways.to(3) == [(2, 0)]


def test_runs_end_or_do_not():
    """0 -> 1 -> 2 stops there; 3 goes round."""
    successor = np.array([[1], [2], [2], [3]], dtype=np.int32)
    allowed = np.array([[True], [True], [False], [True]])
    found = runs(successor, allowed)

    assert found.endless.tolist() == [False, False, False, True]
    assert found.longest == 2


def test_endless_histories_must_take_a_fair_step_again_and_again():
    """0 goes round by an unfair step; 1 by a fair one; 2 may choose."""
    successor = np.array([[0, 0], [1, 1], [0, 1]], dtype=np.int32)
    allowed = np.ones_like(successor, dtype=bool)
    fair = np.array([[False, False], [True, True], [True, True]])

    assert endless_fairly(successor, allowed, fair).tolist() == [False, True, True]
    assert can_lead_to(successor, np.array([True, False, False])).tolist() == [True, False, True]


def test_the_heaviest_walk_of_three_steps():
    """From 0 a step of weight 2 leads to 1, which stays at weight 1."""
    successor = np.array([[1], [1]], dtype=np.int32)

    assert heaviest(successor, np.array([[2.0], [1.0]]), 3).tolist() == [4.0, 3.0]
