"""A quantity market in words: what one firm is told before the first round and after each.

As in Lin et al. 2024 (arXiv:2410.00031, section 3): its own costs, and of every round the prices,
its own quantities, shares and profits. Not how many rivals there are, what they earn, or demand.

Shapes: N firms, G goods.
"""

from collections.abc import Mapping
from string import ascii_uppercase

from environments.contract import Record, Words

SETTING = (
    "Once a round, every firm decides how many units of {goods} to bring to market. All units of "
    "{each} sell at one price, which falls as more of it is brought to market in all. Every unit "
    "costs you what is stated below; at a lower price it is sold at a loss. {costs}Nothing can be "
    "stored for a later round, and capacity may be left idle. A share is your part of all units of "
    "{each} in that round."
)
VARYING = "Costs vary from round to round around the stated ones. "


def words(
    seat: int, costs: tuple[float, ...], *, capacity: float, costs_vary: bool = False
) -> Words:
    """The market of a firm with unit `costs` [G].

    Where `costs_vary` a round's profit cannot be split between the goods, so only the sum is told.
    """
    goods = _names(len(costs))
    priced, sold, held, earned = (
        [f"{what}_{good}" for good in goods] for what in ("price", "quantity", "share", "profit")
    )
    splits = len(goods) > 1 and not costs_vary

    def told(record: Record) -> Mapping[str, float]:
        prices = record["prices"].tolist()
        quantities = record["quantities"].tolist()
        own = quantities[seat]
        offered = [sum(column) for column in zip(*quantities, strict=True)]
        shares = [mine / all_ if all_ > 0 else 0.0 for mine, all_ in zip(own, offered, strict=True)]
        numbers = dict(zip(priced + sold + held, prices + own + shares, strict=True))
        if splits:
            margins = zip(earned, prices, costs, own, strict=True)
            numbers |= {name: (price - cost) * mine for name, price, cost, mine in margins}
        numbers["profit"] = float(record["profits"][seat])
        return numbers

    several = len(goods) > 1
    listed = f"{', '.join(goods[:-1])} and {goods[-1]}"
    setting = SETTING.format(
        goods=f"each of the goods {listed}" if several else "one good",
        each="a good" if several else "the good",
        costs=VARYING if costs_vary else "",
    )
    terms = {f"cost_{good}": cost for good, cost in zip(goods, costs, strict=True)}
    return Words(setting, tuple(sold), terms | {"capacity": capacity}, told)


def _names(goods: int) -> list[str]:
    """A, B, C ..., or numbers where the alphabet ends."""
    return [
        ascii_uppercase[good] if goods <= len(ascii_uppercase) else str(good + 1)
        for good in range(goods)
    ]
