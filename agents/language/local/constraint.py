"""Answers held to a JSON Schema while they are written, by llguidance.

A drawn token is tried first and the mask of all allowed ones is only computed where it is refused:
drawing once from all and, if refused, again from the allowed has the distribution of drawing from
the allowed, and a model that knows the form is hardly ever refused.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from numpy.typing import NDArray

from agents.language.exchange import BackendError

_KEPT = 256  # compiled schemas: every market of an experiment has its own few


class Grammars:
    """Schemas compiled for one tokenizer."""

    def __init__(self, tokenizer: Any, *, vocabulary: int, ends: list[int]) -> None:
        self._tokenizer: LLTokenizer = from_tokenizer(tokenizer, n_vocab=vocabulary, eos_token=ends)
        self._compiled: dict[str, LLMatcher] = {}

    def begin(self, schema: Mapping[str, Any]) -> LLMatcher:
        """Return a matcher at the start of an answer; no schema at all is BackendError's case.

        The form is compact JSON: a model that may add spaces where it likes may do so for ever.
        """
        text = json.dumps(schema)
        if text not in self._compiled:
            grammar = LLMatcher.grammar_from_json_schema(text, {"whitespace_flexible": False})
            matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
            if matcher.is_error():
                raise BackendError(
                    f"a JSON Schema that no answer can be held to: {matcher.get_error()}\n"
                    "  llguidance says which part; write it with simpler means"
                )
            if len(self._compiled) == _KEPT:
                self._compiled.clear()
            self._compiled[text] = matcher
        return self._compiled[text].deep_copy()


def allowed(matcher: LLMatcher, vocabulary: int) -> NDArray[np.bool_]:
    """Which tokens may come next, [V]."""
    packed = np.frombuffer(matcher.compute_bitmask(), np.uint8)
    return np.unpackbits(packed, bitorder="little")[:vocabulary].astype(bool)
