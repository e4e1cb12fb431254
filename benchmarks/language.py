"""What it costs us to ask language models: `python -m benchmarks.language [FOLDER]`, some minutes.

Whole markets are played against a server that answers everything after 20 ms, with all that a run
has: prompts, checked answers, desk, cassette, signed ledger. The same requests are then sent by a
bare aiohttp client and by the openai SDK, in the same run: compare the ratios, not the figures.

With the FOLDER of a local model, as `institutional agent train pocket` makes one, it also says how
much faster that answers all who wait than one after the other.
"""

import asyncio
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import aiohttp
import openai
import orjson

from agents.language.backends.catalogue import open_backend
from agents.language.backends.openai import OpenAI
from agents.language.exchange import Request
from agents.language.models import Model
from benchmarks.timing import Target
from institutional.cassette.reading import read_cassette
from institutional.experiments.conversing import Answering, converse
from institutional.experiments.plan import load_plan
from institutional.experiments.sealing import declare
from institutional.ledger import keys

LATENCY_S = 0.02
BOUNDS = (16, 64, 256, 1000)
REALISTIC = 64  # the default of a model, and what hosted accounts allow
HOSTED_S = 1.0  # what a hosted model takes for an answer, or longer
MARKETS = 1000
ROUNDS = 12  # enough that a run is more than its beginning and its end
FEW = 8  # requests that a local model answers one after the other
MOST_MS = 1.0
LEAST_BUSY = 0.9
ANSWER = {
    "observations": "My price fell when the other firm sold more of good A last round.",
    "plans": "Hold good A near 40 and try a little less of good B to see what it brings.",
    "insights": "Selling less of the good that costs me more has raised profit so far.",
}

SPECIFICATION = """
format: institutional.experiment/1
name: bench
environment: {{preset: lin2024, rounds: {rounds}}}
regimes: {{ungoverned: {{}}}}
pairings: {{pair: [language, language]}}
agents: {{language: {{model: fake}}}}
models:
  fake: {{backend: openai, model: fake, base_url: "{url}", in_flight: {bound}}}
seeds: {markets}
"""


class Cost(NamedTuple):
    """What some calls took: our CPU, and as the server saw them."""

    calls: int
    cpu_s: float
    wall_s: float
    in_service: float

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per call."""
        return 1e3 * self.cpu_s / self.calls

    @property
    def rate(self) -> float:
        """Calls per second, from the first request to the last answer."""
        return self.calls / self.wall_s


class Server(NamedTuple):
    """The fake server in its own process."""

    url: str
    latency_s: float

    def timed(self, work: Callable[[], None]) -> Cost:
        """What `work` cost us, and what the server saw of it."""
        self._seen()
        gc.collect()
        start = time.process_time()
        work()
        cpu_s = time.process_time() - start
        seen = self._seen()
        return Cost(int(seen["requests"]), cpu_s, seen["wall_s"], seen["in_service"])

    def _seen(self) -> Mapping[str, float]:
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/seen") as told:  # noqa: S310
            seen: Mapping[str, float] = json.load(told)
            return seen


@contextmanager
def fake_server(text: str, latency_s: float) -> Iterator[Server]:
    """The server, answering `text`."""
    command = [sys.executable, "-m", "benchmarks.fake_server", str(latency_s), text]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}/v1", latency_s)
        process.terminate()


class Markets:
    """Experiments of `markets` runs against a server, each in a folder of its own."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._numbers = count()
        self.operator = keys.operator_key(scratch / "keys")

    def play(self, server: Server, *, markets: int, rounds: int, bound: int) -> tuple[Cost, Path]:
        """What it cost to play them, all at once, beyond declaring and auditing; and their folder.

        The operating system's share of writing them is part of the cost.
        """
        folder = self._scratch / str(next(self._numbers))
        folder.mkdir()
        specification = folder / "bench.yaml"
        specification.write_text(
            SPECIFICATION.format(rounds=rounds, url=server.url, bound=bound, markets=markets)
        )
        plan = load_plan(specification)
        runs = plan.runs()
        seals = {run.id: declare(plan, run, folder / run.id, self.operator) for run in runs}

        def conclude(_run: object, invalid: str | None) -> Future[str]:
            assert invalid is None
            done: Future[str] = Future()
            done.set_result("")
            return done

        cost = server.timed(
            lambda: converse(Answering(plan, folder, None), runs, seals, conclude, lambda *_: None)
        )
        assert cost.calls == 2 * markets * rounds, cost
        return cost, folder


def asked(folder: Path) -> list[Request]:
    """The requests on the cassettes of an experiment."""
    return [
        exchange.request
        for run in sorted(folder.iterdir())
        if run.is_dir() and (found := read_cassette(run)) is not None
        for exchange in found.exchanges.values()
    ]


def bodies(folder: Path, server: Server) -> list[dict[str, Any]]:
    """The same, as they went to the server."""
    model = OpenAI(Model(backend="openai", model="fake", base_url=server.url))
    return [model.body(request) for request in asked(folder)]


Send = Callable[[dict[str, Any]], Awaitable[None]]


async def in_turn(send: Send, requests: Sequence[dict[str, Any]], bound: int) -> None:
    """Send all requests, `bound` at a time."""
    left = iter(requests)

    async def caller() -> None:
        for body in left:
            await send(body)

    await asyncio.gather(*(caller() for _ in range(bound)))


def by_aiohttp(url: str, requests: Sequence[dict[str, Any]], bound: int) -> None:
    """All requests by the bare client: written, sent, read, parsed."""

    async def main() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def send(body: dict[str, Any]) -> None:
                data = orjson.dumps(body)
                headers = {"Content-Type": "application/json"}
                async with session.post(f"{url}/chat/completions", data=data, headers=headers) as r:
                    assert orjson.loads(await r.read())["choices"]

            await in_turn(send, requests, bound)

    asyncio.run(main())


