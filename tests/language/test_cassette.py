"""A cassette gives back what was written, refuses what was altered, and asks nothing twice."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.language.exchange import Message, Place, Reply, Request
from institutional.cassette.exchange import FILE_NAME, LONG, Exchange, Header, address
from institutional.cassette.reading import read_cassette
from institutional.cassette.recording import Recorder, from_cassette, until
from institutional.errors import InstitutionalError

KEY = bytes(range(32))
HEADER = Header("run-0000", KEY)


def request(text="How much do you offer?", **others):
    known = {"model": "pocket", "temperature": 1.0, "max_tokens": 100, "seed": 7}
    schema = {"type": "object", "required": ["quantity"]}
    messages = (Message("system", "You run a firm. " * 40), Message("user", text))
    return Request(messages=messages, schema=schema, **{**known, **others})


def reply(text="{}"):
    return Reply(text=text, finish="stop", prompt_tokens=5, completion_tokens=2, served="tiny")


class Model:
    """Answers with the number of the question."""

    def __init__(self):
        self.asked = []

    async def __call__(self, place, request):  # noqa: ARG002
        self.asked.append(place)
        return reply(json.dumps({"quantity": len(self.asked)}))


def record(folder, places, model=None, **kwargs):
    """Ask at every place and return the texts of the answers."""
    model = model or Model()

    async def ask_all():
        with Recorder(folder, HEADER, model, **kwargs) as recorder:
            return [(await recorder.ask(place, request())).text for place in places]

    return asyncio.run(ask_all())


PLACES = [Place(agent, round_, 0) for round_ in range(3) for agent in ("firm_1", "firm_2")]

texts = st.text(st.characters(codec="utf-8"), max_size=3 * LONG)
exchanges = st.builds(
    Exchange,
    st.builds(
        Request,
        model=texts,
        messages=st.lists(
            st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts), max_size=4
        ).map(tuple),
        schema=st.dictionaries(texts, st.none() | st.integers(-9, 9) | texts, max_size=3),
        temperature=st.floats(0, 2),
        max_tokens=st.integers(1, 9999),
        seed=st.integers(0, 2**31 - 1),
    ),
    st.builds(
        Reply,
        text=texts,
        finish=st.sampled_from(["stop", "length"]),
        prompt_tokens=st.integers(0, 10**6),
        completion_tokens=st.integers(0, 10**6),
        served=texts,
    ),
)


@given(st.dictionaries(st.builds(Place, texts, st.integers(0, 99), st.integers(0, 9)), exchanges))
def test_what_is_recorded_reads_back_the_same(tmp_path_factory, asked):
    folder = tmp_path_factory.mktemp("run")

    async def answer(place, _request):
        return asked[place].reply

    async def ask_all():
        with Recorder(folder, HEADER, answer) as recorder:
            for place, exchange in asked.items():
                assert await recorder.ask(place, exchange.request) == exchange.reply
            return recorder.taken()

    taken = asyncio.run(ask_all())
    found = read_cassette(folder)

    assert found.header == HEADER
    assert found.exchanges == asked
    assert {a for each in taken.values() for a, _, _ in each} == set(found.addresses.values())
    assert found.addresses == {p: address(KEY, p, e) for p, e in asked.items()}


def test_a_text_is_stored_once_however_often_it_is_sent(tmp_path):
    record(tmp_path, PLACES)

    written = (tmp_path / FILE_NAME).read_text()

    assert written.count("You run a firm.") == 40
    assert len(written.splitlines()) == 1 + 2 + 6  # a header, two texts (one a schema), exchanges


def test_what_is_on_the_cassette_is_not_asked_again(tmp_path):
    first = record(tmp_path, PLACES[:4])
    before = (tmp_path / FILE_NAME).read_bytes()
    model = Model()

    again = record(tmp_path, PLACES, model)

    assert again[:4] == first
    assert model.asked == PLACES[4:]
    assert (tmp_path / FILE_NAME).read_bytes().startswith(before)


def test_a_torn_last_line_is_set_aside_and_its_question_asked_again(tmp_path):
    record(tmp_path, PLACES)
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(whole[:-9])
    model = Model()

    record(tmp_path, PLACES, model)

    assert model.asked == PLACES[-1:]
    assert len(read_cassette(tmp_path).exchanges) == 6
    (aside,) = (tmp_path / "quarantine").iterdir()
    assert whole[:-9].endswith(aside.read_bytes())
    assert whole.startswith(whole.removesuffix(aside.read_bytes()))


@pytest.mark.parametrize("end", [0, 1, 20, 60])
def test_a_header_cut_short_is_begun_anew(tmp_path, end):
    record(tmp_path, PLACES)
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(whole[:end])
    assert read_cassette(tmp_path) is None

    record(tmp_path, PLACES)

    assert (tmp_path / FILE_NAME).read_bytes() == whole


def test_a_cassette_with_any_byte_altered_is_refused_with_its_line_or_place(tmp_path):
    record(tmp_path, PLACES[:2])
    whole = (tmp_path / FILE_NAME).read_bytes()
    header = whole.index(b"\n") + 1
    for at in range(header, len(whole) - 1):
        (tmp_path / FILE_NAME).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(InstitutionalError, match=rf"{FILE_NAME}:\d: "):
            read_cassette(tmp_path)


def test_an_edited_answer_is_refused_with_its_place(tmp_path):
    record(tmp_path, PLACES)
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text().replace(r"{\"quantity\": 4}", r"{\"quantity\": 9}"))

    with pytest.raises(InstitutionalError, match="firm_2, round 1, attempt 0 was altered"):
        record(tmp_path, PLACES)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda lines: [*lines, lines[-1]], "firm_2, round 2, attempt 0 for the second time"),
        (lambda lines: [*lines, lines[1]], "a text for the second time"),
        (lambda lines: [lines[0], *lines[2:]], "refers to the text"),
        (lambda lines: [*lines[:4], "", *lines[4:]], "jsonl:5: not canonical JSON"),
        (lambda lines: [*lines, "{}"], "neither a text nor an exchange"),
        (lambda lines: lines[1:], "not the header of a cassette"),
    ],
)
def test_lines_that_were_moved_are_refused(tmp_path, edit, says):
    record(tmp_path, PLACES)
    path = tmp_path / FILE_NAME
    path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")

    with pytest.raises(InstitutionalError, match=says):
        read_cassette(tmp_path)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (request("What now?"), r"message 1 \(user\) from character 0 on: recorded"),
        (request(model="other"), "model: recorded 'pocket', now 'other'"),
        (request(seed=8), "seed: recorded 7, now 8"),
    ],
)
def test_another_question_at_a_recorded_place_says_what_differs(tmp_path, asked, says):
    record(tmp_path, PLACES)

    with (
        Recorder(tmp_path, HEADER, Model()) as recorder,
        pytest.raises(InstitutionalError, match=says),
    ):
        asyncio.run(recorder.ask(PLACES[0], asked))


def test_nothing_is_asked_while_a_ledger_is_derived_again(tmp_path):
    """The ledger holds more than the cassette: somebody cut it."""
    record(tmp_path, PLACES[:2])
    model = Model()

    with pytest.raises(InstitutionalError, match="nothing at firm_1, round 1, attempt 0"):
        record(tmp_path, PLACES, model, replaying=lambda: True)

    assert model.asked == []


def test_the_cassette_of_another_run_is_refused(tmp_path):
    record(tmp_path, PLACES)

    with pytest.raises(InstitutionalError, match="cassette of run 'run-0000', not of 'run-0001'"):
        Recorder(tmp_path, Header("run-0001", KEY), Model())


def test_two_writers_of_one_cassette_are_refused(tmp_path):
    with (
        Recorder(tmp_path, HEADER, Model()),
        pytest.raises(InstitutionalError, match="another process is writing"),
    ):
        Recorder(tmp_path, HEADER, Model())


def test_a_run_is_played_from_another_ones_cassette_without_its_model(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    first = record(old, PLACES)
    model = Model()

    again = record(new, PLACES, model, before=from_cassette(old, read_cassette(old)))

    assert (again, model.asked) == (first, [])
    assert (new / FILE_NAME).read_bytes() == (old / FILE_NAME).read_bytes()
    with pytest.raises(InstitutionalError, match="nothing was recorded at firm_1, round 3"):
        record(new, [Place("firm_1", 3, 0)], before=from_cassette(old, read_cassette(old)))


def test_a_fork_takes_what_was_said_before_its_round_and_asks_from_there_on(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    first = record(old, PLACES)
    model = Model()

    forked = record(new, PLACES, model, before=until(old, read_cassette(old), 2))

    assert forked[:4] == first[:4]
    assert model.asked == PLACES[4:]


@pytest.mark.parametrize(
    ("said", "kept", "finish"),
    [
        ("half \ud83d", "half \ufffd", "stop"),
        ("\udc00\ud800", "\ufffd\ufffd", "stop"),
        ("\ufeffwhole \U0001f600", "\ufeffwhole \U0001f600", "stop"),
        ("x" * (1 << 20) + "y", "x" * (1 << 20), "length"),
    ],
)
def test_an_answer_that_no_file_can_hold_is_kept_as_far_as_it_goes(tmp_path, said, kept, finish):
    async def answer(_place, _request):
        return reply(said)

    with Recorder(tmp_path, HEADER, answer) as recorder:
        given = asyncio.run(recorder.ask(PLACES[0], request()))

    assert (given.text, given.finish) == (kept, finish)
    assert read_cassette(tmp_path).exchanges[PLACES[0]].reply == given
