"""The one optimisation behind every Cournot reference point: a concave quadratic programme.

    maximise  gain'x - x'Hx/2   subject to  x >= 0  and  C x <= capacity

for a positive semidefinite H and a C of zeros and ones (a firm's goods). Where several points are
best, the one of least norm is returned: an even split among equals.

A primal active-set method on a slightly regularised problem finds which limits bind; the equations
of those limits are then solved without the regularisation, and a Karush-Kuhn-Tucker certificate is
checked on the result. Nocedal and Wright 2006, Numerical Optimization, algorithm 16.3.
"""

import math
from typing import NamedTuple

import numpy as np

from environments.contract import Array, Mask, UnplayableError

ACCEPTED = 1e-8
"""Largest residual of the optimality conditions, relative to the largest term in them."""

DIGITS = 13
"""Significant digits of the largest entry that are kept: linear algebra differs in the last ones
between machines, and thresholds relative to a reference point must not."""


class Problem(NamedTuple):
    """Maximise gain'x - x'Hx/2 over x >= 0 with `members` x at most `limit` in every row."""

    gain: Array  # [n]
    curvature: Array  # H, [n, n]
    members: Array  # C, [firms, n]
    limit: float


def maximise(gain: Array, curvature: Array, members: Array, capacity: float) -> Array:
    """Best x [n] for `gain` [n], `curvature` H [n, n] and `members` C [firms, n]; least norm.

    Raises `UnplayableError` if no point passes the certificate.
    """
    if gain.max() <= 0:
        return np.zeros_like(gain)
    scale = min(capacity, float(np.abs(gain).max() / np.diag(curvature).min()))
    unit = max(float(np.abs(gain).max()), scale * float(np.abs(curvature).max()))
    problem = Problem(gain / unit, curvature * (scale / unit), members, capacity / scale)
    best, best_residual = np.zeros_like(gain), math.inf
    for ridge in (1e-9, 1e-7, 1e-11, 1e-5):
        binding = _binding(problem, ridge)
        if binding is None:
            continue
        x, prices = _polished(problem, binding)
        residual = _residual(problem, x, prices)
        if residual < best_residual:
            best, best_residual = x, residual
        if best_residual < ACCEPTED / 100:
            break
    if best_residual > ACCEPTED:
        raise UnplayableError(
            f"a reference point is off its optimality conditions by {best_residual:.1e} of the "
            "largest term: bring costs, slopes and capacity to similar sizes"
        )
    return _rounded(np.maximum(scale * best, 0.0))


def _rounded(x: Array) -> Array:
    largest = float(x.max())
    return x if largest == 0 else np.round(x, DIGITS - 1 - math.floor(math.log10(largest)))


def _binding(problem: Problem, ridge: float) -> Mask | None:
    """Which bounds [n], then capacities [firms] bind at the regularised optimum; None if lost."""
    b, h, members, limit = problem
    n = len(b)
    h = h + ridge * np.eye(n)
    rows = np.vstack([-np.eye(n), members])
    limits = np.concatenate([np.zeros(n), np.full(len(members), limit)])
    held = np.zeros(len(rows), dtype=np.bool_)
    x = np.zeros(n)
    for _ in range(50 * len(rows)):
        target, multipliers = _stationary(b, h, rows[held], limits[held])
        step = target - x
        climb = rows @ step
        blocking = ~held & (climb > 1e-11 * float(np.abs(step).max()))
        room = np.full(len(rows), math.inf)
        np.divide(np.maximum(limits - rows @ x, 0.0), climb, out=room, where=blocking)
        nearest = int(room.argmin())
        if room[nearest] < 1:
            x = x + room[nearest] * step
            held[nearest] = True
            continue
        x = target
        if not held.any() or multipliers.min() >= -1e-12:
            return held
        held[np.flatnonzero(held)[int(multipliers.argmin())]] = False
    return None


def _stationary(b: Array, h: Array, rows: Array, limits: Array) -> tuple[Array, Array]:
    """Best point with `rows` x = `limits`, and the multipliers."""
    n, held = len(b), len(rows)
    system = np.zeros((n + held, n + held))
    system[:n, :n] = h
    system[:n, n:] = rows.T
    system[n:, :n] = rows
    solution = np.linalg.solve(system, np.concatenate([b, limits]))
    return solution[:n], solution[n:]


def _polished(problem: Problem, binding: Mask) -> tuple[Array, Array]:
    """Least-norm point [n] and shadow prices [firms] on the given binding limits, unregularised."""
    b, h, members, limit = problem
    free, full = ~binding[: len(b)], binding[len(b) :]
    rows = members[np.ix_(full, free)]
    system = np.block([[h[np.ix_(free, free)], rows.T], [rows, np.zeros((len(rows), len(rows)))]])
    right = np.concatenate([b[free], np.full(len(rows), limit)])
    solution = np.linalg.lstsq(system, right, rcond=1e-12)[0]
    x, prices = np.zeros(len(b)), np.zeros(len(members))
    x[free] = solution[: free.sum()]
    prices[full] = solution[free.sum() :]
    return x, prices


def _residual(problem: Problem, x: Array, prices: Array) -> float:
    """Largest violation of the optimality conditions, in units of the largest term."""
    gradient = problem.gain - problem.curvature @ x - problem.members.T @ prices
    slack = problem.limit - problem.members @ x
    violations = (
        np.maximum(gradient, 0.0),
        np.abs(gradient * x),
        np.maximum(-x, 0.0),
        np.maximum(-slack, 0.0),
        np.maximum(-prices, 0.0),
        np.abs(prices * slack),
    )
    return max(float(violation.max()) for violation in violations)
