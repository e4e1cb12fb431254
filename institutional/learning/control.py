"""The same fines on other occasions: what an institution does beyond taking money.

Fines that hang on conduct can deter; money that is taken whatever a firm does can only tax, and
disturb: it reaches a learner as noise in what its actions earned. Three controls, each an
institution like any other, so that the same engine plays them:

lottery     each firm in each round is fined with the share of firm-rounds that the institution
            fined while sessions learnt, and with its mean fine, by lot: a random audit of evidence
            that always holds
tax         the product of the two, in every round
wrong_firm  everything the institution decides about one firm falls upon the one before it
            (firm 2's career, fines and all, on firm 1, firm 1's on the last)

Becker 1968, JPE 76(2): what deters is the difference that conduct makes to the expected fine.
"""

from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from institutional.governance.loading import LoadedGraph, parse_graph
from institutional.learning.plan import Control, Setting, govern
from institutional.learning.tables import GovernedGame

Values = TypeVar("Values", bound=NDArray[Any])

_BY_LOT = """\
format: institutional.graph/1
name: by_lot
title: The same fine by lot
source: a control arm
environment: {environment}
initial: free
states: {{free: {{status: clear, meaning: may be fined by lot}}}}
evidence:
  always: {{meaning: holds in every round, when: {{signal: profit, above: -1.0e+15}}}}
norms:
  L1:
    who: every firm
    deontic: may
    aim: be fined
    object: by lot
    condition: in any round
    or_else: [fine]
    breached_by: always
edges:
  - id: fine
    from: free
    to: free
    when: [{{case: L1}}]
    sanction: {{fine: {{rates: [0.0], of: profit, floor: {fine!r}}}}}
detection: {{audit_share: {chance!r}}}
send_notices: false
"""


class Burden(NamedTuple):
    """How often an institution fined one firm in one round of learning, and how much."""

    chance: float
    fine: float  # money


def by_lot(burden: Burden, environment: str) -> LoadedGraph:
    """The graph that fines with the chance and the size of `burden`, blind to conduct."""
    text = _BY_LOT.format(environment=environment, chance=burden.chance, fine=burden.fine)
    return parse_graph(text.encode(), "by_lot")


def controlled(
    control: Control, setting: Setting, governed: GovernedGame, burden: Burden
) -> GovernedGame:
    """The control arm of `governed`, whose fines came to `burden`."""
    if control == "wrong_firm":
        return _moved_on(governed)
    if control == "tax":
        burden = Burden(1.0, burden.chance * burden.fine)
    return govern(setting, by_lot(burden, setting.core.name))


def _moved_on(governed: GovernedGame) -> GovernedGame:
    """Every firm is judged, and its fines measured, by what the next one did."""
    law = governed.law
    moved = law._replace(
        alone=_rolled(law.alone), paired=_rolled(law.paired), bases=_rolled(law.bases)
    )
    return replace(governed, law=moved)


def _rolled(values: Values) -> Values:
    """`values` [..., N] with every agent's taken from the next agent."""
    return np.ascontiguousarray(np.roll(values, -1, axis=-1))  # type: ignore[return-value]
