"""The governance graph as data: what an author may write, and nothing else.

Conditions are a closed, declarative grammar (comparison, window, all/any/not): no expressions and
no code, so that the same document can be linted, explained, drawn, model-checked and run on
thousands of markets. `institutional.governance.loading` reads YAML into these models and resolves
`$name` references to the graph's parameters; names are checked there, because only there are line
and column known.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

FORMAT = "institutional.graph/1"
LONGEST_WINDOW = 64
"""Rounds a window may reach back: a history is the bits of one 64-bit word."""

_REFERENCE = {"type": "string", "pattern": r"^\$[a-z][a-z0-9_]*$"}

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=64)]
Number = Annotated[
    float,
    Field(strict=True, allow_inf_nan=False),
    WithJsonSchema({"anyOf": [{"type": "number"}, _REFERENCE]}),
]
Count = Annotated[
    int,
    Field(strict=True, ge=0, le=1_000_000),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, _REFERENCE]}),
]
Share = Annotated[
    float,
    Field(strict=True, ge=0, le=1, allow_inf_nan=False),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, _REFERENCE]}),
]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Status = Literal["clear", "under_review", "penalised", "rehabilitated"]
OPERATORS = ("above", "at_least", "below", "at_most")


class Model(BaseModel):
    """A part of the graph; unknown keys are errors and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Parameter(Model):
    """A named number of the policy surface, referred to as `$name` elsewhere in the graph."""

    value: Annotated[float, Field(strict=True, allow_inf_nan=False)]
    unit: Text
    source: Literal["paper", "secondary", "chosen"] = Field(
        description="paper: read in it; secondary: read in readings of it; chosen: left open there"
    )
    note: Text


class Window(Model):
    """At least `at_least` of the last `of` rounds, the present one included."""

    at_least: Annotated[Count, Field(ge=1)]
    of: Annotated[Count, Field(ge=1, le=LONGEST_WINDOW)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.at_least > self.of:
            raise ValueError(f"{self.at_least} of {self.of} rounds can never happen")
        return self


class Comparison(Model):
    """A signal past a threshold, now and often enough within its window."""

    signal: Name
    with_: dict[Name, Number] = Field(default_factory=dict, alias="with")
    above: Number | None = None
    at_least: Number | None = None
    below: Number | None = None
    at_most: Number | None = None
    relative_to: Name | None = Field(
        default=None,
        description="a benchmark b: the threshold is on (signal - signal at b) / (signal at b)",
    )
    window: Window = Field(default=Window(at_least=1, of=1), alias="for")

    @model_validator(mode="after")
    def _one_operator(self) -> Self:
        if sum(getattr(self, operator) is not None for operator in OPERATORS) != 1:
            raise ValueError(f"needs exactly one of {', '.join(OPERATORS)}")
        return self

    @property
    def operator(self) -> str:
        """The one of `OPERATORS` that is used."""
        return next(o for o in OPERATORS if getattr(self, o) is not None)

    @property
    def threshold(self) -> float:
        """The number compared with."""
        return float(getattr(self, self.operator))


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "name"
    keys = value if isinstance(value, dict) else type(value).model_fields
    return next((k for k in ("all", "any", "not") if k in keys or f"{k}_" in keys), "comparison")


class _AllOf(Model):
    all_: "list[Condition]" = Field(alias="all", min_length=1)


class _AnyOf(Model):
    any_: "list[Condition]" = Field(alias="any", min_length=1)


class _NotOf(Model):
    not_: "Condition" = Field(alias="not")


Condition = Annotated[
    Annotated[Comparison, Tag("comparison")]
    | Annotated[_AllOf, Tag("all")]
    | Annotated[_AnyOf, Tag("any")]
    | Annotated[_NotOf, Tag("not")]
    | Annotated[Name, Tag("name")],
    Discriminator(_kind),
]
"""A comparison, the name of an evidence, or `all`, `any`, `not` of conditions."""


class Evidence(Model):
    """What the oracle can establish about one agent in one round."""

    meaning: Text
    when: Condition
    secret: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="agents are not told when it holds: no rehearsal shows it"
    )


