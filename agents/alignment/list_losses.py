"""What each method for K responses minimises, from scores, rewards or a teacher: one function each.

Every loss is [B]; settings are keyword arguments whose defaults and papers stand in `methods`.
"""

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from agents.alignment import distillation, listwise
from agents.alignment.batch import Batch
from agents.alignment.link import logistic
from agents.alignment.policy_gradient import (
    divergence_positive,
    group_normalised,
    leave_one_out,
    next_price,
    sequence_log_ratio,
    variance_penalised,
    worst_group,
)
from agents.alignment.views import (
    average,
    log_probs,
    log_ratios,
    mean_log_probs,
    mean_log_ratios,
    needed,
    scores,
)
from agents.policies.losses import clipped_surrogate, reinforce


def pro(batch: Batch, *, sft: float) -> Tensor:
    """PRO's tempered ranking of mean log-probabilities, plus SFT on the sum of the best's.

    The official code weighs SFT with (K - 1)^2.
    """
    ranking = listwise.tempered_ranking(mean_log_probs(batch), scores(batch))
    best = scores(batch).argmax(dim=-1, keepdim=True)
    others = batch.responses.shape[1] - 1
    return ranking - sft * others**2 * log_probs(batch).gather(-1, best)[:, 0]


def lipo_lambda(batch: Batch, *, beta: float) -> Tensor:
    """All pairs, weighed by what swapping them would change in DCG."""
    ranked = beta * log_ratios(batch)
    weights = listwise.lambda_weights(ranked, scores(batch))
    return listwise.pairwise(ranked, weights, link=logistic)


def all_pairs(batch: Batch, *, beta: float) -> Tensor:
    """All pairs of a list, each once: DPO where K = 2."""
    weights = listwise.beats(scores(batch))
    return listwise.pairwise(beta * log_ratios(batch), weights, link=logistic)


def listmle(batch: Batch, *, beta: float) -> Tensor:
    """The likelihood of the whole order."""
    return listwise.plackett_luce(beta * log_ratios(batch), scores(batch))


def softmax(batch: Batch, *, beta: float) -> Tensor:
    """Cross-entropy between two softmaxes over the list."""
    return listwise.softmax_cross_entropy(beta * log_ratios(batch), scores(batch))


def copg(batch: Batch, *, beta: float) -> Tensor:
    """(beta / 2) ((h - h') - (R - R') / beta)^2, mean over all pairs; off-policy without weights.

    Up to a constant it is minus the contrastive objective
    [R_{beta/2}(y) - R_{beta/2}(y')] (h(y) - h(y')).
    """
    errors = listwise.gaps(log_ratios(batch)) - listwise.gaps(scores(batch)) / beta
    count = batch.responses.shape[1]
    return 0.5 * beta * errors.square().sum(dim=(-2, -1)) / (count * (count - 1))


def trpa(batch: Batch, *, beta: float, emphasis: float, top: float, kl: float) -> Tensor:
    """Pairs of different levels, more sharply under correct answers, near the sampling policy."""
    ranked = beta * mean_log_ratios(batch)
    paired = listwise.trust_region_pairs(ranked, scores(batch), emphasis=emphasis, top=top)
    drift = divergence_positive(_policy(batch), _behaviour(batch))
    return paired + kl * average(drift, batch.mask).mean(dim=-1)


def unanchored(batch: Batch, *, beta: float) -> Tensor:
    """REINFORCE on R - beta h as it is, without a baseline.

    On responses of another policy its stationary point moves with the zero of the rewards; a
    baseline of one's own is a shift of the scores.
    """
    rewards = scores(batch) - beta * log_ratios(batch).detach()
    return reinforce(log_probs(batch), log_probs(batch), rewards).mean(dim=-1)


def rloo(batch: Batch, *, beta: float) -> Tensor:
    """REINFORCE on R - beta h with the prompt's other responses as baseline."""
    rewards = scores(batch) - beta * log_ratios(batch).detach()
    return reinforce(log_probs(batch), log_probs(batch), leave_one_out(rewards)).mean(dim=-1)


def maxmin(batch: Batch, *, beta: float) -> Tensor:
    """RLOO on the rewards of whichever group is worst off in this batch."""
    objectives = needed(batch.objectives, "rewards of several groups")
    rewards = worst_group(objectives) - beta * log_ratios(batch).detach()
    return reinforce(log_probs(batch), log_probs(batch), leave_one_out(rewards)).mean(dim=-1)


