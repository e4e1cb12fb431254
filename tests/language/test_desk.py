import asyncio
import time
from dataclasses import dataclass, field, replace

import pytest
from fault_server import CONTENT, EVERY_TENTH, TRANSPORT, FaultServer, number, running

from agents.language.backends.catalogue import open_backend
from agents.language.desk.desk import Desk
from agents.language.desk.line import Line
from agents.language.desk.prices import NOTHING, Price, Spent
from agents.language.desk.purse import Budget, BudgetSpentError
from agents.language.exchange import (
    BackendError,
    Message,
    PassingError,
    Reply,
    Request,
    ThrottledError,
)
from agents.language.models import Model


def request(text="hello", *, max_tokens=10, model="a"):
    return Request(
        model=model,
        messages=(Message("user", text),),
        schema={"type": "object"},
        temperature=0.0,
        max_tokens=max_tokens,
        seed=0,
    )


def reply(prompt_tokens=3, completion_tokens=2):
    return Reply(
        text="x", finish="stop", prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
    )


@dataclass
class Here:
    """A model in this process: each answer takes `latency_s` and comes from `script`."""

    script: object = reply  # called for each attempt; what it returns is answered or raised
    latency_s: float = 0.001
    in_service: int = 0
    most: int = 0
    started: list = field(default_factory=list)

    async def answer(self, request):
        self.started.append((request.messages[0].content, time.perf_counter()))
        self.in_service += 1
        self.most = max(self.most, self.in_service)
        try:
            await asyncio.sleep(self.latency_s)
        finally:
            self.in_service -= 1
        said = self.script()
        if isinstance(said, Exception):
            raise said
        return said

    async def close(self):
        pass


def desk_of(backend, *, in_flight=8, timeout_s=5.0, model="m", base_url="", **settings):
    models = {
        "a": Model(
            backend="scripted",
            model=model,
            in_flight=in_flight,
            timeout_s=timeout_s,
            base_url=base_url,
        )
    }
    return Desk({"a": backend}, models, **({"rests_s": (0.001, 0.01)} | settings))


async def gather(desk, requests):
    """Replies and errors, in order."""
    return await asyncio.gather(*(desk.answer(r) for r in requests), return_exceptions=True)


def through(server, requests, *, in_flight=32, timeout_s=1.0, retries=60, seed=0):
    """The desk after asking the fault server all of `requests` at once, and the replies."""

    async def main():
        model = Model(
            backend="openai",
            model="m",
            base_url=server.url,
            in_flight=in_flight,
            timeout_s=timeout_s,
        )
        desk = Desk(
            {"a": open_backend(model)},
            {"a": model},
            retries=retries,
            seed=seed,
            rests_s=(0.001, 0.02),
        )
        try:
            return desk, await asyncio.gather(*(desk.answer(r) for r in requests))
        finally:
            await desk.close()

    return asyncio.run(main())


def numbers(requests):
    return [number({"messages": [m._asdict() for m in r.messages]}) for r in requests]


@pytest.mark.parametrize("fault", TRANSPORT)
def test_no_answer_is_lost_or_given_twice_under_any_fault(fault):
    """Two attempts in five fail; the server and the desk count the same attempts."""
    requests = [request(f"question {n}") for n in range(60)]
    server = FaultServer({fault: 0.4})
    with running(server):
        desk, replies = through(server, requests)
    counters = desk.counters()["a"]

    assert [r.text for r in replies] == numbers(requests)
    assert list(server.answered.values()) == [1] * 60
    assert server.failed[fault] > 10
    assert counters.attempts == server.asked.total() == 60 + server.failed[fault]
    assert counters.retried == server.failed[fault]
    assert counters.throttled == (server.failed[fault] if "throttled" in fault else 0)
    assert counters.spent.calls == 60
    assert counters.in_flight == counters.waiting == 0


