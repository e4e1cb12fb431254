"""One reward for people who disagree serves the many; the least served can be served instead.

Who wants what is not known beforehand: users are sorted by which reward model explains their
choices, and the policy is then trained for whichever group is worst off at each step.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from environments.contract import Array
from environments.preference_games.bandits import optimum
from environments.preference_games.games import fitted_rewards
from environments.preference_games.groups import Groups
from environments.preference_games.labels import Camps, Ids, draw_pairs, label, preference_of
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study, by_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from agents.alignment.batch import Batch

REWARDS = np.array([[[1.0, 0.0, 0.6, 0.0]], [[0.0, 1.0, 0.6, 0.0]]])  # groups, one prompt, arms
ARMS = 4
BETA = 0.1
USERS, EACH = 60, 30  # people, and choices of each
TEMPERATURE = 0.25  # units of reward per nat of log-odds in a choice
ROUNDS, FIT = 8, 80  # of sorting people, and steps of fitting between two
STEPS, QUESTIONS, RATE = 400, 32, 0.02
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
MANY, FEW = "majority's utility", "minority's utility"
PILOTS = {0.8: (0.950, 0.074), 0.95: (0.988, 0.018)}
FAIREST = (0.556, 0.555)
SORTED = "people sorted right, one start"
GAIN = "learnt: minority's gain from MaxMin"


def run(seeds: Sequence[int], *, steps: int = STEPS) -> Outcome:
    """Serve two camps by one reward and by the worst-off's, exactly and from choices."""
    exact = {share: _pooled(share) for share in SHARES}
    fair = _groups(0.5).utilities(_groups(0.5).fairest().policy)
    camps = np.repeat([0, 1], [round(0.8 * USERS), USERS - round(0.8 * USERS)])
    right, one, worst = _learnt(seeds, camps, steps)
    _, alone, spared = _learnt(seeds, np.zeros_like(camps), steps)
    measured: dict[str, Array] = {}
    for share in PILOTS:
        for who, got in zip((MANY, FEW), exact[share], strict=True):
            measured[_exact(share, who)] = np.full(len(seeds), got)
    for who, got in zip((MANY, FEW), fair, strict=True):
        measured[f"exact, MaxMin: {who}"] = np.full(len(seeds), got)
    measured[SORTED] = right
    for name, got in (("one reward", one), ("MaxMin", worst)):
        measured |= {f"learnt, {name}: {MANY}": got[:, 0], f"learnt, {name}: {FEW}": got[:, 1]}
    measured[f"one reward of endless choices: {FEW}"] = np.full(len(seeds), _endless(camps)[1])
    measured[GAIN] = worst[:, 1] - one[:, 1]
    measured["learnt: majority's loss by MaxMin"] = one[:, 0] - worst[:, 0]
    measured["one camp: gain from MaxMin"] = spared[:, 0] - alone[:, 0]
    return Outcome(
        measured=measured,
        table=by_seed(measured, seeds),
        draw=lambda: drawn(exact, fair, one, worst),
        caption="What each group gets of the best policy for one reward, by the majority's share",
    )


def _exact(share: float, who: str) -> str:
    return f"exact, one reward, {share:.0%} majority: {who}"


def _groups(share: float) -> Groups:
    return Groups(REWARDS, np.full((1, ARMS), 1 / ARMS), BETA, np.array([share, 1 - share]))


def _pooled(share: float) -> Array:
    groups = _groups(share)
    return groups.utilities(groups.pooled())


def _endless(camps: Ids) -> Array:
    """Utilities [G] of the best policy for the one reward that fits what people choose on average.

    Log-odds of a mixture are less than the mixture of log-odds: that reward is flatter than the
    mean reward, and so the policy nearer to the reference.
    """
    chosen = preference_of(Camps(REWARDS / TEMPERATURE, camps), prompts=1, responses=ARMS)
    reward = TEMPERATURE * fitted_rewards(chosen[0])
    policy = optimum(reward, np.full(ARMS, 1 / ARMS), beta=BETA)
    return _groups(0.8).utilities(policy[np.newaxis])