def grpo(batch: Batch, *, clip: float, beta: float, floor: float) -> Tensor:
    """Clipped policy gradient on group-normalised rewards, token by token, with a KL penalty."""
    advantages = group_normalised(scores(batch), floor=floor).unsqueeze(-1)
    policy = _policy(batch)
    surrogate = clipped_surrogate(
        policy, _behaviour(batch), advantages.expand_as(policy), clip=clip
    )
    penalty = divergence_positive(policy, needed(batch.reference, "the reference"))
    return average(surrogate + beta * penalty, batch.mask).mean(dim=-1)


def gspo(batch: Batch, *, clip: float, floor: float) -> Tensor:
    """GRPO with one ratio per response, the geometric mean of its tokens'."""
    advantages = group_normalised(scores(batch), floor=floor)
    ratio = sequence_log_ratio(_policy(batch), _behaviour(batch), batch.mask)
    then = torch.zeros_like(ratio)
    return clipped_surrogate(ratio, then, advantages, clip=clip).mean(dim=-1)


def r2vpo(batch: Batch, *, floor: float, price: Tensor, **_: object) -> Tensor:
    """Policy gradient that pays for the variance of its ratios instead of clipping them."""
    advantages = group_normalised(scores(batch), floor=floor).unsqueeze(-1)
    each = variance_penalised(_token_ratio(batch), advantages, price=price)
    return average(each, batch.mask).mean(dim=-1)


def r2vpo_memory(
    batch: Batch, *, price: Tensor, budget: float, rate: float, **_: object
) -> dict[str, Tensor]:
    """The price after this batch."""
    counted = _token_ratio(batch)[batch.mask]
    return {"price": next_price(price, counted, budget=budget, rate=rate)}


def dckd(batch: Batch, *, sft: float, liked: float, disliked: float) -> Tensor:
    """Forward KL from one teacher on both answers of a pair, plus SFT on the preferred."""
    divergence = average(distillation.forward_kl(_spoken(batch), _taught(batch)[0]), batch.mask)
    told = liked * divergence[:, 0] + disliked * divergence[:, 1]
    return told - sft * mean_log_probs(batch)[:, 0]


def adpa(batch: Batch, *, sft: float, advantage: float, count: int) -> Tensor:
    """SFT on response 0, and on response 1, the student's own, the teacher's advantage.

    Teachers are two: after and before their own tuning. Only the `count` tokens the tuned teacher
    holds likeliest earn an advantage.
    """
    after, before = _taught(batch)[0], _taught(batch)[1]
    likely = after >= after.topk(count, dim=-1).values[..., -1:]
    earned = distillation.linear_advantage(_spoken(batch), after, before, likely)
    return advantage * average(earned, batch.mask)[:, 1] - sft * mean_log_probs(batch)[:, 0]


def opd(batch: Batch, *, count: int) -> Tensor:
    """Reverse KL to the teacher on the student's `count` likeliest tokens, stop-gradient form."""
    student = _spoken(batch)
    support = distillation.top(student, count=count)
    each = distillation.stopped_partial(student, _taught(batch)[0], support)
    return average(each, batch.mask).mean(dim=-1)


def kepo(batch: Batch, *, floor: float, share: float, least: float, weight: float) -> Tensor:
    """On-policy GRPO, and distillation where the reward reaches `least`."""
    advantages = group_normalised(scores(batch), floor=floor).unsqueeze(-1)
    policy = _policy(batch)
    surrogate = reinforce(policy, policy, advantages.expand_as(policy))
    told = distillation.jensen_shannon(_spoken(batch), _taught(batch)[0], share=share)
    total = surrogate + weight * distillation.gated(told, scores(batch), floor=least)
    return average(total, batch.mask).mean(dim=-1)


def _policy(batch: Batch) -> Tensor:
    return needed(batch.policy, "the policy's log-probabilities")


def _behaviour(batch: Batch) -> Tensor:
    return needed(batch.behaviour, "log-probabilities of the policy that drew the responses")


def _token_ratio(batch: Batch) -> Tensor:
    return (_policy(batch) - _behaviour(batch).detach()).exp()


def _spoken(batch: Batch) -> Tensor:
    return log_softmax(needed(batch.logits, "the policy's logits"), dim=-1)


def _taught(batch: Batch) -> Tensor:
    return log_softmax(needed(batch.teachers, "teachers' logits"), dim=-1)