def test_with_every_fault_at_a_tenth_all_is_answered_as_without_faults():
    """A storm of 429 refuses three more. Content faults are answers, for a player to judge."""
    requests = [request(f"question {n}") for n in range(120)]
    faulty = FaultServer(EVERY_TENTH, storm=3)
    with running(faulty):
        desk, replies = through(faulty, requests, in_flight=64, retries=20, timeout_s=1.5)
    sound = numbers(requests)
    spoilt = [r.text for r, good in zip(replies, sound, strict=True) if r.text != good]

    assert len(spoilt) == sum(faulty.failed[kind] for kind in CONTENT) > 10
    assert all(text in {"", '{"wrong": true}'} or "}" not in text for text in spoilt)
    assert list(faulty.answered.values()) == [1] * 120
    assert max((faulty.asked - faulty.refused).values()) <= 1 + 20
    assert desk.counters()["a"].attempts == faulty.asked.total()
    assert all(faulty.failed[kind] for kind in TRANSPORT)


def test_luck_at_the_desk_changes_no_answer():
    requests = [request(f"question {n}") for n in range(40)]
    seen = []
    for seed in (1, 2):
        with running(FaultServer({"broken": 0.3, "cut": 0.3})) as server:
            seen.append(through(server, requests, seed=seed)[1])

    assert seen[0] == seen[1]


def test_a_request_is_sent_once_and_as_many_times_again_as_declared():
    backend = Here(lambda: PassingError("broken"))
    desk = desk_of(backend, retries=3)

    with pytest.raises(BackendError, match=r"broken\n.*4 attempts.*what was answered is kept"):
        asyncio.run(desk.answer(request()))
    assert len(backend.started) == 4


def test_an_attempt_is_waited_for_as_long_as_the_model_says():
    desk = desk_of(Here(latency_s=10.0), timeout_s=0.02, retries=1)
    start = time.perf_counter()

    with pytest.raises(BackendError, match=r"no answer in 0\.02 s"):
        asyncio.run(desk.answer(request()))
    assert time.perf_counter() - start < 5


def test_no_more_are_in_flight_than_the_model_allows_and_first_come_is_first_served():
    backend = Here()
    desk = desk_of(backend, in_flight=4)
    requests = [request(str(n)) for n in range(40)]

    replies = asyncio.run(gather(desk, requests))

    assert replies == [reply()] * 40
    assert backend.most == 4
    assert [text for text, _ in backend.started] == [str(n) for n in range(40)]


def test_a_dead_model_ends_all_waiting_at_once():
    """Two are in flight when the key is refused; the 98 behind them never reach the server."""
    backend = Here(lambda: BackendError("no such key"))
    desk = desk_of(backend, in_flight=2)

    async def main():
        ended = await gather(desk, [request(str(n)) for n in range(100)])
        with pytest.raises(BackendError, match="no such key"):
            await desk.answer(request())
        return ended

    ended = asyncio.run(main())
    assert len(backend.started) == 2
    assert {str(each) for each in ended} == {"no such key"}
    assert all(type(each) is BackendError for each in ended)


def test_a_dead_model_ends_those_who_rest_after_a_failure():
    """The first fails and rests for up to an hour; then the model dies of the second."""
    said = iter([PassingError("broken"), BackendError("gone")])
    desk = desk_of(Here(lambda: next(said)), in_flight=1, rests_s=(3600.0, 3600.0))

    async def main():
        async with asyncio.timeout(5):
            return await gather(desk, [request(), request()])

    assert [str(each) for each in asyncio.run(main())] == ["gone", "gone"]


def test_a_storm_of_429_halves_the_bound_once_and_answers_raise_it_again():
    storm = iter([ThrottledError("enough")] * 16)
    desk = desk_of(Here(lambda: next(storm, reply())), in_flight=16)
    bounds = []

    async def main():
        asking = [asyncio.create_task(desk.answer(request(str(n)))) for n in range(200)]
        for task in asyncio.as_completed(asking):
            await task
            bounds.append(desk.counters()["a"].bound)

    asyncio.run(main())
    assert 8 <= bounds[0] <= 9  # sixteen refusals on their way at once are one storm
    assert bounds[-1] == 16
    assert desk.counters()["a"].throttled == 16


def test_a_pause_that_the_server_asks_for_holds_for_the_whole_line():
    said = iter([ThrottledError("enough", 0.2)])
    backend = Here(lambda: next(said, reply()))
    desk = desk_of(backend, in_flight=1)

    asyncio.run(gather(desk, [request("first"), request("second"), request("third")]))

    texts, starts = zip(*backend.started, strict=True)
    assert texts == ("first", "second", "third", "first")
    assert starts[1] - starts[0] >= 0.19


