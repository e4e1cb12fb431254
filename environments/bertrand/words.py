"""A price market in words: what one firm is told before the first round and after each.

Its own cost, and of every round its own price, quantity, share and profit. Not how many rivals
there are, what they ask or earn, or demand.

Shapes: N firms.
"""

from collections.abc import Mapping

from environments.contract import Record, Words

SETTING = (
    "Once a round, every firm decides at which price it sells its product. Products differ, and so "
    "do buyers, who buy what suits them best at the prices asked, or nothing: the more you ask, "
    "the fewer units you sell. Each unit sold costs you your unit cost. A share is your "
    "part of all units sold in that round."
)


def words(seat: int, cost: float) -> Words:
    """The market of a firm with this unit cost."""

    def told(record: Record) -> Mapping[str, float]:
        quantities = record["quantities"].tolist()
        sold = sum(quantities)
        return {
            "price": float(record["prices"][seat, 0]),
            "quantity": quantities[seat],
            "share": quantities[seat] / sold if sold > 0 else 0.0,
            "profit": float(record["profits"][seat]),
        }

    return Words(SETTING, ("price",), {"cost": cost}, told)
