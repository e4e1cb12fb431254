"""Where preferences go in circles, answers of one's own lead to the Nash policy; no reward does.

Online IPO, IPO-MD and Nash-MD differ in who answers, and so in what they end at: a best reply to
whoever the other answer came from. Only where that is the policy itself is it an equilibrium.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from environments.contract import Array
from environments.preference_games.bandits import optimum
from environments.preference_games.games import Game, fitted_rewards
from environments.preference_games.named import calandriello2024
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.alignment.batch import Batch

STEPS = 1500
SAMPLES = 64  # pairs of one step, where answers are sampled
RATE = 0.05
SHARE = 0.125  # of the reference in the mixture
ETA = 0.3
EXACT_STEPS = (200, 2000)
REFERENCE, REWARD = "reference", "Bradley-Terry reward, exact RLHF"
OFFLINE = "IPO, reference's answers"
ONLINE, MIXED, DUEL = "online IPO", "IPO-MD", "Nash-MD-PG"
ADDITIVE = "offline less online, wins additive in a reward"

OPTIMISER = "before, but a first run used Adam, which circled: gap 0.017, difference 0.09"


def run(seeds: Sequence[int], *, steps: int = STEPS) -> Outcome:
    """Play the cyclic game in expectation and from samples; then a game without a cycle."""
    game = calandriello2024()
    exact = _exact(game, steps)
    sampled = _sampled(game, seeds, steps)
    additive = _additive(seeds, steps)
    gaps = {name: np.full(len(seeds), game.gap(policy)) for name, policy in exact.items()}
    gaps |= {f"{name}, {SAMPLES} pairs a step": gap for name, gap in sampled.items()}
    for count, policy in zip(EXACT_STEPS, _nash_md(game), strict=True):
        gaps[f"Nash-MD, {count} exact steps"] = np.full(len(seeds), game.gap(policy))
    return Outcome(
        measured={
            **{f"{name}: duality gap": gap for name, gap in gaps.items()},
            "IPO-MD: duality gap below offline IPO's": gaps[OFFLINE] - gaps[MIXED],
            "IPO-MD and Nash-MD-PG: largest difference of a probability": np.full(
                len(seeds), np.abs(exact[MIXED] - exact[DUEL]).max()
            ),
            ADDITIVE: additive,
        },
        table={
            "method": [name for name in gaps for _ in seeds],
            "seed": list(seeds) * len(gaps),
            "duality_gap": np.concatenate(list(gaps.values())).tolist(),
        },
        draw=lambda: drawn(gaps),
        caption="Duality gap of what each method ends at, in the cyclic game",
    )


def _exact(game: Game, steps: int) -> dict[str, Array]:
    """What each method ends at if every step sees all pairs as often as they are drawn, [A]."""
    single = Game(game.preference[np.newaxis], game.reference[np.newaxis], game.tau)
    by_reward = optimum(fitted_rewards(game.preference), game.reference, beta=game.tau)
    learnt = {name: _learnt(name, single, steps)[0] for name in (OFFLINE, ONLINE, MIXED, DUEL)}
    return {REFERENCE: game.reference, REWARD: by_reward} | learnt


def _learnt(name: str, game: Game, steps: int) -> Array:
    """Policies [S, A] after exact steps in games [S, A, A], side by side.

    Plain descent: Adam at a constant rate circles around the equilibrium instead of reaching it.
    """
    from dataclasses import replace

    from agents.alignment.methods import method
    from agents.alignment.optimizers import Descent
    from agents.alignment.references import frozen
    from agents.alignment.train import train
    from institutional.studies import alignment as lab

    count, arms = game.reference.shape
    meetings = lab.every_meeting_of(arms, count)
    meetings = replace(meetings, preferences=lab.beating(game.preference)(meetings))
    policy = lab.table(game.reference)

    def weighed() -> "Iterator[Batch]":
        for _ in range(steps):
            now = lab.rows(policy, count)
            mixed = now ** (1 - SHARE) * game.reference**SHARE
            mixed /= mixed.sum(axis=1, keepdims=True)
            first, second = {
                OFFLINE: (game.reference, game.reference),
                ONLINE: (now, now),
                MIXED: (mixed, mixed),
                DUEL: (now, mixed),
            }[name]
            yield lab.weighed(meetings, first, second)

    row = method("nash_md" if name == DUEL else "online_ipo").using(tau=game.tau)
    # The duel pays in wins, the squared loss in squares of 1 / tau: its slope is 2 / tau as steep.
    rate = RATE * count * (2 / game.tau if name == DUEL else 1.0)
    optimizer = Descent(policy.parameters(), rate=rate)
    train(row, policy, weighed(), optimizer, reference=frozen(policy))
    return lab.rows(policy, count)


def _sampled(game: Game, seeds: Sequence[int], steps: int) -> dict[str, Array]:
    """Duality gaps [S] of the last policies learnt from answers that each seed draws."""
    from itertools import repeat

    import torch

    from agents.alignment.methods import method
    from agents.alignment.optimizers import Adam
    from agents.alignment.references import frozen
    from agents.alignment.sources import asked, compared, played
    from agents.alignment.train import train
    from institutional.studies import alignment as lab

    count = len(seeds)
    judge = compared(lab.beating(np.repeat(game.preference[np.newaxis], count, axis=0)))
    question = asked(lab.spread(count, each=SAMPLES))
    gaps = {}
    for name, row in ((ONLINE, "online_ipo"), (MIXED, "ipo_md"), (DUEL, "nash_md")):
        policy = lab.table(np.repeat(game.reference[np.newaxis], count, axis=0))
        reference, dice = frozen(policy), lab.Dice(seeds, "online_ipo2024", name)

        used = method(row).using(tau=game.tau)
        who = lab.answering(used, policy, reference, dice)
        train(
            used,
            policy,
            played(repeat(question, steps), who, judge, generator=torch.Generator()),
            Adam(policy.parameters(), rate=0.005),
            reference=reference,
        )
        gaps[name] = game.gap(lab.rows(policy, count))
    return gaps


def _nash_md(game: Game) -> list[Array]:
    """The policy after so many exact steps of Nash-MD."""
    from itertools import islice

    from agents.alignment import selfplay
    from institutional.studies import alignment as lab

    played = selfplay.Game(
        lab.tensor(game.preference), lab.tensor(np.log(game.reference)), game.tau
    )
    walk = selfplay.iterated(played, selfplay.EXACT["nash_md"], eta=ETA)
    policies = list(islice(walk, EXACT_STEPS[-1]))
    return [np.asarray(policies[count - 1].exp().numpy()) for count in EXACT_STEPS]


def _additive(seeds: Sequence[int], steps: int) -> Array:
    """Gap of offline less that of online IPO where P - 1/2 is half a difference of rewards, [S].

    Then every opponent has the same best reply, and it cannot matter who answered.
    """
    from institutional.studies import alignment as lab

    rewards = lab.drawn(seeds, "online_ipo2024", "additive", draw=lambda rng: rng.random(5))
    preference = 0.5 + (rewards[:, :, np.newaxis] - rewards[:, np.newaxis, :]) / 2
    reference = np.repeat(calandriello2024().reference[np.newaxis], len(seeds), axis=0)
    game = Game(preference, reference, calandriello2024().tau)
    offline, online = (game.gap(_learnt(name, game, steps)) for name in (OFFLINE, ONLINE))
    return np.asarray(offline - online)


def drawn(gaps: Mapping[str, Array]) -> Figure:
    """The gap of every method, on a logarithmic axis."""
    from institutional.studies.study import estimate

    figure, (axes,) = drawing.panels(1, height=3.6)
    floor = 1e-6
    means = [
        (name, *(max(x, floor) for x in estimate(values)[:3])) for name, values in gaps.items()
    ]
    pilots: list[float | None] = [
        {REFERENCE: 0.246, REWARD: 0.106, f"Nash-MD, {EXACT_STEPS[0]} exact steps": 0.0003}.get(
            name
        )
        for name in gaps
    ]
    drawing.forest(axes, means, references=pilots, label="duality gap (bar: pilot)")  # type: ignore[arg-type]
    drawing.logarithmic(axes, "x")
    axes.set_title("Who answers decides where one ends", loc="left")
    return figure


STUDY = Study(
    name="online_ipo2024",
    paper="Calandriello et al. 2024, arXiv:2403.08635",
    claim="Online IPO ends at the regularised Nash policy of the preference game; IPO-MD and"
    " Nash-MD answer with a mixture of policy and reference and lie between online and"
    " offline;"
    " where preferences are cyclic no reward model can replace them.",
    miniature="A lopsided cycle of three arms and two dominated ones that the reference favours,"
    f" tau 0.05. Exact: every step sees all pairs as often as they are drawn; plain descent,"
    f" {STEPS} steps."
    f" Sampled: {SAMPLES} pairs a step, the judge's probability as label, Adam. Mixture share"
    f" {SHARE}. Tabular Nash-MD steps at eta {ETA}.",
    predictions=(
        Prediction(
            quantity=f"{REFERENCE}: duality gap",
            low=0.24,
            high=0.25,
            number=0.246,
            no_effect=0.0,
            source="PILOT",
        ),
        Prediction(
            quantity=f"{REWARD}: duality gap",
            low=0.10,
            high=0.11,
            number=0.106,
            no_effect=0.0,
            source="PILOT; more data cannot help",
        ),
        Prediction(
            quantity=f"{ONLINE}: duality gap",
            low=0.0,
            high=1e-3,
            number=0.0,
            source="the claim: its stationary point is the regularised Nash policy",
            fixed=OPTIMISER,
        ),
        Prediction(
            quantity=f"{ONLINE}, {SAMPLES} pairs a step: duality gap",
            low=0.0,
            high=0.02,
            source="the claim; a fifth of what a reward model leaves, set by us",
        ),
        Prediction(
            quantity=f"Nash-MD, {EXACT_STEPS[0]} exact steps: duality gap",
            low=0.0,
            high=1e-3,
            number=0.0003,
            source="PILOT",
        ),
        Prediction(
            quantity=f"Nash-MD, {EXACT_STEPS[1]} exact steps: duality gap",
            low=0.0,
            high=1e-4,
            number=0.0,
            source="PILOT 0.0000",
        ),
        Prediction(
            quantity="IPO-MD: duality gap below offline IPO's",
            low=1e-3,
            high=0.25,
            no_effect=0.0,
            source="the claim: IPO-MD lies between offline and online",
        ),
    ),
    controls=(
        Prediction(
            quantity=ADDITIVE,
            low=-1e-3,
            high=1e-3,
            no_effect=0.0,
            source="one best reply to everybody: who answers cannot matter",
        ),
        Prediction(
            quantity="IPO-MD and Nash-MD-PG: largest difference of a probability",
            low=0.0,
            high=1e-2,
            no_effect=0.0,
            source="both stationary points are the best reply to their mixture, derived here",
            fixed=OPTIMISER,
        ),
    ),
    does_not_show=(
        "Summarisation, on which the paper reports, or any language model.",
        "Token-level mixtures: with one token the blend of logits is the mixture itself.",
        "A learnt preference model: the judge's probabilities are exact.",
        "Which is faster: one learning rate for all, none tuned.",
    ),
    seeds=10,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