def test_a_pause_of_hours_is_an_error_and_no_wait():
    desk = desk_of(Here(lambda: ThrottledError("come back tomorrow", 86_400.0)))

    with pytest.raises(BackendError, match=r"tomorrow\n.*1440 minutes"):
        asyncio.run(desk.answer(request()))


def test_a_429_is_no_attempt_however_many_there_are():
    said = iter([ThrottledError("enough", 0.001)] * 30)
    desk = desk_of(Here(lambda: next(said, reply())), retries=0)

    assert asyncio.run(desk.answer(request())) == reply()
    assert desk.counters()["a"].throttled == 30


def test_pauses_double_until_an_answer_comes():
    pauses = []
    line = Line(4, lambda nth: pauses.append(nth) or 0.001)
    said = iter([ThrottledError("")] * 3 + [reply()] + [ThrottledError("")] * 2)

    async def main():
        for outcome in said:
            async with line.place():
                sent_at = asyncio.get_running_loop().time()
                await asyncio.sleep(0)
                if isinstance(outcome, Exception):
                    line.throttled(sent_at, None)
                else:
                    line.answered()

    asyncio.run(main())
    assert pauses == [0, 1, 2, 0, 1]


def test_single_failures_leave_the_bound_and_a_window_of_them_halves_it():
    answers = [reply()] * 30
    for at in (3, 7, 20):
        answers[at] = PassingError("broken")
    few = desk_of(Here(iter(answers + [reply()] * 9).__next__), in_flight=16)
    many = desk_of(Here(lambda: PassingError("broken")), in_flight=16, rests_s=(60.0, 60.0))

    asyncio.run(gather(few, [request(str(n)) for n in range(30)]))
    assert few.counters()["a"].bound == 16

    async def main():
        asking = [asyncio.create_task(many.answer(request(str(n)))) for n in range(16)]
        await asyncio.sleep(0.02)
        bound = many.counters()["a"].bound
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        return bound

    assert asyncio.run(main()) == 8


def test_cancelled_callers_leave_their_places_to_the_others():
    backend = Here(latency_s=0.005)
    desk = desk_of(backend, in_flight=3)

    async def main():
        asking = [asyncio.create_task(desk.answer(request(str(n)))) for n in range(30)]
        await asyncio.sleep(0.002)
        for task in asking[::2]:
            task.cancel()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert await desk.answer(request()) == reply()
        return ended

    ended = asyncio.run(main())
    assert ended[1::2] == [reply()] * 15
    assert all(isinstance(each, asyncio.CancelledError) for each in ended[::2])
    assert backend.most == 3
    counters = desk.counters()["a"]
    assert counters.in_flight == counters.waiting == 0


@pytest.mark.parametrize("late_s", [0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003])
def test_a_place_granted_to_a_caller_that_is_cancelled_is_not_lost(late_s):
    """Whenever the cancellation strikes, all places are free afterwards."""
    desk = desk_of(Here(latency_s=0.001), in_flight=2)

    async def main():
        asking = [asyncio.create_task(desk.answer(request(str(n)))) for n in range(8)]
        await asyncio.sleep(late_s)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        async with asyncio.timeout(5):
            return await gather(desk, [request(str(n)) for n in range(8)])

    assert asyncio.run(main()) == [reply()] * 8


def test_a_budget_of_tokens_is_never_passed_and_ends_all_waiting():
    """A request sets aside 5 + 16 bytes and 10 tokens: 31. It takes 5: 5n + 31 <= 100 to n = 13."""
    backend = Here()
    desk = desk_of(backend, in_flight=8, budget=Budget(tokens=100))

    async def main():
        ended = await gather(desk, [request() for _ in range(50)])
        with pytest.raises(BudgetSpentError):
            await desk.answer(request())
        return ended

    ended = asyncio.run(main())
    assert desk.spent == Spent(14, 42, 28, 0.0)
    assert ended.count(reply()) == len(backend.started) == 14
    assert backend.most == 3  # three times 31 fit at once
    errors = [each for each in ended if each != reply()]
    assert all(type(each) is BudgetSpentError for each in errors)
    assert "70 of 100 tokens" in str(errors[0])
    assert "raise `budget` and run again" in str(errors[0])


