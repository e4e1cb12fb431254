"""The model that is made on the spot: what it learns from, what it is, and that it plays."""

import asyncio
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_models import ROOT, new_pocket
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.language.answer import Malformed, read_answer, read_verdict
from agents.language.backends.transformers import Transformers
from agents.language.models import Model
from agents.language.player import LanguageAgent
from agents.language.pocket.tokenizer import train_tokenizer
from agents.language.pocket.training import LIKE, Lesson, batches
from environments import presets
from institutional.episode import Table
from institutional.errors import InstitutionalError
from institutional.governance.loading import load_graph
from institutional.governance.wording import public_words
from institutional.pocket.corpus import make_corpus
from institutional.pocket.train import Effort, train_pocket

GRAPHS, CONSTITUTIONS = ROOT / "governance_graphs", ROOT / "runs/constitutions"


@pytest.fixture(scope="module")
def corpus():
    return make_corpus(GRAPHS, CONSTITUTIONS, runs=30, held_out=30, seed=1)


def test_every_answer_of_a_teacher_is_one_that_play_accepts(corpus):
    for pair, form, _ in corpus.held_out:
        read = read_verdict(pair.answer) if form is None else read_answer(pair.answer, form)
        assert not isinstance(read, Malformed), (pair.answer, read)


def test_lessons_come_from_every_kind_of_prompt(corpus):
    prompts = [pair.messages for pair in corpus.lessons]
    said = "\n".join(message.content for messages in prompts for message in messages)

    for kind in (
        "# Round 1\n",
        "## Rules",
        "NOTICE after",
        "FINE after",
        "STANDING:",
        "## Refused",
    ):
        assert kind in said
    assert any("You inspect" in messages[0].content for messages in prompts)
    assert any("## Rules" not in messages[0].content for messages in prompts)


def test_a_teacher_whose_prompt_shows_no_rules_knows_of_none(corpus):
    """Sanctions without rules are seen as fines; nobody says what its standing is."""
    hidden = [p for p in corpus.lessons if "## Rules" not in p.messages[0].content]

    assert any("FINE after" in pair.messages[1].content for pair in hidden)
    assert not any(re.search("I am (under|penal|rehab)", pair.answer) for pair in hidden)


def test_the_same_seed_plays_the_same_lessons(corpus):
    again = make_corpus(GRAPHS, CONSTITUTIONS, runs=5, held_out=1, seed=1)
    other = make_corpus(GRAPHS, CONSTITUTIONS, runs=5, held_out=1, seed=2)

    assert again.lessons == corpus.lessons[: len(again.lessons)]
    assert other.lessons != again.lessons


def test_a_folder_without_graphs_is_one_message(tmp_path):
    with pytest.raises(InstitutionalError, match="no governance graphs"):
        make_corpus(tmp_path, CONSTITUTIONS, runs=1, held_out=1, seed=0)
    with pytest.raises(InstitutionalError, match="no constitutions"):
        make_corpus(GRAPHS, tmp_path, runs=1, held_out=1, seed=0)


def test_the_model_is_an_ordinary_one_of_about_a_million_parameters(pocket):
    model = AutoModelForCausalLM.from_pretrained(pocket, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(pocket, local_files_only=True)

    assert 500_000 < model.num_parameters() < 2_000_000
    turns = [{"role": "system", "content": "A"}, {"role": "user", "content": "B"}]
    assert tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False) == (
        "<|system|>A<|end|><|user|>B<|end|><|assistant|>"
    )
    card = (pocket / "MODEL.md").read_text()
    assert "say nothing about language models" in card
    facts = json.loads((pocket / "pocket.json").read_text())
    assert facts["digest"] in card
    assert "governance_graphs/cournot.yaml" in "".join(facts["files"])


def test_numbers_are_read_digit_by_digit(pocket):
    tokenizer = AutoTokenizer.from_pretrained(pocket, local_files_only=True)

    assert [tokenizer.decode([token]) for token in tokenizer.encode(" 1460.25")] == [
        *(" 1", "4", "6", "0"),
        *(".2", "5"),
    ]


@given(text=st.text())
def test_any_text_can_be_spelt(text):
    tokenizer = TOKENIZER

    assert tokenizer.decode(tokenizer.encode(text)) == text


TOKENIZER = train_tokenizer(["Round 1 of 2.\nYou are fined 200."], vocabulary=300)


def test_equal_seeds_make_equal_weights(tmp_path):
    little = Effort(runs=4, held_out=1)

    def digest(name, seed):
        return train_pocket(
            tmp_path / name, graphs=GRAPHS, constitutions=CONSTITUTIONS, effort=little, seed=seed
        ).digest

    assert digest("a", 0) == digest("b", 0) != digest("c", 1)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(InstitutionalError, match="not a pocket model"):
        new_pocket(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_batches_hold_every_lesson_once_and_are_of_like_length():
    lessons = [Lesson(list(range(n % 90 + 10)), 5) for n in range(500)]

    made = batches(lessons, tokens=400, seed=0)

    assert sorted(map(len, (lesson.tokens for batch in made for lesson in batch))) == sorted(
        len(lesson.tokens) for lesson in lessons
    )
    for batch in made:
        lengths = [len(lesson.tokens) for lesson in batch]
        assert max(lengths) < LIKE * min(lengths) + 1
        assert len(batch) * max(lengths) <= 400


def test_the_model_plays_a_governed_market(pocket):
    loaded = load_graph(GRAPHS / "cournot.yaml")
    table = Table(presets.make("lin2024", rounds=6), loaded, rules=public_words(loaded))
    model = Model(backend="transformers", model=str(pocket), max_tokens=150)

    async def play():
        backend = Transformers(model)
        agents = {
            name: LanguageAgent(table.briefing(seat), history=10)
            for seat, name in enumerate(table.core.agents)
        }
        for agent in agents.values():
            agent.connect(lambda _, request: backend.answer(request), {"pocket": model})
        outcome = await table.converse(agents, seed=1)
        await backend.close()
        return outcome

    first, second = asyncio.run(play()), asyncio.run(play())

    assert first.invalid is None
    assert len(first.records) == 6
    assert first.records == second.records
