"""Tabular learners: the compiled loop against C and NumPy, and what an institution in it costs.

Figures are periods of one session per second of CPU time, in turn, so that ratios hold on a busy
machine. The institution's cost is that of a whole round of oracle and controller on top of the
bare loop over as many periods; fines and suspensions act, so the trajectories differ.
"""

import ctypes
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from agents.q_learning import kernel as bare_kernel
from agents.q_learning.game import Game, from_briefing, starting_values
from agents.q_learning.schedule import Learner
from agents.q_learning.sessions import begin, rules_of, train
from benchmarks.timing import Target
from environments import presets
from institutional.episode import Table
from institutional.governance.loading import LoadedGraph, load_graph, parse_graph
from institutional.learning import kernel
from institutional.learning.sessions import open_session
from institutional.learning.tables import GovernedGame, tabulate

ROOT = Path(__file__).parents[1]
PERIODS = 1_500_000
REPEATS = 7
LEARNER = Learner()
SESSIONS = 1000

ONE_DETECTOR = b"""
format: institutional.graph/1
name: one_detector
title: A fine for a price that stays high
source: made up for the benchmark
environment: bertrand
initial: active
states:
  active: {status: clear, meaning: in good standing}
  fined: {status: penalised, meaning: under a fine}
evidence:
  dear:
    meaning: the price has been far above Nash
    when: {signal: price, above: 0.2, relative_to: nash, for: {at_least: 10, of: 10}}
norms:
  N1: {who: every firm, deontic: must_not, aim: hold, object: a high price, condition: ten rounds,
       or_else: [fine], breached_by: dear}
edges:
  - {id: fine, from: active, to: fined, when: [{case: N1}],
     sanction: {fine: {rates: [1.0], of: profit}}}
  - {id: forgive, from: fined, to: active, when: [{rounds_in_state: 50}]}
"""


def measure() -> list[Target]:
    """Every speed target of the learning engine."""
    table = Table(presets.make("calvano2020"), None)
    game = from_briefing(table.briefing(0))
    one = _governed("calvano2020", parse_graph(ONE_DETECTOR, "one_detector.yaml"), levels=15)
    shipped = _governed("calvano2020", _shipped("bertrand"), levels=15)
    paper = _governed("lin2024", _shipped("cournot"), levels=4)
    with tempfile.TemporaryDirectory() as folder:
        reference = _built(Path(folder))
        _check_equal(game, reference)
        in_c, bare, detector, of_bertrand, of_lin, whole = _medians(
            lambda: _play_c(game, reference),
            lambda: _play(game),
            lambda: _play_governed(one),
            lambda: _play_governed(shipped),
            lambda: _play(paper.game),
            lambda: _play_governed(paper),
        )
        gained, available = _two_cores(game, reference)
    speedup = 2 * gained / available
    numpy_s = _numpy_learner(game, 20_000) / 20_000
    gain = in_c / bare
    return [
        Target("learning loop in C, periods/s", f"{PERIODS / in_c / 1e6:.1f} M"),
        Target("bare compiled loop, periods/s", f"{PERIODS / bare / 1e6:.1f} M"),
        Target("  over C, same trajectory", f"{gain:.2f} x", ">= 0.9 x", gain >= 0.9),
        _share("  one detector over bare", bare, detector, 0.8),
        _share("  the paper's whole graph over bare, Lin's market", of_lin, whole, 0.5),
        Target("  bertrand.yaml over bare", f"{bare / of_bertrand:.2f} x"),
        Target(
            "  over an ordinary NumPy learner",
            f"{numpy_s / (bare / PERIODS):,.0f} x",
            ">= 200 x",
            numpy_s / (bare / PERIODS) >= 200,
        ),
        Target(
            "  two cores over one, where two C threads have two",
            f"{speedup:.2f} x",
            ">= 1.8 x",
            speedup >= 1.8,
        ),
        Target("    in wall time here: ours, C", f"{gained:.2f}, {available:.2f} x"),
        *_calvano(game, table),
        _memory(game),
    ]


def _share(what: str, bare_s: float, governed_s: float, wanted: float) -> Target:
    share = bare_s / governed_s
    return Target(what, f"{share:.2f} x", f">= {wanted} x", share >= wanted)


def _shipped(name: str) -> LoadedGraph:
    return load_graph(ROOT / f"governance_graphs/{name}.yaml")


def _governed(preset: str, loaded: LoadedGraph, *, levels: int) -> GovernedGame:
    core = presets.make(preset)
    table = Table(core, loaded)
    assert table.program is not None
    return tabulate(table.program, core, from_briefing(table.briefing(0), levels=levels))


