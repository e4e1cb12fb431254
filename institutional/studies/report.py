"""A study carried out: timed, judged, and written as a table, a figure and one JSON document."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import polars as pl

from institutional.errors import InstitutionalError
from institutional.experiments.report.style import as_svg, styled
from institutional.studies.study import Finding, Outcome, Study, findings


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


def carry_out(study: Study, seeds: Sequence[int]) -> Report:
    """Run `study` once per seed and judge what it measured."""
    start = perf_counter()
    outcome = study.run(seeds)
    return Report(study, seeds, perf_counter() - start, findings(study, outcome), outcome)
