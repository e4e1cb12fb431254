"""Experiments in which models talk: asked once, stopped at any time, played from cassettes."""

import json
import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest
import talking
from talking import CALLS, ROUNDS, Counting, answered, contents, forget, talk  # noqa: F401 - a fixture

from agents.language.backends import catalogue
from agents.language.desk.purse import BudgetSpentError
from agents.language.exchange import Place
from institutional.cassette.exchange import FILE_NAME
from institutional.cassette.reading import read_cassette
from institutional.errors import InstitutionalError
from institutional.experiments.run import Progress, run_experiment
from institutional.ledger.manifest import read_manifest
from institutional.ledger.reading import read_entries
from institutional.replay.conformance import conform, exhibits

RUN = "institutional-climbers-0000"


@pytest.fixture
def whole(talk, tmp_path):  # noqa: F811
    """The experiment, run without a break."""
    run_experiment(talk, tmp_path / "whole", jobs=1)
    return tmp_path / "whole"


def again(talk, folder, **kwargs):  # noqa: F811
    """Run into `folder` with nothing counted before; returns the answers it took."""
    before = len(answered())
    run_experiment(talk, folder, jobs=1, **kwargs)
    return answered()[before:]


def test_every_question_is_asked_once_and_many_runs_at_once(whole):
    results = pl.read_parquet(whole / "results.parquet")

    assert len(answered()) == CALLS
    assert Counting.peak >= 6  # of 6 runs with 2 agents each
    assert results["valid"].all()
    assert results["calls"].to_list() == [2 * ROUNDS] * 6
    assert set(results["audit_word"]) == {"UNANCHORED"}
    assert results.filter(pl.col("regime") == "institutional")["replay"].to_list() == ["exact"] * 2


def test_the_answers_of_a_round_stand_in_the_ledger_before_it(whole):
    entries = read_entries(whole / RUN / "ledger")
    cassette = read_cassette(whole / RUN)
    kinds = [entry.kind for entry in entries if entry.kind != "rotate"]
    first = next(entry.body for entry in entries if entry.kind == "answers")

    assert kinds == ["open", *["answers", "round", "ruling"] * ROUNDS, "close"]
    assert first["round"] == 0
    for agent, told in first["answers"].items():
        (exchange,) = told["exchanges"]
        reply = cassette.exchanges[Place(agent, 0, 0)].reply
        assert exchange["address"] == cassette.addresses[Place(agent, 0, 0)]
        assert exchange["tokens"] == [reply.prompt_tokens, reply.completion_tokens]
        assert (exchange["outcome"], told["fallback"]) == ("played", False)


def test_summaries_count_what_the_cassettes_hold(whole):
    summary = json.loads((whole / RUN / "summary.json").read_text())
    replies = [exchange.reply for exchange in read_cassette(whole / RUN).exchanges.values()]

    assert summary["calls"] == len(replies) == 2 * ROUNDS
    assert summary["prompt_tokens"] == sum(reply.prompt_tokens for reply in replies)
    assert summary["completion_tokens"] == sum(reply.completion_tokens for reply in replies)
    assert (summary["reasked"], summary["rejected"], summary["fallbacks"]) == (0, 0, 0)


def test_the_same_specification_gives_the_same_bytes(talk, whole, tmp_path):  # noqa: F811
    again(talk, tmp_path / "other")

    assert contents(tmp_path / "other") == contents(whole)


def test_manifest_and_plan_say_which_models_texts_and_parameters(whole):
    config = read_manifest(whole / RUN / "manifest.dsse.json")[1].config["language"]

    assert config["models"]["climber"]["model"] == "climber"
    assert set(config["seats"]) == {"firm_1", "firm_2"}
    assert config["seats"]["firm_2"]["model"] == "wanderer"
    assert config["seats"]["firm_2"]["reasks"] == 3
    assert (
        json.loads((whole / "experiment.json").read_text())["language"]["prompts"]
        == (config["prompts"])
    )


