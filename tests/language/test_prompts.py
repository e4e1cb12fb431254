import asyncio
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hostile import ANSWERS, TEXTS
from hypothesis import given
from hypothesis import strategies as st
from seated import (
    APPROVED,
    CORE,
    NOTICE,
    REJECTED,
    RULES,
    Asked,
    answer,
    considered,
    observed,
    seated,
)
from seated import briefing as brief

from agents.language.player import LanguageAgent
from agents.language.prompt import short
from environments import presets
from environments.shocks import Shock
from institutional.governance.loading import load_graph

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden/language"
GRAPH = load_graph(ROOT / "governance_graphs/cournot.yaml")
CLEAR = {
    "standing": np.int64(0),
    "standings": np.array([0, 0]),
    "credits": np.float64(1),
    "fine": np.float64(0),
    "suspended": np.int64(0),
    "cap": np.float64(1),
}
FINED = CLEAR | {"standing": np.int64(2), "fine": np.float64(630), "cap": np.float64(0.5)}


def as_text(messages):
    return "\n".join(f"--- {message.role}\n{message.content}" for message in messages)


def in_first_round():
    ask = Asked(answer())
    considered(seated(ask), observed())
    return ask.messages[-1]


def after_notices():
    """Under a graph whose rules are shown: a notice after the first round and the second."""
    ask = Asked(answer(46.67, 26.67), answer(60, 0, plans="keep to A", insights="A is cheap"))
    agent = seated(ask, rules=RULES, graph=GRAPH)
    considered(agent, observed(**CLEAR))
    agent.hear(NOTICE)
    considered(agent, observed(((46.67, 26.67), (26.67, 46.67)), **CLEAR))
    agent.hear("PENALISED. After round 2 you are fined: you broke a norm.\nYou pay 630.00.")
    considered(agent, observed(((60, 0), (0, 60)), **FINED))
    return ask.messages[-1]


def under_a_constitution():
    ask = Asked(answer(insights='they said "stop"\n## Rules'))
    considered(seated(ask, rules=RULES), observed(), observed())
    return ask.messages[-1]


def in_a_price_market():
    ask = Asked('{"observations": "", "plans": "ask 1.8", "insights": "", "price": 1.8}')
    core = presets.make("calvano2020")
    agent = seated(ask, core=core, shows="record")
    considered(agent, {}, observed(((1.8,), (1.5,)), core))
    return ask.messages[-1]


def before_an_inspector():
    ask = Asked(answer(60, 0, plans="leave B"), APPROVED)
    considered(seated(ask, rules=RULES, rejections=1), observed())
    return ask.messages[1]


def after_a_rejection():
    ask = Asked(answer(60, 0, plans="leave B"), REJECTED, answer(), APPROVED)
    considered(seated(ask, rules=RULES, rejections=1), observed())
    return ask.messages[2]


def after_a_malformed_answer():
    ask = Asked("46 and 26", answer())
    considered(seated(ask), observed())
    return ask.messages[1]


@pytest.mark.parametrize(
    "told",
    [
        in_first_round,
        after_notices,
        under_a_constitution,
        in_a_price_market,
        before_an_inspector,
        after_a_rejection,
        after_a_malformed_answer,
    ],
)
def test_a_prompt_reads_as_in_its_golden_text(told):
    assert as_text(told()) == (GOLDEN / f"{told.__name__}.txt").read_text()


def structure(messages):
    """What of a prompt is ours to lay out: roles, and each line by its marks alone."""
    marks = re.compile(r"#+ .*|> |\"|\{\"|[A-Z]+(?: after round \d+)?:|round .*|\d+ |$")
    return [
        (message.role, [marks.match(line)[0] if marks.match(line) else line for line in lines])
        for message in messages
        for lines in [message.content.split("\n")]  # as a model would see them, not as Python does
    ]


def two_rounds(first, **parameters):
    """What both firms are told when firm 1 says `first` in the first round, and what it played."""
    one, two = Asked(first, answer(0, 0)), Asked(answer())
    agents = [
        seated(one, reasks=0, fallback="low", **parameters),
        seated(two, seat=1, **parameters),
    ]

    async def play():
        seen = observed(((0, 0), (0, 0)))
        for _ in range(2):
            actions = await asyncio.gather(*(agent.consider(seen) for agent in agents))
            seen = observed(actions)

    asyncio.run(play())
    return one.messages, two.messages


ORDINARY = two_rounds(answer(0, 0))


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_changes_no_prompt_s_structure_and_no_other_s_prompt(name):
    text = TEXTS[name]

    own, other = two_rounds(answer(0, 0, observations=text, plans=text, insights=text))

    assert structure(own[1]) == structure(ORDINARY[0][1])
    assert other == ORDINARY[1]


@pytest.mark.parametrize("name", ANSWERS)
def test_a_hostile_answer_leaves_no_trace_in_any_later_prompt(name):
    own, other = two_rounds(ANSWERS[name])

    assert own[1][0] == ORDINARY[0][1][0]
    assert 'PLANS: ""\nINSIGHTS: ""\n' in own[1][1].content
    assert structure(own[1]) == structure(ORDINARY[0][1])
    assert other == ORDINARY[1]


anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(anything, anything)
def test_whatever_a_model_notes_the_next_prompt_is_laid_out_alike(plans, insights):
    own, other = two_rounds(answer(0, 0, plans=plans, insights=insights))

    assert structure(own[1]) == structure(ORDINARY[0][1])
    assert other == ORDINARY[1]


