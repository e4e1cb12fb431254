"""`institutional graph check` and `graph rules`: what is wrong with an institution on paper."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from institutional.cli.files import write_text
from institutional.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from institutional.governance.check.findings import Finding, Ignored, Rule
    from institutional.governance.explore.findings import Exploration
    from institutional.governance.loading import LoadedGraph

GraphFile = Annotated[Path, typer.Argument(help="A governance graph, as YAML.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(check)
    app.command()(rules)


def check(
    graph: GraphFile,
    environment: Annotated[
        str | None, typer.Option(help="Preset to check signals, benchmarks and ranges against.")
    ] = None,
    sarif: Annotated[
        Path | None, typer.Option(help="Write the findings here as SARIF too.")
    ] = None,
    save_test: Annotated[
        Path | None, typer.Option(help="Write the first counterexample here as a policy test.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read a graph strictly, check every name in it, look for what cannot be meant, explore it.

    The last step follows every legal standing with evidence as free input and tries the rules
    M01 to M07 and the graph's own `properties:`; a violation shows its shortest counterexample.
    Without --environment, the first preset of the kind that the graph names is used. A finding is
    silenced by `# institutional: ignore RULE reason` on its line or on a line of its own above;
    `graph rules` explains the rules. Exits 0 without a finding above a remark, 1 with one, 2 if
    the graph cannot be read.

    Example: institutional graph check governance_graphs/cournot.yaml
    """
    from institutional.governance.check.findings import as_text, ordered, silence
    from institutional.governance.check.lint import NEED_AN_ENVIRONMENT, lint
    from institutional.governance.check.model import findings_of
    from institutional.governance.explore.findings import check as explored
    from institutional.governance.loading import load_graph

    loaded = load_graph(graph)
    preset, known = _market(loaded, environment, graph)
    exploration = explored(loaded)
    found = lint(loaded, **known) + findings_of(loaded, exploration)
    stands, ignored = silence(
        ordered(found),
        loaded.document,
        rules=_rules(),
        unchecked=() if preset else NEED_AN_ENVIRONMENT,
    )
    if sarif is not None:
        _write_sarif(sarif, stands, ignored, graph)
    if as_json:
        facts = _facts(loaded, preset, stands, ignored, graph)
        print_json(facts | {"exploration": exploration.extent})
    else:
        print(_summary(loaded, preset, graph))
        print(f"  explored: {exploration.extent}, {len(exploration.table.codes)} standings")
        for finding in stands:
            print(as_text(finding, str(graph)))
        for silenced in ignored:
            print(as_text(_reasoned(silenced), str(graph)))
        if stands or ignored:
            print(_count(stands, ignored))
    if save_test is not None:
        _save_test(save_test, exploration, graph)
    if any(finding.severity != "info" for finding in stands):
        raise typer.Exit(1)


