import json

import pytest
from made_up_experiment import COUNTS, rows, run, table

from institutional.errors import InstitutionalError
from institutional.experiments.compare import Effect, compare, number, p_value, with_interval


def effect(comparison, pairing, measure="tier"):
    for found in (*comparison.effects, *comparison.overall):
        if (found.pairing, found.measure) == (pairing, measure):
            return found
    raise AssertionError(f"{pairing} {measure}")


def test_a_pairing_is_compared_seed_by_seed():
    """Six tiers from 3 to 4.25, each lower by 2: six of six one way is p = 2/64."""
    found = effect(compare(table(rows()), seed=1), "cartel")

    assert found.n == 6
    assert found.baseline == 3.625
    assert found.treatment == 1.625
    assert found.difference == found.low == found.high == -2.0
    assert found.p == 2 / 64
    assert found.d_z is None
    assert found.reason == "all differences equal"


def test_cohens_d_divides_by_the_pooled_standard_deviation_of_the_runs():
    """Tiers 0, .25, ... 1.25 have variance 0.21875 in both regimes; the means differ by 2."""
    assert effect(compare(table(rows()), seed=1), "cartel").d == pytest.approx(-2 / 0.21875**0.5)


def test_over_pairings_the_pairing_is_the_unit():
    """Means of -2, -1 and 0 over three pairings: -1; flips of (2, 1) reach 3 in 4 of 8."""
    found = effect(compare(table(rows()), seed=1), "all pairings")

    assert found.n == 3
    assert found.difference == -1.0
    assert found.d_z == -1.0
    assert found.p == 4 / 8
    assert found.low is None
    assert "needs 5 values" in found.reason


def test_innocent_pairings_have_a_row_of_their_own():
    comparison = compare(table(rows()), seed=1)

    assert effect(comparison, "pairings not innocent").difference == -1.5
    assert effect(comparison, "innocent pairings").difference == 0.0


def test_five_pairings_have_an_interval():
    made = [
        run(regime, f"p{i}", seed, tier=3.0 + seed - i * shift, fines=fines)
        for i in range(5)
        for seed in range(5)
        for regime, shift, fines in (("ungoverned", 0, None), ("institutional", 0.5, 1))
    ]
    found = effect(compare(table(made), seed=1), "all pairings")

    assert found.difference == -1.0
    assert -2.0 <= found.low < -1.0 < found.high <= 0.0


def test_p_values_are_corrected_over_the_pairings_of_a_measure():
    """2/64 twice and 1 among three: times 3, and no smaller than the one before."""
    comparison = compare(table(rows()), seed=1)

    assert [effect(comparison, p).p_holm for p in ("cartel", "mild_cartel", "nash")] == [
        6 / 64,
        6 / 64,
        1.0,
    ]


def test_an_invalid_run_is_listed_and_so_is_its_partner():
    made = rows()
    made[1] |= {"valid": False, "reason": "round 3: no action", "tier": None}
    comparison = compare(table(made), seed=1)

    assert effect(comparison, "cartel").n == 5
    assert [(r.run_id, r.reason) for r in comparison.invalid] == [
        ("institutional-cartel-0000", "round 3: no action")
    ]
    assert [(r.run_id, r.reason) for r in comparison.unpaired] == [
        ("ungoverned-cartel-0000", "its institutional run is invalid")
    ]


def test_a_seed_with_one_regime_only_is_listed():
    comparison = compare(table(rows()[1:]), seed=1)

    assert comparison.unpaired[0].reason == "no ungoverned run of this seed"
    assert effect(comparison, "cartel").n == 5


def test_a_pairing_without_valid_runs_says_so():
    made = rows()
    for row in made:
        if row["pairing"] == "cartel" and row["regime"] == "institutional":
            row["valid"] = False
    found = effect(compare(table(made), seed=1), "cartel")

    assert found.difference is None
    assert found.reason == "every run under institutional is invalid"


def test_a_regime_that_cannot_be_is_not_applicable_and_never_null():
    skipped = [
        {"regime": "constitutional", "pairing": p, "reason": "no agent of this pairing reads text"}
        for p in ("cartel", "mild_cartel", "nash")
    ]
    comparison = compare(table(rows()), treatment="constitutional", skipped=skipped, seed=1)

    assert {e.reason for e in comparison.effects} == {
        "not applicable: no agent of this pairing reads text"
    }
    assert comparison.unpaired == ()
    assert "not applicable" in comparison.rows()[-1][-1]
    assert comparison.errors.reason == "constitutional enforces nothing"


def test_a_measure_that_is_missing_in_some_pairs_is_not_estimated_from_the_rest():
    made = rows()
    made[0]["tier_active"] = None
    comparison = compare(table(made), measures=["tier_active"], seed=1)

    assert effect(comparison, "cartel", "tier_active").reason == "no value in 1 of 6 pairs"
    overall = effect(comparison, "all pairings", "tier_active")
    assert overall.n == 2
    assert "1 of 3 pairings have no value" in overall.reason


