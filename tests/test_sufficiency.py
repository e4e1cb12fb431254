"""Every field that is logged matters to a replay, or is declared inert for a reason."""

import json

import pytest
from signed_run import GOLDEN, TRUST, Entry, stubborn
from typer.testing import CliRunner

from institutional.cli.audit import app
from institutional.errors import InstitutionalError
from institutional.replay.conformance import exhibits
from institutional.replay.sufficiency import MOST_ROUNDS, _spread, sufficiency


@pytest.fixture(scope="module")
def fields():
    """Of a run with shocks, fines, refused moves and suspensions."""
    return sufficiency(exhibits(GOLDEN / "shocks-and-suspensions"))


def test_no_field_may_be_altered_or_removed_unnoticed(fields):
    assert {name: f.unnoticed for name, f in fields.items() if f.unnoticed} == {}
    assert all(f.altered and f.removed for f in fields.values())


def test_whatever_was_decided_must_be_noticed_always(fields):
    decided = {name: f for name, f in fields.items() if name.startswith("ruling")}

    assert {"ruling.moves[].fine", "ruling.refused[].reason", "ruling.standings[].state"} < set(
        decided
    )
    assert all(f.altered_noticed == f.altered for f in decided.values())
    assert all(f.removed_noticed == f.removed for f in decided.values())
    assert all(f.by == {"rulings"} for f in decided.values())


def test_only_what_a_suspended_firm_submits_is_inert(fields):
    """Five rounds under suspension, two goods, two other values: twenty changes."""
    inert = {name: f.inert for name, f in fields.items() if f.inert}

    assert inert == {"round.submitted.firm_1[]": 20, "round.submitted.firm_2[]": 20}


def test_what_the_manifest_does_not_declare_is_noticed_by_the_rules_alone(fields):
    for name in ("open.thresholds[][]", "open.agents[]"):
        assert fields[name].by == {"opening"}
    for name in ("round.record.prices[]", "round.record.profits[]"):
        assert "records" in fields[name].by


def test_a_field_that_no_rule_reads_is_a_hole_and_is_named():
    run = stubborn(rounds=3)
    entries = [*run.entries]
    entries[3] = Entry(3, "round", {**entries[3].body, "override": "the chair said so"})
    found = sufficiency(run._replace(entries=entries).exhibits())

    assert [name for name, f in found.items() if f.unnoticed] == ["round.override"]


def test_a_run_that_does_not_conform_has_no_fields_to_look_at():
    run = stubborn(rounds=3)

    with pytest.raises(InstitutionalError, match="does not follow as it is"):
        sufficiency(run.altered(2, "counted", value=False).exhibits())


def test_a_long_run_is_looked_at_from_its_first_round_to_its_last():
    rounds = _spread(1000)

    assert len(rounds) == MOST_ROUNDS
    assert {min(rounds), max(rounds)} == {0, 999}


def test_the_command_prints_a_row_per_field_and_exits_0(tmp_path):
    key = tmp_path / "operator.pub"
    key.write_text(TRUST + "\n")
    arguments = ["replay", str(GOLDEN / "audits-by-lot"), "--key", str(key), "--sufficiency"]
    shown = CliRunner().invoke(app, arguments)
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)

    assert shown.exit_code == 0
    assert "open.lottery" in shown.output
    assert told["sufficient"]
    assert told["fields"]["open.lottery"]["by"] == ["opening", "undecided"]
    assert set(told["fields"]["open.seed"]["by"]) >= {"declared", "opening"}