def rules(
    rule: Annotated[str | None, typer.Argument(help="One rule, by its id.")] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print all of them as one document.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what `graph check` looks for, or explain one RULE with an example.

    Example: institutional graph rules L16
    """
    from dataclasses import asdict

    from institutional.errors import InstitutionalError, suggestion
    from institutional.governance.check.findings import as_markdown

    known = _rules()
    if rule is not None and rule not in known:
        raise InstitutionalError(
            f'there is no rule "{rule}".{suggestion(rule, known)}\n'
            "  `institutional graph rules` lists them"
        )
    chosen = list(known.values()) if rule is None else [known[rule]]
    if markdown:
        print(as_markdown(chosen), end="")
    elif as_json:
        print_json([asdict(one) for one in chosen])
    elif rule is None:
        rows = [(one.id, one.severity, one.title) for one in chosen]
        print_table("Rules of graph check", ("rule", "severity", "what is found"), rows)
    else:
        only = chosen[0]
        example = "\n".join(f"    {line}" for line in only.example.splitlines())
        print(f"{only.id} ({only.severity}): {only.title}\n")
        print(f"{only.why}\n" if only.why else "", end="")
        print(f"  found in:\n{example}")


def _rules() -> "dict[str, Rule]":
    """Every rule of every layer."""
    from institutional.governance.check import findings, lint, model

    return findings.registry(findings.RULES, lint.RULES, model.RULES)


def _save_test(path: Path, exploration: "Exploration", graph: Path) -> None:
    """Write the first counterexample as a policy test."""
    import os

    from institutional.governance.check.model import first_trace
    from institutional.governance.explore.trace import trace_as_policy_test

    trace = first_trace(exploration)
    if trace is None:
        print("no counterexample to save")
        return
    named = os.path.relpath(graph, path.parent)
    text = trace_as_policy_test(
        exploration.loaded, trace, name="a counterexample of graph check", graph=named
    )
    write_text(path, text)
    print(f"counterexample written to {path}; run it with `institutional graph test --tests`")


def _market(
    loaded: "LoadedGraph", environment: str | None, graph: Path
) -> tuple[str | None, dict[str, Any]]:
    """The preset that is checked against, and what `lint` is told of it; raises for bad names."""
    from environments import presets
    from institutional.errors import InstitutionalError
    from institutional.governance.program import compile_graph

    names = [environment] if environment else list(presets.PRESETS)
    cores = ((name, presets.make(name)) for name in names)
    found = next(((n, c) for n, c in cores if c.name == loaded.graph.environment), None)
    if found is None and environment is not None:
        raise InstitutionalError(
            f"{graph}: written for {loaded.graph.environment} markets; {environment} is none"
        )
    if found is None:
        return None, {}
    preset, core = found
    points = {name: point.record for name, point in core.benchmarks().items()}
    program = compile_graph(loaded, agents=core.agents, signals=core.signals, references=points)
    return preset, {"signals": core.signals, "thresholds": program.thresholds()}


def _facts(
    loaded: "LoadedGraph",
    preset: str | None,
    stands: "list[Finding]",
    ignored: "list[Ignored]",
    graph: Path,
) -> dict[str, Any]:
    from institutional.governance.check.findings import as_json

    return {
        "graph": str(graph),
        "name": loaded.graph.name,
        "states": len(loaded.graph.states),
        "edges": len(loaded.graph.edges),
        "evidence": len(loaded.graph.evidence),
        "norms": len(loaded.graph.norms),
        "checked_against": preset,
        "canonical_digest": loaded.canonical_digest,
        "exact_digest": loaded.exact_digest,
        "findings": [as_json(finding) for finding in stands],
        "ignored": [as_json(i.finding) | {"reason": i.reason} for i in ignored],
    }


def _summary(loaded: "LoadedGraph", preset: str | None, graph: Path) -> str:
    written = loaded.graph
    against = f"checked against {preset}" if preset else "signals not checked: no such market here"
    return (
        f"{graph}: well formed, {against}\n"
        f"  {len(written.states)} states, {len(written.edges)} edges, "
        f"{len(written.evidence)} evidence, {len(written.norms)} norms\n"
        f"  canonical digest {loaded.canonical_digest}\n  exact digest     {loaded.exact_digest}"
    )


def _reasoned(ignored: "Ignored") -> "Finding":
    """The silenced finding as it is printed: its reason stands where the remedy was."""
    from dataclasses import replace

    message = f"(ignored) {ignored.finding.message}"
    return replace(ignored.finding, message=message, remedy=f"reason: {ignored.reason}")


def _count(stands: "list[Finding]", ignored: "list[Ignored]") -> str:
    from institutional.governance.check.findings import SEVERITIES

    words = {"error": "error", "warning": "warning", "info": "remark"}
    numbers = {kind: sum(f.severity == kind for f in stands) for kind in SEVERITIES}
    counts = [f"{n} {words[kind]}{'' if n == 1 else 's'}" for kind, n in numbers.items() if n]
    counts += [f"{len(ignored)} ignored with a reason"] if ignored else []
    return f"{', '.join(counts)}; `institutional graph rules RULE` explains one"


def _write_sarif(
    path: Path, stands: "list[Finding]", ignored: "list[Ignored]", graph: Path
) -> None:
    import json

    from institutional.governance.check.sarif import as_sarif

    document = as_sarif(stands, ignored, path=graph, rules=_rules())
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
