"""Punishing the wrong firm, at random, or only from some round on: what the oracle makes of it."""

from pathlib import Path

import numpy as np
import pytest
from small_graph import AGENTS, YAML, program, record, small

from agents.q_learning.game import from_briefing
from environments import presets
from institutional.deterrence.account import account as deterrence
from institutional.episode import Table
from institutional.errors import InstitutionalError
from institutional.governance.draw import as_text
from institutional.governance.explain import derive, explain, explain_given
from institutional.governance.explain import words as explained
from institutional.governance.explore.society import Given
from institutional.governance.explore.table import explore
from institutional.governance.explore.trace import replay, trace_as_policy_test
from institutional.governance.hypothetical import PaperSession, compile_on_paper
from institutional.governance.institution import Institution, account
from institutional.governance.loading import load_graph
from institutional.governance.reading import PublicReading
from institutional.learning.tables import tabulate

ROOT = Path(__file__).parents[2]
NEXT = YAML + b"detection: {attribution: next}\n"
LATE = YAML + b"detection: {from_round: 3}\n"


def by_lot(chance):
    return YAML + f"detection: {{by_lot: {chance}}}\n".encode()


def held(yaml, rounds, *levels, lottery=0):
    """The accounts of `rounds` rounds in which everybody stays at its level."""
    institution = Institution(program(yaml), lotteries=[lottery])
    return [account(institution.program, institution.judge(record(*levels))) for _ in range(rounds)]


def test_the_defaults_leave_a_graphs_identity_alone():
    written = YAML + b"detection: {attribution: own, by_lot: null, from_round: 0}\n"

    assert small(written).canonical_digest == small().canonical_digest
    assert small(NEXT).canonical_digest != small().canonical_digest


def test_what_is_found_of_ann_is_a_case_against_bob():
    """High twice in three rounds is evidence: from the second round on, and never of Bob."""
    second, third = held(NEXT, 3, 8, 0)[1:]

    assert second["cases"] == [
        {"id": "N1/bob/1", "agent": "bob", "norm": "N1", "evidence": ["high"]}
    ]
    # Bob pays of his own level, which is nothing: the floor.
    assert [(m["agent"], m["edge"], m["fine"]) for m in third["moves"]] == [("bob", "fine", 3.0)]
    assert "Case under N1" in second["notices"]["bob"]
    assert "Evidence high: the level has been high." in second["notices"]["bob"]
    assert "ann" not in second["notices"]


def test_what_is_found_of_the_last_is_held_against_the_first():
    assert [case["agent"] for case in held(NEXT, 2, 0, 8)[1]["cases"]] == ["ann"]


def test_a_chance_of_one_falls_on_everybody_and_of_nothing_on_nobody():
    always, never = held(by_lot(1), 2, 0, 0), held(by_lot(0), 4, 8, 8)

    assert [case["agent"] for case in always[0]["cases"]] == ["ann", "bob"]
    assert [move["fine"] for move in always[1]["moves"]] == [3.0, 3.0]
    assert not any(ruling["cases"] or ruling["moves"] for ruling in never)


def test_a_case_by_lot_names_no_evidence_even_where_there_is_some():
    third = held(by_lot(1), 3, 8, 0)[2]

    assert [case["evidence"] for case in third["cases"]] == [[], []]
    assert "Evidence" not in third["notices"]["ann"]
    assert "Case under N1" in third["notices"]["ann"]


def test_cases_by_lot_come_at_their_chance_and_independently():
    """Binomial(4,000, 0.3): 1,200 with a standard deviation of 29."""
    loaded = by_lot(0.3).replace(
        b"edges:",
        b"""  N2:
    who: everybody
    deontic: must_not
    aim: hold
    object: any level
    condition: ever
    or_else: [warn]
    breached_by: calm
edges:""",
    )
    counting = loaded.replace(b"{by_lot", b"{rounds_with_a_suspension: count, by_lot")
    institution = Institution(program(counting), lotteries=[17])
    rulings = [institution.judge(record(0, 0)) for _ in range(4000)]
    cases = np.array([np.hstack([b[0] for b in r.finding.breaches]) for r in rulings])

    assert cases.shape == (4000, 4)  # two norms times two agents
    assert (np.abs(cases.sum(axis=0) - 1200) < 5 * 29).all()
    assert (np.abs(np.corrcoef(cases.T) - np.eye(4)) < 5 / np.sqrt(4000)).all()
    assert abs(np.corrcoef(cases[1:, 0], cases[:-1, 0])[0, 1]) < 5 / np.sqrt(4000)


