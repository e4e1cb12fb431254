"""How strongly a judge prefers is worth more than whether: soft labels leave the margin finite.

A hard label says "more", for ever; the judge's own probability says how much is enough. Ranked
pairs, and asking in both orders, are the other two parts of the method.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from environments.contract import Array
from environments.preference_games.games import bradley_terry
from environments.preference_games.policies import divergence, softmax
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study

if TYPE_CHECKING:
    from agents.alignment.batch import Batch

ARMS = 12
BETA = 1.0
MOMENTS = (300, 2000)
NOISE = 0.3  # nats of log-odds, one draw for each pair
LEAN = 1.0  # nats by which the judge favours whichever it is shown first
ONLINE_STEPS, ONLINE_PAIRS = 600, 32
COIN, ARGMAX, SOFT = "hard label, drawn", "hard label, judge's favourite", "judge's strength"
BORROWED = "another pair's strength"
FIRST, BOTH = "leaning judge, one order", "leaning judge, both orders"
LADDER, ENDS = "strengths along the ranking", "strength of best against worst"
OWN_SOFT, OWN_HARD = "own answers, strength", "own answers, judge's favourite"
KL = "KL(optimum || policy)"


def run(seeds: Sequence[int], *, moments: Sequence[int] = MOMENTS) -> Outcome:
    """Learn the same rewards from the same pairs under different labels."""
    from institutional.studies import alignment as lab

    rewards = lab.drawn(seeds, "osp2024", "rewards", draw=lambda rng: rng.standard_normal(ARMS))
    optimum = softmax(rewards / BETA)
    labels = _labels(seeds, rewards)
    at = sorted({0, *np.geomspace(1, moments[-1], 40).astype(int).tolist(), *moments})
    curves = {name: _fixed(optimum, batch, at) for name, batch in labels.items()}
    late = {name: curve[-1] for name, curve in curves.items()}
    early = {name: curve[at.index(moments[0])] for name, curve in curves.items()}
    online = {
        name: _own(
            seeds, optimum, _judged(seeds, rewards), ONLINE_STEPS * moments[-1] // 2000, name
        )
        for name in (OWN_SOFT, OWN_HARD)
    }
    sure = np.where(rewards[:, :, np.newaxis] > rewards[:, np.newaxis, :], 1.0, 0.0)
    unanimous = _fixed(optimum, _pairs(sure), at)[-1]
    measured = {f"{name}: {KL}": values for name, values in (late | online).items()}
    measured |= {
        f"{COIN}: {KL}, growth between the two moments": late[COIN] - early[COIN],
        f"{ENDS} less along the ranking: {KL}": late[ENDS] - late[LADDER],
        f"one order less both: {KL}": late[FIRST] - late[BOTH],
        f"{BORROWED} less its own: {KL}": late[BORROWED] - late[SOFT],
        "own answers, favourite less strength: " + KL: online[OWN_HARD] - online[OWN_SOFT],
        f"unanimous judge, strength less favourite: {KL}": unanimous - late[ARGMAX],
    }
    measured |= {f"{name}: {KL} at the first moment": values for name, values in early.items()}
    return Outcome(
        measured=measured,
        table={
            "labels": [name for name in late for _ in seeds],
            "seed": list(seeds) * len(late),
            "kl_from_optimum": np.concatenate(list(late.values())).tolist(),
        },
        draw=lambda: drawn(at, curves),
        caption="KL from the optimum to each policy, by steps",
    )


def _judged(seeds: Sequence[int], rewards: Array) -> Array:
    """What a noisy judge says of every pair, [S, A, A]."""
    from institutional.studies import alignment as lab

    def noise(rng: np.random.Generator) -> Array:
        upper = np.triu(rng.normal(0, NOISE, (ARMS, ARMS)), 1)
        return np.asarray(upper - upper.T)

    noisy = np.log(bradley_terry(rewards) / bradley_terry(-rewards))
    noisy = noisy + lab.drawn(seeds, "osp2024", "judge", draw=noise)
    return np.asarray(1 / (1 + np.exp(-noisy)))


def _labels(seeds: Sequence[int], rewards: Array) -> "dict[str, Batch]":
    """The pairs and labels of every arm of the design."""
    from dataclasses import replace

    import torch

    from agents.alignment.batch import single
    from agents.alignment.transforms import best_and_worst, ladder, self_ranked
    from institutional.studies import alignment as lab

    truth, judged = bradley_terry(rewards), _judged(seeds, rewards)
    coins = lab.drawn(seeds, "osp2024", "coins", draw=lambda rng: rng.random((ARMS, ARMS)))
    better = rewards[:, :, np.newaxis] > rewards[:, np.newaxis, :]
    odds = np.log(judged / (1 - judged))
    first, flipped = (1 / (1 + np.exp(-odds - sign * LEAN)) for sign in (1, -1))
    everybody = torch.arange(ARMS).expand(len(seeds), ARMS)
    lists = single(everybody, prompts=torch.arange(len(seeds)), preferences=lab.tensor(judged))
    ranked = self_ranked(lists)
    by_wins = replace(ranked, scores=-torch.arange(ARMS).double().expand(len(seeds), ARMS))
    return {
        COIN: _pairs((coins < truth).astype(np.float64)),
        ARGMAX: _pairs(better.astype(np.float64)),
        SOFT: _pairs(judged),
        BORROWED: _pairs(_exchanged(seeds, judged)),
        FIRST: _pairs(first),
        BOTH: _pairs((first + flipped) / 2),
        LADDER: ladder(by_wins),
        ENDS: best_and_worst(by_wins),
    }


def _pairs(preference: Array) -> "Batch":
    """All pairs of each seed with `preference` [S, A, A] as label, which may be hard."""
    from dataclasses import replace

    from institutional.studies import alignment as lab

    pairs = lab.every_pair_of(ARMS, len(preference))
    upper = np.triu(preference, 1)
    mirrored = upper + np.tril(1 - np.swapaxes(upper, 1, 2), -1)
    return replace(pairs, preferences=lab.beating(mirrored)(pairs))


def _exchanged(seeds: Sequence[int], judged: Array) -> Array:
    """Every pair keeps its winner and takes the strength of some other pair, [S, A, A]."""
    from institutional.studies import alignment as lab

    rows, columns = np.triu_indices(ARMS, 1)
    found = judged.copy()
    for seed, rng in enumerate(lab.streams(seeds, "osp2024", "exchanged")):
        own = judged[seed, rows, columns]
        strength = rng.permutation(np.maximum(own, 1 - own))
        found[seed, rows, columns] = np.where(own > 0.5, strength, 1 - strength)
    return found


def _fixed(optimum: Array, batch: "Batch", at: Sequence[int]) -> Array:
    """KL from the optimum at each moment of learning from one batch, [T, S]."""
    from itertools import repeat

    from agents.alignment.methods import method
    from agents.alignment.optimizers import Adam
    from agents.alignment.references import frozen
    from agents.alignment.train import steps
    from institutional.studies import alignment as lab

    count = len(optimum)
    policy = lab.table(np.full((count, ARMS), 1 / ARMS))
    learning = steps(
        method("osp").using(beta=BETA),
        policy,
        repeat(batch),
        Adam(policy.parameters(), rate=0.05),
        reference=frozen(policy),
    )
    return np.stack(
        lab.watched(learning, lambda: divergence(optimum, lab.rows(policy, count)), after=at)
    )


def _own(seeds: Sequence[int], optimum: Array, judged: Array, steps: int, name: str) -> Array:
    """KL from the optimum, [S], after learning from answers of one's own that are judged."""
    from itertools import repeat

    import torch

    from agents.alignment.methods import method
    from agents.alignment.optimizers import Adam
    from agents.alignment.references import frozen
    from agents.alignment.sources import asked, compared, played
    from agents.alignment.train import train
    from institutional.studies import alignment as lab

    row = method("osp").using(beta=BETA)
    policy = lab.table(np.full((len(seeds), ARMS), 1 / ARMS))
    reference = frozen(policy)
    # Ties are an arm against itself: either label then has no gradient.
    said = judged if name == OWN_SOFT else (judged > 0.5).astype(np.float64)
    who = lab.answering(row, policy, reference, lab.Dice(seeds, "osp2024", name))
    question = repeat(asked(lab.spread(len(seeds), each=ONLINE_PAIRS)), steps)
    train(
        row,
        policy,
        played(question, who, compared(lab.beating(said)), generator=torch.Generator()),
        Adam(policy.parameters(), rate=0.02),
        reference=reference,
    )
    return divergence(optimum, lab.rows(policy, len(seeds)))


