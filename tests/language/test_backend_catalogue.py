"""Backends by name, where their packages are missing."""

from importlib.util import find_spec

import pytest

from agents.language.backends.catalogue import open_backend
from agents.language.exchange import BackendError
from agents.language.models import Model


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is here: this is its environment")
def test_without_vllm_one_message_says_how_to_get_it_and_that_it_stands_apart():
    with pytest.raises(BackendError, match=r"institutional\[vllm\].*\n.*environment of its own"):
        open_backend(Model(backend="vllm", model="anywhere"))
