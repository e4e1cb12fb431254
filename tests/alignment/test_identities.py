"""The fourteen identities that tie methods together; a sign error anywhere breaks one of them."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from alignment_examples import generator, numbers, random_batch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid
from torch.testing import assert_close

from agents.alignment import bandit, distillation, listwise, policy_gradient
from agents.alignment import list_losses as lists
from agents.alignment import pair_losses as pairs
from agents.alignment.batch import Batch, single
from agents.alignment.labels import log_odds_of_label, posterior, unflipped
from agents.alignment.link import logistic
from agents.alignment.margin import gap
from agents.alignment.methods import method
from agents.alignment.metrics import idealised_gap, loss_for_right_ranking, ranking_accuracy
from agents.alignment.optimizers import Adam
from agents.alignment.references import frozen, geometric
from agents.alignment.sources import repeated
from agents.alignment.train import train
from agents.alignment.transforms import impact_weights
from agents.alignment.views import (
    history_log_probs,
    log_probs,
    log_ratios,
    mean_log_probs,
    mean_log_ratios,
    reference_log_probs,
)

SEEDS = st.integers(0, 10_000)
BETAS = st.floats(0.05, 2.0)


def gradient(loss, batch):
    leaf = batch.policy.clone().requires_grad_()
    return torch.autograd.grad(loss(replace(batch, policy=leaf)).sum(), leaf)[0]


@given(seed=SEEDS, beta=BETAS, tau=BETAS)
def test_1_contrastive_policy_gradient_is_ipo_where_rewards_differ_by_beta_over_two_tau(
    seed, beta, tau
):
    batch = random_batch(seed)
    rewards = numbers(beta / (2 * tau), 0.0).expand(len(batch.responses), 2)

    found = lists.copg(replace(batch, scores=rewards), beta=beta)

    assert_close(found, beta / 2 * pairs.ipo(batch, tau=tau))


@given(seed=SEEDS, beta=BETAS)
def test_1_its_gradient_is_the_contrastive_one(seed, beta):
    """[R_beta(y) - R_beta(y')] (grad log pi(y) - grad log pi(y')), whoever drew the two."""
    batch = random_batch(seed)

    def contrastive(filled):
        regularised = filled.scores - beta * log_ratios(filled).detach()
        return -gap(regularised) * gap(log_probs(filled))

    assert_close(gradient(partial(lists.copg, beta=beta), batch), gradient(contrastive, batch))


@given(seed=SEEDS)
def test_2_preference_ranking_of_two_is_logistic_in_mean_log_probabilities(seed):
    batch = random_batch(seed)  # scores differ by one: equal temperatures

    assert_close(lists.pro(batch, sft=0.0), -logsigmoid(gap(mean_log_probs(batch))))


@given(seed=SEEDS, beta=BETAS)
def test_3_list_likelihood_and_unweighted_lipo_of_two_are_dpo(seed, beta):
    batch = random_batch(seed)
    ranked = beta * log_ratios(batch)
    unweighted = listwise.pairwise(ranked, listwise.beats(batch.scores), link=logistic)

    assert_close(lists.listmle(batch, beta=beta), pairs.dpo(batch, beta=beta))
    assert_close(unweighted, pairs.dpo(batch, beta=beta))


@given(seed=SEEDS, beta=BETAS)
def test_4_robust_dpo_without_noise_is_dpo(seed, beta):
    batch = random_batch(seed)

    assert_close(pairs.rdpo(batch, beta=beta, flip_rate=0.0), pairs.dpo(batch, beta=beta))


@given(seed=SEEDS, flip_rate=st.floats(0.0, 0.45))
def test_4_robust_dpo_in_expectation_over_flips_is_the_clean_loss(seed, flip_rate):
    batch = random_batch(seed)
    robust = unflipped(partial(pairs.dpo, beta=1.0), turned=Batch.swapped, flip_rate=flip_rate)

    seen = (1 - flip_rate) * robust(batch) + flip_rate * robust(batch.swapped())

    assert_close(seen, pairs.dpo(batch, beta=1.0))


def test_4_robust_dpo_over_a_million_flipped_labels_averages_to_the_clean_loss():
    """At a flip rate of 0.2 the losses spread by 0.67, their mean by 0.0007."""
    flips = torch.rand(1_000_000, generator=generator(3), dtype=torch.float64) < 0.2
    margins = torch.where(flips, -1.0, 1.0).double()

    seen = unflipped(logistic, turned=torch.neg, flip_rate=0.2)(margins).mean()

    assert_close(seen, logistic(numbers(1.0))[0], atol=2e-3, rtol=0)


@given(seed=SEEDS)
def test_5_re_po_of_perfect_annotators_is_the_base_loss(seed):
    batch = random_batch(seed)
    for base in (partial(pairs.dpo, beta=0.5), partial(pairs.cdpo, beta=0.5, flip_rate=0.0)):
        found = pairs.repo(batch, base=base, reliability=numbers(1.0))

        assert_close(found, base(batch))


@given(seed=SEEDS, reliability=st.floats(0.01, 0.99))
def test_5_re_po_of_an_undecided_policy_is_label_smoothing(seed, reliability):
    """Where p = 1/2 a label is right as often as its annotator, and the gradient says so."""
    batch = random_batch(seed)
    undecided = replace(batch, policy=batch.reference.clone())
    base, smooth = partial(pairs.dpo, beta=1.0), partial(pairs.cdpo, beta=1.0)
    odds = log_odds_of_label(base, undecided, turned=Batch.swapped)

    right = posterior(odds, torch.full_like(odds, reliability))
    found = gradient(partial(pairs.repo, base=base, reliability=numbers(reliability)), undecided)

    assert_close(right, torch.full_like(odds, reliability))
    assert_close(found, gradient(partial(smooth, flip_rate=1 - reliability), undecided))


@given(seed=SEEDS, beta=BETAS)
def test_6_constrained_preference_optimisation_without_demand_is_length_normalised_dpo(seed, beta):
    batch = random_batch(seed)

    found = pairs.cpo_constrained(batch, beta=beta, alpha=1.0, gamma=-1e4, tau=2.0)

    assert_close(found, pairs.dpo(batch, beta=beta, ratios=mean_log_ratios))


@given(seed=SEEDS, beta=BETAS)
def test_6_its_clipped_variant_is_dpo_where_the_reference_ranks_right(seed, beta):
    batch = random_batch(seed)
    right = gap(mean_log_probs(replace(batch, policy=batch.reference))) >= 0

    clipped = pairs.cpo_clip(batch, beta=beta)
    plain = pairs.dpo(batch, beta=beta, ratios=mean_log_ratios)

    assert_close(clipped[right], plain[right])
    assert (clipped[~right] > plain[~right]).all()


@given(seed=SEEDS, tau=BETAS)
def test_7_multiplayer_nash_anchored_to_the_reference_alone_is_ipo(seed, tau):
    batch = random_batch(seed)

    found = pairs.mnpo(batch, share=1.0, eta=tau, past=(1.0,))

    assert_close(found, pairs.ipo(batch, tau=tau))


@given(seed=SEEDS, tau=st.floats(0.05, 0.5), eta=st.floats(0.5, 2.0))
def test_7_multiplayer_nash_anchored_to_the_last_policy_is_inpo(seed, tau, eta):
    batch = random_batch(seed)
    d, d_ref = gap(log_probs(batch)), gap(reference_log_probs(batch))
    d_last, share = gap(history_log_probs(batch)[0]), tau / eta
    by_hand = (d - share * d_ref - (1 - share) * d_last - 1 / (2 * eta)) ** 2

    assert_close(pairs.mnpo(batch, share=share, eta=eta, past=(1.0, 0.0)), by_hand)
    assert_close(pairs.inpo(batch, eta=eta, tau=tau), by_hand)


@given(seed=SEEDS, beta=BETAS)
def test_8_power_with_equal_weights_and_no_sft_is_reference_free_logistic(seed, beta):
    batch = random_batch(seed)

    found = pairs.power(batch, beta=beta, eta=0.0, length_power=0.0)

    assert_close(found, -logsigmoid(beta * gap(log_probs(batch))))


@given(seed=SEEDS)
def test_9_stop_gradient_top_k_over_the_whole_vocabulary_has_the_gradient_of_reverse_kl(seed):
    draw = generator(seed)
    logits, teacher = (torch.randn(3, 7, generator=draw, dtype=torch.float64) for _ in range(2))
    leaf, taught = logits.requires_grad_(), teacher.log_softmax(-1)
    student = leaf.log_softmax(-1)

    stopped = distillation.stopped_partial(
        student, taught, distillation.top(student, count=7)
    ).sum()
    whole = distillation.reverse_kl(student, taught).sum()

    (found,) = torch.autograd.grad(stopped, leaf, retain_graph=True)
    assert_close(found, torch.autograd.grad(whole, leaf)[0])


@given(advantage=st.floats(-1.5, 1.5), price=st.floats(0.8, 5.0))
def test_10_ratio_variance_penalty_is_least_at_one_plus_advantage_over_two_prices(advantage, price):
    best = 1 + advantage / (2 * price)
    ratios = best + numbers(-0.1, 0.0, 0.1)

    losses = policy_gradient.variance_penalised(ratios, numbers(*[advantage] * 3), price=price)

    assert losses.argmin() == 1
    assert_close(losses[1], -numbers(best * advantage - price * (best - 1) ** 2)[0])


@given(seed=SEEDS, beta=st.floats(0.1, 5.0))
def test_11_a_pair_is_ranked_right_exactly_where_its_dpo_loss_is_small_enough(seed, beta):
    batch = random_batch(seed, prompts=50)

    losses = pairs.dpo(batch, beta=beta)
    enough = losses <= loss_for_right_ranking(gap(reference_log_probs(batch)), beta=beta)

    assert (enough == (gap(log_probs(batch)) >= 0)).all()


def test_11_tabular_dpo_comes_to_the_idealised_ranking_pair_by_pair():
    """Twenty prompts with two arms, references anywhere, three of four raters agree, beta 1."""
    spread = torch.randn(20, generator=generator(5), dtype=torch.float64) * 3
    policy = bandit.tabular(20, 2)
    with torch.no_grad():
        policy.scores.numbers[:, 0] = spread
    reference = frozen(policy)
    agree = numbers([0.5, 0.75], [0.25, 0.5]).expand(20, 2, 2)
    batch = single(
        torch.tensor([[0, 1]]).expand(20, 2), prompts=torch.arange(20), preferences=agree
    )

    train(
        method("osp").using(beta=1.0),
        policy,
        repeated([batch], 1500),
        Adam(policy.parameters(), rate=0.02),
        reference=reference,
    )

    found = log_probs(replace(batch, policy=policy(batch)))
    ideal = idealised_gap(spread, torch.full((20,), 0.75), beta=1.0)
    assert_close(gap(found).detach(), ideal, atol=1e-3, rtol=0)
    assert ((gap(found) > 0) == (ideal > 0)).all()
    assert 0.5 < ranking_accuracy(found) < 1


@given(seed=SEEDS, share=st.sampled_from([0.0, 1.0]))
def test_12_geometric_mixture_ends_at_the_policy_and_at_the_reference(seed, share):
    draw = generator(seed)
    policy, reference = torch.randn(2, 3, 6, generator=draw, dtype=torch.float64).log_softmax(-1)

    found = geometric(policy, reference, share=share)

    assert_close(found, reference if share else policy)


@pytest.mark.parametrize("certain", [0.0, 1.0])
@given(seed=SEEDS, beta=BETAS)
def test_13_a_judge_without_doubt_makes_self_preference_dpo(seed, beta, certain):
    batch = random_batch(seed)
    sure = replace(batch, preferences=torch.full((5, 2, 2), certain, dtype=torch.float64))

    found = pairs.osp(sure, beta=beta)

    assert_close(found, pairs.dpo(batch if certain else batch.swapped(), beta=beta))


@given(seed=SEEDS, gamma=st.floats(1e-3, 1e3))
def test_14_impact_weights_do_not_depend_on_gamma(seed, gamma):
    draw = generator(seed)
    gold = torch.randn(4, generator=draw, dtype=torch.float64)
    each = torch.randn(9, 4, generator=draw, dtype=torch.float64)

    found = impact_weights(gold, each, gamma=gamma)

    assert_close(found, impact_weights(gold, each, gamma=1.0))
    assert (found >= 0).all()
