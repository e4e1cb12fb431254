"""Batches small enough to work out by hand, and what may be done to them without a method noticing.

PAIR, one prompt: the preferred answer has two tokens, the other one.

                     preferred   other     preferred - other
    l(y)                -2         -3        d = 1
    l(y) / |y|          -1         -3        2
    log ref(y)          -3         -2        d_ref = -1
    log ref(y) / |y|    -1.5       -2        0.5
    h                    1         -1        D = 2
    h / |y|              0.5       -1        1.5
    last policy         -2.5       -2.5      0

LIST, one prompt with three answers of one token: l = -1, -2, -3, all -2 under the reference, so
that h = 1, 0, -1; scores 2, 1, 0.
"""

from dataclasses import replace

import torch

from agents.alignment.batch import AXES, Batch, single


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


PAIR = Batch(
    responses=torch.tensor([[[4, 5], [6, 0]]]),
    mask=torch.tensor([[[True, True], [True, False]]]),
    policy=numbers([[-1.0, -1.0], [-3.0, 9.0]]),  # the 9 is outside the mask
    reference=numbers([[-1.5, -1.5], [-2.0, 9.0]]),
    history=numbers([[[-1.25, -1.25], [-2.5, 9.0]]]),
    scores=numbers([1.0, 0.0]),
    preferences=numbers([[0.5, 0.75], [0.25, 0.5]]),
    annotators=torch.tensor([0]),
    rows=torch.tensor([0]),
    mismatched=numbers(0.5),
)
SURE = replace(PAIR, preferences=numbers([[0.5, 1.0], [0.0, 0.5]]))
REFERENCE_WRONG = replace(PAIR, reference=numbers([[-2.0, -2.0], [-1.5, 0.0]]))
SHORT = single(
    torch.tensor([[0, 1]]),
    policy=numbers([-2.0, -3.0]),
    reference=numbers([-3.0, -2.0]),
    behaviour=numbers([-2.0, -3.0]),
    scores=numbers([-1.0, -2.0]),
    mismatched=numbers(0.0),
)
LIST = single(
    torch.tensor([[0, 1, 2]]),
    policy=numbers([-1.0, -2.0, -3.0]),
    reference=numbers([-2.0, -2.0, -2.0]),
    behaviour=numbers([-1.0, -2.0, -3.0]),
    scores=numbers([2.0, 1.0, 0.0]),
    objectives=torch.stack([numbers([2.0, 1.0, 0.0]), numbers([0.0, 0.0, 1.0])]),
)
STALE = replace(LIST, behaviour=LIST.policy - numbers([[0.09531017980432493], [0.0], [0.0]]))
"""The first answer has become 1.1 times as likely as when it was drawn."""
LEVELS = replace(STALE, scores=numbers([-1.0, -2.0, -2.0]))
"""One correct answer and two wrong ones, for methods that read levels."""
TAUGHT = replace(
    single(torch.tensor([[0, 1]]), policy=numbers([0.5, 0.5]).log(), scores=numbers([2.0, 0.0])),
    logits=torch.zeros(1, 2, 1, 2, dtype=torch.float64),
    teachers=numbers([[[[0.75, 0.25]], [[0.75, 0.25]]]], [[[[0.5, 0.5]], [[0.5, 0.5]]]]).log(),
)
"""A student that knows nothing of two tokens, a teacher that says the first thrice as often as the
second, and that teacher before it was tuned."""


def _added(batch, fields, amounts):
    first = torch.zeros_like(batch.policy)
    first[..., 0] = numbers(*amounts)[: batch.policy.shape[1]]
    return replace(batch, **{name: getattr(batch, name) + first for name in fields})


def easier(batch):
    """Both answers more likely under the policy by the same factor."""
    return _added(batch, ["policy"], [0.7, 0.7, 0.7])


def rebased(batch):
    """Each answer likelier under everyone by a factor of its own."""
    known = [
        name for name in ("policy", "reference", "history") if getattr(batch, name) is not None
    ]
    return _added(batch, known, [0.7, -0.4, 0.2])


def easier_for_reference(batch):
    """Both answers more likely under the reference by the same factor."""
    return _added(batch, ["reference"], [0.7, 0.7])


def other_reference(batch):
    """Another reference altogether."""
    return replace(batch, reference=3 * batch.policy)


def doubled(batch):
    """Every token twice."""
    return _along_tokens(batch, lambda tensor, axis: torch.cat([tensor, tensor], dim=axis))


def padded(batch):
    """Every answer with a token behind it that does not belong to it, worth 777 to everyone."""

    def longer(tensor, axis):
        one = tensor.narrow(axis, 0, 1)
        return torch.cat(
            [tensor, torch.full_like(one, 0 if one.dtype == torch.bool else 777)], axis
        )

    return _along_tokens(batch, longer)


def _along_tokens(batch, change):
    changed = {
        name: change(tensor, AXES[name].index("L"))
        for name, tensor in batch.known().items()
        if "L" in AXES[name]
    }
    return replace(batch, **changed)


def reordered(batch):
    """The list's answers in another order, each with all that is known of it."""
    return batch.arranged(torch.tensor([[2, 0, 1]]))


def richer(batch):
    """Every reward the same amount higher."""
    raised = None if batch.objectives is None else batch.objectives + 5
    return replace(batch, scores=batch.scores + 5, objectives=raised)


def in_cents(batch):
    """Rewards in another unit, from another zero."""
    return replace(batch, scores=100 * batch.scores + 5)


def other_loser(batch):
    """The other answer's likelihood changed."""
    return _added(batch, ["policy"], [0.0, -0.4])


def other_winner(batch):
    """The preferred answer's likelihood changed."""
    return _added(batch, ["policy"], [-0.4, 0.0])


def higher_logits(batch):
    """Logits of student and teachers from another zero."""
    return replace(batch, logits=batch.logits + 3, teachers=batch.teachers - 2)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def random_batch(seed, *, prompts=5, answers=2, tokens=4):
    """Answers of one to four tokens, each with log-probabilities down to -3 under four policies."""
    draw = generator(seed)
    lengths = torch.randint(1, tokens + 1, (prompts, answers, 1), generator=draw)

    def likelihoods(*shape):
        return -3 * torch.rand(shape, generator=draw, dtype=torch.float64)

    wins = torch.rand(prompts, generator=draw, dtype=torch.float64)
    half = torch.full_like(wins, 0.5)
    sides = [torch.stack([half, wins], dim=-1), torch.stack([1 - wins, half], dim=-1)]
    return Batch(
        responses=torch.randint(9, (prompts, answers, tokens), generator=draw),
        mask=torch.arange(tokens) < lengths,
        policy=likelihoods(prompts, answers, tokens),
        reference=likelihoods(prompts, answers, tokens),
        behaviour=likelihoods(prompts, answers, tokens),
        history=likelihoods(2, prompts, answers, tokens),
        scores=torch.arange(answers, 0, -1.0, dtype=torch.float64).expand(prompts, answers),
        preferences=torch.stack(sides, dim=1) if answers == 2 else None,
    )
