"""An SFT loss beside DPO keeps one lucky comparison from taking over the policy."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from environments.preference_games.bandits import optimum
from institutional.experiments.report.style import REGIME_COLOURS
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study, by_seed

if TYPE_CHECKING:
    from institutional.studies.lucky_arm import Curves

BETA = 0.1
STRONG = 1.0  # a beta at which the optimum itself is worth little
ETA = 0.05
TAU = 1.0
STATED = (50, 200, 1500)  # steps
BUDGET = 1.0  # nats
DPO, RPO, IPO, SFT = "DPO", "RPO", "IPO", "SFT on winners"


def run(seeds: Sequence[int], *, last: int = STATED[-1]) -> Outcome:
    """Learn by four losses with the lucky comparison, by two without it."""
    from agents.alignment.methods import method
    from institutional.studies import alignment as lab
    from institutional.studies.lucky_arm import ARMS, MOMENTS, World

    rows = {
        DPO: method("dpo").using(beta=BETA),
        RPO: method("rpo").using(beta=BETA, eta=ETA),
        IPO: method("ipo").using(tau=TAU),
        SFT: method("sft"),
    }
    moments = [at for at in MOMENTS if at <= last]
    lucky, plain = World.bad(seeds), World.bad(seeds, lucky=False)
    found = {name: lucky.curves(row, moments=moments) for name, row in rows.items()}
    without = {name: plain.curves(rows[name], moments=moments) for name in (DPO, RPO)}
    at = {count: moments.index(count) for count in STATED if count <= last}
    measured = {
        f"{name} after {count} steps: E[r]": found[name].reward[at[count]]
        for name in rows
        for count in at
    }
    measured |= {f"{name}: P(bad) at the end": curves.rare[-1] for name, curves in found.items()}
    measured["RPO above SFT on winners at the end, E[r]"] = (
        found[RPO].reward[-1] - found[SFT].reward[-1]
    )
    measured["RPO above DPO after 50 steps, E[r]"] = (
        found[RPO].reward[at[50]] - found[DPO].reward[at[50]]
    )
    within = {name: lab.best_within(found[name].reward, found[name].nats, BUDGET) for name in rows}
    measured[f"RPO above DPO within {BUDGET:g} nat, E[r]"] = within[RPO] - within[DPO]
    measured["RPO above the best of DPO's moments, E[r]"] = found[RPO].reward[-1] - found[
        DPO
    ].reward.max(axis=0)
    measured["without the lucky comparison: RPO above DPO at the end, E[r]"] = (
        without[RPO].reward[-1] - without[DPO].reward[-1]
    )
    measured["without the lucky comparison, DPO: P(bad) at the end"] = without[DPO].rare[-1]
    for name, strong in (
        (DPO, method("dpo").using(beta=STRONG)),
        (RPO, method("rpo").using(beta=STRONG, eta=ETA)),
    ):
        curves = lucky.curves(strong, moments=moments)
        measured[f"beta {STRONG:g}, {name}: E[r] at the end"] = curves.reward[-1]
        measured[f"beta {STRONG:g}, {name}: P(bad) at the end"] = curves.rare[-1]
    best = optimum(lucky.reward, np.full(lucky.reward.shape, 1 / ARMS), beta=STRONG)
    measured[f"beta {STRONG:g}, exact optimum: E[r]"] = (best * lucky.reward).sum(axis=1)
    measured["reference: E[r]"] = found[DPO].reward[0]
    measured["best arm: r"] = lucky.reward.max(axis=1)
    return Outcome(
        measured=measured,
        table=by_seed(measured, seeds),
        draw=lambda: drawn(moments, found),
        caption="True reward and probability of the bad arm as four losses learn",
    )


def drawn(moments: Sequence[int], found: Mapping[str, "Curves"]) -> Figure:
    """Reward and the bad arm's share by steps; reward by divergence."""
    figure, (left, middle, right) = drawing.panels(3)
    reward = {name: curves.reward[1:] for name, curves in found.items()}
    drawing.curves(left, moments[1:], reward, labels=("steps", "E[r]"))
    share = {name: curves.rare[1:] for name, curves in found.items()}
    drawing.curves(middle, moments[1:], share, labels=("steps", "P(bad)"))
    for axes in (left, middle):
        drawing.logarithmic(axes, "x")
    for place, (name, curves) in enumerate(found.items()):
        nats, worth = curves.nats.mean(axis=1), curves.reward.mean(axis=1)
        right.plot(nats, worth, color=REGIME_COLOURS[place], label=name, linewidth=1.4)
    right.set_xlabel("KL from the reference, nats")
    right.set_ylabel("E[r]")
    left.set_title("One lucky comparison", loc="left")
    middle.set_title("The arm it was of", loc="left")
    right.set_title("At equal divergence", loc="left")
    return figure


