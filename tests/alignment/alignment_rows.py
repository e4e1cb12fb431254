"""One row a method: a number by hand, the gradient's sign, an invariance, a limit.

`pushes` are the signs of minus the gradient at each response (for methods that read logits, at each
token of each response): +1 where the method makes it likelier.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import exp, log

import alignment_examples as ex
from alignment_examples import (
    LEVELS,
    LIST,
    PAIR,
    REFERENCE_WRONG,
    SHORT,
    STALE,
    SURE,
    TAUGHT,
    numbers,
)

from agents.alignment import pair_losses as pairs
from agents.alignment.batch import Batch


def s(x):
    """The logistic function."""
    return 1 / (1 + exp(-x))


def ls(x):
    """-log s(x)."""
    return log(1 + exp(-x))


def odds(p):
    return p / (1 - p)


UP = (1, -1)
HALF = numbers(0.75).new_tensor(0.5)
ZERO = HALF.new_tensor(0.0)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Settings, memory and batch at which a method is `scale` times another."""

    other: str
    settings: Mapping = field(default_factory=dict)
    others: Mapping = field(default_factory=dict)
    memory: Mapping | None = None
    batch: Batch | None = None
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Row:
    batch: Batch = PAIR
    settings: Mapping = field(default_factory=dict)
    memory: Mapping = field(default_factory=dict)
    loss: float
    pushes: tuple[int, ...] = UP
    leaf: str = "policy"
    same: Callable[[Batch], Batch]
    limit: Limit | None = None


_T = exp(2) + exp(1) + 1