def _learnt(seeds: Sequence[int], camps: Ids, steps: int) -> tuple[Array, Array, Array]:
    """Share of people sorted right [S], utilities [S, G] by one learnt reward and by MaxMin."""
    import torch

    from agents.alignment.metrics import cluster_accuracy
    from institutional.studies import alignment as lab

    names = ("maxmin2024", int(camps.max()))
    population = Camps(REWARDS / TEMPERATURE, camps)

    def choices(rng: np.random.Generator) -> Array:
        questions = draw_pairs(rng, np.full((1, ARMS), 1 / ARMS), count=USERS * EACH)
        asked = questions._replace(annotator=np.repeat(np.arange(USERS), EACH))
        said = label(rng, population, asked)
        return np.stack([said.winner, said.loser], axis=-1)

    pairs = lab.tensor(lab.drawn(seeds, *names, "choices", draw=choices))
    first = lab.drawn(seeds, *names, "start", draw=lambda rng: rng.integers(2, size=USERS))
    found, rewards = sorted_by_reward(pairs, lab.tensor(first))
    truth = lab.tensor(camps)
    right = [cluster_accuracy(each, truth, count=2).item() for each in found]
    whole = fitted_to(pairs, torch.zeros_like(found), torch.zeros(len(seeds), 1, ARMS).double())
    utilities = [
        _policies(seeds, learnt, row, steps, names) @ REWARDS[:, 0].T
        for row, learnt in (("rloo", whole), ("maxmin", rewards))
    ]
    return np.array(right), *utilities


