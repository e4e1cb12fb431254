"""Institutions against learners on paper: the YAML specification, checked, and its grid of cells.

A cell is one market under one institution in one arm: the institution itself, or a control in which
the same fines fall on other occasions (`institutional.learning.control`). Sessions are paired by
seed across all cells of a market.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from agents.contract import AgentError
from agents.q_learning import schedule
from agents.q_learning.game import Game, check_fits, from_briefing
from environments import presets
from environments.contract import Core, UnplayableError
from institutional.episode import Table
from institutional.errors import InstitutionalError, suggestion
from institutional.governance.document import Document, Place, read_document
from institutional.governance.loading import (
    LoadedGraph,
    check_document,
    load_graph,
    parse_graph,
)
from institutional.learning.tables import GovernedGame, tabulate

FORMAT = "institutional.learning/1"
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=40)]
Sessions = Annotated[int, Field(strict=True, ge=1, le=100_000)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Control = Literal["lottery", "tax", "wrong_firm"]

NOBODY = b"""\
format: institutional.graph/1
name: nobody
title: No institution
source: the ungoverned market
environment: any
initial: free
states: {free: {status: clear, meaning: nobody looks}}
"""
"""Ungoverned sessions take the same path through the same code, so seeds pair them exactly."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LearnerTerms(_Model):
    """A tabular learner that explores with probability exp(-beta t); defaults of Calvano et al."""

    alpha: float = 0.15
    discount: float = 0.95
    memory: Annotated[int, Field(strict=True)] = 1
    beta: float = 4e-6
    stable: Annotated[int, Field(strict=True)] = 100_000
    most_periods: Annotated[int, Field(strict=True)] = Field(
        default=10_000_000, description="under an institution many sessions never settle"
    )

    @model_validator(mode="after")
    def _playable(self) -> Self:
        try:
            self.build()
        except AgentError as error:
            raise ValueError(str(error)) from None
        return self

    def build(self) -> schedule.Learner:
        """The learner itself."""
        terms = self.model_dump(exclude={"beta"})
        return schedule.Learner(exploration=schedule.EpsilonGreedy(self.beta), **terms)


class Market(_Model):
    """A market of the catalogue with its actions brought on a grid."""

    preset: str
    levels: Annotated[int, Field(strict=True, ge=2, le=1000)] = Field(
        default=15, description="grid points per number of an action"
    )
    parameters: dict[str, Any] = Field(default_factory=dict, description="of the preset")


class Institution(_Model):
    """A governance graph; none, if left out."""

    graph: str | None = Field(default=None, description="path, from the specification's folder")


class Phase(_Model):
    """Fine size times chance of detection, against what learners then gain."""

    market: Name
    graph: str = Field(description="path; its parameters `fine` and `audit_share` are swept")
    sizes: list[Positive] = Field(min_length=2, description="fines, in rents of a cartel's round")
    chances: list[Annotated[float, Field(gt=0, le=1)]] = Field(min_length=2)
    sessions: Sessions = 30
    learner: LearnerTerms = LearnerTerms()

    @field_validator("sizes", "chances")
    @classmethod
    def _ascending(cls, values: list[float], info: ValidationInfo) -> list[float]:
        if values != sorted(set(values)):
            raise ValueError(f"{info.field_name} ascend, each once")
        return values


class Specification(_Model):
    """The YAML document."""

    format: Literal["institutional.learning/1"]
    name: Name
    title: str = ""
    sessions: Sessions = 100
    learner: LearnerTerms = LearnerTerms()
    markets: dict[Name, Market] = Field(min_length=1)
    institutions: dict[Name, Institution] = Field(min_length=1)
    controls: list[Control] = []
    phase: Phase | None = None


@dataclass(frozen=True)
class Cell:
    """One market under one institution; `arm` is "institution" or a control of it."""

    market: str
    institution: str
    arm: str = "institution"

    @property
    def id(self) -> str:
        """Its name in files."""
        return f"{self.market}-{self.institution}-{self.arm}"


@dataclass(frozen=True, eq=False)
class Setting:
    """A market as learners meet it."""

    core: Core
    game: Game


@dataclass(frozen=True)
class Plan:
    """A checked specification with everything it names."""

    specification: Specification
    document: Document
    markets: Mapping[str, Setting]
    graphs: Mapping[str, LoadedGraph]  # by institution; `NOBODY` for none
    phase: LoadedGraph | None

    @property
    def baseline(self) -> str:
        """The institution that is none."""
        return next(n for n, i in self.specification.institutions.items() if i.graph is None)

    def cells(self) -> list[Cell]:
        """What can be played, the ungoverned cell of each market first; controls follow later."""
        names = sorted(self.graphs, key=lambda name: name != self.baseline)
        cells = [Cell(market, name) for market in self.markets for name in names]
        return [cell for cell in cells if not self.why_not(cell)]

    def skipped(self) -> list[dict[str, str]]:
        """What cannot be played, each with its reason."""
        cells = [Cell(market, name) for market in self.markets for name in self.graphs]
        return [
            {"market": cell.market, "institution": cell.institution, "reason": reason}
            for cell in cells
            if (reason := self.why_not(cell))
        ]

    def why_not(self, cell: Cell) -> str:
        """Why the graph of `cell` cannot govern its market; empty if it can."""
        core, loaded = self.markets[cell.market].core, self.graphs[cell.institution]
        return misfit(loaded, core)

    def governed(self, cell: Cell) -> GovernedGame:
        """The market of `cell` under its institution, ready to be learnt in."""
        setting = self.markets[cell.market]
        return govern(setting, self.graphs[cell.institution])


