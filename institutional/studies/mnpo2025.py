"""Playing against several past selves is slower where judges are exact; with noise it must pay.

Mirror descent against oneself (INPO), an optimistic and an extragradient form of it (ONPO, EGPO),
and against an average over past policies (MNPO), in one cyclic game. An average over H policies
moves like a step of 1 / (1 + (H - 1) / 2) the size: what that alone does to noise is the control.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from environments.contract import Array
from environments.preference_games.named import calandriello2024
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study, by_seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from agents.alignment.selfplay import Exact, Game

ETA = 0.3
MOMENTS = (20, 200, 2000)
COMPARISONS = 20  # judgements of each pair and step, where judges are noisy
CAMPS = 0.3  # by how much each of the two judges is off the mean, to either side
TAIL = 0.5  # the share of steps at the end over which noisy gaps are averaged
PILOTS = {
    "INPO": (0.070, 0.0002, 0.0),
    "ONPO": (0.069, 0.0001, 0.0),
    "EGPO": (0.068, 0.0001, 0.0),
    "MNPO, 2 policies": (0.106, 0.0017, 0.0),
    "MNPO, 4 policies": (0.146, 0.0058, 0.0),
    "self-play": (0.058, 0.055, 0.117),
}
INPO, TWO, FOUR, UNTIED = "INPO", "MNPO, 2 policies", "MNPO, 4 policies", "self-play"
SMALLER = {2: 1 / 1.5, 4: 1 / 2.5}  # the step of INPO that moves as fast as MNPO's


def run(seeds: Sequence[int], *, moments: Sequence[int] = MOMENTS) -> Outcome:
    """Play the game with an exact judge, a noisy one, and two who disagree."""
    exact = _exact(moments)
    noisy = _noisy(seeds, moments[-1])
    gaps = {
        f"{name} after {count} steps: duality gap": np.full(len(seeds), gap)
        for name, curve in exact.items()
        for count, gap in zip(moments, curve, strict=True)
    }
    settled = {kind: _tail(curves) for kind, curves in noisy.items()}
    contrasts: dict[str, Array] = {}
    for kind, values in settled.items():
        inpo = values[INPO]
        contrasts |= {f"{name} under {kind}: duality gap": v for name, v in values.items()}
        for name, slow in ((TWO, _slow(2)), (FOUR, _slow(4))):
            contrasts[f"{name} under {kind}: gap above INPO's"] = values[name] - inpo
            contrasts[f"{name} under {kind}: gap above INPO's at its pace"] = (
                values[name] - values[slow]
            )
    measured = gaps | contrasts
    return Outcome(
        measured=measured,
        table=by_seed(measured, seeds),
        draw=lambda: drawn(noisy),
        caption="Duality gap by steps under a noisy judge and under two judges who disagree",
    )


def _rules() -> "dict[str, Exact]":
    from agents.alignment.selfplay import EXACT, Exact, mnpo

    return {
        INPO: EXACT["inpo"],
        "ONPO": EXACT["onpo"],
        "EGPO": EXACT["egpo"],
        TWO: EXACT["mnpo"],
        FOUR: Exact(update=mnpo, remembers=3),
        UNTIED: EXACT["self_play"],
    }


def _slow(policies: int) -> str:
    return f"INPO at the pace of {policies}"


def _game() -> "Game":
    from agents.alignment import selfplay
    from institutional.studies import alignment as lab

    game = calandriello2024()
    return selfplay.Game(lab.tensor(game.preference), lab.tensor(np.log(game.reference)), game.tau)


def _exact(moments: Sequence[int]) -> dict[str, list[float]]:
    """Duality gap of each method at each moment."""
    from itertools import islice

    from agents.alignment.selfplay import iterated

    game, curves = _game(), {}
    for name, rule in _rules().items():
        walk = list(islice(iterated(game, rule, eta=ETA), moments[-1]))
        curves[name] = [_gap(walk[count - 1]).item() for count in moments]
    return curves


def _gap(policies: "Tensor") -> Array:
    """Duality gaps [...] in the true game of log-probabilities [..., A]."""
    return calandriello2024().gap(policies.exp().numpy())


def _noisy(seeds: Sequence[int], steps: int) -> dict[str, dict[str, Array]]:
    """Duality gaps [T, S] in the true game of play that sees another judge at every step."""
    import torch

    from agents.alignment.selfplay import Played

    rules = _rules()
    arms = [(name, rules[name], ETA) for name in (INPO, "ONPO", "EGPO", TWO, FOUR)]
    arms += [(_slow(count), rules[INPO], ETA * SMALLER[count]) for count in SMALLER]
    found: dict[str, dict[str, Array]] = {}
    for kind, judges in {"a noisy judge": counted, "two judges": disagreeing}.items():
        found[kind] = {}
        for name, rule, eta in arms:
            true, player, curve = _game(), None, []
            for preferences in judges(seeds, steps):
                game = true._replace(
                    preferences=preferences, reference=true.reference.expand(len(seeds), -1)
                )
                player = player or Played(game.reference)
                after = rule.update(game, player, eta)
                past = (player.policy, *player.past)[: rule.remembers]
                player = Played(after, past)
                curve.append(after)
            found[kind][name] = _gap(torch.stack(curve))
    return found


def counted(seeds: Sequence[int], steps: int) -> "Iterator[Tensor]":
    """Shares of wins [S, A, A] in a few comparisons of each pair, afresh at each step."""
    from institutional.studies import alignment as lab

    preference = calandriello2024().preference
    rngs = lab.streams(seeds, "mnpo2025", "judgements")
    for _ in range(steps):
        won = np.stack([rng.binomial(COMPARISONS, preference) for rng in rngs]) / COMPARISONS
        upper = np.triu(won, 1)
        yield lab.tensor(
            upper + np.tril(1 - np.swapaxes(upper, 1, 2), -1) + np.eye(len(preference)) / 2
        )


def disagreeing(seeds: Sequence[int], steps: int) -> "Iterator[Tensor]":
    """One of two judges at each step, who favour either end of the list and agree on average."""
    from institutional.studies import alignment as lab

    preference = calandriello2024().preference
    taste = np.linspace(-1, 1, len(preference))
    lean = CAMPS * np.sign(taste[:, np.newaxis] - taste)
    # Kept within what the surer judge can say, so that the two still average to the truth.
    room = np.minimum(preference, 1 - preference)
    lean = np.clip(lean, -room, room)
    rngs = lab.streams(seeds, "mnpo2025", "judges")
    for _ in range(steps):
        side = np.array([rng.integers(2) * 2 - 1 for rng in rngs])
        yield lab.tensor(preference + side[:, np.newaxis, np.newaxis] * lean)


def _tail(curves: Mapping[str, Array]) -> dict[str, Array]:
    """Each method's mean gap over the last steps, [S]."""
    return {
        name: np.asarray(gaps[int(len(gaps) * (1 - TAIL)) :].mean(axis=0))
        for name, gaps in curves.items()
    }