def sorted_by_reward(pairs: "Tensor", first: "Tensor") -> "tuple[Tensor, Tensor]":
    """Groups of users [S, U] and their rewards [S, 2, A], from choices [S, U * each, 2]."""
    import torch

    from agents.alignment.labels import hard_clusters, user_log_likelihoods
    from agents.alignment.margin import gap

    seeds, users = first.shape
    rewards, found = torch.zeros(seeds, 2, ARMS, dtype=torch.float64), first
    owner = torch.arange(seeds * users).repeat_interleave(pairs.shape[1] // users)
    for _ in range(ROUNDS):
        rewards = fitted_to(pairs, found, rewards)
        margins = gap(_of_arms(rewards, pairs)).reshape(2, -1).T
        found = hard_clusters(user_log_likelihoods(margins, owner, count=seeds * users)).reshape(
            seeds, users
        )
    return found, rewards


def fitted_to(pairs: "Tensor", groups: "Tensor", rewards: "Tensor") -> "Tensor":
    """Bradley-Terry rewards [S, M, A] of each group's choices, from where `rewards` stand."""
    from agents.alignment.rewards import bradley_terry
    from institutional.studies import alignment as lab

    each = pairs.shape[1] // groups.shape[1]
    index = groups.repeat_interleave(each, dim=1)[None, ..., None].expand(1, *pairs.shape)
    learnt = rewards.clone().requires_grad_()

    def loss() -> "Tensor":
        own = _of_arms(learnt, pairs).gather(0, index)[0]
        return bradley_terry(own.flatten(0, 1)).sum() / pairs.shape[1]

    lab.fitted([learnt], loss, rate=0.1, steps=FIT)
    return learnt.detach()


def _of_arms(rewards: "Tensor", pairs: "Tensor") -> "Tensor":
    """Rewards [S, M, A] of the arms in pairs [S, B, 2], [M, S, B, 2]."""
    wide = rewards.transpose(0, 1).unsqueeze(2).expand(-1, -1, pairs.shape[1], -1)
    return wide.gather(-1, pairs.expand(rewards.shape[1], *pairs.shape))


def _policies(
    seeds: Sequence[int], rewards: "Tensor", row: str, steps: int, names: tuple[str, int]
) -> Array:
    """Mean policy [S, A] over the second half of training on learnt rewards [S, M, A]."""
    from dataclasses import replace
    from itertools import repeat

    import torch

    from agents.alignment.methods import method
    from agents.alignment.optimizers import Adam
    from agents.alignment.references import frozen
    from agents.alignment.sources import asked, played
    from agents.alignment.train import steps as steps_of
    from institutional.studies import alignment as lab

    count = len(seeds)
    # Choices say nothing of a reward's zero: groups are compared from what the reference gives.
    worth = TEMPERATURE * (rewards - rewards.mean(dim=-1, keepdim=True))
    looks = [lab.looked_up(worth[:, at].numpy()) for at in range(worth.shape[1])]

    def judge(batch: "Batch", _generator: "torch.Generator") -> "Batch":
        known = torch.stack([look(batch) for look in looks])
        return replace(batch, scores=known.mean(dim=0), objectives=known)

    policy = lab.table(np.full((count, ARMS), 1 / ARMS))
    reference, used = frozen(policy), method(row).using(beta=BETA)
    who = lab.answering(used, policy, reference, lab.Dice(seeds, *names, row))
    question = asked(lab.spread(count, each=QUESTIONS))
    learning = steps_of(
        lab.apart(used, count),
        policy,
        played(repeat(question, steps), who, judge, generator=torch.Generator()),
        Adam(policy.parameters(), rate=RATE),
        reference=reference,
    )
    seen = lab.watched(
        learning, lambda: lab.rows(policy, count), after=range(steps // 2, steps + 1)
    )
    return np.asarray(np.mean(seen, axis=0))


def drawn(exact: Mapping[float, Array], fair: Array, one: Array, worst: Array) -> Figure:
    """Utilities by the majority's share, exact; learnt ones as dots at 80 %."""
    figure, (left, right) = drawing.panels(2, height=3.4)
    shown = {
        f"one reward, {who}": np.array([[exact[share][at]] for share in SHARES])
        for at, who in enumerate((MANY, FEW))
    }
    shown["MaxMin, either"] = np.full((len(SHARES), 1), fair.min())
    drawing.curves(left, SHARES, shown, labels=("majority's share of people", "utility"))
    left.set_title("Exact", loc="left")
    arms = {"one reward": (one[:, 0], one[:, 1]), "MaxMin": (worst[:, 0], worst[:, 1])}
    drawing.scatter(right, arms, labels=(MANY, FEW))
    right.set_title("Learnt from choices, 80 % majority; a dot a seed", loc="left")
    return figure


def _pilots() -> tuple[Prediction, ...]:
    numbers = {
        _exact(share, who): number
        for share, pair in PILOTS.items()
        for who, number in zip((MANY, FEW), pair, strict=True)
    }
    numbers |= {f"exact, MaxMin: {who}": got for who, got in zip((MANY, FEW), FAIREST, strict=True)}
    return tuple(
        Prediction(
            quantity=name, low=number - 2e-3, high=number + 2e-3, number=number, source="PILOT"
        )
        for name, number in numbers.items()
    )


STUDY = Study(
    name="maxmin2024",
    paper="Chakraborty et al. 2024, arXiv:2402.08925",
    claim="One reward model leaves a minority the worse off, the smaller it is; reward models for"
    " groups that are found by expectation maximisation, and a policy trained for the worst-off,"
    " do not.",
    miniature=f"Two camps over {ARMS} arms, rewards 1, 0, 0.6, 0 and 0, 1, 0.6, 0; beta {BETA}."
    f" {USERS} people, 80 % in one camp, {EACH} choices each at {TEMPERATURE} of reward per nat."
    f" Hard assignment, {ROUNDS} rounds from one random start; tabular reward models. RLOO on one"
    f" reward model, MaxMin on two: {QUESTIONS} questions of 4 answers a step, {STEPS} steps;"
    " utilities by true rewards, averaged over the second half.",
    predictions=(
        *_pilots(),
        Prediction(
            quantity=SORTED,
            low=0.95,
            high=1.0,
            number=1.0,
            no_effect=0.8,
            source="PILOT 1.00 in 6 of 6 seeds; all in one group would be 0.8",
        ),
        Prediction(
            quantity=f"learnt, one reward: {FEW}",
            low=0.01,
            high=0.15,
            number=0.074,
            source="PILOT, exact; twice as wide for choices",
        ),
        Prediction(
            quantity=f"learnt, MaxMin: {FEW}",
            low=0.5,
            high=0.6,
            number=0.555,
            source="PILOT, exact",
        ),
        Prediction(
            quantity=GAIN,
            low=0.35,
            high=0.6,
            number=0.48,
            no_effect=0.0,
            source="PILOT: 0.555 less 0.074",
        ),
    ),
    controls=(
        Prediction(
            quantity="one camp: gain from MaxMin",
            low=-0.05,
            high=0.05,
            no_effect=0.0,
            source="ours: where all agree, no group is worse off, and two models cost little",
        ),
    ),
    does_not_show=(
        "A policy that knows whom it answers: there, nobody need lose.",
        "That the worst-off should count alone: the majority's loss is measured beside it.",
        "How many groups there are: told to be two.",
        "Rewards comparable between people: their zero is set by the reference, their scale by us.",
    ),
    seeds=10,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