class Norm(Model):
    """An ABDICO statement: who must or must not do what, when, or else which edges."""

    who: Text
    deontic: Literal["must", "must_not", "may"]
    aim: Text
    object: Text
    condition: Text
    or_else: list[Name] = Field(min_length=1)
    breached_by: Condition = Field(description="a condition over evidence names; true makes a case")


class Restriction(Model):
    """What an agent may not do from the next round on, for as long as it is in the state."""

    suspended: Annotated[bool, Field(strict=True)] = False
    cap: Share = Field(default=1.0, description="share of the largest action; 1 is no cap")


class State(Model):
    """A legal standing."""

    status: Status
    meaning: Text
    restriction: Restriction = Restriction()


class Streak(Model):
    """At least `rounds` rounds in a row with a case under the norm `of`."""

    of: Name
    rounds: Count


class Guard(Model):
    """One thing that must hold; numbers are read as "at least"."""

    case: Name | None = Field(default=None, description="a case under this norm in this round")
    evidence: Name | None = Field(default=None, description="this evidence in this round")
    rounds_in_state: Count | None = None
    clean_rounds: Count | None = Field(default=None, description="rounds in a row without a case")
    credits: Count | None = None
    offences: Count | None = Field(default=None, description="fines so far, unless forgotten")
    streak: Streak | None = None

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"needs exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def kind(self) -> str:
        """The key that is used."""
        return next(iter(self.model_fields_set))


class Fine(Model):
    """max(floor, rate * signal) of the round; the rate grows with the offences before this one."""

    rates: list[Annotated[Number, Field(ge=0)]] = Field(min_length=1)
    of: Name = Field(description="the signal that is fined, in money; negative values count as 0")
    floor: Annotated[Number, Field(ge=0)] = 0.0


class Sanction(Model):
    """What a move does at once. Restrictions belong to the state a move leads to."""

    fine: Fine | None = None
    credits: Annotated[int, Field(strict=True, ge=-1000, le=1000)] = Field(
        default=0, description="credits given (positive) or spent (negative)"
    )
    notice: Text | None = Field(default=None, description="what the agent is told")


class Edge(Model):
    """A lawful move. Edges are tried in the order of the file; the first that may fire does."""

    id: Name
    source: Name = Field(alias="from")
    target: Name = Field(alias="to")
    when: list[Guard] = Field(min_length=1, description="all hold: the move is requested")
    require: list[Guard] = Field(
        default_factory=list, description="one fails: the request is refused, and that is recorded"
    )
    cooldown: Count = Field(default=0, description="rounds between two uses by the same agent")
    sanction: Sanction = Sanction()


class Credits(Model):
    """How good conduct is remembered."""

    earn_after: Annotated[Count, Field(ge=1)] = Field(description="clean rounds per credit")
    cap: Annotated[Count, Field(ge=1)]
    decay: Annotated[Count, Field(ge=1)] = Field(description="rounds until one unspent lapses")
    earned_in: list[Name] = Field(min_length=1, description="states in which credits are earned")


class Restoration(Model):
    """The ways back that are not edges."""

    credits: Credits | None = None
    forget_offences_after: Annotated[Count, Field(ge=1)] | None = Field(
        default=None, description="clean rounds after which the count of offences starts anew"
    )


class Detection(Model):
    """How the oracle treats rounds that are not like the others."""

    rounds_with_a_suspension: Literal["ignore", "count"] = Field(
        default="ignore",
        description="ignore: no evidence, cases, streaks or clean rounds for anyone in that market",
    )
    audit_share: Share = Field(
        default=1.0,
        description="chance that an agent is looked at in a round; unseen breaches make no case",
    )
    attribution: Literal["own", "next"] = Field(
        default="own",
        description="next: what is found of an agent is held against the next one by seat, and "
        "of the last against the first (a control arm)",
    )
    by_lot: Share | None = Field(
        default=None,
        description="chance of a case per norm, agent and round, without any look at evidence: "
        "breached_by is not read (a control arm)",
    )
    from_round: Count = Field(
        default=0,
        description="no round before this one, counted from 0, counts; nobody is told anything",
    )

    @model_validator(mode="after")
    def _one_source_of_cases(self) -> Self:
        if self.by_lot is not None and (self.audit_share < 1 or self.attribution != "own"):
            raise ValueError(
                "by_lot makes cases without evidence, so there is nothing to audit a share of or "
                "to attribute: leave audit_share and attribution out"
            )
        return self

    @property
    def draws(self) -> bool:
        """Whether cases hang on a lottery, whose word a run must record."""
        return self.audit_share < 1 or self.by_lot is not None


