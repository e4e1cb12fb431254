"""How `institutional audit replay` says what it found."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from institutional.cli.output import print_table

if TYPE_CHECKING:
    from institutional.replay.conformance import Check, Conformance, Exhibits
    from institutional.replay.published import Number
    from institutional.replay.sufficiency import Field


def show_conformance(found: "Conformance", given: "Exhibits") -> None:
    """Print every check, the coverage and, where something differs, both sides of it."""
    from institutional.replay.conformance import ON_TRUST

    print(f"run       {given.run}")
    print(f"inputs    {_inputs(found, given)}")
    print(f"rounds    {found.rounds} derived again")
    print(f"coverage  {found.coverage}")
    title = "checks"
    for answer, checks in _alike(found).items():
        print(f"{title:<10}{', '.join(check.id for check in checks)}: {answer}")
        title = ""
        for check in checks:
            if check.expected is not None:
                print(f"{'':<12}recorded  {check.found}\n{'':<12}derived   {check.expected}")
    print(f"on trust  {', '.join(ON_TRUST)}; why is in --json")
    print(f"replay    {found.replay}")
    for check in found.checks:
        if check.numbers:
            print()
            _show_numbers(check.id, check.numbers)


def _alike(found: "Conformance") -> "dict[str, list[Check]]":
    """The checks under the answer they share, in order."""
    alike: dict[str, list[Check]] = {}
    for check in found.checks:
        outcome = str(check.outcome)
        answer = outcome if outcome == "pass" else f"{outcome}: {check.reason}"
        alike.setdefault(answer, []).append(check)
    return alike


def _inputs(found: "Conformance", given: "Exhibits") -> str:
    graph = f"graph {found.graph[:16]}" if found.graph else "no graph"
    manifest = "the manifest" if given.manifest is not None else "no manifest"
    beside = {
        "summary.json": given.summary,
        "rounds.parquet": given.rounds,
        "results.parquet": given.results,
    }
    there = [name for name, data in beside.items() if data is not None]
    return ", ".join([f"{len(given.entries)} entries", graph, manifest, *there])


def _show_numbers(name: str, numbers: "tuple[Number, ...]") -> None:
    from institutional.replay.parting import plain

    rows = [[plain(n.name), plain(str(n.published)), plain(str(n.derived))] for n in numbers]
    print_table(f"{name}: not signed, and not what the record leads to", _HEADER, rows)


_HEADER = ["name", "published", "from the record"]


def sufficiency_json(fields: "Mapping[str, Field]") -> dict[str, Any]:
    """One object per field."""
    from institutional.replay.sufficiency import INERT

    return {
        "sufficient": all(not field.unnoticed for field in fields.values()),
        "inert": dict(INERT),
        "fields": {
            name: {
                "altered": field.altered,
                "altered_noticed": field.altered_noticed,
                "removed": field.removed,
                "removed_noticed": field.removed_noticed,
                "inert": field.inert,
                "unnoticed": field.unnoticed,
                "by": sorted(field.by),
            }
            for name, field in fields.items()
        },
    }


def show_sufficiency(fields: "Mapping[str, Field]") -> None:
    """Print a row per field, and why those are inert that are."""
    from institutional.replay.parting import plain
    from institutional.replay.sufficiency import INERT

    rows = [
        [
            plain(name),
            f"{field.altered_noticed} of {field.altered}",
            f"{field.removed_noticed} of {field.removed}",
            str(field.inert),
            ", ".join(sorted(field.by)),
        ]
        for name, field in sorted(fields.items())
    ]
    header = ["field", "altered: noticed", "removed: noticed", "inert", "noticed by"]
    print_table("Each logged field, altered and removed in a copy of the log", header, rows)
    print()
    for name, reason in INERT.items():
        if any(field.inert and path.startswith(name) for path, field in fields.items()):
            print(f"inert: {name}: {reason}")
    unnoticed = [name for name, field in fields.items() if field.unnoticed]
    said = f"unnoticed: {', '.join(map(plain, unnoticed))}" if unnoticed else "every field matters"
    print(f"{len(fields)} fields; {said}")
