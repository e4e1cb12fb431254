"""`institutional agent serve`: a local language model behind an OpenAI-compatible endpoint."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from institutional.cli.output import Json, print_json

if TYPE_CHECKING:
    from agents.language.exchange import Backend


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(serve)


def serve(
    model: Annotated[str, typer.Argument(help='A folder with a model, or "pocket".')],
    host: Annotated[str, typer.Option(help="Where to listen; only this machine by default.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 0,
    at_once: Annotated[int, typer.Option(min=1, help="Most requests in one batch.")] = 128,
    as_json: Json = False,
) -> None:
    """Serve a local model as /v1/chat/completions, held to the JSON Schema that is asked for.

    Requests that come together are answered in one batch. There is no key: who can reach the
    port can ask. Ends on Control-C.

    Example: institutional agent serve pocket --port 0
    """
    import asyncio

    from agents.language.backends.catalogue import open_backend
    from agents.language.exchange import BackendError
    from agents.language.models import Model
    from institutional.errors import InstitutionalError
    from institutional.pocket.place import model_folder

    folder = model_folder(model)
    try:
        backend = open_backend(Model(backend="transformers", model=str(folder), in_flight=at_once))
        asyncio.run(_until_interrupted(backend, folder.name, host, port, as_json=as_json))
    except BackendError as error:
        raise InstitutionalError(str(error)) from error
    except OSError as error:
        raise InstitutionalError(f"{host}:{port} cannot be used: {error}") from error


async def _until_interrupted(
    backend: "Backend", name: str, host: str, port: int, *, as_json: bool
) -> None:
    import asyncio
    import signal

    from agents.language.serving.server import serving

    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        async with serving(backend, name, host=host, port=port) as url:
            if as_json:
                print_json({"url": url, "model": name})
            else:
                print(f"{name} answers at {url} until interrupted")
            sys.stdout.flush()  # a pipe holds back what its reader waits for
            await ended.wait()
    finally:
        await backend.close()
