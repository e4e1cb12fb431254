"""The report's account of effects: tables, forest plots, and the institution's own errors."""

from collections.abc import Sequence

from institutional.experiments.compare import Comparison, Effect, number, p_value, with_interval
from institutional.experiments.compare_pairs import NOT_APPLICABLE
from institutional.experiments.report import figures
from institutional.experiments.report.html import (
    Html,
    element,
    figure,
    folded,
    joined,
    paragraph,
    spanning,
    table,
)
from institutional.experiments.report.read import Experiment
from institutional.experiments.report.words import SHORT_LABELS, capital, label

_MOST_FOREST_PANELS = 5


def effects_part(experiment: Experiment, comparisons: Sequence[Comparison]) -> Html:
    """Return every regime against the baseline: over pairings, drawn, and pairing by pairing."""
    if not comparisons:
        baseline = experiment.stamp.comparison.baseline
        return paragraph(
            f'Nothing is compared: no second regime, or no run of the baseline "{baseline}".'
        )
    parts: list[object] = [
        paragraph(
            "Differences are paired by seed. In the rows over pairings the pairing is the unit: "
            "n counts pairings, intervals resample pairings (BCa bootstrap, 95 %), and p is a "
            "two-sided sign-flip test over them. d divides by the pooled standard deviation of all "
            "runs. By pairing, n counts pairs of runs and p is also given after Holm's correction "
            "over pairings."
        )
    ]
    for place, comparison in enumerate(comparisons):
        title = f"{comparison.treatment} minus {comparison.baseline}"
        parts.append(element("h3", title))
        whole = _wholly_absent(comparison)
        if whole:
            pairings = len({effect.pairing for effect in comparison.effects})
            row = (f"all {pairings} pairings", spanning(whole))
            parts.append(table(("scope", *_header(comparison)[1:]), [row]))
            continue
        declared = [e for e in comparison.overall if e.measure in experiment.measures]
        others = [e for e in comparison.overall if e.measure not in experiment.measures]
        parts += [
            table(_header(comparison), _effect_rows(declared, by="pairing")),
            _forest(f"forest{place}", experiment, comparison),
        ]
        if others:
            rows = _effect_rows(others, by="pairing")
            parts.append(folded("Measures not declared", table(_header(comparison), rows)))
        rows = _effect_rows(comparison.effects, by="measure", corrected=True)
        header = _header(comparison, corrected=True)
        parts.append(folded("Every pairing and measure", table(header, rows)))
    return joined(*parts)


def _wholly_absent(comparison: Comparison) -> str:
    """The reason why no pairing could be compared, if it is one reason."""
    reasons = {effect.reason for effect in comparison.effects}
    absent = all(effect.difference is None for effect in comparison.effects)
    return reasons.pop() if absent and len(reasons) == 1 else ""


def _header(comparison: Comparison, *, corrected: bool = False) -> tuple[str, ...]:
    return (
        "measure" if not corrected else "pairing",
        "n",
        comparison.baseline,
        comparison.treatment,
        "difference [95 %]",
        "d",
        "p",
        *(("p Holm",) if corrected else ()),
        "note",
    )


def _effect_rows(
    effects: Sequence[Effect], *, by: str, corrected: bool = False
) -> list[Sequence[object]]:
    """Rows under headings: by scope with measures as rows, or by measure with pairings as rows."""
    groups: dict[str, list[Effect]] = {}
    for effect in effects:
        groups.setdefault(effect.pairing if by == "pairing" else effect.measure, []).append(effect)
    rows: list[Sequence[object]] = []
    for group, members in groups.items():
        rows.append([group if by == "pairing" else label(group)])
        for e in members:
            name = label(e.measure) if by == "pairing" else e.pairing
            if e.difference is None:
                rows.append([name, spanning(e.reason)])
                continue
            p = [p_value(e.p), *([p_value(e.p_holm)] if corrected else [])]
            means = [number(e.baseline), number(e.treatment)]
            note = element("span", e.reason, class_="soft") if e.reason else ""
            rows.append([name, e.n, *means, with_interval(e), number(e.d), *p, note])
    return rows


def _forest(key: str, experiment: Experiment, comparison: Comparison) -> Html:
    shown = [m for m in SHORT_LABELS if m in experiment.measures][:_MOST_FOREST_PANELS]
    shown = shown or experiment.measures[:_MOST_FOREST_PANELS]
    if not shown:
        return Html("")
    panels = {
        SHORT_LABELS.get(m, m): [
            _interval(e, overall=overall)
            for effects, overall in ((comparison.overall, True), (comparison.effects, False))
            for e in effects
            if e.measure == m
        ]
        for m in shown
    }
    title = (
        f"difference: {comparison.treatment} minus {comparison.baseline}, mean and 95 % interval"
    )
    caption = (
        f"{capital(title)}. Dots: pairings, n pairs of runs each. Diamonds: over pairings. "
        "A row without a line has too few values for an interval, or values that do not vary."
    )
    return figure(figures.forest(key, panels, title=title, description=caption), caption)


def _interval(effect: Effect, *, overall: bool) -> figures.Interval:
    note = "n/a" if effect.reason.startswith(NOT_APPLICABLE) else "no value"
    return figures.Interval(
        effect.pairing, effect.difference, effect.low, effect.high, note, overall=overall
    )


def errors_part(comparisons: Sequence[Comparison]) -> Html:
    """Return how often each institution punished the innocent, and missed collusion."""
    rows: list[Sequence[object]] = []
    silent = []
    for comparison in comparisons:
        if comparison.errors.wrongful_fines is None:
            silent.append(comparison.treatment)
            continue
        rows.append([comparison.treatment])
        rows += comparison.rate_rows()
    parts: list[object] = []
    if rows:
        parts += [
            paragraph(
                "Over valid runs, paired or not. A run counts as punished when it holds a fine or "
                "a suspension; warnings do not count. Wilson intervals, which take runs as "
                "independent: runs of one pairing are not, so read them as too narrow."
            ),
            table(("rate", "runs", "share [95 %]"), rows),
        ]
    if silent:
        parts.append(
            paragraph(f"Without enforcement, so without such errors: {', '.join(silent)}.")
        )
    return joined(*parts) if parts else paragraph("No regime was compared.", soft=True)
