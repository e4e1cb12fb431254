"""DPO equals RLHF only where its optimum ranks right; a floor under the margin makes it do so.

Constrained Preference Optimization asks for more margin where the reference ranks wrongly. Pairs
are those of ranking2024: each a prompt of its own.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from environments.contract import Array
from environments.preference_games.rankings import (
    idealised_log_ratio,
    ranking_accuracy,
    undesirable,
)
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study, by_seed

AGREEMENT = 0.75
WEAK = 0.6  # a majority so slight that noise in the labels tells
PAIRS = 200
STEPS = 800
BETAS = (0.1, 1.0, 5.0)
DPO, CPO, CLIP = "DPO", "CPO", "clip"
ROWS = {DPO: "dpo", CPO: "cpo_constrained", CLIP: "cpo_clip"}
MOMENTS = (0, 10, 20, 40, 80, 160, 320, 800)
EARLY = 20  # steps

MATCHED = "DPO at the beta that spends CPO's nats (beta 1)"
SOON, LATE = f"unanimous raters, DPO after {EARLY} steps", "unanimous raters, DPO at the end"
FORMULA = "CPO, beta 1: largest distance from d_ref + m + log(3) / beta"


def run(
    seeds: Sequence[int],
    *,
    pairs: int = PAIRS,
    betas: Sequence[float] = BETAS,
    steps: int = STEPS,
) -> Outcome:
    """Train three losses to their end on the same pairs; watch DPO learn from unanimous raters."""
    from agents.alignment.methods import method
    from institutional.studies import lone_pairs as world

    reference = world.reference_gaps(seeds, count=pairs)
    ends = {
        (name, beta): world.ended(
            method(row).using(beta=beta), reference, agreement=AGREEMENT, steps=steps
        )
        for name, row in ROWS.items()
        for beta in betas
    }
    measured: dict[str, Array] = {}
    for (name, beta), gaps in ends.items():
        measured[_right(name, beta)] = _ranked(gaps)
        measured[_wrong(name, beta)] = _undesirable(gaps, reference)
    spent = {name: world.spent(ends[name, 1.0], reference) for name in ROWS}
    measured |= {f"{name}, beta 1: KL from the reference": nats for name, nats in spent.items()}
    measured[f"{MATCHED}: ranking accuracy"] = _ranked(matched(reference, spent[CPO]))
    floor = np.logaddexp(0.0, 2.0 * (0.5 - reference)) / 2.0  # at the official tau and gamma
    formula = reference + floor + np.log(AGREEMENT / (1 - AGREEMENT))
    measured[FORMULA] = abs(ends[CPO, 1.0] - formula).max(axis=1)
    measured |= _weak(reference, steps) | _sound(reference, steps)
    row, moments = method("dpo").using(beta=1.0), [at for at in MOMENTS if at <= steps]
    during = world.gaps_during(row, reference, agreement=1.0, after=moments)
    stuck = np.stack([_undesirable(gaps, reference) for gaps in during])
    measured[f"{SOON}: in U"], measured[f"{LATE}: in U"] = stuck[moments.index(EARLY)], stuck[-1]
    return Outcome(
        measured=measured,
        table=by_seed(measured, seeds),
        draw=lambda: drawn(reference[0], {n: ends[n, 1.0][0] for n in ROWS}, moments, stuck),
        caption="What each loss makes of the reference's ranking, and the undesirable set by steps",
    )


def matched(reference: Array, nats: Array) -> Array:
    """Gaps of DPO's exact optimum at the beta whose divergence is each seed's `nats` [S]."""
    from institutional.studies import lone_pairs as world

    low, high = np.full(len(nats), -10.0), np.full(len(nats), 10.0)  # log beta
    share = np.array(AGREEMENT)
    for _ in range(60):
        middle = (low + high) / 2
        gaps = _optimum(reference, share, middle)
        more = world.spent(gaps, reference) > nats
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return _optimum(reference, share, low)


def _optimum(reference: Array, share: Array, log_beta: Array) -> Array:
    return np.stack(
        [
            idealised_log_ratio(gaps, share, beta=float(np.exp(beta)))
            for gaps, beta in zip(reference, log_beta, strict=True)
        ]
    )


def _weak(reference: Array, steps: int) -> dict[str, Array]:
    """A slight majority: who disagrees is held to a floor of their own."""
    from agents.alignment.methods import method
    from institutional.studies import lone_pairs as world

    return {
        _weakly(name): _ranked(
            world.ended(method(row).using(beta=1.0), reference, agreement=WEAK, steps=steps)
        )
        for name, row in ROWS.items()
    }


def _sound(reference: Array, steps: int) -> dict[str, Array]:
    """A reference that ranks right leaves nothing to repair."""
    from agents.alignment.methods import method
    from institutional.studies import lone_pairs as world

    accuracy = {
        name: _ranked(
            world.ended(
                method(row).using(beta=5.0), abs(reference), agreement=AGREEMENT, steps=steps
            )
        )
        for name, row in ROWS.items()
        if name != CLIP
    }
    return {"a reference that ranks right, beta 5: CPO above DPO": accuracy[CPO] - accuracy[DPO]}


def _ranked(gaps: Array) -> Array:
    return np.array([ranking_accuracy(own) for own in gaps])


def _undesirable(gaps: Array, reference: Array) -> Array:
    pairs = zip(gaps, reference, strict=True)
    return np.array([undesirable(own, held) for own, held in pairs])


def _right(name: str, beta: float) -> str:
    return f"{name}, beta {beta:g}: ranking accuracy"


def _wrong(name: str, beta: float) -> str:
    return f"{name}, beta {beta:g}: in U"


def _weakly(name: str) -> str:
    return f"{WEAK:.0%} agree, {name}, beta 1: ranking accuracy"


def drawn(
    reference: Array, ends: Mapping[str, Array], moments: Sequence[int], stuck: Array
) -> Figure:
    """Gaps at the end by the reference's, and the share in U as unanimous raters are learnt."""
    figure, (left, right) = drawing.panels(2)
    drawing.scatter(
        left,
        {name: (reference, gaps) for name, gaps in ends.items()},
        labels=("reference's gap, nats", "gap at the end, nats"),
    )
    left.axhline(0, color="black", linewidth=0.6)
    left.set_title("Below the line the policy ranks wrongly (beta 1, one seed)", loc="left")
    drawing.curves(
        right, moments[1:], {"DPO, unanimous raters": stuck[1:]}, labels=("steps", "share in U")
    )
    drawing.logarithmic(right, "x")
    right.set_title("With hard labels the wrong rankings pass", loc="left")
    return figure