class Bounds(Model):
    """What a counter must lie within, both ends included."""

    at_least: Count | None = None
    at_most: Count | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("needs at_least or at_most")
        return self


class Fact(Model):
    """One thing that is so in a round of one agent; standing and counters are those after it."""

    state: list[Name] | None = Field(default=None, min_length=1)
    status: list[Status] | None = Field(default=None, min_length=1)
    move: list[Name] | None = Field(default=None, min_length=1, description="one of these edges")
    case: Name | None = Field(default=None, description="a case under this norm")
    evidence: Name | None = None
    rounds_in_state: Bounds | None = None
    clean_rounds: Bounds | None = None
    credits: Bounds | None = None
    offences: Bounds | None = None

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"needs exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def kind(self) -> str:
        """The key that is used."""
        return next(iter(self.model_fields_set))


class _AllFacts(Model):
    all_: "list[Predicate]" = Field(alias="all", min_length=1)


class _AnyFact(Model):
    any_: "list[Predicate]" = Field(alias="any", min_length=1)


class _NotFact(Model):
    not_: "Predicate" = Field(alias="not")


Predicate = Annotated[
    Annotated[Fact, Tag("comparison")]
    | Annotated[_AllFacts, Tag("all")]
    | Annotated[_AnyFact, Tag("any")]
    | Annotated[_NotFact, Tag("not")],
    Discriminator(_kind),
]
"""A fact, or `all`, `any`, `not` of predicates."""


class LeadsTo(Model):
    """Wherever `from` holds, `to` holds then or later, whatever the evidence."""

    from_: Predicate = Field(alias="from")
    to: Predicate


class Property(Model):
    """What the author claims of every history of one agent; the model checker looks for another."""

    id: Name
    meaning: Text
    never: Predicate | None = Field(default=None, description="in no round")
    always: Predicate | None = Field(default=None, description="in every round")
    eventually: Predicate | None = Field(
        default=None, description="from every standing some continuation leads there"
    )
    leads_to: LeadsTo | None = Field(
        default=None, description="inevitable: no evidence whatever can put it off for ever"
    )

    @model_validator(mode="after")
    def _one_claim(self) -> Self:
        if len(self.model_fields_set & {"never", "always", "eventually", "leads_to"}) != 1:
            raise ValueError("needs exactly one of never, always, eventually, leads_to")
        return self


class Graph(Model):
    """A governance graph: the whole institution in one document."""

    format: Literal["institutional.graph/1"]
    name: Name
    title: Text
    source: Text
    environment: Name = Field(description="whose public record and signals the evidence reads")
    parameters: dict[Name, Parameter] = Field(default_factory=dict)
    initial: Name
    states: dict[Name, State] = Field(min_length=1, max_length=100)
    evidence: dict[Name, Evidence] = Field(default_factory=dict)
    norms: dict[Name, Norm] = Field(default_factory=dict)
    edges: list[Edge] = Field(default_factory=list, max_length=1000)
    restoration: Restoration = Restoration()
    detection: Detection = Detection()
    send_notices: Annotated[bool, Field(strict=True)] = Field(
        default=True, description="false: sanctions fall without a word (a control arm)"
    )
    notice_when_clear: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="whether an agent in good standing is told so every round"
    )
    properties: list[Property] = Field(default_factory=list, max_length=100)


def json_schema() -> dict[str, Any]:
    """JSON Schema of the YAML document, for editors: `$name` is accepted where a number is."""
    schema = Graph.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Institutional governance graph"
    return schema
