"""People as mixtures of a few ideals: what one ideal misses, and what a new user's choices tell.

Everybody prefers what lies near a point of one's own, and these points lie between two prototypes.
Which two is learnt from everybody, where a user lies between them from a few choices.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from environments.contract import Array
from environments.preference_games.labels import IdealPoints, Pairs, ideals_of, label
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study, by_seed

if TYPE_CHECKING:
    from torch import Tensor

USERS, CHOICES, HELD_OUT = 40, 20, 100
NEWCOMERS, SHOTS = 40, (2, 5, 10)
APART = 1.5  # distance of either prototype from the centre of items, whose deviation is 1
SHARPNESS = 5.0  # nats of log-odds per unit of distance
STEPS, RATE, SPREAD = 400, 0.05, 0.5
ONE, TWO, ANGLE = "one ideal", "two ideals", "two ideals, by angle"
LIKELY = "two ideals, by likelihood"  # knows the sharpness; is it the hinge that misplaces ideals?
RIGHT = "held-out accuracy"


class World(NamedTuple):
    """Prototypes [S, P, 2], weights of users [S, U, P], and their choices [S, U, N, 2, 2]."""

    prototypes: Array
    weights: Array
    choices: Array  # items by coordinates, the preferred one first
    best: Array  # [S] accuracy of whoever knows the ideals


def run(seeds: Sequence[int], *, steps: int = STEPS) -> Outcome:
    """Fit one ideal, two, and two by angle to four populations; then meet newcomers."""
    mixed = population(seeds, "mixed")
    pure = population(seeds, "pure", pure=True)
    alike = population(seeds, "alike", alike=True)
    ring = population(seeds, "ring", ring=True)
    found: dict[str, dict[str, Array]] = {}
    measured: dict[str, Array] = {}
    for kind, world in (("mixed", mixed), ("pure", pure), ("alike", alike), ("ring", ring)):
        fits = {name: fitted(seeds, world, name, steps) for name in (ONE, TWO, ANGLE, LIKELY)}
        found[kind] = {name: fit.accuracy for name, fit in fits.items()}
        found[kind]["who knows the ideals"] = world.best
        measured |= {f"{kind}, {name}: {RIGHT}": fit.accuracy for name, fit in fits.items()}
        measured[f"{kind}: two ideals below who knows"] = world.best - fits[TWO].accuracy
        measured[f"{kind}: two ideals above one"] = fits[TWO].accuracy - fits[ONE].accuracy
        for name, how in ((TWO, ""), (LIKELY, ", by likelihood")):
            measured[f"{kind}: error of a weight{how}"] = _weight_error(
                fits[name].weights, world.weights
            )
            measured[f"{kind}: distance of an ideal from the true one{how}"] = _astray(
                fits[name].ideals.numpy(), world
            )
        if kind == "mixed":
            newcomers = population(seeds, "newcomers", prototypes=mixed.prototypes)
            few = {shots: newly(seeds, newcomers, fits[TWO], shots, steps) for shots in SHOTS}
            none = right(newcomers.choices[:, :, CHOICES:], fits[ONE].ideals[:, :1])
            measured |= {f"newcomers, {shots} choices: {RIGHT}": got for shots, got in few.items()}
            measured[f"newcomers: {SHOTS[-1]} choices above none, one ideal"] = (
                few[SHOTS[-1]] - none
            )
    measured["ring: by angle above by distance"] = found["ring"][ANGLE] - found["ring"][TWO]
    curve = np.stack([none, *few.values()])
    return Outcome(
        measured=measured,
        table=by_seed(measured, seeds),
        draw=lambda: drawn(found, curve),
        caption="Held-out accuracy by number of ideals, and of newcomers by their choices",
    )


class Fit(NamedTuple):
    """What was learnt of everybody."""

    prototypes: "Tensor"  # [S, P, 2]
    weights: Array  # [S, U, P]
    ideals: "Tensor"  # [S, U, 2]
    accuracy: Array  # [S], of held-out choices


def population(
    seeds: Sequence[int],
    name: str,
    *,
    pure: bool = False,
    alike: bool = False,
    ring: bool = False,
    prototypes: Array | None = None,
) -> World:
    """People between two prototypes (all at one, or all alike), and items they choose from.

    On a `ring` items and prototypes have length one: nearer in distance is nearer in angle.
    """
    from institutional.studies import alignment as lab

    places, weights, choices, best = [], [], [], []
    for at, rng in enumerate(lab.streams(seeds, "pal2024", name)):
        turn = rng.uniform(0, 2 * np.pi)
        angles = turn + np.array([0.0, 2 * np.pi / 3])
        place = (1.0 if ring else APART) * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        place = place if prototypes is None else prototypes[at]
        share = rng.random(USERS)
        share = (share > 0.5).astype(float) if pure else share
        share = np.full(USERS, share[0]) if alike else share
        weight = np.stack([share, 1 - share], axis=-1)
        each = CHOICES + HELD_OUT
        items = rng.standard_normal((USERS * each, 2, 2))
        items = items / np.linalg.norm(items, axis=-1, keepdims=True) if ring else items
        people = IdealPoints(items, ideals_of(weight, place), SHARPNESS)
        rows, zero = np.arange(USERS * each), np.zeros(USERS * each, dtype=np.int64)
        asked = Pairs(rows, zero, zero + 1, np.repeat(np.arange(USERS), each))
        said = label(rng, people, asked)
        liked = np.stack([items[rows, said.winner], items[rows, said.loser]], axis=1)
        likely = people.prefers_left(asked).reshape(USERS, each)[:, CHOICES:]
        places.append(place)
        weights.append(weight)
        choices.append(liked.reshape(USERS, each, 2, 2))
        best.append(np.maximum(likely, 1 - likely).mean())
    return World(np.stack(places), np.stack(weights), np.stack(choices), np.array(best))


def fitted(seeds: Sequence[int], world: World, name: str, steps: int) -> Fit:
    """Prototypes and everybody's weights, learnt together from everybody's first choices."""
    import torch

    from institutional.studies import alignment as lab

    count = 1 if name == ONE else 2
    first = lab.drawn(
        seeds, "pal2024", "start", draw=lambda rng: SPREAD * rng.standard_normal((count, 2))
    )
    prototypes = lab.tensor(first).requires_grad_()
    weights = torch.zeros(len(seeds), USERS, count, dtype=torch.float64, requires_grad=True)
    _descend([prototypes, weights], world.choices[:, :, :CHOICES], name, steps)
    with torch.no_grad():
        ideals = _ideals(weights, prototypes)
    correct = right(world.choices[:, :, CHOICES:], ideals, by_angle=name == ANGLE)
    return Fit(prototypes.detach(), weights.detach().softmax(dim=-1).numpy(), ideals, correct)


def newly(seeds: Sequence[int], world: World, fit: Fit, shots: int, steps: int) -> Array:
    """Accuracy [S] for people of whom `shots` choices are known, prototypes as they were learnt."""
    import torch

    weights = torch.zeros(len(seeds), USERS, 2, dtype=torch.float64, requires_grad=True)
    _descend([weights], world.choices[:, :, :shots], TWO, steps, prototypes=fit.prototypes)
    with torch.no_grad():
        ideals = _ideals(weights, fit.prototypes)
    return right(world.choices[:, :, CHOICES:], ideals)


def _descend(
    parameters: "list[Tensor]",
    choices: Array,
    name: str,
    steps: int,
    *,
    prototypes: "Tensor | None" = None,
) -> None:
    """Fit what is not given to choices [S, U, N, 2, 2]: PAL-A by hinge, PAL-B by cross-entropy."""
    from agents.alignment.rewards import angular, bradley_terry, nearness, preference_hinge
    from institutional.studies import alignment as lab

    items = lab.tensor(choices)
    people, each = items.shape[0] * items.shape[1], items.shape[2]
    flat = items.flatten(0, 2)
    weights = parameters[-1]

    def loss() -> "Tensor":
        places = parameters[0] if prototypes is None else prototypes
        if name == ANGLE:
            own = weights.reshape(people, -1).repeat_interleave(each, dim=0)
            around = places.repeat_interleave(len(flat) // len(places), dim=0)
            return bradley_terry(angular(flat, own, around)).sum() / each
        ideals = _ideals(weights, places).reshape(people, 2).repeat_interleave(each, dim=0)
        near = nearness(flat, ideals)
        each_loss = bradley_terry(SHARPNESS * near) if name == LIKELY else preference_hinge(near)
        return each_loss.sum() / each

    lab.fitted(parameters, loss, rate=RATE, steps=steps)


def _ideals(weights: "Tensor", prototypes: "Tensor") -> "Tensor":
    """Where each user's ideal lies, [S, U, 2]; items need no projection here."""
    from agents.alignment.rewards import ideal_points

    return ideal_points(weights, prototypes, lambda point: point)


