import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from institutional.errors import InstitutionalError
from institutional.experiments.statistics import (
    bootstrap_interval,
    cohens_d,
    equivalence,
    holm,
    mean_difference,
    paired_d,
    sign_flip,
    wilson_interval,
)

# Runs in tiers 1 to 4 that reproduce the paper's shares: 90 ungoverned and 90 institutional runs.
UNGOVERNED = np.repeat([1.0, 2, 3, 4], [10, 16, 19, 45])[None]
INSTITUTIONAL = np.repeat([1.0, 2, 3, 4], [43, 25, 17, 5])[None]

values = arrays(
    np.float64, (2, 8), elements=st.integers(-50, 50).map(lambda whole: whole / 4)
)  # quarters are exact, so sums are too


def rng():
    return np.random.default_rng(1)


def test_the_papers_tier_shares_give_its_means_and_its_effect_size():
    assert UNGOVERNED.mean() == pytest.approx(3.10, abs=0.005)
    assert INSTITUTIONAL.mean() == pytest.approx(1.82, abs=0.005)
    assert UNGOVERNED.std(ddof=1) == pytest.approx(1.06, abs=0.005)
    assert INSTITUTIONAL.std(ddof=1) == pytest.approx(0.93, abs=0.005)
    assert cohens_d(UNGOVERNED, INSTITUTIONAL)[0] == pytest.approx(1.28, abs=0.005)


def test_six_differences_of_one_sign_give_two_of_sixty_four():
    found = sign_flip([[0.2, 1.0, 0.4, 3.0, 0.1, 0.7]], rng=rng())

    assert found.p[0] == 2 / 64
    assert found.exact
    assert found.flips == 64


def test_one_opposite_difference_counts_the_flips_that_reach_as_far():
    """1, 1, -1 sum to 1, and each of the eight sums is 1 or 3 away from zero: p is 1."""
    assert sign_flip([[1.0, 1.0, -1.0]], rng=rng()).p[0] == 1.0
    assert sign_flip([[1.0, 1.0, 1.0]], rng=rng()).p[0] == 2 / 8


def test_differences_of_zero_have_p_one():
    assert sign_flip(np.zeros((1, 6)), rng=rng()).p[0] == 1.0


def test_one_sided_is_half_of_two_sided_when_all_signs_agree():
    assert sign_flip([[1.0, 2.0, 3.0]], rng=rng(), alternative="greater").p[0] == 1 / 8


def test_equal_decimals_tie_with_themselves_in_spite_of_rounding():
    """0.1 + 0.2 and 0.3 differ in binary; the permutation test must not see that."""
    assert sign_flip([[0.1, 0.2, -0.3]], rng=rng()).p[0] == 1.0


def test_more_than_sixteen_pairs_are_drawn_at_random_and_never_give_zero():
    found = sign_flip(np.ones((1, 40)), rng=rng(), draws=999)

    assert not found.exact
    assert found.p[0] == 1 / 1000


def test_drawn_flips_agree_with_enumeration():
    """Seventeen values, of which one is zero, have the exact p-value of the other sixteen."""
    sixteen = rng().normal(0.3, 1, (3, 16))
    exact = sign_flip(sixteen, rng=rng())
    drawn = sign_flip(np.c_[sixteen, np.zeros(3)], rng=rng(), draws=20_000)

    assert drawn.p == pytest.approx(exact.p, abs=0.012)


def test_mean_difference_is_treatment_minus_baseline():
    assert mean_difference([[1.0, 2.0], [5, 5]], [[3.0, 3.0], [5, 6]]).tolist() == [-1.5, -0.5]


def test_paired_effect_by_hand():
    """Differences 1, 2, 3: mean 2, standard deviation 1."""
    assert paired_d([[1.0, 2.0, 3.0]])[0] == 2.0


