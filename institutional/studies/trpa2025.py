"""Whether levels, emphasis and a trust region keep winners and losers from moving alike.

Su et al. rank a policy's own answers by rule-based levels and train on all pairs, the margin under
correct answers sharpened. In a table every arm has a number of its own, so nothing can drag a
winner down with a loser; here the same is asked where arms share a few features.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from environments.contract import Array
from environments.preference_games.policies import divergence
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.alignment.bandit import ArmPolicy
    from agents.alignment.batch import Batch
    from agents.alignment.method import Method

ARMS, FEATURES = 40, 4
SHARES = (4, 12, 12, 12)  # arms of level 1 (correct) to 4 (malformed)
BATCHES, REPEATS = 75, 4
EXACT_ARMS, EXACT_STEPS = 12, 300
BUDGET = 0.3  # nats at which the correct answers' share is compared
TRPA, DPO, FREE = "TRPA", "online DPO", "TRPA without its trust region"
EVEN = "TRPA without its emphasis"
TABLE, SHARED = "a table", "shared features"


class Path(NamedTuple):
    """What a method did."""

    policies: Array  # [T, S, A], the first the reference
    apart: Array  # [S] share of steps that raise the batch's winners and lower its losers


def run(seeds: Sequence[int], *, batches: int = BATCHES, exact_steps: int = EXACT_STEPS) -> Outcome:
    """Learn from sampled groups in a table and with shared features; then take exact steps."""
    from institutional.studies import alignment as lab

    paths = {
        (name, kind): _learnt(seeds, name, kind, batches)
        for kind in (TABLE, SHARED)
        for name in (TRPA, DPO, FREE, EVEN)
    }
    correct = {
        key: (path.policies * (world(seeds)[1] == -1)[np.newaxis]).sum(axis=2)
        for key, path in paths.items()
    }
    spent = {key: divergence(path.policies, path.policies[:1]) for key, path in paths.items()}
    measured: dict[str, Array] = {}
    for kind in (TABLE, SHARED):
        ours, theirs, free, even = ((name, kind) for name in (TRPA, DPO, FREE, EVEN))
        measured |= {
            f"{kind}, TRPA less DPO: steps that part winners and losers": (
                paths[ours].apart - paths[theirs].apart
            ),
            f"{kind}, TRPA less DPO: correct answers at {BUDGET} nats": (
                lab.gold_at(correct[ours], spent[ours], BUDGET)
                - lab.gold_at(correct[theirs], spent[theirs], BUDGET)
            ),
            f"{kind}, TRPA less DPO: correct answers at the end": (
                correct[ours][-1] - correct[theirs][-1]
            ),
            f"{kind}, emphasis less none: steps that part winners and losers": (
                paths[ours].apart - paths[even].apart
            ),
            f"{kind}, emphasis less none: correct answers at {BUDGET} nats": (
                lab.gold_at(correct[ours], spent[ours], BUDGET)
                - lab.gold_at(correct[even], spent[even], BUDGET)
            ),
            f"{kind}, emphasis less none: correct answers at the end": (
                correct[ours][-1] - correct[even][-1]
            ),
            f"{kind}, trust region less none: correct answers at the end": (
                correct[ours][-1] - correct[free][-1]
            ),
        }
    measured["exact small steps that do not lower the expected level"] = _monotone(
        seeds, exact_steps
    )
    for (name, kind), path in paths.items():
        measured |= {
            f"{name}, {kind}: steps that part winners and losers": path.apart,
            f"{name}, {kind}: correct answers at the end": correct[name, kind][-1],
            f"{name}, {kind}: nats at the end": spent[name, kind][-1],
        }
    return Outcome(
        measured={name: lab.reached(values) for name, values in measured.items()},
        table={
            "method": [name for name, _ in paths for _ in seeds],
            "policy": [kind for _, kind in paths for _ in seeds],
            "seed": list(seeds) * len(paths),
            "apart": np.concatenate([path.apart for path in paths.values()]).tolist(),
            "correct": np.concatenate([values[-1] for values in correct.values()]).tolist(),
            "nats": np.concatenate([values[-1] for values in spent.values()]).tolist(),
        },
        draw=lambda: drawn(correct, spent),
        caption="Share of correct answers against divergence, in a table and with shared features",
    )


def world(seeds: Sequence[int]) -> tuple[Array, Array]:
    """Features [S, A, F] and minus levels [S, A]; levels go by a noisy linear quality."""
    from institutional.studies import alignment as lab

    def features(rng: np.random.Generator) -> Array:
        return rng.standard_normal((ARMS, FEATURES))

    seen = lab.drawn(seeds, "trpa2025", "features", draw=features)
    noise = lab.drawn(seeds, "trpa2025", "quality", draw=lambda rng: rng.standard_normal(ARMS))
    rank = (-(seen[:, :, 0] + noise)).argsort(axis=1).argsort(axis=1)
    return seen, -np.repeat(np.arange(1.0, 5.0), SHARES)[rank]


def _method(name: str) -> "Method":
    from functools import partial

    from agents.alignment.methods import method
    from agents.alignment.sources import itself

    if name == DPO:
        from dataclasses import replace

        return replace(method("all_pairs").using(beta=0.1), samplers=partial(itself, count=16))
    settings = {FREE: {"kl": 0.0}, EVEN: {"emphasis": 1.0}}
    return method("trpa").using(**settings.get(name, {}))


def _learnt(seeds: Sequence[int], name: str, kind: str, batches: int) -> Path:
    """A method's path over groups of sixteen answers, each learnt from a few times."""
    from itertools import repeat

    import torch

    from agents.alignment.bandit import ArmPolicy
    from agents.alignment.optimizers import Adam
    from agents.alignment.references import frozen
    from agents.alignment.sources import asked, played, repeated, scored
    from agents.alignment.train import steps
    from agents.alignment.views import scores
    from institutional.studies import alignment as lab

    count, row = len(seeds), _method(name)
    features, levels = world(seeds)
    if kind == SHARED:
        policy = ArmPolicy(lab.LinearSideBySide(features))
    else:
        policy = lab.table(np.full((count, ARMS), 1 / ARMS))
    reference = frozen(policy)
    # The same dice for all methods of a kind: they differ in what they make of the answers.
    who = lab.answering(row, policy, reference, lab.Dice(seeds, "trpa2025", kind))
    questions = repeat(asked(torch.arange(count)), batches)
    judge = scored(lab.looked_up(levels))
    fresh = played(questions, who, judge, generator=torch.Generator())
    policies, apart, known = [lab.rows(policy, count)], [], []
    for step in steps(
        row,
        policy,
        repeated(fresh, REPEATS),
        Adam(policy.parameters(), rate=0.02),
        reference=reference,
    ):
        policies.append(lab.rows(policy, count))
        arms, said = step.batch.responses[..., 0].numpy(), scores(step.batch).numpy()
        moved = np.log(policies[-1] / policies[-2])[np.arange(count)[:, np.newaxis], arms]
        best = said == said.max(axis=1, keepdims=True)
        worst = said == said.min(axis=1, keepdims=True)
        apart.append((_mean(moved, best) > 0) & (_mean(moved, worst) < 0))
        known.append(said.max(axis=1) > said.min(axis=1))
    parted = (np.array(apart) & np.array(known)).sum(axis=0) / np.array(known).sum(axis=0)
    return Path(np.array(policies), parted)