def right(choices: Array, ideals: "Tensor", *, by_angle: bool = False) -> Array:
    """Share of choices [S, U, N, 2, 2] that ideals [S, U or 1, 2] foretell, [S]."""
    from torch.nn.functional import normalize

    from agents.alignment.metrics import reward_accuracy
    from agents.alignment.rewards import nearness
    from institutional.studies import alignment as lab

    items = lab.tensor(choices)
    places = ideals.unsqueeze(2).expand(*items.shape[:3], 2)
    if by_angle:  # on the unit circle the nearer item is the one at the smaller angle
        items, places = normalize(items, dim=-1), normalize(places, dim=-1)
    return np.array(
        [
            reward_accuracy(nearness(own.flatten(0, 1), place.flatten(0, 1))).item()
            for own, place in zip(items, places, strict=True)
        ]
    )


def _weight_error(found: Array, truth: Array) -> Array:
    """Mean error of the weight on a prototype, under the better naming of the two, [S]."""
    errors = [np.abs(found[..., at] - truth[..., 0]).mean(axis=1) for at in (0, 1)]
    return np.asarray(np.minimum(*errors))


def _astray(ideals: Array, world: World) -> Array:
    """Mean distance of ideals [S, U, 2] from the true ones, which do not depend on naming, [S]."""
    truth = ideals_of(world.weights, world.prototypes)
    return np.asarray(np.linalg.norm(ideals - truth, axis=-1).mean(axis=1))