def by_sdk(url: str, requests: Sequence[dict[str, Any]], bound: int) -> None:
    """All requests by the openai SDK as it comes."""

    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

            async def send(body: dict[str, Any]) -> None:
                assert (await client.chat.completions.create(**body)).choices

            await in_turn(send, requests, bound)

    asyncio.run(main())


def cpu_per_call(markets: Markets, server: Server) -> list[Target]:
    """CPU of a call in whole runs of 40 rounds, 64 at once, beside two clients' in turn."""
    ours, bare = [], []
    for _ in range(4):  # the first warms up
        cost, folder = markets.play(server, markets=40, rounds=40, bound=REALISTIC)
        requests = bodies(folder, server)
        ours.append(cost.cpu_ms)
        bare.append(server.timed(partial(by_aiohttp, server.url, requests, REALISTIC)).cpu_ms)
    sdk = server.timed(lambda: by_sdk(server.url, requests[:1000], REALISTIC)).cpu_ms
    own, floor = median(ours[1:]), median(bare[1:])
    size = median(len(orjson.dumps(body)) for body in requests)
    return [
        Target("a call of a logged run, CPU ms", f"{own:.3f}"),
        Target(f"  by a bare aiohttp client, {size / 1e3:.1f} kB each", f"{floor:.3f}"),
        Target(
            "  beyond the bare client",
            f"{own - floor:.3f}",
            f"<= {MOST_MS:.1f}",
            own - floor <= MOST_MS,
        ),
        Target("  by the openai SDK alone", f"{sdk:.3f}"),
    ]


def busy(markets: Markets, server: Server, bound: int) -> list[Target]:
    """How busy 1,000 markets keep the server, in terms of as many callers of a bare client."""
    cost, folder = markets.play(server, markets=MARKETS, rounds=ROUNDS, bound=bound)
    requests = bodies(folder, server)
    bare = server.timed(lambda: by_aiohttp(server.url, requests, bound))
    ratio = cost.rate / bare.rate
    wanted = bound <= REALISTIC or server.latency_s >= HOSTED_S
    return [
        Target(
            f"1,000 markets, {1e3 * server.latency_s:.0f} ms, {bound} in flight: calls/s (bare)",
            f"{cost.rate:.0f} ({bare.rate:.0f})",
        ),
        Target(
            "  in service on average (bare)",
            f"{cost.in_service:.0f} ({bare.in_service:.0f})",
        ),
        Target(
            "  as busy as under the bare client",
            f"{ratio:.2f}",
            f">= {LEAST_BUSY}" if wanted else "-",
            ratio >= LEAST_BUSY if wanted else None,
        ),
    ]


def memory(markets: Markets, server: Server) -> list[Target]:
    """Growth of the process over 100,000 calls, after the first quarter of them."""
    sizes = []
    calls = 0
    while calls < 100_000:
        cost, _ = markets.play(server, markets=50, rounds=50, bound=256)
        calls += cost.calls
        gc.collect()
        sizes.append(_resident())
    quarter = len(sizes) // 4
    grown = (sizes[-1] - sizes[quarter]) / 2**20
    return [
        Target("memory after 100,000 calls, MiB", f"{sizes[-1] / 2**20:.0f}"),
        Target("  grown since 25,000, MiB", f"{grown:.1f}", "< 5", grown < 5),
    ]


def _resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def batches(markets: Markets, server: Server, local: Path) -> list[Target]:
    """Answers per second of a model in this process: all who wait at once, or one by one."""
    _, folder = markets.play(server, markets=32, rounds=2, bound=REALISTIC)
    requests = [replace(request, max_tokens=300) for request in asked(folder)]
    model = Model(backend="transformers", model=str(local), in_flight=len(requests))

    async def main() -> tuple[float, float]:
        backend = open_backend(model)
        await backend.answer(requests[0])
        marks = [time.perf_counter()]
        for request in requests[:FEW]:
            await backend.answer(request)
        marks.append(time.perf_counter())
        await asyncio.gather(*(backend.answer(request) for request in requests))
        marks.append(time.perf_counter())
        await backend.close()
        return FEW / (marks[1] - marks[0]), len(requests) / (marks[2] - marks[1])

    alone, together = asyncio.run(main())
    return [
        Target(
            f"a local model, {len(requests)} at once: answers/s (one at a time)",
            f"{together:.1f} ({alone:.1f})",
        ),
        Target("  times as many", f"{together / alone:.1f}", ">= 5", together >= 5 * alone),
    ]


def measure(local: Path | None) -> Iterator[Target]:
    """All targets of language models, behind a server and in this process, as they are met."""
    text = json.dumps(ANSWER | {"quantity_A": 40.0, "quantity_B": 20.0})
    with (
        tempfile.TemporaryDirectory() as scratch,
        fake_server(text, LATENCY_S) as quick,
        fake_server(text, HOSTED_S) as hosted,
    ):
        markets = Markets(Path(scratch))
        yield from cpu_per_call(markets, quick)
        for bound in BOUNDS:
            yield from busy(markets, quick, bound)
        yield from busy(markets, hosted, MARKETS)
        yield from memory(markets, quick)
        if local is not None:
            yield from batches(markets, quick, local)


if __name__ == "__main__":
    for target in measure(Path(sys.argv[1]) if len(sys.argv) > 1 else None):
        line = f"{target.what:<62} {target.shown:>14} {target.wanted:>8}  {target.verdict}"
        print(line, flush=True)
