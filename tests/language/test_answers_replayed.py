"""What was answered is derived again from the cassette; an altered account is found out."""

from dataclasses import replace
from itertools import product

import pytest
from talking import Counting, talk  # noqa: F401 - a fixture

from institutional.cassette.exchange import FILE_NAME, Exchange, Header, lines
from institutional.cassette.reading import read_cassette
from institutional.experiments.run import run_experiment
from institutional.ledger.auditing.verdict import Outcome, Word
from institutional.replay.accounts import ending
from institutional.replay.conformance import conform, exhibits
from institutional.replay.sufficiency import Altered, sufficiency

RUN = "institutional-climbers-0000"


@pytest.fixture
def run(talk, tmp_path):  # noqa: F811
    """A run of three rounds with a fallback: firm_2 says nothing of use in its last round."""
    text = talk.read_text().replace("rounds: 6", "rounds: 3").replace("seeds: 2", "seeds: 1")
    talk.write_text(text.replace("model: wanderer}]", "model: wanderer, most_fallbacks: 0.5}]"))
    Counting.garbles = staticmethod(
        lambda request: request.model == "wanderer" and "\n2 " in request.messages[1].content
    )
    run_experiment(talk, tmp_path / "out", jobs=1)
    return tmp_path / "out" / RUN


def answers_of(given):
    (check,) = (check for check in conform(given).checks if check.id == "answers")
    return check


def with_altered(given, kind, round_, change):
    """The run with `change` made to the body of one entry."""
    entries = list(given.entries)
    for place, entry in enumerate(entries):
        if entry.kind == kind and entry.body["round"] == round_:
            change(entry.body)
            entries[place] = Altered(entry.seq, entry.kind, entry.body)
    return replace(given, entries=entries)


def test_a_run_follows_from_its_cassette(run):
    assert answers_of(exhibits(run)).outcome is Outcome.PASS


def test_without_its_cassette_it_is_not_decided_and_no_finding(run):
    (run / FILE_NAME).unlink()
    found = conform(exhibits(run))
    check = answers_of(exhibits(run))

    assert (check.outcome, check.word) == (Outcome.SKIPPED, None)
    assert check.reason.startswith("not decided: what was answered is on the run's cassette")
    assert found.word is Word.VERIFIED


def firm_2(body):
    return body["answers"]["firm_2"]


@pytest.mark.parametrize("cassette", [True, False])
@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda body: firm_2(body).update(fallback=False), "answers.firm_2.fallback"),
        (lambda body: firm_2(body)["exchanges"].pop(), "answers.firm_2.exchanges"),
        (lambda body: body["answers"].pop("firm_1"), "answers"),
        (lambda body: body.update(round=1), "round"),
        (
            lambda body: firm_2(body)["exchanges"][3].update(outcome="played"),
            "answers.firm_2.fallback",
        ),
        (
            lambda body: firm_2(body)["exchanges"][0].update(tokens=[-1, 2]),
            "answers.firm_2.exchanges[0]",
        ),
    ],
)
def test_an_account_that_contradicts_itself_is_found_by_itself(run, change, path, cassette):
    if not cassette:
        (run / FILE_NAME).unlink()

    check = answers_of(with_altered(exhibits(run), "answers", 2, change))

    assert (check.outcome, check.word) == (Outcome.FAIL, Word.REPLAY_MISMATCH)
    assert (check.round, check.path) == (2, path)


@pytest.mark.parametrize(
    ("field", "value"),
    [("address", "0" * 64), ("tokens", [1, 1])],
)
def test_an_account_of_other_exchanges_is_found_by_the_cassette(run, field, value):
    given = with_altered(
        exhibits(run),
        "answers",
        0,
        lambda body: firm_2(body)["exchanges"][0].update({field: value}),
    )

    check = answers_of(given)

    assert (check.outcome, check.path) == (
        Outcome.FAIL,
        f"answers.firm_2.exchanges[0].{field}",
    )


