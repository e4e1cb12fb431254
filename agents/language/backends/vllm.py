"""A model in this process, run by vLLM: one batch of all the markets that wait.

vLLM wants an environment of its own (`backends/README.md`). What is asked of a vLLM server goes
through `openai` instead; the same model, seed and schema get the same answer there if the server
runs with the settings of `ENGINE`.
"""

import gc
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agents.language.backends.batching import Batcher
from agents.language.exchange import BackendError, PassingError, Reply, Request
from agents.language.models import Model

for _name, _value in {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # no further processes, and the same order every time
    "VLLM_NO_USAGE_STATS": "1",  # nothing is reported to anybody
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # standard output is for results
}.items():
    os.environ.setdefault(_name, _value)
# Below the above because vLLM reads its environment when it is imported.
from vllm import LLM, SamplingParams  # noqa: E402
from vllm.exceptions import VLLMValidationError  # noqa: E402
from vllm.sampling_params import StructuredOutputsParams  # noqa: E402

ENGINE: Mapping[str, Any] = {
    # Of vLLM's four, guidance alone keeps to lengths and ranges and always gives strict JSON.
    "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
    # With a prompt read in pieces a request that has a seed ends a CPU engine: "CPU Generator does
    # not use offset".
    "enable_chunked_prefill": False,
    "use_tqdm_on_load": False,
    "generation_config": "vllm",  # not what the model's folder suggests: the request says it all
    "enforce_eager": True,  # compiling takes longer than it saves on small models
}
"""How the engine is made, unless `options: {engine: {...}}` of the model says otherwise."""

_TURN = threading.Lock()
"""Held while an engine works: what it is at stands in globals of vLLM, one for all engines."""


class _Question(NamedTuple):
    prompt: Mapping[str, Any]  # the tokens, in vLLM's form
    sampling: Any  # vllm.SamplingParams


class VLLM:
    """Answers from the model in folder `model.model` (or of that name, where vLLM finds it).

    `model.options` are fields of vLLM's `SamplingParams`, and `chat_template_kwargs` as a vLLM
    server takes them, and `engine`: keywords of vLLM's `LLM`. At most `model.in_flight` are
    answered at once. Several models may be open together, but vLLM takes down what they share when
    the first is closed: close them when none is asked any more.
    """

    def __init__(self, model: Model) -> None:
        options = dict(model.options)
        engine = {**ENGINE, **options.pop("engine", {})}
        self._template = options.pop("chat_template_kwargs", {})
        self._options = options
        self._name = Path(model.model).name
        self._failure = ""
        self._batcher = Batcher(self._generate, most=model.in_flight)
        try:
            self._llm = self._batcher.thread.submit(LLM, model.model, **engine).result()
        except Exception as error:
            self._batcher.thread.shutdown()
            raise BackendError(
                f'vLLM cannot load "{model.model}": {error}\n  `model` is to be the folder of a'
                " model; what vLLM itself is to be told stands under options, engine"
            ) from error
        self._tokenizer = self._llm.get_tokenizer()
        self._longest: int = self._llm.llm_engine.model_config.max_model_len

    async def answer(self, request: Request) -> Reply:
        """Answer in the next batch."""
        return await self._batcher.answer(self._question(request))

    async def close(self) -> None:
        """Finish the batch under way and let go of the model's memory."""
        await self._batcher.close()
        self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        gc.collect()

    def _question(self, request: Request) -> _Question:
        try:
            tokens = self._tokenizer.apply_chat_template(
                [message._asdict() for message in request.messages],
                add_generation_prompt=True,
                return_dict=False,
                **self._template,
            )
            sampling = SamplingParams(
                **self._options,
                temperature=request.temperature,
                max_tokens=request.max_tokens,
                seed=request.seed,
                structured_outputs=StructuredOutputsParams(json=dict(request.schema)),
            )
        except Exception as error:
            raise BackendError(
                f"{self._name} under vLLM does not take its messages or its options: {error}\n"
                "  options: fields of vLLM's SamplingParams, chat_template_kwargs, engine"
            ) from error
        if len(tokens) + request.max_tokens > self._longest:
            raise BackendError(
                f"{self._name}: a prompt of {len(tokens)} tokens and {request.max_tokens} for the"
                f" answer are more than the {self._longest} that vLLM gives it\n"
                "  show it fewer rounds (history), lower max_tokens, or raise max_model_len under"
                " options, engine"
            )
        return _Question({"prompt_token_ids": tokens}, sampling)

    def _generate(self, questions: Sequence[_Question]) -> list[Reply]:
        if self._failure:
            raise BackendError(self._failure)
        try:
            with _TURN:
                outputs = self._llm.generate(
                    [question.prompt for question in questions],
                    [question.sampling for question in questions],
                    use_tqdm=False,
                )
        except VLLMValidationError as error:  # a schema, as a rule; nothing was begun
            raise BackendError(f"{self._name} under vLLM refuses a request: {error}") from error
        except Exception as error:
            # An engine that failed still holds what it was at, and would never return from it.
            self._failure = f"{self._name} under vLLM failed and must be opened again: {error}"
            raise BackendError(self._failure) from error
        return [self._reply(output) for output in outputs]

    def _reply(self, output: Any) -> Reply:
        (completion,) = output.outputs
        if completion.finish_reason not in {"stop", "length"}:
            raise PassingError(f"vLLM gave up an answer: {completion.finish_reason}")
        return Reply(
            text=completion.text,
            finish=completion.finish_reason,
            prompt_tokens=len(output.prompt_token_ids),
            completion_tokens=len(completion.token_ids),
            served=self._name,
        )
