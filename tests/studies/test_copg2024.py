"""The contrastive policy gradient, small."""

from institutional.studies import copg2024
from institutional.studies.study import estimate


def test_contrast_comes_nearer_to_the_optimum_than_what_lacks_it():
    outcome = copg2024.run(range(5), steps=300)

    far = {name: estimate(values).value for name, values in outcome.measured.items()}
    kl = "KL to the optimum"
    assert max(far[f"{name}: {kl}"] for name in (copg2024.COPG, copg2024.SAMPLED)) < 0.02
    assert min(far[f"{name}: {kl}"] for name in (copg2024.PLAIN, copg2024.IPO)) > 0.05
    assert len(outcome.draw().axes[0].lines) == 6
