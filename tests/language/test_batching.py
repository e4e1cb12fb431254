"""One call for all that wait."""

import asyncio
import threading

import pytest

from agents.language.backends.batching import Batcher


class Doubler:
    """Answers twice the number; remembers what came in which call, and on which thread."""

    def __init__(self):
        self.calls = []
        self.threads = set()

    def __call__(self, questions):
        self.calls.append(list(questions))
        self.threads.add(threading.get_ident())
        return [2 * question for question in questions]


def test_all_that_wait_are_answered_in_one_call_each_with_its_own_answer():
    double = Doubler()

    async def ask():
        batcher = Batcher(double, most=100)
        answers = await asyncio.gather(*(batcher.answer(number) for number in range(10)))
        await batcher.close()
        return answers

    assert asyncio.run(ask()) == [2 * number for number in range(10)]
    assert double.calls == [list(range(10))]
    assert threading.get_ident() not in double.threads


def test_a_batch_holds_no_more_than_its_most():
    double = Doubler()

    async def ask():
        batcher = Batcher(double, most=4)
        await asyncio.gather(*(batcher.answer(number) for number in range(10)))
        await batcher.close()

    asyncio.run(ask())

    assert [len(call) for call in double.calls] == [4, 4, 2]


def test_who_comes_some_turns_later_still_makes_the_batch():
    """A market that closes its round takes a few turns of the event loop longer than another."""
    double = Doubler()

    async def late(batcher, turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        return await batcher.answer(turns)

    async def ask():
        batcher = Batcher(double, most=100)
        await asyncio.gather(*(late(batcher, turns) for turns in (0, 5, 15, 30)))
        await batcher.close()

    asyncio.run(ask())

    assert double.calls == [[0, 5, 15, 30]]


def test_who_comes_while_a_batch_is_answered_is_in_the_next():
    answering, go_on = threading.Event(), threading.Event()
    calls = []

    def slow(questions):
        calls.append(list(questions))
        answering.set()
        go_on.wait()
        return list(questions)

    async def ask():
        batcher = Batcher(slow, most=100)
        first = asyncio.create_task(batcher.answer(1))
        await asyncio.to_thread(answering.wait)
        others = [asyncio.create_task(batcher.answer(number)) for number in (2, 3)]
        await asyncio.sleep(0)
        go_on.set()
        answers = await asyncio.gather(first, *others)
        await batcher.close()
        return answers

    assert asyncio.run(ask()) == [1, 2, 3]
    assert calls == [[1], [2, 3]]


def test_everyone_in_a_batch_that_fails_hears_why_and_the_next_is_answered():
    def choosy(questions):
        if 13 in questions:
            raise ValueError("not thirteen")
        return list(questions)

    async def ask():
        batcher = Batcher(choosy, most=2)
        answers = await asyncio.gather(
            *(batcher.answer(number) for number in (1, 13, 3)), return_exceptions=True
        )
        await batcher.close()
        return answers

    first, second, third = asyncio.run(ask())

    assert str(first) == str(second) == "not thirteen"
    assert third == 3


def test_too_few_answers_are_an_error_for_all_and_leave_nobody_waiting():
    async def ask():
        batcher = Batcher(lambda questions: questions[1:], most=2)
        return await asyncio.gather(batcher.answer(1), batcher.answer(2), return_exceptions=True)

    assert [str(answer) for answer in asyncio.run(ask())] == ["2 questions, 1 answers"] * 2


def test_a_question_that_nobody_waits_for_any_more_is_not_asked():
    double = Doubler()

    async def ask():
        batcher = Batcher(double, most=100)
        given_up = asyncio.create_task(batcher.answer(1))
        stays = asyncio.create_task(batcher.answer(2))
        await asyncio.sleep(0)
        given_up.cancel()
        answer = await stays
        await batcher.close()
        return answer

    assert asyncio.run(ask()) == 4
    assert double.calls == [[2]]


def test_a_batcher_outlives_the_event_loop_that_it_was_first_used_in():
    double = Doubler()
    batcher = Batcher(double, most=100)

    async def give_up():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.answer(1), 0)

    asyncio.run(give_up())

    assert asyncio.run(batcher.answer(2)) == 4
    asyncio.run(batcher.close())
