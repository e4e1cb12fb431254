"""A governance graph in words and as Mermaid source; `draw_svg` makes the picture.

The words for guards, sanctions, evidence and norms are here, once, for all three forms. Numbers
are written out: parameters were resolved when the graph was loaded. Nothing here reads a run.
"""

import textwrap
from collections.abc import Iterator
from typing import Any

from institutional.governance.schema import (
    Comparison,
    Edge,
    Evidence,
    Fine,
    Graph,
    Guard,
    Norm,
    Restriction,
    Sanction,
)

COLUMNS = 100
STATUS_COLOURS = {
    "clear": ("#d9f0e6", "#00785a"),
    "under_review": ("#fdf0c8", "#a87b00"),
    "penalised": ("#f9ddcc", "#b34700"),
    "rehabilitated": ("#dceefa", "#0072b2"),
}
"""Status -> (fill, line), after Okabe and Ito: told apart by colour-blind readers."""
ESCALATION, RESTORATION = "#333333", "#0072b2"

_OPERATORS = {"above": "above", "at_least": "at least", "below": "below", "at_most": "at most"}


def answers_a_case(edge: Edge) -> bool:
    """Whether a case asks for `edge`; the other edges restore, or run on time alone."""
    return any(guard.kind in {"case", "streak"} for guard in edge.when)


def number(value: float) -> str:
    """The shortest decimal that reads as `value`, without an exponent for usual sizes."""
    return f"{value:.10g}"


def _rounds(count: int) -> str:
    return f"{count} round{'' if count == 1 else 's'}"


def guard_words(guard: Guard) -> str:
    """A guard in three or four words; `5+` is at least five."""
    value: Any = getattr(guard, guard.kind)
    match guard.kind:
        case "case":
            return f"case {value}"
        case "evidence":
            return f"evidence {value}"
        case "rounds_in_state":
            return f"{value}+ rounds in state"
        case "clean_rounds":
            return f"{value}+ clean rounds"
        case "streak":
            return f"case {value.of}, {value.rounds}+ rounds in a row"
    return f"{value}+ {guard.kind}"


def when_words(edge: Edge) -> str:
    """What requests the move."""
    return " and ".join(guard_words(guard) for guard in edge.when)


def gate_words(edge: Edge) -> str:
    """What a requested move must pass, the cool-down included; empty when nothing."""
    required = " and ".join(guard_words(guard) for guard in edge.require)
    cooldown = f"cooldown {_rounds(edge.cooldown)}" if edge.cooldown else ""
    return "; ".join(part for part in (required, cooldown) if part)


def fine_words(fine: Fine) -> str:
    """The tiers of a fine and what they are a share of."""
    rates = "/".join(number(100 * rate) for rate in fine.rates)
    floor = f", at least {number(fine.floor)}" if fine.floor else ""
    return f"fine {rates}% of {fine.of}{floor}"


def sanction_words(sanction: Sanction) -> str:
    """What a move does at once, the text of a notice left out; empty when nothing."""
    parts = [fine_words(sanction.fine)] if sanction.fine else []
    if sanction.credits:
        count = abs(sanction.credits)
        done = "given" if sanction.credits > 0 else "spent"
        parts.append(f"{count} credit{'s' if count > 1 else ''} {done}")
    return ", ".join([*parts, "notice"] if sanction.notice else parts)


def restriction_words(restriction: Restriction) -> str:
    """What an agent may not do in a state; empty when nothing."""
    if restriction.suspended:
        return "may not act"
    return f"capped at {number(100 * restriction.cap)}%" if restriction.cap < 1 else ""


def edge_lines(edge: Edge) -> list[str]:
    """The label of an edge: its id, what requests it, what it must pass, what it does."""
    gate, sanction = gate_words(edge), sanction_words(edge.sanction)
    needs = [f"needs {gate}" if edge.require else gate] if gate else []
    return [edge.id, when_words(edge), *needs, *([sanction] if sanction else [])]