def drawn(noisy: Mapping[str, Mapping[str, Array]]) -> Figure:
    """The gap by steps, a panel a judge."""
    figure, panels = drawing.panels(len(noisy), height=3.4)
    for axes, (kind, curves) in zip(panels, noisy.items(), strict=True):
        steps = len(next(iter(curves.values())))
        at = np.unique(np.geomspace(1, steps, 60).astype(int)) - 1
        shown = {n: curves[n][at] for n in (INPO, TWO, FOUR, _slow(2), _slow(4))}
        drawing.curves(axes, at + 1, shown, labels=("steps", "duality gap"))
        drawing.logarithmic(axes, "x", "y")
        axes.set_title(f"Under {kind}", loc="left")
    return figure


def _pilots() -> tuple[Prediction, ...]:
    """A band of a fifth, and no narrower than half of the last digit, about each pilot's number."""
    bands = []
    for name, numbers in PILOTS.items():
        for count, number in zip(MOMENTS, numbers, strict=True):
            width = max(0.2 * number, 5e-5 if number < 0.01 else 5e-4)
            bands.append(
                Prediction(
                    quantity=f"{name} after {count} steps: duality gap",
                    low=max(0.0, number - width),
                    high=number + width,
                    number=number,
                    source="PILOT at eta 0.3",
                )
            )
    return tuple(bands)


def _pays(name: str, kind: str) -> Prediction:
    return Prediction(
        quantity=f"{name} under {kind}: gap above INPO's",
        low=-0.1,
        high=-1e-5,
        no_effect=0.0,
        source="the claim, where the facts say to look for it; direction only",
    )


def _paced(name: str, kind: str) -> Prediction:
    return Prediction(
        quantity=f"{name} under {kind}: gap above INPO's at its pace",
        low=-1e-3,
        high=1e-3,
        no_effect=0.0,
        source="if averaging is no more than a smaller step; ours",
    )


STUDY = Study(
    name="mnpo2025",
    paper="Wu et al. 2025, arXiv:2509.23102, with INPO (arXiv:2407.00617), ONPO and EGPO",
    claim="Playing against several past policies reaches the Nash policy, and better than against"
    " one where opponents or judges are diverse or noisy.",
    miniature=f"The lopsided cycle of online_ipo2024, tau 0.05, exact tabular updates at eta {ETA}"
    f" for {MOMENTS[-1]} steps. Noisy: at each step each pair is judged {COMPARISONS} times afresh."
    f" Two judges: one of two, {CAMPS} to either side of the truth, at each step. Gaps are those in"
    f" the true game, under noise averaged over the last {TAIL:.0%} of steps. 'At its pace': INPO"
    " with the step that moves as fast as the average does, 2/3 or 2/5 of eta.",
    predictions=(
        *_pilots(),
        *(_pays(name, kind) for kind in ("a noisy judge", "two judges") for name in (TWO, FOUR)),
    ),
    controls=tuple(
        _paced(name, kind) for kind in ("a noisy judge", "two judges") for name in (TWO, FOUR)
    ),
    does_not_show=(
        "The paper's loss on sampled answers: its minimiser is the update played here.",
        "Different reward models for different players (HT-MNPO), for which nothing is proved.",
        "More than two players: with one judge the game against an average is one of two.",
        "The paper's settings: at its eta of 0.0075 on mean log-probabilities its loss is linear.",
    ),
    seeds=10,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