def _dpo(beta: float, right: float, exact: float, pilot: float) -> tuple[Prediction, ...]:
    width = 0.03 if beta >= 1 else 0.002
    return (
        Prediction(
            quantity=_right(DPO, beta),
            low=exact - width,
            high=min(1.0, exact + width),
            number=right,
            source=f"P(N(0, 3) > -log 3 / beta) = {exact:g}; the PILOT's number is one sample's",
        ),
        Prediction(
            quantity=_wrong(DPO, beta),
            low=max(0.0, 1 - exact - width),
            high=1 - exact + width,
            number=pilot,
            source=f"all that is ranked wrongly: {1 - exact:.4g}; PILOT {pilot:g}",
        ),
    )


def _whole(name: str, beta: float) -> tuple[Prediction, ...]:
    return (
        Prediction(
            quantity=_right(name, beta),
            low=1.0,
            high=1.0,
            number=1.0,
            source="the claim; PILOT 1.000",
        ),
        Prediction(
            quantity=_wrong(name, beta), low=0.0, high=0.0, number=0.0, source="the claim; PILOT 0"
        ),
    )


def _slight(name: str, exact: float) -> Prediction:
    return Prediction(
        quantity=_weakly(name),
        low=exact - 0.04,
        high=exact + 0.04,
        number=exact,
        source="derived: labels the other way round have floors, too; root of the exact slope",
    )


STUDY = Study(
    name="cpo2026",
    paper="Constrained Preference Optimization 2026, arXiv:2605.20834",
    claim="Where the reference ranks wrongly the optimum of DPO may lie between the two, better"
    " than the reference and still wrong; Constrained Preference Optimization leaves no such pair.",
    miniature=f"{PAIRS} pairs a seed that share no parameter; the reference's log-ratio is N(0, 3);"
    f" {AGREEMENT:.0%} of raters agree, and the others' labels are data, too. {STEPS} exact"
    " Adam steps, tau 2, gamma 0.5, alpha 1. U: pairs with d < 0 and d > d_ref.",
    predictions=(
        *_dpo(1.0, 0.654, 0.6429, 0.346),
        *_dpo(5.0, 0.539, 0.5292, 0.461),
        *(p for name in (CPO, CLIP) for beta in BETAS for p in _whole(name, beta)),
        Prediction(
            quantity=f"{MATCHED}: ranking accuracy",
            low=0.6,
            high=0.97,
            no_effect=1.0,
            source="ours: at equal divergence DPO spends its nats on pairs that need none",
        ),
        Prediction(
            quantity=f"{SOON}: in U",
            low=0.1,
            high=0.5,
            no_effect=0.0,
            source="PILOT: with hard labels the pathology is transient; size ours",
        ),
        Prediction(
            quantity=f"{LATE}: in U",
            low=0.0,
            high=0.01,
            number=0.0,
            source="PILOT: with hard labels the pathology is transient",
        ),
        _slight(DPO, 0.554),
        _slight(CPO, 0.811),
        _slight(CLIP, 0.643),
    ),
    controls=(
        Prediction(
            quantity=_right(DPO, 0.1),
            low=0.998,
            high=1.0,
            number=1.0,
            no_effect=1.0,
            source="PILOT: at beta 0.1 all rank right",
        ),
        Prediction(
            quantity="a reference that ranks right, beta 5: CPO above DPO",
            low=0.0,
            high=0.0,
            no_effect=0.0,
            source="the claim: the two differ only where the reference is wrong",
        ),
    ),
    does_not_show=(
        "Length-mean log-probabilities, which the official code reads: every answer is one token.",
        "Parameters that pairs share, so that repairing one may spoil another.",
        "The variant without a reward model (E-CPOC): the sign of its floor is in doubt.",
        "Whether answers get better: here being ranked right is all there is.",
    ),
    seeds=10,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