def misfit(loaded: LoadedGraph, core: Core) -> str:
    """Why `loaded` cannot govern `core`; empty if it can."""
    if loaded.graph.environment not in {core.name, "any"}:
        return f"written for {loaded.graph.environment} markets, this is a {core.name} market"
    try:
        Table(core, loaded)
    except InstitutionalError as error:
        return str(error)
    return ""


def govern(setting: Setting, loaded: LoadedGraph) -> GovernedGame:
    """The market of `setting` under `loaded`, as tables."""
    program = Table(setting.core, loaded).program
    assert program is not None  # noqa: S101 - a table with a graph has compiled it
    return tabulate(program, setting.core, setting.game)


def with_parameters(loaded: LoadedGraph, **values: float) -> LoadedGraph:
    """The graph with some of its parameters at other values."""
    document = loaded.document
    parameters = dict(document.values["parameters"])
    for name, value in values.items():
        parameters[name] = {**parameters[name], "value": value}
    changed = {**document.values, "parameters": parameters}
    return check_document(replace(document, values=changed))


def load_plan(path: Path, *, quick: bool = False) -> Plan:
    """Read and check the specification at `path`, and everything that it names.

    `quick` keeps every cell and shrinks it to seconds. Raises InstitutionalError (place, rule,
    remedy) before anything is played or written.
    """
    document = read_document(path)
    if not isinstance(document.values, dict) or document.values.get("format") != FORMAT:
        raise document.problem(("format",), f'a learning study begins with "format: {FORMAT}"')
    specification = document.validated(Specification, document.values)
    if quick:
        specification = _shrunk(specification)
    without = [name for name, one in specification.institutions.items() if one.graph is None]
    if len(without) != 1:
        raise document.problem(
            ("institutions",),
            f"{len(without)} institutions have no graph: exactly one is to be compared with\n"
            '  write one as "none: {}"',
        )
    markets = {
        name: _market(document, ("markets", name), market, specification.learner)
        for name, market in specification.markets.items()
    }
    graphs = {
        name: parse_graph(NOBODY, "nobody")
        if one.graph is None
        else load_graph(path.parent / one.graph)
        for name, one in specification.institutions.items()
    }
    phase = specification.phase
    swept = None if phase is None else _swept(document, phase, markets, path.parent)
    return Plan(specification, document, markets, graphs, swept)


def _market(document: Document, place: Place, market: Market, terms: LearnerTerms) -> Setting:
    try:
        core = presets.make(market.preset, **market.parameters)
        game = from_briefing(Table(core, None).briefing(0), levels=market.levels)
        check_fits(game, terms.memory)
    except (UnplayableError, AgentError) as error:
        raise document.problem(place, str(error)) from None
    return Setting(core, game)


def _swept(
    document: Document, phase: Phase, markets: Mapping[str, Setting], folder: Path
) -> LoadedGraph:
    if phase.market not in markets:
        raise document.problem(
            ("phase", "market"),
            f'there is no market "{phase.market}"\n  markets: {", ".join(markets)}.'
            f"{suggestion(phase.market, markets)}",
        )
    loaded = load_graph(folder / phase.graph)
    missing = [name for name in ("fine", "audit_share") if name not in loaded.graph.parameters]
    reason = (
        f"{phase.graph} has no parameter {' and no parameter '.join(missing)} to sweep"
        if missing
        else misfit(loaded, markets[phase.market].core)
    )
    if reason:
        raise document.problem(("phase", "graph"), reason)
    return loaded


def _shrunk(specification: Specification) -> Specification:
    """The same cells in seconds: coarse grids, short learning, few sessions. Shows no economics."""
    short = {"beta": 5e-4, "stable": 2000, "most_periods": 40_000}
    learner = specification.learner.model_copy(update=short)
    phase = specification.phase
    return specification.model_copy(
        update={
            "sessions": min(specification.sessions, 6),
            "learner": learner,
            "markets": {
                name: market.model_copy(update={"levels": min(market.levels, 4)})
                for name, market in specification.markets.items()
            },
            "phase": phase
            and phase.model_copy(
                update={
                    "learner": phase.learner.model_copy(update=short),
                    "sessions": min(phase.sessions, 5),
                    "sizes": phase.sizes[:: max(1, len(phase.sizes) // 2)],
                    "chances": phase.chances[:: max(1, len(phase.chances) // 2)],
                }
            ),
        }
    )
