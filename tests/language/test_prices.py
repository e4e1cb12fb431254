from pathlib import Path

import pytest

from agents.language.desk.prices import Price, Spent, read_prices, spent_on
from agents.language.exchange import BackendError, Reply
from agents.language.models import Model

SHIPPED = Path(__file__).parents[2] / "runs/prices.yaml"
HEAD = "format: institutional.prices/1\n"


def test_the_shipped_table_is_readable_and_says_that_it_is_an_example():
    assert read_prices(SHIPPED)["gpt-4o-mini"] == Price(prompt=0.15, completion=0.6)
    assert "EXAMPLES" in SHIPPED.read_text()


def test_toml_is_read_as_well(tmp_path):
    file = tmp_path / "prices.toml"
    file.write_text(
        'format = "institutional.prices/1"\n[models]\n"x.y" = {prompt = 1, completion = 2.5}\n'
    )

    assert read_prices(file) == {"x.y": Price(1.0, 2.5)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no price table"),
        ("models: {}", "no price table"),
        (HEAD, "lists no prices"),
        (HEAD + "modells: {}", 'unknown key "modells". Did you mean "models"'),
        (HEAD + "models: {a: 3}", "give `prompt` and `completion`"),
        (HEAD + "models: {a: {prompt: 1}}", "give `prompt` and `completion`"),
        (HEAD + "models: {a: {prompt: 1, completion: 1, cached: 1}}", "give `prompt`"),
        (HEAD + "models: {a: {prompt: x, completion: 1}}", "give a number"),
        (HEAD + "models: {a: {prompt: true, completion: 1}}", "give a number"),
        (HEAD + "models: {a: {prompt: -1, completion: 1}}", "give 0 or more"),
        (HEAD + "models: {a: {prompt: .nan, completion: 1}}", "give 0 or more"),
        (HEAD + "models: {a: {prompt: 1, completion: 1}, a: {}}", "duplicate key"),
        (HEAD + "models: [", "no readable price table"),
    ],
)
def test_a_table_that_is_wrong_says_where_and_what(tmp_path, text, message):
    file = tmp_path / "prices.yaml"
    file.write_text(text)

    with pytest.raises(BackendError) as caught:
        read_prices(file)
    assert str(caught.value).startswith(str(file))
    assert message in str(caught.value)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BackendError, match=r"nowhere\.yaml: no readable price table"):
        read_prices(tmp_path / "nowhere.yaml")


def test_recorded_answers_cost_what_their_models_price_says():
    """Two million tokens of prompt at 3 and one million answered at 5 are 11; `b` has no price."""
    answer = Reply(text="", finish="stop", prompt_tokens=2_000_000, completion_tokens=1_000_000)
    models = {"a": Model(backend="openai", model="x"), "b": Model(backend="openai", model="y")}

    spent = spent_on([("a", answer), ("b", answer)], models, {"x": Price(3.0, 5.0)})

    assert spent == Spent(2, 4_000_000, 2_000_000, 11.0)
