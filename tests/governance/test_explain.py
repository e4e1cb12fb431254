"""Explanations by hand: ann stands high for six rounds, and every number can be worked out.

The small graph: `high` is a level above 5 in two of the last three rounds; fines are 0.5 and then
1.0 of the level, at least 3; a second fine needs two rounds; suspension a streak of 4 and 2 fines.
"""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_graph import AGENTS, YAML, program, record, small

from institutional.errors import InstitutionalError
from institutional.governance.controller import NO_MOVE, refusal_reason
from institutional.governance.explain import (
    derive,
    explain,
    explain_given,
    fine_words,
    why_not,
    words,
)
from institutional.governance.hypothetical import compile_on_paper
from institutional.governance.institution import Institution, account

HIGH = [record(8, 0) for _ in range(9)]
"""Ann is warned in round 1, fined in 2 and 4, out in 5, ignored there, back in 7."""


def told(round_, records=HIGH, agent="ann"):
    return explain(program(), records, None, agent, round_)


def by_id(explanation):
    return {edge.id: edge for edge in explanation.edges}


def test_a_fine_is_explained_from_the_signal_to_the_arithmetic():
    """Level 8 above 5 in all three rounds; 0.5 x 8 = 4 is above the floor of 3."""
    found = told(2)

    (high,) = found.evidence[0].measurements
    assert (high.value, high.threshold, high.past, high.holds) == (8.0, 5.0, True, True)
    assert (high.window, high.hits, high.at_least) == ((0, 1, 2), (0, 1, 2), 2)
    assert found.norms[0].case
    assert (found.standing.state, found.applied, found.state_after) == ("warned", "fine", "fined")
    assert (found.fine.rate, found.fine.value, found.fine.floor, found.fine.fine) == (0.5, 8, 3, 4)
    assert fine_words(found.fine) == "0.5 x 8 = 4, floor 3: 4"


def test_a_floor_that_binds_is_seen_in_the_arithmetic():
    """0.5 x 5.5 = 2.75 is less than the floor."""
    found = told(2, [record(5.5, 0)] * 3)

    assert fine_words(found.fine) == "0.5 x 5.5 = 2.75, floor 3: 3"


def test_one_high_round_is_not_enough_and_the_window_says_so():
    found = told(0)
    (high,) = found.evidence[0].measurements

    assert (high.past, high.hits, high.holds) == (True, (0,), False)
    assert found.applied is None
    assert by_id(found)["warn"].outcome == "unrequested"


def test_edges_are_told_in_the_order_of_the_file_with_the_numbers_of_their_guards():
    """Round 3: the streak is 3 of 4, one fine of 2, and the last fine... was `fine`, not this."""
    found = told(3)
    suspend, fine_again, redeem = found.edges

    assert [guard.has for guard in suspend.require] == [3, 1]
    assert [guard.needs for guard in suspend.require] == [4, 2]
    assert suspend.outcome == "refused"
    assert "4 rounds in a row" in suspend.reason
    assert (fine_again.outcome, found.applied) == ("applied", "fine_again")
    assert (redeem.outcome, redeem.reason) == ("untried", "fine_again was applied first")
    assert (found.fine.tier, found.fine.fine) == (2, 8.0)


def test_a_cool_down_is_told_with_its_last_use():
    """With suspension out of reach: `fine_again` in round 3 bars round 4."""
    harmless = YAML.replace(b"rounds: 4}}", b"rounds: 40}}")
    found = explain(program(harmless), HIGH, None, "ann", 4)
    edge = by_id(found)["fine_again"]

    assert (edge.outcome, edge.reason) == ("refused", "used less than 2 rounds ago")
    assert (edge.cooldown, edge.last_used) == (2, 3)
    assert "cooldown no   2 rounds apart; last used in round 3" in words(found)


def test_a_round_with_a_suspension_is_said_not_to_count():
    found = told(5)

    assert (found.counted, found.suspended) == (False, ("ann",))
    assert found.evidence[0].measurements[0].window == (2, 3, 4)
    assert "Not counted: suspended in this round: ann." in words(found)


@pytest.mark.parametrize(
    ("round_", "edge", "kind", "says"),
    [
        (2, "fine", "happened", "fine was applied"),
        (2, "suspend", "other_state", "suspend leaves fined; ann was warned"),
        (0, "warn", "unmet", "warn asks for case N1; not in evidence: high"),
        (2, "lapse", "unmet", "lapse asks for 3+ rounds in state: 1 of 3"),
        (3, "suspend", "refused", "needs cases under N1 in 4 rounds in a row"),
        (5, "return", "unmet", "2+ rounds in state: 1 of 2"),
    ],
)
def test_why_a_move_did_not_happen_is_the_first_thing_in_its_way(round_, edge, kind, says):
    found = why_not(program(), told(round_), edge)

    assert found.kind == kind
    assert says in found.words


