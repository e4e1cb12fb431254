"""`institutional graph calibrate`: how often an institution is wrong, where the truth is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from institutional.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from institutional.calibration.calibrate import Calibration, Conduct, Spread, Threshold


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(calibrate)


def calibrate(
    graph: Annotated[Path, typer.Argument(help="A governance graph, as YAML.")],
    *,
    environment: Annotated[str, typer.Option(help="Preset of the market to play.")],
    runs: Annotated[int, typer.Option(min=1, help="Runs of each scenario.")] = 100,
    false_positive_rate: Annotated[
        float, typer.Option(help="Share of innocent runs that a suggested threshold may touch.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(help="Seed of all noise and shocks.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Draw the result to this SVG file.")] = None,
    as_json: Json = False,
) -> None:
    """Measure an institution's errors on conduct that is innocent or collusive by construction.

    First each comparison of the evidence in runs that nobody governs, with the threshold that
    would keep the stated rate; then the whole graph in the loop. Every scenario weighs the same.

    Example: institutional graph calibrate governance_graphs/cournot.yaml --environment lin2024
    --runs 40
    """
    from institutional.calibration.calibrate import calibrate as measure
    from institutional.errors import InstitutionalError
    from institutional.governance.loading import load_graph

    found = measure(
        load_graph(graph),
        environment,
        runs=runs,
        seed=seed,
        false_positive_rate=false_positive_rate,
    )
    if out is not None:
        from institutional.calibration.figure import drawn

        try:
            out.write_text(drawn(found), encoding="utf-8")
        except OSError as error:
            raise InstitutionalError(f"{out}: cannot be written ({error.strerror})") from error
    if as_json:
        print_json(found.as_data())
        return
    _print(found)
    if out is not None:
        print(f"\n{out}")


def _print(found: "Calibration") -> None:
    rows = [
        (one, *side)
        for one in found.comparisons
        for side in (("left out", one.without_planner), ("innocent", one.with_planner))
    ]
    print_table(
        f"{found.graph} on {found.environment}, {found.runs} runs of each scenario\n"
        "Each comparison alone where nobody governs: share of runs past it",
        ("evidence", "comparison", "planner is", "AUC", "innocent", "offending"),
        [
            [
                one.evidence,
                one.text if one.accuses else f"{one.text} (a gate)",
                planner,
                f"{part.auc:.3f}",
                f"{part.now.false_positive:.1%}",
                f"{part.now.true_positive:.1%}",
            ]
            for one, planner, part in rows
        ],
    )
    print()
    print_table(
        f"Thresholds that at most {100 * found.false_positive_rate:g} % of the innocent runs pass",
        ("evidence", "planner is", "now", "then", "innocent", "in fresh runs", "offending"),
        [
            [one.evidence, planner, f"{part.now.value:.4g}", *_suggested(part.suggested)]
            for one, planner, part in rows
            if one.accuses
        ],
    )
    for innocent, title, error in (
        (True, "Innocents under the whole graph", "false positives"),
        (False, "Offenders under the whole graph", "false negatives"),
    ):
        print()
        print_table(
            title,
            (
                "scenario",
                error,
                "95 % interval",
                "accused",
                "round of first case",
                "of first sanction",
                "wrongful fines/100" if innocent else "fines/100",
            ),
            [_conduct(c) for c in found.conducts if c.innocent is innocent],
        )
    pooled = found.pooled()
    print(
        "\nA threshold is n/a where innocents whom the rate does not excuse score as high as any"
        " offender."
        "\nA sanction is a fine or a suspension. Rounds count from 1: median and middle half of the"
        " runs detected.\nFines are per 100 agent-rounds. Without an interval all runs are the same"
        " run.\n"
        f"Over scenarios of equal weight: false positives {pooled['false_positive']:.1%}, with the"
        f" efficient planner {pooled['false_positive_with_planner']:.1%};"
        f" false negatives {pooled['false_negative']:.1%};\n"
        f"wrongful fines per 100 agent-rounds {pooled['wrongful_fines_per_100']:.2f}, with the"
        f" efficient planner {pooled['wrongful_fines_per_100_with_planner']:.2f}."
    )


def _suggested(threshold: "Threshold | None") -> list[str]:
    if threshold is None:
        return ["n/a"] * 4
    fresh = threshold.fresh_false_positive
    return [
        f"{threshold.value:.4g}",
        f"{threshold.false_positive:.1%}",
        "n/a" if fresh is None else f"{fresh:.1%}",
        f"{threshold.true_positive:.1%}",
    ]


def _conduct(conduct: "Conduct") -> list[str]:
    interval = "n/a"
    if conduct.interval is not None:
        low, high = conduct.interval
        if not conduct.innocent:
            low, high = 1 - high, 1 - low
        interval = f"{low:.1%} to {high:.1%}"
    return [
        conduct.scenario,
        f"{conduct.error:.1%}",
        interval,
        f"{conduct.accused:.1%}",
        _rounds(conduct.to_case),
        _rounds(conduct.to_sanction),
        f"{conduct.fines_per_100:.2f}",
    ]


def _rounds(spread: "Spread | None") -> str:
    if spread is None:
        return "n/a"
    if spread.low == spread.high:
        return f"{spread.median:g}"
    return f"{spread.median:.3g} ({spread.low:.3g} to {spread.high:.3g})"
