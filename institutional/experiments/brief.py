"""What a terminal shows at the end of a run: one line per pairing, effects over pairings, errors.

The whole of it, with every interval and p-value, is in `Comparison.tables` and in the report.
"""

from institutional.experiments.compare import Comparison, Effect, Table, number


def brief(comparison: Comparison) -> list[Table]:
    """Tables (title, header, rows) of one comparison, short enough to read.

    A regime that none of the pairings could be run under gives one row that says why.
    """
    between = f"{comparison.treatment} against {comparison.baseline}"
    reasons = {effect.reason for effect in comparison.effects}
    if comparison.effects and all(effect.n == 0 for effect in comparison.effects):
        pairings = {effect.pairing for effect in comparison.effects}
        row = (f"all {len(pairings)} pairings", "; ".join(sorted(reasons)))
        return [(between, ("scope", "why there is nothing to compare"), [row])]
    tables = comparison.tables()
    over = [table for table in tables if not table[0].startswith("By pairing")]
    return [_by_pairing(comparison, between), *over]


def _by_pairing(comparison: Comparison, between: str) -> Table:
    measures = list(dict.fromkeys(effect.measure for effect in comparison.effects))
    by_pairing: dict[str, list[Effect]] = {}
    for effect in comparison.effects:
        by_pairing.setdefault(effect.pairing, []).append(effect)
    rows = [
        (pairing, str(effects[0].n), *(_change(effect) for effect in effects))
        for pairing, effects in by_pairing.items()
    ]
    title = f"{between}: means over pairs of runs; * where the 95 % interval excludes no change"
    return title, ("pairing", "n", *measures), rows


def _change(effect: Effect) -> str:
    if effect.difference is None:
        return effect.reason
    sure = effect.low is not None and effect.high is not None and effect.low * effect.high > 0
    return f"{number(effect.baseline)} → {number(effect.treatment)}{' *' if sure else ''}"
