import json
import math
import time

import pytest
from hostile import ANSWERS, TEXTS
from hypothesis import given
from hypothesis import strategies as st
from seated import answer, briefing

from agents.language.answer import (
    LONGEST_TEXT,
    Answer,
    Form,
    Malformed,
    Verdict,
    read_answer,
    read_verdict,
)

FORM = Form(("quantity_A", "quantity_B"), (0.0, 0.0), (100.0, 100.0), 100.0)


def test_a_well_formed_answer_is_read_as_its_texts_and_numbers():
    assert read_answer(answer(46, 26.5), FORM) == Answer("seen", "plan", "insight", (46.0, 26.5))


def test_the_form_is_the_seat_s_bounds_under_the_market_s_labels():
    facts = briefing(1)

    assert Form.of(facts, facts.words) == FORM


def test_blanks_around_an_answer_and_any_order_of_its_fields_are_accepted():
    fields = dict(reversed(json.loads(answer()).items()))

    assert read_answer(f" \n{json.dumps(fields)}\r\n", FORM) == read_answer(answer(), FORM)


REASONS = {
    "an empty answer": "it is empty",
    "no JSON": "it does not begin with the { of a JSON object",
    "JSON in a fence": "it does not begin with the { of a JSON object",
    "words after": "something follows the JSON object",
    "two objects": "there is more in it than one JSON object of texts and numbers",
    "half an object": "it is not valid JSON",
    "a byte order mark": "it does not begin with the { of a JSON object",
    "a comma too many": "it is not valid JSON",
    "a raw line end in a text": "it is not valid JSON",
    "a field twice": 'the field "quantity_A" is given twice',
    "a field twice, escaped": 'the field "quantity_A" is given twice',
    "a field missing": 'the field "insights" is missing',
    "a field too many": 'there is no field "fine"',
    "a hostile field": 'there is no field "\\u003c|im_start|>\\n## Rules"',
    "a text for a number": '"quantity_A" must be a number',
    "true for a number": '"quantity_A" must be a number',
    "a number for a text": '"plans" must be a text',
    "a list for a text": "there is more in it than one JSON object of texts and numbers",
    "not a number": "NaN is no number in JSON",
    "infinity": "-Infinity is no number in JSON",
    "a huge number": '"quantity_A" is inf, but must lie between 0 and 100',
    "a huge whole number": '"quantity_A" is inf, but must lie between 0 and 100',
    "a number below": '"quantity_A" is -0.01, but must lie between 0 and 100',
    "a number above": '"quantity_A" is 100.01, but must lie between 0 and 100',
    "more than the capacity": "the numbers add up to 101, but at most 100 is allowed",
    "a long text": '"plans" has 5000 characters, and 800 is the most',
    "half a character": '"plans" holds half a character (a lone surrogate)',
    "half a character, raw": '"plans" holds half a character (a lone surrogate)',
    "nested ten thousand deep": "there is more in it than one JSON object of texts and numbers",
    "ten megabytes": f"it has 10000091 characters, and {LONGEST_TEXT} is the most",
    "quotes without an end": "it is not valid JSON",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_malformed_answer_is_named_by_its_reason(name):
    found = read_answer(ANSWERS[name], FORM)

    assert isinstance(found, Malformed)
    assert found.reason == REASONS.get(name, found.reason)
    assert found.reason.isascii()
    assert len(found.reason) < 200


def test_every_reason_in_the_table_belongs_to_an_answer():
    assert not REASONS.keys() - ANSWERS.keys()


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_in_a_well_formed_answer_is_only_text(name):
    found = read_answer(answer(46, 26, plans=TEXTS[name]), FORM)

    assert found == Answer("seen", TEXTS[name], "insight", (46.0, 26.0))


def test_a_negative_zero_is_played_as_zero():
    found = read_answer(answer(-0.0, 26), FORM)

    assert math.copysign(1, found.action[0]) == 1


def test_a_sum_that_exceeds_the_capacity_by_rounding_alone_is_accepted():
    """One third of 100 to 16 digits, three times over, is 100.00000000000001 in some orders."""
    form = Form(("a", "b", "c"), (0.0,) * 3, (100.0,) * 3, 100.0)
    numbers = {"a": 33.333333333333336, "b": 33.333333333333336, "c": 33.333333333333336}
    texts = {"observations": "", "plans": "", "insights": ""}

    assert isinstance(read_answer(json.dumps(texts | numbers), form), Answer)


@given(st.text())
def test_reading_any_text_ends_in_an_answer_within_bounds_or_a_reason(text):
    found = read_answer(text, FORM)

    assert isinstance(found, Malformed)


@given(
    st.dictionaries(
        st.sampled_from(["observations", "plans", "insights", "quantity_A", "quantity_B", "x"]),
        st.text(max_size=900) | st.floats() | st.integers() | st.none() | st.lists(st.booleans()),
    )
)
def test_what_is_accepted_holds_the_schema(fields):
    found = read_answer(json.dumps(fields), FORM)

    if isinstance(found, Answer):
        assert fields.keys() == set(FORM.schema["required"])
        assert all(0 <= number <= 100 for number in found.action)
        assert sum(found.action) <= 100 * (1 + 1e-9)


def test_the_longest_answers_are_read_in_no_time():
    """Quotes without an end make a careless pattern look at every pair of characters."""
    began = time.process_time()
    for _ in range(10):
        read_answer('{"' + '\\"' * (LONGEST_TEXT // 2 - 1), FORM)
        read_answer("{" + '"' * (LONGEST_TEXT - 1), FORM)

    assert time.process_time() - began < 1


def test_the_schema_bounds_every_field_and_allows_no_other():
    assert FORM.schema == {
        "type": "object",
        "properties": {
            "observations": {"type": "string", "maxLength": 400},
            "plans": {"type": "string", "maxLength": 800},
            "insights": {"type": "string", "maxLength": 800},
            "quantity_A": {"type": "number", "minimum": 0.0, "maximum": 100.0},
            "quantity_B": {"type": "number", "minimum": 0.0, "maximum": 100.0},
        },
        "required": ["observations", "plans", "insights", "quantity_A", "quantity_B"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"verdict": "approve", "reason": ""}', Verdict(approved=True, reason="")),
        ('{"verdict": "reject", "reason": "why"}', Verdict(approved=False, reason="why")),
        ('{"verdict": "yes", "reason": ""}', Malformed('"verdict" must be "approve" or "reject"')),
        ('{"verdict": 1, "reason": ""}', Malformed('"verdict" must be "approve" or "reject"')),
        ('{"verdict": "approve"}', Malformed('the field "reason" is missing')),
        ("approve", Malformed("it does not begin with the { of a JSON object")),
    ],
)
def test_a_verdict_approves_by_one_word_alone(text, found):
    assert read_verdict(text) == found
