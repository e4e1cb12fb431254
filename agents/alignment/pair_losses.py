"""What each method for pairs minimises: blocks 1, 2 and 4 put together, one function a method.

Response 0 is the preferred one. Every loss is [B]; settings are keyword arguments whose defaults
and papers stand in the table (`methods`). `ratios` is which log-ratio a loss reads, summed or per
token.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from agents.alignment import link
from agents.alignment.batch import Batch
from agents.alignment.labels import (
    log_odds_of_label,
    moved_labels,
    moved_reliability,
    posterior,
    smoothed,
    soft_likelihood,
    unflipped,
)
from agents.alignment.link import logistic, squared
from agents.alignment.margin import (
    anchored,
    clipped_floor,
    easy_floor,
    gap,
    length_weighted,
    relative,
    softplus_floor,
)
from agents.alignment.policy_gradient import duel
from agents.alignment.views import (
    history_log_probs,
    log_probs,
    log_ratios,
    mean_log_probs,
    mean_log_ratios,
    mean_reference_log_probs,
    needed,
    reference_log_probs,
    win_probability,
)

Reads = Callable[[Batch], Tensor]


def dpo(batch: Batch, *, beta: float, ratios: Reads = log_ratios) -> Tensor:
    """-log s(beta D)."""
    return logistic(beta * gap(ratios(batch)))


def attenuated(batch: Batch, *, beta: float, share: float) -> Tensor:
    """DPO with only a `share` of the reference: 0 none, 1 DPO."""
    held = relative(log_probs(batch), reference_log_probs(batch), share=share)
    return logistic(beta * gap(held))


def cdpo(batch: Batch, *, beta: float, flip_rate: float) -> Tensor:
    """DPO in expectation over flipped labels: the margin stays finite."""
    return smoothed(logistic, turned=torch.neg, right=1 - flip_rate)(beta * gap(log_ratios(batch)))


def rdpo(batch: Batch, *, beta: float, flip_rate: float) -> Tensor:
    """DPO with the flips undone: on average the loss of clean labels."""
    undone = unflipped(logistic, turned=torch.neg, flip_rate=flip_rate)
    return undone(beta * gap(log_ratios(batch)))


def osp(batch: Batch, *, beta: float) -> Tensor:
    """DPO with the judge's own strength of preference as a soft label (SPCE)."""
    judged = smoothed(logistic, turned=torch.neg, right=win_probability(batch))
    return judged(beta * gap(log_ratios(batch)))


def hinge(batch: Batch, *, beta: float) -> Tensor:
    """max(0, 1 - beta D)."""
    return link.hinge(beta * gap(log_ratios(batch)))


def ipo(batch: Batch, *, tau: float, ratios: Reads = log_ratios) -> Tensor:
    """(D - 1 / (2 tau))^2. TRL's offline trainer reads `mean_log_ratios`, its online one sums."""
    return squared(gap(ratios(batch)), 1 / (2 * tau))


def online_ipo(batch: Batch, *, tau: float) -> Tensor:
    """IPO in expectation over the judge's label; what is sampled is the source's matter."""
    target = partial(squared, target=1 / (2 * tau))
    expected = smoothed(target, turned=torch.neg, right=win_probability(batch))
    return expected(gap(log_ratios(batch)))


def discopop(batch: Batch, *, beta: float, temperature: float) -> Tensor:
    """Logistic and exponential loss, mixed by the margin."""
    return link.blended_exponential(beta * gap(log_ratios(batch)), temperature=temperature)


def exo(batch: Batch, *, beta: float, flip_rate: float) -> Tensor:
    """Reverse KL between the policy's preference and a smoothed label."""
    return link.reverse_cross(beta * gap(log_ratios(batch)), flip_rate=flip_rate)


def nca(batch: Batch, *, beta: float) -> Tensor:
    """Noise contrast: the preferred answer's own likelihood may not sink."""
    return link.contrasted(*(beta * log_ratios(batch)).unbind(dim=-1))


def sppo(batch: Batch, *, beta: float) -> Tensor:
    """Each log-ratio to its own half of the target: +-1 / (2 beta)."""
    return link.halves(*log_ratios(batch).unbind(dim=-1), target=1 / (2 * beta))


def aot(batch: Batch, *, beta: float) -> Tensor:
    """DPO between order statistics over the batch: policy gaps against reference gaps."""
    policy, reference = gap(log_probs(batch)), gap(reference_log_probs(batch))
    return logistic(beta * link.sorted_gaps(policy, reference))


