"""Block 6, distillation: what a student loses by not saying what its teacher says, token by token.

Students and teachers are log-probabilities over the whole vocabulary (`log_softmax` of logits); no
gradient flows through the teacher. Divergences come per position; which positions count, and how
they are averaged, is the caller's.

Shapes: [..., V] over the vocabulary, [..., S] over a support of S tokens, [...] per position.
Units: nats.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import log_softmax


def forward_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student), [...]: covers all that the teacher says.

    Gao et al. 2025, arXiv:2502.17927 (DCKD) sums it over chosen and rejected answers.
    """
    return _divergence(teacher.detach(), student)


def reverse_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(student || teacher), [...]: says nothing that the teacher would not.

    Gu et al. 2023, arXiv:2306.08543.
    """
    return _divergence(student, teacher.detach())


def jensen_shannon(student: Tensor, teacher: Tensor, *, share: float) -> Tensor:
    """Mean divergence of both from their mixture m, weighed with the teacher's `share`, [...].

    share KL(teacher || m) + (1 - share) KL(student || m), m = share teacher + (1 - share) student.

    `share` in (0, 1). At the ends TRL returns the forward (0) and reverse (1) divergence, which are
    limits of this one only after division by `share` or 1 - `share`.

    Agarwal et al. 2023, arXiv:2306.13649, generalised JSD.
    """
    fixed = teacher.detach()
    middle = torch.logaddexp(student + math.log1p(-share), fixed + math.log(share))
    return share * _divergence(fixed, middle) + (1 - share) * _divergence(student, middle)


def top(log_probs: Tensor, *, count: int) -> Tensor:
    """The `count` most probable tokens, [..., V] to indices [..., S]."""
    return log_probs.detach().topk(count, dim=-1).indices


def shared(student: Tensor, teacher: Tensor, *, count: int) -> Tensor:
    """Which of the student's `count` top tokens are the teacher's too, [..., S] boolean."""
    least = teacher.topk(count, dim=-1).values[..., -1:]
    return teacher.gather(-1, top(student, count=count)) >= least


def plain_partial(student: Tensor, teacher: Tensor, support: Tensor) -> Tensor:
    """Sum over the support of p (log p - log t), [...].

    A trap, kept to measure it: off the full vocabulary its gradient has a term that pushes the
    support's own mass down, at one token even against the teacher.

    On-policy distillation 2026, arXiv:2605.11182, plain top-k.
    """
    p, t = student.gather(-1, support), teacher.detach().gather(-1, support)
    return (p.exp() * (p - t)).sum(dim=-1)


def stopped_partial(student: Tensor, teacher: Tensor, support: Tensor) -> Tensor:
    """Sum over the support of p (sg[log p] - log t), [...]: without the spurious term.

    Over the full vocabulary its gradient is the reverse KL's.

    On-policy distillation 2026, arXiv:2605.11182, stop-gradient top-k.
    """
    p, t = student.gather(-1, support), teacher.detach().gather(-1, support)
    return (p.exp() * (p.detach() - t)).sum(dim=-1)


def tailed_partial(student: Tensor, teacher: Tensor, support: Tensor) -> Tensor:
    """Reverse KL with all tokens off the support taken as one, [...].

    On-policy distillation 2026, arXiv:2605.11182, tail bucket.
    """
    p, t = student.gather(-1, support), teacher.detach().gather(-1, support)
    rest_p, rest_t = _rest(p), _rest(t)
    return (p.exp() * (p - t)).sum(dim=-1) + rest_p.exp() * (rest_p - rest_t)


def renormalised_partial(
    student: Tensor, teacher: Tensor, support: Tensor, kept: Tensor | None = None
) -> Tensor:
    """Reverse KL of both renormalised to the support, [...]; stop-gradient form.

    `kept` [..., S] narrows it further (`shared`: the intersection of two top lists); positions
    that keep nothing count 0.

    On-policy distillation 2026, arXiv:2605.11182, renormalised and intersect-norm.
    """
    p, t = student.gather(-1, support), teacher.detach().gather(-1, support)
    inside = torch.ones_like(p, dtype=torch.bool) if kept is None else kept
    low = torch.finfo(p.dtype).min
    p = log_softmax(p.masked_fill(~inside, low), dim=-1)
    t = log_softmax(t.masked_fill(~inside, low), dim=-1)
    terms = torch.where(inside, p.exp() * (p.detach() - t), 0.0)
    return terms.sum(dim=-1)


def sampled_advantage(student_token: Tensor, teacher_token: Tensor) -> Tensor:
    """-(log p - log t) of the sampled token, elementwise: reverse KL as a reward, no gradient.

    On-policy distillation 2026, arXiv:2605.11182, token-level reverse KL.
    """
    return (teacher_token - student_token).detach()


def linear_advantage(
    student: Tensor, after: Tensor, before: Tensor, kept: Tensor | None = None
) -> Tensor:
    """-sum_a p(a) [log after(a) - log before(a)], [...]: teachers after and before their tuning.

    Linear in the student and without an anchor: alone it goes to the largest ratio, however
    improbable the token; `kept` [..., V] masks it to tokens the teacher would say.

    Gao et al. 2025, arXiv:2502.17927, ADPA.
    """
    advantage = (after - before).detach()
    if kept is not None:
        advantage = torch.where(kept, advantage, 0.0)
    return -(student.exp() * advantage).sum(dim=-1)


def gated(losses: Tensor, rewards: Tensor, *, floor: float) -> Tensor:
    """Losses where the response's reward is at least `floor`, else 0; [B, K, L] and [B, K].

    KEPO 2026, arXiv:2602.00400, distillation of successful responses only.
    """
    return torch.where((rewards >= floor).unsqueeze(-1), losses, 0.0)


def _divergence(first: Tensor, second: Tensor) -> Tensor:
    """KL(first || second) of log-probabilities; a token of probability 0 adds nothing."""
    terms = first.exp() * (first - second)
    return torch.where(first == -torch.inf, 0.0, terms).sum(dim=-1)


def _rest(log_probs: Tensor) -> Tensor:
    """log(1 - sum of exp), kept off log 0 where the support has all the mass."""
    mass = log_probs.exp().sum(dim=-1)
    return torch.log((1 - mass).clamp(min=torch.finfo(mass.dtype).eps))
