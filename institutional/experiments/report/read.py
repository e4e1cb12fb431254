"""An experiment folder read into one record; what is not recorded is empty, never guessed.

A torn file is an error that names it. A missing `rounds.parquet` or a graph other than the planned
one is a finding, which the report lists.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from institutional.errors import InstitutionalError
from institutional.experiments.compare import DEFAULT_MEASURES
from institutional.experiments.compare_pairs import checked_results, measure_columns
from institutional.governance.document import parse_document

MOST_POINTS = 120
"""Longer runs are averaged into bins of rounds, so that a line has at most this many points."""

SERIES = ("price", "delta", "consumer_surplus", "welfare", "fines", "suspended", "cases", "refused")


class _Tolerant(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class GraphIdentity(_Tolerant):
    """The two SHA-256 digests of a regime's governance graph, in hex."""

    path: str = ""
    canonical: str = ""
    exact: str = ""


class Declared(_Tolerant):
    """The comparison that was fixed before the first round."""

    baseline: str = "ungoverned"
    treatment: str = "institutional"
    measures: list[str] = Field(default_factory=list)


class Stamp(_Tolerant):
    """`experiment.json`, as far as a report needs it."""

    name: str = ""
    title: str = ""
    command: str = ""
    plan_digest: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    graphs: dict[str, GraphIdentity] = Field(default_factory=dict)
    benchmarks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    comparison: Declared = Declared()


@dataclass(frozen=True)
class Experiment:
    """Everything a report says, read and checked.

    `rounds` has one row per run and bin of rounds: run_id, regime, pairing, round (the bin's
    first) and the means of `SERIES`. `moves` has run_id, regime, pairing, round, edge, count.
    """

    folder: Path
    stamp: Stamp
    specification: str
    results: pl.DataFrame
    skipped: tuple[Mapping[str, str], ...]
    rounds: pl.DataFrame
    moves: pl.DataFrame
    horizon: int
    bin_width: int
    without_rounds: tuple[str, ...]
    graph_texts: Mapping[str, str]
    graph_signals: Mapping[str, tuple[str, ...]]
    unplanned_graphs: tuple[str, ...]

    @property
    def regimes(self) -> list[str]:
        """Regimes with runs: the baseline, then the treatment, then the others as they come."""
        declared = self.stamp.comparison
        present = list(dict.fromkeys(self.results["regime"].to_list()))
        first = [r for r in (declared.baseline, declared.treatment) if r in present]
        return first + [r for r in present if r not in first]

    @property
    def pairings(self) -> list[str]:
        """Pairings in the order of the results."""
        return list(dict.fromkeys(self.results["pairing"].to_list()))

    @property
    def valid(self) -> pl.DataFrame:
        """The runs that count."""
        return self.results.filter("valid")

    @property
    def measures(self) -> list[str]:
        """The declared measures that the results have, or else the usual ones."""
        known = measure_columns(self.results)
        wanted = self.stamp.comparison.measures or DEFAULT_MEASURES
        return [m for m in wanted if m in known]

    def benchmark(self, measure: str) -> dict[str, float]:
        """The value of `measure` at each benchmark that has one; Delta's follow from its scale."""
        known = {"nash": 0.0, "joint_monopoly": 1.0} if measure == "delta" else {}
        for name, point in self.stamp.benchmarks.items():
            value = point.get(measure)
            if isinstance(value, int | float):
                known[name] = float(value)
        return known


def read_experiment(folder: Path) -> Experiment:
    """Read the folder that `institutional run` wrote; raises InstitutionalError if it is torn."""
    results = checked_results(_parquet(folder / "results.parquet", must=True))
    runs = results.filter("valid").select("run_id", "regime", "pairing").rows()
    frames, moves, without, horizon = [], [], [], 0
    for run_id, regime, pairing in runs:
        table = _parquet(folder / run_id / "rounds.parquet")
        if table.is_empty():
            without.append(run_id)
            continue
        horizon = max(horizon, len(table))
        told = {"run_id": run_id, "regime": regime, "pairing": pairing}
        frames.append(_binned(table).with_columns(**{k: pl.lit(v) for k, v in told.items()}))
        moved = _moved(table)
        if len(moved):
            moves.append(moved.with_columns(**{k: pl.lit(v) for k, v in told.items()}))
    stamp = _stamp(folder / "experiment.json")
    texts, signals, unplanned = _graphs(folder, runs, stamp)
    return Experiment(
        folder=folder,
        stamp=stamp,
        specification=_text(folder / "experiment.yaml"),
        results=results,
        skipped=_skipped(folder / "skipped.json"),
        rounds=pl.concat(frames, how="diagonal") if frames else pl.DataFrame(),
        moves=pl.concat(moves) if moves else pl.DataFrame(),
        horizon=horizon,
        bin_width=_width(horizon),
        without_rounds=tuple(without),
        graph_texts=texts,
        graph_signals=signals,
        unplanned_graphs=unplanned,
    )