def test_what_was_spent_before_counts():
    desk = desk_of(Here(), budget=Budget(tokens=100), spent=Spent(9, 60, 10, 0.0))

    with pytest.raises(BudgetSpentError, match="70 of 100 tokens"):
        asyncio.run(desk.answer(request()))


def test_a_spent_budget_ends_those_who_rest():
    """The first caller rests for up to an hour when the third finds that the second spent it."""
    said = iter([PassingError("broken"), reply(50, 10)])
    desk = desk_of(
        Here(lambda: next(said)), in_flight=1, budget=Budget(tokens=70), rests_s=(3600.0, 3600.0)
    )

    async def main():
        async with asyncio.timeout(5):
            return await gather(desk, [request(), request(), request()])

    first, second, third = asyncio.run(main())
    assert isinstance(first, BudgetSpentError)
    assert second == reply(50, 10)
    assert isinstance(third, BudgetSpentError)


def test_a_request_that_fits_only_if_others_cost_less_waits_for_them():
    """Of 50 tokens one sets aside 31 and takes 5: four fit one after the other, and no two."""
    backend = Here()
    desk = desk_of(backend, budget=Budget(tokens=50))

    async def main():
        async with asyncio.timeout(5):
            return await gather(desk, [request() for _ in range(4)])

    assert asyncio.run(main()) == [reply()] * 4
    assert backend.most == 1


def test_a_spent_budget_ends_those_who_wait_for_a_share_of_it_at_once():
    """31 are set aside; 80 of 100 wait for them, until 121 can never fit."""
    desk = desk_of(Here(latency_s=0.2), budget=Budget(tokens=100))
    ended = []

    async def one(name, max_tokens):
        try:
            await desk.answer(request(max_tokens=max_tokens))
        except BudgetSpentError:
            name += " was told"
        ended.append(name)

    async def main():
        await asyncio.gather(one("small", 10), one("large", 59), one("huge", 100))

    asyncio.run(main())
    assert ended == ["huge was told", "large was told", "small"]


def test_a_budget_of_money_counts_each_models_price():
    """3 prompt tokens at 1,000,000 a million and 2 answered at 2,000,000 are 7 a call."""
    desk = desk_of(
        Here(),
        budget=Budget(money=100.0),
        prices={"m": Price(prompt=1e6, completion=2e6)},
        base_url="http://127.0.0.1:1",
    )

    ended = asyncio.run(gather(desk, [request() for _ in range(50)]))

    assert desk.spent == Spent(9, 27, 18, 63.0)  # a tenth sets aside 21 + 20, and 63 + 41 > 100
    assert ended.count(reply()) == 9
    assert desk.counters()["a"].spent == desk.spent
    assert "63.00 of 100.00 money" in str(next(e for e in ended if e != reply()))


def test_a_budget_of_money_without_a_price_is_refused_before_the_first_call():
    with pytest.raises(BackendError, match=r'none is known of a \("m"\)'):
        desk_of(Here(), budget=Budget(money=1.0), base_url="http://127.0.0.1:1")


def test_a_model_in_this_process_costs_nothing_and_needs_no_price():
    desk = desk_of(Here(), budget=Budget(money=1.0))

    assert asyncio.run(desk.answer(request())) == reply()
    assert desk.unpriced == ()
    assert desk.spent == NOTHING._replace(calls=1, prompt_tokens=3, completion_tokens=2)


def test_models_keep_lines_of_their_own():
    """One model is dead; the other goes on."""
    model = Model(backend="scripted", model="m")
    desk = Desk(
        {"a": Here(lambda: BackendError("gone")), "b": Here()},
        {"a": model, "b": replace(model, in_flight=2)},
    )

    dead, alive = asyncio.run(gather(desk, [request(model="a"), request(model="b")]))

    assert isinstance(dead, BackendError)
    assert alive == reply()
    assert desk.counters()["b"].spent.calls == 1
