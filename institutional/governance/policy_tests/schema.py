"""Policy tests as data: rounds of given evidence, and what the institution must decide on them.

An author's fixture. `given` says what the oracle would have found, so a test reads without any
market; `expect` says what must follow. Names are checked in `loading`, where places are known.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from institutional.governance.schema import Model, Name, Text

FORMAT = "institutional.policy_tests/1"

Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Expectation(Model):
    """What must be so for one agent after a round; keys that are not written are not looked at."""

    state: Name = Field(default="", description="the agent's standing after the round")
    suspended: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="whether it may not act in the coming round"
    )
    cap: Annotated[Finite, Field(ge=0, le=1)] = Field(
        default=1.0, description="largest share of the largest action in the coming round"
    )
    move: Name | None = Field(default=None, description="the edge applied; null: none")
    fine: Finite | None = Field(default=None, description="money, to 1e-9; null: none")
    refused: list[Name] | dict[Name, Text] = Field(
        default_factory=list,
        description="the edges refused, all of them; a mapping also says a part of each reason",
    )
    cases: list[Name] = Field(
        default_factory=list, description="norms under which there is a case, all of them"
    )
    credits: Count = 0
    offences: Count = 0
    clean: Count = Field(default=0, description="counted rounds in a row without a case")
    notice: list[Text] = Field(
        default_factory=list, description="texts the notice contains; []: there is no notice"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"expects nothing: write any of {', '.join(type(self).model_fields)}")
        return self

    def written(self) -> dict[str, Any]:
        """The keys that the author wrote, in the order of this class."""
        return self.model_dump(exclude_unset=True)


class Round(Model):
    """One round, or the same round several times; the expectation is checked after the last."""

    repeat: Annotated[Count, Field(ge=1, le=10_000)] = 1
    given: dict[Name, list[Name]] = Field(
        default_factory=dict, description="agent: the evidence that holds; no other does"
    )
    signals: dict[Name, dict[Name, Finite]] = Field(
        default_factory=dict, description="signal: agent: value; 0 where none is given"
    )
    expect: dict[Name, Expectation] = Field(default_factory=dict)


class PolicyTest(Model):
    """A story from the first round on, with the institution's blank register."""

    name: Text = Field(description="a sentence about what the institution does")
    agents: list[Name] = Field(default=["a"], min_length=1, max_length=100)
    rounds: list[Round] = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if len(set(self.agents)) < len(self.agents):
            raise ValueError("two agents have the same name: rename one")
        if not any(round_.expect for round_ in self.rounds):
            raise ValueError(
                "no round expects anything, so this test can only pass\n"
                "  add expect: to the round that matters"
            )
        return self


class PolicyTests(Model):
    """A file of policy tests for one governance graph."""

    format: Literal["institutional.policy_tests/1"]
    graph: Text = Field(description="the governance graph, relative to this file")
    tests: list[PolicyTest] = Field(min_length=1, max_length=1000)
