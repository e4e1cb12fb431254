"""A chat completions server on this machine that fails as servers do, at given rates.

What it answers is a function of what it is asked alone, and whether it fails one of the seed, the
request and how often that came before: two runs meet the same faults whatever their order. Only a
storm, which refuses whatever comes next, depends on it.
"""

import asyncio
import hashlib
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import contextmanager

from aiohttp import web

from agents.language.exchange import Message, Request
from agents.language.rules_of_thumb import wanderer

TRANSPORT = (
    "throttled",  # 429 without a word on when to come back
    "throttled_until",  # 429 with Retry-After
    "broken",  # 500
    "slow",  # no answer for longer than anybody waits
    "cut",  # the connection closed before the answer
    "cut_inside",  # ... and in the middle of it
    "half_body",  # a complete response with half a JSON
    "shapeless",  # JSON that is no chat completion
    "huge",  # ten megabytes
)
CONTENT = ("wrong_schema", "empty", "half_content")


EVERY_TENTH = {fault: 0.05 if fault.startswith("throttled") else 0.1 for fault in TRANSPORT}
EVERY_TENTH |= dict.fromkeys(CONTENT, 0.1)


def number(body):
    """The default answer: a number that only the conversation decides."""
    return json.dumps({"n": int(digest(body["messages"])[:6], 16)})


def move(body):
    """A market's move that only the task, the round and what was seen of the past decide.

    A refusal of an earlier answer does not: all that is asked for one move is answered alike.
    """
    task, said = (message["content"] for message in body["messages"])
    seen = said.rpartition("Now decide")[0].partition("## Refused")[0].strip()
    question = Request(
        model="",
        messages=(Message("system", task), Message("user", seen)),
        schema=body["response_format"]["json_schema"]["schema"],
        temperature=0.0,
        max_tokens=1000,
        seed=int(digest([task, seen])[:7], 16),
    )
    return wanderer(question)


def digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class FaultServer:
    """Counts what it is asked (`asked`, by request), what it answers in full and how it fails."""

    def __init__(
        self,
        faults: Mapping[str, float] | None = None,
        *,
        answers: Callable = number,
        seed: int = 0,
        storm: int = 0,
        retry_after: str = "0.05",
        latency_s: float = 0.0,
        slow_s: float = 30.0,
    ):
        self.faults = dict(faults or {})
        assert set(self.faults) <= {*TRANSPORT, *CONTENT}
        self.answers = answers
        self.seed = seed
        self.storm = storm
        self.retry_after = retry_after
        self.latency_s = latency_s
        self.slow_s = slow_s
        self.asked = Counter()
        self.refused = Counter()  # with a 429
        self.answered = Counter()
        self.failed = Counter()
        self.bodies = []
        self.headers = []
        self.in_service = self.most_in_service = 0
        self.url = ""
        self._storm_left = 0

    def fault_of(self, key):
        """The fault that this attempt meets, or None."""
        if self._storm_left:
            self._storm_left -= 1
            return "throttled"
        luck = random.Random(f"{self.seed} {key} {self.asked[key]}")  # noqa: S311
        for fault, rate in self.faults.items():
            if luck.random() < rate:
                if fault.startswith("throttled"):
                    self._storm_left = self.storm
                return fault
        return None

    async def serve(self, request):
        body = await request.json()
        key = digest(body)
        fault = self.fault_of(key)
        self.asked[key] += 1
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.in_service += 1
        self.most_in_service = max(self.most_in_service, self.in_service)
        try:
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            return await self.respond(request, body, key, fault)
        finally:
            self.in_service -= 1

    async def respond(self, request, body, key, fault):
        if fault:
            self.failed[fault] += 1
        match fault:
            case "throttled" | "throttled_until":
                self.refused[key] += 1
                after = {"Retry-After": self.retry_after} if fault == "throttled_until" else {}
                return web.json_response(
                    {"error": {"message": "slow down"}}, status=429, headers=after
                )
            case "broken":
                return web.Response(status=500, text="internal error")
            case "slow":
                await asyncio.sleep(self.slow_s)
            case "cut":
                hang_up(request)
            case "shapeless":
                return web.json_response({"object": "list", "data": []})
        text = self.answers(body)
        match fault:
            case "wrong_schema":
                text = json.dumps({"wrong": True})
            case "empty":
                text = ""
            case "half_content":
                text = text[: len(text) // 2]
        payload = HUGE if fault == "huge" else json.dumps(completion(body, text)).encode()
        if fault == "half_body":
            payload = payload[: len(payload) // 2]
        if fault == "cut_inside":
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            response.content_length = len(payload)
            await response.prepare(request)
            await response.write(payload[: len(payload) // 2])
            await asyncio.sleep(0.001)
            hang_up(request)
            return response
        if fault is None or fault in CONTENT:
            self.answered[key] += 1
        return web.Response(body=payload, content_type="application/json")


def hang_up(request):
    """Close the connection at once, if the client has not done so."""
    if request.transport is not None:
        request.transport.abort()


def completion(body, text, **fields):
    """A chat completion that says `text`; a token is four bytes, as it nearly is."""
    prompt = sum(len(message["content"]) for message in body["messages"]) // 4
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": len(text) // 4,
            "total_tokens": prompt + len(text) // 4,
        },
    } | fields


HUGE = json.dumps(completion({"messages": [], "model": "m"}, "x" * 10_000_000)).encode()


@contextmanager
def served(handler):
    """The handler at POST /v1/chat/completions, in a thread of its own; yields the base URL."""
    ready, started = threading.Event(), []

    async def main():
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/v1/chat/completions", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
        stop = asyncio.Event()
        started.extend((runner.addresses[0][1], asyncio.get_running_loop(), stop))
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(10)
    port, loop, stop = started
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)


@contextmanager
def running(server):
    """The fault server, answering at `server.url`."""
    with served(server.serve) as server.url:
        yield server