def test_the_lot_hangs_on_the_runs_word_and_on_nothing_else():
    one, again, other = (held(by_lot(0.5), 30, 0, 0, lottery=word) for word in (5, 5, 6))

    assert one == again
    assert [r["cases"] for r in one] != [r["cases"] for r in other]
    # What the agents do does not matter.
    assert [c["id"] for r in held(by_lot(0.5), 9, 8, 0, lottery=5) for c in r["cases"]] == [
        c["id"] for r in one[:9] for c in r["cases"]
    ]


def test_before_its_round_an_institution_finds_nothing_and_tells_nobody():
    """Three silent rounds; the window of two in three starts anew: the first case in round 4."""
    rulings = held(LATE, 5, 8, 0)

    assert [ruling["counted"] for ruling in rulings] == [False, False, False, True, True]
    for ruling in rulings[:4]:
        assert ruling["cases"] == ruling["moves"] == ruling["refused"] == []
        assert ruling["notices"] == {}
    assert [s["clean"] for s in rulings[2]["standings"]] == [0, 0]
    assert [s["clean"] for s in rulings[3]["standings"]] == [1, 1]
    assert [case["id"] for case in rulings[4]["cases"]] == ["N1/ann/4"]


def test_a_clear_notice_waits_for_the_institutions_round():
    rulings = held(LATE + b"notice_when_clear: true\n", 4, 0, 0)

    assert [len(ruling["notices"]) for ruling in rulings] == [0, 0, 0, 2]


@pytest.mark.parametrize("also", ["audit_share: 0.5", "attribution: next"])
def test_lots_have_nothing_to_audit_or_to_attribute(also):
    with pytest.raises(InstitutionalError, match=r"small.yaml:\d+:\d+: by_lot makes cases without"):
        small(YAML + f"detection: {{by_lot: 0.5, {also}}}\n".encode())


def test_an_edge_that_could_fire_in_silence_is_refused():
    timed = LATE.replace(b"{id: lapse, from: warned", b"{id: lapse, from: active")

    with pytest.raises(InstitutionalError, match='edge "lapse" could fire before from_round'):
        small(timed)


# What others make of it


@pytest.mark.parametrize("yaml", [NEXT, LATE, by_lot(0.2), by_lot(0), by_lot(1)])
def test_the_controller_never_leaves_what_was_explored(yaml):
    """Random levels in two markets side by side; every standing met is a standing explored."""
    rng = np.random.default_rng(1)
    table = explore(compile_on_paper(small(yaml), ["agent"]))
    institution = Institution(program(yaml), markets=200)
    acting = institution.program.loaded.graph.detection.from_round
    known = set(table.codes.tolist())
    for round_ in range(40):
        levels = rng.choice([0.0, 4.0, 8.0], size=(200, 2))
        register = institution.judge({"levels": levels}).register
        if round_ < acting - 1:
            continue
        for seat in range(2):
            one = register._replace(
                **{
                    name: value[:, [seat]]
                    for name, value in register._asdict().items()
                    if name not in {"streaks", "used"}
                },
                streaks=tuple(streak[:, [seat]] for streak in register.streaks),
                used=tuple(used[:, [seat]] for used in register.used),
            )
            assert set(table.abstraction.encode(one, round_ + 1).tolist()) <= known


def test_under_a_lot_the_model_checker_needs_no_evidence_for_a_case():
    table = explore(compile_on_paper(small(by_lot(0.2)), ["agent"]))
    named = [table.inputs.names(table.program, i) for i in range(table.inputs.size)]

    assert ("N1",) in named
    assert ("high", "N1") not in named  # `high` is in no guard: nothing tells it apart
    assert ("calm", "N1") in named
    never = explore(compile_on_paper(small(by_lot(0)), ["agent"]))
    assert not never.inputs.breaches.any()


