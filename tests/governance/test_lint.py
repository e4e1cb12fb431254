"""What `graph check` finds before a round is played: every rule broken once, on purpose."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from ruamel import yaml as ruamel_yaml
from small_graph import SIGNALS, YAML, small
from typer.testing import CliRunner

from environments import presets
from institutional.cli import graph_check
from institutional.errors import InstitutionalError
from institutional.governance.check import findings, sarif
from institutional.governance.check.conditions import avoidable, possible
from institutional.governance.check.findings import Finding, Ignored, Rule, registry, silence
from institutional.governance.check.lint import LINTS, RULES, lint
from institutional.governance.hypothetical import PaperSession, compile_on_paper
from institutional.governance.loading import LoadedGraph, load_graph, parse_graph
from institutional.governance.program import compile_graph
from institutional.governance.schema import Graph

ROOT = Path(__file__).parents[2]
NEVER = {"L10", "L11", "L12"}
YAML_READER = ruamel_yaml.YAML(typ="safe", pure=True)
KNOWN = registry(findings.RULES, RULES)

WARN = b"- {id: warn, from: active, to: warned, when: [{case: N1}], sanction: {notice: Come down.}}"
LAPSE = b"- {id: lapse, from: warned, to: active, when: [{rounds_in_state: 3}]}"
RETURN = b"- {id: return, from: out, to: active, when: [{rounds_in_state: 2}]}"
END = b"- {id: end, from: probation, to: active, when: [{clean_rounds: 1}]}"
REDEEM = b"    when: [{credits: 1}]\n    require: [{evidence: calm}]\n"
FINE = b"    sanction: {fine: {rates: [0.5, 1.0], of: level, floor: 3}}\n"
FADE = (
    b"- {id: fade, from: nudged, to: active, when: [{rounds_in_state: 2}]}\n"
    b"  - {id: warn, from: nudged, to: warned, when: [{case: N1}], "
    b"sanction: {fine: {rates: [1], of: level}}}"
)
SPARE = b"  spare: {value: 1, unit: rounds, source: chosen, note: nothing}\n"
CREDITS = b"credits: {earn_after: 2, cap: 2, decay: 4, earned_in: [fined]}"
CALM = b"    when: {signal: level, at_most: 2}\n"


def broken(*changes: tuple[bytes, bytes]) -> bytes:
    """The small graph after each change, made once."""
    text = YAML
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def in_line(text: bytes, found: Finding) -> str:
    """The line that a finding points at."""
    return text.decode().split("\n")[found.line - 1].strip()


def added(text: bytes, *, remarks: bool = False) -> list[tuple[str, str]]:
    """(rule, line it points at) of what is found in `text` and not in the small graph."""
    before = {(f.rule, f.message) for f in lint(small(), signals=SIGNALS)}
    return [
        (f.rule, in_line(text, f))
        for f in lint(small(text), signals=SIGNALS)
        if (f.rule, f.message) not in before and (remarks or f.severity != "info")
    ]


# rule -> changes to the small graph, and the line of the changed graph that the finding names
CASES = {
    "L01": (
        [(b"evidence:", b"  lost: {status: penalised, meaning: lost}\nevidence:")],
        "lost: {status: penalised, meaning: lost}",
    ),
    "L02": (
        [(b"  " + RETURN + b"\n", b"")],
        "out: {status: penalised, meaning: suspended, restriction: {suspended: true}}",
    ),
    "L03": (
        [(RETURN, RETURN.replace(b"to: active", b"to: out2") + b"\n  - {id: turn, from: out2, "
          b"to: out, when: [{case: N1}]}"),
         (b"  probation:", b"  out2: {status: penalised, meaning: watched}\n  probation:"),
         (b"fine_again]", b"fine_again, turn]")],
        "out: {status: penalised, meaning: suspended, restriction: {suspended: true}}",
    ),
    "L04": (
        [(b"out: {status: penalised", b"out: {status: clear")],
        "out: {status: clear, meaning: suspended, restriction: {suspended: true}}",
    ),
    "L05": (
        [(b"    from: warned\n    to: fined\n    when: [{case: N1}]\n",
          b"    from: active\n    to: fined\n    when: [{streak: {of: N1, rounds: 2}}]\n")],
        "warned: {status: under_review, meaning: warned}",
    ),
    "L10": ([(b"when: [{credits: 1}]", b"when: [{credits: 3}]")], "when: [{credits: 3}]"),
    "L11": (
        [(LAPSE, LAPSE + b"\n  - {id: slip, from: warned, to: fined, "
          b"when: [{case: N1}, {offences: 1}]}"),
         (b"fine_again]", b"fine_again, slip]")],
        "- {id: slip, from: warned, to: fined, when: [{case: N1}, {offences: 1}]}",
    ),
    "L12": (
        [(WARN, b"- {id: slow, from: warned, to: fined, when: [{rounds_in_state: 4}]}\n  " + WARN)],
        "- {id: slow, from: warned, to: fined, when: [{rounds_in_state: 4}]}",
    ),
    "L13": (
        [(b"{offences: 2}]", b"{offences: 0}]")],
        "require: [{streak: {of: N1, rounds: 4}}, {offences: 0}]",
    ),
    "L15": (
        [(LAPSE, LAPSE.replace(b"]}", b"]}\n  - {id: cool, from: fined, to: active, "
          b"when: [{rounds_in_state: 9}]}")), (b"cooldown: 2", b"cooldown: 10")],
        "cooldown: 10",
    ),
    "L16": (
        [(WARN, b"- {id: nudge, from: active, to: nudged, when: [{case: N1}]}\n  " + FADE),
         (b"  warned:", b"  nudged: {status: under_review, meaning: nudged}\n  warned:"),
         (b"[warn,", b"[nudge, warn,")],
        "- {id: nudge, from: active, to: nudged, when: [{case: N1}]}",
    ),
    "L20": ([(b"[0.5, 1.0]", b"[0.5, 0.4]")], FINE.decode().strip().replace("1.0", "0.4")),
    "L21": (
        [(b"[0.5, 1.0], of: level, floor: 3", b"[0], of: level")],
        "sanction: {fine: {rates: [0], of: level}}",
    ),
    "L22": ([(b"{credits: -1}", b"{credits: -2}")], "sanction: {credits: -2}"),
    "L23": (
        [(b"when: [{credits: 1}]", b"when: [{clean_rounds: 1}]"),
         (b"    sanction: {credits: -1}\n", b"")],
        CREDITS.decode(),
    ),
    "L30": ([(b"    require: [{evidence: calm}]\n", b"")], "calm:"),
    "L31": (
        [(CALM, b"    when: {all: [{signal: level, above: 5}, {signal: level, below: 3}]}\n")],
        "when: {all: [{signal: level, above: 5}, {signal: level, below: 3}]}",
    ),
    "L32": ([(b"at_most: 2", b"at_most: 12")], "when: {signal: level, at_most: 12}"),
    "L33": (
        [(b"fine_again]", b"fine_again, lapse]")],
        "or_else: [warn, fine, suspend, fine_again, lapse]",
    ),
    "L34": (
        [(b"initial: active", SPARE + b"initial: active")],
        SPARE.decode().strip(),
    ),
}  # fmt: skip
REMARKS = {
    "L14": ([(RETURN, RETURN + b"\n  - {id: early, from: out, to: probation, "
              b"when: [{offences: 9}]}")],
            "- {id: early, from: out, to: probation, when: [{offences: 9}]}"),
    "L17": ([(b"when: [{rounds_in_state: 3}]}", b"when: [{clean_rounds: 3}]}")], WARN.decode()),
}  # fmt: skip


@pytest.mark.parametrize("rule", CASES)
def test_a_broken_graph_shows_its_rule_at_its_line_and_nothing_else(rule):
    changes, line = CASES[rule]

    assert added(broken(*changes)) == [(rule, line)]


@pytest.mark.parametrize("rule", REMARKS)
def test_a_remark_names_its_line(rule):
    changes, line = REMARKS[rule]

    assert added(broken(*changes), remarks=True) == [(rule, line)]


def test_every_lint_rule_is_broken_here():
    assert {row.rule.id for row in LINTS} == {*CASES, *REMARKS}


def guarded(when: bytes, require: bytes, *changes: tuple[bytes, bytes]) -> list[str]:
    """The rules found after `redeem` (from fined) is given other guards; calm stays in use."""
    used = (b"breached_by: high", b"breached_by: {all: [high, {not: calm}]}")
    text = b"    when: " + when + b"\n    require: " + require + b"\n"
    return [rule for rule, _ in added(broken((REDEEM, text), used, *changes))]


# What the lint calls impossible does not happen


def some(draw: np.random.Generator, *choices: object) -> object:
    return choices[int(draw.integers(len(choices)))]


def guard(draw: np.random.Generator) -> dict:
    least = int(draw.integers(4))
    return some(
        draw,
        {"case": some(draw, "P", "Q")},
        {"evidence": some(draw, "x", "y", "z")},
        *({kind: least} for kind in ("rounds_in_state", "clean_rounds", "credits", "offences")),
        {"streak": {"of": some(draw, "P", "Q"), "rounds": least}},
    )


def random_edge(draw: np.random.Generator, number: int) -> dict:
    edge = {"id": f"e{number}", "from": some(draw, *"abc"), "to": some(draw, *"abc")}
    edge["when"] = [guard(draw) for _ in range(int(draw.integers(1, 3)))]
    edge["require"] = some(draw, [], [], [guard(draw)])
    edge["cooldown"] = some(draw, 0, 0, 2, 5)
    fine = some(draw, {}, {"fine": {"rates": [1], "of": "s"}})
    return edge | {"sanction": {**fine, "credits": some(draw, 0, 0, 0, -1, 2)}}


def random_graph(draw: np.random.Generator) -> LoadedGraph:
    edges = [random_edge(draw, number) for number in range(int(draw.integers(3, 9)))]
    norm = {"who": "w", "deontic": "must", "aim": "a", "object": "o", "condition": "c"}
    norm["or_else"] = [edge["id"] for edge in edges]
    credits_ = {"earn_after": some(draw, 1, 2, 3), "decay": some(draw, 1, 2, 5), "cap": 2}
    state = {"status": "clear", "meaning": "m"}
    out = {**state, "restriction": {"suspended": bool(draw.integers(2))}}
    names = {"name": "g", "title": "t", "source": "s", "environment": "e", "initial": "a"}
    graph = {
        "format": "institutional.graph/1",
        **names,
        "states": {"a": state, "b": state, "c": out},
        "evidence": {n: {"meaning": "m", "when": {"signal": n, "above": 0}} for n in "xyz"},
        "norms": {
            "P": norm | {"breached_by": "x"},
            "Q": norm | {"breached_by": {"any": ["x", "y"]}},
        },
        "edges": edges,
        "restoration": {
            "credits": {**credits_, "earned_in": [some(draw, *"abc")]},
            "forget_offences_after": some(draw, None, 2),
        },
    }
    return parse_graph(json.dumps(graph).encode(), "random.yaml")


def test_no_edge_fires_that_the_lint_says_never_does():
    """Random institutions, held over random evidence by the real controller."""
    called_impossible = fired = 0
    for seed in range(120):
        draw = np.random.default_rng(seed)
        loaded = random_graph(draw)
        found = lint(loaded)
        never = {loaded.graph.edges[f.place[1]].id for f in found if f.rule in NEVER}
        lost = {f.place[1] for f in found if f.rule == "L01"}
        session = PaperSession(compile_on_paper(loaded, ("u", "v")))
        for round_ in range(60):
            share = (0, 0.2, 0.8, 1)[round_ // 5 % 4]
            held = session.hold({a: [n for n in "xyz" if draw.random() < share] for a in "uv"})
            used = {move["edge"] for move in held["moves"]}
            assert not used & never, seed
            assert not {move["to"] for move in held["moves"]} & lost, seed
            fired += len(used)
        called_impossible += len(never)

    assert called_impossible > 100
    assert fired > 1000


def test_evidence_that_names_the_one_above_twice_is_not_unfolded():
    """Sixty such steps would be 2 to the 60 parts."""
    tower = {"e0": over(0)} | {f"e{n}": {"all": [f"e{n - 1}"] * 2} for n in range(1, 60)}
    graph = table(**tower)

    assert possible(graph, ["e59"])
    assert avoidable(graph, ["e59"])


CONTRADICTIONS = {
    "the first credit lapses before a second is earned": (
        b"[{credits: 2}]", b"[{evidence: calm}]", (b"decay: 4", b"decay: 2"),
    ),
    "there are no credits": (
        b"[{credits: 1}]", b"[{evidence: calm}]", (b"  " + CREDITS + b"\n", b""),
    ),
    "six clean rounds make offences forgotten": (
        b"[{credits: 1}, {clean_rounds: 6}]", b"[{offences: 1}]",
    ),
    "the level is not high and low at once": (
        b"[{credits: 1}, {evidence: high}]", b"[{evidence: calm}]",
    ),
    "a streak is not clean": (
        b"[{credits: 1}, {clean_rounds: 1}]", b"[{streak: {of: N1, rounds: 1}}]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", CONTRADICTIONS)
def test_guards_that_exclude_each_other_are_seen(why):
    assert guarded(*CONTRADICTIONS[why]) == ["L10"]


@pytest.mark.parametrize(
    "guards",
    [
        (b"[{credits: 2}]", b"[{evidence: calm}]"),
        (b"[{credits: 2}]", b"[{evidence: calm}]", (b"decay: 4", b"decay: 3")),
        (b"[{credits: 1}, {clean_rounds: 5}]", b"[{offences: 1}]"),
        (b"[{credits: 1}, {offences: 9}]", b"[{streak: {of: N1, rounds: 5}}]"),
    ],
)
def test_guards_that_can_hold_together_are_left_alone(guards):
    assert guarded(*guards) == []


@pytest.mark.parametrize("guard", [b"case: N1", b"evidence: calm", b"clean_rounds: 1"])
def test_nothing_is_found_against_the_suspended(guard):
    """Rounds with a suspension are ignored, and nobody enters `out` with a clean round."""
    text = broken((RETURN, RETURN.replace(b"rounds_in_state: 2", guard)))
    if guard.startswith(b"case"):
        text = text.replace(b"fine_again]", b"fine_again, return]")
    assert [rule for rule, _ in added(text)] == ["L10"]
    counted = text + b"detection: {rounds_with_a_suspension: count}\n"
    assert added(counted) == []


def test_without_a_fine_there_are_no_offences():
    text = YAML.replace(FINE, b"")

    assert ("L10", "require: [{streak: {of: N1, rounds: 4}}, {offences: 2}]") in added(text)


def test_an_expiry_in_the_same_round_overtakes_what_stands_below_it():
    calm = b"- {id: calm, from: warned, to: active, when: [{clean_rounds: 3}]}"

    below = broken((LAPSE, LAPSE + b"\n  " + calm))
    above = broken((LAPSE, calm + b"\n  " + LAPSE))

    assert added(below) == [("L12", calm.decode())]
    assert added(above) == []


def test_a_gated_edge_shadows_nothing():
    """`suspend` asks for no more than `fine_again`, but may be refused."""
    assert not [f for f in lint(small()) if f.rule == "L11"]


def test_a_warning_is_not_free_when_it_costs_a_credit_or_restricts():
    spends = broken((b"{notice: Come down.}", b"{credits: -1}"))
    capped = broken((b"meaning: warned}", b"meaning: warned, restriction: {cap: 0.5}}"))

    assert "L16" not in [f.rule for f in lint(small(spends))]
    assert "L16" not in [f.rule for f in lint(small(capped))]


def test_an_expiry_that_asks_for_no_round_comes_in_the_round_after():
    """It stands below `fine`, which fires in that same round."""
    text = broken(
        (b"{rounds_in_state: 3}", b"{rounds_in_state: 0}"),
        (b"    when: [{case: N1}]", b"    when: [{rounds_in_state: 1}]"),
        (b"[warn, fine,", b"[warn,"),
    )

    assert "L12" not in [rule for rule, _ in added(text)]


def test_a_warning_is_not_free_when_the_way_round_costs_money():
    """The only way back to `active` that is not a fine is taken away: a full turn now costs one."""
    text = broken((LAPSE, LAPSE.replace(b"to: active", b"to: fined")))

    assert "L16" not in [f.rule for f in lint(small(text))]


def test_ranges_are_only_judged_where_a_market_is_known():
    text = broken((b"at_most: 2", b"at_most: 12"))

    assert "L32" not in [f.rule for f in lint(small(text))]


def in_market(preset: str) -> list[tuple[str, int]]:
    """(rule, line) of what is found in the paper's institution for one market."""
    loaded = load_graph(ROOT / "governance_graphs/cournot.yaml")
    core = presets.make(preset)
    points = {name: point.record for name, point in core.benchmarks().items()}
    program = compile_graph(loaded, agents=core.agents, signals=core.signals, references=points)
    found = lint(loaded, signals=core.signals, thresholds=program.thresholds())
    return [(f.rule, f.line) for f in found if f.severity != "info"]