def condition_words(condition: Any, *, nested: bool = False) -> str:
    """A condition of evidence or norm as a clause; inner `all` and `any` are bracketed."""
    if isinstance(condition, str):
        return condition
    if isinstance(condition, Comparison):
        return comparison_words(condition)
    if hasattr(condition, "not_"):
        return f"not ({condition_words(condition.not_)})"
    word, parts = ("and", condition.all_) if hasattr(condition, "all_") else ("or", condition.any_)
    joined = f" {word} ".join(condition_words(part, nested=len(parts) > 1) for part in parts)
    return f"({joined})" if nested and len(parts) > 1 else joined


def comparison_words(comparison: Comparison) -> str:
    """Signal, threshold and window: `hhi above 1.5 times its value at nash, now and in ...`."""
    given = ", ".join(f"{name} {number(value)}" for name, value in comparison.with_.items())
    threshold = number(comparison.threshold)
    if comparison.relative_to is not None:
        factor = number(1 + comparison.threshold)
        threshold = f"{factor} times its value at {comparison.relative_to}"
    window = comparison.window
    often = ""
    if window.at_least > 1:
        share = "each" if window.at_least == window.of else f"at least {window.at_least}"
        now = "" if window.at_least == window.of else "now and "
        often = f", {now}in {share} of the last {window.of} rounds"
    subject = f"{comparison.signal} (with {given})" if given else comparison.signal
    return f"{subject} {_OPERATORS[comparison.operator]} {threshold}{often}"


def norm_sentence(norm: Norm) -> str:
    """The norm as an ABDICO sentence with its or-else."""
    deontic = norm.deontic.replace("_", " ")
    consequences = ", ".join(norm.or_else)
    return (
        f"{norm.who} {deontic} {norm.aim} {norm.object}, {norm.condition}, or else: {consequences}."
    )


