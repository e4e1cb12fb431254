"""Ranking all answers by one's own likelihood, each against all worse ones, without a reference.

With two answers it is contrastive preference optimisation. With five it must earn its keep where
judges err: then the two ends of a list are one label, and the list is many.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from environments.contract import Array
from environments.preference_games.bandits import linear_bandit
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study, by_seed

if TYPE_CHECKING:
    from agents.alignment.batch import Batch
    from agents.alignment.method import Method

ARMS = 5
LISTS, HELD_OUT, FEATURES = 60, 400, 8
MANY = 400  # lists, where 60 turned out too few for a control
STEPS, RATE = 300, 0.05
SLIPS = (0.0, 0.2, 0.4)  # share of lists that are labelled upside down
BLUR = 1.0  # deviation of noise on each score, where judges blur; rewards deviate by 1
LIST, ENDS = "PRO on five", "PRO on best and worst"
UNTAUGHT = "PRO on five, no SFT"
FLAT, FLAT_ENDS = "all pairs, one temperature", "contrastive PO on best and worst"
TWO = "two answers, PRO and contrastive PO: largest difference of a gradient"
CLEAN = "0% upside down"
TAU = "Kendall's tau"


def run(seeds: Sequence[int], *, steps: int = STEPS, many: int = MANY) -> Outcome:
    """Rank arms of a table, then features of unseen lists under judges that err in two ways."""
    found = {f"{slip:.0%} upside down": _held_out(seeds, steps, slip=slip) for slip in SLIPS}
    found["blurred scores"] = _held_out(seeds, steps, blur=BLUR)
    measured = {
        f"{name}, {kind}: {TAU}": tau for kind, taus in found.items() for name, tau in taus.items()
    }
    for kind, taus in found.items():
        measured[_gain(kind)] = taus[LIST] - taus[ENDS]
    plenty = _held_out(seeds, steps, lists=many, names=(LIST, ENDS))
    measured[_gain(f"clean, {MANY} lists")] = plenty[LIST] - plenty[ENDS]
    measured |= {
        f"a table: {TAU}": _tabular(seeds, steps, sft=0.05),
        f"a table, no SFT: {TAU}": _tabular(seeds, steps, sft=0.0),
        TWO: _two(seeds),
    }
    return Outcome(
        measured=measured,
        table=by_seed(measured, seeds),
        draw=lambda: drawn(found),
        caption="Kendall's tau with true rewards on held-out lists, by how judges err",
    )


def _gain(kind: str) -> str:
    return f"{LIST} above {ENDS.removeprefix('PRO on ')}, {kind}: {TAU}"


def _tabular(seeds: Sequence[int], steps: int, *, sft: float) -> Array:
    """Tau between likelihoods and rewards of one list of free numbers, [S]."""
    from itertools import repeat

    import torch

    from agents.alignment.batch import single
    from agents.alignment.methods import method
    from agents.alignment.metrics import kendall
    from agents.alignment.optimizers import Adam
    from agents.alignment.train import train
    from institutional.studies import alignment as lab

    count = len(seeds)
    rewards = lab.tensor(
        lab.drawn(seeds, "pro2023", "table", draw=lambda rng: rng.standard_normal(ARMS))
    )
    policy = lab.table(np.full((count, ARMS), 1 / ARMS))
    data = single(torch.arange(ARMS).expand(count, -1), prompts=torch.arange(count), scores=rewards)
    optimizer = Adam(policy.parameters(), rate=RATE)
    train(method("pro").using(sft=sft), policy, repeat(data, steps), optimizer)
    return np.asarray(kendall(lab.tensor(lab.rows(policy, count)), rewards).numpy())


def _held_out(
    seeds: Sequence[int],
    steps: int,
    *,
    slip: float = 0.0,
    blur: float = 0.0,
    lists: int = LISTS,
    names: Sequence[str] = (LIST, UNTAUGHT, ENDS, FLAT, FLAT_ENDS),
) -> dict[str, Array]:
    """Tau on unseen lists of what each learns from the same judged ones, [S]."""
    from dataclasses import replace

    import torch

    from agents.alignment.methods import method
    from agents.alignment.transforms import best_and_worst, flipped
    from agents.alignment.views import scores
    from institutional.studies import alignment as lab

    def shaken(rng: np.random.Generator) -> Array:
        return rng.standard_normal((lists, ARMS))

    def slipped(rng: np.random.Generator) -> NDArray[np.bool_]:
        return rng.random(lists) < slip

    features, rewards = _lists(seeds, lists)
    noise = blur * lab.drawn(seeds, "pro2023", "blur", draw=shaken)
    wrong = lab.tensor(lab.drawn(seeds, "pro2023", "slips", draw=slipped)).flatten()
    seen = _batch(rewards[:, :lists] + noise)
    upside_down = torch.where(wrong.unsqueeze(-1), -1.0, 1.0)
    judged = replace(seen, scores=scores(seen) * upside_down)
    contrasted = method("cpo_contrastive").using(beta=1.0, alpha=0.05)
    designs = {
        LIST: (method("pro"), judged),
        UNTAUGHT: (method("pro").using(sft=0.0), judged),
        ENDS: (method("pro"), best_and_worst(judged)),
        FLAT: (method("all_pairs").using(beta=1.0), judged),
        FLAT_ENDS: (contrasted, flipped(best_and_worst(seen), wrong)),
    }
    return {
        name: _tau(
            _direction(*designs[name], features[:, :lists], steps),
            features[:, lists:],
            rewards[:, lists:],
        )
        for name in names
    }


def _lists(seeds: Sequence[int], lists: int) -> tuple[Array, Array]:
    """Features [S, X, arms, F] and linear rewards [S, X, arms]; the held-out lists are the last."""
    from institutional.studies import alignment as lab

    bandits = [
        linear_bandit(rng, prompts=lists + HELD_OUT, responses=ARMS, features=FEATURES, beta=1.0)
        for rng in lab.streams(seeds, "pro2023", "lists")
    ]
    return (
        np.stack([np.asarray(bandit.features) for bandit in bandits]),
        np.stack([bandit.reward for bandit in bandits]),
    )


def _batch(scores: Array) -> "Batch":
    """All seeds' lists [S, X, arms]; the prompt is a list's number among all of them."""
    import torch

    from agents.alignment.batch import single
    from institutional.studies import alignment as lab

    flat = lab.tensor(scores).flatten(0, 1)
    arms = torch.arange(ARMS).expand(len(flat), -1)
    return single(arms, prompts=torch.arange(len(flat)), scores=flat)


def _direction(row: "Method", batch: "Batch", features: Array, steps: int) -> Array:
    """The linear scorer that each seed learns, [S, F]; blocks keep seeds' weights apart."""
    from itertools import repeat

    from agents.alignment.bandit import linear
    from agents.alignment.optimizers import Adam
    from agents.alignment.references import frozen
    from agents.alignment.train import train
    from institutional.studies import alignment as lab

    policy = linear(lab.blocks(features))
    optimizer = Adam(policy.parameters(), rate=RATE)
    train(row, policy, repeat(batch, steps), optimizer, reference=frozen(policy))
    return lab.by_block(policy, len(features))