def _mean(values: Array, where: Array) -> Array:
    return np.asarray((values * where).sum(axis=1) / where.sum(axis=1))


def _monotone(seeds: Sequence[int], steps: int) -> Array:
    """Share of exact small steps after which the expected level is no worse, [S]."""
    from dataclasses import replace

    from agents.alignment.methods import method
    from agents.alignment.optimizers import Descent
    from agents.alignment.references import frozen
    from agents.alignment.train import train
    from institutional.studies import alignment as lab

    count = len(seeds)
    levels = lab.drawn(
        seeds, "trpa2025", "exact", draw=lambda rng: -rng.integers(1, 5, EXACT_ARMS).astype(float)
    )
    meetings = lab.every_meeting_of(EXACT_ARMS, count)
    meetings = replace(meetings, scores=lab.looked_up(levels)(meetings))
    policy = lab.table(np.full((count, EXACT_ARMS), 1 / EXACT_ARMS))
    expected = []

    def exact(policy: "ArmPolicy") -> "Iterator[Batch]":
        for _ in range(steps + 1):
            now = lab.rows(policy, count)
            expected.append((now * levels).sum(axis=1))
            yield lab.weighed(meetings, now)

    train(
        method("trpa"),
        policy,
        exact(policy),
        Descent(policy.parameters(), rate=0.2 * count),
        reference=frozen(policy),
    )
    return np.asarray((np.diff(expected, axis=0) >= -1e-12).mean(axis=0))


