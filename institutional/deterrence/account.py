"""The deterrence account: whether it pays to collude under a graph, and how one would.

A coordinated cartel chooses every round among Nash play, the plans of the market and, for each plan
that the graph notices, parking: the largest share of the way from Nash to the plan that stays
without consequence when it is repeated. The best choice in every standing is found exactly, by
dynamic programming over the real oracle and controller (`product`, `plan`).

Not here: cheating inside the cartel, shocks, agents that alternate with each other, and parking at
other shares than the largest quiet one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agents.scripted.evaders import largest_quiet_share
from environments.contract import Core
from institutional.deterrence import market
from institutional.deterrence.market import COMPLY, Need, Rent
from institutional.deterrence.plan import TIE, Walk, best_policy, constant, walk
from institutional.deterrence.product import Product, explore
from institutional.episode import Table
from institutional.errors import InstitutionalError
from institutional.governance.loading import LoadedGraph
from institutional.governance.program import Array, Program

DISCOUNT = 0.95
NEGLIGIBLE_SHARE = 0.05
"""Evasions that bring less than this share of the largest rent count as deterred."""


class Evasion(NamedTuple):
    """A way of playing under the institution and what it brings."""

    walk: Walk
    gain: float  # money per round and agent over Nash, in the cycle it settles in
    discounted_gain: float  # the constant gain per round that is worth the same from the start


@dataclass(frozen=True)
class Account:
    """Everything `graph deter` says, apart from what changes would do."""

    program: Program
    discount: float
    nash_profit: float  # mean over agents
    rents: list[Rent]
    needs: list[Need]
    quiet_shares: dict[str, float]  # per distinct plan with a rent; 1: the graph never notices it
    compliance: Evasion  # Nash play for ever; its gain is 0 where it is left alone
    permanent: dict[str, Evasion]  # each of those plans played for ever, whatever happens
    best: Evasion
    without_parking: Evasion  # best without parked plans: the graph's thresholds at full scale
    noticed_only: Evasion  # best with plans alone that the graph notices when they are permanent
    actions: dict[str, Array]  # joint actions [N, A] of every plan in the walks
    standings: int  # size of the product that was searched
    bounded: bool

    @property
    def largest_rent(self) -> float:
        """The rent of the best plan."""
        return max(rent.rent for rent in self.rents)

    @property
    def exploitability(self) -> float:
        """Gain per round and agent of the best evasion over Nash."""
        return self.best.gain

    @property
    def pays(self) -> bool:
        """Whether the best evasion brings more than a negligible share of the largest rent."""
        return matters(self.exploitability, self.largest_rent)

    @property
    def spares_nash(self) -> bool:
        """Whether Nash play keeps its profit; otherwise it is punished for what nobody did."""
        return is_spared(self.compliance, self.nash_profit)

    @property
    def noticed(self) -> list[str]:
        """Plans that bring consequences when they are repeated."""
        return [plan for plan, share in self.quiet_shares.items() if share < 1]


def account(loaded: LoadedGraph, core: Core, *, discount: float = DISCOUNT) -> Account:
    """Weigh the institution `loaded` in the market `core` for a cartel of this patience.

    Raises InstitutionalError where they do not fit, where audits are by lot, where no plan pays
    even without the institution, or for a discount factor outside (0, 1).
    """
    if not 0 < discount < 1:
        raise InstitutionalError(f"--discount {discount} is out of range: choose it in (0, 1)")
    loaded.certain("the account of a cartel's gains")
    if loaded.graph.detection.audit_share < 1:
        raise InstitutionalError(
            f"{loaded.document.path}: audits by lot are not reckoned with; the account is for "
            "certain detection\n  set audit_share to 1 and divide the fines by the share for a "
            "risk-neutral cartel"
        )
    table = Table(core, loaded)
    program = table.program
    assert program is not None  # noqa: S101 - a table with a graph has a program
    rents = market.rents(core)
    actions, shares = cartel_plans(table)
    plans = {plan: actions[plan] for plan in (COMPLY, *shares)}
    nash = actions[COMPLY]
    product = explore(program, core, actions)
    profit = float(market.profits(core, nash).mean())
    noticed = [COMPLY, *(plan for plan, share in shares.items() if share < 1)]

    def best(allowed: Sequence[str]) -> Evasion:
        return evasion(product, allowed, nash=profit, discount=discount)

    return Account(
        program=program,
        discount=discount,
        nash_profit=profit,
        rents=rents,
        needs=[need for rent in rents for need in market.needs(program, core, rent)],
        quiet_shares=shares,
        compliance=permanent(product, COMPLY, nash=profit, discount=discount),
        permanent={
            plan: permanent(product, plan, nash=profit, discount=discount) for plan in shares
        },
        best=best(list(actions)),
        without_parking=best(list(plans)),
        noticed_only=best(noticed),
        actions=actions,
        standings=len(product.reward),
        bounded=product.bounded,
    )


def cartel_plans(table: Table) -> tuple[dict[str, Array], dict[str, float]]:
    """What a cartel chooses among, and how far each plan that pays goes unnoticed.

    Joint actions [N, A] by name, Nash play first, then the plans, then each that is noticed parked
    at its largest quiet share. Raises InstitutionalError where no plan pays more than Nash play.
    """
    core, graph = table.core, table.briefing(0).graph
    paying = [rent.plan for rent in market.rents(core) if rent.rent > 0]
    if not paying:
        raise InstitutionalError(
            f"no plan pays more than Nash play in this {core.name} market: nothing is to be "
            "deterred\n  name an environment in which collusion pays"
        )
    everything = market.agreements(core)
    nash = core.benchmarks()[COMPLY].actions
    plans = market.distinct({COMPLY: nash} | {plan: everything[plan] for plan in paying})
    shares = {
        plan: largest_quiet_share(graph, nash, actions)
        for plan, actions in plans.items()
        if plan != COMPLY
    }
    parked = {
        parking(plan): nash + share * (plans[plan] - nash)
        for plan, share in shares.items()
        if 0 < share < 1
    }
    return market.distinct(plans | parked), shares


def evasion(product: Product, allowed: Sequence[str], *, nash: float, discount: float) -> Evasion:
    """The best way of playing with the plans `allowed`, the first of them Nash play.

    Where one plan for ever is worth as much, it is preferred to anything more elaborate.
    """
    policies = [constant(product, plan) for plan in allowed]
    policies.append(best_policy(product, allowed, discount=discount))
    walks = [walk(product, policy, discount=discount) for policy in policies]
    good_enough = walks[-1].discounted - TIE * float(abs(product.reward).max())
    return _gained(next(found for found in walks if found.discounted >= good_enough), nash)


def parking(plan: str) -> str:
    """What a parked plan is called."""
    return f"park_{plan}"


def matters(gain: float, rent: float) -> bool:
    """Whether a gain is more than a negligible share of the rent."""
    return gain >= NEGLIGIBLE_SHARE * rent


def is_spared(compliance: Evasion, nash: float) -> bool:
    """Whether Nash play for ever brings what it brings without an institution."""
    return compliance.gain >= -TIE * abs(nash)


def permanent(product: Product, plan: str, *, nash: float, discount: float) -> Evasion:
    """`plan` played for ever, whatever happens."""
    return _gained(walk(product, constant(product, plan), discount=discount), nash)


def _gained(found: Walk, nash: float) -> Evasion:
    return Evasion(found, found.mean - nash, found.discounted - nash)