def test_a_market_with_one_good_has_no_specialisation():
    assert in_market("symmetric") == [("L32", 88), ("L16", 114)]
    assert in_market("lin2024") == [("L16", 114)]


SHIPPED = {
    "governance_graphs/cournot.yaml": [
        ("L16", 114, '"warn" costs nothing and "warning_expires" wipes it out after 5 rounds'),
        ("L14", 131, '"fine_again" waits while "suspend" fires'),
        ("L14", 148, '"redeem" waits while "clean_exit" fires'),
        ("L14", 154, '"warning_expires" waits while "fine" fires'),
        ("L14", 162, '"probation_ends" waits while "relapse" fires'),
    ],
    "governance_graphs/bertrand.yaml": [
        ("L17", 45, '"warn" costs nothing and 5 clean rounds wipe it out ("clean_warning")'),
    ],
    "tests/golden/graphs/variety.yaml": [
        ("L05", 10, 'in "fined" a case under V1 changes nothing'),
    ],
}


@pytest.mark.parametrize("path", SHIPPED)
def test_the_findings_of_shipped_graphs_are_known(path):
    found = lint(load_graph(ROOT / path))

    assert [(f.rule, f.line) for f in found] == [(rule, line) for rule, line, _ in SHIPPED[path]]
    for f, (_, _, message) in zip(found, SHIPPED[path], strict=True):
        assert f.message.startswith(message)