def _tau(directions: Array, features: Array, rewards: Array) -> Array:
    """Mean tau over lists, [S]."""
    from agents.alignment.metrics import kendall
    from institutional.studies import alignment as lab

    scores = lab.tensor(np.einsum("slaf,sf->sla", features, directions)).flatten(0, 1)
    tau = kendall(scores, lab.tensor(rewards).flatten(0, 1))
    return np.asarray(tau.reshape(len(rewards), -1).mean(dim=1).numpy())


def _two(seeds: Sequence[int]) -> Array:
    """Between PRO on lists of two a unit of reward apart, and its pairwise twin, [S]."""
    import torch

    from agents.alignment.batch import single
    from agents.alignment.methods import method
    from institutional.studies import alignment as lab

    said = lab.tensor(
        lab.drawn(seeds, "pro2023", "two", draw=lambda rng: -rng.exponential(size=(20, 2)))
    )
    gradients: list[torch.Tensor] = []
    for row in (method("pro"), method("cpo_contrastive").using(beta=1.0, alpha=0.05)):
        log_probs = said.flatten(0, 1).clone().requires_grad_()
        pairs = single(
            torch.arange(2).expand(len(log_probs), -1),
            policy=log_probs,
            scores=torch.tensor([1.0, 0.0]).double().expand(len(log_probs), -1),
        )
        gradients += torch.autograd.grad(row.bound()(pairs).sum(), log_probs)
    apart = (gradients[0] - gradients[1]).abs().reshape(len(seeds), -1)
    return np.asarray(apart.amax(dim=1).numpy())


