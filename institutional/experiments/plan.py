"""An experiment on paper: the YAML specification, checked, and the grid of runs it stands for.

The plan is fixed before the first round: its digest goes into every run's manifest. Seeds may be
added later (that extends an experiment); anything else makes it another experiment.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

import rfc8785
from pydantic import ConfigDict, Field, model_validator

from agents.catalogue import AGENTS
from agents.contract import AgentError, Inspection
from agents.language.player import LanguageAgent
from environments import presets
from environments.contract import Core, UnplayableError
from institutional import episode, scoring
from institutional.errors import suggestion
from institutional.experiments.fork import Fork
from institutional.experiments.models import (
    BudgetEntry,
    Inspector,
    Language,
    ModelEntry,
    Name,
    RetriesEntry,
    Strict,
    TextFile,
    chosen_models,
    price_table,
    read_text,
)
from institutional.governance.document import Document, read_document
from institutional.governance.loading import LoadedGraph, load_graph
from institutional.governance.wording import public_words

FORMAT = "institutional.experiment/1"
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**53)]


class Regime(Strict):
    """How the environment is governed: by nothing, by a text, or by a graph."""

    graph: str | None = Field(default=None, description="path, from the specification's folder")
    constitution: str | TextFile | None = Field(
        default=None, description="text shown to agents that read"
    )
    inspector: Inspector | None = Field(
        default=None, description="who holds plans against the text before they are played"
    )
    rules: Literal["shown", "hidden"] = Field(
        default="shown", description="whether agents that read are told the graph in words"
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.graph is not None and self.constitution is not None:
            raise ValueError("give a graph or a constitution, not both")
        if self.rules == "hidden" and self.graph is None:
            raise ValueError("only the rules of a graph can be hidden")
        if self.inspector is not None and (
            self.rules == "hidden" or (self.graph is None and self.constitution is None)
        ):
            raise ValueError("an inspector needs rules to hold plans against")
        return self


class Seat(Strict):
    """One agent of a pairing: a name of the catalogue, with parameters of its own."""

    model_config = ConfigDict(extra="allow", frozen=True)
    agent: str

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class Comparison(Strict):
    """What `compare` is to compare, fixed beforehand."""

    baseline: Name = "ungoverned"
    treatment: Name = "institutional"
    measures: list[str] = Field(default=["tier", "delta", "price", "consumer_surplus", "welfare"])


class Specification(Strict):
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
    models: dict[Name, ModelEntry] = Field(
        default_factory=dict, description="who answers for agents that read"
    )
    budget: BudgetEntry = BudgetEntry()
    retries: RetriesEntry = RetriesEntry()
    prices: str | None = Field(default=None, description="path of a price table, see runs/")
    comparison: Comparison = Comparison()
    fork: Fork | None = Field(default=None, description="written by `institutional fork`")

    @property
    def seed_list(self) -> list[int]:
        """The seeds, in order."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)


Known = Mapping[str, str]
Cell = tuple[str, str]
"""A regime and a pairing."""


@dataclass(frozen=True)
class Run:
    """One run of the grid."""

    id: str
    regime: str
    pairing: str
    seed: int


_NO_PART_OF_THE_PLAN = {"seeds", "jobs", "models", "budget", "retries", "prices", "fork"}


@dataclass(frozen=True)
class Plan:
    """A checked specification with everything it names."""

    specification: Specification
    document: Document
    environment: dict[str, Any]  # the core's resolved configuration
    graphs: Mapping[str, LoadedGraph]  # by regime
    pairings: Mapping[str, tuple[episode.Seat, ...]]
    language: Language = field(default_factory=Language)

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
        """SHA-256 of the plan without its seeds, jobs and means, in hex."""
        specification = self.specification.model_dump(mode="json", exclude=_NO_PART_OF_THE_PLAN)
        for regime in specification["regimes"].values():
            # The plan of an experiment in which nobody reads is what it was before anybody could.
            for name in ("inspector", "rules"):
                if regime[name] == Regime.model_fields[name].default:
                    del regime[name]
        graphs = {name: loaded.exact_digest for name, loaded in self.graphs.items()}
        plan = {"plan": specification, "environment": self.environment, "graphs": graphs}
        if self.files:
            plan["files"] = dict(self.files)
        if self.language.asked:
            plan["language"] = self.language.as_plan()
        if self.specification.fork is not None:
            plan["fork"] = self.specification.fork.declared()
        return hashlib.sha256(rfc8785.dumps(plan)).hexdigest()

    def table(self, regime: str) -> episode.Table:
        """The market under `regime`, where agents take their seats."""
        return episode.Table(
            self.core,
            self.graphs.get(regime),
            rules=self.language.rules[regime],
            inspection=self.language.inspections.get(regime),
        )

    def commits_after(self, round_: int) -> bool:
        """Whether a run's ledger is made durable when this round is decided."""
        return (round_ + 1) % self.specification.commit_every == 0

    def asks(self, run: Run) -> tuple[str, ...]:
        """The models that somebody in `run` asks; none where nobody reads."""
        return self.language.asked.get((run.regime, run.pairing), ())

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