def test_a_trace_of_the_model_checker_can_be_played_under_each_control():
    both = {"a": Given(("high",)), "b": Given(())}
    wrong = replay(small(NEXT), [both])
    assert wrong.rounds[0].cases == ("N1/a/0",)
    assert wrong.rounds[0].given["b"].evidence == ("high",)

    late = replay(small(LATE), [{"a": Given(("high",))}])
    assert late.rounds[0].cases == ("N1/a/3",)
    assert str(late).startswith("round 3: [a: high] a warn -> warned")
    text = trace_as_policy_test(small(LATE), late, name="late", graph="small.yaml")
    assert "repeat: 3" in text

    drawn = replay(small(by_lot(0.2)), [{"a": Given(("N1",))}])
    assert drawn.rounds[0].cases == ("N1/a/0",)


def test_on_paper_the_lot_falls_on_whom_the_norm_is_given():
    session = PaperSession(compile_on_paper(small(by_lot(0.2)), AGENTS))
    ruling = session.hold({"ann": ["high"], "bob": ["N1"]})

    assert [case["id"] for case in ruling["cases"]] == ["N1/bob/0"]
    with pytest.raises(InstitutionalError, match='no evidence "N1"'):
        PaperSession(compile_on_paper(small(), AGENTS)).hold({"bob": ["N1"]})


def test_an_explanation_says_whose_conduct_was_held_against_whom():
    records = [record(8, 0)] * 2
    found = explain(program(NEXT), records, None, "bob", 1)

    assert found.found_of == "ann"
    assert found.applied == "warn"
    high = next(fact for fact in found.evidence if fact.name == "high")
    assert high.holds
    assert [m.value for m in high.measurements] == [8.0]
    assert "EVIDENCE found of ann, held against bob" in explained(found)
    assert explain_given(program(NEXT), "bob", ["high"]).applied == "warn"


def test_an_explanation_of_a_lot_names_the_chance_and_no_evidence():
    found = explain(program(by_lot(1)), [record(0, 0)], None, "bob", 0)

    assert found.applied == "warn"
    assert "case N1: by lot with a chance of 1, whatever the evidence" in explained(found)
    assert not found.norms[0].unseen


def test_an_explanation_of_a_silent_round_says_so():
    found = explain(program(LATE), [record(8, 0)] * 2, None, "ann", 1)

    assert "Not counted: the institution does not act yet." in explained(found)
    assert [s.ruling.finding.counted[0] for s in derive(program(LATE), [record(0, 0)] * 4)] == [
        False,
        False,
        False,
        True,
    ]


def test_a_rehearsal_knows_no_lot_and_waits_for_no_round():
    def rehearsed(yaml):
        reading = PublicReading(program(yaml), lambda actions, *_: {"levels": actions[:, :, 0]})
        return reading.rehearse(np.array([[8.0], [0.0]]), rounds=6).fines

    assert not rehearsed(by_lot(1)).any()
    assert (rehearsed(LATE) == rehearsed(YAML)).all()
    assert rehearsed(NEXT)[:, 1].any()
    assert not rehearsed(NEXT)[:, 0].any()


@pytest.mark.parametrize("name", ["wrong_firm", "by_lot"])
def test_the_account_of_deterrence_refuses_what_it_does_not_reckon_with(name):
    loaded = load_graph(ROOT / f"governance_graphs/controls/{name}.yaml")

    with pytest.raises(InstitutionalError, match="does not reckon with detection"):
        deterrence(loaded, presets.make("lin2024"))


@pytest.mark.parametrize("name", ["wrong_firm", "by_lot"])
def test_the_compiled_learners_refuse_what_they_do_not_reckon_with(name):
    loaded = load_graph(ROOT / f"governance_graphs/controls/{name}.yaml")
    core = presets.make("lin2024")
    table = Table(core, loaded)

    with pytest.raises(InstitutionalError, match="the fast engine does not reckon with detection"):
        tabulate(table.program, core, from_briefing(table.briefing(0), levels=2))


def test_a_drawing_in_words_says_how_cases_fall():
    assert "What is found of an agent is held against the next one by seat." in as_text(
        small(NEXT).graph
    )
    assert "by lot, with a chance of 0.2" in as_text(small(by_lot(0.2)).graph)
    assert "In the first 3 rounds nothing is found and nothing counts." in as_text(
        small(LATE).graph
    )
