"""Scalar rewards of anybody's answers, contrasted in pairs, lead to the optimum of RLHF.

A policy gradient needs answers of its own, or importance weights, or the exact value as a baseline.
The contrastive objective needs none of these: only that the other answer of the pair pays, too.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from environments.contract import Array
from environments.preference_games.bandits import Bandit
from environments.preference_games.policies import divergence, softmax
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents.alignment.bandit import ArmPolicy
    from agents.alignment.batch import Batch
    from agents.alignment.method import Method

ARMS = 10
BETA = 0.5
PAIRS = 200  # sampled once, where the data are finite
STEPS = 1500
TINY = 1e-3
COPG, SKEWED, SAMPLED = "CoPG", "CoPG, data favour bad arms", f"CoPG, {PAIRS} sampled pairs"
PLAIN, REWARD_ONLY = "REINFORCE, no baseline", "REINFORCE, mean reward as baseline"
VALUE = "REINFORCE, exact value as baseline"
IPO = "IPO on who earned more"
ON_POLICY = "CoPG, own answers"


def run(seeds: Sequence[int], *, steps: int = STEPS) -> Outcome:
    """Learn from the same bandits in eight ways and see how far from the optimum each ends."""
    from institutional.studies import alignment as lab

    rewards = lab.drawn(seeds, "copg2024", "rewards", draw=lambda rng: rng.standard_normal(ARMS))
    bandit = Bandit(rewards, np.full((len(seeds), ARMS), 1 / ARMS), BETA)
    moments = sorted({0, *np.linspace(0, steps, 31).astype(int).tolist()})
    curves = _curves(bandit, seeds, moments)
    final = {name: curve[-1] for name, curve in curves.items()}
    return Outcome(
        measured={f"{name}: KL to the optimum": values for name, values in final.items()},
        table={
            "method": [name for name in final for _ in seeds],
            "seed": list(seeds) * len(final),
            "kl_to_optimum": np.concatenate(list(final.values())).tolist(),
        },
        draw=lambda: drawn(moments, curves),
        caption="KL from each method's policy to the optimum of regularised reward, by steps",
    )


def _curves(bandit: Bandit, seeds: Sequence[int], moments: Sequence[int]) -> dict[str, Array]:
    """KL to the optimum at every moment of every method, [T, S]."""
    from dataclasses import replace
    from itertools import repeat

    import torch

    from agents.alignment.batch import single
    from agents.alignment.methods import method
    from agents.alignment.optimizers import Adam
    from agents.alignment.references import frozen
    from agents.alignment.train import steps
    from agents.alignment.transforms import ordered
    from institutional.studies import alignment as lab

    count, optimum = len(seeds), bandit.optimum()
    reward, everywhere = lab.looked_up(bandit.reward), torch.arange(ARMS).expand(count, ARMS)
    pairs = lab.every_pair_of(ARMS, count)
    pairs = replace(pairs, scores=reward(pairs))
    lists = single(everywhere, prompts=torch.arange(count), scores=lab.tensor(bandit.reward))
    bad = softmax(-bandit.reward)
    sampled = single(
        lab.tensor(
            lab.drawn(
                seeds,
                "copg2024",
                "pairs",
                draw=lambda rng: np.argsort(rng.random((PAIRS, ARMS)), axis=1)[:, :2],
            ).reshape(-1, 2)
        ),
        prompts=lab.spread(count, each=PAIRS),
    )
    sampled = replace(sampled, scores=reward(sampled))

    def own(policy: "ArmPolicy") -> "Iterator[Batch]":
        while True:
            yield lab.weighed(pairs, lab.rows(policy, count))

    def valued(policy: "ArmPolicy") -> "Iterator[Batch]":
        while True:
            worth = lab.tensor(_values(bandit, lab.rows(policy, count)))
            yield replace(lists, scores=lab.tensor(bandit.reward) - worth.unsqueeze(-1))

    centred = lab.tensor(bandit.reward - bandit.reward.mean(axis=1, keepdims=True))
    copg, ipo = method("copg").using(beta=BETA), method("ipo").using(tau=BETA)
    plain = method("reinforce").using(beta=BETA)
    designs: dict[str, tuple[Method, Callable[[ArmPolicy], Iterator[Batch]]]] = {
        COPG: (copg, lambda _: repeat(pairs)),
        SKEWED: (copg, lambda _: repeat(lab.weighed(pairs, bad))),
        SAMPLED: (copg, lambda _: repeat(sampled)),
        ON_POLICY: (copg, own),
        PLAIN: (plain, lambda _: repeat(lists)),
        REWARD_ONLY: (plain, lambda _: repeat(replace(lists, scores=centred))),
        VALUE: (plain, valued),
        IPO: (ipo, lambda _: repeat(ordered(pairs, reward(pairs)))),
    }
    found = {}
    for name, (row, batches) in designs.items():
        policy = lab.table(bandit.reference)
        learning = steps(
            row,
            policy,
            batches(policy),
            Adam(policy.parameters(), rate=0.02),
            reference=frozen(policy),
        )
        seen = lab.watched(
            learning,
            lambda policy=policy: divergence(lab.rows(policy, count), optimum),  # type: ignore[misc]
            after=moments,
        )
        found[name] = np.stack(seen)
    return found


def _values(bandit: Bandit, policies: Array) -> Array:
    """E_pi[R - beta h] of each seed's policy, [S]."""
    spent = bandit.beta * divergence(policies, bandit.reference)
    return np.asarray((policies * bandit.reward).sum(axis=1) - spent)