ROWS = {
    "dpo": Row(
        settings={"beta": 0.5},
        loss=ls(1),
        same=ex.easier,
        limit=Limit(other="attenuated", settings={"beta": 0.5}, others={"beta": 0.5, "share": 1.0}),
    ),
    "dpo_norm": Row(
        settings={"beta": 1.0},
        loss=ls(1.5),
        same=ex.doubled,
        limit=Limit(other="dpo", settings={"beta": 0.5}, others={"beta": 0.5}, batch=SHORT),
    ),
    "attenuated": Row(
        settings={"beta": 0.5, "share": 0.5},
        loss=ls(0.5 * (1 + 0.5)),
        same=ex.easier,
        limit=Limit(
            other="cpo_contrastive",
            settings={"beta": 0.5, "share": 0.0},
            others={"beta": 0.5, "alpha": 0.0},
        ),
    ),
    "cdpo": Row(
        settings={"beta": 0.5, "flip_rate": 0.25},
        loss=0.75 * ls(1) + 0.25 * ls(-1),
        same=ex.easier,
        limit=Limit(other="dpo", settings={"beta": 0.5, "flip_rate": 0.0}, others={"beta": 0.5}),
    ),
    "rdpo": Row(
        settings={"beta": 0.5, "flip_rate": 0.25},
        loss=(0.75 * ls(1) - 0.25 * ls(-1)) / 0.5,
        same=ex.easier,
        limit=Limit(other="dpo", settings={"beta": 0.5, "flip_rate": 0.0}, others={"beta": 0.5}),
    ),
    "hinge": Row(settings={"beta": 0.25}, loss=1 - 0.25 * 2, same=ex.rebased),
    "ipo": Row(
        settings={"tau": 0.1},
        loss=(2 - 5) ** 2,
        same=ex.easier,
        limit=Limit(other="online_ipo", settings={"tau": 0.1}, others={"tau": 0.1}, batch=SURE),
    ),
    "discopop": Row(
        settings={"beta": 0.5, "temperature": 1.0},
        loss=s(-1) * ls(1) + s(1) * exp(-1),
        same=ex.easier,
    ),
    "exo": Row(
        settings={"beta": 0.5, "flip_rate": 0.25},
        loss=s(1) * (-ls(1) - log(0.75)) + s(-1) * (-ls(-1) - log(0.25)),
        same=ex.easier,
    ),
    "nca": Row(
        settings={"beta": 0.5},
        loss=ls(0.5) + 0.5 * (ls(-0.5) + ls(0.5)),
        same=ex.rebased,
    ),
    "sppo": Row(settings={"beta": 0.25}, loss=(1 - 2) ** 2 + (-1 + 2) ** 2, same=ex.rebased),
    "aot": Row(
        settings={"beta": 0.5},
        loss=ls(1),
        same=ex.easier,
        limit=Limit(other="dpo", settings={"beta": 0.5}, others={"beta": 0.5}),  # one pair
    ),
    "apo_zero": Row(settings={"beta": 1.0}, loss=(1 - s(1)) + s(-1), same=ex.rebased),
    "apo_down": Row(settings={"beta": 1.0}, loss=s(1) + 1 - s(2), pushes=(-1, -1), same=ex.rebased),
    "npo": Row(settings={"beta": 1.0}, loss=2 * ls(1), pushes=(0, -1), same=ex.other_winner),
    "kto": Row(
        settings={"beta": 1.0},
        loss=0.5 * (1 - s(1 - 0.5)) + 0.5 * (1 - s(0.5 + 1)),
        same=ex.rebased,
        limit=Limit(
            other="apo_zero", settings={"beta": 1.0}, others={"beta": 1.0}, batch=SHORT, scale=0.5
        ),
    ),
    "bco": Row(
        settings={"beta": 1.0},
        memory={"origin": HALF, "seen": HALF * 4},
        # two answers so far at 0.5, these two at 1 and -1: the mean is 0.25
        loss=ls(1 - 0.25) + ls(1 + 0.25),
        same=ex.rebased,
    ),
    "sft": Row(
        loss=1,
        pushes=(1, 0),
        same=ex.other_reference,
        limit=Limit(other="orpo", others={"beta": 0.0}),
    ),
    "cpo_contrastive": Row(
        settings={"beta": 0.5, "alpha": 1.0},
        loss=ls(0.5) + 1,
        same=ex.other_reference,
        limit=Limit(
            other="power",
            settings={"beta": 0.5, "alpha": 0.0},
            others={"beta": 0.5, "eta": 0.0, "length_power": 0.0},
        ),
    ),
    "simpo": Row(
        settings={"beta": 1.0, "gamma": 0.5},
        loss=ls(2 - 0.5),
        same=ex.doubled,
        limit=Limit(
            other="cpo_contrastive",
            settings={"beta": 0.5, "gamma": 0.0},
            others={"beta": 0.5, "alpha": 0.0},
            batch=SHORT,
        ),
    ),
    "orpo": Row(
        settings={"beta": 0.5},
        loss=0.5 * ls(log(odds(exp(-1)) / odds(exp(-3)))) + 1,
        same=ex.doubled,
    ),
    "power": Row(
        settings={"beta": 1.0, "eta": 0.5, "length_power": 1.0},
        loss=ls((-2 + 1) / 2 - (-3 + 1)) + 0.5 * 2 / 2,
        same=ex.other_reference,
        limit=Limit(
            other="attenuated",
            settings={"beta": 0.5, "eta": 0.0, "length_power": 0.0},
            others={"beta": 0.5, "share": 0.0},
        ),
    ),
    "cpo_constrained": Row(
        settings={"beta": 1.0, "alpha": 1.0, "gamma": 0.5, "tau": 2.0},
        loss=ls(1.5 - log(2) / 2),
        same=ex.doubled,
        limit=Limit(other="dpo_norm", settings={"beta": 1.0, "gamma": -1e3}, others={"beta": 1.0}),
    ),
    "cpo_clip": Row(
        batch=REFERENCE_WRONG,
        settings={"beta": 1.0},
        loss=ls(2),  # of d = 2 alone: that the reference ranks wrongly is no credit
        same=ex.doubled,
        limit=Limit(other="dpo_norm", settings={"beta": 1.0}, others={"beta": 1.0}, batch=PAIR),
    ),
    "cpo_easy": Row(
        settings={"beta": 1.0, "gamma": 0.6},
        loss=ls(1.5 + 0.6 / 1.5 + 0.6 / 2),
        same=ex.doubled,
        limit=Limit(other="dpo_norm", settings={"beta": 1.0, "gamma": 0.0}, others={"beta": 1.0}),
    ),
    "rpo": Row(
        settings={"beta": 0.5, "eta": 0.1},
        loss=ls(1) + 0.1 * 0.5 * 2,
        same=ex.easier_for_reference,
        limit=Limit(other="dpo", settings={"beta": 0.5, "eta": 0.0}, others={"beta": 0.5}),
    ),
    "ra_dpo": Row(
        settings={"beta": 0.5},
        loss=(ls(1) + ls(-1)) / 2,
        same=Batch.swapped,  # the pair asked for either score: no answer is the loser
    ),
    "osp": Row(
        settings={"beta": 0.5},
        loss=0.75 * ls(1) + 0.25 * ls(-1),
        same=Batch.swapped,
        limit=Limit(other="dpo", settings={"beta": 0.5}, others={"beta": 0.5}, batch=SURE),
    ),
    "repo": Row(
        settings={"base": partial(pairs.dpo, beta=0.5)},
        memory={"reliability": numbers(0.75)},
        # the label's odds: e by the policy, 3 by its annotator
        loss=(3 * exp(1) * ls(1) + ls(-1)) / (3 * exp(1) + 1),
        same=ex.easier,
        limit=Limit(
            other="dpo",
            settings={"base": partial(pairs.dpo, beta=0.5)},
            others={"beta": 0.5},
            memory={"reliability": numbers(1.0)},
        ),
    ),
    "power_dl": Row(
        settings={"beta": 1.0, "eta": 0.5, "length_power": 1.0},
        memory={"labels": numbers(0.9)},
        loss=0.9 * ls(1.5) + 0.1 * ls(-1.5) + 0.5,
        same=ex.other_reference,
        limit=Limit(
            other="power",
            settings={"beta": 1.0, "eta": 0.5},
            others={"beta": 1.0, "eta": 0.5},
            memory={"labels": numbers(1.0)},
        ),
    ),
    "online_ipo": Row(
        settings={"tau": 0.1},
        loss=0.75 * (2 - 5) ** 2 + 0.25 * (2 + 5) ** 2,
        same=Batch.swapped,
        limit=Limit(other="ipo", settings={"tau": 0.1}, others={"tau": 0.1}, batch=SURE),
    ),
    "ipo_md": Row(
        settings={"tau": 0.25},
        loss=0.75 * (2 - 2) ** 2 + 0.25 * (2 + 2) ** 2,
        pushes=(-1, 1),  # the stationary margin is (2 P - 1) / (2 tau) = 1
        same=Batch.swapped,
        limit=Limit(other="ipo", settings={"tau": 0.1}, others={"tau": 0.1}, batch=SURE),
    ),
    "nash_md": Row(
        settings={"tau": 0.1},
        loss=-(0.75 - 0.5) * -2 + 0.1 * 1 * -2,
        pushes=(1, 0),
        same=ex.other_loser,
    ),
    "inpo": Row(
        settings={"eta": 0.5, "tau": 0.25},
        loss=(1 + 0.5 - 1) ** 2,
        pushes=(-1, 1),
        same=ex.rebased,
        limit=Limit(other="ipo", settings={"eta": 0.1, "tau": 0.1}, others={"tau": 0.1}),
    ),
    "mnpo": Row(
        settings={"share": 0.5, "eta": 0.25, "past": (1.0,)},
        loss=(1 + 0.5 - 2) ** 2,
        same=ex.rebased,
        limit=Limit(
            other="ipo",
            settings={"share": 1.0, "eta": 0.1, "past": (1.0,)},
            others={"tau": 0.1},
        ),
    ),
    "all_pairs": Row(
        batch=LIST,
        settings={"beta": 1.0},
        loss=ls(1) + ls(1) + ls(2),
        pushes=(1, 0, -1),
        same=ex.reordered,
        limit=Limit(other="dpo", settings={"beta": 0.5}, others={"beta": 0.5}, batch=PAIR),
    ),
    "lipo_lambda": Row(
        batch=LIST,
        settings={"beta": 1.0},
        loss=2 * (1 / log(2) - 1 / log(3)) * ls(1)
        + 3 * (1 / log(2) - 1 / log(4)) * ls(2)
        + 1 * (1 / log(3) - 1 / log(4)) * ls(1),
        pushes=(1, -1, -1),
        same=ex.reordered,
        # one gain, and the two discounts of a pair
        limit=Limit(
            other="dpo",
            settings={"beta": 0.5},
            others={"beta": 0.5},
            batch=PAIR,
            scale=1 / log(2) - 1 / log(3),
        ),
    ),
    "listmle": Row(
        batch=LIST,
        settings={"beta": 1.0},
        loss=log(1 + exp(-1) + exp(-2)) + log(1 + exp(-1)),
        pushes=(1, 1, -1),
        same=ex.reordered,
        limit=Limit(other="dpo", settings={"beta": 0.5}, others={"beta": 0.5}, batch=PAIR),
    ),
    "softmax": Row(
        batch=LIST,
        settings={"beta": 0.5},
        loss=log(exp(0.5) + 1 + exp(-0.5)) - 0.5 * exp(2) / _T + 0.5 / _T,
        pushes=(1, -1, -1),
        same=ex.easier,
    ),
    "pro": Row(
        batch=LIST,
        settings={"sft": 0.05},
        # exp(2 * -1) against exp(1 * -2) and exp(2 * -3), then exp(1 * -2) against exp(1 * -3)
        loss=log(2 + exp(-4)) + log(1 + exp(-1)) + 0.05 * 2**2 * 1,
        pushes=(1, -1, -1),
        same=ex.reordered,
        limit=Limit(
            other="simpo", settings={"sft": 0.0}, others={"beta": 1.0, "gamma": 0.0}, batch=PAIR
        ),
    ),
    "trpa": Row(
        batch=LEVELS,
        settings={"beta": 1.0, "kl": 0.5},
        loss=(ls(2.5 * 1) + ls(2.5 * 2)) / 2 + 0.5 * (1 / 1.1 + log(1.1) - 1) / 3,
        pushes=(1, -1, -1),
        same=ex.reordered,
        limit=Limit(
            other="dpo_norm",
            settings={"beta": 0.5, "emphasis": 1.0},
            others={"beta": 0.5},
            batch=SHORT,
        ),
    ),
    "copg": Row(
        batch=LIST,
        settings={"beta": 2.0},
        loss=0.5 * 2 * ((1 - 0.5) ** 2 + (2 - 1) ** 2 + (1 - 0.5) ** 2) / 3,
        pushes=(-1, 0, 1),  # the log-ratios are twice as far apart as rewards / beta
        same=ex.richer,
        limit=Limit(
            other="ipo", settings={"beta": 0.2}, others={"tau": 0.1}, batch=PAIR, scale=0.1
        ),
    ),
    "reinforce": Row(
        batch=LIST,
        settings={"beta": 0.0},
        loss=-(2 * -1 + 1 * -2 + 0 * -3) / 3,
        pushes=(1, 1, 0),
        same=ex.other_reference,
        limit=Limit(
            other="rloo",
            settings={"beta": 0.5},
            others={"beta": 0.5},
            # rewards and log-ratios that already average to zero
            batch=ex.replace(LIST, scores=numbers([1.0, 0.0, -1.0])),
            scale=2 / 3,
        ),
    ),
    "rloo": Row(
        batch=LIST,
        settings={"beta": 0.0},
        loss=-(1.5 * -1 + 0 * -2 - 1.5 * -3) / 3,
        pushes=(1, 0, -1),
        same=ex.richer,
    ),
    "maxmin": Row(
        batch=LIST,
        settings={"beta": 0.0},
        # the second group is worse off, and likes the third answer
        loss=-(-0.5 * -1 - 0.5 * -2 + 1 * -3) / 3,
        pushes=(-1, -1, 1),
        same=ex.richer,
        limit=Limit(
            other="rloo",
            settings={"beta": 0.5},
            others={"beta": 0.5},
            batch=ex.replace(LIST, objectives=LIST.scores.unsqueeze(0)),
        ),
    ),
    "grpo": Row(
        batch=STALE,
        settings={"floor": 0.0, "beta": 0.5},
        # the reference's log-odds are -1, 0 and 1: exp(a) - a - 1 is 1 / e, 0 and e - 2
        loss=-(1.1 * 1 + 1 * 0 + 1 * -1) / 3 + 0.5 * (exp(-1) + exp(1) - 2) / 3,
        pushes=(1, 0, -1),
        same=ex.in_cents,
        limit=Limit(
            other="r2vpo",
            settings={"floor": 0.0, "clip": 9.0},
            others={"floor": 0.0},
            memory={"price": ZERO},
        ),
    ),
    "gspo": Row(
        batch=STALE,
        settings={"floor": 0.0, "clip": 0.2},
        loss=-(1.1 * 1 + 1 * 0 + 1 * -1) / 3,
        pushes=(1, 0, -1),
        same=ex.in_cents,
        limit=Limit(
            other="grpo", settings={"floor": 0.0, "clip": 0.05}, others={"floor": 0.0, "clip": 0.05}
        ),  # one token; the first ratio is clipped in both
    ),
    "r2vpo": Row(
        batch=STALE,
        settings={"floor": 0.0},
        memory={"price": HALF},
        loss=(-1.1 + 0.5 * 0.1**2 - 0 + 1) / 3,
        pushes=(1, 0, -1),
        same=ex.in_cents,
    ),
    "dckd": Row(
        batch=TAUGHT,
        loss=2 * (0.75 * log(1.5) + 0.25 * log(0.5)) + log(2),
        leaf="logits",
        pushes=(1, -1, 1, -1),
        same=ex.higher_logits,
    ),
    "adpa": Row(
        batch=TAUGHT,
        settings={"count": 1},
        loss=-0.5 * log(1.5) + log(2),
        leaf="logits",
        pushes=(0, 0, 1, -1),
        same=ex.higher_logits,
    ),
    "opd": Row(
        batch=TAUGHT,
        settings={"count": 2},
        loss=0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25),
        leaf="logits",
        pushes=(1, -1, 1, -1),
        same=ex.higher_logits,
    ),
    "kepo": Row(
        batch=TAUGHT,
        settings={"floor": 0.0},
        # opposite advantages cancel; only the first answer succeeded; the mixture is .625, .375
        loss=0.5 * 0.5 * (0.75 * log(1.2) + 0.25 * log(2 / 3) + 0.5 * log(0.8) + 0.5 * log(4 / 3)),
        leaf="logits",
        pushes=(1, -1, 0, 0),
        same=ex.higher_logits,
    ),
}
"""Settings not named here are the table's."""
