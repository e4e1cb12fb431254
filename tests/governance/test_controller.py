"""The small graph's institution, worked out by hand round by round."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from small_graph import AGENTS, YAML, program, record

from institutional.governance.institution import Institution, account


def rulings(*levels, yaml=YAML):
    """Play rounds in which ann stands at the given levels and bob at 0; return the accounts."""
    institution = Institution(program(yaml))
    return [account(institution.program, institution.judge(record(high, 0.0))) for high in levels]


def edges(ruling, agent="ann"):
    return [move["edge"] for move in ruling["moves"] if move["agent"] == agent]


def test_one_high_round_is_no_evidence_and_the_second_brings_a_warning():
    first, second = rulings(8, 8)

    assert first["cases"] == first["moves"] == []
    assert [case["id"] for case in second["cases"]] == ["N1/ann/1"]
    assert edges(second) == ["warn"]


def test_who_stopped_is_not_sanctioned_for_rounds_already_answered():
    """Two high rounds within the last three, but the present one is low."""
    *_, third = rulings(8, 8, 1)

    assert third["cases"] == []


def test_the_fine_is_a_share_of_the_signal_and_never_below_the_floor():
    assert rulings(8, 8, 8)[2]["moves"][0]["fine"] == 4.0
    assert rulings(8, 8, 5.5)[2]["moves"][0]["fine"] == 3.0


def test_a_repeated_fine_has_the_next_rate_and_waits_for_its_cooldown():
    """Fined by `fine` in round 2 and by `fine_again` in 3 (its own first use); 4 is too early."""
    third, fourth, fifth = rulings(8, 8, 8, 8, 8, 8)[3:]

    assert third["moves"][0]["edge"] == "fine_again"
    assert third["moves"][0]["fine"] == 8.0
    assert edges(fourth) == ["suspend"]
    assert edges(fifth) == []


def test_suspension_without_the_streak_is_refused_with_its_reason():
    ruling = rulings(8, 8, 8, 8)[3]

    assert ruling["refused"] == [
        {"agent": "ann", "edge": "suspend", "reason": "needs cases under N1 in 4 rounds in a row"}
    ]


def test_a_cooling_edge_is_refused_with_its_reason():
    calm_streak = YAML.replace(b"rounds: 4", b"rounds: 40")
    ruling = rulings(8, 8, 8, 8, 8, yaml=calm_streak)[4]

    assert {"agent": "ann", "edge": "fine_again", "reason": "used less than 2 rounds ago"} in (
        ruling["refused"]
    )


def test_a_suspended_agent_returns_after_two_rounds():
    states = [r["standings"][0]["state"] for r in rulings(8, 8, 8, 8, 8, 0, 0, 0)]

    assert states == ["active", "warned", "fined", "fined", "out", "out", "active", "active"]


def test_rounds_with_a_suspension_count_for_nobody():
    """Bob is high while ann is out: no case; his clean rounds do not grow either."""
    institution = Institution(program())
    for _ in range(5):
        institution.judge(record(8, 0))
    clean = institution.register.clean[0, 1]

    ruling = account(institution.program, institution.judge(record(0, 9)))

    assert ruling["counted"] is False
    assert ruling["cases"] == []
    assert institution.register.clean[0, 1] == clean


def test_a_credit_is_earned_by_two_clean_rounds_and_buys_probation():
    fourth, fifth = rulings(8, 8, 8, 0, 0)[3:]

    assert edges(fourth) == []
    assert fifth["moves"] == [
        {"agent": "ann", "edge": "redeem", "from": "fined", "to": "probation", "credits": -1}
    ]
    assert fifth["standings"][0]["credits"] == 0


def test_redemption_is_refused_until_the_agent_has_recovered():
    ruling = rulings(8, 8, 8, 4, 4)[4]

    assert ruling["refused"] == [
        {"agent": "ann", "edge": "redeem", "reason": "needs evidence calm"}
    ]


def test_an_unspent_credit_lapses():
    """The credit of round 4 is there for three more rounds and gone in round 8."""
    seen = [r["standings"][0]["credits"] for r in rulings(8, 8, 8, 4, 4, 8, 8, 8, 4)]

    assert seen == [0, 0, 0, 0, 1, 1, 1, 1, 0]


def test_offences_are_forgotten_after_six_clean_rounds():
    offences = [r["standings"][0]["offences"] for r in rulings(8, 8, 8, *[4] * 7)]

    assert offences == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0]


def test_a_notice_tells_standing_case_evidence_sanction_and_the_way_back():
    notice = rulings(8, 8, 8)[2]["notices"]["ann"]

    for fact in (
        "PENALISED",
        "Case under N1: everybody must not hold a high level",
        "the level has been high",
        "You are fined 4.00",
        "Way back: probation with credits of at least 1 and evidence calm",
        "Your credits: 0 of 2",
        "bob is active",
    ):
        assert fact in notice


def test_who_stands_clear_and_did_nothing_gets_no_notice_unless_the_graph_says_so():
    every_round = YAML + b"notice_when_clear: true\n"

    assert rulings(0)[0]["notices"] == {}
    assert set(rulings(0, yaml=every_round)[0]["notices"]) == set(AGENTS)


LEVELS = st.lists(
    st.tuples(st.floats(0, 10, width=16), st.floats(0, 10, width=16)), min_size=1, max_size=40
)


@given(st.lists(LEVELS, min_size=2, max_size=4))
def test_thousands_of_markets_and_one_agree(markets):
    """The batch view of M markets is M single markets, decision for decision."""
    rounds = min(len(levels) for levels in markets)
    together = Institution(program(), markets=len(markets))
    alone = [Institution(program()) for _ in markets]
    for round_ in range(rounds):
        levels = np.array([market[round_] for market in markets])
        ruling = together.judge({"levels": levels})
        for index, institution in enumerate(alone):
            single = institution.judge({"levels": levels[index : index + 1]})
            assert account(together.program, ruling, index) == account(together.program, single)


@given(LEVELS)
def test_the_controller_does_nothing_that_no_edge_declares(levels):
    compiled = program()
    lawful = {(e.id, e.source, e.target) for e in compiled.loaded.graph.edges}
    institution = Institution(compiled)
    before = ["active", "active"]
    for pair in levels:
        ruling = account(compiled, institution.judge(record(*pair)))
        after = [standing["state"] for standing in ruling["standings"]]
        moves = {m["agent"]: (m["edge"], m["from"], m["to"]) for m in ruling["moves"]}
        for seat, agent in enumerate(AGENTS):
            if agent in moves:
                assert moves[agent] in lawful
                assert moves[agent][1:] == (before[seat], after[seat])
            else:
                assert before[seat] == after[seat]
        before = after


@given(LEVELS)
def test_no_fine_without_a_case_in_the_same_round(levels):
    institution = Institution(program())
    for pair in levels:
        ruling = account(institution.program, institution.judge(record(*pair)))
        accused = {case["agent"] for case in ruling["cases"]}
        assert {m["agent"] for m in ruling["moves"] if "fine" in m} <= accused