def drawn(found: Mapping[str, Mapping[str, Array]], curve: Array) -> Figure:
    """Accuracies in the first population, and those of newcomers by number of choices."""
    from institutional.studies.study import estimate

    figure, (left, right_) = drawing.panels(2, height=3.2)
    rows = [
        (f"{kind}, {name}", *estimate(got)[:3])
        for kind in ("mixed", "alike")
        for name, got in found[kind].items()
    ]
    drawing.forest(left, rows, references=[None] * len(rows), label=RIGHT)
    left.set_title("Everybody's held-out choices", loc="left")
    labels = ("choices of a newcomer (0: one ideal)", RIGHT)
    drawing.curves(right_, (0, *SHOTS), {"newcomers": curve}, labels=labels)
    right_.set_title("Newcomers, prototypes as learnt", loc="left")
    return figure


def _near(kind: str, source: str) -> Prediction:
    return Prediction(
        quantity=f"{kind}: two ideals below who knows", low=0.0, high=0.05, source=source
    )


STUDY = Study(
    name="pal2024",
    paper="Chen et al. 2024, arXiv:2406.08469",
    claim="Where people differ, ideal points that mix a few learnt prototypes foretell their"
    " choices as one reward for all cannot, and a new user is placed by a few choices.",
    miniature=f"Items normal in the plane, two prototypes at {APART} from its centre, 120 degrees"
    f" apart; {USERS} people between them, {CHOICES} choices each at {SHARPNESS:g} nats per unit of"
    f" distance, {HELD_OUT} held out. PAL-A with the plane as its space: softmax weights, hinge on"
    f" distances; PAL-B by angle. Adam {RATE}, {STEPS} steps on all. {NEWCOMERS} newcomers: weights"
    " only. Mixed: weights uniform; pure: all on one prototype; ring: items of length one.",
    predictions=(
        _near("mixed", "the facts: K = 2 near Bayes"),
        Prediction(
            quantity="mixed: two ideals above one",
            low=0.03,
            high=0.3,
            no_effect=0.0,
            source="the claim; the least worth a model, set by us",
        ),
        Prediction(
            quantity=f"newcomers: {SHOTS[-1]} choices above none, one ideal",
            low=0.02,
            high=0.3,
            no_effect=0.0,
            source="the claim; set by us",
        ),
        Prediction(
            quantity="mixed: error of a weight",
            low=0.0,
            high=0.1,
            number=0.1,
            source="the facts: within 0.1 of the truth up to naming",
        ),
        Prediction(
            quantity="pure: error of a weight",
            low=0.0,
            high=0.1,
            number=0.1,
            source="the facts; people at the prototypes should fix these",
        ),
    ),
    controls=(
        Prediction(
            quantity="alike: two ideals above one",
            low=-0.02,
            high=0.02,
            no_effect=0.0,
            source="ours: where all are alike there is nothing to tell apart",
        ),
        Prediction(
            quantity="ring: by angle above by distance",
            low=-0.03,
            high=0.03,
            no_effect=0.0,
            source="ours: on a circle the nearer item is the one at the smaller angle",
        ),
    ),
    does_not_show=(
        "A learnt space: items come with their two coordinates.",
        "Prompts: prototypes do not depend on one, so PAL-B is its head only.",
        "How many prototypes there are: told to be two.",
        "Ideals outside what two prototypes span.",
    ),
    seeds=10,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
