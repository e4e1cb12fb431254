"""A chat completions server that costs as little as it can: one fixed answer after a fixed time.

`python -m benchmarks.fake_server LATENCY_S ANSWER` prints its port and serves until its standard
input ends. GET /seen tells, and forgets, what it served since it was last asked.
"""

import asyncio
import json
import sys

NOT_YET = float("inf")


class Seen:
    """How many requests came, when the first came and the last was answered, and busy seconds."""

    def __init__(self) -> None:
        self.requests = 0
        self.first, self.last = NOT_YET, 0.0
        self.in_service, self.busy_s, self._since = 0, 0.0, 0.0

    def change(self, now: float, step: int) -> None:
        """A request came (1) or was answered (-1)."""
        self.busy_s += self.in_service * (now - self._since)
        self._since = now
        self.in_service += step
        if step > 0:
            self.requests += 1
            self.first = min(self.first, now)
        else:
            self.last = now

    def told(self) -> dict[str, float]:
        """The figures as JSON."""
        wall_s = max(self.last - self.first, 1e-9)
        return {"requests": self.requests, "wall_s": wall_s, "in_service": self.busy_s / wall_s}


class Server(asyncio.Protocol):
    """One connection, kept alive; requests on it come one after the other."""

    seen = Seen()
    latency_s = 0.0
    answer = b""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Start the timer of each request that is complete."""
        self._buffer += data
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            lowered = head.lower()
            at = lowered.find(b"content-length:")
            length = 0 if at < 0 else int(lowered[at + 15 :].split(b"\r\n", 1)[0])
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            if head.startswith(b"GET"):
                self._transport.write(_response(json.dumps(Server.seen.told()).encode()))
                Server.seen = Seen()
            else:
                self.seen.change(self._loop.time(), 1)
                self._loop.call_later(self.latency_s, self._answer, self.seen)

    def _answer(self, seen: Seen) -> None:
        seen.change(self._loop.time(), -1)
        self._transport.write(self.answer)


def _response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def main(latency_s: float, text: str) -> None:
    """Serve on a free port until standard input ends."""
    completion = {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": "fake",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 60, "total_tokens": 1060},
    }
    Server.latency_s = latency_s
    Server.answer = _response(json.dumps(completion).encode())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), sys.argv[2]))
