"""An experiment on paper: the YAML specification, checked, and the grid of runs it stands for.

The plan is fixed before the first round: its digest goes into every run's manifest. Seeds may be
added later (that extends an experiment); anything else makes it another experiment.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.catalogue import AGENTS
from agents.contract import AgentError
from environments import presets
from environments.contract import Core, UnplayableError
from institutional import episode, scoring
from institutional.errors import suggestion
from institutional.governance.document import Document, read_document
from institutional.governance.loading import LoadedGraph, load_graph

FORMAT = "institutional.experiment/1"
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=40)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**53)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Regime(_Model):
    """How the environment is governed: by nothing, by a text, or by a graph."""

    graph: str | None = Field(default=None, description="path, from the specification's folder")
    constitution: str | None = Field(default=None, description="text shown to agents that read")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.graph is not None and self.constitution is not None:
            raise ValueError("give a graph or a constitution, not both")
        return self


class Seat(_Model):
    """One agent of a pairing: a name of the catalogue, with parameters of its own."""

    model_config = ConfigDict(extra="allow", frozen=True)
    agent: str

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class Comparison(_Model):
    """What `compare` is to compare, fixed beforehand."""

    baseline: Name = "ungoverned"
    treatment: Name = "institutional"
    measures: list[str] = Field(default=["tier", "delta", "price", "consumer_surplus", "welfare"])


class Specification(_Model):
    """The YAML document."""

    format: Literal["institutional.experiment/1"]
    name: Name
    title: str = ""
    environment: dict[str, Any]
    regimes: dict[Name, Regime] = Field(min_length=1)
    agents: dict[Name, dict[str, Any]] = Field(
        default_factory=dict, description="parameters by agent name, for every seat it takes"
    )
    pairings: dict[Name, list[str | Seat]] = Field(min_length=1)
    seeds: Count | list[Seed] = Field(description="a number n (0 to n-1) or a list")
    commit_every: Count = Field(default=50, description="rounds per durable commit of the ledger")
    rotate_every: Count = Field(default=1000, description="entries per signing key of a ledger")
    keys: Literal["derived", "fresh"] = Field(
        default="derived",
        description="derived: same inputs, same bytes; fresh: erased when the run is closed",
    )
    beacon: str = Field(
        default="", max_length=500, description="a public random value that nobody knew before"
    )
    jobs: Annotated[int, Field(strict=True, ge=0)] = Field(default=0, description="0: every core")
    comparison: Comparison = Comparison()

    @property
    def seed_list(self) -> list[int]:
        """The seeds, in order."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)