def _medians(*works: Callable[[], float]) -> list[float]:
    """CPU seconds that each of `works` says it took, median over turns through all of them."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(REPEATS + 1):
        for work, taken in zip(works, times, strict=True):
            seconds = work()
            if turn:  # the first compiles
                taken.append(seconds)
    return [statistics.median(taken) for taken in times]


def _play(game: Game) -> float:
    session = begin(game, LEARNER, np.array([1, 2], dtype=np.uint64))
    start = time.process_time()
    bare_kernel.advance(
        game.sizes, game.payoffs, rules_of(LEARNER)._replace(stable=1 << 62), session, PERIODS
    )
    return time.process_time() - start


def _play_governed(governed: GovernedGame) -> float:
    session, standing = open_session(governed, LEARNER, 1)
    rules = rules_of(LEARNER)._replace(stable=1 << 62)
    start = time.process_time()
    kernel.advance(governed.game.sizes, governed.law, rules, session, standing, None, PERIODS)
    return time.process_time() - start


def _built(folder: Path) -> ctypes.CDLL:
    source, library = Path(__file__).with_suffix(".c"), folder / "learning.so"
    flags = ["-O2", "-shared", "-fPIC", "-ffp-contract=off"]
    subprocess.run(["cc", *flags, "-o", str(library), str(source)], check=True)  # noqa: S607
    return ctypes.CDLL(str(library))


def _play_c(game: Game, reference: ctypes.CDLL) -> float:
    start = time.process_time()
    _advance_c(game, reference, PERIODS)
    return time.process_time() - start


def _advance_c(game: Game, reference: ctypes.CDLL, periods: int) -> bare_kernel.Session:
    session, rules = begin(game, LEARNER, np.array([1, 2], dtype=np.uint64)), rules_of(LEARNER)

    def at(array: np.ndarray) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    reference.advance(
        ctypes.c_int64(game.sizes[0]),
        *map(ctypes.c_double, (rules.alpha, rules.discount, rules.decay, rules.floor)),
        ctypes.c_int64(1 << 62),
        ctypes.c_int64(periods),
        *map(at, (game.payoffs, session.keys, session.values, session.top, session.greedy)),
        *map(at, (session.clock, session.level)),
    )
    return session


def _check_equal(game: Game, reference: ctypes.CDLL) -> None:
    """The yardstick measures the same computation, or it is none."""
    ours = begin(game, LEARNER, np.array([1, 2], dtype=np.uint64))
    rules = rules_of(LEARNER)._replace(stable=1 << 62)
    bare_kernel.advance(game.sizes, game.payoffs, rules, ours, 300_000)
    theirs = _advance_c(game, reference, 300_000)
    assert np.array_equal(ours.values, theirs.values)
    assert ours.clock[bare_kernel.STATE] == theirs.clock[bare_kernel.STATE]


def _numpy_learner(game: Game, periods: int) -> float:
    """CPU seconds of the learner that published replications write: arrays, argmax, a generator."""
    generator = np.random.default_rng(0)
    starts = [starting_values(game, s, initial=None, discount=0.95) for s in (0, 1)]
    values = np.stack([np.tile(start, (*game.sizes, 1)) for start in starts])
    payoffs = game.payoffs.reshape(*game.sizes, 2)
    state, stable, times = np.zeros(2, dtype=int), 0, []
    for _ in range(5):
        start = time.process_time()
        for period in range(600_000, 600_000 + periods):
            explore = np.exp(-4e-6 * period) > generator.random(2)
            actions = np.zeros(2, dtype=int)
            for agent in range(2):
                if explore[agent]:
                    actions[agent] = generator.integers(0, game.sizes[agent])
                else:
                    actions[agent] = np.argmax(values[agent, *state])
            profits = payoffs[tuple(actions)]
            for agent in range(2):
                cell = (agent, *state, actions[agent])
                before = np.argmax(values[agent, *state])
                future = np.max(values[agent, *actions])
                values[cell] = 0.85 * values[cell] + 0.15 * (profits[agent] + 0.95 * future)
                same = before == np.argmax(values[agent, *state])
                stable = (stable + 1) * same
            state = actions
        times.append(time.process_time() - start)
    return statistics.median(times)


def _two_cores(game: Game, reference: ctypes.CDLL) -> tuple[float, float]:
    """How many times as fast two threads are as one in wall time: ours, and two of the C loop.

    Other programs take both cores away as they like; the C threads, which share nothing at all,
    show how much of two cores there was to have. Median of turns.
    """
    learner = Learner(stable=1 << 40, most_periods=500_000)

    def in_c(_: int) -> None:
        _advance_c(game, reference, 500_000)

    def ours(threads: int) -> None:
        train(game, learner, range(24), threads=threads)

    def theirs(threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(in_c, range(24)))

    gains: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for work, gained in zip((ours, theirs), gains, strict=True):
            marks = [time.perf_counter()]
            for threads in (1, 2):
                work(threads)
                marks.append(time.perf_counter())
            gained.append((marks[1] - marks[0]) / (marks[2] - marks[1]))
    return statistics.median(gains[0]), statistics.median(gains[1])


def _calvano(game: Game, table: Table) -> list[Target]:
    """The benchmark of Calvano et al. 2020: 1,000 sessions, all cores."""
    wall, cpu = time.perf_counter(), time.process_time()
    sessions = train(game, LEARNER, range(SESSIONS))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    points = table.core.benchmarks()
    nash, monopoly = (points[n].record["profits"].mean() for n in ("nash", "joint_monopoly"))
    delta = float(((sessions.profit.mean(axis=1) - nash) / (monopoly - nash)).mean())
    periods = float(sessions.periods.mean()) / 1e6
    seconds = min(wall, cpu / 2)  # on two idle cores
    return [
        Target(
            f"{SESSIONS:,} sessions of Calvano's benchmark, s on two cores",
            f"{seconds:.0f} (wall {wall:.0f})",
            "<= 60",
            seconds <= 60,
        ),
        Target("  mean Delta", f"{delta:.4f}", "0.84 to 0.87", 0.84 <= delta <= 0.87),
        Target("  mean periods", f"{periods:.3f} M", "1.75 to 1.95 M", 1.75 <= periods <= 1.95),
    ]


def _memory(game: Game) -> Target:
    """Most memory the process ever held, 10,000 short sessions included."""
    train(game, Learner(stable=1 << 40, most_periods=100), range(10_000))
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return Target("  memory with 10,000 sessions, GB", f"{held:.2f}", "<= 2", held <= 2)
