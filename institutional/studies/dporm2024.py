"""The reward hidden in a DPO policy against one trained to judge, on pairs like and unlike.

Both learn from the same pairs, from the same small language model, and are then shown prompts and
answers unlike those they learnt from. Where both are linear they are one model.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from environments.contract import Array
from environments.preference_games.labels import BradleyTerry, Pairs, label
from institutional.studies import drawing
from institutional.studies.study import Outcome, Prediction, Study, by_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from agents.alignment.batch import Batch

VOCABULARY, LENGTH, WIDTH = 10, 10, 24
RELATION = 2.0  # reward where the first and the last token are of one half of the vocabulary
TEMPERATURE = 0.5  # units of reward per nat of log-odds in a label
PAIRS, TESTS = 8192, 1000
UNSEEN = 0.3  # share of prompts kept for the shift of prompts
BASE_STEPS, STEPS, SIZE, RATE, BETA = 150, 800, 32, 0.005, 0.1
LOOKS = 5  # at validation pairs on the way: either model is kept where it did best
LINEAR_FEATURES, LINEAR_PAIRS, LINEAR_STEPS, LINEAR_RATE = 6, 100, 200, 0.02
VALID = "validation"
MORE = (
    "before; pairs (512), steps (500) and test pairs (400) were raised when both models had"
    " learnt little, .61 and then .72 at home; the mean gap was null each time"
)
HOME, STRANGE = "in distribution", ("other prompts", "other answers", "other prompts and answers")
IMPLICIT, EXPLICIT = "DPORM", "EXRM"
MEAN_GAP = "EXRM above DPORM, mean of three shifts"

Tokens = NDArray[np.int64]


def run(
    seeds: Sequence[int],
    *,
    steps: int = STEPS,
    base_steps: int = BASE_STEPS,
    learnt: int = PAIRS,
    tested: int = TESTS,
) -> Outcome:
    """Train both on the same pairs and test them at home and on three kinds of strange pairs."""
    found = _models(seeds, steps, base_steps, learnt, tested)
    linear = _linear(seeds)
    measured: dict[str, Array] = {
        f"{name}, {kind}: accuracy": accuracy
        for name, kinds in found.items()
        for kind, accuracy in kinds.items()
    }
    gaps = {kind: found[EXPLICIT][kind] - found[IMPLICIT][kind] for kind in (HOME, *STRANGE)}
    measured |= {f"EXRM above DPORM, {kind}": gap for kind, gap in gaps.items()}
    measured[MEAN_GAP] = np.mean([gaps[kind] for kind in STRANGE], axis=0)
    measured["EXRM above DPORM, shifts less at home"] = measured[MEAN_GAP] - gaps[HOME]
    measured |= {f"linear, {kind}: EXRM above DPORM": gap for kind, gap in linear.items()}
    return Outcome(
        measured=measured,
        table=by_seed(measured, seeds),
        draw=lambda: drawn(found),
        caption="Share of pairs that either reward model ranks as the true reward does",
    )


def reward(prompts: Tokens, answers: Tokens, values: Array) -> Array:
    """Worth of answers [.., L] to prompts [.., 2], with values of tokens [V], [..].

    Each token's value, plus one for the prompt's first token and minus one for its second, plus
    the long-range relation.
    """
    liked = (answers == prompts[..., :1]).sum(axis=-1)
    disliked = (answers == prompts[..., 1:]).sum(axis=-1)
    half = VOCABULARY // 2
    related = (answers[..., 0] < half) == (answers[..., -1] < half)
    return np.asarray(values[answers].sum(axis=-1) + liked - disliked + RELATION * related)


def pairs(seeds: Sequence[int], kind: str, part: str, *, count: int, clean: bool) -> "Batch":
    """Every seed's pairs, preferred first: by labels as people give them, or by the true reward."""
    import torch

    from agents.alignment.batch import Batch
    from institutional.studies import alignment as lab

    asked, answers = [], []
    for world, rng in zip(
        lab.streams(seeds, "dporm2024", "world"),
        lab.streams(seeds, "dporm2024", kind, part),
        strict=True,
    ):
        values = 0.3 * world.standard_normal(VOCABULARY)
        home, away = (np.exp(world.standard_normal(VOCABULARY)) for _ in range(2))
        prompts = world.permutation(
            [(a, b) for a in range(VOCABULARY) for b in range(VOCABULARY) if a != b]
        )
        kept = round(UNSEEN * len(prompts))
        prompts = prompts[:kept] if "prompts" in kind else prompts[kept:]
        frequency = away if "answers" in kind else home
        chosen = prompts[rng.integers(len(prompts), size=count)]
        said = rng.choice(VOCABULARY, size=(count, 2, LENGTH), p=frequency / frequency.sum())
        worth = reward(chosen[:, np.newaxis], said, values)
        zero = np.zeros(count, dtype=np.int64)
        people = BradleyTerry(worth, 0.0 if clean else TEMPERATURE)
        told = label(rng, people, Pairs(np.arange(count), zero, zero + 1, zero))
        rows = np.arange(count)
        asked.append(chosen)
        answers.append(np.stack([said[rows, told.winner], said[rows, told.loser]], axis=1))
    responses = torch.from_numpy(np.concatenate(answers))
    prompts_ = torch.from_numpy(np.concatenate(asked))
    return Batch(responses=responses, mask=responses >= 0, prompts=prompts_)


