"""A witness over HTTP, on this machine only: c2sp.org/tlog-witness with the standard library.

    POST /add-checkpoint        see `protocol`
    POST /add-key               ours: a manifest or a rotation
    GET  /<origin hash>/checkpoint   the newest head that was cosigned for that log

Requests are bounded in bytes and connections in number; an idle one ends after some seconds. To be
reached from elsewhere, put a web server with TLS in front: it does not matter who submits, as
nothing is cosigned without a log's signature. Keys can be added only as `protocol` says.
"""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from institutional.ledger.manifest import MAX_BYTES as MAX_MANIFEST_BYTES
from institutional.ledger.witness.protocol import (
    ADD_CHECKPOINT,
    ADD_KEY,
    MAX_REQUEST_BYTES,
    Answer,
    refusal,
)
from institutional.ledger.witness.service import Witness

LOOPBACK = "127.0.0.1"
TIMEOUT_S = 5
MAX_CONNECTIONS = 32
_LENGTH = re.compile(r"(0|[1-9][0-9]{0,9})\Z")


@contextmanager
def serving(witness: Witness, *, port: int = 0) -> Iterator[str]:
    """Answer on loopback until the block ends; yields the URL. Port 0 takes any free one.

    Leaving waits for requests that are being answered. Raises OSError for a port in use.
    """
    server = _Server(witness, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    """A thread for each connection, up to a number; further ones are closed unanswered."""

    daemon_threads = False  # so that closing waits for answers being given
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, witness: Witness, port: int) -> None:
        self.witness = witness
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((LOOPBACK, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that hung up is no news
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection; the names of its methods are `http.server`'s."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "institutional-witness"
    sys_version = ""
    timeout = TIMEOUT_S

    def do_POST(self) -> None:
        witness = self.server.witness
        calls = {
            ADD_CHECKPOINT: (witness.add_checkpoint, MAX_REQUEST_BYTES),
            ADD_KEY: (witness.add_key, MAX_MANIFEST_BYTES),
        }
        name = self.path.removeprefix("/")
        length = self.headers.get("Content-Length", "")
        if name not in calls:
            self._send(refusal(404, f"a witness is sent {ADD_CHECKPOINT} or {ADD_KEY}"), last=True)
        elif not _LENGTH.match(length) or "Transfer-Encoding" in self.headers:
            self._send(refusal(411, "a request needs its Content-Length"), last=True)
        elif int(length) > calls[name][1]:
            self._send(refusal(413, f"{calls[name][1]} bytes are allowed"), last=True)
        else:
            body = self.rfile.read(int(length))
            if len(body) < int(length):  # hung up: half a request is none
                self.close_connection = True
                return
            self._send(calls[name][0](body))

    def do_GET(self) -> None:
        head = None
        match self.path.split("/"):
            case ["", origin_hash, "checkpoint"]:
                head = self.server.witness.head(origin_hash)
        missing = refusal(404, "there is no such head: GET /<SHA-256 of the origin>/checkpoint")
        self._send(missing if head is None else Answer(200, head))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Print nothing: the keeper's terminal is not the clients' to fill."""

    def _send(self, answer: Answer, *, last: bool = False) -> None:
        """Answer; `last` when the request's body was not read, so that nothing can follow it."""
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if last:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)
