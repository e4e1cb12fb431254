"""Losses that the installed TRL has, too: ours equal its own code, or the difference is a test.

TRL's trainers are asked for the loss of random log-probabilities (a model that says them stands in
for the language model), with the gradient at each of them. The table of differences is in
agents/alignment/carrier/README.md.
"""

from dataclasses import replace
from functools import partial

import pytest
import torch
import trl_trainers as trl
from alignment_examples import random_batch
from small_models import answers, llama
from torch.testing import assert_close
from trl.experimental.gkd import GKDTrainer

from agents.alignment import distillation, link, policy_gradient
from agents.alignment.batch import Batch
from agents.alignment.language import LanguagePolicy, concatenated
from agents.alignment.margin import gap
from agents.alignment.methods import method
from agents.alignment.views import (
    average,
    log_probs,
    log_ratios,
    mean_log_probs,
    mean_log_ratios,
    total,
)
from agents.policies.losses import clipped_surrogate

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

SEEDS = (0, 1, 2)
close = partial(assert_close, atol=1e-5, rtol=1e-5)


def trainer_of(kind):
    @pytest.fixture(scope="module", name=kind)
    def fixture(tmp_path_factory):
        return getattr(trl, kind)(tmp_path_factory.mktemp(kind))

    return fixture


dpo, kto, cpo = trainer_of("dpo"), trainer_of("kto"), trainer_of("cpo")
orpo, grpo, rloo = trainer_of("orpo"), trainer_of("grpo"), trainer_of("rloo")


def drawn(seed, **shape) -> Batch:
    """Random answers in 32 bits, whose policy log-probabilities want a gradient."""
    batch = random_batch(seed, **shape)
    single = {
        name: tensor.float().detach()
        for name, tensor in batch.known().items()
        if tensor.is_floating_point()
    }
    batch = replace(batch, **single)
    return replace(batch, policy=batch.policy.requires_grad_())


def of_trl(trainer, batch, *kinds, beta, **settings):
    """The loss of DPOTrainer for `batch`."""
    trainer.loss_types = list(kinds)
    trainer.loss_weights = settings.pop("weights", [1.0] * len(kinds))
    trainer.beta, trainer.label_smoothing = beta, settings.pop("label_smoothing", 0.0)
    said, mask = trl.in_order(batch.policy), trl.in_order(batch.mask)
    trainer.ref_model = trl.Saying(trl.in_order(batch.reference), mask)
    return trainer.compute_loss(trl.Saying(said, mask), trl.stacked(batch))


def both_equal(ours, theirs, batch):
    """The two losses, and their gradients at every token."""
    close(ours, theirs)
    at = batch.policy
    close(*(torch.autograd.grad(each, at, retain_graph=True)[0] for each in (ours, theirs)))


def of_ours(name, batch, memory=None, **settings):
    row = method(name).using(**settings)
    return row.loss(batch, **row.defaults, **(memory or {})).mean()


