"""A local model under vLLM: all markets of an experiment at once against one market at a time.

`python -m benchmarks.batches MODEL` in the environment of `make test-vllm`; MODEL is a folder.
Answers are cut at a fixed length, so that a model that has nothing to say is timed as well.

A batch shares what a step costs beyond its rows. It shares neither the reading of a prompt nor the
grammar of an answer: on a CPU the last round, with all rounds before it in the prompt, gains little
and is shown for the eye. The target is the first round's. Exits 1 if it is missed.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence

from agents.language.backends.catalogue import open_backend
from agents.language.exchange import Backend, Place, Reply, Request
from agents.language.models import Model
from agents.language.player import LanguageAgent
from benchmarks.timing import Target
from environments import presets
from institutional.episode import Seat, Table

MARKETS, ROUNDS, ANSWER_TOKENS = 32, 20, 100
WANTED = 5.0

Market = list[Request]  # what the agents of a market are asked in one round


def questions(seed: int) -> tuple[Market, Market]:
    """What both agents are asked in the first and last round of a market played by rote."""
    table = Table(presets.make("lin2024", rounds=ROUNDS), None)
    agents = table.seat([Seat("language")] * 2)
    asked: Market = []

    async def answer(place: Place, request: Request) -> Reply:
        asked.append(request)
        numbers = {"quantity_A": request.seed % 40, "quantity_B": place.round}
        texts = dict.fromkeys(("observations", "plans", "insights"), f"{request.seed} seen.")
        text = json.dumps(texts | numbers)
        return Reply(text=text, finish="stop", prompt_tokens=0, completion_tokens=0)

    models = {"pocket": Model(backend="vllm", max_tokens=ANSWER_TOKENS)}
    for agent in agents.values():
        assert isinstance(agent, LanguageAgent)
        agent.connect(answer, models)
    asyncio.run(table.converse(agents, seed=seed))
    return asked[:2], asked[-2:]


async def _asked(backend: Backend, market: Market) -> list[Reply]:
    return await asyncio.gather(*(backend.answer(request) for request in market))


async def one_at_a_time(backend: Backend, markets: Sequence[Market]) -> float:
    """Answers per second when each market waits for the one before it."""
    start = time.perf_counter()
    for market in markets:
        await _asked(backend, market)
    return sum(map(len, markets)) / (time.perf_counter() - start)


async def together(backend: Backend, markets: Sequence[Market]) -> float:
    """Answers per second when all markets ask at the same time."""
    start = time.perf_counter()
    await asyncio.gather(*(_asked(backend, market) for market in markets))
    return sum(map(len, markets)) / (time.perf_counter() - start)


def measure(folder: str) -> list[Target]:
    """The rates; no two timings share a market, so that none finds another's prompts in a cache."""
    markets = [questions(seed) for seed in range(1 + 2 * MARKETS)]
    halves = slice(1, 1 + MARKETS), slice(1 + MARKETS, None)
    backend = open_backend(Model(backend="vllm", model=folder, in_flight=2 * MARKETS))

    async def timed(asked: Sequence[Market]) -> tuple[float, float]:
        await _asked(backend, asked[0])
        in_turn = await one_at_a_time(backend, asked[halves[0]])
        return in_turn, await together(backend, asked[halves[1]])

    async def both() -> list[tuple[float, float]]:
        rates = [await timed(asked) for asked in zip(*markets, strict=True)]
        await backend.close()
        return rates

    targets = []
    for which, (alone, at_once) in zip(("first", "last"), asyncio.run(both()), strict=True):
        ratio = at_once / alone
        shown = f"{alone:.1f} -> {at_once:.1f} answers/s, {ratio:.1f} x"
        what = f"vLLM, {which} of {ROUNDS} rounds: {MARKETS} markets in turn, together"
        wanted = (f">= {WANTED:.0f} x", ratio >= WANTED) if which == "first" else ("-", None)
        targets.append(Target(what, shown, *wanted))
    return targets


if __name__ == "__main__":
    TARGETS = measure(sys.argv[1])
    for target in TARGETS:
        print(f"{target.what:<60} {target.shown:>32} {target.wanted:>8}  {target.verdict}")
    sys.exit(0 if all(target.met for target in TARGETS) else 1)
