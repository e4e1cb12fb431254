"""What an agent is told: standing, case and evidence, sanction, the ways on and back.

The text is part of the record: a replay must reproduce it to the byte, so it depends on nothing
but the ruling. Who has done nothing and stands clear gets no notice unless the graph says so.
"""

import numpy as np

from institutional.governance.controller import NO_MOVE, Ruling
from institutional.governance.oracle import Finding, grounds
from institutional.governance.program import Move, Program

HEADINGS = {
    "clear": "CLEAR",
    "under_review": "UNDER REVIEW",
    "penalised": "PENALISED",
    "rehabilitated": "REHABILITATED",
}


def render(program: Program, ruling: Ruling, market: int) -> dict[str, str]:
    """Return the notices after a round, agent -> text, for one market."""
    finding, decisions, register = ruling.finding, ruling.decisions, ruling.register
    graph = program.loaded.graph
    if not graph.send_notices or ruling.round < graph.detection.from_round:
        return {}
    result = {}
    names = [program.states[int(state)] for state in register.state[market]]
    for seat, agent in enumerate(program.agents):
        chosen = int(decisions.move[market, seat])
        status = graph.states[names[seat]].status
        accused = any(breach[market, seat] for breach in finding.breaches)
        if status == "clear" and chosen == NO_MOVE and not accused and not graph.notice_when_clear:
            continue
        state = graph.states[names[seat]]
        now = f"After round {ruling.round + 1} you are {names[seat]}: {state.meaning}."
        lines = [f"{HEADINGS[status]}. {now}"]
        lines += _cases(program, finding, market, seat)
        if chosen != NO_MOVE:
            edge = program.moves[chosen]
            lines += _sanction(program, chosen, float(decisions.fines[market, seat]))
            if edge.credits:
                lines.append(f"Credits: {edge.credits:+d}.")
        if state.restriction.suspended:
            lines.append("You may not act until you leave this state.")
        elif state.restriction.cap < 1:
            lines.append(f"Your actions are capped at {state.restriction.cap:.0%} of the largest.")
        lines += _ways(program, int(register.state[market, seat]))
        if graph.restoration.credits is not None:
            cap = graph.restoration.credits.cap
            lines.append(f"Your credits: {int(register.credits[market, seat])} of {cap}.")
        lines += [
            f"{other} is {names[index]}."
            for index, other in enumerate(program.agents)
            if index != seat
        ]
        result[agent] = "\n".join(lines)
    return result


def _cases(program: Program, finding: Finding, market: int, seat: int) -> list[str]:
    graph, lines = program.loaded.graph, []
    for name, breach in zip(program.norm_names, finding.breaches, strict=True):
        if not breach[market, seat]:
            continue
        norm = graph.norms[name]
        lines.append(
            f"Case under {name}: {norm.who} {norm.deontic.replace('_', ' ')} {norm.aim} "
            f"{norm.object}, {norm.condition}."
        )
        lines += [
            f"Evidence {evidence}: {graph.evidence[evidence].meaning}."
            for evidence in grounds(program, finding, market, seat)
        ]
    return lines


def _sanction(program: Program, chosen: int, fine: float) -> list[str]:
    edge = program.loaded.graph.edges[chosen]
    lines = [f"Decision: {edge.id}, from {edge.source} to {edge.target}."]
    if edge.sanction.fine is not None:
        lines.append(f"You are fined {fine:.2f}.")
    if edge.sanction.notice is not None:
        lines.append(edge.sanction.notice)
    return lines


def _ways(program: Program, state: int) -> list[str]:
    """Where the edges from `state` lead, on a case and without one."""
    lines = []
    for edge in program.moves:
        if edge.source != state:
            continue
        conditions = " and ".join(check.text for check in (*edge.when, *edge.require))
        if is_answer(edge):
            lines.append(f"On {conditions}: {edge.id}, to {program.states[edge.target]}.")
        else:
            lines.append(f"Way back: {program.states[edge.target]} with {conditions}.")
    return lines


def is_answer(edge: Move) -> bool:
    """Whether `edge` answers a case: the others are restorative or run on time alone."""
    return any(check.kind in {"case", "streak"} for check in edge.when)


def restricts(program: Program, edge: Move) -> bool:
    """Whether `edge` leads to a state with a restriction."""
    return bool(program.suspended[edge.target] or np.less(program.cap[edge.target], 1))
