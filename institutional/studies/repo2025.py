"""How reliable each annotator is can be learnt along with what they say; from one alone it cannot.

Expectation-maximisation inside the loss: labels count as much as their annotator has been found to
agree with the policy, a liar's count the other way round.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from environments.contract import Array
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study, by_seed

if TYPE_CHECKING:
    from agents.alignment.method import Method

RELIABILITY = (0.95, 0.85, 0.65, 0.2)
RECOVERED = (0.95, 0.86, 0.65, 0.22)  # by the pilot
EQUAL = (0.8, 0.8, 0.8, 0.8)
ALONE = (0.8, 0.6)
PAIRS = 2000
STEPS = 600
REPO, DPO, RDPO = "RE-PO", "DPO", "rDPO at the mean rate"


def run(seeds: Sequence[int], *, pairs: int = PAIRS, steps: int = STEPS) -> Outcome:
    """Four annotators unlike each other, four alike, and one alone at two rates of noise."""
    from agents.alignment.methods import method
    from institutional.studies.linear_pairs import World

    world = World.of(seeds, pairs=pairs)
    measured: dict[str, Array] = {}

    def learnt(case: str, reliability: Sequence[float]) -> Array:
        """Measures the accuracies in `case`; the reliabilities RE-PO finds, [S, W]."""
        data = world.labelled(case, reliability=reliability)
        together, last = world.learnt(_repo(len(seeds) * len(reliability)), data, steps=steps)
        plain, _ = world.learnt(method("dpo").using(beta=1.0), data, steps=steps)
        measured[f"{case}, {REPO}: accuracy"] = world.accuracy(together)
        measured[f"{case}, {DPO}: accuracy"] = world.accuracy(plain)
        measured[f"{case}: {REPO} above DPO"] = world.accuracy(together) - world.accuracy(plain)
        measured[f"{case}, {REPO}: calibration error"] = world.miscalibration(together)
        measured[f"{case}, {DPO}: calibration error"] = world.miscalibration(plain)
        return last.memory["reliability"].numpy().reshape(len(seeds), -1)

    found = learnt("four unlike", RELIABILITY)
    for who, truth in enumerate(RELIABILITY):
        measured[_annotator(truth)] = found[:, who]
    mean = 1 - float(np.mean(RELIABILITY))
    robust, _ = world.learnt(
        method("rdpo").using(beta=1.0, flip_rate=mean),
        world.labelled("four unlike", reliability=RELIABILITY),
        steps=steps,
    )
    measured[f"four unlike, {RDPO}: accuracy"] = world.accuracy(robust)
    measured["four unlike: rDPO above DPO"] = (
        world.accuracy(robust) - measured[f"four unlike, {DPO}: accuracy"]
    )
    learnt("four alike", EQUAL)
    for truth in ALONE:
        measured[_alone(truth)] = learnt(_lone(truth), (truth,))[:, 0] - truth
    return Outcome(
        measured=measured,
        table=by_seed(measured, seeds),
        draw=lambda: drawn(measured, found),
        caption="Reliabilities found beside the true ones, and accuracies with four annotators",
    )


def _repo(annotators: int) -> "Method":
    """RE-PO over DPO at beta 1, at the facts' start and step."""
    from functools import partial

    from agents.alignment.methods import method
    from agents.alignment.pair_losses import dpo

    return method("repo").using(base=partial(dpo, beta=1.0), annotators=annotators)


def _annotator(truth: float) -> str:
    return f"reliability found of the annotator of {truth:g}"


def _lone(truth: float) -> str:
    return f"one annotator of {truth:g}"


def _alone(truth: float) -> str:
    return f"{_lone(truth)}: reliability found less the true one"


def drawn(measured: Mapping[str, Array], found: Array) -> Figure:
    """Found against true reliability, a dot a seed; accuracies as a forest."""
    figure, (left, right) = drawing.panels(2, widths=(1, 1.4))
    true = np.tile(RELIABILITY, (len(found), 1)).ravel()
    drawing.scatter(left, {"one seed": (true, found.ravel())}, labels=("true reliability", "found"))
    left.plot([0, 1], [0, 1], color="black", linewidth=0.6)
    left.set_title("Four annotators unlike each other", loc="left")
    names = [name for name in measured if name.endswith(": accuracy")]
    rows = [
        (name.removesuffix(": accuracy"), *np.quantile(measured[name], (0.5, 0.0, 1.0)).tolist())
        for name in names
    ]
    drawing.forest(
        right, rows, references=[None] * len(rows), label="accuracy: median, least and most"
    )
    return figure


def _recovered(truth: float, pilot: float) -> Prediction:
    return Prediction(
        quantity=_annotator(truth),
        low=truth - 0.05,
        high=truth + 0.05,
        number=pilot,
        source=f"the theorem: the truth; PILOT {pilot:g}",
    )


STUDY = Study(
    name="repo2025",
    paper="RE-PO (first LCPO) 2025, arXiv:2509.24159",
    claim="Reliabilities of annotators, learnt by expectation-maximisation along with the policy,"
    " converge to the truth, and the policy is better than one that trusts all alike.",
    miniature=f"Bradley-Terry, linear in 8 features of norm 3, {PAIRS} pairs; four annotators, of"
    f" reliabilities {', '.join(map(str, RELIABILITY))}, label a quarter each. beta 1, eta_0 0.9,"
    f" step 0.1, {STEPS} full Adam steps.",
    predictions=(
        *map(_recovered, RELIABILITY, RECOVERED),
        Prediction(
            quantity="four unlike, RE-PO: accuracy",
            low=0.95,
            high=1.0,
            number=0.98,
            source="PILOT",
        ),
        Prediction(
            quantity="four unlike, DPO: accuracy", low=0.86, high=0.95, number=0.92, source="PILOT"
        ),
        Prediction(
            quantity="four unlike: RE-PO above DPO",
            low=0.02,
            high=0.12,
            number=0.06,
            no_effect=0.0,
            source="PILOT: .98 against .92",
        ),
        Prediction(
            quantity=_alone(0.6),
            low=0.15,
            high=0.4,
            number=0.29,
            no_effect=0.0,
            source="PILOT: .89 for a truth of .60; noise and small margins look alike",
        ),
    ),
    controls=(
        Prediction(
            quantity=_alone(0.8),
            low=-0.06,
            high=0.06,
            number=0.01,
            no_effect=0.0,
            source="PILOT: .81 for a truth of .80",
        ),
        *(
            Prediction(
                quantity=f"{case}: RE-PO above DPO",
                low=-0.02,
                high=0.02,
                no_effect=0.0,
                source="who cannot be told apart cannot be weighed: nobody to trust more",
            )
            for case in ("four alike", *map(_lone, ALONE))
        ),
        Prediction(
            quantity="four unlike: rDPO above DPO",
            low=-0.02,
            high=0.02,
            number=0.0,
            no_effect=0.0,
            source="PILOT: .92 against .92; a mean rate tells nobody apart",
        ),
    ),
    does_not_show=(
        "Surrogates: only for DPO's loss is the label's probability exact.",
        "Annotators who disagree because they want different things, not because they err.",
        "Language models, which can fit single pairs and so believe any label.",
        "The step of the reliabilities, which the paper finds to matter: it is 0.1 throughout.",
    ),
    seeds=10,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
