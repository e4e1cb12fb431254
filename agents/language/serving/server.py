"""Any backend behind an OpenAI-compatible endpoint on this machine.

    GET  /health                200 once the model is loaded
    GET  /v1/models             the one model
    POST /v1/chat/completions   an answer, or a stream of one

Requests that come together are answered together, as far as the backend does so.
"""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

from aiohttp import web

from agents.language.exchange import Backend, BackendError, PassingError
from agents.language.serving import protocol
from agents.language.serving.protocol import RefusedError

LARGEST = 2**20  # bytes of a request
GRACE_S = 5.0  # for answers under way when the server ends
_LOG = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Endpoint:
    """The routes of one model called `name`; `max_tokens` is the limit of who names none."""

    def __init__(self, backend: Backend, name: str, *, max_tokens: int = 1000) -> None:
        self._backend = backend
        self._name = name
        self._max_tokens = max_tokens
        self._numbers = count(1)

    def app(self) -> web.Application:
        """The web application."""
        app = web.Application(client_max_size=LARGEST, middlewares=[_told])
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "model": self._name})

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response(protocol.models([self._name]))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = protocol.read(await request.read())
        if asked.model != self._name:
            raise RefusedError(
                404,
                f'there is no model "{asked.model}"; this server has "{self._name}"',
                code="model_not_found",
            )
        reply = await self._backend.answer(asked.as_request(max_tokens=self._max_tokens))
        identity = f"chatcmpl-{next(self._numbers)}"
        if not asked.stream:
            return web.json_response(
                protocol.completion(reply, identity=identity, model=self._name)
            )
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        usage = asked.stream_options is not None and asked.stream_options.include_usage
        for chunk in protocol.chunks(reply, identity=identity, model=self._name, usage=usage):
            await stream.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await stream.write(b"data: [DONE]\n\n")
        return stream


@asynccontextmanager
async def serving(
    backend: Backend, name: str, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Serve `backend` as the model `name`; gives the base URL for clients. Port 0: any free one.

    Raises OSError where the port cannot be used. The backend is the caller's to close.
    """
    runner = web.AppRunner(Endpoint(backend, name).app(), access_log=None, shutdown_timeout=GRACE_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}/v1"
    finally:
        await runner.cleanup()


@web.middleware
async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong is told in the API's form."""
    try:
        return await handler(request)
    except RefusedError as error:
        refused = error
    except BackendError as error:  # a prompt too long, a schema that no answer can satisfy
        refused = RefusedError(400, str(error))
    except PassingError as error:
        refused = RefusedError(503, str(error))
    except web.HTTPException as error:
        refused = RefusedError(error.status, error.reason)
    except Exception:  # noqa: BLE001 - the server goes on, and the log says how it failed
        _LOG.exception("a request failed")
        refused = RefusedError(500, "the model failed; the server's log says how")
    return web.json_response(refused.body(), status=refused.status)