# Conditions


def table(**evidence: object) -> Graph:
    """A graph of which only the evidence matters."""
    lines = "".join(f"  {n}: {{meaning: m, when: {json.dumps(w)}}}\n" for n, w in evidence.items())
    text = (
        "format: institutional.graph/1\nname: t\ntitle: t\nsource: t\nenvironment: t\n"
        f"initial: a\nstates: {{a: {{status: clear, meaning: a}}}}\nevidence:\n{lines}"
    )
    return parse_graph(text.encode(), "t.yaml").graph


def over(threshold: float, *, hits: int = 1, signal: str = "s", operator: str = "above") -> dict:
    return {"signal": signal, operator: threshold, "for": {"at_least": hits, "of": hits}}


@pytest.mark.parametrize(
    ("condition", "can_hold", "can_fail"),
    [
        (over(5), True, True),
        ({"all": [over(5), over(5, operator="at_most")]}, False, True),
        ({"any": [over(5), over(5, operator="at_most")]}, True, False),
        ({"all": [over(5), over(5, operator="below", signal="other")]}, True, True),
        ({"all": [over(5, operator="at_least"), over(5, operator="at_most")]}, True, True),
        ({"all": [over(5, hits=3), {"not": over(4)}]}, False, True),
        # With a window the comparison may fail although the value is past the threshold now.
        ({"all": [over(5), {"not": over(4, hits=3)}]}, True, True),
    ],
)
def test_conditions_are_judged_by_the_values_they_leave(condition, can_hold, can_fail):
    graph = table(it=condition)

    assert possible(graph, ["it"]) == can_hold
    assert avoidable(graph, ["it"]) == can_fail


