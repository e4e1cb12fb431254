"""What of a specification with models is part of the plan, and what is refused before it runs."""

import json

import pytest
from talking import GRAPH, SPECIFICATION, talk  # noqa: F401 - a fixture

from institutional.errors import InstitutionalError
from institutional.experiments.models import folder_digest
from institutional.experiments.plan import load_plan
from institutional.governance.wording import public_words

LOCAL = SPECIFICATION.replace("backend: counting, model: climber", "backend: transformers")


def plan_of(path, text):
    path.write_text(text)
    return load_plan(path)


def changed(old, new):
    assert old in SPECIFICATION
    return SPECIFICATION.replace(old, new, 1)


CLIMBER = "climber: {backend: counting, model: climber"


@pytest.mark.parametrize(
    "text",
    [
        SPECIFICATION + "budget: {tokens: 5, money: 1.5}\n",
        SPECIFICATION + "jobs: 3\n",
        changed("seeds: 2", "seeds: 7"),
        changed(CLIMBER, CLIMBER + ", base_url: http://127.0.0.1:8000/v1"),
        changed(CLIMBER, CLIMBER + ", key: THE_KEY, timeout_s: 3, in_flight: 2"),
        changed(CLIMBER, "unused: {backend: openai, model: m}\n  " + CLIMBER),
    ],
)
def test_what_models_cost_and_how_they_are_reached_is_no_part_of_the_plan(talk, text):  # noqa: F811
    before = load_plan(talk).digest

    assert plan_of(talk, text).digest == before


@pytest.mark.parametrize(
    "text",
    [
        changed(CLIMBER, "climber: {backend: counting, model: wanderer"),
        changed(CLIMBER, CLIMBER + ", temperature: 0.5"),
        changed(CLIMBER, CLIMBER + ", options: {top_p: 0.9}"),
        changed("Decide alone.", "Decide together."),
        changed("Decide alone.}", "Decide alone., inspector: {model: climber}}"),
        changed("cournot.yaml}", "cournot.yaml, rules: hidden}"),
        changed("language, model: climber", "language, history: 3, model: climber"),
    ],
)
def test_what_decides_an_answer_is_part_of_the_plan(talk, text):  # noqa: F811
    before = load_plan(talk).digest

    assert plan_of(talk, text).digest != before


def test_a_plan_in_which_nobody_reads_is_what_it_was_without_models(talk):  # noqa: F811
    """Signed experiments of before stay the same, and no model matters to those who ask none."""
    players = "[{agent: language, model: climber}, {agent: language, model: wanderer}]"
    plain = changed(players, "[nash, nash]").replace("  climber:", "  unasked:")
    models = plain[plain.index("models:") : plain.index("pairings:")]

    with_models = plan_of(talk, plain).digest

    assert plan_of(talk, plain.replace(models, "")).digest == with_models


def test_a_regime_tells_its_text_or_its_graph_or_nothing(talk, tmp_path):  # noqa: F811
    (tmp_path / "rules.md").write_text("Sell all goods.\n")
    text = changed(
        "ungoverned: {}", f"silent: {{graph: {GRAPH}, rules: hidden}}\n  ungoverned: {{}}"
    )
    plan = plan_of(talk, text.replace("Decide alone.", "{file: rules.md}"))

    assert plan.language.rules == {
        "silent": "",
        "ungoverned": "",
        "constitutional": "Sell all goods.\n",
        "institutional": public_words(plan.graphs["institutional"]),
    }


def test_a_local_model_is_its_files_wherever_they_lie(talk, tmp_path):  # noqa: F811
    digests = set()
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        text = LOCAL.replace("transformers}", f"transformers, model: {name}}}")
        digests.add(plan_of(talk, text).digest)
    (tmp_path / "there/config.json").write_text("{ }")
    other = plan_of(talk, text)

    assert len(digests) == 1
    assert other.digest not in digests
    assert other.language.files == {"climber": folder_digest(tmp_path / "there")}
    assert str(tmp_path) not in json.dumps(other.language.as_plan())


def test_a_model_without_a_path_lies_in_the_operators_folder(talk, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("INSTITUTIONAL_HOME", str(tmp_path / "home"))
    pocket = SPECIFICATION.replace("{agent: language, model: climber}", "language")
    with pytest.raises(InstitutionalError, match="`institutional agent train pocket` makes"):
        plan_of(talk, pocket)
    folder = tmp_path / "home/models/pocket"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")

    assert plan_of(talk, pocket).language.models["pocket"].model == str(folder)


def test_the_digest_of_a_folder_is_that_of_names_and_contents(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub/file").write_text("x")
    (tmp_path / "b/sub/file").write_text("y")
    (tmp_path / "c/sub/file").rename(tmp_path / "c/sub/other")
    found = [folder_digest(tmp_path / name) for name in ("a", "b", "c", "a")]

    assert len(set(found)) == 3
    assert found[0] == found[3]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (changed("counting, model: climber", "openia, model: m"), 'Did you mean "openai"'),
        (changed("language, model: climber", "language, model: climbr"), 'mean "climber"'),
        (changed("Decide alone.}", "Decide., inspector: {model: nobody}}"), "talk.yaml:10.*nobody"),
        (changed("Decide alone.}", "{file: gone.md}}"), r"gone\.md cannot be read"),
        (changed("ungoverned: {}", "ungoverned: {rules: hidden}"), "only the rules of a graph"),
        (
            changed("ungoverned: {}", "ungoverned: {inspector: {model: climber}}"),
            "an inspector needs rules",
        ),
        (SPECIFICATION + "budget: {tokens: 0}\n", "tokens"),
        (SPECIFICATION + "prices: gone.yaml\n", r"gone\.yaml"),
        (changed("language, model: climber", "language, tremble: 0.1"), "does not tremble"),
        (changed(CLIMBER, CLIMBER + ", temprature: 1"), 'Did you mean "temperature"'),
    ],
)
def test_a_mistake_is_told_with_its_place_before_anything_runs(talk, text, says):  # noqa: F811
    with pytest.raises(InstitutionalError, match=says) as told:
        plan_of(talk, text)
    assert "talk.yaml:" in str(told.value)


@pytest.mark.parametrize(
    "field",
    [
        'key: "sk-proj-SECRET"',
        'base_url: "https://me:SECRET@host/v1"',
        'base_url: "https://host/v1?key=SECRET"',
    ],
)
def test_a_secret_in_a_specification_is_refused_and_not_repeated(talk, field):  # noqa: F811
    with pytest.raises(InstitutionalError, match=r"environment variable|give the key") as told:
        plan_of(talk, changed(CLIMBER, f"{CLIMBER}, {field}"))
    assert "SECRET" not in str(told.value)
