"""Many questions, one call: whoever asks waits until the whole batch is answered.

For models in this process, where a batch costs little more than one question. What a question is,
and how a batch of them is answered, is the caller's.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

_QUIET_TURNS = 20
"""Turns of the event loop without a new question after which a batch is closed.

The markets of an experiment come round together but not in the same turn: who asks again is here
first, and a batch of the early ones alone would hold up all others.
"""


class Batcher(Generic[Question, Answer]):
    """Answers all that wait, at most `most` at once, in one call on a thread of its own.

    `answer_many` returns one answer per question, in their order; what it raises, everyone in
    the batch gets.
    """

    def __init__(
        self, answer_many: Callable[[Sequence[Question]], Sequence[Answer]], *, most: int
    ) -> None:
        # A model that minds on which thread it was loaded is loaded on this one.
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._answer_many = answer_many
        self._most = most
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._serving: asyncio.Task[None] | None = None

    async def answer(self, question: Question) -> Answer:
        """Wait for the batch that holds `question`."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((question, answered))
        if self._serving is None:
            self._serving = loop.create_task(self._serve())
        return await answered

    async def close(self) -> None:
        """Finish the batch that is being answered and end the thread."""
        if self._serving is not None:
            await self._serving
        self.thread.shutdown()

    async def _serve(self) -> None:
        try:
            while self._waiting:
                await self._settle()
                self._waiting = [it for it in self._waiting if not it[1].cancelled()]
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                if batch:
                    await self._answer_batch(batch)
        finally:
            self._serving = None
            for _, answered in self._waiting:  # only where the event loop is being ended
                answered.cancel()
            self._waiting = []

    async def _answer_batch(self, batch: Sequence[tuple[Question, asyncio.Future[Answer]]]) -> None:
        questions = [question for question, _ in batch]
        call = asyncio.get_running_loop().run_in_executor(self.thread, self._answer_many, questions)
        (answers,) = await asyncio.gather(call, return_exceptions=True)
        if not isinstance(answers, BaseException) and len(answers) != len(batch):
            answers = AssertionError(f"{len(batch)} questions, {len(answers)} answers")
        for place, (_, answered) in enumerate(batch):
            if answered.cancelled():
                continue
            if isinstance(answers, BaseException):
                answered.set_exception(answers)
            else:
                answered.set_result(answers[place])

    async def _settle(self) -> None:
        """Return once nobody new has come for a while, or a batch is full."""
        seen, quiet = len(self._waiting), 0
        while quiet < _QUIET_TURNS and seen < self._most:
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._waiting) == seen else 0
            seen = len(self._waiting)
