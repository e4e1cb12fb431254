"""A language model in this process: any folder that transformers can load.

Everybody who waits is answered together, in a thread of its own. Nothing is downloaded.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.language.exchange import BackendError, Reply, Request
from agents.language.local.constraint import Grammars
from agents.language.local.generation import Question, generate
from agents.language.models import Model

_MOMENT_S = 0.003  # who asks at the same time is answered at the same time


class _Waiting(NamedTuple):
    request: Request
    reply: "Future[Reply]"


class TransformersBackend:
    """A loaded model and the thread that answers with it.

    An empty schema holds the answer to nothing. Raises BackendError where `folder` holds no model
    that can be used.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        rows: int = 128,
        template: dict[str, Any] | None = None,
    ) -> None:
        self._folder = folder
        self._rows = rows
        self._template = template or {}
        self._model, self._tokenizer = _load(folder, device=device, dtype=dtype)
        self._ends = _ends(self._model, self._tokenizer)
        self._grammars = Grammars(
            self._tokenizer, vocabulary=self._model.config.vocab_size, ends=sorted(self._ends)
        )
        self._limit: int = self._model.config.max_position_embeddings
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=f"model {folder.name}", daemon=True)
        self._thread.start()

    async def answer(self, request: Request) -> Reply:
        """Answer once, together with all that wait."""
        if not self._thread.is_alive():
            raise BackendError(f"{self._folder}: the model was closed\n  open it again")
        waiting = _Waiting(request, Future())
        self._queue.put(waiting)
        return await asyncio.wrap_future(waiting.reply)

    async def close(self) -> None:
        """Answer what still waits, then end the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        while (batch := self._gather()) is not None:
            prepared = []
            for waiting in batch:
                if not waiting.reply.set_running_or_notify_cancel():
                    continue
                try:
                    prepared.append((waiting, self._question(waiting.request)))
                except Exception as error:  # noqa: BLE001 - who asked is told; the thread goes on
                    waiting.reply.set_exception(error)
            prepared.sort(key=lambda pair: len(pair[1].tokens))
            for start in range(0, len(prepared), self._rows):
                self._answer(prepared[start : start + self._rows])

    def _gather(self) -> list[_Waiting] | None:
        """Everybody who waits, after somebody does; None at the end."""
        first = self._queue.get()
        if first is None:
            return None
        batch, size = [first], 0
        while len(batch) > size:
            size = len(batch)
            time.sleep(_MOMENT_S)
            while not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    self._queue.put(None)
                    return batch
                batch.append(following)
        return batch

    def _question(self, request: Request) -> Question:
        tokens = self._tokenizer.apply_chat_template(
            [message._asdict() for message in request.messages],
            add_generation_prompt=True,
            return_dict=False,
            **self._template,
        )
        if len(tokens) + request.max_tokens > self._limit:
            raise BackendError(
                f"{self._folder}: a prompt of {len(tokens)} tokens and {request.max_tokens} for "
                f"the answer are more than the model's {self._limit}\n"
                "  show it fewer rounds (history) or lower max_tokens"
            )
        return Question(
            tokens=tokens,
            matcher=self._grammars.begin(request.schema) if request.schema else None,
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            seed=request.seed,
        )

    def _answer(self, batch: Sequence[tuple[_Waiting, Question]]) -> None:
        try:
            answers = generate(self._model, [q for _, q in batch], ends=self._ends)
        except Exception as error:  # noqa: BLE001 - who asked is told; the thread goes on
            for waiting, _ in batch:
                waiting.reply.set_exception(
                    BackendError(f"{self._folder}: the model failed: {error}")
                )
            return
        for (waiting, question), answer in zip(batch, answers, strict=True):
            waiting.reply.set_result(
                Reply(
                    text=self._tokenizer.decode(answer.tokens, skip_special_tokens=True),
                    finish=answer.finish,
                    prompt_tokens=len(question.tokens),
                    completion_tokens=len(answer.tokens),
                    served=self._folder.name,
                )
            )


def open_transformers(model: Model) -> TransformersBackend:
    """Load the folder that `model` names; options: device, dtype, rows, template."""
    known = {"device", "dtype", "rows", "template"}
    if unknown := set(model.options) - known:
        raise BackendError(
            f"a local model has no option {', '.join(sorted(unknown))}\n"
            f"  options: {', '.join(sorted(known))}"
        )
    return TransformersBackend(Path(model.model), **model.options)


def _load(folder: Path, *, device: str, dtype: str) -> tuple[Any, Any]:
    if not (folder / "config.json").is_file():
        raise BackendError(
            f"{folder}: there is no model (no config.json)\n"
            "  name a folder that transformers can load, or make the pocket model:\n"
            "  institutional agent train pocket"
        )
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
    return frozenset(e for e in (*ends, tokenizer.eos_token_id) if e is not None)