def apo_zero(batch: Batch, *, beta: float) -> Tensor:
    """Preferred answers up, others down, each against the reference."""
    return link.soft_zero(*(beta * log_ratios(batch)).unbind(dim=-1))


def apo_down(batch: Batch, *, beta: float) -> Tensor:
    """Both answers down, the other one further."""
    return link.soft_down(*(beta * log_ratios(batch)).unbind(dim=-1))


def npo(batch: Batch, *, beta: float) -> Tensor:
    """Unlearning: response 1 down, response 0 not read."""
    return link.negative(beta * log_ratios(batch)[:, 1]) * 2 / beta


def kto(batch: Batch, *, beta: float, gain: float, loss: float) -> Tensor:
    """Utility of each answer on its own against the policy's drift, mean of the two.

    The drift is max(0, mean log-ratio of mismatched answers); `gain` and `loss` weigh desirable
    and undesirable answers.
    """
    origin = needed(batch.mismatched, "log-ratios of mismatched answers").mean().clamp(min=0)
    liked, disliked = (beta * log_ratios(batch)).unbind(dim=-1)
    up, down = link.utility(liked, beta * origin), link.utility(-disliked, -beta * origin)
    return 0.5 * (gain * up + loss * down)


def bco(batch: Batch, *, beta: float, origin: Tensor, seen: Tensor) -> Tensor:
    """A classifier of good and bad answers around the mean implicit reward so far."""
    shifted = bco_memory(batch, beta=beta, origin=origin, seen=seen)["origin"]
    liked, disliked = (beta * log_ratios(batch)).unbind(dim=-1)
    return link.classified(liked, disliked, shifted)


def bco_memory(batch: Batch, *, beta: float, origin: Tensor, seen: Tensor) -> dict[str, Tensor]:
    """Mean implicit reward over all answers so far, this batch's included."""
    rewards = beta * log_ratios(batch).detach()
    total = seen + rewards.numel()
    return {"origin": origin + (rewards - origin).sum() / total, "seen": total}


def sft(batch: Batch) -> Tensor:
    """NLL of response 0 per token: a demonstration, whatever else is in the batch."""
    return -mean_log_probs(batch)[:, 0]


def cpo_contrastive(batch: Batch, *, beta: float, alpha: float) -> Tensor:
    """Reference-free logistic plus `alpha` times the preferred answer's NLL per token.

    TRL averages that NLL over all tokens of a batch, this over each answer first: equal where
    answers have one length.
    """
    return logistic(beta * gap(log_probs(batch))) - alpha * mean_log_probs(batch)[:, 0]


def simpo(batch: Batch, *, beta: float, gamma: float) -> Tensor:
    """Reference-free logistic on mean log-probabilities, ahead by `gamma`."""
    return logistic(beta * gap(mean_log_probs(batch)) - gamma)


def orpo(batch: Batch, *, beta: float) -> Tensor:
    """NLL of the preferred answer plus `beta` times the logistic of the log-odds gap, per token."""
    mean = mean_log_probs(batch)
    return beta * logistic(gap(link.log_odds(mean))) - mean[:, 0]


def cpo_constrained(batch: Batch, *, beta: float, alpha: float, gamma: float, tau: float) -> Tensor:
    """Length-normalised DPO that must also outdo a wrong reference."""
    floor = softplus_floor(gap(mean_reference_log_probs(batch)), gamma=gamma, tau=tau)
    return logistic(beta * gap(mean_log_ratios(batch)) - beta / alpha * floor)


def cpo_clip(batch: Batch, *, beta: float) -> Tensor:
    """Length-normalised DPO, free of the reference wherever that ranks wrongly."""
    floor = clipped_floor(gap(mean_reference_log_probs(batch)))
    return logistic(beta * (gap(mean_log_ratios(batch)) - floor))


def cpo_easy(batch: Batch, *, beta: float, gamma: float) -> Tensor:
    """Length-normalised DPO with a floor from the reference alone; its sign is in doubt.

    As the official code has it the floor is negative: see `margin.easy_floor`.
    """
    floor = easy_floor(mean_reference_log_probs(batch), gamma=gamma)
    return logistic(beta * gap(mean_log_ratios(batch)) - floor)


