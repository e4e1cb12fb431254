"""The paper's table from the paper's own numbers: 90 runs per regime in six configurations."""

import pytest
from made_up_experiment import run, table

from institutional.experiments.compare import compare
from institutional.experiments.compare_tiers import enforced_rows, tier_rows

UNGOVERNED = (0, 10, 16, 19, 45)  # runs in tiers 0 to 4
INSTITUTIONAL = (0, 43, 25, 17, 5)
CONFIGURATIONS = 6


def dealt(counts):
    """The runs' tiers, dealt to the configurations in turn: 15 each, much alike."""
    tiers = [tier for tier, count in enumerate(counts) for _ in range(count)]
    return [tiers[start::CONFIGURATIONS] for start in range(CONFIGURATIONS)]


@pytest.fixture(scope="module")
def comparison():
    rows = []
    for pairing, (before, after) in enumerate(
        zip(dealt(UNGOVERNED), dealt(INSTITUTIONAL), strict=True)
    ):
        for seed, (without, with_) in enumerate(zip(before, after, strict=True)):
            rows.append(run("ungoverned", f"pair_{pairing}", seed, tier=without))
            rows.append(
                run("institutional", f"pair_{pairing}", seed, tier=with_, fines=int(seed > 1))
                | {"suspensions": int(seed == 2), "refused": 3}
            )
    for row in rows:  # as far above Nash as tiers are high, by made-up amounts
        row |= {"cv_excess": 0.5 * row["tier"], "hhi_excess": 0.2 * row["tier"]}
    return compare(table(rows), measures=["tier", "cv_excess", "hhi_excess"], seed=0)


def test_means_deviations_and_shares_are_the_papers(comparison):
    """10, 16, 19 and 45 of 90 runs are 11.1, 17.8, 21.1 and 50.0 %."""
    header, rows = tier_rows(comparison.tiers)

    assert header[:4] == ("regime", "runs", "mean tier ± SD", "tier 0")
    assert rows == [
        ("ungoverned", "90", "3.10 ± 1.06", "0.0 %", "11.1 %", "17.8 %", "21.1 %", "50.0 %"),
        ("institutional", "90", "1.82 ± 0.93", "0.0 %", "47.8 %", "27.8 %", "18.9 %", "5.6 %"),
    ]


def test_the_effect_size_is_the_papers_with_the_pooled_deviation_of_runs(comparison):
    overall = comparison.overall[0]

    assert (overall.pairing, overall.measure, overall.n) == ("all pairings", "tier", 6)
    assert overall.difference == pytest.approx(1.8222 - 3.1, abs=1e-4)
    assert -overall.d == pytest.approx(1.28, abs=0.005)


def test_six_of_six_configurations_improve_which_is_the_papers_p(comparison):
    by_pairing = [e for e in comparison.effects if e.measure == "tier"]

    assert all(effect.difference < 0 for effect in by_pairing)
    assert comparison.overall[0].p == 2 / 64


def test_excesses_of_shares_and_concentration_stand_beside_the_tier(comparison):
    by_measure = {effect.measure: effect for effect in comparison.overall}

    assert by_measure["cv_excess"].difference == pytest.approx(0.5 * (1.8222 - 3.1), abs=1e-4)
    assert by_measure["hhi_excess"].difference == pytest.approx(0.2 * (1.8222 - 3.1), abs=1e-4)


def test_what_was_enforced_is_summed_over_governed_runs(comparison):
    """Of 15 seeds in 6 pairings 13 are fined and warned once; seed 2 is suspended; 3 refused."""
    header, rows = enforced_rows(comparison.enforced)

    assert header == (
        "regime",
        "runs",
        "acted in",
        "warnings",
        "fines",
        "suspensions",
        "credits",
        "refused",
    )
    assert rows == [("institutional", "90", "78", "78", "78", "6", "0", "270")]


def test_compare_prints_them_all(comparison):
    titles = [title for title, _, _ in comparison.tables()]

    assert titles[0].startswith("Over pairings")
    assert "Runs by tier" in titles
    assert "What was enforced" in titles
    assert comparison.as_json()["tiers"][0]["counts"] == UNGOVERNED


def test_without_tiers_or_counts_the_tables_are_left_out():
    rows = [run(r, "p", s, tier=1) for r in ("ungoverned", "institutional") for s in range(2)]
    bare = compare(table(rows).drop("tier", "refused"), measures=["price"], seed=0)

    assert bare.tiers == bare.enforced == ()
    assert not {"Runs by tier", "What was enforced"} & {title for title, _, _ in bare.tables()}