def test_an_earlier_edge_that_won_is_named():
    """Streak and fines suffice in round 4: `suspend` comes before `fine_again` would."""
    early = YAML.replace(b"    cooldown: 2\n", b"")
    found = explain(program(early), HIGH, None, "ann", 4)

    reason = why_not(program(early), found, "fine_again")
    assert found.applied == "suspend"
    assert reason.kind == "earlier_edge"
    assert reason.words == "fine_again would have been requested, but suspend comes first"


def test_evidence_typed_by_hand_leads_to_the_fine_of_the_signal_typed_by_hand():
    """0.5 x 10 = 5 for the first fine of a warned agent."""
    paper = compile_on_paper(small(), ["ann"])
    found = explain_given(paper, "ann", ["high"], state="warned", signals={"level": 10.0})

    assert (found.basis, found.applied, found.fine.fine) == ("given", "fine", 5.0)
    assert found.evidence[0].measurements == ()


def test_counters_typed_by_hand_are_those_before_the_round():
    """A streak of 3 and a case make 4; two fines: suspension."""
    paper = compile_on_paper(small(), ["ann"])
    given_ = {"state": "fined", "offences": 2}

    assert explain_given(paper, "ann", ["high"], streak=3, **given_).applied == "suspend"
    assert explain_given(paper, "ann", ["high"], streak=2, **given_).applied == "fine_again"
    assert explain_given(paper, "ann", ["calm"], state="fined", credits_=1).applied == "redeem"
    assert explain_given(paper, "ann", [], state="warned", rounds_in_state=3).applied == "lapse"


def test_an_agent_nobody_looked_at_is_told_apart_from_an_innocent_one():
    text = YAML + b"detection: {audit_share: 0}\n"
    found = explain(program(text), HIGH, None, "ann", 3)

    assert found.norms[0].unseen
    assert found.applied is None
    assert "not looked at" in why_not(program(text), found, "warn").words


def test_an_explanation_is_json():
    found = told(3).as_json()

    assert json.loads(json.dumps(found))["edges"][0]["require"][0]["has"] == 3


@pytest.mark.parametrize(
    ("agent", "round_", "says"),
    [("eve", 0, 'no agent "eve"'), ("ann", 9, "rounds 0 to 8"), ("ann", -1, "no round -1")],
)
def test_what_is_not_in_the_record_is_an_error(agent, round_, says):
    with pytest.raises(InstitutionalError, match=says):
        told(round_, agent=agent)


def test_an_edge_or_state_that_is_not_there_is_an_error():
    with pytest.raises(InstitutionalError, match='Did you mean "suspend"'):
        why_not(program(), told(3), "suspnd")
    with pytest.raises(InstitutionalError, match='Did you mean "fined"'):
        explain_given(compile_on_paper(small(), ["ann"]), "ann", [], state="find")


levels = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=1, max_size=12)


@given(levels)
def test_every_explanation_agrees_with_the_ruling_it_explains(history):
    """Measurements with evidence, guards with requests, outcomes with moves and refusals."""
    compiled = program()
    records = [record(*pair) for pair in history]
    institution = Institution(compiled)
    rulings = [account(compiled, institution.judge(entry)) for entry in records]
    sessions = derive(compiled, records)
    assert [account(compiled, session.ruling) for session in sessions] == rulings
    for seat, agent in enumerate(AGENTS):
        last = sessions[-1].ruling
        found = explain(compiled, records, None, agent, len(records) - 1)
        for fact in found.evidence:
            assert fact.holds == all(m.holds for m in fact.measurements)
        chosen = int(last.decisions.move[0, seat])
        assert found.applied == (None if chosen == NO_MOVE else compiled.moves[chosen].id)
        refused = {
            (edge.id, refusal_reason(edge, int(codes[0, seat])))
            for edge, codes in zip(compiled.moves, last.decisions.refused, strict=True)
            if codes is not None and codes[0, seat]
        }
        assert {(e.id, e.reason) for e in found.edges if e.outcome == "refused"} == refused
        for edge in found.edges:
            gates = all(guard.holds for guard in edge.require)
            if edge.outcome == "applied":
                assert gates
            if edge.outcome in {"applied", "refused"}:
                assert all(guard.holds for guard in edge.when)
            if edge.outcome == "unrequested":
                assert not all(guard.holds for guard in edge.when)
        if found.fine is not None:
            fine = found.fine
            assert fine.fine == max(fine.rate * max(fine.value, 0.0), fine.floor)
        assert words(found)


def test_who_was_suspended_in_the_record_makes_a_round_not_count():
    out = [np.array([[False, True]])] * 3
    found = explain(program(), HIGH[:3], out, "ann", 2)

    assert (found.counted, found.suspended, found.applied) == (False, ("bob",), None)
