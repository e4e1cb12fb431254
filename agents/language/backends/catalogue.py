"""Every kind of server or model that can answer, by the name an experiment gives it.

A backend's module is imported when a model needs it, so that nobody needs the packages of all.
"""

import importlib
import math
from typing import NamedTuple, cast

from agents.checks import suggestion
from agents.language.exchange import Backend, BackendError
from agents.language.models import Model


class Entry(NamedTuple):
    """Where a backend is made, and the extra of this distribution that brings its packages."""

    factory: str  # module:name, called with the `Model`
    extra: str  # "" where it needs none
    local: bool = False  # whether its models may be folders of this machine
    apart: bool = False  # whether its packages want an environment of their own


BACKENDS = {
    "openai": Entry("agents.language.backends.openai:OpenAI", "language"),
    "transformers": Entry(
        "agents.language.backends.transformers:Transformers", "local", local=True
    ),
    "vllm": Entry("agents.language.backends.vllm:VLLM", "vllm", local=True, apart=True),
    "scripted": Entry("agents.language.backends.scripted:scripted", ""),
}

_APART = "\n  in an environment of its own, made by uv: see agents/language/backends/README.md"


def open_backend(model: Model) -> Backend:
    """Return who answers for `model`; `BackendError` where the model or a package is missing."""
    if model.backend not in BACKENDS:
        raise BackendError(
            f'there is no backend "{model.backend}".{suggestion(model.backend, BACKENDS)}'
            f" Backends: {', '.join(BACKENDS)}."
        )
    _check(model)
    entry = BACKENDS[model.backend]
    module, name = entry.factory.split(":")
    try:
        factory = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as missing:
        if not entry.extra or (missing.name or "").split(".")[0] == "agents":
            raise  # ours, not the user's
        raise BackendError(
            f'the backend "{model.backend}" needs the package {missing.name}, which is missing:'
            f" pip install 'institutional[{entry.extra}]'{_APART if entry.apart else ''}"
        ) from None
    return cast("Backend", factory(model))


def _check(model: Model) -> None:
    for what, value, holds, wanted in (
        ("temperature", model.temperature, 0 <= model.temperature < math.inf, "0 or more"),
        ("max_tokens", model.max_tokens, model.max_tokens >= 1, "at least 1"),
        ("timeout_s", model.timeout_s, 0 < model.timeout_s < math.inf, "more than 0"),
        ("in_flight", model.in_flight, model.in_flight >= 1, "at least 1"),
    ):
        if not holds:
            raise BackendError(f'model "{model.model}": {what} is {value}; give {wanted}')