def test_no_variance_gives_no_effect_size_and_never_infinity():
    assert np.isnan(paired_d([[0.1] * 7, [0.0] * 7])).all()
    assert np.isnan(cohens_d([[0.3] * 3], [[0.7] * 3]))[0]
    assert np.isnan(cohens_d([[1.0]], [[2.0]]))[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_a_number_is_refused_by_name(bad):
    for function in (
        lambda v: sign_flip(v, rng=rng()),
        lambda v: bootstrap_interval(v, rng=rng()),
        lambda v: equivalence(v, margin=1, rng=rng()),
        lambda v: cohens_d(v, v),
        paired_d,
    ):
        with pytest.raises(InstitutionalError, match="value 2 of cell 0"):
            function([[1.0, 2, bad, 4, 5]])


def test_pairs_need_equal_shapes():
    with pytest.raises(InstitutionalError, match="no partner"):
        mean_difference([[1.0, 2.0]], [[1.0]])


def test_an_interval_needs_five_values():
    with pytest.raises(InstitutionalError, match="at least 5 values, not 4"):
        bootstrap_interval([[1.0, 2, 3, 4]], rng=rng())


def test_an_interval_of_a_constant_has_no_width():
    found = bootstrap_interval([[0.1] * 6], rng=rng())

    assert found.low[0] == found.high[0] == pytest.approx(0.1)


def test_the_interval_of_many_values_is_nearly_the_normal_one():
    """For 400 symmetric values: mean plus or minus 1.96 standard errors."""
    sample = rng().normal(10, 2, (1, 400))
    found = bootstrap_interval(sample, rng=rng())
    half = 1.96 * sample.std(ddof=1) / 20

    assert found.low[0] == pytest.approx(sample.mean() - half, abs=0.02)
    assert found.high[0] == pytest.approx(sample.mean() + half, abs=0.02)


def test_the_interval_agrees_with_scipys_bca():
    stats = pytest.importorskip("scipy.stats")
    skewed = rng().exponential(1, (1, 15))
    theirs = stats.bootstrap(
        (skewed[0],), np.mean, n_resamples=20_000, method="BCa", random_state=rng()
    ).confidence_interval
    ours = bootstrap_interval(skewed, rng=rng(), resamples=20_000)

    assert ours.low[0] == pytest.approx(theirs.low, abs=0.02)
    assert ours.high[0] == pytest.approx(theirs.high, abs=0.02)


def test_cells_share_resamples_so_a_cells_interval_does_not_depend_on_its_neighbours():
    cells = rng().normal(size=(3, 9))
    together = bootstrap_interval(cells, rng=rng())
    alone = bootstrap_interval(cells[[1]], rng=rng())

    assert alone.low[0] == pytest.approx(together.low[1], abs=1e-12)


@given(values, st.sampled_from([-3.0, 0.5, 8.0]), st.sampled_from([0.25, 2.0, 1024.0]))
def test_intervals_move_with_a_shift_and_grow_with_a_scale(cells, shift, scale):
    before = bootstrap_interval(cells, rng=rng(), resamples=500)
    after = bootstrap_interval(cells * scale + shift, rng=rng(), resamples=500)

    assert after.low == pytest.approx(before.low * scale + shift, abs=1e-8)
    assert after.high == pytest.approx(before.high * scale + shift, abs=1e-8)
    assert (before.low <= before.high).all()


@given(values, st.sampled_from([-3.0, 0.5, 8.0]), st.sampled_from([0.25, 2.0, 1024.0]))
def test_effect_sizes_and_p_values_ignore_the_unit(cells, shift, scale):
    a, b = cells[[0]], cells[[1]]
    moved_a, moved_b = a * scale + shift, b * scale + shift

    assert cohens_d(moved_a, moved_b) == pytest.approx(cohens_d(a, b), nan_ok=True)
    assert paired_d(moved_a - moved_b) == pytest.approx(paired_d(a - b), nan_ok=True)
    assert sign_flip(moved_a - moved_b, rng=rng()).p == sign_flip(a - b, rng=rng()).p


@given(values)
def test_exchanging_the_regimes_changes_the_sign_and_nothing_else(cells):
    a, b = cells[[0]], cells[[1]]

    assert cohens_d(a, b) == pytest.approx(-cohens_d(b, a), nan_ok=True)
    assert sign_flip(a - b, rng=rng()).p == sign_flip(b - a, rng=rng()).p
    assert 2 / 256 <= sign_flip(a - b, rng=rng()).p[0] <= 1


def test_six_pairs_without_any_difference_are_equivalent_at_one_in_sixty_four():
    assert equivalence(np.zeros((1, 6)), margin=1.0, rng=rng()).p[0] == 1 / 64


def test_a_difference_beyond_the_margin_is_not_equivalent():
    assert equivalence([[1.5, 2.0, 2.5, 2.0, 1.0, 3.0]], margin=1.0, rng=rng()).p[0] > 0.9


def test_an_equivalence_margin_is_above_zero():
    with pytest.raises(InstitutionalError, match="above zero, not 0"):
        equivalence(np.zeros((1, 6)), margin=0, rng=rng())


def test_holm_by_hand():
    """0.01 x 3, then 0.02 x 2, then 0.04 x 1 raised to the one before it."""
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([0.3]).tolist() == [0.3]


def test_no_success_in_ten_still_leaves_room_for_a_quarter():
    """Wilson at zero: z squared over n + z squared, 3.84 / 13.84."""
    found = wilson_interval(0, 10)

    assert found.low[0] == 0.0
    assert found.high[0] == pytest.approx(0.2775, abs=1e-4)


def test_half_of_ten_by_hand():
    found = wilson_interval([5, 0], [10, 0])

    assert found.low[0] == pytest.approx(0.2366, abs=1e-4)
    assert found.high[0] == pytest.approx(0.7634, abs=1e-4)
    assert math.isnan(found.low[1])
    with pytest.raises(InstitutionalError, match="successes <= trials"):
        wilson_interval(3, 2)


def test_neither_scipy_nor_pyplot_is_imported():
    program = (
        "import sys, institutional.experiments.compare\n"
        "assert not {'scipy', 'matplotlib'} & set(sys.modules), 'statistics are to be light'\n"
        "import institutional.experiments.report.page\n"
        "assert not {'scipy.stats', 'matplotlib.pyplot'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
