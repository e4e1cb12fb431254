"""The part of a specification for agents that read: models, budget, and what a regime tells them.

What decides an answer is part of the plan: each model's identity, a local one's files by their
digest, the prompts and the texts of the regimes. What it may cost, how a model is reached and how
many are asked at once is not, so that a stopped experiment goes on with a larger budget or from
another address.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, field_validator

from agents.contract import Inspection
from agents.language import texts
from agents.language.backends.catalogue import BACKENDS
from agents.language.desk.prices import Price, read_prices
from agents.language.exchange import BackendError
from agents.language.models import Model
from institutional.errors import InstitutionalError, suggestion
from institutional.governance.document import Document
from institutional.pocket.place import kept_folder

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=40)]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_BLOCK = 1 << 20


class Strict(BaseModel):
    """A part of the document: no key but the declared ones, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelEntry(Strict):
    """One model; see `agents.language.models.Model`."""

    backend: str = Field(description="who serves it: " + ", ".join(BACKENDS))
    model: str = Field(
        default="",
        description="the server's name for it, or a local one's folder, from the specification's "
        "folder; without one the folder models/NAME below the operator's",
    )
    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0
    max_tokens: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 1000
    options: dict[str, Any] = Field(default_factory=dict, description="further request fields")
    base_url: str = ""
    key: str = Field(default="", description="the environment variable that holds the key")
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 120.0
    in_flight: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 64

    # Neither message repeats the value: it may be the secret itself, and errors are kept in logs.
    @field_validator("key")
    @classmethod
    def _names_a_variable(cls, value: str) -> str:
        if value and not _VARIABLE.match(value):
            raise ValueError(
                '"key" is the name of an environment variable, such as OPENAI_API_KEY, never the '
                "key itself"
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, value: str) -> str:
        if "@" in urlsplit(value).netloc or urlsplit(value).query:
            raise ValueError(
                '"base_url" holds a user name, a password or a query: give the key by "key"'
            )
        return value


class BudgetEntry(Strict):
    """The most that an experiment may use; what a cassette answers costs nothing."""

    tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    money: Annotated[float, Field(gt=0)] | None = None


class RetriesEntry(Strict):
    """How often a failed request is sent again, and after what rest: up to `first_s`, twice that...

    See `agents.language.desk.desk.Desk`.
    """

    most: Annotated[int, Field(strict=True, ge=0, le=1000)] = 8
    first_s: Annotated[float, Field(gt=0, le=3600)] = 0.5
    longest_s: Annotated[float, Field(gt=0, le=3600)] = 60.0


class Inspector(Strict):
    """A model that sees every plan before it is played, and rejects those that break the rules."""

    model: Name
    rejections: Annotated[int, Field(strict=True, ge=0, le=100)] = 2


class TextFile(Strict):
    """A text that lies in a file of its own."""

    file: str = Field(description="path, from the specification's folder")


@dataclass(frozen=True)
class Language:
    """What the agents of an experiment read, and which models answer for them."""

    rules: Mapping[str, str] = field(default_factory=dict)  # regime -> text, "" where none
    inspections: Mapping[str, Inspection] = field(default_factory=dict)  # by regime
    asked: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """(regime, pairing) -> the models that somebody there asks, where anybody does."""
    models: Mapping[str, Model] = field(default_factory=dict)  # all of these
    folders: Mapping[str, Path] = field(default_factory=dict)  # of the local ones
    known: Mapping[str, str] = field(default_factory=dict)  # digests not to be computed

    @cached_property
    def files(self) -> dict[str, str]:
        """SHA-256 of each local model's files."""
        return {
            name: self.known.get(name) or folder_digest(folder)
            for name, folder in self.folders.items()
        }

    @cached_property
    def prompts(self) -> str:
        """SHA-256 of the texts that prompts are made of."""
        return texts.digest()

    def identity(self, names: Iterable[str]) -> dict[str, Any]:
        """What decides the answers of the models called `names`, as plain JSON values."""
        return {name: self._identity(name) for name in sorted(names)}

    def _identity(self, name: str) -> dict[str, Any]:
        known = self.models[name].identity()
        if name not in self.folders:
            return known
        return {**known, "model": "", "files": self.files[name]}  # wherever it lies

    def rules_digest(self, regime: str) -> str:
        """SHA-256 of the regime's text."""
        return hashlib.sha256(self.rules[regime].encode()).hexdigest()

    def as_plan(self) -> dict[str, Any]:
        """All of it, as plain JSON values."""
        return {
            "models": self.identity(self.models),
            "prompts": self.prompts,
            "rules": {regime: self.rules_digest(regime) for regime in self.rules},
        }


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files in `folder`, in hex."""
    digests = {}
    try:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            with path.open("rb") as file:
                digests[path.relative_to(folder).as_posix()] = hashlib.file_digest(
                    file, "sha256"
                ).hexdigest()
    except OSError as error:
        raise InstitutionalError(
            f"{folder}: the model cannot be read ({error.strerror})"
        ) from error
    return hashlib.sha256(rfc8785.dumps(digests)).hexdigest()


def chosen_models(
    document: Document,
    entries: Mapping[str, ModelEntry],
    used: Mapping[str, tuple[str | int, ...]],
    known: Mapping[str, str],
) -> tuple[dict[str, Model], dict[str, Path]]:
    """The models called `used` (name -> where it is asked for), and the local ones' folders.

    A model that nobody declares is a local one in the operator's folder, by its name.
    """
    for name, entry in entries.items():
        if entry.backend not in BACKENDS:
            raise document.problem(
                ("models", name, "backend"),
                f'there is no backend "{entry.backend}"\n  backends: {", ".join(BACKENDS)}.'
                f"{suggestion(entry.backend, BACKENDS)}",
            )
    models, folders = {}, {}
    for name, place in used.items():
        entry = entries.get(name) or ModelEntry(backend=LOCAL)
        model = Model(**entry.model_dump())
        if BACKENDS[entry.backend].local:
            folder = _folder(document, name, entry)
            if folder.is_dir() or name in known:
                folders[name] = folder
                model = replace(model, model=str(folder))
            elif not entry.model:
                raise document.problem(
                    ("models", name) if name in entries else place,
                    f'the model "{name}" should lie in {folder}, and nothing does.'
                    f"{'' if name in entries else suggestion(name, entries)}\n"
                    "  `institutional agent train pocket` makes the one called pocket; others are "
                    "declared in `models`",
                )
        models[name] = model
    return models, folders


LOCAL = "transformers"
"""The backend of a model that is not declared."""


def _folder(document: Document, name: str, entry: ModelEntry) -> Path:
    if entry.model:
        return Path(document.path).parent / entry.model
    return kept_folder(name)


def read_text(document: Document, place: tuple[str | int, ...], said: str | TextFile) -> str:
    """A regime's text, from the specification or from the file that it names."""
    if isinstance(said, str):
        return said
    path = Path(document.path).parent / said.file
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise document.problem(
            (*place, "file"), f"{path} cannot be read ({error.strerror})"
        ) from None
    except UnicodeDecodeError:
        raise document.problem((*place, "file"), f"{path} is not text in UTF-8") from None


def price_table(document: Document, file: str | None) -> dict[str, Price]:
    """The prices in the file that a specification names; none where it names none."""
    if file is None:
        return {}
    try:
        return read_prices(Path(document.path).parent / file)
    except BackendError as error:
        raise document.problem(("prices",), str(error)) from None