def as_text(graph: Graph) -> str:
    """The whole institution as plain text for a terminal, at most 100 columns wide."""
    parts = [
        _wrapped(f"{graph.name}: {graph.title}"),
        _wrapped(f"Source: {graph.source}"),
        [f"Environment: {graph.environment}"],
        ["", f"STATES (everyone starts in {graph.initial})"],
        *_states(graph),
        ["", "EDGES (from each state, the first that may fire does)"],
        *_edges(graph),
        ["", "NORMS"],
        *(_norm(name, norm) for name, norm in graph.norms.items()),
        ["", "EVIDENCE"],
        *(_evidence(name, evidence) for name, evidence in graph.evidence.items()),
        *_ways_back(graph),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def _wrapped(text: str, lead: str = "", hang: str | None = None) -> list[str]:
    """`text` after `lead`, further lines indented by `hang`."""
    return textwrap.wrap(
        " ".join(text.split()),
        COLUMNS,
        initial_indent=lead,
        subsequent_indent=" " * len(lead) if hang is None else hang,
        break_on_hyphens=False,
    )


def _states(graph: Graph) -> Iterator[list[str]]:
    wide = max(len(name) for name in graph.states)
    for name, state in graph.states.items():
        limit = restriction_words(state.restriction)
        status = state.status.replace("_", " ")
        text = f"{state.meaning}; {limit}" if limit else state.meaning
        yield _wrapped(text, f"  {name:<{wide}}  {status:<13}  ")


def _edges(graph: Graph) -> Iterator[list[str]]:
    for state in graph.states:
        leaving = [edge for edge in graph.edges if edge.source == state]
        if leaving:
            yield [f"  from {state}"]
        for edge in leaving:
            kind = "" if answers_a_case(edge) else "  (restores)"
            yield _wrapped(f"{edge.id} -> {edge.target}{kind}", "    ")
            yield _wrapped(when_words(edge), "      when     ")
            if edge.require:
                required = " and ".join(guard_words(guard) for guard in edge.require)
                yield _wrapped(required, "      require  ")
            if edge.cooldown:
                yield [
                    f"      cooldown {_rounds(edge.cooldown)} between two uses by the same agent"
                ]
            done = sanction_words(edge.sanction)
            if edge.sanction.notice:
                done += f': "{edge.sanction.notice}"'
            if done:
                yield _wrapped(done, "      sanction ")


def _norm(name: str, norm: Norm) -> list[str]:
    breach = f"Breached by {condition_words(norm.breached_by)}."
    return [*_wrapped(norm_sentence(norm), f"  {name}: ", "    "), *_wrapped(breach, "    ")]


def _evidence(name: str, evidence: Evidence) -> list[str]:
    return [
        *_wrapped(f"{evidence.meaning}", f"  {name}: ", "    "),
        *_wrapped(condition_words(evidence.when), "    when "),
    ]


def _ways_back(graph: Graph) -> Iterator[list[str]]:
    """What restores without a move, and which rounds count."""
    rules = graph.restoration
    if rules.credits or rules.forget_offences_after:
        yield ["", "WAYS BACK THAT ARE NOT EDGES"]
    if rules.credits:
        credit = rules.credits
        states = ", ".join(credit.earned_in)
        yield _wrapped(
            f"a credit per {credit.earn_after} clean rounds in a row, in {states}; "
            f"at most {credit.cap}; one unspent lapses after {_rounds(credit.decay)}",
            "  ",
        )
    if rules.forget_offences_after:
        text = f"offences are forgotten after {rules.forget_offences_after} clean rounds"
        yield _wrapped(text, "  ")
    if any(state.restriction.suspended for state in graph.states.values()):
        ignored = graph.detection.rounds_with_a_suspension == "ignore"
        effect = "bring no evidence, case or clean round" if ignored else "count like any other"
        yield ["", f"Rounds in which anyone is suspended {effect}."]
    yield from (["", *_wrapped(line)] for line in detection_words(graph))


def detection_words(graph: Graph) -> list[str]:
    """A sentence for each way in which cases are not simply an agent's own breaches."""
    said, found = graph.detection, []
    if said.audit_share < 1:
        found.append(
            f"An agent is looked at in a round with a chance of {number(said.audit_share)}."
        )
    if said.attribution == "next":
        found.append("What is found of an agent is held against the next one by seat.")
    if said.by_lot is not None:
        found.append(
            f"A case falls on an agent in a round by lot, with a chance of {number(said.by_lot)}, "
            "whatever the evidence."
        )
    if said.from_round:
        found.append(
            f"In the first {_rounds(said.from_round)} nothing is found and nothing counts."
        )
    return found


def as_mermaid(graph: Graph) -> str:
    """The graph as Mermaid flowchart source; restorative edges are dotted and blue.

    A flowchart and not a state diagram: only there can single edges be styled. Ids of states
    carry a prefix because some names (`end`) are words of Mermaid's language.
    """
    lines = ["flowchart LR", f"  start(( )) --> s_{graph.initial}"]
    for name, state in graph.states.items():
        limit = restriction_words(state.restriction)
        label = [f"<b>{name}</b>", state.status.replace("_", " "), *([limit] if limit else [])]
        lines.append(f'  s_{name}(["{"<br/>".join(label)}"]):::{state.status}')
    links, dashed = 1, []  # link 0 is the arrow from the start
    for edge in graph.edges:
        text = "<br/>".join(_escaped(line) for line in edge_lines(edge))
        restores = not answers_a_case(edge)
        line, arrow = ("-.-", "-.->") if restores else ("---", "-->")
        source, target = f"s_{edge.source}", f"s_{edge.target}"
        if edge.source == edge.target:
            # Mermaid writes the labels of loops over other labels; a node of its own finds room.
            lines.append(f'  {source} {line} l_{edge.id}["{text}"]:::label {arrow} {target}')
        else:
            lines.append(f'  {source} {arrow}|"{text}"| {target}')
        count = 2 if edge.source == edge.target else 1
        dashed += [str(links + i) for i in range(count) if restores]
        links += count
    used = dict.fromkeys(state.status for state in graph.states.values())
    for status in used:
        fill, line = STATUS_COLOURS[status]
        lines.append(f"  classDef {status} fill:{fill},stroke:{line},color:#1a1a1a")
    lines.append("  classDef label fill:#fff,stroke:none,color:#1a1a1a")
    if dashed:
        style = f"stroke:{RESTORATION},stroke-dasharray:6 4"
        lines.append(f"  linkStyle {','.join(dashed)} {style}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Text that Mermaid takes literally between quotes."""
    codes = {'"': "#quot;", "#": "#35;", "<": "#lt;", ">": "#gt;", "&": "#amp;"}
    return "".join(codes.get(letter, letter) for letter in text)