# Silencing


def silenced(old: bytes, new: bytes) -> tuple[list[Finding], list[Ignored]]:
    loaded = small(broken((old, new)))
    return silence(lint(loaded), loaded.document, rules=KNOWN)


@pytest.mark.parametrize(
    "line",
    [
        WARN + b" # institutional: ignore L16 the first is meant to be free",
        b"# institutional: ignore L16 the first is meant to be free\n  " + WARN,
        b"# institutional: ignore L16 the first is meant to be free\n  # more\n\n  " + WARN,
    ],
)
def test_a_reason_silences_and_is_listed(line):
    stands, ignored = silenced(WARN, line)

    assert "L16" not in [f.rule for f in stands]
    assert [(i.finding.rule, i.reason) for i in ignored] == [
        ("L16", "the first is meant to be free")
    ]


@pytest.mark.parametrize(
    ("comment", "rule", "says"),
    [
        (b"institutional: ignore L16", "F01", "L16 is silenced without a reason"),
        (b"institutional: ignroe L16 why not", "F01", "this comment is no silencing"),
        (b"institutional: ignore L20 why not", "F02", "L20 is silenced here, but it finds nothing"),
        (b"institutional: ignore L166 why not", "F02", 'there is no rule "L166". Did you mean'),
        (b"institutional: ignore F01 why not", "F02", "F01 is silenced here"),
    ],
)
def test_an_idle_or_bare_silencing_is_a_finding(comment, rule, says):
    stands, ignored = silenced(WARN, WARN + b" # " + comment)

    assert ignored == []
    own = next(f for f in stands if f.rule.startswith("F"))
    assert (own.rule, own.line, own.column) == (rule, 33, 3 + len(WARN) + 1)
    assert own.message.startswith(says)
    assert "L16" in [f.rule for f in stands]


