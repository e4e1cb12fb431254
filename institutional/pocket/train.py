"""The pocket model from nothing to a folder: play, tokenizer, training, examination, card.

Takes minutes on two cores. Equal arguments, packages, thread count and machine give equal bytes.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers.utils import logging

from agents.language.pocket.tokenizer import train_tokenizer
from agents.language.pocket.training import Shape, as_tokens, new_model, train
from institutional.errors import InstitutionalError
from institutional.pocket.card import card
from institutional.pocket.corpus import make_corpus
from institutional.pocket.exam import Marks, examine

RECORD = "pocket.json"
"""The file by which a folder is known to hold a pocket model, which may be replaced."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is played and learnt."""

    runs: int
    held_out: int  # runs


FULL = Effort(runs=830, held_out=40)
QUICK = Effort(runs=40, held_out=4)


@dataclass(frozen=True)
class Trained:
    """A pocket model and what is known of it."""

    folder: Path
    parameters: int
    lessons: int
    tokens: int
    loss: float  # nats per token of an answer, at the end
    marks: Marks
    digest: str  # SHA-256 of the weights

    def as_json(self) -> dict[str, Any]:
        """The facts as plain JSON values."""
        return {**asdict(self), "folder": str(self.folder), "marks": self.marks._asdict()}


def train_pocket(
    folder: Path,
    *,
    graphs: Path,
    constitutions: Path,
    effort: Effort,
    seed: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Trained:
    """Make the model in `folder`, in place of an older one; nothing is left half-written.

    Raises InstitutionalError where `folder` holds anything else.
    """
    if folder.exists() and not (folder / RECORD).is_file():
        raise InstitutionalError(
            f"{folder}: there is something that is not a pocket model\n"
            "  remove it, or name another folder with --out"
        )
    corpus = make_corpus(
        graphs, constitutions, runs=effort.runs, held_out=effort.held_out, seed=seed
    )
    shape = Shape()
    texts = (
        text
        for pair in corpus.lessons[::4]
        for text in (*(message.content for message in pair.messages), pair.answer)
    )
    tokenizer = train_tokenizer(texts, vocabulary=shape.vocabulary)
    lessons = as_tokens(tokenizer, corpus.lessons)
    model = new_model(shape, tokenizer, seed=seed)
    loss = train(model, lessons, shape=shape, seed=seed, progress=progress)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    logging.disable_progress_bar()
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    trained = Trained(
        folder=folder,
        parameters=model.num_parameters(),
        lessons=len(lessons),
        tokens=sum(len(lesson.tokens) for lesson in lessons),
        loss=loss,
        marks=examine(unfinished, corpus.held_out),
        digest=hashlib.sha256((unfinished / "model.safetensors").read_bytes()).hexdigest(),
    )
    _write(unfinished, trained, corpus.files, seed)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return trained


def _write(folder: Path, trained: Trained, files: Mapping[str, str], seed: int) -> None:
    facts = trained.as_json() | {"seed": seed, "files": dict(files)}
    del facts["folder"]
    (folder / RECORD).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    (folder / "MODEL.md").write_text(card(facts), encoding="utf-8")
