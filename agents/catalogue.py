"""Every agent that can be named in an experiment, with its parameters and what it can read."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from agents.checks import suggestion
from agents.contract import Agent, AgentError, Briefing
from agents.language.player import LanguageAgent
from agents.policies.entries import network, network_learner, preference_policy
from agents.q_learning.learner import QLearner
from agents.scripted.best_reply import BestReply
from agents.scripted.cartel import Cartel
from agents.scripted.evaders import Deterrable, ThresholdParker, WarnCycler
from agents.scripted.static import RandomPlay, Static, price_fixer
from agents.tremble import Trembling


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One agent of the catalogue.

    `fixed` parameters make the agent what its name says and cannot be chosen; those in `files` name
    a file whose content is part of what is run. An agent that does
    not read text has no constitutional arm; an innocent one never colludes, so that a case
    against it is a false positive.
    """

    name: str
    factory: Callable[..., Agent]
    description: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    reads_text: bool = False
    reads_graph: bool = False
    innocent: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameter -> default, of those that may be chosen; every agent has `tremble`."""
        signature = inspect.signature(self.factory).parameters.values()
        own = {p.name: p.default for p in signature if p.kind is p.KEYWORD_ONLY}
        return {k: v for k, v in own.items() if k not in self.fixed} | {"tremble": 0.0}


_ENTRIES = (
    Entry(
        name="nash",
        factory=Static,
        fixed={"benchmark": "nash"},
        description="Plays the one-round Nash equilibrium.",
        innocent=True,
    ),
    Entry(
        name="best_reply",
        factory=BestReply,
        description="Replies best to the others' last actions.",
        innocent=True,
    ),
    Entry(
        name="random",
        factory=RandomPlay,
        description="Plays uniformly within bounds and capacity.",
        innocent=True,
    ),
    Entry(
        name="planner",
        factory=Static,
        fixed={"benchmark": "competitive"},
        description="Plays the efficient plan: specialised, at competitive prices.",
        innocent=True,
    ),
    Entry(
        name="price_fixer",
        factory=price_fixer,
        description="Keeps the cartel's price without dividing the market.",
    ),
    Entry(
        name="divider_grim",
        factory=Cartel,
        fixed={"punishment_rounds": inf},
        description="Divides the market; after a deviation never again.",
        reads_graph=True,
    ),
    Entry(
        name="divider_forgiving",
        factory=Cartel,
        description="Divides the market; punishes a deviation for some rounds, then returns.",
        reads_graph=True,
    ),
    Entry(
        name="divider_stubborn",
        factory=Cartel,
        fixed={"heeds": "nothing"},
        description="Divides the market and returns to it whatever the sanctions.",
    ),
    Entry(
        name="threshold_parker",
        factory=ThresholdParker,
        description="Colludes just as far as the published thresholds do not see.",
        reads_graph=True,
    ),
    Entry(
        name="warn_cycler",
        factory=WarnCycler,
        description="Colludes whenever the next case costs nothing.",
        reads_graph=True,
    ),
    Entry(
        name="deterrable",
        factory=Deterrable,
        description="Colludes only if the rent exceeds the published sanctions.",
        reads_graph=True,
    ),
    Entry(
        name="q_learner",
        factory=QLearner,
        description="Learns from rewards alone, on a grid between Nash and the cartel.",
    ),
    Entry(
        name="network",
        factory=network,
        files=("file",),
        description="Plays a network that was trained elsewhere; without a file, Nash.",
    ),
    Entry(
        name="ppo_learner",
        factory=network_learner,
        files=("file",),
        fixed={"method": "ppo"},
        description="Learns any action from rewards alone, a network improved by PPO.",
    ),
    Entry(
        name="reinforce_learner",
        factory=network_learner,
        files=("file",),
        fixed={"method": "reinforce"},
        description="Learns any action from rewards alone, a network improved by REINFORCE.",
    ),
    Entry(
        name="preference_policy",
        factory=preference_policy,
        files=("file",),
        description="Plays what preferences found in play taught it; without a file, at random.",
    ),
    Entry(
        name="language",
        factory=LanguageAgent,
        description="Asks a language model, which reads the market and the rules in words.",
        reads_text=True,
    ),
)

AGENTS: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def make(name: str, briefing: Briefing, **parameters: Any) -> Agent:
    """Build the agent `name` for the seat of `briefing`; AgentError says what does not fit."""
    if name not in AGENTS:
        raise AgentError(
            f'no agent "{name}"\n  agents: {", ".join(AGENTS)}.{suggestion(name, AGENTS)}'
        )
    entry = AGENTS[name]
    defaults = entry.parameters
    for parameter, value in parameters.items():
        if parameter not in defaults:
            raise AgentError(
                f'agent "{name}" has no parameter "{parameter}"\n'
                f"  parameters: {', '.join(defaults)}.{suggestion(parameter, defaults)}"
            )
        _check_kind(name, parameter, value, defaults[parameter])
    tremble = parameters.pop("tremble", 0.0)
    agent = entry.factory(briefing, **entry.fixed, **parameters)
    return Trembling(agent, briefing, tremble=tremble) if tremble else agent


_KINDS: Mapping[type, tuple[tuple[type, ...], str]] = {
    str: ((str,), "a text"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
}


def _check_kind(name: str, parameter: str, value: object, default: object) -> None:
    """Raise AgentError unless `value`, read from a file, is of the default's kind."""
    kinds, words = _KINDS[type(default)]
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise AgentError(
            f'agent "{name}": {parameter}={value!r} is not {words}\n  the default is {default!r}'
        )
