"""A study carried out: timed, judged, and written as a table, a figure and one JSON document."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import polars as pl

from agents.policies.entries import require_torch
from institutional.errors import InstitutionalError
from institutional.experiments.report.style import as_svg, styled
from institutional.studies.study import Finding, Outcome, Prediction, Study, findings


@dataclass(frozen=True)
class Report:
    """What came of one study."""

    study: Study
    seeds: Sequence[int]
    seconds: float
    findings: tuple[Finding, ...]
    outcome: Outcome

    @property
    def surprises(self) -> bool:
        """Whether any verdict speaks against its prediction."""
        return any(finding.surprises for finding in self.findings)

    def as_data(self) -> dict[str, Any]:
        """The report as JSON data."""
        return {
            "study": self.study.name,
            "paper": self.study.paper,
            "claim": self.study.claim,
            "surprises": self.surprises,
            "seeds": len(self.seeds),
            "first_seed": self.seeds[0],
            "seconds": round(self.seconds, 2),
            "findings": [
                {"quantity": finding.quantity}
                | finding.estimate._asdict()
                | {"verdict": finding.verdict, "surprises": finding.surprises}
                | {"prediction": finding.prediction and asdict(finding.prediction)}
                for finding in self.findings
            ],
            "does_not_show": list(self.study.does_not_show),
        }

    def write(self, folder: Path) -> list[Path]:
        """Write NAME.json, NAME.parquet and NAME.svg into `folder`; return their paths."""
        paths = [folder / f"{self.study.name}.{kind}" for kind in ("json", "parquet", "svg")]
        with styled():
            drawn = as_svg(self.outcome.draw(), self.study.name, self.outcome.caption)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            paths[0].write_text(json.dumps(self.as_data(), indent=2) + "\n", encoding="utf-8")
            pl.DataFrame(self.outcome.table).write_parquet(paths[1])
            paths[2].write_text(drawn + "\n", encoding="utf-8")
        except OSError as error:
            raise InstitutionalError(f"{folder}: cannot be written ({error.strerror})") from error
        return paths


def overview(reports: Sequence[Report]) -> list[list[str]]:
    """One row per finding that was predicted: study, quantity, measured, band, verdict, seconds."""
    return [
        [
            report.study.name,
            finding.quantity,
            f"{value:.4g} [{low:.4g}, {high:.4g}]",
            band(finding.prediction),
            verdict(finding),
            f"{report.seconds:.1f}",
        ]
        for report in reports
        for finding in report.findings
        for value, low, high, _ in [finding.estimate]
        if finding.prediction is not None
    ]


def write_overview(reports: Sequence[Report], folder: Path) -> Path:
    """Write one table over all `reports`, each study under its claim; return its path."""
    path = folder / "all.md"
    lines = ["# Studies", ""]
    for report in reports:
        lines += [
            f"## {report.study.name}",
            "",
            f"{report.study.claim} ({report.study.paper})",
            "",
            f"{len(report.seeds)} seeds, {report.seconds:.1f} s",
            "",
            "| quantity | measured, 95 % interval | band | verdict |",
            "|---|---|---|---|",
            *(f"| {' | '.join(row[1:-1])} |" for row in overview([report])),
            "",
        ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines), encoding="utf-8")
    except OSError as error:
        raise InstitutionalError(f"{folder}: cannot be written ({error.strerror})") from error
    return path


def band(prediction: Prediction) -> str:
    """The band in words."""
    if prediction.low == prediction.high:
        return f"{prediction.low:g}"
    return f"{prediction.low:g} to {prediction.high:g}"


def verdict(finding: Finding) -> str:
    """The verdict in words, and whether it is not as predicted."""
    found: str = finding.verdict or ""
    return f"{found}, not as predicted" if finding.surprises else found


def carry_out(study: Study, seeds: Sequence[int]) -> Report:
    """Run `study` once per seed and judge what it measured.

    Raises AgentError, with what to install, for a study that needs torch where there is none.
    """
    if study.needs_torch:
        require_torch()
    start = perf_counter()
    outcome = study.run(seeds)
    return Report(study, seeds, perf_counter() - start, findings(study, outcome), outcome)