@dataclass(frozen=True)
class Run:
    """One run of the grid."""

    id: str
    regime: str
    pairing: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """A checked specification with everything it names."""

    specification: Specification
    document: Document
    environment: dict[str, Any]  # the core's resolved configuration
    graphs: Mapping[str, LoadedGraph]  # by regime
    pairings: Mapping[str, tuple[episode.Seat, ...]]

    @cached_property
    def core(self) -> Core:
        """The market of every run."""
        return presets.from_config(self.environment)

    @cached_property
    def files(self) -> Mapping[str, str]:
        """SHA-256 of every file that an agent's parameters name, by path as it is written."""
        named = {
            seat.parameters[name]
            for seats in self.pairings.values()
            for seat in seats
            for name in AGENTS[seat.agent].files
            if seat.parameters.get(name)
        }
        return {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in sorted(named)}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the plan without its seeds and jobs, in hex."""
        specification = self.specification.model_dump(mode="json", exclude={"seeds", "jobs"})
        graphs = {name: loaded.exact_digest for name, loaded in self.graphs.items()}
        plan = {"plan": specification, "environment": self.environment, "graphs": graphs}
        if self.files:
            plan["files"] = dict(self.files)
        return hashlib.sha256(rfc8785.dumps(plan)).hexdigest()

    def runs(self) -> list[Run]:
        """Every run, regime by regime within a pairing and seed: pairs finish together."""
        return [
            Run(f"{regime}-{pairing}-{seed:04d}", regime, pairing, seed)
            for pairing in self.pairings
            for seed in self.specification.seed_list
            for regime in self.specification.regimes
            if not self._why_not(regime, pairing)
        ]

    def skipped(self) -> list[dict[str, str]]:
        """The cells of the grid that cannot exist, each with its reason."""
        cells = ((r, p) for r in self.specification.regimes for p in self.pairings)
        return [
            {"regime": regime, "pairing": pairing, "reason": reason}
            for regime, pairing in cells
            if (reason := self._why_not(regime, pairing))
        ]

    def innocent(self, pairing: str) -> bool:
        """Whether no agent of the pairing tries to collude."""
        return all(AGENTS[seat.agent].innocent for seat in self.pairings[pairing])

    def _why_not(self, regime: str, pairing: str) -> str:
        reads = any(AGENTS[seat.agent].reads_text for seat in self.pairings[pairing])
        if self.specification.regimes[regime].constitution is not None and not reads:
            return "no agent of this pairing reads text"
        return ""


def load_plan(path: Path) -> Plan:
    """Read and check the specification at `path`, and everything that it names.

    Raises InstitutionalError (place, rule, remedy) before anything is run or written.
    """
    document = read_document(path)
    if not isinstance(document.values, dict) or document.values.get("format") != FORMAT:
        raise document.problem(("format",), f'an experiment begins with "format: {FORMAT}"')
    specification = document.validated(Specification, document.values)
    environment = dict(specification.environment)
    preset = environment.pop("preset", None)
    if not isinstance(preset, str):
        raise document.problem(("environment",), 'name the market, as in "preset: lin2024"')
    try:
        core = presets.make(preset, **environment)
    except UnplayableError as error:
        raise document.problem(("environment",), str(error)) from None
    graphs = {
        name: load_graph(path.parent / regime.graph)
        for name, regime in specification.regimes.items()
        if regime.graph is not None
    }
    plan = Plan(
        specification, document, core.config(), graphs, dict(_pairings(document, specification))
    )
    _check(plan, core)
    return plan


def _pairings(
    document: Document, specification: Specification
) -> Iterator[tuple[str, tuple[episode.Seat, ...]]]:
    for name in specification.agents:
        if name not in AGENTS:
            raise document.problem(
                ("agents", name), f'there is no agent "{name}".{suggestion(name, AGENTS)}'
            )
    for pairing, entries in specification.pairings.items():
        seats = []
        for index, entry in enumerate(entries):
            seat = Seat(agent=entry) if isinstance(entry, str) else entry
            if seat.agent not in AGENTS:
                raise document.problem(
                    ("pairings", pairing, index),
                    f'there is no agent "{seat.agent}"\n  agents: {", ".join(AGENTS)}.'
                    f"{suggestion(seat.agent, AGENTS)}",
                )
            shared = specification.agents.get(seat.agent, {})
            seats.append(episode.Seat(seat.agent, {**shared, **seat.parameters}))
        yield pairing, tuple(seats)


def _check(plan: Plan, core: Core) -> None:
    """Build every table and every agent once, so that nothing fails halfway through a grid."""
    document, specification = plan.document, plan.specification
    regimes = specification.regimes
    for key in ("baseline", "treatment"):
        name = getattr(specification.comparison, key)
        if name not in regimes and len(regimes) > 1:
            raise document.problem(
                ("comparison", key),
                f'there is no regime "{name}" to compare; regimes: {", ".join(regimes)}',
            )
    for regime in regimes:
        table = episode.Table(core, plan.graphs.get(regime))
        for pairing, seats in plan.pairings.items():
            if len(seats) != len(core.agents):
                raise document.problem(
                    ("pairings", pairing),
                    f"{len(seats)} agents for a market of {len(core.agents)}",
                )
            try:
                table.seat(seats)
            except AgentError as error:
                raise document.problem(("pairings", pairing), str(error)) from None
    _check_measures(plan, core)


def _check_measures(plan: Plan, core: Core) -> None:
    known = scoring.measure_names(core)
    for index, name in enumerate(plan.specification.comparison.measures):
        if name not in known:
            raise plan.document.problem(
                ("comparison", "measures", index),
                f'there is no measure "{name}"\n  measures: {", ".join(known)}.'
                f"{suggestion(name, known)}",
            )