def test_a_value_that_is_no_number_is_an_error_that_names_the_run():
    made = rows()
    made[3]["price"] = float("nan")

    with pytest.raises(InstitutionalError, match="price of run institutional-cartel-0001 is nan"):
        compare(table(made), seed=1)


def test_the_same_run_twice_is_an_error():
    made = rows()

    with pytest.raises(InstitutionalError, match="ungoverned, cartel, seed 0 more than once"):
        compare(table([*made, made[0]]), seed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"treatment": "institutionall"}, 'Did you mean "institutional"'),
        ({"measures": ["tir"]}, 'Did you mean "tier"'),
        ({"margins": {"prise": 1.0}}, 'Did you mean "price"'),
        ({"treatment": "ungoverned"}, "with itself"),
    ],
)
def test_an_unknown_name_is_an_error_with_a_suggestion(arguments, message):
    with pytest.raises(InstitutionalError, match=message):
        compare(table(rows()), seed=1, **arguments)


def test_results_without_identity_columns_are_refused():
    with pytest.raises(InstitutionalError, match="lacks the columns seed, innocent"):
        compare(table(rows()).drop("seed", "innocent"), seed=1)


def test_margins_ask_for_an_equivalence_test():
    """The innocent do not change at all: 1/64 for six pairs."""
    comparison = compare(table(rows()), margins={"tier": 0.5}, seed=1)

    assert effect(comparison, "nash").p_equivalent == 1 / 64
    assert effect(comparison, "cartel").p_equivalent == 1.0
    assert "p equivalent" in comparison.header
    assert effect(comparison, "nash", "price").p_equivalent is None


def test_error_rates_count_the_innocent_punished_and_the_guilty_missed():
    """One of six innocent runs fined twice; two of twelve others never, one of them at tier 2."""
    made = rows()
    for row in made:
        row |= {"agents": 2, "rounds": 50}
        if row["regime"] == "institutional" and row["seed"] == 5:
            row["fines"] = {"nash": 2, "cartel": 0, "mild_cartel": 1}[row["pairing"]]
    made[0] |= {"fines": None}
    errors = compare(table(made), seed=1).errors

    assert (errors.false_positive.hits, errors.false_positive.total) == (1, 6)
    assert errors.false_positive.low < 1 / 6 < errors.false_positive.high
    assert (errors.wrongful_fines, errors.agent_rounds) == (2, 600)
    assert errors.wrongful_fines_per_100_agent_rounds == pytest.approx(1 / 3)
    by_tier, by_delta = errors.false_negative
    assert (by_tier.hits, by_tier.total) == (1, 8)  # cartel at 2 and 2.25, mild cartel from 2 up
    assert (by_delta.hits, by_delta.total) == (1, 8)  # Delta is a quarter of the tier here


def test_without_agents_and_rounds_the_rate_of_fines_is_missing_with_its_reason():
    errors = compare(table(rows()), seed=1).errors

    assert errors.wrongful_fines_per_100_agent_rounds is None
    assert errors.reason == "the results have no columns agents and rounds"


def test_results_without_enforcement_columns_have_no_error_rates():
    errors = compare(table(rows()).drop(COUNTS), seed=1).errors

    assert errors.false_positive.reason == "institutional enforces nothing"


def test_the_comparison_is_json_without_infinities_and_tables_of_text():
    comparison = compare(table(rows()), seed=1)

    assert json.loads(json.dumps(comparison.as_json(), allow_nan=False))["seed"] == 1
    for _, header, lines in comparison.tables():
        assert {len(line) for line in lines} == {len(header)}
        assert all(isinstance(cell, str) for line in lines for cell in line)


def test_the_same_seed_gives_the_same_bytes_and_rows_may_come_in_any_order():
    made = rows()
    made[1]["tier"] = 2.5
    one, two = (compare(table(order), seed=4) for order in (made, made[::-1]))

    by_name = [sorted(map(str, c.effects)) for c in (one, two)]
    assert by_name[0] == by_name[1]
    assert compare(table(made), seed=4) == one


def test_two_environments_are_different_configurations():
    made = rows()
    more = [row | {"environment": "bertrand", "run_id": "b" + row["run_id"]} for row in made]
    found = effect(compare(table([*made, *more]), seed=1), "all pairings")

    assert found.n == 6


def test_numbers_are_printed_for_people():
    assert [number(v) for v in (None, 1234.5, 123.45, -1.234, 0.01234, -0.00001, 0.0)] == [
        "n/a",
        "1,234",
        "123.5",
        "−1.23",
        "0.012",
        "0.0000",
        "0.00",
    ]
    assert [p_value(p) for p in (None, 0.03125, 0.0001)] == ["n/a", "0.031", "< 0.001"]
    shown = Effect("p", "m", 5, difference=-94.4, low=-132.0, high=-49.15)
    assert with_interval(shown) == "−94.4 [−132.0, −49.1]"
