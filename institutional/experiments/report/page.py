"""One HTML page about one experiment: no network, no script, the same bytes for the same folder.

What is compared comes from `compare`, what is drawn from `figures`, what is read from
`read`; here is only what the page says, and in which order.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from institutional.errors import InstitutionalError
from institutional.experiments.compare import Comparison, compare, number
from institutional.experiments.compare_pairs import NOT_APPLICABLE, measure_columns
from institutional.experiments.report import drawn
from institutional.experiments.report.effects import effects_part, errors_part
from institutional.experiments.report.html import (
    Html,
    bullets,
    element,
    folded,
    joined,
    page,
    paragraph,
    table,
)
from institutional.experiments.report.read import Experiment, read_experiment
from institutional.experiments.report.transcripts import transcripts_part
from institutional.experiments.report.words import LABELS, capital, code, named, point_name, several

_SOUND = (0, 3)  # VERIFIED, and UNANCHORED: sound as far as one copy can show


def write_report(
    folder: Path, *, graph_svgs: Mapping[str, str] | None = None, seed: int = 0
) -> Path:
    """Write `report.html` into the experiment's folder and return its path.

    `graph_svgs` gives a drawing of the governance graph by regime; without it the report shows the
    graph's text. `seed` feeds the bootstrap only. Raises InstitutionalError for a folder without
    results, or a torn file in it.
    """
    experiment = read_experiment(folder)
    comparisons = _comparisons(experiment, seed)
    parts: list[tuple[str, str, Html]] = [
        ("run", "What was run", _what_was_run(experiment)),
        ("effects", "Effects", effects_part(experiment, comparisons)),
    ]
    optional: list[tuple[str, str, Callable[[], Html | None]]] = [
        ("tiers", "Tiers", lambda: drawn.tiers_part(experiment)),
        ("time", "Price and profit gain over time", lambda: drawn.over_time_part(experiment)),
        ("welfare", "Consumer surplus and welfare", lambda: drawn.welfare_part(experiment)),
        ("sanctions", "Sanctions", lambda: drawn.sanctions_part(experiment)),
        ("transcripts", "Transcripts", lambda: transcripts_part(experiment)),
        ("graph", "Governance graph", lambda: drawn.graphs_part(experiment, graph_svgs or {})),
    ]
    parts += [(key, title, part) for key, title, make in optional if (part := make()) is not None]
    parts += [
        ("errors", "Wrong and missed punishment", errors_part(comparisons)),
        ("audit", "Audit and replay", _audit(experiment)),
        ("left-out", "Runs not counted", _left_out(experiment, comparisons)),
        ("limits", "What this does not show", _limits(experiment, comparisons)),
    ]
    stamp = experiment.stamp
    runs = len(experiment.results)
    subtitle = paragraph(
        f"{stamp.name or folder.name}: {several(runs, 'run')}, "
        f"{several(len(experiment.pairings), 'pairing')}, "
        f"{several(experiment.results['seed'].n_unique(), 'seed')}, "
        f"{several(experiment.horizon, 'round')} each; regimes: {', '.join(experiment.regimes)}.",
        soft=True,
    )
    text = page(stamp.title or stamp.name or folder.name, subtitle, parts)
    path = folder / "report.html"
    temporary = folder / "report.html.part"
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    except OSError as error:
        raise InstitutionalError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def _comparisons(experiment: Experiment, seed: int) -> list[Comparison]:
    """Every other regime against the baseline, the declared treatment first."""
    baseline = experiment.stamp.comparison.baseline
    if baseline not in experiment.regimes:
        return []
    declared = experiment.measures
    others_measured = [m for m in measure_columns(experiment.results) if m not in declared]
    skipped = [skip["regime"] for skip in experiment.skipped]
    others = [r for r in dict.fromkeys([*experiment.regimes, *skipped]) if r != baseline]
    return [
        compare(
            experiment.results,
            baseline=baseline,
            treatment=regime,
            measures=[*declared, *others_measured],
            seed=seed,
            skipped=experiment.skipped,
        )
        for regime in others
    ]


def _what_was_run(experiment: Experiment) -> Html:
    stamp = experiment.stamp
    facts: list[tuple[object, object]] = [
        ("command", code(stamp.command)),
        ("plan, SHA-256", code(stamp.plan_digest)),
    ]
    for name, graph in stamp.graphs.items():
        facts.append((f"graph of {name}, content", code(graph.canonical)))
        facts.append((f"graph of {name}, exact bytes", code(graph.exact)))
    versions = ", ".join(f"{name} {version}" for name, version in stamp.versions.items())
    facts.append(("versions", versions or "not recorded"))
    valid = experiment.valid
    grid = [
        [
            pairing,
            "yes" if all(experiment.results.filter(pairing=pairing)["innocent"]) else "no",
            *(len(valid.filter(pairing=pairing, regime=r)) or _no_run(experiment, r, pairing)
              for r in experiment.regimes),
        ]
        for pairing in experiment.pairings
    ]  # fmt: skip
    return joined(
        table(("", ""), facts, text=2),
        element("h3", "Valid runs"),
        table(("pairing", "innocent", *experiment.regimes), grid, text=2),
        _benchmarks(experiment),
        folded("Specification (experiment.yaml)", element("pre", experiment.specification))
        if experiment.specification
        else paragraph("experiment.yaml is not in the folder.", soft=True),
    )


def _no_run(experiment: Experiment, regime: str, pairing: str) -> str:
    for skip in experiment.skipped:
        if (skip["regime"], skip["pairing"]) == (regime, pairing):
            return NOT_APPLICABLE
    return "none"


def _benchmarks(experiment: Experiment) -> Html:
    points = experiment.stamp.benchmarks
    if not points:
        return Html("")
    names = [n for n in LABELS if any(n in point for point in points.values())]
    rows = [
        [
            capital(point_name(point)),
            *(number(experiment.benchmark(n).get(point)) for n in names),
        ]
        for point in points
    ]
    header = ("point", *(LABELS[n] for n in names))
    return joined(element("h3", "Benchmarks of the market"), table(header, rows))


def _audit(experiment: Experiment) -> Html:
    results = experiment.results
    if not {"audit_word", "audit_code", "replay"} <= set(results.columns):
        return paragraph("The results hold no audit verdicts.")
    counts = results.group_by("regime", "audit_word", "replay").len()
    order = {regime: place for place, regime in enumerate(experiment.regimes)}
    rows = sorted(counts.rows(), key=lambda row: (order[row[0]], str(row[1]), str(row[2])))
    shown = [[r, str(word).replace("_", " "), replay, n] for r, word, replay, n in rows]
    failed = results.filter(
        ~pl.col("audit_code").is_in(_SOUND) | ~pl.col("replay").is_in(["exact", "not-applicable"])
    )
    parts: list[object] = [table(("regime", "audit", "replay", "runs"), shown, text=3)]
    if "UNANCHORED" in results["audit_word"].to_list():
        parts.append(
            paragraph(
                "UNANCHORED: the log is sound as it stands; that no later part was cut off can "
                "only be shown with a checkpoint kept elsewhere."
            )
        )
    if len(failed):
        parts.append(paragraph(f"{several(len(failed), 'run')} failed:"))
        lines = failed.select("run_id", "audit_word", "replay").rows()
        parts.append(
            named([f"{run}: audit {word}, replay {replay}" for run, word, replay in lines])
        )
    else:
        parts.append(paragraph("No audit and no replay failed."))
    return joined(*parts)


def _left_out(experiment: Experiment, comparisons: Sequence[Comparison]) -> Html:
    invalid = experiment.results.filter(~pl.col("valid"))
    unpaired = {run.run_id: run.reason for c in comparisons for run in c.unpaired}
    rows = [
        [run["run_id"], run["regime"], run["pairing"], run["seed"], run["reason"] or "not recorded"]
        for run in invalid.iter_rows(named=True)
    ]
    parts: list[object] = []
    if rows:
        parts.append(paragraph(f"{several(len(rows), 'invalid run')}, in no figure and no number:"))
        parts.append(table(("run", "regime", "pairing", "seed", "reason"), rows, text=5))
    else:
        parts.append(paragraph("Every run is valid."))
    if unpaired:
        parts.append(
            paragraph(f"{several(len(unpaired), 'valid run')} without a partner, in no difference:")
        )
        parts.append(table(("run", "reason"), list(unpaired.items()), text=2))
    if experiment.skipped:
        parts.append(paragraph("Cells of the grid that were not run:"))
        cells: dict[tuple[str, str], list[str]] = {}
        for skip in experiment.skipped:
            cells.setdefault((skip["regime"], skip["reason"]), []).append(skip["pairing"])
        parts.append(
            table(
                ("regime", "reason", "pairings"),
                [
                    (regime, f"{NOT_APPLICABLE}: {reason}", ", ".join(pairings))
                    for (regime, reason), pairings in cells.items()
                ],
                text=3,
            )
        )
    return joined(*parts)


def _limits(experiment: Experiment, comparisons: Sequence[Comparison]) -> Html:
    pairings = max(
        (e.n for c in comparisons for e in c.overall if e.pairing == "all pairings"), default=0
    )
    items = [
        """Nothing here is about markets, firms or models other than those named above: simulated
        agents in one environment, for as many rounds as were run.""",
        """Pairings were chosen, not drawn at random. The rows over pairings say how far the effect
        holds among configurations like these.""",
        """Tiers come from concentration. Read them with price, Δ, consumer surplus and welfare,
        which measure harm.""",
        """A difference between two regimes does not say which part of the institution made it
        (notices, fines, suspension) unless a regime without that part was run.""",
        """A large p-value is no evidence that there is no effect; that takes an equivalence test
        with a margin fixed beforehand.""",
        """An audit shows that the record was not altered after it was signed and that the rules
        were applied as written. It does not show that the rules are good.""",
    ]
    if pairings:
        items.append(
            f"""With {several(pairings, "pairing")} the smallest two-sided p-value that a sign-flip
            test can give is {min(1.0, 2 / 2**pairings):.2g}. A small p says that pairings moved
            the same way, not by how much."""
        )
    items += [
        f"""The oracle of {regime} reads {", ".join(signals)}. A measure computed from the same
        quantities is not held out: agents can learn to pass it."""
        for regime, signals in experiment.graph_signals.items()
    ]
    return bullets(items)