def drawn(at: Sequence[int], curves: Mapping[str, Array]) -> Figure:
    """KL from the optimum by steps: labels on the left, pairs and orders on the right."""
    figure, (left, right) = drawing.panels(2, height=3.4)
    for axes, names in (
        (left, (COIN, ARGMAX, SOFT, BORROWED)),
        (right, (SOFT, LADDER, ENDS, FIRST, BOTH)),
    ):
        shown = {name: curves[name][1:] for name in names}
        drawing.curves(axes, at[1:], shown, labels=("steps", KL + ", nats"))
        drawing.logarithmic(axes, "x", "y")
    left.set_title("Labels on all pairs", loc="left")
    right.set_title("Which pairs, and in which order they are shown", loc="left")
    return figure


STUDY = Study(
    name="osp2024",
    paper="Zhai et al. 2024, arXiv:2405.14103",
    claim="Learning from the judge's own strength of preference keeps the policy from overfitting,"
    " which hard labels drive to infinite margins; several ranked pairs beat one of best and"
    " worst.",
    miniature=f"{ARMS} arms, rewards standard normal, uniform reference, beta {BETA:g}; all 66"
    f" pairs in every step of Adam at 0.05. The judge errs by {NOISE} nats on each pair. Strengths"
    f" are its probabilities; a leaning judge adds {LEAN:g} nat to what it is shown first.",
    predictions=(
        Prediction(
            quantity=f"{SOFT}: {KL}",
            low=0.0,
            high=0.05,
            number=0.011,
            source="PILOT .011, judge's noise not recorded",
        ),
        Prediction(
            quantity=f"{COIN}: {KL}",
            low=0.2,
            high=2.0,
            number=0.78,
            no_effect=0.0,
            source="PILOT .78 after 2,000 steps",
        ),
        Prediction(
            quantity=f"{COIN}: {KL}, growth between the two moments",
            low=0.01,
            high=1.0,
            number=0.16,
            no_effect=0.0,
            source="PILOT .62 to .78",
        ),
        Prediction(
            quantity=f"{ARGMAX}: {KL}",
            low=2.0,
            high=30.0,
            number=9.5,
            no_effect=0.0,
            source="PILOT 9.5; grows with steps",
        ),
        Prediction(
            quantity=f"{ENDS} less along the ranking: {KL}",
            low=0.01,
            high=5.0,
            no_effect=0.0,
            source="the claim: ranked pairs beat one pair; the pattern is our reading",
        ),
        Prediction(
            quantity=f"one order less both: {KL}",
            low=0.01,
            high=5.0,
            no_effect=0.0,
            source="the method averages both orders",
        ),
        Prediction(
            quantity=f"own answers, favourite less strength: {KL}",
            low=0.1,
            high=30.0,
            no_effect=0.0,
            source="the claim, on answers of one's own; direction",
        ),
        Prediction(
            quantity=f"{BORROWED} less its own: {KL}",
            low=0.01,
            high=5.0,
            no_effect=0.0,
            source="if it is strengths that help and not softness as such; ours",
        ),
    ),
    controls=(
        Prediction(
            quantity=f"unanimous judge, strength less favourite: {KL}",
            low=-1e-9,
            high=1e-9,
            no_effect=0.0,
            source="identity 13: with probabilities of 0 and 1 the loss is DPO's",
        ),
    ),
    does_not_show=(
        "A model that judges itself: here the judge is another, and its errors do not move.",
        "Length bias, the known fault of such judges.",
        "The paper's own pairing, which was not recovered: ours are neighbours and the two ends.",
        "Win rates of language models.",
    ),
    seeds=10,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
