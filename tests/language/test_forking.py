"""A fork answers as its parent did until its round, and is an experiment of its own from there."""

import base64
import json

import pytest
from ruamel.yaml import YAML
from talking import GRAPH, ROUNDS, answered, forget, talk  # noqa: F401 - a fixture

from institutional.cassette.exchange import FILE_NAME
from institutional.cassette.reading import read_cassette
from institutional.errors import InstitutionalError
from institutional.experiments.fork import forked
from institutional.experiments.run import run_experiment
from institutional.ledger import keys
from institutional.ledger.auditing.audit import audit
from institutional.ledger.manifest import read_manifest
from institutional.ledger.reading import read_entries
from institutional.replay.conformance import conform, exhibits

AT = 4
CONTROL = GRAPH.parent / "controls/notices_without_fines.yaml"


@pytest.fixture
def parents(talk, tmp_path):  # noqa: F811
    """The folder of a finished experiment; nothing is counted of it."""
    run_experiment(talk, tmp_path / "talk", jobs=1)
    forget()
    return tmp_path / "talk"


def fork(run, out, at=AT, **regime):
    run_experiment(forked(run, out, round_=at, **regime), out, jobs=1)
    (folder,) = (path.parent for path in out.glob("*/summary.json"))
    return folder


def submitted(run):
    return [e.body["submitted"] for e in read_entries(run / "ledger") if e.kind == "round"]


@pytest.mark.parametrize(
    ("of", "regime"),
    [
        ("ungoverned", {"graph": GRAPH}),
        ("ungoverned", {"graph": CONTROL}),
        ("institutional", {}),
        ("constitutional", {"constitution": "text"}),
    ],
)
def test_a_fork_keeps_the_answers_before_its_round_and_asks_from_there(
    parents, tmp_path, of, regime
):
    parent = parents / f"{of}-climbers-0000"
    if "constitution" in regime:
        regime = {"constitution": tmp_path / "text.md"}
        regime["constitution"].write_text("Serve every good.\n")

    run = fork(parent, tmp_path / "fork", **regime)

    assert submitted(run)[:AT] == submitted(parent)[:AT]
    assert len(answered()) == 2 * (ROUNDS - AT)
    before, now = read_cassette(parent).exchanges, read_cassette(run).exchanges
    kept = [place for place in now if place.round < AT]
    assert [now[place].reply for place in kept] == [before[place].reply for place in kept]
    assert set(now) == set(before)


def test_a_fork_is_audited_and_derived_and_names_its_parent(parents, tmp_path):
    parent = parents / "ungoverned-climbers-0001"
    run = fork(parent, tmp_path / "fork", graph=GRAPH)
    config = read_manifest(run / "manifest.dsse.json")[1].config
    origin, _, root = (parent / "ledger/checkpoint").read_text().splitlines()[:3]

    assert config["fork"] == {
        "origin": origin,
        "head": base64.b64decode(root).hex(),
        "round": AT,
    }
    assert config["seed"] == 1
    assert audit(run, keys.operator_key().verify_key.vkey).word.name == "UNANCHORED"
    found = {check.id: str(check.outcome) for check in conform(exhibits(run)).checks}
    assert set(found.values()) == {"pass"}


def test_an_institution_begins_at_the_round_of_the_fork(parents, tmp_path):
    run = fork(parents / "ungoverned-climbers-0000", tmp_path / "fork", graph=GRAPH)
    rulings = [e.body for e in read_entries(run / "ledger") if e.kind == "ruling"]

    assert [ruling["counted"] for ruling in rulings] == [False] * AT + [True] * (ROUNDS - AT)
    assert "from_round: 4" in (run / "graph.yaml").read_text()


def test_the_same_fork_again_asks_nothing_and_changes_nothing(parents, tmp_path):
    parent, out = parents / "institutional-climbers-0000", tmp_path / "fork"
    run = fork(parent, out)
    written = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    forget()

    fork(parent, out)

    assert not answered()
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == written
    (run / "summary.json").unlink()
    fork(parent, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == written


def test_a_fork_of_another_run_does_not_take_its_folder(parents, tmp_path):
    fork(parents / "institutional-climbers-0000", tmp_path / "fork")

    with pytest.raises(InstitutionalError, match=r"fork\.yaml: there already"):
        fork(parents / "institutional-climbers-0001", tmp_path / "fork")


def test_a_parent_that_is_not_the_one_that_was_forked_is_refused(parents, tmp_path):
    out = tmp_path / "fork"
    written = forked(parents / "institutional-climbers-0000", out, round_=AT)
    text = written.read_text()
    other = text.replace("institutional-climbers-0000\n", "institutional-climbers-0001\n", 2)
    assert other != text
    written.write_text(other.replace("0001\n  head", "0000\n  head"))

    with pytest.raises(InstitutionalError, match="not the run that was forked"):
        run_experiment(written, out, jobs=1)


def test_a_parent_whose_cassette_is_not_the_ledgers_is_refused(parents, tmp_path):
    parent = parents / "institutional-climbers-0000"
    path = parent / FILE_NAME
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '["firm_1",2,0]' not in line))

    with pytest.raises(InstitutionalError, match="firm_1, round 2, attempt 0 it does not hold"):
        fork(parent, tmp_path / "fork")
    assert not answered()


@pytest.mark.parametrize("at", [0, ROUNDS])
def test_a_fork_begins_within_the_run(parents, tmp_path, at):
    with pytest.raises(InstitutionalError, match="choose one of 1 to 5"):
        forked(parents / "institutional-climbers-0000", tmp_path / "fork", round_=at)
    assert not (tmp_path / "fork.yaml").exists()


def test_a_run_without_readers_or_with_an_inspector_is_not_forked(talk, tmp_path):  # noqa: F811
    values = YAML(typ="safe").load(talk)
    values["pairings"]["plain"] = ["nash", "nash"]
    values["seeds"] = 1
    values["regimes"] = {
        "ungoverned": {},
        "inspected": {"constitution": "Be fair.", "inspector": {"model": "climber"}},
    }
    values["comparison"] = {"treatment": "inspected"}
    talk.write_text(json.dumps(values))
    run_experiment(talk, tmp_path / "talk", jobs=1)

    for run, says in (
        ("ungoverned-plain-0000", "nobody reads in this run"),
        ("inspected-climbers-0000", "an inspector saw its plans"),
    ):
        with pytest.raises(InstitutionalError, match=says):
            forked(tmp_path / "talk" / run, tmp_path / "fork", round_=2)