def _width(rounds: int) -> int:
    return max(1, -(-rounds // MOST_POINTS))


def _binned(table: pl.DataFrame) -> pl.DataFrame:
    """Means of the series over bins of rounds, one row per bin."""
    names = [name for name in SERIES if name in table.columns]
    typed = table.select(
        pl.col("round").cast(pl.Int64), *(pl.col(n).cast(pl.Float64) for n in names)
    )
    width = _width(len(table))
    if width == 1:
        return typed
    first = (pl.col("round") // width * width).alias("round")
    return typed.group_by(first, maintain_order=True).agg(pl.col(names).mean())


def _moved(table: pl.DataFrame) -> pl.DataFrame:
    """How often each edge was taken in each bin of rounds."""
    if "moves" not in table.columns:
        return pl.DataFrame()
    width = _width(len(table))
    return (
        table.select(
            (pl.col("round").cast(pl.Int64) // width * width).alias("round"),
            pl.col("moves").cast(pl.List(pl.String)).alias("edge"),
        )
        .filter(pl.col("edge").list.len() > 0)
        .explode("edge")
        .group_by("round", "edge", maintain_order=True)
        .agg(pl.len().cast(pl.Int64).alias("count"))
    )


def _graphs(
    folder: Path, runs: list[tuple[Any, ...]], stamp: Stamp
) -> tuple[dict[str, str], dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Text and signals of each regime's graph, and the runs whose graph is not the planned one."""
    raw: dict[str, bytes] = {}
    unplanned = []
    for run_id, regime, _ in runs:
        path = folder / run_id / "graph.yaml"
        if not path.is_file():
            continue
        found = path.read_bytes()
        raw.setdefault(regime, found)
        planned = stamp.graphs.get(regime, GraphIdentity()).exact or _digest(raw[regime])
        if _digest(found) != planned.removeprefix("sha256:"):
            unplanned.append(run_id)
    texts = {regime: found.decode(errors="replace") for regime, found in raw.items()}
    signals = {
        regime: tuple(sorted(_signals(parse_document(found, f"graph of {regime}").values)))
        for regime, found in raw.items()
    }
    return texts, signals, tuple(unplanned)


def _signals(value: Any) -> set[str]:
    """Every signal that conditions in a graph's values name."""
    if isinstance(value, dict):
        own = {value["signal"]} if isinstance(value.get("signal"), str) else set()
        return own.union(*(_signals(part) for part in value.values()))
    if isinstance(value, list):
        return set().union(*(_signals(part) for part in value))
    return set()


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _stamp(path: Path) -> Stamp:
    try:
        return Stamp.model_validate(_json(path, {}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InstitutionalError(f"{path}: {where}: {first['msg']}") from error


def _skipped(path: Path) -> tuple[Mapping[str, str], ...]:
    skips = _json(path, [])
    keys = ("regime", "pairing", "reason")
    if not isinstance(skips, list) or not all(
        isinstance(skip, dict) and all(isinstance(skip.get(key), str) for key in keys)
        for skip in skips
    ):
        raise InstitutionalError(f"{path}: not a list of {{regime, pairing, reason}}")
    return tuple(skips)


def _json(path: Path, empty: Any) -> Any:
    text = _text(path)
    try:
        return json.loads(text) if text else empty
    except json.JSONDecodeError as error:
        raise InstitutionalError(f"{path}: torn or edited ({error})") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InstitutionalError(f"{path}: cannot be read ({error})") from error


def _parquet(path: Path, *, must: bool = False) -> pl.DataFrame:
    if not path.is_file():
        if must:
            raise InstitutionalError(
                f"{path}: not there\n  finish the experiment with `institutional run` first"
            )
        return pl.DataFrame()
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InstitutionalError(f"{path}: cannot be read ({error})") from error