@given(st.text(st.characters()))
def test_whatever_a_model_answers_the_next_prompt_is_laid_out_alike(text):
    own, other = two_rounds(text)

    assert structure(own[1]) == structure(ORDINARY[0][1])
    assert other == ORDINARY[1]


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_constitution_or_notice_or_reason_stays_in_its_quotation(name):
    ordinary, hostile = inspected_rounds("x"), inspected_rounds("x" + TEXTS[name])

    assert [without_citations(messages) for messages in hostile] == [
        without_citations(messages) for messages in ordinary
    ]


def inspected_rounds(text):
    """All that is asked in two rounds with a rejection, a notice and rules that say `text`."""
    rejected = json.dumps({"verdict": "reject", "reason": text})
    ask = Asked(answer(plans=text), rejected, answer(), APPROVED, answer(), APPROVED)
    agent = seated(ask, rules=text, rejections=1)
    considered(agent, observed())
    agent.hear(text)
    considered(agent, observed())
    return ask.messages


def without_citations(messages):
    return [(role, [x for x in lines if x != "> "]) for role, lines in structure(messages)]


def test_the_first_message_is_the_same_all_run():
    ask = Asked(answer(), "nothing", answer(60, 0))
    agent = seated(ask, rules=RULES, graph=GRAPH)
    considered(agent, observed(**CLEAR))
    agent.hear(NOTICE)
    considered(agent, observed(**FINED), observed(**CLEAR))

    assert len({messages[0] for messages in ask.messages}) == 1


def test_only_the_last_rounds_are_shown_and_the_total_counts_all():
    """46 and 26 at prices 64 and 64: 24 * 46 + 14 * 26 = 1468 a round, a loss counted as a loss."""
    ask = Asked(answer())
    loss = observed(((0, 100), (0, 100)))
    considered(seated(ask, history=2), observed(), loss, *[observed()] * 3)

    table = ask.messages[-1][1].content.partition("so far)\n")[2].partition("\n\n")[0]
    columns, *rows = table.splitlines()
    assert columns.split()[-4:] == ["profit_A", "profit_B", "profit", "total"]
    assert rows == [
        "3 64 64 46 26 0.639 0.361 1104 364 1468 -2064",
        "4 64 64 46 26 0.639 0.361 1104 364 1468 -596",
    ]


def test_fines_are_a_column_under_an_institution_and_are_taken_from_the_total():
    ask = Asked(answer())
    considered(seated(ask), observed(**CLEAR), observed(**FINED))

    assert "profit fine total\n1 64 64 46 26 0.639 0.361 1104 364 1468 630 838\n" in (
        ask.messages[-1][1].content
    )


def test_where_the_rules_are_hidden_a_standing_has_no_name_but_what_is_in_force_is_told():
    ask = Asked(answer())
    considered(seated(ask, graph=GRAPH), observed(**CLEAR), observed(**FINED))

    said = ask.messages[-1][1].content
    assert "STANDING" not in said
    assert "FINE after round 1: 630\nCAP: at most 50 % of the largest decision" in said


def test_only_the_last_notices_are_kept_and_all_but_the_last_round_s_by_their_first_line():
    ask = Asked(answer())
    agent = seated(ask)
    for number in range(5):
        considered(agent, observed())
        agent.hear(f"notice {number}\nwith more")
    considered(agent, observed())
    lately = ask.messages[-1][1].content
    considered(agent, observed())

    notices = "NOTICE after round 3:\n> notice 2\nNOTICE after round 4:\n> notice 3\n"
    assert notices + "NOTICE after round 5:\n> notice 4\n> with more\n" in lately
    assert notices + "NOTICE after round 5:\n> notice 4\n## Past" not in lately
    assert "> notice 4\n\n## Past" in ask.messages[-1][1].content


def test_nothing_of_the_rival_is_told_unless_the_record_is_shown():
    def last_line(**parameters):
        ask = Asked(answer())
        considered(seated(ask, **parameters), observed(), observed())
        return ask.messages[-1][1].content.partition("\n\nNow")[0].splitlines()[-1]

    own = "1 64 64 46 26 0.639 0.361 1104 364 1468 1468"
    assert last_line() == own
    assert last_line(shows="record") == (
        f"{own} | quantities 46 26 / 26 46 | prices 64 64 | profits 1468 1468"
    )


def test_a_market_whose_costs_vary_does_not_split_a_profit_it_cannot():
    shock = Shock(sd=1.0)
    core = presets.make("lin2024", cost_shock=shock)

    words = core.words(0)

    assert "Costs vary from round to round" in words.setting
    assert list(words.told(observed())) == [
        "price_A",
        "price_B",
        "quantity_A",
        "quantity_B",
        "share_A",
        "share_B",
        "profit",
    ]


def test_a_share_of_nothing_is_nothing():
    told = CORE.words(0).told(observed(((10, 0), (10, 0))))

    assert (told["share_A"], told["share_B"]) == (0.5, 0.0)


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_every_market_has_words_for_every_seat(preset):
    core = presets.make(preset)
    for seat in range(len(core.agents)):
        agent = LanguageAgent(brief(seat, core=core))
        assert len(agent.form.labels) == core.low.shape[1]
        assert len(set(agent.form.labels)) == len(agent.form.labels)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (60.0, "60"),
        (46.666666, "46.67"),
        (1444.44, "1444"),
        (-17332.4, "-17332"),
        (0.22294, "0.223"),
        (1.47293, "1.473"),
        (-0.0, "0"),
        (-0.0001, "0"),
        (999.96, "1000"),
        (1e9, "1000000000"),
    ],
)
def test_numbers_are_short_and_have_no_exponent(number, text):
    assert short(number) == text
