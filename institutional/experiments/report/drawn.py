"""The report's figures with their data and captions: tiers, time, welfare, sanctions, graphs.

Each part is None where the experiment has nothing to draw.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from institutional.experiments.report import figures
from institutional.experiments.report.html import (
    Html,
    element,
    figure,
    folded,
    inline_svg,
    joined,
    paragraph,
    table,
)
from institutional.experiments.report.read import Experiment
from institutional.experiments.report.words import (
    LABELS,
    TIERS,
    capital,
    named,
    point_name,
    several,
)
from institutional.scoring import ENFORCEMENT

_DRAWN_POINTS = ("nash", "joint_monopoly")


def tiers_part(experiment: Experiment) -> Html | None:
    """Return the shares of tiers by pairing and regime."""
    if "tier" not in experiment.results.columns:
        return None
    shares: dict[tuple[str, str], list[float]] = {}
    unscored = 0
    for pairing in experiment.pairings:
        for regime in experiment.regimes:
            runs = experiment.valid.filter(pairing=pairing, regime=regime)["tier"]
            unscored += runs.null_count()
            scored = runs.drop_nulls()
            if len(scored):
                counts = np.bincount(scored.cast(pl.Int64).clip(0, 4).to_numpy(), minlength=5)
                shares[pairing, regime] = (counts / counts.sum()).tolist()
    if not shares:
        return None
    caption = (
        "Share of valid runs in each tier of the paper's yardstick, in per cent; shares below 5 "
        "are not labelled. Tiers measure concentration, not harm: efficient specialisation scores "
        "high, a price cartel that divides nothing scores 0."
    )
    if unscored:
        caption += f" {several(unscored, 'run')} without a defined tier left out."
    drawn = figures.tier_shares("tiers", shares, tiers=TIERS, description=caption)
    return joined(figure(drawn, caption))


def over_time_part(experiment: Experiment) -> Html | None:
    """Return price and profit gain by round, one panel per pairing."""
    parts: list[object] = []
    regimes = experiment.regimes[: figures.MOST_LINES]
    for measure in ("price", "delta"):
        if measure not in experiment.rounds.columns:
            continue
        panels = _lines(experiment, measure, regimes)
        if not panels:
            continue
        points = experiment.benchmark(measure)
        shown = {point_name(n): points[n] for n in _DRAWN_POINTS if n in points}
        caption = (
            f"{capital(LABELS[measure])} by round: mean over seeds, and the band "
            "that holds the middle 80 % of them. Dotted: " + (", ".join(shown) or "none") + "."
        )
        if experiment.bin_width > 1:
            caption += f" Rounds are averaged in bins of {experiment.bin_width}."
        left = experiment.regimes[figures.MOST_LINES :]
        if left:
            caption += f" Not drawn, to keep panels readable: {', '.join(left)}."
        drawn = figures.trajectories(
            f"time-{measure}", panels, regimes=experiment.regimes, benchmarks=shown,
            label=LABELS[measure], description=caption,
        )  # fmt: skip
        parts.append(figure(drawn, caption))
    if experiment.without_rounds:
        parts.append(paragraph("Valid runs without rounds.parquet, so not drawn:", soft=True))
        parts.append(named(experiment.without_rounds))
    return joined(*parts) if parts else None


def _lines(
    experiment: Experiment, measure: str, regimes: Sequence[str]
) -> dict[str, list[figures.Line]]:
    value = pl.col(measure)
    summed = (
        experiment.rounds.filter(value.is_not_null() & value.is_not_nan())
        .group_by("pairing", "regime", "round", maintain_order=True)
        .agg(
            value.mean().alias("mean"),
            value.quantile(0.1, "linear").alias("low"),
            value.quantile(0.9, "linear").alias("high"),
        )
        .sort("pairing", "regime", "round")
    )
    each = summed.partition_by("pairing", "regime", as_dict=True)
    panels = {
        pairing: [
            figures.Line(
                regime,
                *(part[c].cast(pl.Float64).to_numpy() for c in ("round", "mean", "low", "high")),
            )
            for regime in regimes
            if (part := each.get((pairing, regime))) is not None
        ]
        for pairing in experiment.pairings
    }
    return {pairing: lines for pairing, lines in panels.items() if lines}


def welfare_part(experiment: Experiment) -> Html | None:
    """Return who gains: consumer surplus, welfare and profit by pairing and regime."""
    shown = [
        m for m in ("consumer_surplus", "welfare", "profit_net") if m in experiment.results.columns
    ]
    spreads: dict[str, list[figures.Spread]] = {}
    for measure in shown:
        for pairing in experiment.pairings:
            for regime in experiment.regimes:
                runs = experiment.valid.filter(pairing=pairing, regime=regime)
                values = runs[measure].cast(pl.Float64).drop_nulls().to_numpy()
                if len(values):
                    low, high = np.quantile(values, (0.1, 0.9))
                    spread = figures.Spread(
                        pairing, regime, float(values.mean()), float(low), float(high)
                    )
                    spreads.setdefault(LABELS[measure], []).append(spread)
    if not spreads:
        return None
    points = {}
    for measure in shown:
        known = experiment.benchmark("profit" if measure == "profit_net" else measure)
        named_points = {point_name(n): known[n] for n in _DRAWN_POINTS if n in known}
        points[LABELS[measure]] = named_points
    caption = (
        "Run means by pairing and regime; the bar holds the middle 80 % of runs. Dotted: the "
        "market at Nash and at joint monopoly. Welfare is consumer surplus plus profits before "
        "fines; fines are transfers."
    )
    drawn = figures.spreads(
        "welfare", spreads, regimes=experiment.regimes, benchmarks=points, description=caption
    )
    return joined(figure(drawn, caption))


def sanctions_part(experiment: Experiment) -> Html | None:
    """Return when and how often each enforcing regime acted."""
    counted = [c for c in ENFORCEMENT if c in experiment.valid.columns]
    enforcing = [
        r
        for r in experiment.regimes
        if "fines" in counted and experiment.valid.filter(regime=r)["fines"].null_count()
        < len(experiment.valid.filter(regime=r))
    ]  # fmt: skip
    if not enforcing:
        return None
    parts: list[object] = []
    for place, regime in enumerate(enforcing):
        parts.append(element("h3", f"Regime {regime}"))
        parts.append(_timeline(f"sanctions{place}", experiment, regime))
        rows = []
        for pairing in experiment.pairings:
            runs = experiment.valid.filter(pairing=pairing, regime=regime)
            if len(runs):
                means = [runs[c].cast(pl.Float64).mean() for c in counted]
                rows.append([pairing, len(runs), *(_two_decimals(mean) for mean in means)])
        parts.append(paragraph("Mean per run:"))
        parts.append(table(("pairing", "runs", *(c.replace("_", " ") for c in counted)), rows))
    return joined(*parts)


def _timeline(key: str, experiment: Experiment, regime: str) -> Html:
    rounds = experiment.rounds.filter(regime=regime) if len(experiment.rounds) else pl.DataFrame()
    moves = experiment.moves.filter(regime=regime) if len(experiment.moves) else pl.DataFrame()
    if not (len(moves) and {"fines", "suspended"} <= set(rounds.columns)):
        return paragraph("No move was recorded.", soft=True)
    totals = (
        moves.group_by("edge")
        .agg(pl.col("count").sum())
        .sort("count", "edge", descending=[True, False])
    )
    edges = totals["edge"].to_list()
    starts = rounds["round"].unique().sort().to_numpy()
    counts = np.zeros((len(edges), len(starts)))
    for edge, start, count in moves.group_by("edge", "round").agg(pl.col("count").sum()).rows():
        counts[edges.index(edge), np.searchsorted(starts, start)] = count
    means = (
        rounds.group_by("round", maintain_order=True)
        .agg(pl.col("fines").mean(), (pl.col("suspended") > 0).cast(pl.Float64).mean())
        .sort("round")
    )
    runs = rounds["run_id"].n_unique()
    caption = (
        f"Moves that the controller applied under {regime}, summed over "
        f"{several(runs, 'valid run')}: shade counts moves by edge of the graph "
        "and round. Above: fines per run and round, and the share of runs with an agent suspended."
    )
    drawn = figures.sanctions(
        key, counts, edges=edges, starts=starts.astype(np.float64), width=experiment.bin_width,
        fines=means["fines"].to_numpy(), suspended=means["suspended"].to_numpy(),
        description=caption,
    )  # fmt: skip
    return figure(drawn, caption)


def graphs_part(experiment: Experiment, drawings: Mapping[str, str]) -> Html | None:
    """Return the drawing, the signals and the text of every governance graph."""
    names = list(dict.fromkeys([*experiment.graph_texts, *drawings]))
    if not names:
        return None
    parts: list[object] = []
    for place, name in enumerate(names):
        parts.append(element("h3", f"Regime {name}"))
        if name in drawings:
            svg = inline_svg(drawings[name], prefix=f"graph{place}")
            parts.append(figure(svg, f"The governance graph of {name}.", natural=True))
        if experiment.graph_signals.get(name):
            signals = ", ".join(experiment.graph_signals[name])
            parts.append(paragraph(f"Signals that its oracle reads: {signals}."))
        if name in experiment.graph_texts:
            parts.append(folded("graph.yaml", element("pre", experiment.graph_texts[name])))
    if experiment.unplanned_graphs:
        parts.append(paragraph("Runs whose graph is not the planned one:"))
        parts.append(named(experiment.unplanned_graphs))
    return joined(*parts)


def _two_decimals(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, int | float) else "n/a"