def test_a_rule_that_was_not_looked_for_is_not_idle():
    text = broken((CALM, CALM[:-1] + b" # institutional: ignore L32 in other markets\n"))
    loaded = small(text)

    stands, _ = silence(lint(loaded), loaded.document, rules=KNOWN, unchecked={"L32"})

    assert not [f for f in stands if f.rule.startswith("F")]


def test_a_text_that_quotes_a_silencing_is_no_silencing():
    text = broken((b"meaning: the level is low", b'meaning: "low # institutional: ignore"'))

    assert findings.silencings(small(text).document) == []


# Registry, text, SARIF


def test_other_layers_bring_their_rules():
    mine = Rule("M01", "error", "trap", "nothing yet")

    assert list(registry(RULES, [mine]))[-1] == "M01"
    with pytest.raises(AssertionError, match="two rules are called L01"):
        registry(RULES, RULES)
    with pytest.raises(AssertionError, match="a letter and two digits"):
        registry([Rule("trap", "error", "trap", "")])


def test_every_rule_says_what_why_and_shows_an_example():
    for rule in KNOWN.values():
        assert rule.title, rule.id
        assert rule.why.endswith("."), rule.id
        assert YAML_READER.load(rule.example), rule.id


def test_a_finding_is_printed_with_place_severity_rule_and_remedy():
    found = next(f for f in lint(small()) if f.rule == "L05")

    assert findings.as_text(found, "small.yaml") == (
        'small.yaml:15:3: warning L05 in "probation" a case under N1 changes nothing: no edge '
        'from it answers one\n  add an edge from "probation" on the case; if there is a reason '
        "for none, say it"
    )
    assert findings.as_json(found)["place"] == ["states", "probation"]