def load_plan(path: Path, known: Known = MappingProxyType({})) -> Plan:
    """Read and check the specification at `path`, and everything that it names.

    `known` are digests of local models by name, whose files are then not looked at. Raises
    InstitutionalError (place, rule, remedy) before anything is run or written.
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
        specification,
        document,
        core.config(),
        graphs,
        dict(_pairings(document, specification)),
        _told(document, specification, graphs),
    )
    return replace(plan, language=_answered(plan, _check(plan), known))


def _told(
    document: Document, specification: Specification, graphs: Mapping[str, LoadedGraph]
) -> Language:
    """What each regime tells agents that read, and who inspects their plans."""
    rules = {}
    for name, regime in specification.regimes.items():
        rules[name] = ""
        if regime.constitution is not None:
            place = ("regimes", name, "constitution")
            rules[name] = read_text(document, place, regime.constitution)
        elif regime.graph is not None and regime.rules == "shown":
            rules[name] = public_words(graphs[name])
    inspections = {
        name: Inspection(regime.inspector.model, regime.inspector.rejections)
        for name, regime in specification.regimes.items()
        if regime.inspector is not None
    }
    return Language(rules=rules, inspections=inspections)


def _answered(plan: Plan, asked: Mapping[Cell, tuple[str, ...]], known: Known) -> Language:
    """The models that the agents of the plan ask."""
    document, specification = plan.document, plan.specification
    used: dict[str, tuple[str | int, ...]] = {}
    for (regime, pairing), names in asked.items():
        inspected = plan.language.inspections.get(regime)
        for name in names:
            by_inspector = inspected is not None and name == inspected.model
            place = ("regimes", regime, "inspector", "model")
            used.setdefault(name, place if by_inspector else ("pairings", pairing))
    models, folders = chosen_models(document, specification.models, used, known)
    price_table(document, specification.prices)
    return replace(plan.language, models=models, folders=folders, asked=asked, known=known)


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


def _check(plan: Plan) -> dict[Cell, tuple[str, ...]]:
    """Build every table and every agent once, so that nothing fails halfway through a grid.

    Returns the models that the agents of each cell of the grid ask, where they ask any.
    """
    document, specification, core = plan.document, plan.specification, plan.core
    asked: dict[Cell, tuple[str, ...]] = {}
    regimes = specification.regimes
    for key in ("baseline", "treatment"):
        name = getattr(specification.comparison, key)
        if name not in regimes and len(regimes) > 1:
            raise document.problem(
                ("comparison", key),
                f'there is no regime "{name}" to compare; regimes: {", ".join(regimes)}',
            )
    for regime in regimes:
        table = plan.table(regime)
        for pairing, seats in plan.pairings.items():
            if len(seats) != len(core.agents):
                raise document.problem(
                    ("pairings", pairing),
                    f"{len(seats)} agents for a market of {len(core.agents)}",
                )
            try:
                seated = table.seat(seats).values()
            except AgentError as error:
                raise document.problem(("pairings", pairing), str(error)) from None
            names = [n for agent in seated if isinstance(agent, LanguageAgent) for n in agent.asks]
            if names:
                asked[regime, pairing] = tuple(dict.fromkeys(names))
    _check_measures(plan, core)
    return asked


def _check_measures(plan: Plan, core: Core) -> None:
    known = scoring.measure_names(core)
    for index, name in enumerate(plan.specification.comparison.measures):
        if name not in known:
            raise plan.document.problem(
                ("comparison", "measures", index),
                f'there is no measure "{name}"\n  measures: {", ".join(known)}.'
                f"{suggestion(name, known)}",
            )
