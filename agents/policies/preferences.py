"""A policy over levels, trained by any row of the method table on preferences found in play.

In each situation some answers are drawn, each is tried, and a judge prefers what earned more, more
surely so the wider the gap: a Bradley-Terry judge, of lists a Plackett-Luce one. Then play goes on
with the first answer. What is minimised, and who answers, stands in the row.

Shapes: B situations, K answers to each, S seats that answer together, A numbers in one action,
F features, G groups whose earnings are told apart.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from agents.alignment import bandit, train
from agents.alignment.batch import AlignmentError, Batch
from agents.alignment.method import Method
from agents.alignment.optimizers import Adam
from agents.alignment.references import History, follow, frozen
from agents.alignment.sources import Judge, Sampler, asked, bradley_terry, itself, mixture, played
from agents.alignment.transforms import ordered
from agents.checks import require_within, suggestion
from agents.contract import Array
from agents.policies.levels import LevelPolicy, Tokens
from agents.policies.network import BATCHES_STREAM, generator
from agents.policies.watching import Features

OWN, MOST_PAST = "own", 2


class Tried(NamedTuple):
    """What answers brought, net of fines, in honest profits."""

    earned: Array  # [B, K], the mean over those who answered together
    by_agent: Array  # [G, B, K]


class Practice(Protocol):
    """Situations in which several answers can be tried before one is given."""

    def seen(self) -> Features:
        """What is seen now, [B, S, F]."""

    def tried(self, tokens: Tokens) -> Tried:
        """Try `tokens` [B, K, S, A] each on its own; afterwards all is as before."""

    def play(self, tokens: Tokens) -> None:
        """Go on with `tokens` [B, S, A]; after the last round, to a new run."""


Mixed = Callable[[float], Sampler]
SOURCES: Mapping[str, Callable[[LevelPolicy, LevelPolicy, Mixed, int], Sequence[Sampler]]] = {
    "online": lambda policy, _first, mixed, count: itself(policy, mixed, count=count),
    "mixture": lambda policy, _first, mixed, count: mixture(policy, mixed, count=count, share=0.5),
    "offline": lambda _policy, first, mixed, count: itself(first, mixed, count=count),
}
"""Who answers: the policy as it is, its mixture with the reference, the policy before training."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long and from what is learnt."""

    iterations: int
    steps: int  # per iteration, each on fresh answers
    rate: float = 0.01  # of Adam
    temperature: float = 0.01  # of the judge, in honest profits per round
    answers: int = 2  # to each situation, where the row does not say
    source: str = OWN  # of SOURCES; OWN is what the row says, else online


def improved(
    policy: LevelPolicy,
    practice: Practice,
    method: Method,
    *,
    effort: Effort,
    seed: int,
    report_progress: Callable[[int, float], None] = lambda _iteration, _loss: None,
) -> None:
    """Train `policy` in place; after each iteration the reference is the policy as it then is.

    Raises AlignmentError for a row that reads what play cannot give (a teacher, a data set's rows,
    goals in the prompt), before anything is learnt.
    """
    for name, low, high in (
        ("iterations", 1, 10**6),
        ("steps", 1, 10**6),
        ("rate", 0, 1),
        ("temperature", 1e-9, 1e9),
        ("answers", 2, 64),
    ):
        require_within(name, getattr(effort, name), low, high)
    reference, past = frozen(policy), History(policy, most=MOST_PAST)
    samplers = _samplers(policy, reference, method, effort)
    batches = played(
        _questions(practice),
        samplers,
        _judge(practice, ranks=_alike(samplers), temperature=effort.temperature),
        generator=generator(seed, BATCHES_STREAM),
    )
    taken = _taken_from_play(
        method,
        train.steps(
            replace(method, prepares=partial(_prepared, method)),
            policy,
            batches,
            Adam(policy.parameters(), rate=effort.rate),
            reference=reference,
            history=past.policies,
        ),
    )
    for step in taken:
        iteration, left = divmod(step.number + 1, effort.steps)
        if left:
            continue
        follow(reference, policy, share=1.0)
        past.remember(policy)
        report_progress(iteration, step.loss)
        if iteration == effort.iterations:
            return


def _samplers(
    policy: LevelPolicy, reference: LevelPolicy, method: Method, effort: Effort
) -> Sequence[Sampler]:
    def mixed(share: float) -> Sampler:
        return bandit.Blend(policy, reference, share=share)

    known = (OWN, *SOURCES)
    if effort.source not in known:
        raise AlignmentError(
            f'no source "{effort.source}"\n  sources: {", ".join(known)}.'
            f"{suggestion(effort.source, known)}"
        )
    if effort.source != OWN:
        return SOURCES[effort.source](policy, frozen(policy), mixed, effort.answers)
    if method.samplers is not None:
        return method.samplers(policy, mixed)
    return itself(policy, mixed, count=effort.answers)


def _alike(samplers: Sequence[Sampler]) -> bool:
    """Whether one speaker gives all answers; else their order says whose they are."""
    return all(sampler is samplers[0] for sampler in samplers)


def _questions(practice: Practice) -> Iterator[Batch]:
    while True:
        yield asked(torch.from_numpy(practice.seen()))


def _judge(practice: Practice, *, ranks: bool, temperature: float) -> Judge:
    def judge(batch: Batch, draws: torch.Generator) -> Batch:
        situations, answers, _ = batch.responses.shape
        seats = bandit.prompts(batch).shape[1]
        tokens = batch.responses.reshape(situations, answers, seats, -1).numpy()
        tried = practice.tried(tokens)
        practice.play(tokens[:, 0])
        scores, sure = _float(tried.earned), _float(tried.earned / temperature)
        known = replace(
            batch,
            scores=scores,
            objectives=_float(tried.by_agent),
            preferences=bradley_terry(replace(batch, scores=sure)),
        )
        # To sort values with Gumbel noise is to rank as Plackett and Luce do; of pairs, as Bradley
        # and Terry (Yellott 1977, doi:10.1016/0022-2496(77)90026-8).
        noise = -torch.empty_like(sure).exponential_(generator=draws).log()
        return ordered(known, sure + noise) if ranks else known

    return judge


def _prepared(method: Method, batch: Batch) -> Batch:
    prepared = method.prepares(batch)
    if prepared.goals is not None:
        raise AlignmentError("this method asks for a goal in the prompt, which play does not set")
    return prepared


def _taken_from_play(method: Method, steps: Iterator[train.Step]) -> Iterator[train.Step]:
    """The steps; what the row lacks at the first of them, in one message."""
    try:
        first = next(steps)
    except AlignmentError as error:
        what = str(error).splitlines()[0]
        raise AlignmentError(
            f"{method.name} cannot learn from play: {what}\n"
            "  choose a method that learns from preferences or rewards: dpo, ipo, kto, simpo, rloo"
        ) from error
    yield first
    yield from steps


def _float(values: Array) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