PAIR_LOSSES = {  # TRL's name: our row, our settings, TRL's settings
    "sigmoid": ("dpo", {"beta": 0.3}, {"beta": 0.3}),
    "hinge": ("hinge", {"beta": 0.3}, {"beta": 0.3}),
    "exo_pair": (
        "exo",
        {"beta": 0.3, "flip_rate": 0.1},
        {"beta": 0.3, "label_smoothing": 0.1},
    ),
    "nca_pair": ("nca", {"beta": 0.3}, {"beta": 0.3}),
    "robust": ("rdpo", {"beta": 0.3, "flip_rate": 0.2}, {"beta": 0.3, "label_smoothing": 0.2}),
    "sppo_hard": ("sppo", {"beta": 0.3}, {"beta": 0.3}),
    "aot": ("aot", {"beta": 0.3}, {"beta": 0.3}),
    "apo_zero": ("apo_zero", {"beta": 0.3}, {"beta": 0.3}),
    "apo_down": ("apo_down", {"beta": 0.3}, {"beta": 0.3}),
    "discopop": ("discopop", {"beta": 0.3, "temperature": 0.05}, {"beta": 0.3}),
    "sigmoid_norm": ("dpo_norm", {"beta": 2.0}, {"beta": 2.0}),
    "ipo": ("ipo", {"tau": 0.3, "ratios": mean_log_ratios}, {"beta": 0.3}),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", PAIR_LOSSES)
def test_a_row_for_pairs_is_the_loss_trl_has(dpo, kind, seed):
    name, ours, theirs = PAIR_LOSSES[kind]
    batch = drawn(seed)

    both_equal(of_ours(name, batch, **ours), of_trl(dpo, batch, kind, **theirs), batch)


@pytest.mark.parametrize("seed", SEEDS)
def test_blocks_give_what_trl_has_and_the_table_has_not(dpo, seed):
    batch = drawn(seed)
    liked, disliked = log_ratios(batch).unbind(dim=-1)
    unpaired = link.logistic(0.3 * link.sorted_gaps(liked, disliked)).mean()
    first = batch.mask[:, 0]
    told = -batch.policy[:, 0][first].mean()

    both_equal(unpaired, of_trl(dpo, batch, "aot_unpaired", beta=0.3), batch)
    both_equal(told, of_trl(dpo, batch, "sft", beta=0.3), batch)


def test_trap_label_smoothing_is_ignored_by_sigmoid(dpo):
    """Recipes for conservative DPO that ask `sigmoid` for it get plain DPO."""
    batch = drawn(0)

    smoothed = of_trl(dpo, batch, "sigmoid", beta=0.3, label_smoothing=0.2)

    close(smoothed, of_ours("dpo", batch, beta=0.3))
    assert abs(smoothed - of_ours("cdpo", batch, beta=0.3, flip_rate=0.2)) > 1e-2


def test_trap_ipo_divides_each_log_ratio_by_its_length(dpo):
    """Equal to ours on means; on sums, which the paper has, only where answers have one token."""
    batch = drawn(0)

    theirs = of_trl(dpo, batch, "ipo", beta=0.3)

    assert abs(theirs - of_ours("ipo", batch, tau=0.3)) > 1e-1
    short = drawn(0, tokens=1)
    close(of_trl(dpo, short, "ipo", beta=0.3), of_ours("ipo", short, tau=0.3))


def test_trap_bco_for_pairs_leaves_out_the_reward_shift(dpo):
    """Ours equals it while the shift is held at zero; the paper moves it with the rewards."""
    batch = drawn(0)
    zero, never = torch.tensor(0.0), torch.tensor(float("inf"))

    theirs = of_trl(dpo, batch, "bco_pair", beta=0.3)

    still = of_ours("bco", batch, {"origin": zero, "seen": never}, beta=0.3)
    both_equal(still, theirs, batch)
    moved = of_ours("bco", batch, {"origin": zero, "seen": zero}, beta=0.3)
    assert abs(moved - theirs) > 1e-3


def test_trap_sigmoid_with_sft_is_rpo_only_where_the_scales_agree(dpo):
    """TRL's likelihood is a mean over the batch's tokens, the authors' a sum times beta.

    With one length they agree at weight = beta eta length.
    """
    batch = drawn(0)
    theirs = of_trl(dpo, batch, "sigmoid", "sft", beta=0.3, weights=[1.0, 0.005])
    assert abs(theirs - of_ours("rpo", batch, beta=0.3, eta=0.005)) > 1e-3

    even = replace(batch, mask=torch.ones_like(batch.mask))  # four tokens each
    matched = of_trl(dpo, even, "sigmoid", "sft", beta=0.3, weights=[1.0, 0.3 * 0.05 * 4])

    both_equal(of_ours("rpo", even, beta=0.3, eta=0.05), matched, even)


def kto_loss(trainer, batch, mismatched, *, beta, up, down):
    """KTOTrainer's loss of each answer on its own; `mismatched` [2 B] are log-ratios."""
    trainer.beta, trainer.desirable_weight, trainer.undesirable_weight = beta, up, down
    mask = trl.in_order(batch.mask)
    policy, reference = (
        trl.Saying(trl.in_order(each), mask) for each in (batch.policy, batch.reference)
    )
    inputs = trl.stacked(batch)
    other = {f"KL_{name}": tensor for name, tensor in inputs.items()}
    other["KL_input_ids"] = other["KL_input_ids"] + 1  # another prompt's
    one = torch.ones(len(mismatched), 1, dtype=torch.bool)

    def answering(own, ratio):
        crossed = trl.Saying(ratio[:, None], one)
        wide = inputs["input_ids"].shape[1]

        def model(input_ids, **_):
            if (input_ids == other["KL_input_ids"]).all():
                said = crossed()
                padding = torch.zeros(len(ratio), wide - 1 - said.log_probs.shape[1])
                said.log_probs = torch.cat([said.log_probs, padding], dim=1)
                return said
            return own()

        return model

    trainer.ref_model = answering(reference, torch.zeros_like(mismatched))
    labels = torch.arange(2 * len(batch.responses)) < len(batch.responses)
    return trainer.compute_loss(answering(policy, mismatched), {**inputs, **other, "label": labels})


@pytest.mark.parametrize("seed", SEEDS)
def test_kto_is_trls_given_one_baseline(kto, seed):
    batch = drawn(seed)
    ratios = torch.linspace(-1, 2, len(batch.responses))
    known = replace(batch, mismatched=ratios)

    theirs = kto_loss(kto, known, ratios.repeat(2), beta=0.3, up=1.2, down=0.7)

    both_equal(of_ours("kto", known, beta=0.3, gain=1.2, loss=0.7), theirs, batch)


def test_trap_ktos_baseline_is_of_all_answers_in_trl_and_of_preferred_ones_here(kto):
    """The same formula of another sample.

    TRL crosses every answer of a batch with another prompt, the table's reading each preferred one.
    """
    batch = drawn(0)
    preferred, others = torch.full((5,), 1.0), torch.full((5,), 0.2)
    known = replace(batch, mismatched=preferred)

    theirs = kto_loss(kto, known, torch.cat([preferred, others]), beta=0.3, up=1.0, down=1.0)

    assert abs(theirs - of_ours("kto", known, beta=0.3)) > 1e-4
    level = replace(batch, mismatched=torch.full((5,), 0.6))  # the mean of both
    close(theirs, of_ours("kto", level, beta=0.3))


def test_apo_zero_is_ktos_unpaired_variant(kto):
    batch = drawn(0)
    kto.loss_type, kto.calculate_KL = "apo_zero_unpaired", False
    try:
        theirs = kto_loss(kto, batch, torch.zeros(10), beta=0.3, up=1.0, down=1.0)
    finally:
        kto.loss_type, kto.calculate_KL = "kto", True

    both_equal(0.5 * of_ours("apo_zero", batch, beta=0.3), theirs, batch)


def chosen_and_rejected(batch):
    """What the collator of CPO and ORPO makes of a batch of token ids."""
    tokens, real, answer = (each.view(*batch.mask.shape[:2], -1) for each in concatenated(batch))
    made = {}
    for at, side in enumerate(("chosen", "rejected")):
        made[f"{side}_input_ids"] = tokens[:, at]
        made[f"{side}_attention_mask"] = real[:, at].long()
        made[f"{side}_labels"] = torch.where(answer[:, at], tokens[:, at], -100)
    return made


def read_from_model(seed=0, **shape):
    """Random token ids as a batch, with what a tiny model says of them."""
    model, batch = llama(seed), answers(seed, **shape)
    return model, replace(batch, policy=LanguagePolicy(model, packed=False)(batch))


@pytest.mark.parametrize("seed", SEEDS)
def test_simpo_is_trls(cpo, seed):
    model, batch = read_from_model(seed)
    cpo.loss_type, cpo.beta, cpo.simpo_gamma, cpo.cpo_alpha = "simpo", 2.5, 0.5, 0.0

    theirs, _ = cpo.get_batch_loss_metrics(model, chosen_and_rejected(batch))

    close(of_ours("simpo", batch, beta=2.5, gamma=0.5), theirs)


@pytest.mark.parametrize("seed", SEEDS)
def test_contrastive_cpo_is_trls_where_answers_have_one_length(cpo, seed):
    model, batch = read_from_model(seed, longest=1)
    cpo.loss_type, cpo.beta, cpo.cpo_alpha = "sigmoid", 0.3, 1.0

    theirs, _ = cpo.get_batch_loss_metrics(model, chosen_and_rejected(batch))

    close(of_ours("cpo_contrastive", batch, beta=0.3, alpha=1.0), theirs)


def test_trap_cpos_likelihood_is_a_mean_over_the_batchs_tokens_in_trl(cpo):
    """Long answers count for more there; here each answer counts once."""
    model, batch = read_from_model(0)
    cpo.loss_type, cpo.beta, cpo.cpo_alpha = "sigmoid", 0.3, 1.0

    theirs, _ = cpo.get_batch_loss_metrics(model, chosen_and_rejected(batch))

    contrast = of_ours("cpo_contrastive", batch, beta=0.3, alpha=0.0)
    by_token = -batch.policy[:, 0][batch.mask[:, 0]].mean()
    close(contrast + by_token, theirs)
    assert abs(of_ours("cpo_contrastive", batch, beta=0.3, alpha=1.0) - theirs) > 1e-4


@pytest.mark.parametrize("seed", SEEDS)
def test_orpos_odds_are_trls(orpo, seed):
    _model, batch = read_from_model(seed)
    orpo.beta = 0.3

    theirs, *_ = orpo.odds_ratio_loss(*mean_log_probs(batch).unbind(dim=-1))

    likelihood = -mean_log_probs(batch)[:, 0].mean()
    close(of_ours("orpo", batch, beta=0.3) - likelihood, -theirs.mean())


def test_trap_orpos_likelihood_includes_the_prompt_in_trl(orpo):
    """TRL also teaches the prompt's tokens, and takes one mean over all tokens of the batch."""
    model, batch = read_from_model(0)
    orpo.beta = 0.3

    theirs, _ = orpo.get_batch_loss_metrics(model, chosen_and_rejected(batch))

    sides = chosen_and_rejected(batch)
    tokens, real = sides["chosen_input_ids"], sides["chosen_attention_mask"].bool()
    logits = model(input_ids=tokens, attention_mask=real.long()).logits[:, :-1]
    everywhere = logits.log_softmax(dim=-1).gather(-1, tokens[:, 1:, None])[..., 0]
    with_prompts = -everywhere[real[:, 1:]].mean()
    odds = of_ours("orpo", batch, beta=0.3) + mean_log_probs(batch)[:, 0].mean()
    close(odds + with_prompts, theirs)
    assert abs(of_ours("orpo", batch, beta=0.3) - theirs) > 1e-4


def policy_loss(trainer, batch, advantages, **settings):
    """GRPOTrainer's loss of given advantages [B, K]."""
    trainer.args.use_bias_correction_kl = settings.pop("corrected", False)
    for name, value in {
        "loss_type": "grpo",
        "importance_sampling_level": "token",
        "epsilon_low": 0.2,
        "epsilon_high": 0.2,
        "beta": 0.0,
        "current_gradient_accumulation_steps": 1,
        **settings,
    }.items():
        setattr(trainer, name, value)
    mask = batch.mask.flatten(0, 1)
    inputs = {
        "prompt_ids": torch.full((len(mask), trl.PROMPT), 5),
        "prompt_mask": torch.ones(len(mask), trl.PROMPT, dtype=torch.long),
        "completion_ids": torch.full(mask.shape, 5),
        "completion_mask": mask.long(),
        "advantages": advantages.flatten(),
        "old_per_token_logps": batch.behaviour.flatten(0, 1),
        "ref_per_token_logps": batch.reference.flatten(0, 1),
        "old_logps": total(batch.behaviour, batch.mask).flatten(),
        "num_items_in_batch": mask.sum(),
    }
    model = trl.Saying(batch.policy.flatten(0, 1), mask)
    return trainer.compute_loss(model, inputs)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_grpo_is_trls(grpo, seed, beta):
    batch = drawn(seed, answers=4)
    advantages = policy_gradient.group_normalised(batch.scores, floor=1e-4)

    theirs = policy_loss(grpo, batch, advantages, beta=beta)

    both_equal(of_ours("grpo", batch, beta=beta), theirs, batch)


@pytest.mark.parametrize("seed", SEEDS)
def test_gspo_is_trls_with_sequence_ratios(grpo, seed):
    batch = drawn(seed, answers=4)
    advantages = policy_gradient.group_normalised(batch.scores, floor=1e-4)

    theirs = policy_loss(
        grpo,
        batch,
        advantages,
        importance_sampling_level="sequence",
        epsilon_low=0.3,
        epsilon_high=0.3,
    )

    both_equal(of_ours("gspo", batch, clip=0.3), theirs, batch)


@pytest.mark.parametrize("seed", SEEDS)
def test_other_means_and_gates_of_grpo_are_sums_of_our_blocks(grpo, seed):
    """dr_grpo, dapo and bnpo divide the surrogate's sum by other counts; sapo has a soft gate."""
    batch = drawn(seed, answers=4)
    advantages = policy_gradient.group_normalised(batch.scores, floor=1e-4)
    wide = advantages[..., None].expand_as(batch.policy)
    each = clipped_surrogate(batch.policy, batch.behaviour, wide, clip=0.2)
    summed, longest = total(each, batch.mask).sum(), grpo.max_completion_length
    ratio = (batch.policy - batch.behaviour).exp()
    gate = policy_gradient.softly_gated(ratio, wide, up=1.0, down=1.05)
    spread = partial(policy_loss, grpo, batch, advantages)

    both_equal(summed / batch.mask.sum(), spread(loss_type="dapo"), batch)
    both_equal(summed / batch.mask.sum(), spread(loss_type="bnpo"), batch)
    both_equal(summed / (20 * longest), spread(loss_type="dr_grpo"), batch)
    both_equal(average(gate, batch.mask).mean(), spread(loss_type="sapo"), batch)


def test_trap_grpos_divergence_is_weighed_by_the_ratio_in_trl(grpo):
    """Its default multiplies the penalty by pi / pi_old, as DeepSeek-V3.2 does and GRPO does not.

    On fresh answers, where the ratio is 1, the value is ours and the gradient is not.
    """
    batch = drawn(0, answers=4)
    fresh = replace(batch, behaviour=batch.policy.detach())
    advantages = policy_gradient.group_normalised(batch.scores, floor=1e-4)

    theirs = policy_loss(grpo, fresh, advantages, beta=0.1, corrected=True)

    ours = of_ours("grpo", fresh, beta=0.1)
    close(ours, theirs)
    slopes = [torch.autograd.grad(each, fresh.policy)[0] for each in (ours, theirs)]
    assert (slopes[0] - slopes[1]).abs().max() > 1e-3


def test_trap_grpos_divergence_has_no_limit_in_trl(grpo):
    """Ours keeps log(ref / pi) within 10, so that one token cannot be all of the gradient."""
    batch = drawn(0, answers=4)
    far = replace(batch, reference=batch.policy.detach() + 12)
    advantages = policy_gradient.group_normalised(batch.scores, floor=1e-4)

    theirs = policy_loss(grpo, far, advantages, beta=0.1)

    assert theirs > 5 * of_ours("grpo", far, beta=0.1)


def test_rloo_is_trls_up_to_a_value_without_gradient(rloo):
    """TRL writes the same gradient as a ratio, which is 1 on fresh answers; ours as -A log pi."""
    batch = drawn(0, answers=4)
    fresh = replace(batch, behaviour=batch.policy.detach())
    rewards = fresh.scores - 0.05 * log_ratios(fresh).detach()
    advantages = policy_gradient.leave_one_out(rewards)

    theirs = policy_loss(rloo, fresh, advantages)

    ours = of_ours("rloo", fresh, beta=0.05)
    close(*(torch.autograd.grad(each, fresh.policy)[0] for each in (ours, theirs)))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_generalised_jensen_shannon_is_trls(share):
    draw = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 3, 4, 11, generator=draw).unbind()

    theirs = GKDTrainer.generalized_jsd_loss(student, teacher, beta=share, reduction="none")

    ours = distillation.jensen_shannon(
        student.log_softmax(dim=-1), teacher.log_softmax(dim=-1), share=share
    )
    close(ours, theirs.sum(dim=-1))


def test_trap_the_ends_of_trls_jensen_shannon_are_other_divergences():
    """At 0 and 1 it is the forward and reverse KL, towards which it does not tend."""
    draw = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 3, 4, 11, generator=draw).log_softmax(dim=-1).unbind()
    theirs = partial(GKDTrainer.generalized_jsd_loss, student, teacher, reduction="none")

    close(distillation.forward_kl(student, teacher), theirs(beta=0).sum(dim=-1))
    close(distillation.reverse_kl(student, teacher), theirs(beta=1).sum(dim=-1))
    assert (theirs(beta=0.001).sum(dim=-1) < 0.01 * theirs(beta=0).sum(dim=-1)).all()


def test_margins_of_a_batch_are_read_alike():
    """The stand-in says to TRL what the batch says to us: a pair's margin is the same number."""
    batch = drawn(0)
    first, second = trl.in_order(torch.where(batch.mask, batch.policy, 0)).sum(dim=-1).chunk(2)

    close(gap(log_probs(batch)), first - second)