def rpo(batch: Batch, *, beta: float, eta: float) -> Tensor:
    """DPO minus eta beta l(y_w), summed over tokens as in the official code.

    TRL's ["sigmoid", "sft"] takes the mean over tokens without beta: equal only at the length
    where the two coefficients agree.
    """
    return dpo(batch, beta=beta) - eta * beta * log_probs(batch)[:, 0]


def power(batch: Batch, *, beta: float, eta: float, length_power: float) -> Tensor:
    """Reference-free logistic under weighted entropy, w = |y|^-length_power, plus weighted SFT.

    `length_power` 1 is the paper's 1 / |y|, 0 weighs all answers alike.
    """
    margin, sft = _power_parts(batch, beta=beta, length_power=length_power)
    return logistic(margin) - eta * sft


def power_dl(
    batch: Batch, *, beta: float, eta: float, length_power: float, labels: Tensor, **_: object
) -> Tensor:
    """POWER with each pair's own soft label, which follows the policy slowly."""
    margin, sft = _power_parts(batch, beta=beta, length_power=length_power)
    right = labels[needed(batch.rows, "rows of the data set")]
    return smoothed(logistic, turned=torch.neg, right=right)(margin) - eta * sft


def power_dl_memory(
    batch: Batch, *, beta: float, length_power: float, rate: float, labels: Tensor, **_: object
) -> dict[str, Tensor]:
    """The labels after this visit."""
    margin, _sft = _power_parts(batch, beta=beta, length_power=length_power)
    rows = needed(batch.rows, "rows of the data set")
    return {"labels": moved_labels(labels, rows, margin, rate=rate)}


def _power_parts(batch: Batch, *, beta: float, length_power: float) -> tuple[Tensor, Tensor]:
    lengths = batch.lengths.to(log_probs(batch).dtype) ** length_power
    margin = beta * gap(length_weighted(log_probs(batch), lengths))
    return margin, beta * (log_probs(batch) / lengths)[:, 0]


def inpo(batch: Batch, *, eta: float, tau: float) -> Tensor:
    """One step of regularised self-play as a regression, anchored to the last policy.

    (d - (tau / eta) d_ref - (1 - tau / eta) d_t - 1 / (2 eta))^2 with `eta` at least `tau`.
    """
    return mnpo(batch, share=tau / eta, eta=eta, past=(1.0,))


def mnpo(batch: Batch, *, share: float, eta: float, past: tuple[float, ...]) -> Tensor:
    """(d - c d_ref - (1 - c) sum_j lam_j d_{t-j} - 1 / (2 eta))^2, c = `share`.

    `past` weighs the latest policies, the latest first, and is normalised; older ones are not read.
    """
    reference, history = reference_log_probs(batch), history_log_probs(batch)[: len(past)]
    weights = torch.tensor(past[: len(history)], dtype=reference.dtype, device=reference.device)
    anchors = torch.cat([reference.unsqueeze(0), history])
    shares = torch.cat([weights.new_tensor([share]), (1 - share) * weights / weights.sum()])
    return squared(gap(anchored(log_probs(batch), anchors, shares)), 1 / (2 * eta))


def nash_md(batch: Batch, *, tau: float) -> Tensor:
    """Policy gradient on beating response 1, which the mixture drew, with a KL to the reference."""
    return duel(log_probs(batch)[:, 0], log_ratios(batch)[:, 0], win_probability(batch), tau=tau)


def repo(batch: Batch, *, base: Reads, reliability: Tensor, **_: object) -> Tensor:
    """`base` on labels that are right as likely as their annotator's reliability makes them."""
    odds = log_odds_of_label(base, batch, turned=Batch.swapped)
    return soft_likelihood(odds, posterior(odds, reliability[_annotators(batch)]))


def repo_memory(
    batch: Batch, *, base: Reads, reliability: Tensor, rate: float, **_: object
) -> dict[str, Tensor]:
    """Each annotator's reliability after this batch."""
    who = _annotators(batch)
    right = posterior(log_odds_of_label(base, batch, turned=Batch.swapped), reliability[who])
    return {"reliability": moved_reliability(reliability, right, who, rate=rate)}


def _annotators(batch: Batch) -> Tensor:
    """Who labelled; without ids, all by one."""
    if batch.annotators is not None:
        return batch.annotators
    return torch.zeros(len(batch.responses), dtype=torch.long, device=batch.responses.device)