SEEN = (
    "before, for beta 1; there RPO's E[r] was 0.66, below what the optimum is worth at that beta,"
    " so beta became TRL's 0.1 and the bands stayed"
)


def worth(
    name: str, count: int, low: float, high: float, number: float, *, fixed: str = SEEN
) -> Prediction:
    """The pilot's E[r] of a method after so many steps, as a prediction."""
    return Prediction(
        quantity=f"{name} after {count} steps: E[r]",
        low=low,
        high=high,
        number=number,
        source="PILOT; its beta, optimiser and the bad arm's reward are not known",
        fixed=fixed,
    )


STUDY = Study(
    name="rpo2024",
    paper="Liu et al. 2024, arXiv:2405.16436",
    claim="DPO trusts comparisons that the data hardly cover and so over-optimises; DPO plus an SFT"
    " loss on the chosen answers, which is a robust objective in disguise, provably does not.",
    miniature="20 arms, 1000 Bradley-Terry pairs that avoid one terrible arm, and one lucky"
    f" comparison in which it beats the best. Tabular policy, uniform reference, beta {BETA:g}, eta"
    f" {ETA}, tau {TAU:g}, full batches, 1500 Adam steps.",
    predictions=(
        worth(DPO, 50, 0.6, 1.4, 1.08),
        worth(DPO, 200, -2.5, 0.0, -1.15),
        worth(DPO, 1500, -2.51, -2.0, -2.34),
        worth(RPO, 50, 0.6, 1.4, 1.06),
        worth(RPO, 200, 0.9, 1.6, 1.25),
        worth(RPO, 1500, 0.9, 1.6, 1.27),
        worth(IPO, 1500, 0.1, 0.8, 0.37),
        Prediction(
            quantity="DPO: P(bad) at the end",
            low=0.95,
            high=1.0,
            number=1.0,
            source="PILOT -> 1.00",
        ),
        Prediction(
            quantity="RPO: P(bad) at the end", low=0.0, high=0.05, number=0.01, source="PILOT 0.01"
        ),
        Prediction(
            quantity="RPO above SFT on winners at the end, E[r]",
            low=0.2,
            high=1.5,
            no_effect=0.0,
            source="ours: the gain must be more than imitation",
        ),
    ),
    controls=(
        Prediction(
            quantity="RPO above DPO after 50 steps, E[r]",
            low=-0.15,
            high=0.15,
            number=-0.02,
            no_effect=0.0,
            source="PILOT: 1.06 against 1.08 before anything is over-optimised",
        ),
        Prediction(
            quantity="without the lucky comparison: RPO above DPO at the end, E[r]",
            low=-0.3,
            high=0.3,
            no_effect=0.0,
            source="ours: nothing is there to be over-optimised",
        ),
    ),
    does_not_show=(
        "Long answers: the official coefficient is on a sum over tokens, TRL's on a mean.",
        "That DPO could not stop in time: its best moment is reported beside.",
        "Parameters that arms share, by which a lucky comparison also moves others.",
    ),
    seeds=10,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