def test_sarif_holds_rules_regions_and_suppressions_and_is_the_same_every_time():
    text = WARN + b" # institutional: ignore L16 meant so"
    stands, ignored = silenced(WARN, text)

    document = sarif.as_sarif(stands, ignored, path=Path("a b/small.yaml"), rules=KNOWN)

    again = sarif.as_sarif(*silenced(WARN, text), path=Path("a b/small.yaml"), rules=KNOWN)
    assert json.dumps(document) == json.dumps(again)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(KNOWN)
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert (result["kind"] == "fail") == (result["level"] != "none")
    haven, silent = run["results"][0], run["results"][-1]
    place = haven["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20b/small.yaml"}
    assert place["region"] == {"startLine": 15, "startColumn": 3}
    assert silent["ruleId"] == "L16"
    assert silent["suppressions"] == [{"kind": "inSource", "justification": "meant so"}]


# The commands


def command(*words: object):
    app = typer.Typer()
    graph_check.register(app)
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def write(tmp_path):
    """Write a graph for the Cournot market with one thing changed; return its path."""

    def write(old: str = "", new: str = "") -> Path:
        text = (ROOT / "governance_graphs/cournot.yaml").read_text()
        assert old in text
        path = tmp_path / "graph.yaml"
        path.write_text(text.replace(old, new, 1) if old else text)
        return path

    return write


