"""A language model in this process: any folder that transformers can load, held to the schema.

Everybody who waits is answered together, in a thread of its own. Nothing is ever downloaded.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from agents.language.backends.batching import Batcher
from agents.language.exchange import BackendError, Reply, Request
from agents.language.local.constraint import Grammars
from agents.language.local.generation import Question, generate
from agents.language.models import Model

DEFAULTS = {"device": "cpu", "dtype": "float32", "template": {}}
"""Options: where and how precisely to compute, and keywords for the model's chat template."""


class Transformers:
    """The model in the folder `model.model`; at most `model.in_flight` are answered at once.

    An empty schema holds an answer to nothing. Raises BackendError where there is no model that
    can be used.
    """

    def __init__(self, model: Model) -> None:
        if unknown := sorted(set(model.options) - set(DEFAULTS)):
            raise BackendError(
                f"a model in this process has no option {', '.join(unknown)}\n"
                f"  options: {', '.join(DEFAULTS)}"
            )
        options = DEFAULTS | dict(model.options)
        self._folder = Path(model.model)
        self._template = options["template"]
        self._model, self._tokenizer = _load(self._folder, options["device"], options["dtype"])
        self._ends = _ends(self._model, self._tokenizer)
        self._longest: int = self._model.config.max_position_embeddings
        self._grammars = Grammars(
            self._tokenizer, vocabulary=self._model.config.vocab_size, ends=sorted(self._ends)
        )
        self._batcher = Batcher(self._answers, most=model.in_flight)

    async def answer(self, request: Request) -> Reply:
        """Answer once, together with all that wait."""
        return await self._batcher.answer(self._question(request))

    async def close(self) -> None:
        """Finish what is being answered."""
        await self._batcher.close()

    def _question(self, request: Request) -> Question:
        tokens = self._tokenizer.apply_chat_template(
            [message._asdict() for message in request.messages],
            add_generation_prompt=True,
            return_dict=False,
            **self._template,
        )
        if len(tokens) + request.max_tokens > self._longest:
            raise BackendError(
                f"{self._folder}: a prompt of {len(tokens)} tokens and {request.max_tokens} for "
                f"the answer are more than the {self._longest} that the model reads\n"
                "  show it fewer rounds (history) or lower max_tokens"
            )
        return Question(
            tokens=tokens,
            matcher=self._grammars.begin(request.schema) if request.schema else None,
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            seed=request.seed,
        )

    def _answers(self, questions: Sequence[Question]) -> list[Reply]:
        try:
            written = generate(self._model, questions, ends=self._ends)
        except RuntimeError as error:  # torch's own, out of memory among them
            raise BackendError(f"{self._folder}: the model failed: {error}") from error
        return [
            Reply(
                text=self._tokenizer.decode(answer.tokens, skip_special_tokens=True),
                finish=answer.finish,
                prompt_tokens=len(question.tokens),
                completion_tokens=len(answer.tokens),
                served=self._folder.name,
            )
            for question, answer in zip(questions, written, strict=True)
        ]


def _load(folder: Path, device: str, dtype: str) -> tuple[Any, Any]:
    if not (folder / "config.json").is_file():
        raise BackendError(
            f"{folder}: there is no model (no config.json)\n"
            "  name a folder that transformers can load, or make the pocket model:\n"
            "  institutional agent train pocket"
        )
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype=getattr(torch, dtype)
        )
        model.to(device)
    except (OSError, ValueError, RuntimeError, AttributeError, AssertionError) as error:
        raise BackendError(f"{folder}: the model cannot be loaded: {error}") from error
    if tokenizer.chat_template is None:
        raise BackendError(
            f"{folder}: the tokenizer has no chat template\n  take a model made for conversations"
        )
    return model.eval(), tokenizer


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer, as the model and its tokenizer name them."""
    named = model.generation_config.eos_token_id
    ends: Iterable[int | None] = named if isinstance(named, list) else [named]
    return frozenset(end for end in (*ends, tokenizer.eos_token_id) if end is not None)
