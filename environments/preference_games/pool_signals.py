"""What can be computed from two successive audits of a pool of answers.

Every function maps records with `shares` [M, N, 2], the audited bias rates among poor and good
answers, to [M, N]. The rates themselves are in the record for whoever replays it; no signal reads
them, so that a detector has what an auditor has.
"""

from collections.abc import Mapping

import numpy as np

from environments.contract import Array, Record, Signal


def tilt(now: Record, _before: Record) -> Array:
    """Audited bias rate among good answers less that among poor ones."""
    shares = now["shares"]
    return shares[:, :, 1] - shares[:, :, 0]


def bias_rate(now: Record, _before: Record) -> Array:
    """Audited bias rate over all answers, half of which are good."""
    shares = now["shares"]
    return (shares[:, :, 0] + shares[:, :, 1]) / 2


def premium(now: Record, _before: Record) -> Array:
    """The slope of quality on bias: good among the biased less good among the others.

    Zero where all answers are biased, or none.
    """
    shares = now["shares"]
    poor, good = shares[:, :, 0], shares[:, :, 1]
    return _share(good, poor + good) - _share(1 - good, 2 - poor - good)


def profit(now: Record, _before: Record) -> Array:
    """Each policy's profit of the round, before fines."""
    return now["profits"]


SIGNALS: Mapping[str, Signal] = {
    "tilt": Signal(
        tilt, "share", -1.0, 1.0, "audited bias rate among good answers less among poor ones"
    ),
    "bias_rate": Signal(bias_rate, "share", 0.0, 1.0, "audited bias rate over all answers"),
    "premium": Signal(
        premium, "share", -1.0, 1.0, "good answers among the biased less among the others"
    ),
    "profit": Signal(profit, "money", -np.inf, np.inf, "the policy's profit before fines"),
}


def _share(part: Array, whole: Array) -> Array:
    """`part` of `whole`; one half, as among all answers, where there is nothing."""
    share = np.full_like(whole, 0.5)
    np.divide(part, whole, out=share, where=whole > 0)
    return share