def drawn(found: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Tau of each design under each kind of judge."""
    from institutional.studies.study import estimate

    figure, panels = drawing.panels(len(found), height=2.4)
    for axes, (kind, taus) in zip(panels, found.items(), strict=True):
        rows = [(name.removeprefix("PRO on "), *estimate(tau)[:3]) for name, tau in taus.items()]
        drawing.forest(axes, rows, references=[None] * len(rows), label=TAU)
        axes.set_title(kind, loc="left")
    return figure


STUDY = Study(
    name="pro2023",
    paper="Song et al. 2023, arXiv:2306.17492",
    claim="Ranking all of n answers by likelihood, each against all worse ones at temperatures of"
    " the reward gaps, aligns better than pairs, the more so the longer the list.",
    miniature=f"{ARMS} ranked arms. A table of free numbers; and {LISTS} lists of {FEATURES} normal"
    f" features with a linear reward of deviation 1, a linear policy, Adam {RATE}, {STEPS} steps,"
    f" {HELD_OUT} unseen lists. Judges turn lists upside down, or blur scores by {BLUR:g}. PRO with"
    " its own SFT weight 0.05 (n - 1)^2 on all five, and on the two ends; beside it the same pairs"
    " at one temperature, without the reward gaps.",
    predictions=(
        Prediction(
            quantity=f"a table: {TAU}",
            low=0.99,
            high=1.0,
            number=1.0,
            no_effect=0.0,
            source="the facts: 1.0 where the ranking can be expressed",
        ),
        *(
            Prediction(
                quantity=_gain(f"{slip:.0%} upside down"),
                low=0.005,
                high=0.4,
                no_effect=0.0,
                source="the claim, as noise grows; direction only",
            )
            for slip in SLIPS[1:]
        ),
        Prediction(
            quantity=_gain("blurred scores"),
            low=0.005,
            high=0.4,
            no_effect=0.0,
            source="the claim, as noise grows; direction only",
        ),
    ),
    controls=(
        Prediction(
            quantity=TWO,
            low=0.0,
            high=1e-9,
            no_effect=0.0,
            source="identity 2 of the facts, with SFT: n = 2 is logistic",
        ),
        Prediction(
            quantity=_gain(CLEAN),
            low=-0.02,
            high=0.02,
            no_effect=0.0,
            source="the facts: no difference where labels are clean",
        ),
        Prediction(
            quantity=_gain(f"clean, {MANY} lists"),
            low=-0.02,
            high=0.02,
            no_effect=0.0,
            source="the facts: no difference where labels are clean",
            fixed=f"after the control with {LISTS} lists failed: few ends leave a direction open",
        ),
    ),
    does_not_show=(
        "Answers of many tokens, whose mean log-probability is what PRO ranks by.",
        "Answers of other models in the list, from which the paper gains most.",
        "Reward models: judges here err at random.",
    ),
    seeds=10,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
