"""A budget that many requests at once cannot overdraw.

Before a request is sent the most it can cost is set aside; what the server counted is booked after.
A request that fits only if others cost less than set aside waits until they have. So what is spent
passes the budget at most by what the servers count beyond the estimates of those in flight: nothing
where a token is at least one byte of the prompt and completions keep to `max_tokens`. Attempts that
failed are not booked, for nobody says what they cost.
"""

import asyncio
import math
from typing import NamedTuple

from agents.language.desk.prices import Price, Spent
from agents.language.exchange import Reply, Request

MESSAGE_TOKENS = 16  # what a chat template puts around one message


class BudgetSpentError(Exception):
    """The budget allows no further request; a run stops here and goes on with a larger one."""


class Budget(NamedTuple):
    """The most an experiment may cost, in tokens (prompt and completion) and in money."""

    tokens: float = math.inf
    money: float = math.inf


UNLIMITED = Budget()


class Estimate(NamedTuple):
    """The most that one request can cost."""

    tokens: float
    money: float


def most(request: Request, price: Price) -> Estimate:
    """The most that `request` can cost: every byte a token, every token of the answer used."""
    prompt = sum(len(m.content.encode()) + MESSAGE_TOKENS for m in request.messages)
    return Estimate(prompt + request.max_tokens, price.of(prompt, request.max_tokens))


class Purse:
    """What has been spent, and what is set aside for requests on their way."""

    def __init__(self, budget: Budget, spent: Spent) -> None:
        self.budget = budget
        self.spent = spent
        self.limited = min(budget) < math.inf
        self._aside = Estimate(0.0, 0.0)
        self._waiting: set[asyncio.Future[None]] = set()
        self._over: str | None = None

    async def set_aside(self, estimate: Estimate) -> None:
        """Wait until `estimate` fits; `BudgetSpentError` as soon as it cannot any more."""
        while not self._fits(estimate, self._aside):
            if not self._fits(estimate, Estimate(0.0, 0.0)):
                self._over = self._over or self._message()
                self._wake()
            if self._over is not None:
                raise BudgetSpentError(self._over)
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                self._waiting.discard(waiting)
        self._add(estimate, 1)

    def take_back(self, estimate: Estimate) -> None:
        """Undo `set_aside`."""
        self._add(estimate, -1)
        self._wake()

    def book(self, reply: Reply, price: Price) -> None:
        """Count what was answered."""
        self.spent = self.spent.plus(reply, price)

    def _fits(self, estimate: Estimate, aside: Estimate) -> bool:
        return (
            self._over is None
            and self.spent.tokens + aside.tokens + estimate.tokens <= self.budget.tokens
            and self.spent.money + aside.money + estimate.money <= self.budget.money
        )

    def _add(self, estimate: Estimate, sign: int) -> None:
        self._aside = Estimate(
            self._aside.tokens + sign * estimate.tokens, self._aside.money + sign * estimate.money
        )

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def _message(self) -> str:
        parts = [
            f"{spent:,.{digits}f} of {limit:,.{digits}f} {unit}"
            for spent, limit, unit, digits in (
                (self.spent.tokens, self.budget.tokens, "tokens", 0),
                (self.spent.money, self.budget.money, "money", 2),
            )
            if limit < math.inf
        ]
        return (
            f"the budget is spent: {', '.join(parts)}, and the next request might pass it\n"
            "  raise `budget` and run again: it goes on where it stopped and asks nothing twice"
        )