def test_an_experiment_is_played_from_cassettes_with_no_model(talk, whole, tmp_path, monkeypatch):  # noqa: F811
    gone = catalogue.Entry("nowhere:Nothing", "")
    monkeypatch.setitem(catalogue.BACKENDS, "counting", gone)

    assert again(talk, tmp_path / "played", cassettes=whole) == []

    assert contents(tmp_path / "played") == contents(whole)


def test_what_is_missing_on_a_cassette_is_named(talk, whole, tmp_path):  # noqa: F811
    path = whole / RUN / FILE_NAME
    lines = path.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if '["firm_2",3,0]' in line)
    path.write_text("".join(lines[:at] + lines[at + 1 :]))

    with pytest.raises(InstitutionalError, match=f"{RUN}/.*firm_2, round 3, attempt 0"):
        again(talk, tmp_path / "played", cassettes=whole)
    path.unlink()
    with pytest.raises(InstitutionalError, match=f"{RUN}/.*not there"):
        again(talk, tmp_path / "played", cassettes=whole)


@pytest.mark.parametrize("stop_after", [1, 7, 30, CALLS - 1])
def test_a_killed_experiment_goes_on_and_asks_nothing_twice(talk, whole, tmp_path, stop_after):  # noqa: F811
    """The models fall silent after some answers; then the process is killed."""
    expected = sorted(forget())
    killed = tmp_path / "killed"
    program = [sys.executable, talking.__file__, str(talk), str(killed), str(stop_after)]
    process = subprocess.Popen(program, env=dict(os.environ))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and recorded(killed) < stop_after:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert recorded(killed) == len(answered()) == stop_after

    run_experiment(talk, killed, jobs=1)

    assert sorted(answered()) == expected
    assert without_order(killed) == without_order(whole)


def recorded(folder):
    """How many exchanges lie on the cassettes of an experiment."""
    return sum(path.read_text().count('"address":') for path in folder.glob(f"*/{FILE_NAME}"))


def without_order(folder):
    """All files; of a cassette, whose lines lie in the order of the answers, what it holds."""
    found = contents(folder)
    for path in folder.glob(f"*/{FILE_NAME}"):
        found[str(path.relative_to(folder))] = read_cassette(path.parent).addresses
    return found


@pytest.mark.parametrize("tokens", [1, 20_000, 30_000])
def test_a_spent_budget_stops_and_a_larger_one_goes_on(talk, whole, tmp_path, tokens):  # noqa: F811
    expected = sorted(forget())
    stopped, seen = tmp_path / "stopped", []
    text = talk.read_text()
    talk.write_text(f"{text}budget: {{tokens: {tokens}}}\n")
    for _ in range(2):  # the second time finds what was spent on the cassettes
        with pytest.raises(BudgetSpentError, match="the budget is spent"):
            run_experiment(talk, stopped, jobs=1, report_progress=seen.append)
    assert seen[-1].spent.calls == recorded(stopped) == len(answered()) < CALLS
    assert seen[-1].spent.tokens <= tokens

    talk.write_text(f"{text}budget: {{tokens: 10000000}}\n")
    run_experiment(talk, stopped, jobs=1)

    assert sorted(answered()) == expected
    different = {"experiment.yaml"}  # it holds the budget
    found, planned = without_order(stopped), without_order(whole)
    assert {name for name in planned if found[name] != planned[name]} <= different


def test_a_dead_model_stops_the_experiment_which_goes_on_when_it_lives(talk, whole, tmp_path):  # noqa: F811
    forget()
    Counting.stop_after, Counting.dead = 20, True
    stopped = tmp_path / "stopped"

    with pytest.raises(InstitutionalError, match="the model is gone") as stop:
        run_experiment(talk, stopped, jobs=1)
    assert "of 6 runs were finished before; the same command goes on" in str(stop.value)
    assert recorded(stopped) == len(answered())

    Counting.stop_after = sys.maxsize
    run_experiment(talk, stopped, jobs=1)

    assert len(answered()) == CALLS
    assert without_order(stopped) == without_order(whole)


