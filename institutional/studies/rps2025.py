"""Asking for what one wants may be worse than asking for its neighbours and choosing.

A model that answers badly where it was never trained can still be asked in words it knows: for
directions near the wanted one, of whose answers the best by the wanted direction is kept.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from environments.contract import Array
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study, by_seed

COUNT = 5  # answers, of either side
COVERED = 35.0  # degrees: up to here the model was trained
FADES = 6.0  # degrees beyond that take a factor e from the norm of what is achieved
NOISE = 0.3
TRIALS = 4000
GRID = np.arange(-40.0, 41.0, 5.0)
REACH = 30.0
HARD, EASY = 45.0, 10.0
SPREADS = (0.0, 5.0, 10.0, 20.0, 30.0)
PILOTS = {HARD: (0.50, 0.63, 0.79, 0.96, 0.99), EASY: (0.51, 0.50, 0.51, 0.49, 0.45)}
BANDS = {
    HARD: ((0.47, 0.53), (0.53, 0.75), (0.65, 0.95), (0.85, 1.0), (0.9, 1.0)),
    EASY: ((0.47, 0.53), (0.46, 0.53), (0.46, 0.53), (0.42, 0.53), (0.38, 0.53)),
}
PAPER = "the paper's grid"
KNOWING = f"{PAPER} at {HARD:g} degrees against {COUNT} answers at {COVERED:g}: win rate"


def run(seeds: Sequence[int], *, trials: int = TRIALS) -> Outcome:
    """Win rates of asking around the target over asking for it as often."""
    from institutional.studies import alignment as lab

    rngs = lab.streams(seeds, "rps2025", "answers")

    def wins(ask: Array, against: Array, target: float, *, fades: float = FADES) -> Array:
        return np.array(
            [_wins(rng, ask, against, target, fades=fades, trials=trials) for rng in rngs]
        )

    def at(target: float) -> Array:
        return np.full(COUNT, target)

    measured = {
        _spread(target, spread): wins(
            np.linspace(target - spread, target, COUNT), at(target), target
        )
        for target in (HARD, EASY)
        for spread in SPREADS
    }
    around = {target: _neighbours(target) for target in (HARD, EASY)}
    measured |= {
        f"{PAPER} at {target:g} degrees: win rate": wins(around[target], at(target), target)
        for target in around
    }
    measured[f"{PAPER} at {HARD:g} degrees, a model without a limit: win rate"] = wins(
        around[HARD], at(HARD), HARD, fades=np.inf
    )
    measured[KNOWING] = wins(around[HARD], at(COVERED), HARD)
    return Outcome(
        measured=measured,
        table=by_seed(measured, seeds),
        draw=lambda: drawn(measured),
        caption="Win rate of neighbouring directions over the wanted one, by their spread",
    )


def _spread(target: float, spread: float) -> str:
    return f"{spread:g} degrees to one side of {target:g}: win rate"


def _neighbours(target: float) -> Array:
    """The directions that the paper asks for, in degrees, nearest first."""
    from agents.alignment.transforms import neighbours
    from institutional.studies import alignment as lab

    found = neighbours(target, lab.tensor(GRID), spread=REACH, count=COUNT)
    return np.asarray(found.numpy())


def achieved(rng: np.random.Generator, asked: Array, *, fades: float) -> Array:
    """Two attributes of an answer to each direction asked for, [..., K] to [..., K, 2]."""
    norm = np.exp(-np.maximum(np.abs(asked) - COVERED, 0.0) / fades)
    angle = np.deg2rad(asked)
    clean = norm[..., np.newaxis] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(clean + NOISE * rng.standard_normal(clean.shape))


def _wins(
    rng: np.random.Generator,
    ask: Array,
    against: Array,
    target: float,
    *,
    fades: float,
    trials: int,
) -> float:
    """How often the best answer to `ask` [K] is better by `target` than the best to `against`."""
    from agents.alignment.metrics import best_of
    from institutional.studies import alignment as lab

    wanted = np.array([np.cos(np.deg2rad(target)), np.sin(np.deg2rad(target))])
    best = []
    for directions in (ask, against):
        asked = np.broadcast_to(directions, (trials, len(directions)))
        value = lab.tensor(achieved(rng, asked, fades=fades) @ wanted)
        best.append(best_of(value, value))
    return float((best[0] > best[1]).double().mean())


def drawn(measured: Mapping[str, Array]) -> Figure:
    """Win rate by spread, for a target within and one beyond what was trained."""
    figure, (axes,) = drawing.panels(1, height=3.4)
    shown = {
        f"target {target:g} degrees": np.stack([measured[_spread(target, s)] for s in SPREADS])
        for target in (HARD, EASY)
    }
    drawing.curves(axes, SPREADS, shown, labels=("spread to one side, degrees", "win rate"))
    axes.set_title(f"Neighbours pay beyond {COVERED:g} degrees, where answers fade", loc="left")
    return figure


def _predicted(target: float) -> tuple[Prediction, ...]:
    return tuple(
        Prediction(
            quantity=_spread(target, spread),
            low=low,
            high=high,
            number=number,
            no_effect=0.5,
            source="PILOT, whose noise and fading we do not know",
        )
        for spread, number, (low, high) in zip(SPREADS, PILOTS[target], BANDS[target], strict=True)
    )


STUDY = Study(
    name="rps2025",
    paper="Robust Preference Selection 2025, arXiv:2510.20498",
    claim="For directions beyond the training data, the best of one answer to each of k"
    " neighbouring directions beats the best of k answers to the direction itself, untrained.",
    miniature=f"An answer to a direction has that direction's two attributes, plus noise {NOISE};"
    f" beyond {COVERED:g} degrees their norm fades by e every {FADES:g} degrees. k = {COUNT},"
    f" {TRIALS} comparisons per seed, both sides chosen by the true value. Noise and fading were"
    " set on paper, so that the pilot's first and last numbers were possible.",
    predictions=(
        *_predicted(HARD)[1:],
        Prediction(
            quantity=f"{PAPER} at {HARD:g} degrees: win rate",
            low=0.8,
            high=1.0,
            no_effect=0.5,
            source="the claim; between the pilot's 10 and 20 degrees",
        ),
    ),
    controls=(
        _predicted(HARD)[0],
        *_predicted(EASY),
        Prediction(
            quantity=f"{PAPER} at {EASY:g} degrees: win rate",
            low=0.42,
            high=0.53,
            no_effect=0.5,
            source="PILOT 0.45 to 0.51: where nothing fades, neighbours only point elsewhere",
        ),
        Prediction(
            quantity=f"{PAPER} at {HARD:g} degrees, a model without a limit: win rate",
            low=0.38,
            high=0.53,
            no_effect=0.5,
            source="ours: the claim is about what fades, not about the target",
        ),
        Prediction(
            quantity=KNOWING,
            low=0.3,
            high=0.5,
            no_effect=0.5,
            source="ours: who knew the limit would ask there; variety itself earns nothing",
        ),
    ),
    does_not_show=(
        "Language models, or that their answers fade in this way.",
        "A reward model that errs: both sides choose by the true value.",
        "That neighbours are safe: in a world without fading they cost a little.",
        "How one would know that a target is beyond the data.",
    ),
    seeds=10,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
