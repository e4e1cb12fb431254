"""POWER and labels that move, small."""

from institutional.studies import power2024 as study
from institutional.studies.study import estimate


def test_labels_that_follow_the_policy_cost_reward_and_one_loss_has_two_names():
    outcome = study.run(range(5), paces=(0.02,), last=50)

    value = {name: estimate(values).value for name, values in outcome.measured.items()}
    assert value["POWER and RPO: largest difference of E[r]"] < 1e-9
    assert value["POWER-DL 0.02 after 50 steps: E[r]"] < value["POWER after 50 steps: E[r]"]
    assert value["type II: POWER-DL 0.02 above DPO in P(best)"] > 0
    assert len(outcome.draw().axes) == 2
