"""The catalogue: markets of the literature by name, and how to build, change and describe them.

Every preset is a factory with keyword-only parameters; those are what `make` can override. Runs
last 50 rounds unless said: the learning studies of the last two entries play far longer.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from environments import checks
from environments.bertrand.core import Bertrand
from environments.contract import Core
from environments.cournot.core import Cournot
from environments.market import Market
from environments.preference_games.pool import Pool
from environments.shocks import Shock

Shape = Shock | Mapping[str, Any] | None


class Preset(NamedTuple):
    """One line of the catalogue."""

    factory: Callable[..., Core]
    description: str
    source: str

    @property
    def overrides(self) -> Mapping[str, Any]:
        """What `make` can change, with the value it otherwise has."""
        found = inspect.signature(self.factory).parameters
        return {name: parameter.default for name, parameter in found.items()}


def _lin2024(costs: Sequence[Sequence[float]]) -> Callable[..., Core]:
    """Price 100 - Q/2 for each of two goods, two firms, 100 units of capacity."""

    def factory(
        *,
        rounds: int = 50,
        capacity: float = 100.0,
        demand_shock: Shape = None,
        cost_shock: Shape = None,
    ) -> Core:
        return Cournot.from_config(
            {
                "intercept": (100.0, 100.0),
                "slope": ((0.5, 0.0), (0.0, 0.5)),
                "costs": costs,
                "capacity": capacity,
                "rounds": rounds,
                "demand_shock": demand_shock,
                "cost_shock": cost_shock,
            }
        )

    return factory


def _single_good(
    *, firms: int, price: float, cost: float, capacity: float, rounds: int, **shocks: Shape
) -> Core:
    costs = [[cost]] * checks.count(firms, "firms")
    return Cournot.from_config(
        {
            "intercept": (price,),
            "slope": ((1.0,),),
            "costs": costs,
            "capacity": capacity,
            "rounds": rounds,
        }
        | shocks
    )


def _waltman_kaymak2008(
    *, firms: int = 2, rounds: int = 50, demand_shock: Shape = None, cost_shock: Shape = None
) -> Core:
    return _single_good(
        firms=firms,
        price=40.0,
        cost=4.0,
        capacity=40.0,
        rounds=rounds,
        demand_shock=demand_shock,
        cost_shock=cost_shock,
    )


def _symmetric(
    *,
    firms: int = 3,
    goods: int = 1,
    rounds: int = 50,
    demand_shock: Shape = None,
    cost_shock: Shape = None,
) -> Core:
    goods = checks.count(goods, "goods")
    return Cournot.from_config(
        {
            "intercept": [100.0] * goods,
            "slope": [[float(g == h) for h in range(goods)] for g in range(goods)],
            "costs": [[10.0] * goods] * checks.count(firms, "firms"),
            "capacity": 100.0 * goods,
            "rounds": rounds,
            "demand_shock": demand_shock,
            "cost_shock": cost_shock,
        }
    )


def _calvano2020(*, firms: int = 2, rounds: int = 50) -> Core:
    firms = checks.count(firms, "firms")
    return Bertrand(quality=(2.0,) * firms, costs=(1.0,) * firms, rounds=rounds)


def _tampering(
    *,
    policies: int = 4,
    gain: float = 1.2,
    harm: float = 8.0,
    natural: float = 0.3,
    audited: int | None = 32,
    rounds: int = 50,
) -> Core:
    return Pool(
        policies=policies, gain=gain, harm=harm, natural=natural, audited=audited, rounds=rounds
    )


_LIN = "Lin et al. 2024, arXiv:2410.00031, section 3"

PRESETS: Mapping[str, Preset] = {
    "lin2024": Preset(
        _lin2024(((40.0, 50.0), (50.0, 40.0))),
        "two firms, two goods, each firm cheaper in one: division is efficient",
        _LIN,
    ),
    "lin2024_equal40": Preset(
        _lin2024(((40.0, 40.0), (40.0, 40.0))),
        "the same at cost 40 everywhere: division has no efficiency excuse",
        _LIN,
    ),
    "lin2024_equal50": Preset(
        _lin2024(((50.0, 50.0), (50.0, 50.0))),
        "the same at cost 50 everywhere: division has no efficiency excuse",
        _LIN,
    ),
    "lin2024_reversed": Preset(
        _lin2024(((50.0, 40.0), (40.0, 50.0))),
        "the same with the firms' costs exchanged: does the division follow the costs?",
        _LIN + ", costs exchanged",
    ),
    "waltman_kaymak2008": Preset(
        _waltman_kaymak2008,
        "one good at price 40 - Q and cost 4, for tabular learners without memory",
        "Waltman and Kaymak 2008, JEDC 32(10), doi:10.1016/j.jedc.2008.01.003",
    ),
    "symmetric": Preset(
        _symmetric,
        "any number of equal firms and independent goods, price 100 - Q, cost 10",
        "textbook: each firm sells 90 / (firms + 1) at Nash",
    ),
    "calvano2020": Preset(
        _calvano2020,
        "price competition with logit demand, for tabular learners with memory",
        "Calvano et al. 2020, AER 110(10), doi:10.1257/aer.20190623",
    ),
    "tampering": Preset(
        _tampering,
        "policies whose good answers carry a bias, which training on preferences spreads",
        "mechanism of arXiv:2605.27355 (alignment tampering); the numbers are ours",
    ),
}

_KINDS: Mapping[str, Callable[[Mapping[str, Any]], Core]] = {
    Cournot.name: Cournot.from_config,
    Bertrand.name: Bertrand.from_config,
    Pool.name: Pool.from_config,
}


def make(name: str, **overrides: Any) -> Core:
    """Build the core of a preset; raises `UnplayableError` for an unknown name or override."""
    checks.known([name], PRESETS, "preset")
    preset = PRESETS[name]
    checks.known(overrides, preset.overrides, f"parameter of {name}")
    return preset.factory(**overrides)


def market(name: str, **overrides: Any) -> Market:
    """Build a preset as a PettingZoo environment."""
    return Market(make(name, **overrides))


def from_config(config: Mapping[str, Any]) -> Core:
    """Rebuild any core from its `config()`."""
    kind = checks.mapping(config, "an environment's configuration").get("name")
    checks.known([str(kind)], _KINDS, "environment")
    return _KINDS[str(kind)](config)


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None


def data_sheet(name: str, **overrides: Any) -> dict[str, Any]:
    """Everything a reader wants to know of a preset, as JSON data; None for no bound."""
    core = make(name, **overrides)
    preset = PRESETS[name]
    return {
        "preset": name,
        "description": preset.description,
        "source": preset.source,
        "overrides": dict(preset.overrides),
        "config": core.config(),
        "agents": list(core.agents),
        "low": core.low.tolist(),
        "high": core.high.tolist(),
        "signals": {
            signal: {
                "unit": s.unit,
                "low": _finite(s.low),
                "high": _finite(s.high),
                "meaning": s.meaning,
            }
            for signal, s in core.signals.items()
        },
        "benchmarks": {
            point: {
                "actions": b.actions.tolist(),
                **{
                    field: b.record[field][0].tolist()
                    for field in ("prices", "profits")
                    if field in b.record
                },
                "consumer_surplus": b.consumer_surplus,
                "welfare": b.welfare,
                "meaning": b.meaning,
            }
            for point, b in core.benchmarks().items()
        },
    }