def test_a_warning_is_a_finding_and_an_explained_one_is_not(write):
    path = ROOT / "governance_graphs/cournot.yaml"
    explained = command("check", path)
    text = path.read_text()
    (comment,) = [line for line in text.splitlines(keepends=True) if "ignore L16" in line]
    bare = write(comment, "")
    unexplained = command("check", bare)

    assert explained.exit_code == 0
    assert "4 remarks, 1 ignored with a reason" in explained.stdout
    assert unexplained.exit_code == 1
    lines = unexplained.stdout.splitlines()
    assert lines[0] == f"{bare}: well formed, checked against lin2024"
    assert lines[5].startswith(f'{bare}:113:5: warning L16 "warn" costs nothing')
    assert lines[-1].startswith("1 warning, 4 remarks;")


def test_an_error_exits_one_and_a_reason_exits_zero(write):
    old = "or_else: [warn, fine, suspend, fine_again, relapse]"
    new = old.replace("]", ", redeem]")
    assert command("check", write(old, new)).exit_code == 1

    done = command("check", write(old, f"{new} # institutional: ignore L33 for the example"))

    assert done.exit_code == 0
    assert "(ignored) P2 says" in done.stdout
    assert "reason: for the example" in done.stdout


def test_json_keeps_its_keys_and_adds_findings(write):
    done = command("check", write("", ""), "--json")

    assert done.exit_code == 0
    facts = json.loads(done.stdout)
    assert list(facts) == [
        *("graph", "name", "states", "edges", "evidence", "norms", "checked_against"),
        *("canonical_digest", "exact_digest", "findings", "ignored", "exploration"),
    ]
    assert {f["rule"] for f in facts["findings"]} == {"L14"}
    assert facts["ignored"][0]["reason"].startswith("the paper's own weakness")


def test_a_graph_without_findings_prints_what_it_always_printed(tmp_path):
    text = (ROOT / "governance_graphs/bertrand.yaml").read_text()
    fine = "fine: {rates: [$fine_rate, $fine_repeat], of: profit}"
    text = text.replace("{notice: Set your", f"{{{fine}, notice: Set your")
    path = tmp_path / "graph.yaml"
    path.write_text(text)

    done = command("check", path)

    assert done.exit_code == 0, done.stdout
    starts = [line.split()[0] for line in done.stdout.splitlines()]
    assert starts == [f"{path}:", "3", "canonical", "exact", "explored:"]


def test_sarif_is_written_beside_the_text(write, tmp_path):
    out = tmp_path / "out.sarif"
    done = command("check", write(), "--sarif", out)

    assert done.exit_code == 0
    results = json.loads(out.read_text())["runs"][0]["results"]
    assert [r["ruleId"] for r in results] == ["L14", "L14", "L14", "L14", "L16"]
    refused = command("check", write(), "--sarif", tmp_path / "no" / "where.sarif")
    assert isinstance(refused.exception, InstitutionalError)


def test_what_cannot_be_read_is_an_error_of_its_own(write):
    done = command("check", write("to: suspended", "to: suspendd"))

    assert isinstance(done.exception, InstitutionalError)


def test_rules_are_listed_and_explained():
    listed = command("rules").stdout
    assert all(rule in listed for rule in KNOWN)

    explained = command("rules", "L16").stdout
    assert "free warning that can be cycled" in explained
    assert "rounds_in_state: 5" in explained
    assert json.loads(command("rules", "L16", "--json").stdout)[0]["id"] == "L16"
    assert 'Did you mean "L16"' in str(command("rules", "L161").exception)


def test_the_command_module_loads_nothing_heavy():
    """`--help` imports it."""
    program = (
        "import sys; import institutional.cli.graph_check; "
        "print([n for n in ('numpy', 'pydantic', 'networkx') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert done.stdout.strip() == "[]"