def test_a_run_with_too_many_fallbacks_is_invalid_and_derived_as_that(talk, tmp_path):  # noqa: F811
    """The wanderer never says anything of use."""
    Counting.garbles = staticmethod(lambda request: request.model == "wanderer")
    run_experiment(talk, tmp_path / "out", jobs=1)
    results = pl.read_parquet(tmp_path / "out/results.parquet")
    summary = json.loads((tmp_path / "out" / RUN / "summary.json").read_text())
    found = conform(exhibits(tmp_path / "out" / RUN))

    assert not results["valid"].any()
    assert summary["reason"] == (
        "firm_2 gave no answer that could be played in 6 of 6 rounds; "
        "at most 5% may end in a fallback"
    )
    assert (summary["fallbacks"], summary["reasked"]) == (ROUNDS, 4 * ROUNDS)
    assert summary["calls"] == ROUNDS + 4 * ROUNDS
    assert [str(check.outcome) for check in found.checks if check.id != "records"].count(
        "fail"
    ) == 0
    assert read_entries(tmp_path / "out" / RUN / "ledger")[-1].body["status"] == "invalid"


def test_fallbacks_up_to_the_declared_share_count(talk, tmp_path):  # noqa: F811
    talk.write_text(
        talk.read_text().replace("model: wanderer}]", "model: wanderer, most_fallbacks: 1}]")
    )
    Counting.garbles = staticmethod(lambda request: request.model == "wanderer")
    run_experiment(talk, tmp_path / "out", jobs=1)

    assert pl.read_parquet(tmp_path / "out/results.parquet")["valid"].all()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text.replace('"finish":"stop"', '"finish":"length"', 1), "was altered"),
        (lambda text: text[: len(text) // 2], "although the ledger says what was answered"),
        (lambda _: "", "although the ledger says what was answered"),
    ],
)
def test_a_damaged_cassette_stops_a_run_that_goes_on(talk, whole, damage, says):  # noqa: F811
    """Its ledger is whole: what is missing is not asked again."""
    path = whole / RUN / FILE_NAME
    path.write_text(damage(path.read_text()))
    (whole / RUN / "summary.json").unlink()
    before = len(answered())

    with pytest.raises(InstitutionalError, match=rf"{RUN}/{FILE_NAME}.*{says}"):
        run_experiment(talk, whole, jobs=1)

    assert len(answered()) == before


def test_progress_tells_of_calls_and_tokens(talk, tmp_path):  # noqa: F811
    seen = []
    run_experiment(talk, tmp_path / "out", jobs=1, report_progress=seen.append)

    assert seen[0] == Progress(0, 0, 6)
    assert (seen[-1].done, seen[-1].spent.calls) == (6, CALLS)
    assert seen[-1].spent.tokens > 0


def test_runs_with_and_without_readers_share_an_experiment(talk, tmp_path):  # noqa: F811
    talk.write_text(talk.read_text().replace("seeds: 2", "  plain: [nash, nash]\nseeds: 1"))
    run_experiment(talk, tmp_path / "out", jobs=1)
    results = pl.read_parquet(tmp_path / "out/results.parquet")
    plain = tmp_path / "out/institutional-plain-0000"

    assert results.filter(pl.col("pairing") == "plain")["calls"].to_list() == [None, None]
    assert not (plain / FILE_NAME).exists()
    assert "language" not in read_manifest(plain / "manifest.dsse.json")[1].config
    for run in (plain, tmp_path / "out" / RUN):
        assert [c.id for c in conform(exhibits(run)).checks if str(c.outcome) == "fail"] == []


def test_an_interrupted_experiment_goes_on(talk, whole, tmp_path):  # noqa: F811
    forget()
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, talking.__file__, str(talk), str(out), "25"],
        env=dict(os.environ),
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and recorded(out) < 25:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in said

    run_experiment(talk, out, jobs=1)

    assert len(answered()) == CALLS
    assert without_order(out) == without_order(whole)
