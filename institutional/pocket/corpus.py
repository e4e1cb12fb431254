"""Scripted play of this project's own markets as prompts with answers: what the pocket model reads.

Markets, regimes, pairs of teachers and lengths of history are drawn independently of each other,
so no regime comes with a conduct of its own: what it changes, teachers changed who read the graph.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.contract import Inspection
from agents.language.pocket.pairs import Pair
from environments import presets
from environments.contract import Core
from institutional.episode import Table
from institutional.errors import InstitutionalError
from institutional.governance.loading import LoadedGraph, load_graph
from institutional.governance.wording import public_words
from institutional.pocket.constitutions import constitution
from institutional.pocket.lesson import Lesson, Question
from institutional.pocket.voice import SENTENCES
from institutional.seeds import derive

SHORT, LONG = 14, 36  # rounds of a run
HISTORIES = {1: 0.4, 2: 0.2, 3: 0.15, 5: 0.11, 10: 0.14}  # rounds shown -> share of the runs
PAIRS_A_RUN = 16
TURNS_A_RUN = 6  # of these, as far as there are: changes of plan are rare and worth learning
TREMBLE = 0.03


@dataclass(frozen=True)
class Corpus:
    """What to learn from, what was kept apart, and the graphs that were played."""

    lessons: list[Pair]
    held_out: list[Question]
    files: Mapping[str, str]  # path -> SHA-256 of every graph and text that was played under


def make_corpus(
    graphs: Path, constitutions: Path, *, runs: int, held_out: int, seed: int
) -> Corpus:
    """Play `runs` runs to learn from and `held_out` others, under what two folders hold.

    `graphs` are those of a folder and of its `controls`; `constitutions` are texts (*.md).
    """
    found = sorted((*graphs.glob("*.yaml"), *graphs.glob("controls/*.yaml")))
    texts = sorted(path for path in constitutions.glob("*.md") if path.name != "README.md")
    for folder, files, what in (
        (graphs, found, "governance graphs (*.yaml)"),
        (constitutions, texts, "constitutions (*.md)"),
    ):
        if not files:
            raise InstitutionalError(
                f"{folder}: there are no {what} to play under\n"
                "  run this in a copy of the project's source, or name a folder that has some"
            )
    loaded = [load_graph(path) for path in found]
    play = _Play(loaded, [path.read_text(encoding="utf-8") for path in texts], seed)
    lessons = [asked.pair for run in range(runs) for asked in play.run(f"lesson {run}")]
    kept = [asked for run in range(held_out) for asked in play.run(f"held out {run}")]
    digests = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (*found, *texts)
    }
    return Corpus(lessons, kept, digests)


class _Play:
    """Plays runs; every run is a function of its name and the seed alone."""

    def __init__(self, loaded: Sequence[LoadedGraph], texts: Sequence[str], seed: int) -> None:
        self._loaded, self._texts, self._seed = loaded, texts, seed
        self._tables: dict[tuple[Any, ...], Table] = {}

    def run(self, name: str) -> list[Question]:
        """Play one run; returns some of what was asked in it."""
        chance = np.random.default_rng(derive(self._seed, "pocket", name))
        long = chance.random() < 0.03
        history = 30 if long else int(chance.choice(list(HISTORIES), p=list(HISTORIES.values())))
        table = self._table(chance, rounds=LONG if long else SHORT)
        core = table.core
        plan = "market_division" if "market_division" in core.benchmarks() else "joint_monopoly"
        teachers = chance.choice(list(SENTENCES), len(core.agents))
        if chance.random() < 0.4:
            teachers[:] = teachers[0]  # cartels need partners of a mind
        tremble = TREMBLE if chance.random() < 0.3 else 0.0
        seats = {
            agent: Lesson(
                table.briefing(seat),
                str(teachers[seat]),
                history=history,
                plan=plan,
                tremble=tremble,
            )
            for seat, agent in enumerate(core.agents)
        }
        outcome = table.play(seats, seed=derive(self._seed, name) >> 11)
        if outcome.invalid:
            raise AssertionError(outcome.invalid)
        asked = [question for lesson in seats.values() for question in lesson.questions]
        mixed = [asked[at] for at in chance.permutation(len(asked))]
        turning = [question for question in mixed if question.turns]
        others = [question for question in mixed if not question.turns]
        return (turning[:TURNS_A_RUN] + others + turning[TURNS_A_RUN:])[:PAIRS_A_RUN]

    def _table(self, chance: np.random.Generator, *, rounds: int) -> Table:
        core = _core(chance, rounds)
        kind = chance.choice(("none", "text", "graph"), p=(0.25, 0.2, 0.55))
        if kind == "text":
            inspected = chance.random() < 0.5
            inspection = Inspection("inspector", 2) if inspected else None
            known = chance.random() < 0.5
            text = str(chance.choice(self._texts)) if known else constitution(chance)
            return Table(core, None, rules=text, inspection=inspection)
        if kind == "none":
            return self._kept((str(core.config()),), lambda: Table(core, None))
        loaded = self._loaded[int(chance.integers(len(self._loaded)))]
        rules = "" if chance.random() < 0.2 else public_words(loaded)
        key = (str(core.config()), loaded.exact_digest, bool(rules))
        return self._kept(key, lambda: _governed(core, loaded, rules))

    def _kept(self, key: tuple[Any, ...], make: Callable[[], Table]) -> Table:
        if key not in self._tables:
            self._tables[key] = make()
        return self._tables[key]


def _governed(core: Core, loaded: LoadedGraph, rules: str) -> Table:
    """The market under the graph, or ungoverned where they do not fit."""
    try:
        return Table(core, loaded, rules=rules)
    except InstitutionalError:
        return Table(core, None)


_LIN = ("lin2024", "lin2024_equal40", "lin2024_equal50", "lin2024_reversed")


def _core(chance: np.random.Generator, rounds: int) -> Core:
    draw = chance.random()
    if draw < 0.1:
        return presets.make("calvano2020", rounds=rounds)
    if draw < 0.2:
        return presets.make("symmetric", rounds=rounds)
    shock = {"sd": 3.0, "persistence": 0.5} if chance.random() < 0.3 else None
    if draw < 0.8:
        name = _LIN[int(chance.choice(4, p=(0.55, 0.15, 0.15, 0.15)))]
        return presets.make(name, rounds=rounds, demand_shock=shock)
    low, high = (5.0 * chance.integers(6, 13) for _ in range(2))
    config = presets.make("lin2024", rounds=rounds, demand_shock=shock).config()
    return presets.from_config(config | {"costs": [[low, high], [high, low]]})