def drawn(
    correct: Mapping[tuple[str, str], Array], spent: Mapping[tuple[str, str], Array]
) -> Figure:
    """Correct answers against divergence, a panel for each kind of policy."""
    figure, panels = drawing.panels(2, height=3.4)
    for axes, kind in zip(panels, (TABLE, SHARED), strict=True):
        arms = {
            name: (spent[name, kind].mean(axis=1), correct[name, kind].mean(axis=1))
            for name in (TRPA, DPO, EVEN)
        }
        drawing.scatter(axes, arms, labels=("KL to the reference, nats", "correct answers"))
        axes.set_title(f"With {kind}", loc="left")
    return figure


STUDY = Study(
    name="trpa2025",
    paper="Su et al. 2025, arXiv:2504.04524",
    claim="Trust region preference approximation improves monotonically and keeps winners and"
    " losers from rising or sinking together, which online DPO does not.",
    miniature=f"{ARMS} arms in four levels, {SHARES[0]} of them correct; groups of 16 own answers,"
    f" {BATCHES} groups of {REPEATS} steps of Adam at 0.02, beta 0.1. DPO: the logistic loss on all"
    f" pairs of different levels. Shared features: a log-linear policy over {FEATURES} of them, of"
    f" which levels are a noisy function. Exact: {EXACT_ARMS} arms, all pairs as often as drawn.",
    predictions=(
        Prediction(
            quantity="exact small steps that do not lower the expected level",
            low=0.99,
            high=1.0,
            source="the claim: monotone improvement",
        ),
        Prediction(
            quantity=f"{SHARED}, TRPA less DPO: steps that part winners and losers",
            low=0.02,
            high=0.6,
            no_effect=0.0,
            source="the claim, where parameters are shared",
        ),
        Prediction(
            quantity=f"{SHARED}, TRPA less DPO: correct answers at {BUDGET} nats",
            low=0.01,
            high=0.6,
            no_effect=0.0,
            source="the claim, at equal divergence",
        ),
    ),
    controls=(
        Prediction(
            quantity=f"{TABLE}, TRPA less DPO: steps that part winners and losers",
            low=-0.1,
            high=0.1,
            number=-0.01,
            no_effect=0.0,
            source="PILOT .73 and .74: a table cannot show it",
        ),
        Prediction(
            quantity=f"{TABLE}, TRPA less DPO: correct answers at the end",
            low=-0.05,
            high=0.05,
            number=-0.001,
            no_effect=0.0,
            source="PILOT .197 and .198",
        ),
        Prediction(
            quantity=f"{SHARED}, trust region less none: correct answers at the end",
            low=-0.01,
            high=0.01,
            no_effect=0.0,
            source="a weight of 0.001 cannot matter",
        ),
    ),
    does_not_show=(
        "Sequences of tokens, where a common prefix drags winner and loser along.",
        "Reasoning, or any score of a language model.",
        "A trust region that binds: the authors' weight of 0.001 is kept.",
        "That the bound of the paper's theorem holds: only its consequence is looked at.",
    ),
    seeds=30,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