def _models(
    seeds: Sequence[int], steps: int, base_steps: int, learnt: int, tested: int
) -> dict[str, dict[str, Array]]:
    """Accuracies [S] of either reward model on each kind of pairs."""
    from copy import deepcopy
    from dataclasses import replace
    from itertools import islice

    from agents.alignment.methods import method
    from agents.alignment.optimizers import Adam
    from agents.alignment.rewards import bradley_terry, implicit
    from agents.alignment.train import steps as steps_of
    from agents.alignment.train import train
    from agents.alignment.views import log_ratios
    from institutional.studies import alignment as lab
    from institutional.studies.writers import Writers, known

    data = pairs(seeds, HOME, "learnt", count=learnt, clean=False)
    base = Writers(
        seeds, "dporm2024", "base", vocabulary=VOCABULARY, longest=2 + LENGTH, width=WIDTH
    )
    batches = lab.shuffled(data, seeds, "dporm2024", "base order", each=SIZE)
    optimizer = Adam(base.parameters(), rate=RATE)
    train(method("sft"), base, islice(batches, base_steps), optimizer)

    data = replace(data, reference=known(base, data))
    tests = {
        kind: pairs(seeds, kind, part, count=tested, clean=True)
        for kind, part in ((VALID, "valid"), *((kind, "test") for kind in (HOME, *STRANGE)))
    }
    tests = {kind: replace(test, reference=known(base, test)) for kind, test in tests.items()}
    policy, judge = deepcopy(base), deepcopy(base)
    batches, same = (lab.shuffled(data, seeds, "dporm2024", "order", each=SIZE) for _ in range(2))

    def hidden(batch: "Batch") -> "Tensor":
        return implicit(log_ratios(replace(batch, policy=known(policy, batch))), beta=BETA)

    learning = steps_of(
        method("dpo").using(beta=BETA),
        policy,
        batches,
        Adam(policy.parameters(), rate=RATE),
    )

    def loss() -> "Tensor":
        return bradley_terry(judge.rewards(next(same))).mean()

    fitting = lab.fitting(list(judge.parameters()), loss, rate=RATE)
    moments = np.unique(np.linspace(steps // LOOKS, steps, LOOKS).astype(int)).tolist()
    return {
        IMPLICIT: _best(learning, hidden, tests, moments, len(seeds)),
        EXPLICIT: _best(fitting, judge.rewards, tests, moments, len(seeds)),
    }


def _best(
    learning: "Iterable[object]",
    rewards: "Callable[[Batch], Tensor]",
    tests: "Mapping[str, Batch]",
    moments: Sequence[int],
    seeds: int,
) -> dict[str, Array]:
    """Accuracies [S] by kind, each seed's at the moment that did best on its validation pairs."""
    seen = []
    for number, _ in enumerate(learning, start=1):
        if number in moments:
            seen.append({kind: _accuracy(rewards, test, seeds) for kind, test in tests.items()})
        if number == moments[-1]:
            break
    best = np.argmax([each[VALID] for each in seen], axis=0)
    return {
        kind: np.stack([each[kind] for each in seen])[best, np.arange(seeds)]
        for kind in tests
        if kind != VALID
    }


def _accuracy(rewards: "Callable[[Batch], Tensor]", test: "Batch", seeds: int) -> Array:
    """Share of each seed's pairs that are ranked right, [S]."""
    import torch

    from agents.alignment.metrics import reward_accuracy

    with torch.no_grad():
        shares = rewards(test).reshape(seeds, -1, 2)
    return np.array([reward_accuracy(share).item() for share in shares])


def _linear(seeds: Sequence[int]) -> dict[str, Array]:
    """How far EXRM is above DPORM if both are linear in the same features, by kind, [S]."""
    from itertools import repeat

    import torch

    from agents.alignment.bandit import linear
    from agents.alignment.batch import single
    from agents.alignment.methods import method
    from agents.alignment.optimizers import Adam
    from agents.alignment.references import frozen
    from agents.alignment.rewards import bradley_terry
    from agents.alignment.train import train
    from institutional.studies import alignment as lab

    def world(rng: np.random.Generator) -> Array:
        """Learnt, tested and strange pairs with the truth as a last feature, the better first."""
        shape = (3, LINEAR_PAIRS, 2, LINEAR_FEATURES)
        features = rng.standard_normal(shape)
        features[2] = 2 * features[2] + rng.standard_normal(LINEAR_FEATURES)
        truth = features.sum(axis=-1) + features[..., 0] * features[..., 1]
        order = np.argsort(-truth, axis=-1)[..., np.newaxis]
        return np.take_along_axis(features, order, axis=2)

    found = lab.drawn(seeds, "dporm2024", "linear", draw=world)  # [S, 3, pairs, 2, F]
    features = lab.blocks(found[:, 0])
    rows = torch.arange(len(features))
    data = single(torch.tensor([[0, 1]]).expand(len(rows), 2), prompts=rows)
    policy = linear(features)
    train(
        method("dpo").using(beta=BETA),
        policy,
        repeat(data, LINEAR_STEPS),
        # Beta times these weights is the reward: the same stride as the judge's.
        Adam(policy.parameters(), rate=LINEAR_RATE / BETA),
        reference=frozen(policy),
    )
    judge = torch.zeros(features.shape[-1], dtype=torch.float64, requires_grad=True)
    lab.fitted(
        [judge],
        lambda: bradley_terry(features @ judge).mean(),
        rate=LINEAR_RATE,
        steps=LINEAR_STEPS,
    )
    weights = {
        IMPLICIT: BETA * lab.by_block(policy, len(seeds)),
        EXPLICIT: judge.detach().reshape(len(seeds), -1).numpy(),
    }
    right = {}
    for name, each in weights.items():
        scores = np.einsum("stpaf,sf->stpa", found, each)
        right[name] = (scores[..., 0] > scores[..., 1]).mean(axis=-1)
    apart = right[EXPLICIT] - right[IMPLICIT]
    return {HOME: apart[:, 1], "out of it": apart[:, 2]}


def drawn(found: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Accuracy of both, by kind of pairs."""
    from institutional.studies.study import estimate

    figure, (axes,) = drawing.panels(1, height=3.2)
    rows = [
        (f"{name}, {kind}", *estimate(found[name][kind])[:3])
        for kind in (HOME, *STRANGE)
        for name in (EXPLICIT, IMPLICIT)
    ]
    drawing.forest(axes, rows, references=[None] * len(rows), label="accuracy")
    axes.set_title("Who ranks strange pairs right", loc="left")
    return figure


STUDY = Study(
    name="dporm2024",
    paper="Lin et al. 2024, arXiv:2409.03650",
    claim="The reward implicit in a DPO policy ranks pairs like those it learnt from as well as an"
    " explicit reward model, and pairs with other prompts or answers worse.",
    miniature=f"A one-block language model of width {WIDTH} over {VOCABULARY} tokens, tuned to"
    f" preferred answers of {LENGTH}. The prompt's two tokens say which is liked and which not;"
    f" tokens have values, and the two ends of an answer a relation. {PAIRS} noisy pairs; DPO at"
    f" beta {BETA}, or a scalar head, {STEPS} steps of {SIZE}, Adam {RATE}, either at its best of"
    f" {LOOKS} looks at validation pairs from home. Strange: {UNSEEN:.0%} of prompts kept away;"
    " other frequencies of tokens; both.",
    predictions=(
        Prediction(
            quantity=MEAN_GAP,
            low=0.005,
            high=0.07,
            number=0.03,
            no_effect=0.0,
            source="K-high: about 3 points on average, up to 7",
            fixed=MORE,
        ),
    ),
    controls=(
        Prediction(
            quantity=f"EXRM above DPORM, {HOME}",
            low=-0.03,
            high=0.03,
            number=0.0,
            no_effect=0.0,
            source="K-high: equal in distribution",
            fixed=MORE,
        ),
        *(
            Prediction(
                quantity=f"linear, {kind}: EXRM above DPORM",
                low=-0.005,
                high=0.005,
                number=0.0,
                no_effect=0.0,
                source="one class of functions, one loss: the facts' negative control",
            )
            for kind in (HOME, "out of it")
        ),
    ),
    does_not_show=(
        "Answers of the policy being trained, where iterative DPO would use the reward.",
        "Large models, whose language knowledge either reward may draw on.",
        "Other sizes of data, learning rates or betas: one setting, none tuned.",
    ),
    seeds=8,
    quick_seeds=5,
    run=run,
    needs_torch=True,
)