def drawn(moments: Sequence[int], curves: Mapping[str, Array]) -> Figure:
    """KL to the optimum by steps, a line a method."""
    figure, (axes,) = drawing.panels(1, height=3.6)
    shown = {
        name: np.maximum(curve, 1e-7)
        for name, curve in curves.items()
        if name not in {ON_POLICY, SAMPLED}  # as CoPG
    }
    drawing.curves(axes, moments, shown, labels=("steps", "KL to the optimum, nats"))
    drawing.logarithmic(axes, "y")
    axes.set_title("Off-policy data: only contrast, or the exact value, gets there", loc="left")
    return figure


def _reaches(name: str, source: str) -> Prediction:
    return Prediction(
        quantity=f"{name}: KL to the optimum", low=0.0, high=TINY, number=0.0, source=source
    )


STUDY = Study(
    name="copg2024",
    paper="Flet-Berliac et al. 2024, arXiv:2406.19185",
    claim="The contrastive policy gradient has one optimum, that of regularised reward, whoever"
    " produced the data, without importance weights; a policy gradient and IPO on the same data"
    " end elsewhere.",
    miniature=f"{ARMS} arms, rewards standard normal, uniform reference, beta {BETA}; exact"
    f" gradients over all pairs of arms (or {PAIRS} pairs sampled once), Adam, {STEPS} steps. The"
    " policy gradient reads all arms equally often; IPO is told who of a pair earned more.",
    predictions=(
        _reaches(COPG, "PILOT: 0.0000; the claim"),
        _reaches(SKEWED, "the claim: any data of full support"),
        _reaches(SAMPLED, "the claim: any data of full support"),
        Prediction(
            quantity=f"{PLAIN}: KL to the optimum",
            low=0.02,
            high=0.2,
            number=0.069,
            no_effect=0.0,
            source="PILOT 0.069, rewards of a scale we do not know",
        ),
        Prediction(
            quantity=f"{IPO}: KL to the optimum",
            low=0.2,
            high=0.9,
            number=0.45,
            no_effect=0.0,
            source="PILOT 0.450, rewards of a scale we do not know",
        ),
    ),
    controls=(
        Prediction(
            quantity=f"{VALUE}: KL to the optimum",
            low=0.0,
            high=TINY,
            number=0.0,
            no_effect=0.0,
            source="PILOT 0.0000: the exact value removes the bias, so the contrast is with none",
        ),
        Prediction(
            quantity=f"{ON_POLICY}: KL to the optimum",
            low=0.0,
            high=TINY,
            no_effect=0.0,
            source="the paper: on its own answers it is REINFORCE with a leave-one-out baseline",
        ),
    ),
    does_not_show=(
        "Language models: there the value is unknown, which is where the contrast should pay.",
        "Variance: gradients are exact, so nothing is said of sample efficiency.",
        "That a policy gradient with a learnt value would do worse.",
        "Policies that cannot express the optimum.",
    ),
    seeds=10,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