@pytest.mark.parametrize("cassette", [True, False])
def test_a_fallback_is_ones_own_last_action(run, cassette):
    """Declared as `last`, it is decided without any text."""
    run = run.with_name("ungoverned-climbers-0000")  # where no ruling parts before it
    entries = [entry for entry in exhibits(run).entries if entry.kind == "round"]
    assert entries[2].body["submitted"]["firm_2"] == entries[1].body["submitted"]["firm_2"]
    if not cassette:
        (run / FILE_NAME).unlink()

    def other(body):
        body["submitted"]["firm_2"] = [1.0, 2.0]
        body["record"]["quantities"][1] = [1.0, 2.0]

    check = answers_of(with_altered(exhibits(run), "round", 2, other))

    assert (check.outcome, check.path) == (Outcome.FAIL, "submitted.firm_2")


def rewritten(run, change):
    """The cassette written anew under its own key, with one exchange changed: a careful forger."""
    found = read_cassette(run)
    known = set()
    data = Header(found.header.run, found.header.key).line()
    for place, exchange in found.exchanges.items():
        data += lines(found.header.key, place, change(place, exchange), known)[0]
    (run / FILE_NAME).write_bytes(data)


def test_an_answer_forged_with_its_address_is_not_the_ledgers(run):
    def change(place, exchange):
        if place[:2] != ("firm_1", 1):
            return exchange
        return Exchange(exchange.request, replace(exchange.reply, served="another"))

    rewritten(run, change)

    check = answers_of(exhibits(run))
    assert (check.outcome, check.path) == (Outcome.FAIL, "answers.firm_1.exchanges[0].address")


def test_a_cassette_that_cannot_be_read_leaves_the_question_open(run):
    path = run / FILE_NAME
    path.write_text(path.read_text().replace('"finish":"stop"', '"finish":"stop!"', 1))

    check = answers_of(exhibits(run))

    assert (check.outcome, check.word) == (Outcome.SKIPPED, Word.CANNOT_DECIDE)
    assert "damaged or was edited" in check.reason


@pytest.mark.parametrize("cassette", [True, False])
def test_every_field_of_the_account_matters(run, cassette):
    if not cassette:
        (run / FILE_NAME).unlink()

    found = sufficiency(exhibits(run))

    assert [name for name, field in found.items() if field.unnoticed] == []
    inert = [name for name, field in found.items() if field.inert]
    assert all("exchanges" in name for name in inert)
    assert bool(inert) is not cassette


def test_outcomes_end_in_a_move_as_the_agent_says():
    """Every sequence of up to five outcomes, against the rule told in words."""
    words = ("played", "malformed", "proposed", "approved", "rejected")
    for length in range(6):
        for said in product(words, repeat=length):
            plain = ending(said, reasks=1, rejections=None)
            if said in {("played",), ("malformed", "played")}:
                assert plain is False
            else:
                assert plain is (True if said == ("malformed", "malformed") else None)
    inspected = {
        said: ending(said, reasks=1, rejections=1)
        for length in range(6)
        for said in product(words, repeat=length)
    }
    no, bad, plan, yes = "rejected", "malformed", "proposed", "approved"
    assert {said for said, end in inspected.items() if end is False} == {
        (plan, yes),
        (bad, plan, yes),
        (plan, bad, yes),
        (bad, plan, bad, yes),
        (plan, no, plan, yes),
        (bad, plan, no, plan, yes),
        (plan, no, bad, plan, yes),
        (plan, bad, no, plan, yes),
        (plan, no, plan, bad, yes),
    }
    assert {said for said, end in inspected.items() if end is True} == {
        (bad, bad),
        (plan, bad, bad),
        (bad, plan, bad, bad),
        (plan, no, plan, no),
        (plan, no, bad, bad),
        (bad, plan, no, bad),
        (bad, plan, bad, no, bad),
        (bad, plan, no, plan, no),
        (plan, bad, no, plan, no),
        (plan, bad, no, bad, bad),
        (plan, no, bad, plan, no),
        (plan, no, plan, bad, bad),
        (plan, no, plan, bad, no),
    }
